//! The decision: what should happen next with a connection that has been driven.

use crate::os::clock::Tick;
use crate::os::stream::Stream;
use crate::reactor::acceptor::RETRY;
use crate::reactor::connection::Connection;
use crate::reactor::connection::state::{Flags, Phase};
use crate::reactor::next::{Condition, Next};
use crate::reactor::shared::Shared;

impl<T: Stream, S> Connection<T, S> {
    /// Decides what should happen next, and accounts for the bytes that the connection holds.
    #[cold]
    pub fn settle(&mut self, shared: &mut Shared) -> Next {
        if matches!(self.phase, Phase::Fresh) {
            self.phase = Phase::Open;
        }
        if self.flags.contains(Flags::DRAINING) {
            self.settle_drain(shared.now);
        }
        self.account(shared);
        let waits = self.note_waiting(shared);
        let read_ended = self.flags.contains(Flags::READ_ENDED);
        self.send_fin_when_flushed(shared);
        match self.phase {
            Phase::Over(reason) => return Next::Done(reason),
            Phase::Broken(reason) | Phase::BrokenEnded(reason) if read_ended || !self.latch.readable() => {
                return Next::Done(reason);
            }
            // Nothing unread is left, so closing sends the FIN.
            Phase::Flushing(reason) if read_ended && self.owed() == 0 => return Next::Done(reason),
            Phase::Lingering(reason) if read_ended => return Next::Done(reason),
            _ => {}
        }
        let expiring = self.flags.contains(Flags::EXPIRING);
        self.flags.remove(Flags::EXPIRING);
        // A call that lacked memory says nothing about the peer, which is judged at the retry.
        if expiring
            && !self.latch.is_retrying()
            && let Some((moment, reason)) = self.time_limit(&shared.limits)
            && moment <= shared.now
        {
            if let Some(reason) = self.time_out(reason, shared) {
                return Next::Done(reason);
            }
            self.account(shared);
        }
        if cfg!(debug_assertions) {
            self.check(shared);
        }
        if self.latch.is_retrying() {
            Next::RetryAt(shared.now.after(RETRY))
        } else if self.is_runnable(shared) {
            Next::More
        } else if waits {
            Next::Wait(Condition::QueueRoom)
        } else {
            Next::Idle
        }
    }

    /// Tells the room of all connections what this one holds.
    pub(super) fn account(&mut self, shared: &mut Shared) {
        self.held.account(self.can_be_closed_for_room(), &mut shared.room);
    }

    /// Whether the connection waits for room. After a wait the peer has its whole time again to finish a message.
    fn note_waiting(&mut self, shared: &Shared) -> bool {
        let waits = self.waits_for_room(self.owed(), shared);
        if self.flags.contains(Flags::AWAITING_ROOM) && !waits {
            self.held.restart_incomplete(shared.now);
        }
        self.flags.set(Flags::AWAITING_ROOM, waits);
        waits
    }

    /// The invariant: off the ready list, the connection has a cleared latch for every direction that it wants, or a
    /// retry is due; and its deadline is armed, as `armed`, or something sooner.
    pub fn keeps_the_invariant(&self, armed: Option<Tick>, shared: &Shared) -> bool {
        let deadline = self.deadline(&shared.limits);
        let rests = if self.latch.is_retrying() { armed.is_some() } else { !self.is_runnable(shared) };
        rests && deadline.is_none_or(|moment| armed.is_some_and(|armed| armed <= moment))
    }
}
