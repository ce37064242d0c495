//! One connection: a stream, its latch, its phase, and the bytes that it had to keep.
//!
//! A turn drives it in three steps: [`receive`](Connection::receive) reads and calls the handler, [`send`](Connection::send) writes
//! what the handler answered, [`settle`](Connection::settle) decides what should happen next. Only the reactor closes it.

use std::io;
use std::net::SocketAddr;

use crate::address::Peer;
use crate::buffer::Buffer;
use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, Wishes};
use crate::key::Key;
use crate::limits::Limits;
use crate::net::next::{Condition, Next};
use crate::net::shared::Shared;
use crate::net::stream::{ConnectProgress, Stream};
use crate::readiness::{Latch, Readiness};
use crate::reply::{Outgoing, Reply};

/// What a read costs of the budget at least, in bytes: many short reads take their time too.
const READ_COST: usize = 4 * 1024;

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A listener accepted it.
    Accepted,
    /// A listener accepted it over the connection limit: it is told so and closed.
    Refused,
    /// A handler asked for it.
    Connected,
    /// It was handed over as it is (standard input, a pipe of signals): it counts for no limit, and a drain leaves it alone.
    Attached,
}

/// How far a connection has come.
///
/// ```text
///   Connecting --> Open --> Flushing --> Lingering --> (closed)
///                   |           |                         ^
///                   +-----------+-- error, time-out, EOF -+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The connection is being established.
    Connecting,
    /// Bytes go both ways.
    Open,
    /// This side is done but still owes bytes; then it shuts its write side. What is read is dropped.
    Flushing,
    /// Replies and FIN have left. What still comes is read and dropped: closing with unread input would send a RST,
    /// which destroys the replies on their way.
    Lingering,
}

/// The bytes that a connection owns. It owns none while it is idle.
#[derive(Debug, Default)]
struct Held {
    /// An incomplete message, or bytes that the handler would not take yet.
    inbox: Buffer,
    /// Bytes that the socket refused.
    outbox: Buffer,
    /// Since when the first message in the inbox has been incomplete.
    incomplete_since: Option<Tick>,
}

/// One connection with its handler's session `S`.
#[derive(Debug)]
pub struct Connection<T, S> {
    stream: T,
    latch: Latch,
    phase: Phase,
    origin: Origin,
    /// The peer's side has ended: nothing more will be read.
    read_ended: bool,
    /// The handler left bytes although they may be complete: they are offered again before anything is read.
    held_back: bool,
    /// The handler wants to be woken before it is offered anything.
    paused: bool,
    /// The peer was to be sent so much that the write limit was reached; the handler is told when there is room again.
    full: bool,
    /// What is owed is the last: then the write side is shut, and reading goes on.
    half_closing: bool,
    /// The handler's `tick` is due.
    ticking: bool,
    /// A deadline has passed: unless something moves in this turn, it is over.
    expiring: bool,
    /// The reactor drains: what has arrived is answered, then this side ends.
    draining: bool,
    tag: u32,
    session: Option<S>,
    peer: Option<SocketAddr>,
    held: Option<Box<Held>>,
    /// When the phase began, or when bytes last moved in it.
    progress: Tick,
    wake_at: Option<Tick>,
    /// Why it ends, as soon as that is known.
    reason: Option<CloseReason>,
    /// The stream failed: nothing more can be written, and after what is readable it is over.
    broken: Option<CloseReason>,
    /// It is over.
    over: Option<CloseReason>,
}

impl<T: Stream, S> Connection<T, S> {
    /// A connection that a listener accepted, with the peer's address as `accept` gave it.
    ///
    /// It is assumed writable, for it has sent nothing; whether it is readable the kernel tells.
    pub fn accepted(stream: T, peer: Option<SocketAddr>, tag: usize, refused: bool, now: Tick) -> Self {
        let origin = if refused { Origin::Refused } else { Origin::Accepted };
        Connection { peer, ..Connection::new(stream, Phase::Open, origin, Readiness::WRITABLE, tag, now) }
    }

