//! An axis of a picture: its scale, its ticks, and how they are written.

use std::ops::Range;

use plotters::coord::ranged1d::{KeyPointHint, NoDefaultFormatting, Ranged, ValueFormatter};

/// How values lie on an axis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Scale {
    /// Evenly, from 0 on.
    Linear,
    /// Each tenfold is as long as the next one. Values of 0 and less lie at the beginning.
    Log,
    /// Percentiles from 0 to less than 100: each further nine (90, 99, 99.9, ...) is as long as the one before, as HDR
    /// plots have it.
    Percentile,
}

/// What an axis shows.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    /// What is measured: `latency`, `time`.
    pub label: String,
    /// How values lie on it.
    pub scale: Scale,
    /// How a value at a tick is written, with its unit: see [`human`](crate::measure::report::human).
    pub tick: fn(f64) -> String,
}

/// An axis with the range and the ticks that fit its values.
#[derive(Clone, Debug)]
pub(super) struct Coordinate {
    scale: Scale,
    tick: fn(f64) -> String,
    /// On the scale, not in values.
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

/// The most nines that a percentile has on the axis: no run has more messages than they tell apart.
const NINES_MAX: f64 = 12.0;

/// A tick so little behind the last value, as a ratio, is where an axis may end all the same.
const NEAR: f64 = 1.02;

impl Coordinate {
    /// The axis for these values, with about as many ticks as `wanted`. What is no finite number is passed over.
    pub(super) fn new(axis: &Axis, values: impl Iterator<Item = f64>, wanted: usize) -> Coordinate {
        let wanted = wanted.max(2);
        let finite = values.filter(|value| value.is_finite());
        let (low, high, ticks) = match axis.scale {
            Scale::Linear => linear(finite.fold(0.0, f64::max), wanted),
            Scale::Log => log(finite.filter(|value| *value > 0.0), wanted),
            Scale::Percentile => percentiles(finite.fold(0.0, f64::max), wanted),
        };
        Coordinate { scale: axis.scale, tick: axis.tick, low, high, ticks }
    }

    /// The same, but that a linear axis ends at `last` and not at the tick behind it, unless that is near.
    pub(super) fn ending_at(mut self, last: f64) -> Coordinate {
        if self.scale == Scale::Linear && last > 0.0 && last * NEAR < self.high {
            self.high = last;
            self.ticks.retain(|tick| *tick <= last);
        }
        self
    }

    /// Where a value lies on the scale.
    fn position(&self, value: f64) -> f64 {
        let position = match self.scale {
            Scale::Linear => value,
            Scale::Log => value.max(f64::MIN_POSITIVE).log10(),
            Scale::Percentile => nines(value),
        };
        position.clamp(self.low, self.high)
    }

    /// The value at a place of the scale.
    fn value(&self, position: f64) -> f64 {
        match self.scale {
            Scale::Linear => position,
            Scale::Log => 10f64.powf(position),
            Scale::Percentile => 100.0 - 100.0 * 10f64.powf(-position),
        }
    }

    /// The lowest value.
    pub(super) fn first(&self) -> f64 {
        self.value(self.low)
    }
}

/// How many nines a percentile has: 90 has one, 99 has two.
fn nines(percentile: f64) -> f64 {
    -(1.0 - (percentile / 100.0).clamp(0.0, 1.0)).max(10f64.powf(-NINES_MAX)).log10()
}

fn linear(largest: f64, wanted: usize) -> (f64, f64, Vec<f64>) {
    let largest = if largest > 0.0 { largest.min(1e18) } else { 1.0 };
    let step = round_up(largest / wanted as f64);
    let steps = (largest / step - 1e-9).ceil().max(1.0);
    (0.0, steps * step, (0..=steps as usize).map(|index| index as f64 * step).collect())
}

/// The next larger one of 1, 2 and 5 with zeros.
fn round_up(value: f64) -> f64 {
    let tenfold = 10f64.powf(value.log10().floor());
    let factor = [1.0, 2.0, 5.0].into_iter().find(|factor| factor * tenfold >= value * 0.999_999).unwrap_or(10.0);
    factor * tenfold
}

fn log(values: impl Iterator<Item = f64>, wanted: usize) -> (f64, f64, Vec<f64>) {
    let (low, high) = values.fold((f64::INFINITY, 0f64), |(low, high), value| (low.min(value), high.max(value)));
    let (low, high) = if low <= high { (low.clamp(1e-9, 1e18), high.clamp(1e-9, 1e18)) } else { (1.0, 10.0) };
    let all = |factors: &[f64]| -> Vec<f64> {
        let first = low.log10().floor() as i32;
        let last = high.log10().ceil() as i32;
        (first..=last).flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power))).collect()
    };
    // The axis goes from the tick at or below the lowest value to the one at or above the highest.
    let fine = all(&[1.0, 2.0, 5.0]);
    let first = fine.iter().rposition(|tick| *tick <= low * 1.000_001).unwrap_or(0);
    let last = fine.iter().position(|tick| *tick >= high * 0.999_999).unwrap_or(fine.len() - 1);
    // The last tenfold is not below any value, so behind every first tick there is another.
    let (from, to) = (fine[first], fine[last.max(first + 1)]);
    let within = |ticks: Vec<f64>| -> Vec<f64> {
        let ticks = ticks.into_iter().filter(|tick| (from * 0.999_999..=to * 1.000_001).contains(tick));
        ticks.map(f64::log10).collect()
    };
    let few = [&[1.0, 2.0, 5.0][..], &[1.0, 3.0]].into_iter().map(|factors| within(all(factors)));
    let ticks = few.into_iter().find(|ticks| ticks.len() <= wanted).unwrap_or_else(|| {
        let tenfolds = within(all(&[1.0]));
        let every = tenfolds.len().div_ceil(wanted).max(1);
        tenfolds.into_iter().step_by(every).collect()
    });
    (from.log10(), to.log10(), ticks)
}

