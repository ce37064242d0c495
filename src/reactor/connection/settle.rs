//! The decision: what should happen next with a connection that has been driven.

use crate::os::clock::Tick;
use crate::os::stream::Stream;
use crate::reactor::acceptor::RETRY;
use crate::reactor::close_reason::{CloseReason, Parting};
use crate::reactor::connection::Connection;
use crate::reactor::connection::flags::Flags;
use crate::reactor::connection::phase::{Origin, Phase};
use crate::reactor::next::{Condition, Next};
use crate::reactor::shared::Shared;

impl<T: Stream, S> Connection<T, S> {
    /// Decides what should happen next, and accounts for the bytes that it holds.
    #[cold]
    pub fn settle(&mut self, shared: &mut Shared) -> Next {
        if self.phase != Phase::Connecting {
            self.flags.remove(Flags::NEW);
        }
        if self.flags.contains(Flags::DRAINING) {
            self.settle_drain(shared.now);
        }
        self.account(shared);
        let waits = self.note_waiting(shared);
        let read_ended = self.flags.contains(Flags::READ_ENDED);
        let broken = self.flags.contains(Flags::BROKEN);
        if self.flags.contains(Flags::OVER) || (broken && (read_ended || !self.latch.readable())) {
            return Next::Done(self.end());
        }
        if self.flags.contains(Flags::HALF_CLOSING) && self.phase == Phase::Open && self.owed() == 0 {
            // The peer may have gone already (ENOTCONN): then the next read tells.
            let _ = self.stream.shutdown_write();
            self.flags.remove(Flags::HALF_CLOSING);
            self.flags.insert(Flags::HALF_CLOSED);
        }
        if self.phase == Phase::Flushing && self.owed() == 0 && !broken && !read_ended {
            self.begin_to_linger(shared.now);
        }
        let flushed = self.phase == Phase::Lingering || (self.phase == Phase::Flushing && self.owed() == 0);
        if flushed && read_ended {
            // Nothing unread is left, so closing sends the FIN, where none was sent yet.
            return Next::Done(self.end());
        }
        let expiring = self.flags.contains(Flags::EXPIRING);
        self.flags.remove(Flags::EXPIRING);
        // A call that the kernel had no memory for says nothing about the peer: it is judged at the retry.
        if expiring
            && !self.flags.contains(Flags::RETRYING)
            && let Some((moment, reason)) = self.time_limit(&shared.limits)
            && moment <= shared.now
        {
            if let Some(reason) = self.run_out(reason, shared.now) {
                return Next::Done(reason);
            }
            self.account(shared);
        }
        if self.flags.contains(Flags::RETRYING) {
            Next::RetryAt(shared.now.after(RETRY))
        } else if self.is_runnable(shared) {
            Next::More
        } else if waits {
            Next::Wait(Condition::QueueRoom)
        } else {
            Next::Idle
        }
    }

    fn begin_to_linger(&mut self, now: Tick) {
        // The peer may have gone already (ENOTCONN): then the next read tells.
        let _ = self.stream.shutdown_write();
        log::trace!("the last byte has left: now FIN, and what still comes is dropped");
        self.phase = Phase::Lingering;
        self.progress = now;
    }

    /// Its time is up: why it is over, or none where the peer has a last while.
    ///
    /// What was written may still lie in the kernel, for a peer with a shut window or for one that is only slow. That shows when nobody has
    /// added to it for a while: so a FIN goes, and after the time of lingering it is asked once more.
    #[cold]
    fn run_out(&mut self, reason: CloseReason, now: Tick) -> Option<CloseReason> {
        if self.origin != Origin::Accepted || self.flags.intersects(Flags::BROKEN | Flags::READ_ENDED) {
            return Some(reason);
        }
        if self.owed() > 0 {
            if self.phase == Phase::Open && reason.parting() == Parting::Polite {
                // It was late with a message and not with reading: what it is owed for others is delivered first.
                self.end_this_side(reason, now);
                return None;
            }
            return Some(reason);
        }
        let held = self.stream.held_by_kernel();
        match self.held.last_seen() {
            _ if held == 0 => Some(reason),
            Some(before) => {
                self.flags.set(Flags::STUCK, held >= before);
                Some(reason)
            }
            None => {
                self.held.set_last_seen(held);
                if self.phase == Phase::Lingering {
                    self.progress = now;
                } else {
                    self.end_this_side(reason, now);
                    self.begin_to_linger(now);
                }
                None
            }
        }
    }

    /// Whether a peer that loses its connection for `reason` has not taken something, and has had its time for that.
    pub fn is_given_up(&self, reason: CloseReason) -> bool {
        let is_owed = self.owed() > 0 && reason.parting() == Parting::AtOnce;
        matches!(self.origin, Origin::Accepted | Origin::Refused) && (is_owed || self.flags.contains(Flags::STUCK))
    }

    /// Gives the peer up: nothing of what the kernel holds for it outlives the connection.
    #[cold]
    pub fn abandon(&mut self) {
        self.stream.abandon();
    }

    /// Tells the room of all connections what this one holds.
    pub(super) fn account(&mut self, shared: &mut Shared) {
        self.held.account(self.can_be_closed_for_room(), &mut shared.room);
    }

    /// Whether it waits for room. After a wait its peer has its time again to finish a message.
    fn note_waiting(&mut self, shared: &Shared) -> bool {
        let waits = self.waits_for_room(self.owed(), shared);
        if self.flags.contains(Flags::AWAITING_ROOM) && !waits {
            self.held.restart_incomplete(shared.now);
        }
        self.flags.set(Flags::AWAITING_ROOM, waits);
        waits
    }

    /// A drain ends this side as soon as a read has answered `WouldBlock` and the handler has taken all that it would.
    fn settle_drain(&mut self, now: Tick) {
        match self.phase {
            Phase::Connecting => self.give_up(CloseReason::Drained),
            Phase::Open
                if self.flags.intersects(Flags::READ_ENDED | Flags::PAUSED)
                    || !(self.latch.readable() || self.flags.contains(Flags::HELD_BACK)) =>
            {
                self.end_this_side(CloseReason::Drained, now);
            }
            _ => {}
        }
    }

    /// What its end is called.
    pub(super) fn end(&self) -> CloseReason {
        self.reason.unwrap_or(CloseReason::Ended)
    }

    /// The invariant: a source that is off the ready list has a cleared latch for every direction that it wants, or a retry is due.
    pub fn keeps_the_invariant(&self, shared: &Shared) -> bool {
        self.flags.contains(Flags::RETRYING) || !self.is_runnable(shared)
    }
}
