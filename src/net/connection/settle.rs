//! The decision: what should happen next with a connection that has been driven.

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::net::connection::Connection;
use crate::net::connection::phase::Phase;
use crate::net::next::{Condition, Next};
use crate::net::shared::Shared;
use crate::net::stream::Stream;

impl<T: Stream, S> Connection<T, S> {
    /// Decides what should happen next.
    pub fn settle(&mut self, shared: &Shared) -> Next {
        if self.draining {
            self.settle_drain(shared.now);
        }
        if let Some(reason) = self.over {
            return Next::Done(reason);
        }
        if let Some(reason) = self.broken
            && (self.read_ended || !self.latch.readable())
        {
            return Next::Done(reason);
        }
        if self.half_closing && self.phase == Phase::Open && self.owed() == 0 {
            // The peer may have gone already (ENOTCONN): then the next read tells.
            let _ = self.stream.shutdown_write();
            self.half_closing = false;
        }
        if self.phase == Phase::Flushing && self.owed() == 0 && self.broken.is_none() && !self.read_ended {
            // The peer may have gone already (ENOTCONN): then the next read tells.
            let _ = self.stream.shutdown_write();
            log::trace!("the last byte has left: now FIN, and what still comes is dropped");
            self.phase = Phase::Lingering;
            self.progress = shared.now;
        }
        let flushed = self.phase == Phase::Lingering || (self.phase == Phase::Flushing && self.owed() == 0);
        if flushed && self.read_ended {
            // Nothing unread is left, so closing sends the FIN, where none was sent yet.
            return Next::Done(self.reason.unwrap_or(CloseReason::Ended));
        }
        if std::mem::take(&mut self.expiring)
            && let Some((moment, reason)) = self.time_limit(&shared.limits)
            && moment <= shared.now
        {
            return Next::Done(reason);
        }
        if self.is_runnable(shared) {
            Next::More
        } else if self.waits_for_room(self.owed(), shared) {
            Next::Wait(Condition::QueueRoom)
        } else {
            Next::Idle
        }
    }

    /// A drain ends this side as soon as a read has answered `WouldBlock` and the handler has taken all that it would.
    fn settle_drain(&mut self, now: Tick) {
        match self.phase {
            Phase::Connecting => self.over = Some(CloseReason::Drained),
            Phase::Open if self.read_ended || self.paused || !(self.latch.readable() || self.held_back) => {
                self.end_this_side(CloseReason::Drained, now);
            }
            _ => {}
        }
    }

    /// The invariant: a source that is off the ready list has a cleared latch for every direction that it wants.
    pub fn keeps_the_invariant(&self, shared: &Shared) -> bool {
        !self.is_runnable(shared)
    }
}
