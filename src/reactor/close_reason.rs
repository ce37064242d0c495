//! Why a connection ended.

use std::fmt;
use std::io;

use nix::errno::Errno;

use crate::os::reason;
use crate::reactor::named::named;

named! {
    /// Why a connection ended. Every connection has exactly one reason; the summary counts them.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum CloseReason {
        /// The peer ended its side, got what it was owed, and that was that.
        PeerClosed = "peer-closed",
        /// This side ended the conversation: `bye`, or a client that is done.
        Ended = "ended",
        /// The server drained: it answered what had arrived, and closed.
        Drained = "drained",
        /// The drain's time was up before the connection was done.
        DrainTimeout = "drain-timeout",
        /// The peer reset the connection (`ECONNRESET`, `EPIPE`).
        Reset = "reset",
        /// No byte came in and none went out for the idle timeout, or the peer took nothing of what it is owed,
        /// whatever it sent.
        IdleTimeout = "idle-timeout",
        /// A message was begun and not finished within the idle timeout.
        IncompleteTimeout = "incomplete-timeout",
        /// After a half-close, nothing moved for the half-closed timeout.
        HalfClosedTimeout = "half-closed-timeout",
        /// A message was longer than the limit allows.
        FrameTooLong = "frame-too-long",
        /// The peer's side ended in the middle of a message that announced its length.
        FrameTruncated = "frame-truncated",
        /// The connection limit was reached: the newcomer was told so and closed.
        Refused = "refused-at-limit",
        /// Nobody listens there (`ECONNREFUSED`).
        ConnectRefused = "connect-refused",
        /// The connection was not established in time.
        ConnectTimeout = "connect-timeout",
        /// The kernel connected the socket to itself, over an ephemeral port on which nobody listens.
        SelfConnect = "self-connect",
        /// The reactor was stopped at once.
        Aborted = "aborted",
        /// Another error of the system, by its kind.
        Failed(io::ErrorKind) |
        /// Another error of the system that has no kind, by its number (`errno(3)`). A connection keeps it, so it is
        /// small.
        System(u8) = "failed",
        /// A message was still incomplete while the queues of all connections together were full.
        QueueLimit = "queue-limit",
        /// No descriptor was left for a connection (`EMFILE`, `ENFILE`).
        NoDescriptor = "no-descriptor",
        /// The newcomer's source had as many connections as one source may have: it was told so and closed.
        RefusedSource = "refused-at-source-limit",
    }
}

impl CloseReason {
    /// The reason that an I/O error amounts to.
    pub fn of_error(error: &io::Error) -> CloseReason {
        use io::ErrorKind::{BrokenPipe, ConnectionRefused, ConnectionReset, OutOfMemory};
        match error.kind() {
            ConnectionReset | BrokenPipe => CloseReason::Reset,
            ConnectionRefused => CloseReason::ConnectRefused,
            // The kernel lacks memory for sockets, for which the standard library has no kind.
            _ if error.raw_os_error() == Some(Errno::ENOBUFS as i32) => CloseReason::Failed(OutOfMemory),
            kind => match error.raw_os_error().map(Errno::from_raw) {
                Some(errno) if reason::is_unknown(kind) => {
                    u8::try_from(errno as i32).map_or(CloseReason::Failed(kind), CloseReason::System)
                }
                _ => CloseReason::Failed(kind),
            },
        }
    }

    /// The reason that an error while connecting amounts to.
    pub fn of_connect_error(error: &io::Error) -> CloseReason {
        if matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::EMFILE | Errno::ENFILE)) {
            return CloseReason::NoDescriptor;
        }
        match error.kind() {
            io::ErrorKind::TimedOut => CloseReason::ConnectTimeout,
            _ => CloseReason::of_error(error),
        }
    }

    /// Whether bytes that the peer has not taken are dropped, and a RST tells it that something is missing. Otherwise
    /// the kernel goes on offering them, and then the FIN.
    pub fn drops_owed(self) -> bool {
        use CloseReason::{Aborted, DrainTimeout, HalfClosedTimeout, IdleTimeout};
        // The peer took nothing for its whole time, and the kernel could do no more for it; or the reply is cut
        // whatever is done, and a FIN would pass for its end.
        matches!(self, IdleTimeout | HalfClosedTimeout | DrainTimeout | Aborted)
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())?;
        match self {
            CloseReason::Failed(kind) => write!(f, " ({})", reason::of_kind(*kind)),
            CloseReason::System(errno) => {
                write!(f, " ({})", reason::of(&io::Error::from_raw_os_error(i32::from(*errno))))
            }
            _ => Ok(()),
        }
    }
}
