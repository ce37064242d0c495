//! The decision: what a connection wants, when its time is up, and what should happen next with it.

use crate::os::clock::Tick;
use crate::os::stream::Stream;
use crate::reactor::acceptor::RETRY;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::connection::state::{Flags, Origin, Phase};
use crate::reactor::limits::Limits;
use crate::reactor::next::{Condition, Next};
use crate::reactor::shared::Shared;

impl<T: Stream, S> Connection<T, S> {
    /// Whether the connection is open and nothing else: no flag is up, no byte kept or owed, no call to the handler
    /// due. Most connections are calm most of the time: they want to read, and nothing has to be decided.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.flags.is_empty() && self.held.is_empty()
    }

    /// Whether the connection is calm and the kernel owes it an edge: nothing is left to do or to decide. Its deadline
    /// can only have moved later; it is checked again when it fires.
    #[inline]
    pub(crate) fn is_at_rest(&self) -> bool {
        self.is_calm() && !self.latch.readable() && !self.latch.is_retrying()
    }

    /// Whether what is sent answers what is read, so that reading on would make more of it. It does where the handler
    /// did not say otherwise ([`Context::full_duplex`](crate::reactor::handler::Context::full_duplex)).
    ///
    /// A client's requests are not made by reading replies. If it stopped reading while the server is slow to take
    /// them, a server with the same rule would wait too, and neither would go on.
    pub(super) fn owes_answers(&self) -> bool {
        !matches!(self.origin, Origin::Connected) && self.phase.is_open() && !self.flags.contains(Flags::FULL_DUPLEX)
    }

    /// Whether so much is owed that the peer has to take some before the connection is read again.
    pub(super) fn is_held_up(&self, owed: usize, limits: &Limits) -> bool {
        owed >= limits.write_limit && self.owes_answers()
    }

    /// Whether the phase lets the connection read: an open one reads while it owes less than the write limit.
    pub(super) fn wants_read(&self, owed: usize, limits: &Limits) -> bool {
        if self.flags.contains(Flags::READ_ENDED) || self.latch.is_retrying() {
            return false;
        }
        match self.phase {
            Phase::Connecting | Phase::Over(_) => false,
            Phase::Fresh | Phase::Open => {
                !self.flags.intersects(Flags::PAUSED | Flags::HELD_BACK) && !self.is_held_up(owed, limits)
            }
            _ => true,
        }
    }

    /// Whether the connection reads now, if its latch is set. **Back-pressure is this expression.**
    ///
    /// The first read of a calm connection needs no check, because nothing is owed. The limit is asked between reads,
    /// and one read can bring answers that exceed it. How much a read takes is
    /// [`read_allowance`](Connection::read_allowance)'s.
    pub(super) fn may_read(&self, owed: usize, shared: &Shared) -> bool {
        self.wants_read(owed, &shared.limits) && !self.waits_for_room(owed, shared)
    }

    /// Whether the handler is offered again what it did not take.
    pub(super) fn may_offer(&self, owed: usize, limits: &Limits) -> bool {
        self.phase.offers()
            && self.flags.intersection(Flags::HELD_BACK | Flags::PAUSED) == Flags::HELD_BACK
            && !self.is_held_up(owed, limits)
    }

    pub(super) fn wants_write(&self) -> bool {
        let is_owing = !self.phase.is_broken() && !matches!(self.phase, Phase::Over(_)) && self.owed() > 0;
        !self.latch.is_retrying() && (matches!(self.phase, Phase::Connecting) || is_owing)
    }

    /// Whether the connection owes bytes while the room for owed bytes is full: then it is not read.
    pub(super) fn waits_for_room(&self, owed: usize, shared: &Shared) -> bool {
        owed > 0 && self.owes_answers() && shared.room.owes_too_much()
    }

    /// Whether there is something to do without another event.
    pub(super) fn is_runnable(&self, shared: &Shared) -> bool {
        let owed = self.owed();
        let open = self.phase.offers();
        let relieved = open && self.flags.contains(Flags::FULL) && owed < shared.limits.write_limit;
        let offers = self.may_offer(owed, &shared.limits);
        let reads = self.may_read(owed, shared) && self.latch.readable();
        let opens = matches!(self.phase, Phase::Fresh);
        let writes = self.wants_write() && self.latch.writable();
        let ticks = open && self.flags.contains(Flags::TICKING);
        opens || reads || writes || ticks || relieved || offers
    }

    /// The current phase's time-out, and the reason to close with.
    pub(super) fn time_limit(&self, limits: &Limits) -> Option<(Tick, CloseReason)> {
        if matches!(self.origin, Origin::Attached) {
            return None;
        }
        if let Origin::Refused(reason) = self.origin {
            return Some((self.progress.after(limits.refusal_timeout), self.phase.reason().unwrap_or(reason)));
        }
        match self.phase {
            Phase::Connecting => Some((self.progress.after(limits.connect_timeout), CloseReason::ConnectTimeout)),
            // A broken stream never rests: it is read to its end and closed.
            Phase::Broken(_) | Phase::BrokenEnded(_) | Phase::Over(_) => None,
            Phase::Open if self.flags.contains(Flags::READ_ENDED) => {
                Some((self.progress.after(limits.half_closed_timeout), CloseReason::HalfClosedTimeout))
            }
            Phase::Fresh | Phase::Open => {
                let idle = limits.idle_timeout?;
                let silent = (self.progress.after(idle), CloseReason::IdleTimeout);
                // While the peer is not read, it cannot finish its message.
                let reads = !self.flags.intersects(Flags::HELD_BACK | Flags::AWAITING_ROOM)
                    && !self.is_held_up(self.owed(), limits);
                let incomplete = self.held.incomplete_since().filter(|_| reads);
                match incomplete.map(|since| since.after(idle)) {
                    Some(moment) if moment < silent.0 => Some((moment, CloseReason::IncompleteTimeout)),
                    _ => Some(silent),
                }
            }
            Phase::Flushing(_) => {
                Some((self.progress.after(limits.half_closed_timeout), CloseReason::HalfClosedTimeout))
            }
            Phase::Lingering(reason) => Some((self.progress.after(limits.linger_timeout), reason)),
        }
    }

    /// When the connection must be driven or checked even if no event comes.
    pub fn deadline(&self, limits: &Limits) -> Option<Tick> {
        let limit = self.time_limit(limits).map(|(moment, _)| moment);
        match (limit, self.held.wake_at()) {
            (Some(limit), Some(wake)) => Some(limit.min(wake)),
            (limit, wake) => limit.or(wake),
        }
    }

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
