//! One connection: a stream, its latch, its phase, and the bytes that it had to keep.
//!
//! A turn drives it in three steps: [`receive`](Connection::receive) reads and calls the handler, [`send`](Connection::send) writes
//! what the handler answered, [`settle`](Connection::settle) decides what should happen next. Only the reactor closes it.

mod held;
mod offer;
mod phase;
mod receive;
mod send;
mod settle;
mod wants;

use std::net::SocketAddr;

pub use phase::{Origin, Phase};

use crate::address::Peer;
use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::limits::Limits;
use crate::net::connection::held::Held;
use crate::net::stream::Stream;
use crate::readiness::{Latch, Readiness};

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
    held: Held,
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

    /// A connection that is being established to `peer`, where that has an IP address: writable readiness tells that the kernel is done with it.
    pub fn connecting(stream: T, peer: Option<SocketAddr>, tag: usize, now: Tick) -> Self {
        Connection { peer, ..Connection::new(stream, Phase::Connecting, Origin::Connected, Readiness::NONE, tag, now) }
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
            held: Held::default(),
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
        self.held.bytes()
    }

    fn owed(&self) -> usize {
        self.held.owed()
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
}
