//! What the client still waits for after its last message: first that it leaves, then for the replies.

use std::time::Duration;

use crate::apps::client::delivery::DeliveryState;
use crate::os::clock::Tick;

/// How often the client looks whether what it owes has left: no event tells it.
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
    replies: Duration,
    /// Until when replies are waited for, once everything has left.
    until: Option<Tick>,
}

/// What a look at the wait found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waiting {
    /// Something has not left: look again at this moment.
    Leaving(Tick),
    /// Everything has left, and replies are waited for until then.
    Replies(Tick),
    /// The server takes nothing of what it is owed.
    Stuck,
    /// The time for replies is up.
    Over,
}

impl LastWait {
    /// Waits for replies for this long, once everything has left.
    pub fn new(replies: Duration) -> LastWait {
        LastWait { replies, until: None }
    }

    /// The last message did not leave: the wait starts again.
    pub fn restart(&mut self) {
        self.until = None;
    }

    /// Looks at the wait. The first look never ends it, because the last bytes were only just handed over.
    pub fn look(&mut self, now: Tick, delivery: DeliveryState) -> Waiting {
        match (delivery, self.until) {
            (DeliveryState::Stuck, _) => Waiting::Stuck,
            (DeliveryState::Owed(moment), _) => {
                self.until = None;
                Waiting::Leaving(now.after(LOOK_EVERY).min(moment))
            }
            (DeliveryState::Left, Some(until)) if until <= now => Waiting::Over,
            (DeliveryState::Left, until) => {
                let until = until.unwrap_or(now.after(self.replies));
                self.until = Some(until);
                Waiting::Replies(until)
            }
        }
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
        assert_eq!(wait.look(at(0), DeliveryState::Owed(at(500))), Waiting::Leaving(at(20)));
        assert_eq!(wait.look(at(495), DeliveryState::Owed(at(500))), Waiting::Leaving(at(500)));
        assert_eq!(wait.look(at(1000), DeliveryState::Left), Waiting::Replies(at(1500)));
        assert_eq!(wait.look(at(1499), DeliveryState::Left), Waiting::Replies(at(1500)));
        assert_eq!(wait.look(at(1500), DeliveryState::Left), Waiting::Over);
        assert_eq!(wait.look(at(1500), DeliveryState::Stuck), Waiting::Stuck);
    }

    #[test]
    fn without_a_wait_what_was_handed_over_still_has_a_turn_to_leave() {
        let mut wait = LastWait::new(Duration::ZERO);
        assert_eq!(wait.look(at(3), DeliveryState::Left), Waiting::Replies(at(3)));
        assert_eq!(wait.look(at(3), DeliveryState::Left), Waiting::Over);
        wait.restart();
        assert_eq!(wait.look(at(4), DeliveryState::Left), Waiting::Replies(at(4)));
    }
}
