//! Whether bytes for the server still leave.

use std::time::Duration;

use crate::os::clock::Tick;

/// Watches what the server is owed. It may take any time, as long as bytes leave.
///
/// It counts what has left and not what is owed: a stream that goes on may owe as much at each look.
#[derive(Debug)]
pub struct Delivery {
    wait: Duration,
    /// How many bytes had left, and since when that number has not grown.
    seen: Option<(i128, Tick)>,
}

/// What a look at it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryState {
    /// Nothing is owed.
    Left,
    /// Something is owed; look again at this moment.
    Owed(Tick),
    /// Nothing has left for the whole wait.
    Stuck,
}

impl Delivery {
    /// The server is stuck after `wait` without progress.
    pub fn new(wait: Duration) -> Delivery {
        Delivery { wait, seen: None }
    }

    /// Restarts the wait.
    pub fn restart(&mut self) {
        self.seen = None;
    }

    /// Looks at the delivery: `given` bytes in all, of which `owed` have not left.
    pub fn look(&mut self, now: Tick, given: u64, owed: usize) -> DeliveryState {
        if owed == 0 {
            self.seen = None;
            return DeliveryState::Left;
        }
        // `owed` can count the kernel's memory, which is more than the bytes in it.
        let left = i128::from(given) - owed as i128;
        let since = self.seen.filter(|(before, _)| *before >= left).map_or(now, |(_, since)| since);
        self.seen = Some((left, since));
        if now.since(since) >= self.wait && since != now {
            return DeliveryState::Stuck;
        }
        DeliveryState::Owed(since.after(self.wait))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::at(Duration::from_millis(millis))
    }

    #[test]
    fn what_moves_may_take_as_long_as_it_likes() {
        let mut delivery = Delivery::new(Duration::from_millis(500));
        assert_eq!(delivery.look(at(0), 100, 100), DeliveryState::Owed(at(500)));
        assert_eq!(delivery.look(at(490), 100, 50), DeliveryState::Owed(at(990)));
        // As much is owed again, but something has left.
        assert_eq!(delivery.look(at(980), 160, 50), DeliveryState::Owed(at(1480)));
        assert_eq!(delivery.look(at(1480), 160, 0), DeliveryState::Left);
        assert_eq!(delivery.look(at(9000), 170, 10), DeliveryState::Owed(at(9500)));
    }

    #[test]
    fn a_server_that_takes_nothing_has_its_time_and_no_more() {
        let mut delivery = Delivery::new(Duration::from_millis(500));
        assert_eq!(delivery.look(at(0), 100, 100), DeliveryState::Owed(at(500)));
        // More was handed over, and nothing has left.
        assert_eq!(delivery.look(at(490), 200, 200), DeliveryState::Owed(at(500)));
        assert_eq!(delivery.look(at(500), 200, 200), DeliveryState::Stuck);
        delivery.restart();
        assert_eq!(delivery.look(at(600), 200, 200), DeliveryState::Owed(at(1100)));
    }
}
