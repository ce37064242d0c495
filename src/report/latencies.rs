//! The figures that are read off a histogram.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies in microseconds. Each is none where no message was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Half of the messages took no longer.
    pub p50: Option<f64>,
    /// 90 % of them took no longer.
    pub p90: Option<f64>,
    /// 99 % of them took no longer.
    pub p99: Option<f64>,
    /// 99.9 % of them took no longer.
    pub p999: Option<f64>,
    /// 99.99 % of them took no longer.
    pub p9999: Option<f64>,
    /// The longest.
    pub max: Option<f64>,
    /// Their arithmetic mean. It says little about latencies, which are not spread evenly.
    pub mean: Option<f64>,
}

/// Latencies are recorded in nanoseconds and told in microseconds.
const MICROSECOND: f64 = 1e3;

/// The names of the figures for a person, in the order of [`Latencies::values`].
pub const NAMES: [&str; 7] = ["p50", "p90", "p99", "p99.9", "p99.99", "max", "mean"];

impl Latencies {
    /// The figures of a histogram of nanoseconds.
    pub fn of(histogram: &Histogram<u64>) -> Latencies {
        if histogram.is_empty() {
            return Latencies::default();
        }
        let at = |quantile: f64| Some(histogram.value_at_quantile(quantile) as f64 / MICROSECOND);
        Latencies {
            p50: at(0.5),
            p90: at(0.9),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: Some(histogram.max() as f64 / MICROSECOND),
            mean: Some(histogram.mean() / MICROSECOND),
        }
    }

    /// The figures in the order of [`NAMES`], in microseconds.
    pub fn values(&self) -> [Option<f64>; 7] {
        [self.p50, self.p90, self.p99, self.p999, self.p9999, self.max, self.mean]
    }

    /// Whether these are the figures of the same histogram, but for what writing and reading decimal numbers takes away.
    pub(super) fn agrees_with(&self, other: &Latencies) -> bool {
        self.values().into_iter().zip(other.values()).all(|pair| match pair {
            (Some(one), Some(other)) => (one - other).abs() <= one.abs() * 1e-6,
            (None, None) => true,
            _ => false,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_in_microseconds_and_none_where_there_is_nothing() {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        assert_eq!(Latencies::of(&histogram), Latencies::default());
        for millisecond in 1..=100 {
            histogram.record(millisecond * 1_000_000).unwrap();
        }
        let latencies = Latencies::of(&histogram);
        for (found, expected) in latencies.values().into_iter().zip([50e3, 90e3, 99e3, 100e3, 100e3, 100e3, 50.5e3]) {
            assert!((found.unwrap() - expected).abs() < expected * 0.001, "{latencies:?}");
        }
        assert!(latencies.agrees_with(&latencies) && !latencies.agrees_with(&Latencies::default()));
    }
}
