//! What the client still waits for after its last message: first that it leaves, then for the replies.

use std::time::Duration;

use crate::clock::Tick;

/// How often the client looks whether what it owes has left. No event tells it: the kernel's edges are the connection's.
pub const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The wait after the last message.
///
/// ```text
///   last message queued --> nothing is owed --> the time for replies is up
///                       |
///                       +-- nothing moves for as long: stuck
/// ```
#[derive(Debug)]
pub struct LastWait {
    wait: Duration,
    stage: Option<Stage>,
}

#[derive(Clone, Copy, Debug)]
enum Stage {
    /// So many bytes are owed; `since` then it has not become less.
    Leaving { owed: usize, since: Tick },
    /// Everything has left; replies are waited for `until` then.
    Replies { until: Tick },
}

/// What a look at the wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Look again then.
    Until(Tick),
    /// The server takes nothing of what it is owed.
    Stuck,
    /// The time for replies is up.
    Over,
}

impl LastWait {
    /// Each of its two parts takes at most `wait`; what is owed may take longer as long as it becomes less.
    pub fn new(wait: Duration) -> LastWait {
        LastWait { wait, stage: None }
    }

    /// The last message did not leave after all.
    pub fn restart(&mut self) {
        self.stage = None;
    }

    /// Looks at it. The first look never ends it: what is owed then was only just handed over.
    pub fn look(&mut self, now: Tick, owed: usize) -> Waiting {
        let stage = match self.stage {
            Some(Stage::Replies { until }) if until <= now => return Waiting::Over,
            Some(stage @ Stage::Replies { .. }) => stage,
            _ if owed == 0 => Stage::Replies { until: now.after(self.wait) },
            Some(Stage::Leaving { owed: before, since }) if owed >= before => {
                if now.since(since) >= self.wait {
                    return Waiting::Stuck;
                }
                Stage::Leaving { owed: before, since }
            }
            _ => Stage::Leaving { owed, since: now },
        };
        self.stage = Some(stage);
        Waiting::Until(match stage {
            Stage::Leaving { since, .. } => now.after(LOOK_EVERY).min(since.after(self.wait)),
            Stage::Replies { until } => until,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Tick {
        Tick::at(Duration::from_millis(millis))
    }

    #[test]
    fn the_time_for_replies_begins_when_everything_has_left() {
        let mut wait = LastWait::new(Duration::from_millis(500));
        assert_eq!(wait.look(at(0), 100), Waiting::Until(at(20)));
        assert_eq!(wait.look(at(490), 50), Waiting::Until(at(510)));
        assert_eq!(wait.look(at(980), 1), Waiting::Until(at(1000)));
        assert_eq!(wait.look(at(1000), 0), Waiting::Until(at(1500)));
        assert_eq!(wait.look(at(1499), 0), Waiting::Until(at(1500)));
        assert_eq!(wait.look(at(1500), 0), Waiting::Over);
    }

    #[test]
    fn a_server_that_takes_nothing_is_not_waited_for_longer() {
        let mut wait = LastWait::new(Duration::from_millis(500));
        assert_eq!(wait.look(at(0), 100), Waiting::Until(at(20)));
        assert_eq!(wait.look(at(490), 100), Waiting::Until(at(500)));
        assert_eq!(wait.look(at(500), 100), Waiting::Stuck);
    }

    #[test]
    fn without_a_wait_what_was_handed_over_still_has_a_turn_to_leave() {
        let mut wait = LastWait::new(Duration::ZERO);
        assert_eq!(wait.look(at(3), 5), Waiting::Until(at(3)));
        assert_eq!(wait.look(at(3), 0), Waiting::Until(at(3)));
        assert_eq!(wait.look(at(3), 0), Waiting::Over);
        wait.restart();
        assert_eq!(wait.look(at(4), 0), Waiting::Until(at(4)));
    }
}
