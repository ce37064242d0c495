//! The course of a run, stretch by stretch.

/// A stretch of the run, in the units of a report.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[cfg_attr(feature = "cli", derive(serde::Serialize, serde::Deserialize))]
pub struct Interval {
    /// When it began, in seconds from the beginning of the measured time.
    pub start_s: f64,
    /// How long it took, in seconds.
    pub length_s: f64,
    /// Replies that came in it.
    pub replies: u64,
    /// Things that went wrong in it.
    pub errors: u64,
    /// Latency percentile of its replies in microseconds, from the due time; `None` if no reply came.
    pub p50_us: Option<f64>,
    /// See `p50_us`.
    pub p99_us: Option<f64>,
    /// The longest of its latencies in microseconds; `None` if no reply came.
    pub max_us: Option<f64>,
}

impl Interval {
    /// What of `count` things in it came in a second; `None` if it took no time.
    pub fn per_second(&self, count: u64) -> Option<f64> {
        (self.length_s > 0.0).then(|| count as f64 / self.length_s)
    }

    /// Its middle, in seconds.
    pub fn middle(&self) -> f64 {
        self.start_s + self.length_s / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_over_the_length_and_none_where_there_is_no_length() {
        let interval = Interval { start_s: 3.0, length_s: 0.5, replies: 4, ..Interval::default() };
        assert_eq!((interval.middle(), interval.per_second(interval.replies)), (3.25, Some(8.0)));
        assert_eq!(Interval { length_s: 0.0, ..interval }.per_second(1), None);
    }
}