    /// A connection that is being established: writable readiness tells that the kernel is done with it.
    pub fn connecting(stream: T, tag: usize, now: Tick) -> Self {
        Connection::new(stream, Phase::Connecting, Origin::Connected, Readiness::NONE, tag, now)
    }

    /// A stream that is handed over with its session. Files never give an edge, so both latches are set.
    pub fn attached(stream: T, session: S, now: Tick) -> Self {
        let both = Readiness::READABLE | Readiness::WRITABLE;
        Connection { session: Some(session), ..Connection::new(stream, Phase::Open, Origin::Attached, both, 0, now) }
    }

    fn new(stream: T, phase: Phase, origin: Origin, readiness: Readiness, tag: usize, now: Tick) -> Self {
        Connection {
            stream,
            latch: Latch::new(readiness),
            phase,
            origin,
            read_ended: false,
            held_back: false,
            paused: false,
            full: false,
            half_closing: false,
            ticking: false,
            expiring: false,
            draining: false,
            tag: u32::try_from(tag).unwrap_or(u32::MAX),
            session: None,
            peer: None,
            held: None,
            progress: now,
            wake_at: None,
            reason: None,
            broken: None,
            over: None,
        }
    }

    /// The stream, to register it.
    pub fn stream_mut(&mut self) -> &mut T {
        &mut self.stream
    }

    /// How it came to be.
    pub fn origin(&self) -> Origin {
        self.origin
    }

    /// The number that its handler knows it by before it has a session.
    pub fn tag(&self) -> usize {
        self.tag as usize
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer<'_> {
        self.peer.map_or(Peer::Unix(None), Peer::ip)
    }

    /// Ends it: the stream closes here, and the session is handed back.
    pub fn into_session(self) -> Option<S> {
        self.session
    }

    /// Memory that it owns beyond its slab entry, in bytes.
    pub fn held_bytes(&self) -> usize {
        self.held.as_ref().map_or(0, |held| size_of::<Held>() + held.inbox.capacity() + held.outbox.capacity())
    }

    fn owed(&self) -> usize {
        self.held.as_ref().map_or(0, |held| held.outbox.len())
    }

    // What may happen to it from outside. Each of these puts it on the ready list (the reactor does).

    /// Merges an event into the latch.
    pub fn latch(&mut self, readiness: Readiness) {
        self.latch.set(readiness);
    }

    /// Somebody woke it: the handler is called, and offered what it left.
    pub fn wake(&mut self) {
        self.paused = false;
        self.ticking = true;
    }

    /// The reactor drains: whatever the latch says, it is read once to `WouldBlock`.
    pub fn drain(&mut self) {
        if self.origin != Origin::Attached {
            self.draining = true;
            self.latch.set(Readiness::READABLE);
        }
    }

    /// Its deadline has come. I/O goes before timers: it is read and written once more, and only then judged.
    pub fn deadline_passed(&mut self, now: Tick, limits: &Limits) {
        if self.wake_at.is_some_and(|moment| moment <= now) {
            self.wake_at = None;
            self.ticking = true;
        }
        if self.time_limit(limits).is_some_and(|(moment, _)| moment <= now) {
            self.expiring = true;
            self.latch.set(Readiness::READABLE | Readiness::WRITABLE);
        }
    }

    // What it wants.

    /// Back-pressure is this expression: an open connection reads while it owes less than the limit.
    fn wants_read(&self, owed: usize, limits: &Limits) -> bool {
        if self.read_ended || self.over.is_some() {
            return false;
        }
        match self.phase {
            Phase::Connecting => false,
            Phase::Open => self.broken.is_some() || (!self.paused && !self.held_back && owed < limits.write_limit),
            Phase::Flushing | Phase::Lingering => true,
        }
    }

    fn wants_write(&self) -> bool {
        self.broken.is_none() && (self.phase == Phase::Connecting || self.owed() > 0)
    }

    /// At the bound on all queued bytes, whoever owes some of them stops reading.
    fn waits_for_room(&self, owed: usize, shared: &Shared) -> bool {
        owed > 0 && self.phase == Phase::Open && self.broken.is_none() && shared.queue_is_full()
    }

