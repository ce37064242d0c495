//! One source of events: a connection, an acceptor or a datagram socket. What each does is asked here.

use std::io;

use crate::os::clock::Tick;
use crate::os::kernel::Kernel;
use crate::os::key::Key;
use crate::os::readiness::Readiness;
use crate::reactor::acceptor::Acceptor;
use crate::reactor::census::Census;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::datagram::Datagram;
use crate::reactor::handler::Handler;
use crate::reactor::metrics::Row;
use crate::reactor::shared::Shared;
use crate::reactor::step::Step;

/// A source of events. The thousands of connections lie in the slab; the few others are boxed, to keep places small.
pub(crate) enum Source<K: Kernel, S> {
    /// A connection.
    Connection(Connection<K::Stream, S>),
    /// A listening socket.
    Acceptor(Box<Acceptor<K::Listener>>),
    /// A datagram socket.
    Datagram(Box<Datagram<K::Datagram, S>>),
}

impl<K: Kernel, S> Source<K, S> {
    /// Asks the kernel for the source's edges.
    pub(crate) fn register(&mut self, kernel: &mut K, key: Key) -> io::Result<()> {
        match self {
            Source::Connection(connection) => kernel.add_stream(&mut connection.stream, key),
            Source::Acceptor(acceptor) => kernel.add_listener(&mut acceptor.listener, key),
            Source::Datagram(datagram) => kernel.add_datagram(&mut datagram.socket, key),
        }
    }

    /// Merges an event into the latch; true where the source should be driven.
    pub(crate) fn latch(&mut self, readiness: Readiness) -> bool {
        match self {
            Source::Connection(connection) => {
                connection.latch(readiness);
                true
            }
            Source::Acceptor(acceptor) => acceptor.latch(readiness),
            Source::Datagram(datagram) => datagram.latch(readiness),
        }
    }

    /// A handler has woken the source.
    pub(crate) fn wake(&mut self) {
        match self {
            Source::Connection(connection) => connection.wake(),
            Source::Datagram(datagram) => datagram.wake(),
            Source::Acceptor(_) => {}
        }
    }

    /// A deadline has come. Returns the deadline that is left, if it has only moved, and whether the source is to be
    /// driven.
    pub(crate) fn deadline_passed(&mut self, now: Tick, shared: &Shared) -> (Option<Tick>, bool) {
        match self {
            Source::Connection(connection) => return connection.deadline_passed(now, shared),
            Source::Datagram(datagram) => datagram.deadline_passed(now),
            Source::Acceptor(_) => {}
        }
        (None, true)
    }

    /// Begins to drain the source.
    pub(crate) fn drain(&mut self) {
        match self {
            Source::Connection(connection) => connection.drain(),
            Source::Acceptor(acceptor) => acceptor.drain(),
            Source::Datagram(datagram) => datagram.drain(),
        }
    }

    /// Closes the source, and tells the handler.
    pub(crate) fn close<H: Handler<Session = S>>(
        self,
        key: Key,
        row: Row,
        reason: CloseReason,
        handler: &mut H,
        shared: &mut Shared,
        census: &mut Census,
    ) {
        match self {
            Source::Connection(connection) => connection.close(key, row, reason, handler, shared, census),
            Source::Acceptor(_) => shared.tell(key, Step::ListenerClosed),
            Source::Datagram(datagram) => datagram.close(reason, handler, shared),
        }
    }

    /// The invariant: off the ready list and every condition's, the source has a cleared latch for every direction that
    /// it wants, or a retry is due; and its deadline is armed, as `armed`, or something sooner.
    pub(crate) fn keeps_the_invariant(&self, armed: Option<Tick>, shared: &Shared) -> bool {
        match self {
            Source::Connection(connection) => connection.keeps_the_invariant(armed, shared),
            Source::Acceptor(acceptor) => acceptor.keeps_the_invariant(armed),
            Source::Datagram(datagram) => datagram.keeps_the_invariant(armed),
        }
    }

    /// The connection, where the source is one.
    pub(crate) fn connection(&self) -> Option<&Connection<K::Stream, S>> {
        if let Source::Connection(connection) = self { Some(connection) } else { None }
    }

    /// The connection, where the source is one.
    pub(crate) fn connection_mut(&mut self) -> Option<&mut Connection<K::Stream, S>> {
        if let Source::Connection(connection) = self { Some(connection) } else { None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::server::ServerSession;
    use crate::os::kernel::Mio;
    use crate::os::stream::Socket;
    use crate::reactor::sources::Place;

    /// What an idle connection costs beside its deadline and its socket, which is larger with debug assertions (in
    /// mio).
    #[test]
    fn a_place_of_the_server_is_small() {
        assert_eq!(size_of::<Place<Source<Mio, ServerSession>>>() - size_of::<Socket>(), 80);
    }
}
