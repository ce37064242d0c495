//! Calling the handler: opening its session, offering it bytes, and granting what it wishes.

use std::ops::Range;

use crate::os::address::Peer;
use crate::os::clock::Tick;
use crate::os::stream::Stream;
use crate::reactor::buffer::Buffer;
use crate::reactor::connection::state::{Flags, Origin, Phase};
use crate::reactor::connection::{Connection, SessionSlot};
use crate::reactor::drive::{Drive, Offered};
use crate::reactor::handler::{Context, Handler, Wishes};

impl<T: Stream, S> Connection<T, S> {
    /// The calls that are due before anything is read: the first of all, a tick, and what the handler would not take
    /// before.
    pub(super) fn call_before_reading<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        self.flags.remove(Flags::RETRYING);
        if matches!(self.phase, Phase::Fresh) {
            self.open(drive);
        }
        if self.flags.contains(Flags::FULL) && self.owed() < drive.shared.limits.write_limit {
            self.flags.remove(Flags::FULL);
            self.flags.insert(Flags::TICKING);
            self.held.restart_incomplete(drive.shared.now);
        }
        if self.flags.contains(Flags::TICKING) {
            self.flags.remove(Flags::TICKING);
            // A handler that has ended its side is not called any more: what it sent would come after the FIN (EPIPE).
            if self.phase.offers() && !self.has_failed_in_silence() {
                self.call(drive, &[], |handler, session, _, cx| handler.tick(session, cx));
            }
        }
        if self.may_offer(self.owed() + drive.outgoing.len(), &drive.shared.limits) {
            self.offer(0, drive);
        }
    }

    fn open<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        let SessionSlot::Unopened(tag) = self.slot else { return };
        let (tag, origin) = (tag as usize, self.origin);
        let (session, wishes) = drive.call(
            (self.peer(), self.latch.peer_ends(), 0),
            0,
            Offered::Kept(&[]),
            |handler, _, cx| match origin {
                Origin::Refused(reason) => {
                    handler.refuse(tag, reason, cx);
                    cx.finish(reason);
                    None
                }
                _ => Some(handler.open(tag, cx)),
            },
        );
        if let Some(session) = session {
            self.slot = SessionSlot::Open(session);
        }
        self.grant(wishes, drive.shared.now);
    }

    /// Offers the handler what it has not taken: the inbox, and behind it `fresh` bytes at the arena's free end.
    #[inline(always)]
    pub(super) fn offer<H: Handler<Session = S>>(&mut self, fresh: usize, drive: &mut Drive<'_, H>) {
        let start = drive.shared.arena.keep(fresh);
        let fresh = start..start + fresh;
        let wishes =
            if self.held.kept() == 0 { self.offer_fresh(fresh, drive) } else { self.offer_joined(fresh, drive) };
        // Nothing of these bytes is echoed: the next read may use their space.
        if drive.outgoing.echoed.end <= start {
            drive.shared.arena.release_from(start);
        }
        self.grant(wishes, drive.shared.now);
    }

    /// Most often nothing was left before, and the arena is offered itself.
    #[inline(always)]
    fn offer_fresh<H: Handler<Session = S>>(&mut self, fresh: Range<usize>, drive: &mut Drive<'_, H>) -> Wishes {
        let (taken, wishes) = self.ask(drive, Offered::Arena(fresh.clone()), |handler, session, bytes, cx| {
            handler.receive(session, bytes, cx).min(bytes.len())
        });
        if taken < fresh.len() {
            self.leave_fresh(fresh.start + taken..fresh.end, &wishes, drive);
        }
        wishes
    }

    #[cold]
    fn leave_fresh<H>(&mut self, rest: Range<usize>, wishes: &Wishes, drive: &Drive<'_, H>) {
        let mut inbox = Buffer::default();
        inbox.push(&drive.shared.arena.bytes()[rest]);
        self.leave(inbox, drive.shared.now, wishes, drive);
    }

    /// Bytes that were left before come first, so fresh ones join them.
    #[cold]
    fn offer_joined<H: Handler<Session = S>>(&mut self, fresh: Range<usize>, drive: &mut Drive<'_, H>) -> Wishes {
        let incomplete_since = self.held.incomplete_since();
        let mut inbox = self.held.take_inbox();
        inbox.push(&drive.shared.arena.bytes()[fresh]);
        let (taken, wishes) = self.ask(drive, Offered::Kept(inbox.pending()), |handler, session, bytes, cx| {
            handler.receive(session, bytes, cx).min(bytes.len())
        });
        inbox.consume(taken);
        // The clock of an incomplete message starts behind a whole one, or after a time in which the peer could not go
        // on.
        let restart = taken > 0 || self.flags.contains(Flags::HELD_BACK);
        let since = incomplete_since.filter(|_| !restart).unwrap_or(drive.shared.now);
        self.leave(inbox, since, &wishes, drive);
        wishes
    }

    /// Keeps what the handler left, the first of it incomplete since then.
    fn leave<H>(&mut self, inbox: Buffer, since: Tick, wishes: &Wishes, drive: &Drive<'_, H>) {
        let is_held_back = !inbox.is_empty() && ((drive.outgoing.told_full && self.owes_answers()) || wishes.pause);
        self.flags.set(Flags::HELD_BACK, is_held_back);
        self.held.keep_inbox(inbox, since);
    }

    /// Calls the handler with bytes of which nothing is kept, or with none.
    pub(super) fn call<H: Handler<Session = S>>(
        &mut self,
        drive: &mut Drive<'_, H>,
        bytes: &[u8],
        ask: impl FnOnce(&mut H, &mut S, &[u8], &mut Context<'_>),
    ) {
        let ((), wishes) = self.ask(drive, Offered::Kept(bytes), ask);
        self.grant(wishes, drive.shared.now);
    }

    /// The memory of what a peer that was connected to has not acknowledged, once nothing is added to it.
    #[inline]
    fn unacknowledged(&self) -> usize {
        let is_known = self.flags.contains(Flags::HALF_CLOSED) && matches!(self.origin, Origin::Connected);
        if is_known { self.stream.held_by_kernel() as usize } else { 0 }
    }

    /// Calls the handler by `ask`, where it has a session for this connection.
    #[inline]
    fn ask<H: Handler<Session = S>, R: Default>(
        &mut self,
        drive: &mut Drive<'_, H>,
        offered: Offered<'_>,
        ask: impl FnOnce(&mut H, &mut S, &[u8], &mut Context<'_>) -> R,
    ) -> (R, Wishes) {
        let (owed, unacknowledged) = (self.owed(), self.unacknowledged());
        let SessionSlot::Open(session) = &mut self.slot else { return Default::default() };
        let peer = (Peer::of(self.peer.as_ref()), self.latch.peer_ends(), unacknowledged);
        drive.call(peer, owed, offered, |handler, bytes, cx| ask(handler, session, bytes, cx))
    }

    #[inline]
    fn grant(&mut self, wishes: Wishes, now: Tick) {
        if wishes.pause {
            self.flags.insert(Flags::PAUSED);
        }
        if wishes.half_close {
            self.flags.insert(Flags::HALF_CLOSING);
        }
        if wishes.wake_at.is_some() {
            self.held.set_wake_at(wishes.wake_at);
        }
        if let Some(reason) = wishes.finish {
            self.start_flush(reason, now);
        }
    }
}
