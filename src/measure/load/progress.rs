//! How far a run of load has come.

use std::time::Duration;

/// How far a run has come.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Progress {
    /// What it does.
    pub stage: Stage,
    /// How long it has run, from the first connect on.
    pub elapsed: Duration,
    /// How much of the measured time or of the messages is done, 0 to 1.
    pub done: f64,
    /// Connections that are established.
    pub connections: usize,
    /// Replies a second since the last look.
    pub messages_per_second: f64,
    /// The 99th percentile of the measured latencies so far, in nanoseconds; none before there are enough to tell it.
    pub p99: Option<u64>,
    /// Measured messages that were given up so far.
    pub in_vain: u64,
    /// Things that went wrong so far.
    pub errors: u64,
}

/// What a run does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Opening connections.
    Connecting,
    /// Sending without counting.
    WarmingUp,
    /// Measuring.
    Measuring,
    /// Waiting for what is outstanding.
    Waiting,
    /// All is answered. Looking whether more comes, which would show that something else was taken for replies.
    Listening,
}