    /// Whether there is something to do without another event.
    fn is_runnable(&self, shared: &Shared) -> bool {
        let owed = self.owed();
        let room = self.phase == Phase::Open && owed < shared.limits.write_limit;
        let reads =
            self.wants_read(owed, &shared.limits) && self.latch.readable() && !self.waits_for_room(owed, shared);
        let writes = self.wants_write() && self.latch.writable();
        let ticks = self.ticking && self.phase == Phase::Open;
        reads || writes || ticks || (room && (self.full || (self.held_back && !self.paused)))
    }

    /// The moment at which its patience ends, and what its end is called then.
    fn time_limit(&self, limits: &Limits) -> Option<(Tick, CloseReason)> {
        if self.origin == Origin::Attached {
            return None;
        }
        match self.phase {
            Phase::Connecting => Some((self.progress.after(limits.connect_timeout), CloseReason::ConnectTimeout)),
            Phase::Open if self.read_ended => {
                Some((self.progress.after(limits.half_closed_timeout), CloseReason::HalfClosedTimeout))
            }
            Phase::Open => {
                let idle = limits.idle_timeout?;
                let silent = (self.progress.after(idle), CloseReason::IdleTimeout);
                // While the peer is not read, it cannot finish its message.
                let reads = !self.held_back && self.owed() < limits.write_limit;
                let incomplete = self.held.as_ref().filter(|_| reads).and_then(|held| held.incomplete_since);
                match incomplete.map(|since| since.after(idle)) {
                    Some(moment) if moment < silent.0 => Some((moment, CloseReason::IncompleteTimeout)),
                    _ => Some(silent),
                }
            }
            Phase::Flushing => Some((self.progress.after(limits.half_closed_timeout), CloseReason::HalfClosedTimeout)),
            Phase::Lingering => {
                Some((self.progress.after(limits.linger_timeout), self.reason.unwrap_or(CloseReason::Ended)))
            }
        }
    }

    /// When it must be looked at again even if no event comes.
    pub fn deadline(&self, limits: &Limits) -> Option<Tick> {
        let limit = self.time_limit(limits).map(|(moment, _)| moment);
        match (limit, self.wake_at) {
            (Some(limit), Some(wake)) => Some(limit.min(wake)),
            (limit, wake) => limit.or(wake),
        }
    }

    // The receive step.

