//! The acceptor: a listening socket, its latch, and what to do about each way in which `accept` fails.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use crate::os::clock::Tick;
use crate::os::listener::Listener;
use crate::os::readiness::{Latch, Readiness};
use crate::reactor::tag::Tag;

/// How long to wait after an `accept` that failed for lack of something.
///
/// An edge-triggered listener that met EMFILE gets no edge when descriptors are free again, until a new SYN comes. A
/// timer, because retrying at once would spin the loop; ten tries a second cost nothing.
pub const RETRY: Duration = Duration::from_millis(100);

/// The most connections that one turn accepts from one listener: a burst of 4,000 takes a few turns.
pub const BATCH: usize = 256;

/// A listening socket in the reactor.
#[derive(Debug)]
pub(crate) struct Acceptor<L> {
    pub(super) listener: L,
    latch: Latch,
    /// The number that the handler knows the listener by.
    pub(super) tag: Tag,
    /// Whether the listener closes once nothing waits any more.
    pub(super) draining: bool,
}

/// What one `accept` gave.
#[derive(Debug)]
pub enum Accepted<S> {
    /// A connection, with the peer's address where it has one.
    Connection(S, Option<SocketAddr>),
    /// Nothing waits any more: the latch is cleared.
    BacklogEmpty,
    /// That connection is gone already, or the call was interrupted: another call is to be made.
    Again,
    /// Any other error, as a rule a lack of descriptors or memory: the latch stays set, and a retry is due.
    Failed(io::Error),
}

impl<L: Listener> Acceptor<L> {
    /// A listener whose connections the handler knows by `tag`.
    pub(crate) fn new(listener: L, tag: Tag) -> Acceptor<L> {
        Acceptor { listener, latch: Latch::default(), tag, draining: false }
    }

    /// Merges an event; true where the acceptor should be driven. While a retry is due it is not, or 500 new SYNs
    /// would be 500 failing calls.
    pub(crate) fn latch(&mut self, readiness: Readiness) -> bool {
        self.latch.set(readiness);
        !self.latch.is_retrying()
    }

    /// Whether something may wait to be accepted.
    pub(crate) fn is_ready(&self) -> bool {
        self.latch.readable()
    }

    /// Whether the last call failed, so that only the retry deadline wakes it.
    pub(crate) fn is_retrying(&self) -> bool {
        self.latch.is_retrying()
    }

    /// The invariant: off the ready list, the kernel owes an edge, or a retry is `armed`.
    pub(crate) fn keeps_the_invariant(&self, armed: Option<Tick>) -> bool {
        !self.is_ready() || (self.is_retrying() && armed.is_some())
    }

    /// The reactor drains: what waits is accepted, whatever the latch says, then the listener closes.
    pub(crate) fn drain(&mut self) {
        self.draining = true;
        self.latch.set(Readiness::READABLE);
    }

    /// Accepts one connection, if one waits.
    pub(crate) fn accept(&mut self) -> Accepted<L::Stream> {
        self.latch.try_again();
        if !self.latch.readable() {
            return Accepted::BacklogEmpty;
        }
        match self.listener.accept() {
            Ok((stream, peer)) => Accepted::Connection(stream, peer),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => {
                    self.latch.read_would_block();
                    Accepted::BacklogEmpty
                }
                // The peer reset the connection in the backlog, or a signal came (accept(2) lists both as harmless).
                io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => Accepted::Again,
                _ => {
                    self.latch.retry_later();
                    Accepted::Failed(error)
                }
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use nix::errno::Errno;

    use super::*;
    use crate::os::stream::Socket;

    /// A listener that fails as it is told, the first time.
    struct Failing(Option<Errno>);

    impl Listener for Failing {
        type Stream = Socket;

        fn accept(&mut self) -> io::Result<(Socket, Option<SocketAddr>)> {
            Err(self.0.take().map_or(io::ErrorKind::WouldBlock.into(), io::Error::from))
        }
    }

    fn ready(error: Errno) -> Acceptor<Failing> {
        let mut acceptor = Acceptor::new(Failing(Some(error)), Tag(3));
        assert!(acceptor.latch(Readiness::READABLE), "it should run now");
        acceptor
    }

    #[test]
    fn errors_are_sorted_in_three() {
        for harmless in [Errno::EINTR, Errno::ECONNABORTED] {
            let mut acceptor = ready(harmless);
            assert!(matches!(acceptor.accept(), Accepted::Again), "{harmless}");
            assert!(acceptor.is_ready() && !acceptor.is_retrying(), "the next one may wait");
            assert!(matches!(acceptor.accept(), Accepted::BacklogEmpty));
            assert!(!acceptor.is_ready());
        }
        for lack in [Errno::EMFILE, Errno::ENFILE, Errno::ENOBUFS, Errno::ENOMEM] {
            let mut acceptor = ready(lack);
            assert!(matches!(acceptor.accept(), Accepted::Failed(_)), "{lack}");
            assert!(acceptor.is_ready() && acceptor.is_retrying(), "no edge will tell when there is more");
        }
    }

    #[test]
    fn after_a_failure_an_event_only_merges_until_the_next_try() {
        let mut acceptor = ready(Errno::EMFILE);
        assert!(matches!(acceptor.accept(), Accepted::Failed(_)));
        assert!(!acceptor.latch(Readiness::READABLE), "a new SYN is no reason to try again");
        assert!(matches!(acceptor.accept(), Accepted::BacklogEmpty));
        assert!(acceptor.latch(Readiness::READABLE), "nothing is lacking any more");
    }

    #[test]
    fn a_drain_looks_once_more_whatever_the_latch_says() {
        let mut acceptor = Acceptor::new(Failing(None), Tag(3));
        assert!(!acceptor.is_ready() && !acceptor.draining);
        acceptor.drain();
        assert!(acceptor.is_ready() && acceptor.draining);
        assert_eq!(acceptor.tag, Tag(3));
    }
}
