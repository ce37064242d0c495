//! Deadlines, soonest first.
//!
//! A busy source must not move its deadline a thousand times a second. So an armed deadline is a promise to check the
//! source *at the latest* then. If bytes have moved since, it fires early and is armed again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::os::clock::Tick;
use crate::os::key::Key;

/// A queue with no more stale entries than this is left alone. In a longer one up to half may be stale, so that its
/// length is bounded, and clearing up costs each connection a constant.
const STALE_MIN: usize = 64;

/// The armed deadlines: at most one a source, which remembers it.
///
/// A deadline that is taken back stays in the queue as a *stale* entry: its source has another one, none, or is gone.
#[derive(Debug, Default)]
pub struct Timers {
    queue: BinaryHeap<Reverse<(Tick, Key)>>,
    stale: usize,
}

impl Timers {
    /// Arms `wanted` for `key` where `armed`, the deadline that it has now, would come too late. Returns the armed one.
    #[inline]
    pub fn arm(&mut self, key: Key, armed: Option<Tick>, wanted: Option<Tick>) -> Option<Tick> {
        match (armed, wanted) {
            (_, None) => armed,
            (Some(soon), Some(wanted)) if soon <= wanted => armed,
            (_, Some(moment)) => {
                self.disarm(armed);
                self.queue.push(Reverse((moment, key)));
                wanted
            }
        }
    }

    /// Takes the deadline of a source back, if it has one: its entry is stale from now on.
    pub fn disarm(&mut self, armed: Option<Tick>) {
        self.stale += usize::from(armed.is_some());
    }

    /// The soonest deadline. It may be a stale one.
    pub fn next(&self) -> Option<Tick> {
        self.queue.peek().map(|Reverse((moment, _))| *moment)
    }

    /// Takes the next entry out whose moment has come by `now`.
    pub fn pop_due(&mut self, now: Tick) -> Option<(Tick, Key)> {
        if self.next()? > now {
            return None;
        }
        self.queue.pop().map(|Reverse(entry)| entry)
    }

    /// The entry that was taken out was stale.
    pub(crate) fn popped_stale(&mut self) {
        self.stale = self.stale.saturating_sub(1);
    }

    /// Whether so many entries are stale that it is time to [`clear_up`](Timers::clear_up).
    pub fn has_too_many_stale(&self) -> bool {
        self.stale > STALE_MIN.max(self.queue.len() / 2)
    }

    /// Drops the entries that are not live. Of equal ones, one is left.
    pub fn clear_up(&mut self, is_live: impl Fn(Key, Tick) -> bool) {
        let mut entries = std::mem::take(&mut self.queue).into_vec();
        entries.retain(|Reverse((moment, key))| is_live(*key, *moment));
        entries.sort_unstable();
        entries.dedup();
        self.queue = entries.into();
        self.stale = 0;
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
        assert_eq!(timers.pop_due(at(20)), Some((at(10), b)));
        assert_eq!(timers.pop_due(at(20)), Some((at(20), a)));
        assert_eq!(timers.pop_due(at(99)), None);
    }

    #[test]
    fn a_later_wish_leaves_the_armed_deadline_alone_and_an_earlier_one_moves_it() {
        let mut timers = Timers::default();
        let key = Key::new(1, 1);
        let armed = timers.arm(key, None, Some(at(50)));
        let armed = timers.arm(key, armed, Some(at(90)));
        assert_eq!((armed, timers.queue.len()), (Some(at(50)), 1));
        let armed = timers.arm(key, armed, Some(at(10)));
        assert_eq!((armed, timers.queue.len(), timers.stale), (Some(at(10)), 2, 1));
        assert_eq!(timers.arm(key, armed, None), Some(at(10)));
    }

    #[test]
    fn a_deadline_that_is_armed_again_and_again_is_there_once() {
        let (mut timers, key) = (Timers::default(), Key::new(1, 1));
        for _ in 0..10_000 {
            let armed = timers.arm(key, None, Some(at(50)));
            timers.disarm(armed);
            if timers.has_too_many_stale() {
                timers.clear_up(|_, moment| moment == at(50));
            }
        }
        assert!(timers.queue.len() <= 2 * STALE_MIN, "{} entries for one deadline", timers.queue.len());
    }

    #[test]
    fn a_queue_is_cleared_up_when_more_than_half_of_it_is_stale_and_more_than_a_few() {
        for (length, few, many) in [(100, STALE_MIN, STALE_MIN + 1), (400, 200, 201), (400, 200, 300)] {
            let mut timers = Timers::default();
            let keys = (0..length).map(|index| Key::new(index, 1));
            let armed: Vec<_> = keys.map(|key| timers.arm(key, None, Some(at(50)))).collect();
            armed[..few].iter().for_each(|armed| timers.disarm(*armed));
            assert!(!timers.has_too_many_stale(), "{few} of {length}");
            armed[few..many].iter().for_each(|armed| timers.disarm(*armed));
            assert!(timers.has_too_many_stale(), "{many} of {length}");
        }
    }

    #[test]
    fn stale_entries_never_outnumber_the_live_ones_for_long() {
        let mut timers = Timers::default();
        let live: Vec<Key> = (0..1_000).map(|index| Key::new(index, 1)).collect();
        for key in &live {
            timers.arm(*key, None, Some(at(500)));
        }
        let mut longest = 0;
        for generation in 2..10_000 {
            let armed = timers.arm(Key::new(1_000, generation), None, Some(at(600)));
            timers.disarm(armed);
            if timers.has_too_many_stale() {
                timers.clear_up(|key, moment| live.contains(&key) && moment == at(500));
            }
            longest = longest.max(timers.queue.len());
        }
        assert!(longest <= 2 * live.len() + 2, "{longest} entries for {} deadlines", live.len());
        timers.clear_up(|key, _| live.contains(&key));
        assert_eq!(timers.queue.len(), live.len());
    }
}
