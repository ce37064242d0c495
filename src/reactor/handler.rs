//! The seam between the loop and what it serves.
//!
//! A [`Handler`] is offered bytes and says what to send. It never sees a socket, never waits and never asks for the
//! time: so it is tested by calling it and comparing bytes. The server and the client are handlers.

use std::net::SocketAddr;
use std::time::Duration;

use crate::os::address::{Address, Peer};
use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Flags;
use crate::reactor::log_limit::LogLimit;
use crate::reactor::metrics::{Counts, Metrics, Row};
use crate::reactor::reply::Reply;
use crate::reactor::tag::Tag;

/// What a reactor serves. Only `open` and `receive` must be written.
///
/// Every method gets a [`Context`], through which it answers and asks. By its [`Tag`] a handler knows which endpoint it
/// is called for, and serves several in several ways.
pub trait Handler {
    /// What the handler remembers of one connection or datagram socket; it lies in the connection's slab entry.
    type Session;

    /// A connection was accepted, or one that was asked for is established; or a datagram socket that was asked for is
    /// there.
    fn open(&mut self, tag: Tag, cx: &mut Context<'_>) -> Self::Session;

    /// Bytes arrived: `bytes` is everything that is not taken yet, oldest first.
    ///
    /// Returns how many were taken. The rest is kept and offered again, with what comes after it; or by itself, before
    /// anything more is read, where the handler stopped because `cx.reply` was full or because it called
    /// [`Context::pause`].
    fn receive(&mut self, session: &mut Self::Session, bytes: &[u8], cx: &mut Context<'_>) -> usize;

    /// The peer has ended its side; `rest` was never taken, and can still be echoed. What is owed is still delivered
    /// after [`Context::finish`].
    fn end_of_stream(&mut self, session: &mut Self::Session, rest: &[u8], cx: &mut Context<'_>) {
        let _ = (session, rest);
        cx.finish(CloseReason::PeerClosed);
    }

    /// A datagram arrived. At most one datagram leaves in answer: all that `cx.reply` was given. [`Context::finish`]
    /// says that it is the last of a conversation, of which the same sender gets only a few.
    fn datagram(&mut self, session: &mut Self::Session, bytes: &[u8], cx: &mut Context<'_>) {
        let _ = (session, bytes, cx);
    }

    /// A datagram did not leave (too long, no room: `WouldBlock`), or the socket reported an error of an earlier one
    /// (an ICMP message, say). The socket lives on.
    fn datagram_error(&mut self, session: &mut Self::Session, reason: CloseReason, cx: &mut Context<'_>) {
        let _ = (session, reason, cx);
    }

    /// The moment asked for with [`Context::wake_at`] has come, [`Orders::wake`] was called, or `cx.reply` was
    /// full and there is room again. Not after [`Context::finish`].
    fn tick(&mut self, session: &mut Self::Session, cx: &mut Context<'_>) {
        let _ = (session, cx);
    }

    /// The newcomer comes over the connection limit ([`CloseReason::Refused`]), or over that of its source
    /// ([`CloseReason::RefusedSource`]): what is sent here is the last that it gets.
    fn refuse(&mut self, tag: Tag, reason: CloseReason, cx: &mut Context<'_>) {
        let _ = (tag, reason, cx);
    }

    /// A connection or a datagram socket ended.
    fn close(&mut self, session: Self::Session, reason: CloseReason, orders: &mut Orders) {
        let _ = (session, reason, orders);
    }

    /// A connection or socket asked for with [`Orders::connect`] and its like was not established. Asking again at
    /// once, for as long as it fails, keeps the loop turning without rest: [`Context::wake_after`] of another source is
    /// the place for the next try.
    fn connect_failed(&mut self, tag: Tag, reason: CloseReason, orders: &mut Orders) {
        let _ = (tag, reason, orders);
    }
}

/// What a handler can do while it is called: answer through `reply`, and ask for what should happen next.
pub struct Context<'a> {
    /// This turn's moment.
    pub now: Tick,
    /// The name of the connection or socket, as [`Orders::wake`] takes it.
    pub key: Key,
    /// Who sent the bytes.
    pub peer: Peer<'a>,
    /// Whether a stream's peer is known to have ended its side, or to have failed, behind what it has sent: what is
    /// asked now is never answered. [`Handler::end_of_stream`] or [`Handler::close`] follows.
    pub peer_ends: bool,
    /// The kernel's memory, in bytes, for what the peer has not acknowledged, once a connection that was asked for is
    /// half-closed: at 0 the peer's system has everything, the end too. Always 0 before that, and where the system does
    /// not tell (it does on Linux, of TCP).
    pub unacknowledged: usize,
    /// Where the answer goes.
    pub reply: Reply<'a>,
    /// What the handler asks of the reactor beyond this connection.
    pub orders: &'a mut Orders,
    /// The reactor's counters, of all endpoints.
    pub metrics: &'a mut Metrics,
    /// What may still be logged of the lines that can repeat without end.
    pub log_limit: &'a mut LogLimit,
    pub(crate) row: Row,
    pub(crate) wishes: Wishes,
}

impl Context<'_> {
    /// The counters of the endpoint that the connection or socket belongs to.
    #[inline]
    pub fn counts(&mut self) -> &mut Counts {
        self.metrics.row_mut(self.row)
    }

