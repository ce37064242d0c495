//! One source of events, whatever it is.

use crate::os::kernel::Kernel;
use crate::os::readiness::Readiness;
use crate::reactor::acceptor::Acceptor;
use crate::reactor::connection::Connection;
use crate::reactor::datagram::Datagram;

/// A source of events. Connections lie in the slab themselves, for there are thousands; the few others are boxed, so
/// that they do not make every place larger.
pub enum Source<K: Kernel, S> {
    /// A connection.
    Connection(Connection<K::Stream, S>),
    /// A listening socket.
    Acceptor(Box<Acceptor<K::Listener>>),
    /// A datagram socket.
    Datagram(Box<Datagram<K::Datagram, S>>),
}

impl<K: Kernel, S> Source<K, S> {
    /// Merges an event into the latch; true where the source should run now.
    pub fn latch(&mut self, readiness: Readiness) -> bool {
        match self {
            Source::Connection(connection) => {
                connection.latch(readiness);
                true
            }
            Source::Acceptor(acceptor) => acceptor.latch(readiness),
            Source::Datagram(datagram) => datagram.latch(readiness),
        }
    }

    /// Begins to drain it.
    pub fn drain(&mut self) {
        match self {
            Source::Connection(connection) => connection.drain(),
            Source::Acceptor(acceptor) => acceptor.drain(),
            Source::Datagram(datagram) => datagram.drain(),
        }
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
