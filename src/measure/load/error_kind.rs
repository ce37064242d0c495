//! What can go wrong in a run of load.

use std::io;

use crate::reactor::close_reason::CloseReason;
use crate::reactor::named::named;

named! {
    /// What can go wrong. The order is the one in which they are told.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
    pub enum ErrorKind {
        /// Nobody listens there.
        Refused = "refused",
        /// The connection was not established in time.
        ConnectTimeout = "connect-timeout",
        /// The kernel connected a socket to itself: nobody listens there.
        SelfConnect = "self-connect",
        /// No local port is left towards this server (`EADDRNOTAVAIL`; `EADDRINUSE` if a datagram socket asks for one).
        NoPort = "no-port",
        /// No descriptor is left (`EMFILE`, `ENFILE`).
        NoDescriptor = "no-descriptor",
        /// The system has no memory for a socket (`ENOMEM`, `ENOBUFS`).
        NoMemory = "no-memory",
        /// The server dropped a connection.
        Reset = "reset",
        /// The server ended a connection on which it owed an answer, or had never given one.
        Closed = "closed",
        /// A reply on a stream did not come in time, and the connection was closed.
        TimedOut = "timed-out",
        /// A message was longer than a datagram can be.
        TooLong = "too-long",
        /// A reply was not what it had to be, and the connection was closed.
        WrongReply = "wrong-reply",
        /// A reply of unknown text was longer than it may be, and the connection was closed.
        ReplyTooLong = "reply-too-long",
        /// Bytes came that answer nothing.
        Unexpected = "unexpected",
        /// A message was never answered, because its connection or the run ended: it follows from one of the others, or
        /// from a server that is too slow.
        Unanswered = "unanswered",
        /// Another error of the system, of one of these kinds.
        Other(io::ErrorKind) = "other",
    }
}

impl ErrorKind {
    /// What the end of a connection, or the failure of a connect, amounts to.
    pub fn of(reason: CloseReason) -> ErrorKind {
        match reason {
            CloseReason::ConnectRefused => ErrorKind::Refused,
            CloseReason::ConnectTimeout => ErrorKind::ConnectTimeout,
            CloseReason::SelfConnect => ErrorKind::SelfConnect,
            CloseReason::NoDescriptor => ErrorKind::NoDescriptor,
            CloseReason::Reset => ErrorKind::Reset,
            CloseReason::FrameTooLong => ErrorKind::TooLong,
            CloseReason::Failed(io::ErrorKind::AddrNotAvailable) => ErrorKind::NoPort,
            // So bind(2) tells that no port is left to choose from, which a datagram socket asks for (`ip(7)`).
            CloseReason::Failed(io::ErrorKind::AddrInUse) => ErrorKind::NoPort,
            CloseReason::Failed(io::ErrorKind::OutOfMemory) => ErrorKind::NoMemory,
            CloseReason::Failed(kind) => ErrorKind::Other(kind),
            CloseReason::System(_) => ErrorKind::Other(io::ErrorKind::Other),
            _ => ErrorKind::Closed,
        }
    }

    /// Whether it tells of this machine's limits or this process's, and of no server.
    pub fn is_own_limit(self) -> bool {
        matches!(self, ErrorKind::NoPort | ErrorKind::NoDescriptor | ErrorKind::NoMemory)
    }

    /// Its name in reports. Another error of the system has that of its kind there.
    pub fn reported(self) -> String {
        match self {
            ErrorKind::Other(io::ErrorKind::NotFound) => "not-found".to_owned(),
            ErrorKind::Other(io::ErrorKind::InvalidInput) => "invalid-address".to_owned(),
            ErrorKind::Other(kind) => kind.to_string().replace(' ', "-"),
            kind => kind.name().to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_end_has_its_kind() {
        use std::io::ErrorKind::{AddrInUse, AddrNotAvailable, NotFound, OutOfMemory};
        for (reason, name) in [
            (CloseReason::ConnectRefused, "refused"),
            (CloseReason::ConnectTimeout, "connect-timeout"),
            (CloseReason::SelfConnect, "self-connect"),
            (CloseReason::NoDescriptor, "no-descriptor"),
            (CloseReason::Reset, "reset"),
            (CloseReason::FrameTooLong, "too-long"),
            (CloseReason::PeerClosed, "closed"),
            (CloseReason::Failed(AddrNotAvailable), "no-port"),
            (CloseReason::Failed(AddrInUse), "no-port"),
            (CloseReason::Failed(OutOfMemory), "no-memory"),
            (CloseReason::Failed(NotFound), "not-found"),
        ] {
            assert_eq!(ErrorKind::of(reason).reported(), name);
        }
    }
}
