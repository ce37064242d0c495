//! How a connection came to be, and how far it has come.

/// How a connection came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A listener accepted it.
    Accepted,
    /// A listener accepted it over a limit of connections: it is told so and closed.
    Refused,
    /// A handler asked for it.
    Connected,
    /// It was handed over as it is (standard input, a pipe of signals): it counts for no limit, and a drain leaves it alone.
    Attached,
}

/// How far a connection has come.
///
/// ```text
///   Connecting --> Open --> Flushing --> Lingering --> (closed)
///                   |           |                         ^
///                   +-----------+-- error, time-out, EOF -+
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The connection is being established.
    Connecting,
    /// Bytes go both ways.
    Open,
    /// This side is done but still owes bytes; then it shuts its write side. What is read is dropped.
    Flushing,
    /// Replies and FIN have left. What still comes is read and dropped: closing with unread input would send a RST,
    /// which destroys the replies on their way.
    Lingering,
}
