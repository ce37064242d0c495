//! The bounds that a reactor keeps, each with its default and its reason.

use std::time::Duration;

/// The bounds that a reactor keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections that are served at once; newcomers over it are refused.
    pub max_connections: usize,
    /// Connections that are served at once for one source: an IPv4 address, or an IPv6 /64. None: as many as there may
    /// be. Unix sockets have no source.
    pub max_connections_per_source: Option<usize>,
    /// How long a connection may be silent in both directions; how long a peer may take nothing of what it is owed,
    /// whatever it sends; and how long a message may stay incomplete. None: for ever.
    pub idle_timeout: Option<Duration>,
    /// How long nothing may move after one side has ended: a peer that does not read its last reply is not waited for
    /// longer.
    pub half_closed_timeout: Duration,
    /// How long a connection may take to be established.
    pub connect_timeout: Duration,
    /// How long what a peer still sends is read and dropped after both replies and FIN have left.
    ///
    /// Closing with unread input sends a RST, which destroys the reply in flight; a peer that never closes is not
    /// waited for longer.
    pub linger_timeout: Duration,
    /// The same for a newcomer that was refused, and how long it may take to be told. Few are told at a time, and
    /// others wait for that: so it is just long enough for a request that was sent at once to be read and dropped. What
    /// arrives later is answered with a RST, which finds the farewell with the peer already.
    pub refusal_timeout: Duration,
    /// How long a drain may take in all.
    pub drain_timeout: Duration,
    /// Bytes owed to one peer at which nothing more is read from it: the high-water mark of back-pressure. What one
    /// read brought may be owed beyond it.
    pub write_limit: usize,
    /// Bytes owed or kept for all connections together. At two thirds of it, owed, those who owe are not read any more;
    /// at the third that is left, kept of incomplete messages, those that cost the most are closed (see
    /// [`Room`](crate::reactor::room::Room)).
    pub queue_limit: usize,
    /// Bytes read from one connection a turn, so that a firehose waits for its turn like a ping does.
    pub read_budget: usize,
    /// Connections that read, at the most, before any of them writes. One: each connection's answer leaves right after
    /// it was made, which whoever measures time wants, and costs some batching.
    pub group: usize,
    /// Replies a second that a datagram socket sends to one source address.
    pub datagram_rate: DatagramRate,
    /// How long after the last event the reactor asks for the next one again and again before it sleeps. None: it
    /// sleeps at once.
    ///
    /// To wake a process that sleeps takes many times as long as to answer a message; not to sleep takes a whole core.
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
    /// The most that one read takes, and so the most that one connection can have in the arena: a read buffer of 256
    /// KiB serves 64 KiB messages at about four fifths of the CPU time of a 64 KiB one, and small ones at the same
    /// cost.
    pub const READ_MAX: usize = 256 * 1024;

    /// The most that a read takes while a part of the queue limit is reached. A connection that owes nothing still
    /// reads then, so that well-behaved clients notice nothing, but each can add no more than this.
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
