//! The decision: what should happen next with a connection that has been driven.

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::net::acceptor::RETRY;
use crate::net::connection::Connection;
use crate::net::connection::flags::Flags;
use crate::net::connection::phase::Phase;
use crate::net::next::{Condition, Next};
use crate::net::shared::Shared;
use crate::net::stream::Stream;

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
        }
        if self.phase == Phase::Flushing && self.owed() == 0 && !broken && !read_ended {
            // The peer may have gone already (ENOTCONN): then the next read tells.
            let _ = self.stream.shutdown_write();
            log::trace!("the last byte has left: now FIN, and what still comes is dropped");
            self.phase = Phase::Lingering;
            self.progress = shared.now;
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
            return Next::Done(reason);
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
