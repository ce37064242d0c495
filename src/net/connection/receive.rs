//! The receive step: reading, and calling the handler.

use std::io;

use log::Level;

use crate::address::Peer;
use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, Wishes};
use crate::key::Key;
use crate::limits::Limits;
use crate::log_limit::LogKind;
use crate::net::connection::Connection;
use crate::net::connection::phase::{Origin, Phase};
use crate::net::shared::Shared;
use crate::net::stream::{ConnectProgress, Stream};
use crate::reply::{Outgoing, Reply};

/// What a read costs of the budget at least, in bytes: many short reads take their time too.
const READ_COST: usize = 4 * 1024;

impl<T: Stream, S> Connection<T, S> {
    /// Reads what its latch and its budget allow, and offers it to the handler; the answers are collected in `outgoing`.
    pub fn receive<H>(&mut self, key: Key, handler: &mut H, shared: &mut Shared, outgoing: &mut Outgoing)
    where
        H: Handler<Session = S>,
    {
        if self.phase == Phase::Connecting {
            if !self.establish(shared.now) {
                return;
            }
            log::debug!("{key} is connected to {}", self.peer());
        }
        if self.session.is_none() && self.phase == Phase::Open {
            self.open(key, handler, shared, outgoing);
        }
        if self.full && self.owed() < shared.limits.write_limit {
            self.full = false;
            self.ticking = true;
            self.held.restart_incomplete(shared.now);
        }
        // A handler that has ended its side is not called any more: what it sent would come after the FIN (EPIPE).
        if std::mem::take(&mut self.ticking) && self.phase == Phase::Open {
            self.with_context(key, shared, outgoing, &[], |session, cx| handler.tick(session, cx));
        }
        if self.may_offer(self.owed() + outgoing.len(), &shared.limits) {
            self.offer(key, handler, shared, outgoing, None);
        }
        let mut budget = shared.limits.read_budget;
        while budget > 0 && self.latch.readable() {
            let owed = self.owed() + outgoing.len();
            if !self.may_read(owed, shared) {
                break;
            }
            if self.keeps_too_much(shared) {
                let limit = shared.limits.queue_limit;
                let line = format_args!(
                    "{key} is closed: its message is incomplete, and all queues together hold {limit} bytes"
                );
                shared.log_limit.log(LogKind::QueueLimit, Level::Warn, shared.now, line);
                self.end_this_side(CloseReason::QueueLimit, shared.now);
            }
            let size = self.read_size(owed, shared).min(budget);
            let space = shared.arena.space(size);
            let size = space.len();
            if size == 0 {
                break;
            }
            match self.stream.read(space) {
                Ok(0) => self.end_of_input(key, handler, shared, outgoing),
                Ok(count) => {
                    budget = budget.saturating_sub(count.max(READ_COST));
                    if count < size && self.stream.short_read_drains() {
                        self.latch.read_short();
                    }
                    let owed = if self.latch.readable() { "perhaps more waits" } else { "the kernel owes an edge" };
                    log::trace!("{key} read {count} bytes of at most {size}: {owed}");
                    self.took_in(count, key, handler, shared, outgoing);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    log::trace!("{key} read would block: the kernel owes an edge");
                    self.latch.read_would_block();
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => self.over = Some(self.broken.unwrap_or(CloseReason::of_error(&error))),
            }
        }
    }

    /// Asks whether the connection is established; true once it is.
    fn establish(&mut self, now: Tick) -> bool {
        if !self.latch.writable() {
            return false;
        }
        match self.stream.connect_progress() {
            Ok(ConnectProgress::Established(peer)) => {
                self.phase = Phase::Open;
                self.progress = now;
                self.peer = peer.or(self.peer);
            }
            Ok(ConnectProgress::Pending) => self.latch.write_would_block(),
            Ok(ConnectProgress::WithItself) => self.over = Some(CloseReason::SelfConnect),
            Err(error) => self.over = Some(CloseReason::of_connect_error(&error)),
        }
        self.phase == Phase::Open
    }

    fn open<H: Handler<Session = S>>(
        &mut self,
        key: Key,
        handler: &mut H,
        shared: &mut Shared,
        outgoing: &mut Outgoing,
    ) {
        let (tag, origin) = (self.tag(), self.origin);
        let (session, wishes) = call(key, self.peer(), shared, outgoing, &[], 0, |cx| match origin {
            Origin::Refused => {
                handler.refuse(tag, cx);
                cx.finish(CloseReason::Refused);
                None
            }
            _ => Some(handler.open(tag, cx)),
        });
        self.session = session;
        self.grant(wishes, shared.now);
    }

    /// How much the next read may take: no more than the peer may still be owed, and little while memory is short.
    fn read_size(&self, owed: usize, shared: &Shared) -> usize {
        let mut size = Limits::READ_MAX;
        if owed > 0 && self.owes_answers() {
            size = size.min(shared.limits.write_limit - owed);
        }
        if shared.queue_is_full() {
            size = size.min(Limits::LEAN_READ);
        }
        size
    }

    fn took_in<H: Handler<Session = S>>(
        &mut self,
        count: usize,
        key: Key,
        handler: &mut H,
        shared: &mut Shared,
        outgoing: &mut Outgoing,
    ) {
        if self.origin != Origin::Attached {
            shared.metrics.bytes_in += count as u64;
        }
        if self.phase == Phase::Open {
            self.progress = shared.now;
            self.offer(key, handler, shared, outgoing, Some(count));
        }
    }

    /// Offers the handler what it has not taken: the inbox, and the `fresh` bytes at the arena's free end behind it.
    fn offer<H: Handler<Session = S>>(
        &mut self,
        key: Key,
        handler: &mut H,
        shared: &mut Shared,
        outgoing: &mut Outgoing,
        fresh: Option<usize>,
    ) {
        let Some(mut session) = self.session.take() else { return };
        let (owed, incomplete_since) = (self.owed(), self.held.incomplete_since());
        let count = fresh.unwrap_or(0);
        let start = shared.arena.keep(count);
        let mut wishes = Wishes::default();
        // Bytes that were left before come first, so fresh ones join them; most often there are none, and the arena is offered itself.
        let mut inbox = self.held.take_inbox();
        let left_before = !inbox.is_empty();
        if left_before {
            inbox.push(&shared.arena.bytes()[start..start + count]);
        }
        let taken = {
            let Shared { arena, orders, metrics, log_limit, limits, now, .. } = shared;
            let (bytes, composed) = arena.parts();
            let offered = if left_before { inbox.pending() } else { &bytes[start..start + count] };
            let arena_start = if left_before { None } else { Some(start) };
            let reply = Reply::new(offered, arena_start, composed, outgoing, owed, limits.write_limit);
            let peer = self.peer();
            let mut cx = Context { now: *now, key, peer, reply, orders, metrics, log_limit, wishes: &mut wishes };
            handler.receive(&mut session, offered, &mut cx).min(offered.len())
        };
        self.session = Some(session);
        if left_before {
            inbox.consume(taken);
        } else {
            inbox.push(&shared.arena.bytes()[start + taken..start + count]);
        }
        // The clock of an incomplete message starts behind a whole one, or after a time in which the peer could not go on.
        let restart = taken > 0 || self.held_back;
        let since = incomplete_since.filter(|_| !restart).unwrap_or(shared.now);
        self.held_back = !inbox.is_empty() && ((outgoing.told_full && self.owes_answers()) || wishes.pause);
        self.held.keep_inbox(inbox, since);
        if outgoing.echoed.end <= start {
            shared.arena.release_from(start);
        }
        self.grant(wishes, shared.now);
    }

    /// The peer's side has ended: what was never taken goes to the handler, as it is.
    fn end_of_input<H: Handler<Session = S>>(
        &mut self,
        key: Key,
        handler: &mut H,
        shared: &mut Shared,
        outgoing: &mut Outgoing,
    ) {
        log::trace!("{key} read 0: the peer has ended its side");
        self.read_ended = true;
        if self.phase != Phase::Open || self.broken.is_some() {
            return;
        }
        self.progress = shared.now;
        let rest = self.held.take_inbox();
        let rest = rest.pending();
        self.with_context(key, shared, outgoing, rest, |session, cx| handler.finish(session, rest, cx));
    }

    /// Calls the handler with bytes of which nothing is kept, or with none.
    fn with_context(
        &mut self,
        key: Key,
        shared: &mut Shared,
        outgoing: &mut Outgoing,
        offered: &[u8],
        ask: impl FnOnce(&mut S, &mut Context<'_>),
    ) {
        let Some(mut session) = self.session.take() else { return };
        let ((), wishes) = call(key, self.peer(), shared, outgoing, offered, self.owed(), |cx| ask(&mut session, cx));
        self.session = Some(session);
        self.grant(wishes, shared.now);
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

/// Calls a handler's method with a context in which `offered`, bytes outside the arena, can be echoed. Returns what the method
/// gave, and what it wishes.
fn call<R>(
    key: Key,
    peer: Peer<'_>,
    shared: &mut Shared,
    outgoing: &mut Outgoing,
    offered: &[u8],
    owed: usize,
    ask: impl FnOnce(&mut Context<'_>) -> R,
) -> (R, Wishes) {
    let Shared { arena, orders, metrics, log_limit, limits, now, .. } = shared;
    let reply = Reply::new(offered, None, &mut arena.composed, outgoing, owed, limits.write_limit);
    let mut wishes = Wishes::default();
    let result = ask(&mut Context { now: *now, key, peer, reply, orders, metrics, log_limit, wishes: &mut wishes });
    (result, wishes)
}
