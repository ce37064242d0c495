//! Calling the handler: opening its session, offering it bytes, and granting what it wishes.

use std::ops::Range;

use crate::os::address::Peer;
use crate::os::clock::Tick;
use crate::os::stream::Stream;
use crate::reactor::buffer::Buffer;
use crate::reactor::connection::state::{Flags, Origin, Phase};
use crate::reactor::connection::{Connection, SessionSlot};
use crate::reactor::drive::{Drive, Offered};
use crate::reactor::handler::{Handler, Wishes};

/// Why the handler of a connection is called.
#[derive(Clone, Copy)]
pub(super) enum Call {
    Open,
    Receive,
    EndOfStream,
    Tick,
}

impl<T: Stream, S> Connection<T, S> {
    /// The calls that are due before anything is read: the first one, a tick, and what the handler did not take.
    pub(super) fn call_before_reading<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        if matches!(self.phase, Phase::Fresh) {
            self.call_without_rest(Call::Open, &[], drive);
        }
        if self.flags.contains(Flags::FULL) && self.owed() < drive.shared.limits.write_limit {
            self.flags.remove(Flags::FULL);
            self.flags.insert(Flags::TICKING);
            self.held.restart_incomplete(drive.shared.now);
        }
        if self.flags.contains(Flags::TICKING) {
            self.flags.remove(Flags::TICKING);
            // After the handler has ended its side, an answer would come behind the FIN (EPIPE).
            if self.phase.offers() && !self.has_failed_in_silence() {
                self.call_without_rest(Call::Tick, &[], drive);
            }
        }
        if self.may_offer(self.owed() + drive.outgoing.len(), &drive.shared.limits) {
            self.offer(0, drive);
        }
    }

    /// Offers the handler what it has not taken: the inbox, and behind it `fresh` bytes at the arena's free end.
    #[inline(always)]
    pub(super) fn offer<H: Handler<Session = S>>(&mut self, fresh: usize, drive: &mut Drive<'_, H>) {
        let start = drive.shared.arena.keep(fresh);
        let fresh = start..start + fresh;
        if self.held.kept() > 0 {
            return self.offer_joined(fresh, drive);
        }
        // Most often nothing was left before, and the arena is offered itself.
        let (taken, wishes) = self.call(Call::Receive, Offered::Arena(fresh.clone()), drive);
        if taken < fresh.len() {
            self.leave_fresh(fresh.start + taken..fresh.end, &wishes, drive);
        }
        self.offered(start, wishes, drive);
    }

    /// The handler has been offered the bytes from `start` on.
    #[inline(always)]
    fn offered<H>(&mut self, start: usize, wishes: Wishes, drive: &mut Drive<'_, H>) {
        // Nothing of these bytes is echoed: the next read may use their space.
        if drive.outgoing.echoed.end <= start {
            drive.shared.arena.release_from(start);
        }
        self.grant(wishes, drive.shared.now);
    }

    #[cold]
    fn leave_fresh<H>(&mut self, rest: Range<usize>, wishes: &Wishes, drive: &Drive<'_, H>) {
        let mut inbox = Buffer::default();
        inbox.push(&drive.shared.arena.bytes()[rest]);
        self.leave(inbox, drive.shared.now, wishes, drive);
    }

    /// Bytes that were left before come first, so fresh ones join them.
    #[cold]
    fn offer_joined<H: Handler<Session = S>>(&mut self, fresh: Range<usize>, drive: &mut Drive<'_, H>) {
        let start = fresh.start;
        let incomplete_since = self.held.incomplete_since();
        let mut inbox = self.held.take_inbox();
        inbox.push(&drive.shared.arena.bytes()[fresh]);
        let (taken, wishes) = self.call(Call::Receive, Offered::Kept(inbox.pending()), drive);
        inbox.consume(taken);
        // A message is incomplete since the one before it was whole, or since the peer could go on again.
        let restart = taken > 0 || self.flags.contains(Flags::HELD_BACK);
        let since = incomplete_since.filter(|_| !restart).unwrap_or(drive.shared.now);
        self.leave(inbox, since, &wishes, drive);
        self.offered(start, wishes, drive);
    }

    /// Keeps what the handler left, the first of it incomplete since then.
    fn leave<H>(&mut self, inbox: Buffer, since: Tick, wishes: &Wishes, drive: &Drive<'_, H>) {
        let is_held_back = !inbox.is_empty()
            && ((drive.outgoing.told_full && self.owes_answers()) || wishes.flags.contains(Flags::PAUSED));
        self.flags.set(Flags::HELD_BACK, is_held_back);
        self.held.keep_inbox(inbox, since);
    }

    /// Calls the handler with bytes of which nothing is kept, or with none.
    #[cold]
    pub(super) fn call_without_rest<H: Handler<Session = S>>(
        &mut self,
        call: Call,
        bytes: &[u8],
        drive: &mut Drive<'_, H>,
    ) {
        let (_, wishes) = self.call(call, Offered::Kept(bytes), drive);
        self.grant(wishes, drive.shared.now);
    }

    /// The memory of what the peer of a half-closed client has not acknowledged.
    #[inline]
    fn unacknowledged(&self) -> usize {
        let is_known = self.flags.contains(Flags::FIN_SENT) && matches!(self.origin, Origin::Connected);
        if is_known { self.stream.held_by_kernel() as usize } else { 0 }
    }

    /// Calls the handler. Returns how much it took of what it is offered, and what it wishes.
    #[inline(always)]
    fn call<H: Handler<Session = S>>(
        &mut self,
        call: Call,
        offered: Offered<'_>,
        drive: &mut Drive<'_, H>,
    ) -> (usize, Wishes) {
        let (owed, unacknowledged) = (self.owed(), self.unacknowledged());
        let peer = (Peer::of(self.peer.as_ref()), self.latch.peer_ends(), unacknowledged);
        let (handler, bytes, mut cx) = drive.context(peer, owed, offered);
        let mut taken = 0;
        match (call, &mut self.slot) {
            (Call::Receive, SessionSlot::Open(session)) => {
                taken = handler.receive(session, bytes, &mut cx).min(bytes.len());
            }
            (Call::EndOfStream, SessionSlot::Open(session)) => handler.end_of_stream(session, bytes, &mut cx),
            (Call::Tick, SessionSlot::Open(session)) => handler.tick(session, &mut cx),
            (Call::Open, SessionSlot::Unopened(tag)) => match self.origin {
                Origin::Refused(reason) => {
                    handler.refuse(*tag, reason, &mut cx);
                    cx.finish(reason);
                }
                _ => self.slot = SessionSlot::Open(handler.open(*tag, &mut cx)),
            },
            _ => {}
        }
        (taken, cx.wishes)
    }

    #[inline]
    fn grant(&mut self, wishes: Wishes, now: Tick) {
        self.flags |= wishes.flags;
        if wishes.wake_at.is_some() {
            self.held.set_wake_at(wishes.wake_at);
        }
        if let Some(reason) = wishes.finish {
            self.start_flush(reason, now);
        }
    }
}