fn percentiles(largest: f64, wanted: usize) -> (f64, f64, Vec<f64>) {
    let high = (nines(largest) + 1e-9).max(1.0);
    let every = (high.floor() as usize + 1).div_ceil(wanted).max(1);
    (0.0, high, (0..=high.floor() as usize).step_by(every).map(|nines| nines as f64).collect())
}

impl Ranged for Coordinate {
    type FormatOption = NoDefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (start, end): (i32, i32)) -> i32 {
        let part = (self.position(*value) - self.low) / (self.high - self.low);
        start + (part * f64::from(end - start)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, hint: Hint) -> Vec<f64> {
        if hint.weight().allow_light_points() {
            return Vec::new();
        }
        self.ticks.iter().map(|tick| self.value(*tick)).collect()
    }

    fn range(&self) -> Range<f64> {
        self.value(self.low)..self.value(self.high)
    }
}

impl ValueFormatter<f64> for Coordinate {
    fn format_ext(&self, value: &f64) -> String {
        (self.tick)(*value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::human;

    fn ticks(scale: Scale, values: &[f64], wanted: usize) -> Vec<f64> {
        let axis = Axis { label: String::new(), scale, tick: human::rate_tick };
        let coordinate = Coordinate::new(&axis, values.iter().copied(), wanted);
        coordinate.ticks.iter().map(|tick| (coordinate.value(*tick) * 1e6).round() / 1e6).collect()
    }

    #[test]
    fn linear_ticks_are_round_and_enclose_the_values() {
        assert_eq!(ticks(Scale::Linear, &[3.0, 9.7], 5), [0.0, 2.0, 4.0, 6.0, 8.0, 10.0]);
        assert_eq!(ticks(Scale::Linear, &[10.0], 5).len(), 6, "the last one is the value");
        assert_eq!(ticks(Scale::Linear, &[], 4), [0.0, 0.5, 1.0]);
        assert_eq!(ticks(Scale::Linear, &[0.0], 4), [0.0, 0.5, 1.0]);
    }

    #[test]
    fn an_axis_of_time_ends_with_the_run() {
        let axis = Axis { label: String::new(), scale: Scale::Linear, tick: human::seconds_tick };
        let end = |last: f64| Coordinate::new(&axis, [last].into_iter(), 5).ending_at(last);
        assert_eq!((end(9.95).high, end(9.95).ticks.len()), (10.0, 6));
        assert_eq!((end(10.05).high, end(10.05).ticks.len()), (10.05, 3));
        assert_eq!(end(0.55).high, 0.55);
        assert_eq!(end(0.0).high, 1.0);
    }

    #[test]
    fn log_ticks_are_one_two_five_or_tenfolds() {
        assert_eq!(ticks(Scale::Log, &[120.0, 900.0], 6), [100.0, 200.0, 500.0, 1000.0]);
        assert_eq!(ticks(Scale::Log, &[50.0, 2e6], 6), [100.0, 1e3, 1e4, 1e5, 1e6]);
        assert_eq!(ticks(Scale::Log, &[90.0, 3e5], 5), [100.0, 1e3, 1e4, 1e5]);
        assert_eq!(ticks(Scale::Log, &[100.0, 1_000.0], 6), [100.0, 200.0, 500.0, 1_000.0]);
        assert_eq!(ticks(Scale::Log, &[0.5, 1.0], 6), [0.5, 1.0]);
        assert_eq!(ticks(Scale::Log, &[7.0, 7.0], 6), [5.0, 10.0]);
        assert_eq!(ticks(Scale::Log, &[5.0, 5.0], 6), [5.0, 10.0]);
        assert_eq!(ticks(Scale::Log, &[0.0, -1.0], 6), [1.0, 2.0, 5.0, 10.0]);
    }

    #[test]
    fn percentile_ticks_are_nines() {
        assert_eq!(ticks(Scale::Percentile, &[0.0, 99.99], 6), [0.0, 90.0, 99.0, 99.9, 99.99]);
        assert_eq!(ticks(Scale::Percentile, &[0.0, 100.0], 5).len(), 5);
        assert_eq!(ticks(Scale::Percentile, &[0.0, 99.999], 5), [0.0, 99.0, 99.99], "every other one");
        assert!((nines(100.0) - NINES_MAX).abs() < 1e-9 && NINES_MAX == 12.0);
    }

    #[test]
    fn an_axis_tells_its_lowest_value() {
        let first = |scale, values: [f64; 2]| {
            Coordinate::new(&Axis { label: String::new(), scale, tick: human::rate_tick }, values.into_iter(), 5)
                .first()
        };
        assert_eq!((first(Scale::Linear, [3.0, 5.0]), first(Scale::Log, [120.0, 900.0])), (0.0, 100.0));
    }

    #[test]
    fn a_value_lies_between_the_ends_whatever_it_is() {
        for scale in [Scale::Linear, Scale::Log, Scale::Percentile] {
            let axis = Axis { label: String::new(), scale, tick: human::rate_tick };
            for values in [&[][..], &[f64::NAN, f64::INFINITY], &[1e300, 1e-300], &[5.0, 50.0], &[-3.0]] {
                let coordinate = Coordinate::new(&axis, values.iter().copied(), 5);
                for value in values.iter().chain(&[0.0, 1.0, -1.0, 1e18, f64::MAX]) {
                    let place = coordinate.map(value, (10, 100));
                    assert!((10..=100).contains(&place) || value.is_nan(), "{scale:?} {values:?} {value}: {place}");
                }
                assert!(coordinate.ticks.len() <= 20, "{coordinate:?}");
            }
        }
    }
}
