//! The state of a connection: how it came to be, how far it has come, and what holds beside that.

use bitflags::bitflags;

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
    /// It was handed over as it is (standard input, a pipe of signals). It counts for no limit, and a drain leaves it.
    Attached,
}

/// How far a connection has come. A phase behind `Open` carries the reason to close with.
///
/// ```text
///                                        +---- the peer has ended ---+
///                                        |                           v
///   Connecting --> Fresh --> Open --> Flushing --> Lingering --> (closed)
///       |                     |          |             |             ^
///       |                     +----------+-- write error --> Broken -+
///       +---------------------+----------+-- read error, time-out ---+
///                                            (Over until the turn ends)
/// ```
///
/// All payloads are alike, so that the phase has a byte of its own: decoding a niche would cost each message some
/// instructions.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The connection is being established.
    Connecting,
    /// Bytes go both ways, for the first turn: the handler is called, and the connection settles, however calm it is.
    Fresh,
    /// Bytes go both ways, and a deadline is armed.
    Open,
    /// This side is done but still owes bytes. What is read is dropped. Then, if the peer has ended its side, the
    /// connection closes; otherwise it shuts its write side, and lingers.
    Flushing(CloseReason),
    /// Replies and FIN have left. What still comes is read and dropped, because closing with unread input sends a RST,
    /// which destroys the replies on their way.
    Lingering(CloseReason),
    /// A write failed, and nothing more can be written. What came before the error is still read and offered.
    Broken(CloseReason),
    /// The same once the handler has ended its side: what came before the error is read and dropped.
    BrokenEnded(CloseReason),
    /// The connection is over, and the reactor is about to close it.
    Over(CloseReason),
}

impl Phase {
    /// The reason to close with, as soon as there is one.
    pub(super) fn reason(self) -> Option<CloseReason> {
        match self {
            Phase::Connecting | Phase::Fresh | Phase::Open => None,
            Phase::Flushing(reason)
            | Phase::Lingering(reason)
            | Phase::Broken(reason)
            | Phase::BrokenEnded(reason)
            | Phase::Over(reason) => Some(reason),
        }
    }

    /// Whether a write has failed.
    pub(super) fn is_broken(self) -> bool {
        matches!(self, Phase::Broken(_) | Phase::BrokenEnded(_))
    }

    /// Whether bytes go both ways.
    pub(super) fn is_open(self) -> bool {
        matches!(self, Phase::Fresh | Phase::Open)
    }

    /// Whether the handler is offered what is read.
    #[inline]
    pub(super) fn offers(self) -> bool {
        self.is_open() || matches!(self, Phase::Broken(_))
    }
}

bitflags! {
    /// What holds of a connection beside its phase: most often nothing, which is one comparison.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub(in crate::reactor) struct Flags: u16 {
        /// The peer's side has ended: nothing more will be read.
        const READ_ENDED = 1;
        /// The handler left bytes although they may be complete: they are offered again before anything is read.
        const HELD_BACK = 1 << 1;
        /// The handler wants to be woken before it is offered anything.
        const PAUSED = 1 << 2;
        /// The handler was told that the write limit is reached, and is called when there is room again.
        const FULL = 1 << 3;
        /// What is owed is the last: then the write side is shut, and reading goes on.
        const FIN_DUE = 1 << 4;
        /// The handler's `tick` is due.
        const TICKING = 1 << 5;
        /// A deadline has passed: unless something moves in this turn, the connection is over.
        const EXPIRING = 1 << 6;
        /// The reactor drains: what has arrived is answered, then this side ends.
        const DRAINING = 1 << 7;
        /// The connection waits for room in the queues of all connections, and is not read.
        const AWAITING_ROOM = 1 << 8;
        /// The peer took nothing of what the kernel held between two time-outs.
        const STUCK = 1 << 9;
        /// This side's FIN was sent, and reading goes on.
        const FIN_SENT = 1 << 10;
        /// What is sent does not answer what is read.
        const FULL_DUPLEX = 1 << 11;
    }
}
