//! What all sources of a reactor share while they are driven.

use crate::clock::Tick;
use crate::handler::Orders;
use crate::limits::Limits;
use crate::log_limit::LogLimit;
use crate::metrics::Metrics;
use crate::net::arena::Arena;
use crate::net::datagram_batch::DatagramBatch;
use crate::net::reply_guard::ReplyGuard;

/// What all sources of a reactor share while they are driven.
pub struct Shared {
    /// This turn's moment.
    pub now: Tick,
    /// The bounds to keep.
    pub limits: Limits,
    /// The scratch memory.
    pub arena: Arena,
    /// The datagrams that a socket has just received.
    pub datagrams: DatagramBatch,
    /// Memory that connections own for queued bytes, in bytes.
    pub queued: usize,
    /// Which datagrams may be answered.
    pub reply_guard: ReplyGuard,
    /// What handlers asked of the reactor.
    pub orders: Orders,
    /// The counters.
    pub metrics: Metrics,
    /// What may still be logged.
    pub log_limit: LogLimit,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(limits: Limits) -> Shared {
        Shared {
            now: Tick::START,
            reply_guard: ReplyGuard::new(limits.datagram_rate),
            limits,
            arena: Arena::new(),
            datagrams: DatagramBatch::default(),
            queued: 0,
            orders: Orders::default(),
            metrics: Metrics::default(),
            log_limit: LogLimit::default(),
        }
    }

    /// Whether the bound on all queued bytes is reached.
    pub fn queue_is_full(&self) -> bool {
        self.queued >= self.limits.queue_limit
    }
}
