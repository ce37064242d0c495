//! Deadlines, soonest first.
//!
//! A source that is touched a thousand times a second must not move its deadline a thousand times. So an armed deadline is a
//! promise to look at the source *at the latest* then: when it fires early, because bytes have moved since, it is armed anew.

use std::collections::BTreeSet;

use crate::clock::Tick;
use crate::key::Key;

/// The armed deadlines: at most one a source.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BTreeSet<(Tick, Key)>,
}

impl Timers {
    /// Arms `wanted` for `key` where `armed`, the deadline that it has now, would come too late. Returns the armed one.
    pub fn arm(&mut self, key: Key, armed: Option<Tick>, wanted: Option<Tick>) -> Option<Tick> {
        match (armed, wanted) {
            (Some(armed), Some(wanted)) if armed <= wanted => Some(armed),
            (armed, Some(wanted)) => {
                self.disarm(key, armed);
                self.queue.insert((wanted, key));
                Some(wanted)
            }
            (armed, None) => armed,
        }
    }

    /// Takes the deadline of a source back that is over.
    pub fn disarm(&mut self, key: Key, armed: Option<Tick>) {
        if let Some(armed) = armed {
            let was_there = self.queue.remove(&(armed, key));
            debug_assert!(was_there, "{key} was not armed for the moment that it remembers");
        }
    }

    /// The soonest deadline.
    pub fn next(&self) -> Option<Tick> {
        self.queue.first().map(|(moment, _)| *moment)
    }

    /// Takes the next source out whose deadline has come by `now`.
    pub fn pop_due(&mut self, now: Tick) -> Option<Key> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop_first().map(|(_, key)| key)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::at(Duration::from_millis(millis))
    }

    #[test]
    fn deadlines_fire_soonest_first_and_not_early() {
        let mut timers = Timers::default();
        let (a, b) = (Key::new(1, 1), Key::new(2, 1));
        timers.arm(a, None, Some(at(20)));
        timers.arm(b, None, Some(at(10)));
        assert_eq!(timers.next(), Some(at(10)));
        assert_eq!(timers.pop_due(at(9)), None);
        assert_eq!(timers.pop_due(at(20)), Some(b));
        assert_eq!(timers.pop_due(at(20)), Some(a));
        assert_eq!(timers.pop_due(at(99)), None);
    }

    #[test]
    fn a_later_wish_leaves_the_armed_deadline_alone_and_an_earlier_one_moves_it() {
        let mut timers = Timers::default();
        let key = Key::new(1, 1);
        let armed = timers.arm(key, None, Some(at(50)));
        let armed = timers.arm(key, armed, Some(at(90)));
        assert_eq!(armed, Some(at(50)));
        let armed = timers.arm(key, armed, Some(at(10)));
        assert_eq!(armed, Some(at(10)));
        assert_eq!(timers.queue.len(), 1);
        timers.disarm(key, armed);
        assert_eq!(timers.queue.len(), 0);
    }
}
