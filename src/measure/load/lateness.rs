//! Lateness: which sends left too late through this program's own fault.

use crate::measure::load::outcome::LATE;
use crate::measure::load::stopwatch::Moment;

/// Tells late sends from those that waited for the server.
///
/// A message that finds no room waits for the server, and that is the server's latency. One that had room all the time
/// and left late waited for this program, which was stalled in the meantime; so was everything else that became due in
/// that stall, even where it got the room of a message that had waited before it.
#[derive(Debug, Default)]
pub(crate) struct Lateness {
    stalled_from: Moment,
    stalled_until: Moment,
}

impl Lateness {
    /// Whether a message that was `due` is late when it leaves at `now` from a place that was free since `free_since`.
    pub(crate) fn is_late(&mut self, due: Moment, free_since: Moment, now: Moment) -> bool {
        let possible = due.max(free_since);
        if now.since(possible) > LATE {
            if possible > self.stalled_until {
                self.stalled_from = possible;
            }
            self.stalled_from = self.stalled_from.min(possible);
            self.stalled_until = self.stalled_until.max(now);
            return true;
        }
        (self.stalled_from..self.stalled_until).contains(&due) && now.since(due) > LATE
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn ms(millis: u64) -> Moment {
        Moment::default().after(Duration::from_millis(millis))
    }

    #[test]
    fn waiting_for_room_is_not_this_programs_fault() {
        let mut lateness = Lateness::default();
        assert!(!lateness.is_late(ms(10), ms(500), ms(500)), "the room came late");
        assert!(!lateness.is_late(ms(10), ms(5), ms(11)), "a millisecond is allowed");
        assert!(lateness.is_late(ms(10), ms(5), ms(12)));
    }

    #[test]
    fn everything_that_became_due_in_a_stall_is_late() {
        let mut lateness = Lateness::default();
        assert!(lateness.is_late(ms(100), ms(50), ms(300)), "it had room since 50 ms");
        // The reply frees the place at once, and the next messages in the queue were due in the stall too.
        assert!(lateness.is_late(ms(101), ms(300), ms(300)));
        assert!(lateness.is_late(ms(250), ms(301), ms(301)));
        assert!(!lateness.is_late(ms(299), ms(300), ms(300)), "a millisecond is allowed here too");
        assert!(!lateness.is_late(ms(301), ms(301), ms(301)));
        assert!(!lateness.is_late(ms(310), ms(320), ms(320)), "it became due after the stall");
        assert!(!lateness.is_late(ms(90), ms(320), ms(320)), "it became due before the stall, and had no room");
    }
    #[test]
    fn a_stall_that_begins_where_another_ends_is_the_same_one() {
        let mut lateness = Lateness::default();
        assert!(lateness.is_late(ms(100), ms(100), ms(300)));
        assert!(lateness.is_late(ms(300), ms(300), ms(400)));
        assert!(lateness.is_late(ms(200), ms(400), ms(400)));
    }
}
