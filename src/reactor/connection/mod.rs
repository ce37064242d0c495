//! One connection: a stream, its latch, its phase, and the bytes that it had to keep.
//!
//! A turn drives it in three steps: [`receive`](Connection::receive) reads and calls the handler,
//! [`send`](Connection::send) writes what the handler answered, [`settle`](Connection::settle), unless it is at rest,
//! decides what should happen next. Only the reactor closes it.

mod check;
mod decision;
mod end;
mod held;
mod offer;
mod receive;
mod rent;
mod send;
mod session_slot;
mod state;

use std::net::SocketAddr;

pub use session_slot::SessionSlot;
pub(in crate::reactor) use state::Flags;
pub use state::{Origin, Phase};

use crate::os::address::{Peer, source_network};
use crate::os::clock::Tick;
use crate::os::readiness::{Latch, Readiness};
use crate::os::stream::Stream;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::held::Held;
use crate::reactor::room::Share;
use crate::reactor::shared::Shared;
use crate::reactor::tag::Tag;

/// One connection with its handler's session `S`.
///
/// There are thousands, and most are idle. So a connection is small, and what few have at a time lies behind [`Held`].
/// Most are also *calm* (see [`is_calm`](Connection::is_calm)): then a message costs few decisions.
#[derive(Debug)]
pub struct Connection<T, S> {
    pub(super) stream: T,
    latch: Latch,
    phase: Phase,
    origin: Origin,
    flags: Flags,
    slot: SessionSlot<S>,
    held: Held,
    /// When the phase began, or when bytes last moved in it.
    progress: Tick,
    peer: Option<SocketAddr>,
}

impl<T: Stream, S> Connection<T, S> {
    /// A connection that a listener accepted, with the peer's address as `accept` gave it.
    ///
    /// It is taken as writable, because nothing was sent yet. One that is `refused` is told why, and closed.
    pub fn accepted(stream: T, peer: Option<SocketAddr>, tag: Tag, refused: Option<CloseReason>, now: Tick) -> Self {
        let origin = refused.map_or(Origin::Accepted, Origin::Refused);
        Connection { peer, ..Connection::new(stream, Phase::Fresh, origin, Readiness::WRITABLE, tag, now) }
    }

    /// A connection that is being established to `peer`, where that has an IP address. Writable readiness tells that
    /// the kernel is done.
    pub fn connecting(stream: T, peer: Option<SocketAddr>, tag: Tag, now: Tick) -> Self {
        Connection {
            peer,
            ..Connection::new(stream, Phase::Connecting, Origin::Connected, Readiness::empty(), tag, now)
        }
    }

    /// A stream that is handed over with its session. Files never give an edge, so both latches are set.
    pub fn attached(stream: T, session: S, now: Tick) -> Self {
        let both = Readiness::READABLE | Readiness::WRITABLE;
        Connection {
            slot: SessionSlot::Open(session),
            ..Connection::new(stream, Phase::Open, Origin::Attached, both, Tag::default(), now)
        }
    }

    fn new(stream: T, phase: Phase, origin: Origin, readiness: Readiness, tag: Tag, now: Tick) -> Self {
        Connection {
            stream,
            latch: Latch::new(readiness),
            phase,
            origin,
            flags: Flags::empty(),
            slot: SessionSlot::Unopened(tag),
            held: Held::default(),
            progress: now,
            peer: None,
        }
    }

    /// How the connection came to be.
    pub(crate) fn origin(&self) -> Origin {
        self.origin
    }

    /// Who is at the other end.
    pub fn peer(&self) -> Peer<'_> {
        Peer::of(self.peer.as_ref())
    }

    /// The source that the connection is counted for; none unless it is served to a client over IP.
    pub fn source(&self) -> Option<u64> {
        let peer = self.peer.filter(|_| matches!(self.origin, Origin::Accepted))?;
        Some(source_network(peer.ip()))
    }

    /// The memory of the queues, and which part of the room it counts for.
    pub fn share(&self) -> Share {
        self.held.share(self.can_be_closed_for_room())
    }

    fn owed(&self) -> usize {
        self.held.owed()
    }

    /// Merges an event into the latch.
    pub fn latch(&mut self, readiness: Readiness) {
        self.latch.set(readiness);
    }

    /// A handler has woken the connection: its own is called, and offered what it left.
    pub fn wake(&mut self) {
        self.flags.remove(Flags::PAUSED);
        self.flags.insert(Flags::TICKING);
    }

    /// The reactor drains: whatever the latch says, the connection is read until the latch is clear.
    pub fn drain(&mut self) {
        if !matches!(self.origin, Origin::Attached) {
            self.flags.insert(Flags::DRAINING);
            self.latch.set(Readiness::READABLE);
        }
    }

    /// A deadline has come. I/O goes before timers: the connection is read and written once more, and only then judged.
    ///
    /// Returns the deadline that is left, if it has only moved, and whether the connection is to be driven.
    pub fn deadline_passed(&mut self, now: Tick, shared: &Shared) -> (Option<Tick>, bool) {
        if self.held.wake_at().is_some_and(|moment| moment <= now) {
            self.held.set_wake_at(None);
            self.flags.insert(Flags::TICKING);
        }
        if self.time_limit(&shared.limits).is_some_and(|(moment, _)| moment <= now) {
            self.flags.insert(Flags::EXPIRING);
            self.latch.set(Readiness::READABLE | Readiness::WRITABLE);
        }
        let left = self.deadline(&shared.limits).filter(|moment| *moment > now);
        (left, left.is_none() || self.latch.is_retrying() || self.is_runnable(shared))
    }
}
