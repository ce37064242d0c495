//! Calling the handler: opening its session, offering it bytes, telling it of the end, and granting what it wishes.

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, Wishes};
use crate::net::connection::Connection;
use crate::net::connection::phase::{Origin, Phase};
use crate::net::drive::{Drive, Offered};
use crate::net::stream::Stream;

impl<T: Stream, S> Connection<T, S> {
    /// The calls that are due before anything is read: the first of all, a tick, and what the handler would not take before.
    pub(super) fn call_before_reading<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        if self.session.is_none() && self.phase == Phase::Open {
            self.open(drive);
        }
        if self.full && self.owed() < drive.shared.limits.write_limit {
            self.full = false;
            self.ticking = true;
            self.held.restart_incomplete(drive.shared.now);
        }
        // A handler that has ended its side is not called any more: what it sent would come after the FIN (EPIPE).
        if std::mem::take(&mut self.ticking) && self.phase == Phase::Open {
            self.call(drive, &[], |handler, session, _, cx| handler.tick(session, cx));
        }
        if self.may_offer(self.owed() + drive.outgoing.len(), &drive.shared.limits) {
            self.offer(0, drive);
        }
    }

    fn open<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        let (tag, origin) = (self.tag(), self.origin);
        let (session, wishes) = drive.call(self.peer(), 0, Offered::Kept(&[]), |handler, _, cx| match origin {
            Origin::Refused => {
                handler.refuse(tag, cx);
                cx.finish(CloseReason::Refused);
                None
            }
            _ => Some(handler.open(tag, cx)),
        });
        self.session = session;
        self.grant(wishes, drive.shared.now);
    }

    /// Offers the handler what it has not taken: the inbox, and behind it `fresh` bytes at the arena's free end.
    pub(super) fn offer<H: Handler<Session = S>>(&mut self, fresh: usize, drive: &mut Drive<'_, H>) {
        let Some(mut session) = self.session.take() else { return };
        let incomplete_since = self.held.incomplete_since();
        let start = drive.shared.arena.keep(fresh);
        let fresh = start..start + fresh;
        // Bytes that were left before come first, so fresh ones join them; most often there are none, and the arena is offered itself.
        let mut inbox = self.held.take_inbox();
        let left_before = !inbox.is_empty();
        if left_before {
            inbox.push(&drive.shared.arena.bytes()[fresh.clone()]);
        }
        let offered = if left_before { Offered::Kept(inbox.pending()) } else { Offered::Arena(fresh.clone()) };
        let (taken, wishes) = drive.call(self.peer(), self.owed(), offered, |handler, bytes, cx| {
            handler.receive(&mut session, bytes, cx).min(bytes.len())
        });
        self.session = Some(session);
        if left_before {
            inbox.consume(taken);
        } else {
            inbox.push(&drive.shared.arena.bytes()[fresh.start + taken..fresh.end]);
        }
        // The clock of an incomplete message starts behind a whole one, or after a time in which the peer could not go on.
        let restart = taken > 0 || self.held_back;
        let since = incomplete_since.filter(|_| !restart).unwrap_or(drive.shared.now);
        self.held_back = !inbox.is_empty() && ((drive.outgoing.told_full && self.owes_answers()) || wishes.pause);
        self.held.keep_inbox(inbox, since);
        if drive.outgoing.echoed.end <= start {
            drive.shared.arena.release_from(start);
        }
        self.grant(wishes, drive.shared.now);
    }

    /// The peer's side has ended: what was never taken goes to the handler, as it is.
    pub(super) fn end_of_input<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        log::trace!("{} read 0: the peer has ended its side", drive.key);
        self.read_ended = true;
        if self.phase != Phase::Open || self.broken.is_some() {
            return;
        }
        self.progress = drive.shared.now;
        let rest = self.held.take_inbox();
        self.call(drive, rest.pending(), |handler, session, rest, cx| handler.finish(session, rest, cx));
    }

    /// Calls the handler with bytes of which nothing is kept, or with none.
    fn call<H: Handler<Session = S>>(
        &mut self,
        drive: &mut Drive<'_, H>,
        bytes: &[u8],
        ask: impl FnOnce(&mut H, &mut S, &[u8], &mut Context<'_>),
    ) {
        let Some(mut session) = self.session.take() else { return };
        let offered = Offered::Kept(bytes);
        let ((), wishes) = drive.call(self.peer(), self.owed(), offered, |handler, bytes, cx| {
            ask(handler, &mut session, bytes, cx);
        });
        self.session = Some(session);
        self.grant(wishes, drive.shared.now);
    }

    fn grant(&mut self, wishes: Wishes, now: Tick) {
        self.paused |= wishes.pause;
        if wishes.wake_at.is_some() {
            self.wake_at = wishes.wake_at;
        }
        self.half_closing |= wishes.half_close;
        if let Some(reason) = wishes.finish {
            self.end_this_side(reason, now);
        }
    }

    pub(super) fn end_this_side(&mut self, reason: CloseReason, now: Tick) {
        if self.phase == Phase::Open {
            self.phase = Phase::Flushing;
            self.reason = Some(reason);
            self.progress = now;
            self.held_back = false;
            self.held.take_inbox();
        }
    }
}
