//! One entry of the slab: a source of events, and what the reactor itself remembers of it.

use crate::clock::Tick;
use crate::net::acceptor::Acceptor;
use crate::net::connection::Connection;
use crate::net::datagram::Datagram;
use crate::reactor::kernel::Kernel;
use crate::readiness::Readiness;

/// What a source is. Connections lie in the slab themselves, for there are thousands; the few others are boxed, so that they do
/// not make every entry larger.
pub enum Kind<K: Kernel, S> {
    /// A connection.
    Connection(Connection<K::Stream, S>),
    /// A listening socket.
    Acceptor(Box<Acceptor<K::Listener>>),
    /// A datagram socket.
    Datagram(Box<Datagram<K::Datagram, S>>),
}

/// A source in the slab.
pub struct Source<K: Kernel, S> {
    /// It is on the ready list.
    pub listed: bool,
    /// It is on a condition's list.
    pub waiting: bool,
    /// The deadline that is armed for it.
    pub armed: Option<Tick>,
    /// What it is.
    pub kind: Kind<K, S>,
}

impl<K: Kernel, S> Source<K, S> {
    /// A source that is on no list yet.
    pub fn new(kind: Kind<K, S>) -> Source<K, S> {
        Source { listed: false, waiting: false, armed: None, kind }
    }

    /// Merges an event into the latch; true where the source should run now.
    pub fn latch(&mut self, readiness: Readiness) -> bool {
        match &mut self.kind {
            Kind::Connection(connection) => {
                connection.latch(readiness);
                true
            }
            Kind::Acceptor(acceptor) => acceptor.latch(readiness),
            Kind::Datagram(datagram) => datagram.latch(readiness),
        }
    }

    /// Begins to drain it.
    pub fn drain(&mut self) {
        match &mut self.kind {
            Kind::Connection(connection) => connection.drain(),
            Kind::Acceptor(acceptor) => acceptor.drain(),
            Kind::Datagram(datagram) => datagram.drain(),
        }
    }
}
