//! The figures that servers are compared by.

use crate::measure::compare::round::Round;
use crate::measure::report::human;
use crate::reactor::named::named;

named! {
    /// A figure that servers are compared by, by its name in JSON.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Metric {
        /// Replies a second.
        MessagesPerSecond = "messages_per_s",
        /// The median latency, in microseconds.
        P50 = "p50_us",
        /// The 99th percentile of the latency, in microseconds.
        P99 = "p99_us",
        /// The 99.9th percentile of the latency, in microseconds.
        P999 = "p999_us",
        /// The server's CPU time a message, user and system, in microseconds.
        CpuPerMessage = "cpu_us_per_message",
        /// The server's memory an idle connection, in bytes.
        IdleMemory = "memory_per_idle_connection",
    }
}

/// How values are written.
#[derive(Clone, Copy, Debug)]
pub struct Unit {
    /// What an axis measures.
    pub label: &'static str,
    /// A value as a person reads it.
    pub show: fn(f64) -> String,
    /// A value at a tick of an axis.
    pub tick: fn(f64) -> String,
}

const RATE: Unit = Unit { label: "messages a second", show: human::rate, tick: human::rate_tick };
const MICROSECONDS: Unit = Unit { label: "time", show: human::micros, tick: human::micros_tick };
const BYTES: Unit = Unit { label: "memory", show: human::bytes, tick: human::bytes_tick };

impl Metric {
    /// What it is called, and how its values are written.
    fn words(self) -> (&'static str, Unit) {
        match self {
            Metric::MessagesPerSecond => ("messages a second", RATE),
            Metric::P50 => ("latency, median", MICROSECONDS),
            Metric::P99 => ("latency, 99th percentile", MICROSECONDS),
            Metric::P999 => ("latency, 99.9th percentile", MICROSECONDS),
            Metric::CpuPerMessage => ("the server's CPU time a message", MICROSECONDS),
            Metric::IdleMemory => ("the server's memory an idle connection", BYTES),
        }
    }

    /// What it is called.
    pub fn title(self) -> &'static str {
        self.words().0
    }

    /// How its values are written.
    pub fn unit(self) -> Unit {
        self.words().1
    }

    /// Whether a server with more of it is the better one.
    pub(crate) fn higher_is_better(self) -> bool {
        self == Metric::MessagesPerSecond
    }

    /// Whether it was found with load on the server: then a round in which this program was the bottleneck says little
    /// about it.
    pub fn is_under_load(self) -> bool {
        self != Metric::IdleMemory
    }

    /// Its value in a round; `None` if it was not measured, or is a percentile that so few messages cannot tell.
    pub fn of(self, round: &Round) -> Option<f64> {
        match self {
            Metric::MessagesPerSecond => Some(round.messages_per_s),
            Metric::P50 => Some(round.latency_us.p50),
            Metric::P99 => Some(round.latency_us.p99).filter(|_| round.messages >= 100),
            Metric::P999 => Some(round.latency_us.p999).filter(|_| round.messages >= 1_000),
            Metric::CpuPerMessage => round.cpu_us_per_message,
            Metric::IdleMemory => round.memory_per_idle_connection,
        }
    }

    /// A value as a person reads it, with its unit.
    pub fn show(self, value: f64) -> String {
        (self.unit().show)(value)
    }
}
