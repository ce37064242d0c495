//! The figures that are read off a histogram.

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

/// Latencies in microseconds. Each is `None` if no message was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Latencies {
    /// Half of the messages took no longer.
    pub p50: Option<f64>,
    /// 90 % of them took no longer.
    pub p90: Option<f64>,
    /// 95 % of them took no longer; none in older reports.
    pub p95: Option<f64>,
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
pub const NAMES: [&str; 8] = ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "mean"];

/// How many of them are percentiles: the first ones.
pub(super) const PERCENTILES: usize = 6;

/// Each of the percentiles as one in how many messages takes longer.
const RARITIES: [u64; PERCENTILES] = [2, 10, 20, 100, 1_000, 10_000];

/// How many of the percentiles, from the first on, this number of messages can tell: of one in a thousand, fewer than a
/// thousand messages tell nothing but their slowest.
fn told(messages: u64) -> usize {
    RARITIES.iter().filter(|rarity| **rarity <= messages).count()
}

/// The highest percentile that this number of messages can tell: 99, say. `None` if they can tell none.
pub fn highest_told(messages: u64) -> Option<f64> {
    let rarity = *RARITIES[..told(messages)].last()?;
    Some((100 * rarity - 100) as f64 / rarity as f64)
}

/// The lowest percentile that this number of messages cannot tell, and how many it takes; `None` if they tell all.
pub(super) fn first_untold(messages: u64) -> Option<(&'static str, u64)> {
    let told = told(messages);
    Some((NAMES[told], *RARITIES.get(told)?))
}

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
            p95: at(0.95),
            p99: at(0.99),
            p999: at(0.999),
            p9999: at(0.9999),
            max: Some(histogram.max() as f64 / MICROSECOND),
            mean: Some(histogram.mean() / MICROSECOND),
        }
    }

    /// The figures in the order of [`NAMES`], in microseconds.
    pub fn values(&self) -> [Option<f64>; 8] {
        [self.p50, self.p90, self.p95, self.p99, self.p999, self.p9999, self.max, self.mean]
    }

    /// The same without the percentiles that this number of messages cannot tell.
    pub fn told_by(&self, messages: u64) -> [Option<f64>; 8] {
        let mut values = self.values();
        values[told(messages)..PERCENTILES].fill(None);
        values
    }

    /// Whether these are the figures of the same histogram, but for the rounding of decimal numbers. Older reports do
    /// not tell p95.
    pub(super) fn agrees_with(&self, other: &Latencies) -> bool {
        let told = Latencies { p95: self.p95.or(other.p95), ..*self };
        told.values().into_iter().zip(other.values()).all(|pair| match pair {
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
        for (found, expected) in
            latencies.values().into_iter().zip([50e3, 90e3, 95e3, 99e3, 100e3, 100e3, 100e3, 50.5e3])
        {
            assert!((found.unwrap() - expected).abs() < expected * 0.001, "{latencies:?}");
        }
        assert!(latencies.agrees_with(&latencies) && !latencies.agrees_with(&Latencies::default()));
    }

    #[test]
    fn a_percentile_is_told_where_a_message_lies_above_it() {
        for (messages, highest, first_untold) in [
            (0, None, Some(("p50", 2))),
            (1, None, Some(("p50", 2))),
            (19, Some(90.0), Some(("p95", 20))),
            (20, Some(95.0), Some(("p99", 100))),
            (50, Some(95.0), Some(("p99", 100))),
            (999, Some(99.0), Some(("p99.9", 1_000))),
            (1_000, Some(99.9), Some(("p99.99", 10_000))),
            (10_000, Some(99.99), None),
        ] {
            assert_eq!((highest_told(messages), super::first_untold(messages)), (highest, first_untold), "{messages}");
        }
        let one = |millis| Some(f64::from(millis) * 1e3);
        let all = Latencies {
            p50: one(1),
            p90: one(2),
            p95: one(3),
            p99: one(4),
            max: one(9),
            mean: one(5),
            ..Latencies::default()
        };
        assert_eq!(all.told_by(50), [one(1), one(2), one(3), None, None, None, one(9), one(5)]);
    }
}
