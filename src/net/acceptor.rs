//! The acceptor: a listening socket, its latch, and what to do about each way in which `accept` fails.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::net::listener::Listener;
use crate::readiness::{Latch, Readiness};

/// How long to wait after an `accept` that failed for lack of something.
///
/// An edge-triggered listener that met EMFILE with a full backlog stays deaf after descriptors are free again, until a new
/// SYN comes: so nobody but a timer will call it. Ten tries a second cost nothing and are soon enough.
pub const RETRY: Duration = Duration::from_millis(100);

/// How many connections one turn accepts from one listener: a burst of 4,000 is in within a few turns, and the others get theirs.
pub const BATCH: usize = 256;

/// A listening socket in the reactor.
#[derive(Debug)]
pub struct Acceptor<L> {
    listener: L,
    latch: Latch,
    tag: usize,
    /// The retry deadline is armed: until then an event only merges into the latch, or 500 new SYNs would be 500 failing calls.
    retrying: bool,
    draining: bool,
}

/// What one `accept` gave.
#[derive(Debug)]
pub enum Accepted<S> {
    /// A connection, with the peer's address where it has one.
    Connection(S, Option<SocketAddr>),
    /// Nothing waits any more: the latch is cleared.
    Drained,
    /// That one is gone already, or the call was interrupted: the next, please.
    Again,
    /// There are no descriptors, or no memory, or something else is missing: the latch stays, and a retry is due.
    Failed(io::Error),
}

impl<L: Listener> Acceptor<L> {
    /// A listener whose connections the handler knows by `tag`.
    pub fn new(listener: L, tag: usize) -> Acceptor<L> {
        Acceptor { listener, latch: Latch::default(), tag, retrying: false, draining: false }
    }

    /// The number that the handler knows it by.
    pub fn tag(&self) -> usize {
        self.tag
    }

    /// The listener, to register it.
    pub fn listener_mut(&mut self) -> &mut L {
        &mut self.listener
    }

    /// Merges an event; true where it should run now.
    pub fn latch(&mut self, readiness: Readiness) -> bool {
        self.latch.set(readiness);
        !self.retrying
    }

    /// Whether something may wait to be accepted.
    pub fn is_ready(&self) -> bool {
        self.latch.readable()
    }

    /// The retry deadline is armed, or has come.
    pub fn set_retrying(&mut self, retrying: bool) {
        self.retrying = retrying;
    }

    /// Whether the retry deadline is armed.
    pub fn is_retrying(&self) -> bool {
        self.retrying
    }

    /// The reactor drains: what waits is accepted, whatever the latch says, then it closes.
    pub fn drain(&mut self) {
        self.draining = true;
        self.latch.set(Readiness::READABLE);
    }

    /// Whether it closes once nothing waits any more.
    pub fn is_draining(&self) -> bool {
        self.draining
    }

    /// Accepts one connection, if one waits.
    pub fn accept(&mut self) -> Accepted<L::Stream> {
        if !self.latch.readable() {
            return Accepted::Drained;
        }
        match self.listener.accept() {
            Ok((stream, peer)) => Accepted::Connection(stream, peer),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.latch.read_would_block();
                    Accepted::Drained
                }
                // The peer gave up while it waited, or a signal came (accept(2) lists both as harmless).
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Accepted::Again,
                _ => Accepted::Failed(error),
            },
        }
    }
}
