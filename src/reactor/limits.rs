//! The bounds that a reactor keeps, each with its default and its reason.

use std::time::Duration;

/// The bounds that a reactor keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are served at once; newcomers over it are refused.
    pub max_connections: usize,
    /// Connections that are served at once for one source: an IPv4 address, or an IPv6 /64. Unix sockets have none.
    pub max_connections_per_source: Option<usize>,
    /// How long a connection may be silent in both directions, a peer may take nothing of what it is owed, and a
    /// message may stay incomplete. None: without limit.
    pub idle_timeout: Option<Duration>,
    /// How long nothing may move after one side has ended.
    pub half_closed_timeout: Duration,
    /// How long a connection may take to be established.
    pub connect_timeout: Duration,
    /// How long what a peer still sends is read and dropped after replies and FIN have left: closing with unread input
    /// would send a RST, which destroys the reply in flight.
    pub linger_timeout: Duration,
    /// The same for a newcomer that was refused, and how long telling it may take. Few are told at a time, so this is
    /// just long enough to read and drop a request that was sent at once. What arrives later is answered with a RST,
    /// when the peer has the refusal already.
    pub refusal_timeout: Duration,
    /// How long a drain may take in all.
    pub drain_timeout: Duration,
    /// Bytes owed to one peer at which it is not read any more: the high-water mark of back-pressure. The answers to
    /// one read may be owed beyond it.
    pub write_limit: usize,
    /// Bytes owed or kept for all connections together. With two thirds owed, connections that owe are not read; with a
    /// third kept of incomplete messages, those that cost the most are closed (see
    /// [`Room`](crate::reactor::room::Room)).
    pub queue_limit: usize,
    /// Bytes read from one connection a turn, so that one with much to send does not keep others waiting.
    pub read_budget: usize,
    /// The most connections that read before any of them writes. With one, each answer leaves as soon as it was made,
    /// which a measurement of time wants, and which costs some batching.
    pub group: usize,
    /// Replies a second that a datagram socket sends to one source address.
    pub datagram_rate: DatagramRate,
    /// How long after the last event the reactor polls without sleeping. None: it sleeps at once. Waking a process
    /// takes many times as long as answering a message; not sleeping takes a whole core.
    pub busy_poll: Option<Duration>,
}

/// Replies a second that a datagram socket sends to one source address. All addresses of an IPv6 /64 together get at
/// most five times as many ([`ReplyRate`](crate::reactor::datagram::reply_rate::ReplyRate)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DatagramRate {
    /// Unlimited for sources on this machine's loopback, so many for every other.
    Outside(u32),
    /// So many for every source.
    Everyone(u32),
    /// Unlimited.
    Unlimited,
}

impl Limits {
    /// The most that one read takes. A read buffer of 256 KiB serves 64 KiB messages at about four fifths of the CPU
    /// time of a 64 KiB one, and small ones at the same cost.
    pub const READ_MAX: usize = 256 * 1024;

    /// The most that a read takes while a part of the queue limit is reached. A connection that owes nothing still
    /// reads then, but can add no more than this.
    pub const LEAN_READ: usize = 4 * 1024;
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            max_connections: 10_000,
            max_connections_per_source: None,
            idle_timeout: Some(Duration::from_secs(300)),
            half_closed_timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(5),
            linger_timeout: Duration::from_secs(5),
            refusal_timeout: Duration::from_millis(20),
            drain_timeout: Duration::from_secs(10),
            write_limit: 64 * 1024,
            queue_limit: 128 * 1024 * 1024,
            read_budget: Limits::READ_MAX,
            // From 8 on no size showed a difference (docs/decisions/0002).
            group: 32,
            datagram_rate: DatagramRate::Outside(200),
            busy_poll: None,
        }
    }
}