    /// Ends this side: what is owed is flushed, then the write side is shut. What the peer still sends is read and
    /// dropped. A datagram socket with one peer closes, once what was sent in this call has left; one that answers
    /// strangers serves them on.
    pub fn finish(&mut self, reason: CloseReason) {
        self.wishes.finish.get_or_insert(reason);
    }

    /// Ends this side's sending after what is owed, and goes on receiving (a half-close, `SHUT_WR`). Nothing may be
    /// sent after it.
    pub fn half_close(&mut self) {
        self.wishes.flags |= Flags::FIN_DUE;
    }

    /// What is sent on this connection does not answer what is read from it: from now on it is read however much its
    /// peer is owed. The handler bounds what it sends ([`Reply::wait_if_full`]), and [`pause`](Context::pause)s where
    /// it takes no more. A connection that this side opened is read so from its beginning.
    pub fn full_duplex(&mut self) {
        self.wishes.flags |= Flags::FULL_DUPLEX;
    }

    /// Takes no more bytes for now: what is left is offered again after [`Orders::wake`], and nothing is read until
    /// then.
    pub fn pause(&mut self) {
        self.wishes.flags |= Flags::PAUSED;
    }

    /// Asks for a [`Handler::tick`] at `moment`, instead of any asked for before.
    pub fn wake_at(&mut self, moment: Tick) {
        self.wishes.wake_at = Some(moment);
    }

    /// Asks for a [`Handler::tick`] when `wait` has passed.
    pub fn wake_after(&mut self, wait: Duration) {
        self.wake_at(self.now.after(wait));
    }
}

/// What a handler wishes for the connection that it was called for.
#[derive(Default)]
pub(crate) struct Wishes {
    pub(crate) finish: Option<CloseReason>,
    /// What holds of the connection from now on.
    pub(in crate::reactor) flags: Flags,
    pub(crate) wake_at: Option<Tick>,
}

/// How a reactor should stop. The later outranks the earlier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stop {
    /// Answer what has arrived, then end.
    Drain = 1,
    /// End now.
    AtOnce = 2,
}

/// A connection, or a datagram socket with one peer, to open.
#[derive(Clone, Debug)]
pub(crate) struct Connect {
    pub(crate) to: Address,
    pub(crate) from: Option<SocketAddr>,
    pub(crate) tag: Tag,
    pub(crate) datagrams: bool,
}

/// What handlers ask of the reactor; it is carried out after the handler has returned, within the same turn or, where
/// [`Handler::connect_failed`] asks for it, within the next.
#[derive(Debug, Default)]
pub struct Orders {
    pub(crate) wakes: Vec<Key>,
    pub(crate) connects: Vec<Connect>,
    pub(crate) stop: Option<Stop>,
}

impl Orders {
    /// Calls [`Handler::tick`] for another connection or socket (or this one again) in the next turn, where there is
    /// one.
    pub fn wake(&mut self, key: impl Into<Option<Key>>) {
        self.wakes.extend(key.into());
    }

    /// Opens a connection; [`Handler::open`] or [`Handler::connect_failed`] tells how it went. A reactor that drains
    /// opens none ([`CloseReason::Drained`]).
    pub fn connect(&mut self, address: Address, tag: Tag) {
        self.connects.push(Connect { to: address, from: None, tag, datagrams: false });
    }

    /// The same from a local address: a client that needs more connections to one server than one address has ports
    /// takes several.
    pub fn connect_from(&mut self, source: SocketAddr, address: Address, tag: Tag) {
        self.connects.push(Connect { to: address, from: Some(source), tag, datagrams: false });
    }

    /// Opens a datagram socket with one peer, from a local address where one is given. [`Handler::open`] tells that it
    /// is there, and nothing of the peer: whether anybody lives there only an answer tells, or a
    /// [`Handler::datagram_error`].
    pub fn connect_datagram(&mut self, source: Option<SocketAddr>, address: Address, tag: Tag) {
        self.connects.push(Connect { to: address, from: source, tag, datagrams: true });
    }

    /// Whether there is nothing to carry out.
    pub(crate) fn is_empty(&self) -> bool {
        self.wakes.is_empty() && self.connects.is_empty() && self.stop.is_none()
    }

    /// Stops the reactor; [`Stop::AtOnce`] outranks a drain.
    pub fn stop(&mut self, how: Stop) {
        self.stop = self.stop.max(Some(how));
    }
}
