//! One stream of the simulated machine, with both its ends: what is under way, what the peer plans, and what the
//! handler has told of it. Bytes are never kept: the byte at each position follows from the link's name, so counting
//! them is enough.

use cooee::os::key::Key;
use cooee::reactor::close_reason::CloseReason;

use crate::support::service::{Service, byte_at};

/// What a newcomer over the connection limit is told.
pub const FAREWELL: &[u8] = b"busy";

/// What the handler does with a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    Echo,
    /// Answers messages of three bytes twice.
    Twice,
    /// Echoes, but takes what it likes and pauses when it likes.
    Fickle,
    /// Echoes so many bytes and ends the conversation.
    Bye(usize),
    /// Echoes so many bytes, half-closes, and goes on receiving.
    HalfClose(usize),
    /// Sends so many bytes unasked, as fast as they are taken, and ends.
    Source(usize),
    /// The other side of an echo: sends so many bytes and expects them back.
    Client(usize),
}

/// How far a connect of this side has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Connecting {
    Pending,
    Refused,
    WithItself,
    Established,
}

/// One stream.
#[derive(Clone, Debug)]
pub struct Link {
    pub name: usize,
    pub role: Role,
    /// TCP, or a stream on which a short read proves nothing.
    pub is_tcp: bool,
    pub key: Option<Key>,
    pub connecting: Connecting,

    // From the peer to the server.
    pub inbound_capacity: usize,
    pub sent: usize,
    pub received: usize,
    pub largest_read: usize,
    /// The last turn in which it was read, and how many bytes were.
    pub read_in_turn: (u64, usize),
    /// The position of an urgent mark: a read does not go past it.
    pub mark: Option<usize>,
    /// The peer's FIN has arrived.
    pub fin: bool,
    /// The connection has read 0 or an error.
    pub read_ended_at: Option<u64>,
    /// The peer's RST has arrived.
    pub reset: bool,
    /// The error of the RST has not been told yet.
    pub error_pending: bool,

    // From the server to the peer.
    pub outbound_capacity: usize,
    pub written: usize,
    pub delivered: usize,
    /// A write answered `WouldBlock`: an edge is owed when there is space.
    pub write_blocked: bool,
    /// A write has failed.
    pub broken: bool,
    pub shut_at: Option<u64>,
    /// How often its write side was shut: a handler may half-close it first.
    pub shuts: usize,
    /// When bytes had moved last, at that time.
    pub quiet_at_shut: u64,
    pub closed_at: Option<u64>,
    /// What was under way when the connection was closed with unread input is lost.
    pub destroyed: bool,
    /// The connection has given the peer up.
    pub abandoned: bool,
    /// When the peer took something last.
    pub delivered_at: u64,

    // The peer.
    pub to_send: usize,
    /// It does not read until the simulation is calm.
    pub is_deaf: bool,
    /// It sends nothing more until the simulation is calm.
    pub is_mute: bool,
    /// It has closed its socket: what it gets is answered with a RST.
    pub gone: bool,
    pub scheduled: bool,

    // What the handler has told.
    pub opened_at: Option<u64>,
    pub refused_at: Option<u64>,
    pub paused: bool,
    pub finished_at: Option<u64>,
    pub half_closed: bool,
    /// When the handler wants to be called.
    pub tick_at: Option<u64>,
    pub taken: usize,
    pub answered: usize,
    pub reason: Option<CloseReason>,

    // For the checks.
    /// Bytes of an incomplete message after the last turn.
    pub kept: usize,
    pub accepted_at: Option<u64>,
    pub read_at: u64,
    pub written_at: u64,
    /// What had arrived when the drain began.
    pub drain_target: Option<usize>,
}

impl Link {
    /// A stream on which nothing has happened yet.
    pub fn new(name: usize, role: Role, is_tcp: bool, capacities: (usize, usize)) -> Link {
        Link {
            name,
            role,
            is_tcp,
            key: None,
            connecting: Connecting::Established,
            inbound_capacity: capacities.0,
            sent: 0,
            received: 0,
            largest_read: 0,
            read_in_turn: (0, 0),
            mark: None,
            fin: false,
            read_ended_at: None,
            reset: false,
            error_pending: false,
            outbound_capacity: capacities.1,
            written: 0,
            delivered: 0,
            write_blocked: false,
            broken: false,
            shut_at: None,
            shuts: 0,
            quiet_at_shut: 0,
            closed_at: None,
            destroyed: false,
            abandoned: false,
            delivered_at: 0,
            to_send: 0,
            is_deaf: false,
            is_mute: false,
            gone: false,
            scheduled: false,
            opened_at: None,
            refused_at: None,
            paused: false,
            finished_at: None,
            half_closed: false,
            tick_at: None,
            taken: 0,
            answered: 0,
            reason: None,
            kept: 0,
            accepted_at: None,
            read_at: 0,
            written_at: 0,
            drain_target: None,
        }
    }

    /// Whether the server holds its end.
    pub fn is_open(&self) -> bool {
        self.key.is_some() && self.closed_at.is_none()
    }

    /// Bytes that have arrived and are not read.
    pub fn unread(&self) -> usize {
        self.sent - self.received
    }

    /// Bytes that the server has written and the peer has not got.
    pub fn under_way(&self) -> usize {
        self.written - self.delivered
    }

    /// Bytes that the handler has answered and the kernel has not taken.
    pub fn owed(&self) -> usize {
        self.answered - self.written
    }

    /// Whether a read would give something, be it 0 or an error.
    pub fn is_readable(&self) -> bool {
        self.unread() > 0 || self.fin || self.reset
    }

    /// Whether a write would take something, or fail.
    pub fn is_writable(&self) -> bool {
        self.under_way() < self.outbound_capacity || self.reset
    }

    /// Whether the peer has read 0: the server has ended its side and everything has arrived.
    pub fn peer_sees_end(&self) -> bool {
        (self.shut_at.is_some() || self.closed_at.is_some()) && (self.under_way() == 0 || self.destroyed)
    }

    /// How much the peer sends in all. The other side of a client sends back what it got.
    pub fn goal(&self) -> usize {
        match self.role {
            Role::Client(_) => self.delivered,
            _ => self.to_send,
        }
    }

    /// The byte that the peer must find at `position`.
    pub fn answer_at(&self, position: usize) -> u8 {
        if self.refused_at.is_some() {
            return FAREWELL[position];
        }
        let source = match self.role {
            Role::Twice => Service::Twice.source_of(position, self.received),
            _ => position,
        };
        let asked = matches!(self.role, Role::Source(_) | Role::Client(_));
        assert!(asked || source < self.received, "link {}: an answer to what was not asked yet", self.name);
        byte_at(self.name, source)
    }
}
