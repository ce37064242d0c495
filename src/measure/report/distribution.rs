//! How latencies are spread, in a few steps: what a small histogram of text shows.

use hdrhistogram::Histogram;

/// How many latencies lie in one step.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Bin {
    /// Where it begins, in nanoseconds.
    pub(super) low: f64,
    /// Where the next one begins.
    pub(super) high: f64,
    /// Latencies in it.
    pub(super) count: u64,
}

/// Steps that can be taken in at a glance.
const STEPS_MAX: usize = 14;

/// The steps from the first to the last that holds something, in nanoseconds: 1, 2, 5, 10, ... where these are few
/// enough, else tenfolds.
pub(super) fn steps(histogram: &Histogram<u64>) -> Vec<Bin> {
    [&[1.0, 2.0, 5.0][..], &[1.0]]
        .into_iter()
        .map(|factors| steps_between(&edges(factors), histogram))
        .find(|steps| steps.len() <= STEPS_MAX || steps.is_empty())
        .unwrap_or_else(|| steps_between(&edges(&[1.0]), histogram))
}

/// Every edge that a time in nanoseconds can have.
fn edges(factors: &[f64]) -> Vec<f64> {
    (0..20).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power))).collect()
}

fn steps_between(edges: &[f64], histogram: &Histogram<u64>) -> Vec<Bin> {
    let mut counts = vec![0u64; edges.len()];
    for recorded in histogram.iter_recorded() {
        // A recorded value stands for all that are equivalent to it, and is the highest of them.
        let value = histogram.lowest_equivalent(recorded.value_iterated_to()).max(1) as f64;
        let step = edges.partition_point(|edge| *edge <= value).saturating_sub(1);
        counts[step] = counts[step].saturating_add(recorded.count_at_value());
    }
    let (Some(first), Some(last)) =
        (counts.iter().position(|count| *count > 0), counts.iter().rposition(|count| *count > 0))
    else {
        return Vec::new();
    };
    let end = |step: usize| edges.get(step + 1).copied().unwrap_or(f64::INFINITY);
    (first..=last).map(|step| Bin { low: edges[step], high: end(step), count: counts[step] }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(values: &[u64]) -> Vec<(f64, f64, u64)> {
        let mut histogram = Histogram::<u64>::new(3).unwrap();
        for value in values {
            histogram.record(*value).unwrap();
        }
        steps(&histogram).into_iter().map(|step| (step.low, step.high, step.count)).collect()
    }

    #[test]
    fn each_latency_lies_in_one_step() {
        assert_eq!(of(&[]), []);
        assert_eq!(of(&[0]), [(1.0, 2.0, 1)]);
        assert_eq!(of(&[150_000, 199_000, 600_000]), [(1e5, 2e5, 2), (2e5, 5e5, 0), (5e5, 1e6, 1)]);
    }

    #[test]
    fn there_are_never_more_steps_than_can_be_taken_in() {
        let wide: Vec<u64> = (0..12).map(|power| 3 * 10u64.pow(power)).collect();
        let steps = of(&wide);
        assert_eq!(steps.len(), 12);
        assert_eq!(steps.iter().map(|(_, _, count)| count).sum::<u64>(), 12);
        assert!(steps.iter().all(|(low, high, _)| (high / low - 10.0).abs() < 1e-6));
    }
}
