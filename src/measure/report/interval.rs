//! The course of a run, stretch by stretch.

use serde::{Deserialize, Serialize};

use crate::measure::load::outcome;

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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_stretch_is_told_in_seconds_and_its_latencies_in_microseconds() {
        let kept = outcome::Interval {
            start: Duration::from_secs(3),
            length: Duration::from_millis(500),
            replies: 4,
            errors: 1,
            p50: 1_500,
            p99: 2_000,
            max: 3_000,
        };
        let told = Interval::of(&kept);
        assert_eq!((told.start_s, told.middle(), told.per_second(told.replies)), (3.0, 3.25, Some(8.0)));
        assert_eq!((told.p50_us, told.p99_us, told.max_us), (Some(1.5), Some(2.0), Some(3.0)));
        assert_eq!(Interval::of(&outcome::Interval { replies: 0, ..kept }).p50_us, None);
        assert_eq!(Interval { length_s: 0.0, ..told }.per_second(1), None);
    }
}
