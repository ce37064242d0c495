//! How a connection came to be, and how far it has come.

use crate::reactor::close_reason::CloseReason;

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A listener accepted it.
    Accepted,
    /// A listener accepted it over a limit of connections, for this reason: it is told so and closed.
    Refused(CloseReason),
    /// A handler asked for it.
    Connected,
    /// It was handed over as it is (standard input, a pipe of signals): it counts for no limit, and a drain leaves it alone.
    Attached,
}

/// How far a connection has come. A phase behind `Open` carries the reason to close with.
///
/// ```text
///   Connecting --> Fresh --> Open --> Flushing --> Lingering --> (closed)
///       |                     |          |             |            ^
///       |                     +----------+-- write error --> Broken -+
///       +---------------------+----------+-- read error, time-out ---+
///                                            (Over until the turn ends)
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The connection is being established.
    Connecting,
    /// Bytes go both ways, for the first turn: the handler is told of the connection, and then the connection settles, however calm it is.
    Fresh,
    /// Bytes go both ways, and a deadline is armed.
    Open,
    /// This side is done but still owes bytes; then it shuts its write side. What is read is dropped.
    Flushing(CloseReason),
    /// Replies and FIN have left. What still comes is read and dropped: closing with unread input would send a RST,
    /// which destroys the replies on their way.
    Lingering(CloseReason),
    /// A write failed, and nothing more can be written. What came before the error is still read, and is offered to a handler
    /// that has not ended its side.
    Broken {
        /// What the write failed with.
        reason: CloseReason,
        /// Whether the handler is offered what is read.
        offers: bool,
    },
    /// The connection is over: the reactor closes it at the end of the turn.
    Over(CloseReason),
}

impl Phase {
    /// The reason to close with, as soon as there is one.
    pub(super) fn reason(self) -> Option<CloseReason> {
        match self {
            Phase::Connecting | Phase::Fresh | Phase::Open => None,
            Phase::Flushing(reason) | Phase::Lingering(reason) | Phase::Over(reason) | Phase::Broken { reason, .. } => {
                Some(reason)
            }
        }
    }

    /// Whether a write has failed.
    pub(super) fn is_broken(self) -> bool {
        matches!(self, Phase::Broken { .. })
    }

    /// Whether bytes go both ways.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Phase::Fresh | Phase::Open)
    }

    /// Whether the handler is offered what is read.
    #[inline]
    pub(super) fn offers(self) -> bool {
        self.is_open() || matches!(self, Phase::Broken { offers: true, .. })
    }
}
