//! Why a connection ended.

use std::fmt;
use std::io;
use std::mem;

use nix::errno::Errno;

use crate::os::reason;

/// Why a connection ended. Every connection has exactly one reason; the summary counts them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CloseReason {
    /// The peer ended its side, and got what it was owed.
    PeerClosed,
    /// This side ended the conversation: `bye`, or a client that is done.
    Ended,
    /// The server drained: it answered what had arrived, and closed.
    Drained,
    /// The drain's deadline came before the connection was done.
    DrainTimeout,
    /// The peer reset the connection (`ECONNRESET`, `EPIPE`).
    Reset,
    /// No byte moved for the idle timeout, or the peer took nothing of what it is owed, whatever it sent.
    IdleTimeout,
    /// A message was begun and not finished within the idle timeout.
    IncompleteTimeout,
    /// After a half-close, nothing moved for the half-closed timeout.
    HalfClosedTimeout,
    /// A message was longer than the limit allows.
    FrameTooLong,
    /// A message was still incomplete while the queues of all connections together were full.
    QueueLimit,
    /// The peer's side ended in the middle of a message that announced its length.
    FrameTruncated,
    /// The connection limit was reached: the newcomer was told so and closed.
    Refused,
    /// The newcomer's source had as many connections as one source may have: it was told so and closed.
    RefusedSource,
    /// No socket listens there (`ECONNREFUSED`).
    ConnectRefused,
    /// The connection was not established in time.
    ConnectTimeout,
    /// The kernel connected the socket to itself, over an ephemeral port on which no socket listens.
    SelfConnect,
    /// The reactor was stopped at once.
    Aborted,
    /// No descriptor was left for a connection (`EMFILE`, `ENFILE`).
    NoDescriptor,
    /// Another error of the system, by its kind.
    Failed(io::ErrorKind),
    /// Another error of the system that has no kind, by its number (`errno(3)`).
    System(u8),
}

impl CloseReason {
    /// How many reasons the summary tells apart.
    pub const COUNT: usize = 19;

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

    /// Whether bytes that the peer has not taken are dropped, and a RST tells it that something is missing. Otherwise the
    /// kernel goes on offering them, and then the FIN.
    pub fn drops_owed(self) -> bool {
        match self {
            // The peer took nothing for its whole time: the kernel could do no more for it.
            CloseReason::IdleTimeout | CloseReason::HalfClosedTimeout => true,
            // The reply is cut whatever is done, and a FIN would pass for its end.
            CloseReason::DrainTimeout | CloseReason::Aborted => true,
            // Everything was written, or a last word was, to a peer that may be slow; or there is no peer.
            _ => false,
        }
    }

    /// The reason's place in a table of [`CloseReason::COUNT`] counters.
    pub fn index(self) -> usize {
        let kind = if let CloseReason::System(_) = self { Self::FAILED } else { self };
        let is_same = |(other, _): &(CloseReason, _)| mem::discriminant(other) == mem::discriminant(&kind);
        CloseReason::NAMES.iter().position(is_same).unwrap_or_default()
    }

    /// The word for the reason at `index`, as the summary prints it.
    pub fn name(index: usize) -> &'static str {
        CloseReason::NAMES[index].1
    }

    /// Any error that has no reason of its own.
    const FAILED: CloseReason = CloseReason::Failed(io::ErrorKind::Other);

    /// In the order of the summary.
    const NAMES: [(CloseReason, &str); CloseReason::COUNT] = [
        (CloseReason::PeerClosed, "peer-closed"),
        (CloseReason::Ended, "ended"),
        (CloseReason::Drained, "drained"),
        (CloseReason::DrainTimeout, "drain-timeout"),
        (CloseReason::Reset, "reset"),
        (CloseReason::IdleTimeout, "idle-timeout"),
        (CloseReason::IncompleteTimeout, "incomplete-timeout"),
        (CloseReason::HalfClosedTimeout, "half-closed-timeout"),
        (CloseReason::FrameTooLong, "frame-too-long"),
        (CloseReason::FrameTruncated, "frame-truncated"),
        (CloseReason::Refused, "refused-at-limit"),
        (CloseReason::ConnectRefused, "connect-refused"),
        (CloseReason::ConnectTimeout, "connect-timeout"),
        (CloseReason::SelfConnect, "self-connect"),
        (CloseReason::Aborted, "aborted"),
        (CloseReason::FAILED, "failed"),
        (CloseReason::QueueLimit, "queue-limit"),
        (CloseReason::NoDescriptor, "no-descriptor"),
        (CloseReason::RefusedSource, "refused-at-source-limit"),
    ];
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(CloseReason::name(self.index()))?;
        match self {
            CloseReason::Failed(kind) => write!(f, " ({})", reason::of_kind(*kind)),
            CloseReason::System(errno) => {
                write!(f, " ({})", reason::of(&io::Error::from_raw_os_error(i32::from(*errno))))
            }
            _ => Ok(()),
        }
    }
}
