//! How a connection ends: by the peer, the handler, an error or a time-out, until the reactor closes it.

use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::os::readiness::Readiness;
use crate::os::stream::Stream;
use crate::reactor::census::Census;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::connection::offer::Call;
use crate::reactor::connection::state::{Flags, Origin, Phase};
use crate::reactor::drive::Drive;
use crate::reactor::handler::Handler;
use crate::reactor::metrics::Row;
use crate::reactor::room::Share;
use crate::reactor::shared::Shared;
use crate::reactor::step::Step;

impl<T: Stream, S> Connection<T, S> {
    /// The peer's side has ended: the handler is given what it has not taken.
    #[cold]
    pub(super) fn end_of_input<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        drive.shared.tell(drive.key, Step::EndOfStream);
        self.flags.insert(Flags::READ_ENDED);
        if !self.phase.is_open() {
            return;
        }
        self.progress = drive.shared.now;
        let rest = self.held.take_inbox();
        self.call_without_rest(Call::EndOfStream, rest.pending(), drive);
    }

    /// Whether both sides have ended and the stream has failed since: no read or write is left that would tell.
    pub(super) fn has_failed_in_silence(&mut self) -> bool {
        if !self.flags.contains(Flags::FIN_SENT | Flags::READ_ENDED) {
            return false;
        }
        match self.stream.connect_progress() {
            Ok(_) => false,
            Err(error) => {
                self.set_over(CloseReason::of_error(&error));
                true
            }
        }
    }

    /// This side ends: what is owed is sent, then the FIN.
    #[cold]
    pub(super) fn start_flush(&mut self, reason: CloseReason, now: Tick) {
        self.phase = match self.phase {
            Phase::Fresh | Phase::Open => Phase::Flushing(reason),
            // A broken stream has its reason already.
            Phase::Broken(reason) => Phase::BrokenEnded(reason),
            _ => return,
        };
        self.progress = now;
        self.flags.remove(Flags::HELD_BACK);
        self.held.take_inbox();
    }

    /// Sends the FIN where this side ends and nothing is owed any more.
    pub(super) fn send_fin_when_flushed(&mut self, shared: &Shared) {
        if self.owed() > 0 {
            return;
        }
        if self.flags.contains(Flags::FIN_DUE) && matches!(self.phase, Phase::Open) {
            self.shut_write_side();
            self.flags.remove(Flags::FIN_DUE);
            self.flags.insert(Flags::FIN_SENT);
        }
        if let Phase::Flushing(reason) = self.phase
            && !self.flags.contains(Flags::READ_ENDED)
        {
            self.start_linger(reason, shared);
        }
    }

    fn start_linger(&mut self, reason: CloseReason, shared: &Shared) {
        self.shut_write_side();
        shared.tell(None, Step::Fin);
        self.phase = Phase::Lingering(reason);
        self.progress = shared.now;
    }

    fn shut_write_side(&mut self) {
        // If it fails, the peer has reset the connection (ENOTCONN), and the next read tells.
        let _ = self.stream.shutdown_write();
    }

    /// A drain ends this side once the latch is clear and the handler has taken all that it would.
    pub(super) fn settle_drain(&mut self, now: Tick) {
        match self.phase {
            Phase::Connecting => self.set_over(CloseReason::Drained),
            Phase::Open
                if self.flags.intersects(Flags::READ_ENDED | Flags::PAUSED)
                    || !(self.latch.readable() || self.flags.contains(Flags::HELD_BACK)) =>
            {
                self.start_flush(CloseReason::Drained, now);
            }
            _ => {}
        }
    }

    /// The connection is over, for this reason unless the stream was broken before.
    pub(super) fn set_over(&mut self, reason: CloseReason) {
        let broken_by = self.phase.reason().filter(|_| self.phase.is_broken());
        self.phase = Phase::Over(broken_by.unwrap_or(reason));
    }

    /// A write failed. The error is not told again by a read, so it becomes the reason. Bytes that came before a RST
    /// are still read.
    pub(super) fn set_broken(&mut self, reason: CloseReason) {
        self.phase = if self.phase.offers() { Phase::Broken(reason) } else { Phase::BrokenEnded(reason) };
        self.held.take_outbox();
        self.latch.set(Readiness::READ_CLOSED);
    }

    /// A time-out: the reason to close with, or none where the connection lingers first.
    ///
    /// The kernel may still hold written bytes, for a peer with a shut window or a slow one. To tell them apart, a FIN
    /// is sent, and after the linger time the kernel is asked again.
    #[cold]
    pub(super) fn time_out(&mut self, reason: CloseReason, shared: &Shared) -> Option<CloseReason> {
        if !matches!(self.origin, Origin::Accepted) || self.phase.is_broken() || self.flags.contains(Flags::READ_ENDED)
        {
            return Some(reason);
        }
        if self.owed() > 0 {
            if matches!(self.phase, Phase::Open) && !reason.drops_owed() {
                // The peer was late with a message and not with reading: what it is owed is delivered first.
                self.start_flush(reason, shared.now);
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
                if matches!(self.phase, Phase::Lingering(_)) {
                    self.progress = shared.now;
                } else {
                    let reason = self.phase.reason().unwrap_or(reason);
                    self.start_flush(reason, shared.now);
                    self.start_linger(reason, shared);
                }
                None
            }
        }
    }

    /// Whether closing for `reason` drops bytes that the peer had its time to take.
    pub fn should_abort(&self, reason: CloseReason) -> bool {
        let is_owed = self.owed() > 0 && reason.drops_owed();
        matches!(self.origin, Origin::Accepted | Origin::Refused(_)) && (is_owed || self.flags.contains(Flags::STUCK))
    }

    /// Closes the connection: its descriptor is free before a listener that waits for a slot is listed.
    pub(in crate::reactor) fn close<H: Handler<Session = S>>(
        mut self,
        key: Key,
        row: Row,
        reason: CloseReason,
        handler: &mut H,
        shared: &mut Shared,
        census: &mut Census,
    ) {
        if self.should_abort(reason) {
            // Nothing of what the kernel holds for the peer outlives the connection.
            self.stream.abort();
        }
        shared.room.exchange(self.share(), Share::Nothing);
        if self.origin != Origin::Attached {
            shared.tell(key, Step::Closed(self.peer(), reason));
            shared.metrics.row_mut(row).count_close(reason);
        }
        census.leave(self.origin, self.source());
        drop(self.stream);
        self.slot.close(self.origin == Origin::Connected, reason, handler, &mut shared.orders);
    }
}
