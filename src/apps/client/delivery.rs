//! Whether bytes for the server still leave, and how long replies are waited for behind the last of them.

use std::time::Duration;

use crate::os::clock::Tick;

/// How often the client looks whether what it owes has left: no event tells it.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// Watches what the server is owed. It may take any time, as long as bytes leave.
///
/// ```text
///   last message queued --> nothing is owed --> the time for replies is up
///                       |
///                       +-- nothing moves for as long: stuck
/// ```
///
/// It counts what has left and not what is owed: a stream that goes on may owe as much at each look.
#[derive(Debug)]
pub(crate) struct Delivery {
    wait: Duration,
    /// How many bytes had left, and since when that number has not grown.
    seen: Option<(i128, Tick)>,
    replies: Duration,
    /// Until when replies are waited for, once everything has left.
    replies_until: Option<Tick>,
}

/// What a look at it found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeliveryState {
    /// Nothing is owed.
    Left,
    /// Something is owed; look again at this moment.
    Owed(Tick),
    /// Nothing has left for the whole wait.
    Stuck,
}

impl Delivery {
    /// The server is stuck after `wait` without progress. Replies are waited for `replies` once everything has left.
    pub(crate) fn new(wait: Duration, replies: Duration) -> Delivery {
        Delivery { wait, seen: None, replies, replies_until: None }
    }

    /// Restarts both waits.
    pub(crate) fn restart(&mut self) {
        self.seen = None;
        self.replies_until = None;
    }

    /// Looks at the delivery: `given` bytes in all, of which `owed` have not left.
    pub(crate) fn look(&mut self, now: Tick, given: u64, owed: usize) -> DeliveryState {
        if owed == 0 {
            self.seen = None;
            return DeliveryState::Left;
        }
        self.replies_until = None;
        // `owed` can count the kernel's memory, which is more than the bytes in it.
        let left = i128::from(given) - owed as i128;
        let since = self.seen.filter(|(before, _)| *before >= left).map_or(now, |(_, since)| since);
        self.seen = Some((left, since));
        if now.since(since) >= self.wait && since != now {
            return DeliveryState::Stuck;
        }
        DeliveryState::Owed(since.after(self.wait))
    }

    /// Until when replies are waited for behind the last message, since everything has left; `None` when the time is
    /// up. The first call is never the end, because the last bytes were only just handed over.
    pub(crate) fn wait_for_replies(&mut self, now: Tick) -> Option<Tick> {
        if self.replies_until.is_some_and(|until| until <= now) {
            return None;
        }
        Some(*self.replies_until.get_or_insert(now.after(self.replies)))
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
        let mut delivery = Delivery::new(Duration::from_millis(500), Duration::ZERO);
        assert_eq!(delivery.look(at(0), 100, 100), DeliveryState::Owed(at(500)));
        assert_eq!(delivery.look(at(490), 100, 50), DeliveryState::Owed(at(990)));
        // As much is owed again, but something has left.
        assert_eq!(delivery.look(at(980), 160, 50), DeliveryState::Owed(at(1480)));
        assert_eq!(delivery.look(at(1480), 160, 0), DeliveryState::Left);
        assert_eq!(delivery.look(at(9000), 170, 10), DeliveryState::Owed(at(9500)));
    }

    #[test]
    fn a_server_that_takes_nothing_has_its_time_and_no_more() {
        let mut delivery = Delivery::new(Duration::from_millis(500), Duration::ZERO);
        assert_eq!(delivery.look(at(0), 100, 100), DeliveryState::Owed(at(500)));
        // More was handed over, and nothing has left.
        assert_eq!(delivery.look(at(490), 200, 200), DeliveryState::Owed(at(500)));
        assert_eq!(delivery.look(at(500), 200, 200), DeliveryState::Stuck);
        delivery.restart();
        assert_eq!(delivery.look(at(600), 200, 200), DeliveryState::Owed(at(1100)));
    }

    #[test]
    fn the_time_for_replies_begins_when_everything_has_left() {
        let mut delivery = Delivery::new(Duration::from_millis(500), Duration::from_millis(500));
        assert_eq!(delivery.look(at(0), 100, 100), DeliveryState::Owed(at(500)));
        assert_eq!(delivery.look(at(1000), 100, 0), DeliveryState::Left);
        assert_eq!(delivery.wait_for_replies(at(1000)), Some(at(1500)));
        assert_eq!(delivery.wait_for_replies(at(1499)), Some(at(1500)));
        assert_eq!(delivery.wait_for_replies(at(1500)), None);
        assert_eq!(delivery.look(at(1500), 200, 100), DeliveryState::Owed(at(2000)));
        assert_eq!(delivery.look(at(1600), 200, 0), DeliveryState::Left);
        assert_eq!(delivery.wait_for_replies(at(1600)), Some(at(2100)), "what is owed again restarts it");
    }

    #[test]
    fn without_a_wait_what_was_handed_over_still_has_a_turn_to_leave() {
        let mut delivery = Delivery::new(Duration::from_millis(500), Duration::ZERO);
        assert_eq!(delivery.wait_for_replies(at(3)), Some(at(3)));
        assert_eq!(delivery.wait_for_replies(at(3)), None);
        delivery.restart();
        assert_eq!(delivery.wait_for_replies(at(4)), Some(at(4)));
    }
}
