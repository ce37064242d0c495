//! The figures that servers are compared by.

use crate::measure::compare::round::Round;
use crate::measure::report::human;

/// A figure that servers are compared by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Metric {
    /// Replies a second.
    MessagesPerSecond,
    /// The median latency, in nanoseconds.
    P50,
    /// The 99th percentile of the latency, in nanoseconds.
    P99,
    /// The 99.9th percentile of the latency, in nanoseconds.
    P999,
    /// The server's CPU time a message, user and system, in nanoseconds.
    CpuPerMessage,
    /// The server's memory an idle connection, in bytes.
    IdleMemory,
}

impl Metric {
    /// All of them, in the order in which they are told.
    pub const ALL: [Metric; 6] =
        [Metric::MessagesPerSecond, Metric::P50, Metric::P99, Metric::P999, Metric::CpuPerMessage, Metric::IdleMemory];

    /// What it is called.
    pub fn title(self) -> &'static str {
        match self {
            Metric::MessagesPerSecond => "messages a second",
            Metric::P50 => "latency, median",
            Metric::P99 => "latency, 99th percentile",
            Metric::P999 => "latency, 99.9th percentile",
            Metric::CpuPerMessage => "the server's CPU time a message",
            Metric::IdleMemory => "the server's memory an idle connection",
        }
    }

    /// Whether a server with more of it is the better one.
    pub fn higher_is_better(self) -> bool {
        self == Metric::MessagesPerSecond
    }

    /// Whether it was found with load on the server: then a round in which this program was the bottleneck says little
    /// about it.
    pub fn is_under_load(self) -> bool {
        self != Metric::IdleMemory
    }

    /// Its value in a round; none where it was not measured, or is a percentile that so few messages cannot tell.
    pub fn of(self, round: &Round) -> Option<f64> {
        match self {
            Metric::MessagesPerSecond => Some(round.messages_per_second),
            Metric::P50 => Some(round.p50 as f64),
            Metric::P99 => Some(round.p99 as f64).filter(|_| round.messages >= 100),
            Metric::P999 => Some(round.p999 as f64).filter(|_| round.messages >= 1_000),
            Metric::CpuPerMessage => round.cpu_per_message,
            Metric::IdleMemory => round.idle_memory,
        }
    }

    /// A value as a person reads it, with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Metric::MessagesPerSecond => human::rate(value),
            Metric::IdleMemory => human::bytes(value),
            Metric::P50 | Metric::P99 | Metric::P999 | Metric::CpuPerMessage => human::latency(value),
        }
    }
}
