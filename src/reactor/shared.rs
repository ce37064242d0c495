//! What all sources of a reactor share while they are driven.

use log::LevelFilter;

use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::reactor::arena::Arena;
use crate::reactor::datagram::batch::DatagramBatch;
use crate::reactor::datagram::reply_guard::ReplyGuard;
use crate::reactor::handler::Orders;
use crate::reactor::limits::Limits;
use crate::reactor::log_limit::LogLimit;
use crate::reactor::metrics::Metrics;
use crate::reactor::room::Room;
use crate::reactor::step::Step;

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
    /// Which datagrams may be answered.
    pub reply_guard: ReplyGuard,
    /// The memory of all queues, and what is left of it.
    pub room: Room,
    /// What handlers asked of the reactor.
    pub orders: Orders,
    /// The counters.
    pub metrics: Metrics,
    /// What may still be logged.
    pub log_limit: LogLimit,
    /// The level up to which steps are told, which is looked up once a turn.
    pub told: LevelFilter,
}

impl Shared {
    /// Nothing has happened yet.
    pub fn new(limits: Limits) -> Shared {
        Shared {
            now: Tick::START,
            reply_guard: ReplyGuard::new(limits.datagram_rate),
            room: Room::new(limits.queue_limit),
            limits,
            arena: Arena::default(),
            datagrams: DatagramBatch::default(),
            orders: Orders::default(),
            metrics: Metrics::default(),
            log_limit: LogLimit::default(),
            told: log::max_level(),
        }
    }

    /// Tells a step of the source `key`, or of the whole loop, if its level is shown.
    #[inline(always)]
    pub fn tell(&self, key: impl Into<Option<Key>>, step: Step<'_>) {
        if step.level() <= self.told {
            log_step(key.into(), &step);
        }
    }
}

#[cold]
fn log_step(key: Option<Key>, step: &Step<'_>) {
    match key {
        Some(key) => log::log!(target: step.target(), step.level(), "{key} {step}"),
        None => log::log!(target: step.target(), step.level(), "{step}"),
    }
}
