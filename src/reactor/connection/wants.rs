//! What a connection wants, and how long it has patience.

use crate::os::clock::Tick;
use crate::os::stream::Stream;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::connection::state::{Flags, Origin, Phase};
use crate::reactor::limits::Limits;
use crate::reactor::shared::Shared;

impl<T: Stream, S> Connection<T, S> {
    /// Whether it is open and nothing else: no flag is up, no byte kept or owed, no call to the handler due. Most
    /// connections are, most of the time; then it wants to read, and that is all there is to decide.
    #[inline]
    pub(super) fn is_calm(&self) -> bool {
        matches!(self.phase, Phase::Open) && self.flags.is_empty() && self.held.is_empty()
    }

    /// Whether it is calm and the kernel owes it an edge: then nothing is left to do or to decide. Its deadline has at
    /// most moved away since it was armed, and is looked at when it fires.
    #[inline]
    pub fn is_at_rest(&self) -> bool {
        self.is_calm() && !self.latch.readable() && !self.latch.is_retrying()
    }

    /// Whether what is sent answers what is read, so that reading on would make more of it.
    ///
    /// A client's requests are not made by reading replies: if it stopped reading while the server is slow to take
    /// them, a server that keeps the same rule would wait for it, and both for ever.
    pub(super) fn owes_answers(&self) -> bool {
        !matches!(self.origin, Origin::Connected) && self.phase.is_open()
    }

    /// Whether so much is owed that the peer has to take some of it before it is read again.
    pub(super) fn is_held_up(&self, owed: usize, limits: &Limits) -> bool {
        owed >= limits.write_limit && self.owes_answers()
    }

    /// Whether its phase lets it read: an open connection reads while it owes less than the write limit.
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

    /// Whether it reads now, if its latch is set. **Back-pressure is this expression.**
    ///
    /// A calm connection owes nothing, so its first read in a turn is not asked; the answers to one read may be owed
    /// beyond the limit.
    pub(super) fn may_read(&self, owed: usize, shared: &Shared) -> bool {
        self.wants_read(owed, &shared.limits) && !self.waits_for_room(owed, shared)
    }

    /// Whether the handler is offered again what it would not take.
    pub(super) fn may_offer(&self, owed: usize, limits: &Limits) -> bool {
        self.phase.offers()
            && self.flags.intersection(Flags::HELD_BACK | Flags::PAUSED) == Flags::HELD_BACK
            && !self.is_held_up(owed, limits)
    }

    pub(super) fn wants_write(&self) -> bool {
        let is_owing = !self.phase.is_broken() && !matches!(self.phase, Phase::Over(_)) && self.owed() > 0;
        !self.latch.is_retrying() && (matches!(self.phase, Phase::Connecting) || is_owing)
    }

    /// Once the part of the room that is for them is full, those who owe stop reading until there is some again.
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

    /// The moment at which its patience ends, and what its end is called then.
    pub(super) fn time_limit(&self, limits: &Limits) -> Option<(Tick, CloseReason)> {
        if matches!(self.origin, Origin::Attached) {
            return None;
        }
        if let Origin::Refused(reason) = self.origin {
            return Some((self.progress.after(limits.refusal_timeout), self.phase.reason().unwrap_or(reason)));
        }
        match self.phase {
            Phase::Connecting => Some((self.progress.after(limits.connect_timeout), CloseReason::ConnectTimeout)),
            // A broken stream never rests: it is read to its end, and then it is over.
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

    /// When it must be looked at again even if no event comes.
    pub fn deadline(&self, limits: &Limits) -> Option<Tick> {
        let limit = self.time_limit(limits).map(|(moment, _)| moment);
        match (limit, self.held.wake_at()) {
            (Some(limit), Some(wake)) => Some(limit.min(wake)),
            (limit, wake) => limit.or(wake),
        }
    }
}
