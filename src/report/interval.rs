//! The course of a run, stretch by stretch.

use serde::{Deserialize, Serialize};

use crate::load::outcome;

/// A stretch of the run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// When it began, in seconds from the beginning of the measured time.
    pub start_s: f64,
    /// How long it took, in seconds.
    pub length_s: f64,
    /// Replies that came in it.
    pub replies: u64,
    /// Things that went wrong in it.
    pub errors: u64,
    /// Latency percentile of its replies in microseconds; none where no reply came.
    pub p50_us: Option<f64>,
    /// See `p50_us`.
    pub p99_us: Option<f64>,
    /// The longest of its latencies in microseconds; none where no reply came.
    pub max_us: Option<f64>,
}

impl Interval {
    /// What the generator has kept, in the units of a report.
    pub(super) fn of(interval: &outcome::Interval) -> Interval {
        let latency = |nanoseconds: u64| (interval.replies > 0).then_some(nanoseconds as f64 / 1e3);
        Interval {
            start_s: interval.start.as_secs_f64(),
            length_s: interval.length.as_secs_f64(),
            replies: interval.replies,
            errors: interval.errors,
            p50_us: latency(interval.p50),
            p99_us: latency(interval.p99),
            max_us: latency(interval.max),
        }
    }

    /// What of `count` things in it came in a second; none where it took no time.
    pub(super) fn per_second(&self, count: u64) -> Option<f64> {
        (self.length_s > 0.0).then(|| count as f64 / self.length_s)
    }

    /// Its middle, in seconds.
    pub(super) fn middle(&self) -> f64 {
        self.start_s + self.length_s / 2.0
    }
}