    /// Reads what its latch and its budget allow, and offers it to the handler; the answers are collected in `outgoing`.
    pub fn receive<H>(&mut self, key: Key, handler: &mut H, shared: &mut Shared, outgoing: &mut Outgoing)
    where
        H: Handler<Session = S>,
    {
        if self.phase == Phase::Connecting && !self.establish(shared.now) {
            return;
        }
        if self.session.is_none() && self.phase == Phase::Open {
            self.open(key, handler, shared, outgoing);
        }
        if self.full && self.owed() < shared.limits.write_limit {
            self.full = false;
            self.ticking = true;
            self.restart_incomplete(shared.now);
        }
        // A handler that has ended its side is not called any more: what it sent would come after the FIN (EPIPE).
        if std::mem::take(&mut self.ticking) && self.phase == Phase::Open {
            self.with_context(key, shared, outgoing, |session, cx| handler.tick(session, cx));
        }
        if self.held_back && !self.paused && self.owed() + outgoing.len() < shared.limits.write_limit {
            self.offer(key, handler, shared, outgoing, None);
        }
        let mut budget = shared.limits.read_budget;
        while budget > 0 && self.latch.readable() {
            let owed = self.owed() + outgoing.len();
            if !self.wants_read(owed, &shared.limits) || self.waits_for_room(self.owed(), shared) {
                break;
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
                    log::trace!("{key} read {count} bytes of at most {size}");
                    budget = budget.saturating_sub(count.max(READ_COST));
                    if count < size && self.stream.short_read_drains() {
                        self.latch.read_short();
                    }
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
                self.peer = peer;
            }
            Ok(ConnectProgress::Pending) => self.latch.write_would_block(),
            Ok(ConnectProgress::WithItself) => self.over = Some(CloseReason::SelfConnect),
            Err(error) => self.over = Some(CloseReason::of_error(&error)),
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
        let mut wishes = Wishes::default();
        self.session = call(key, self.peer(), shared, outgoing, &mut wishes, 0, |cx| match origin {
            Origin::Refused => {
                handler.refuse(tag, cx);
                cx.finish(CloseReason::Refused);
                None
            }
            _ => Some(handler.open(tag, cx)),
        });
        self.grant(wishes, shared.now);
    }

    /// How much the next read may take: no more than the peer may still be owed, and little while memory is short.
    fn read_size(&self, owed: usize, shared: &Shared) -> usize {
        let mut size = Limits::READ_MAX;
        if owed > 0 && self.phase == Phase::Open && self.broken.is_none() {
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
        let owed = self.owed();
        let count = fresh.unwrap_or(0);
        let start = shared.arena.keep(count);
        let held = self.held.as_mut().filter(|held| !held.inbox.is_empty());
        let mut wishes = Wishes::default();
        let mut inbox = None;
        let arena_start = match held {
            Some(held) => {
                held.inbox.push(&shared.arena.bytes()[start..start + count]);
                inbox = Some(std::mem::take(&mut held.inbox));
                None
            }
            None => Some(start),
        };
        let kept = inbox.as_ref().map(Buffer::pending);
        let (offered_len, taken, stalled) = {
            let Shared { arena, orders, metrics, log_limit, limits, now, .. } = shared;
            let (bytes, composed) = arena.parts();
            let offered = kept.unwrap_or(&bytes[start..start + count]);
            let reply = Reply::new(offered, arena_start, composed, outgoing, owed, limits.write_limit);
            let peer = self.peer();
            let mut cx = Context { now: *now, key, peer, reply, orders, metrics, log_limit, wishes: &mut wishes };
            let taken = handler.receive(&mut session, offered, &mut cx).min(offered.len());
            (offered.len(), taken, cx.reply.is_full())
        };
        self.session = Some(session);
        let rest = offered_len - taken;
        let restart = taken > 0 || self.held_back;
        self.held_back = rest > 0 && (stalled || wishes.pause);
        match inbox {
            Some(mut inbox) => {
                inbox.consume(taken);
                self.keep_rest(inbox, restart, shared.now);
            }
            None if rest > 0 => {
                let mut inbox = Buffer::default();
                inbox.push(&shared.arena.bytes()[start + taken..start + count]);
                self.keep_rest(inbox, true, shared.now);
            }
            None => {}
        }
        if outgoing.echoed.end <= start {
            shared.arena.release_from(start);
        }
        self.grant(wishes, shared.now);
    }

    /// Keeps what the handler did not take. The clock of an incomplete message starts anew after a whole one before it was taken,
    /// or after a time in which the peer could not go on.
    fn keep_rest(&mut self, inbox: Buffer, restart: bool, now: Tick) {
        let held = self.held.get_or_insert_default();
        if inbox.is_empty() {
            held.incomplete_since = None;
        } else if restart || held.incomplete_since.is_none() {
            held.incomplete_since = Some(now);
        }
        held.inbox = inbox;
        self.shed();
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
        let rest = self.drop_inbox();
        self.with_context(key, shared, outgoing, |session, cx| handler.finish(session, rest.pending(), cx));
    }

    /// Calls the handler without offering bytes.
    fn with_context(
        &mut self,
        key: Key,
        shared: &mut Shared,
        outgoing: &mut Outgoing,
        ask: impl FnOnce(&mut S, &mut Context<'_>),
    ) {
        let Some(mut session) = self.session.take() else { return };
        let mut wishes = Wishes::default();
        call(key, self.peer(), shared, outgoing, &mut wishes, self.owed(), |cx| ask(&mut session, cx));
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

    fn end_this_side(&mut self, reason: CloseReason, now: Tick) {
        if self.phase == Phase::Open {
            self.phase = Phase::Flushing;
            self.reason = Some(reason);
            self.progress = now;
            self.held_back = false;
            self.drop_inbox();
        }
    }

    fn restart_incomplete(&mut self, now: Tick) {
        if let Some(held) = &mut self.held
            && held.incomplete_since.is_some()
        {
            held.incomplete_since = Some(now);
        }
    }

    fn drop_inbox(&mut self) -> Buffer {
        let Some(held) = &mut self.held else { return Buffer::default() };
        held.incomplete_since = None;
        let inbox = std::mem::take(&mut held.inbox);
        self.shed();
        inbox
    }

    /// A connection that keeps and owes nothing owns nothing.
    fn shed(&mut self) {
        if self.held.as_ref().is_some_and(|held| held.inbox.is_empty() && held.outbox.is_empty()) {
            self.held = None;
        }
    }

    // The send step.

    /// Writes what is owed: what the socket refused earlier first, then this turn's answers. What it refuses now is kept.
    pub fn send(&mut self, key: Key, outgoing: &Outgoing, shared: &mut Shared) {
        if self.over.is_some() || self.broken.is_some() || self.phase == Phase::Connecting {
            return;
        }
        let echoed = &shared.arena.bytes()[outgoing.echoed.clone()];
        let composed = &shared.arena.composed[outgoing.composed.clone()];
        // Before anything is written: a handler that was told that its reply is full waits for the tick, even where the socket
        // takes it all at once.
        self.full |= self.owed() + outgoing.len() >= shared.limits.write_limit;
        let mut written = 0;
        let mut result = Ok(());
        if self.owed() > 0 {
            self.owe(echoed);
            self.owe(composed);
            if let Some(held) = &mut self.held {
                (written, result) = write_out(&mut self.stream, &mut self.latch, held.outbox.pending());
                held.outbox.consume(written);
            }
            self.shed();
        } else {
            for part in [echoed, composed].into_iter().filter(|part| !part.is_empty()) {
                let mut count = 0;
                if result.is_ok() && self.owed() == 0 {
                    (count, result) = write_out(&mut self.stream, &mut self.latch, part);
                    written += count;
                }
                self.owe(&part[count..]);
            }
        }
        if written > 0 {
            self.progress = shared.now;
            log::trace!("{key} wrote {written} bytes, owes {}", self.owed());
            if self.origin != Origin::Attached {
                shared.metrics.bytes_out += written as u64;
            }
        }
        if let Err(reason) = result {
            self.break_off(reason);
        }
    }

    fn owe(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.held.get_or_insert_default().outbox.push(bytes);
        }
    }

    /// A write failed. The error has taken the place of what a read would say, so it is remembered as the reason; the bytes that
    /// came before the RST can still be read, and are.
    fn break_off(&mut self, reason: CloseReason) {
        self.broken = Some(reason);
        if let Some(held) = &mut self.held {
            held.outbox = Buffer::default();
            self.shed();
        }
        self.latch.set(Readiness::READ_CLOSED);
    }

    // The decision.

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

/// Calls a handler's method with a context that offers no bytes.
fn call<R>(
    key: Key,
    peer: Peer<'_>,
    shared: &mut Shared,
    outgoing: &mut Outgoing,
    wishes: &mut Wishes,
    owed: usize,
    ask: impl FnOnce(&mut Context<'_>) -> R,
) -> R {
    let Shared { arena, orders, metrics, log_limit, limits, now, .. } = shared;
    let reply = Reply::new(&[], None, &mut arena.composed, outgoing, owed, limits.write_limit);
    ask(&mut Context { now: *now, key, peer, reply, orders, metrics, log_limit, wishes })
}

/// Writes until everything is out or the kernel takes no more; a short write is followed by another, since only `WouldBlock`
/// promises an edge. Returns how many bytes went, and what went wrong.
fn write_out<T: Stream>(stream: &mut T, latch: &mut Latch, bytes: &[u8]) -> (usize, Result<(), CloseReason>) {
    let mut written = 0;
    while written < bytes.len() && latch.writable() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return (written, Err(CloseReason::Failed(io::ErrorKind::WriteZero))),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => latch.write_would_block(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(CloseReason::of_error(&error))),
        }
    }
    (written, Ok(()))
}
