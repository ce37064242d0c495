//! The schedule of an open loop: when message number k is due, whatever the server does.

use std::time::Duration;

/// Rates in messages a second: `from` at the beginning, rising or falling evenly to `to` within `ramp`, and `to` ever
/// after.
///
/// By the time `t` of the ramp `from·t + (to − from)·t² / 2·ramp` messages are due; [`Schedule::due`] is the inverse of
/// that. Each moment is worked out from the number of the message and not from the moment before, so that errors do not
/// add up.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at the beginning.
    pub from: f64,
    /// The rate in the end.
    pub to: f64,
    /// How long the way from the one to the other takes.
    pub ramp: Duration,
}

impl Schedule {
    /// The same rate all the time.
    pub fn steady(rate: f64) -> Schedule {
        Schedule { from: rate, to: rate, ramp: Duration::ZERO }
    }

    /// When message number `number`, counted from 0, is due, from the beginning of the schedule. A rate of 0 makes it
    /// never.
    pub fn due(&self, number: u64) -> Duration {
        let number = number as f64;
        let ramp = self.ramp.as_secs_f64();
        let in_ramp = (self.from + self.to) / 2.0 * ramp;
        let seconds = if number < in_ramp {
            let slope = (self.to - self.from) / ramp;
            // The root of slope/2·t² + from·t − number, in the form that is exact where the slope is next to nothing.
            let root = (self.from * self.from + 2.0 * slope * number).max(0.0).sqrt();
            if self.from + root > 0.0 { 2.0 * number / (self.from + root) } else { 0.0 }
        } else {
            ramp + (number - in_ramp) / self.to
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
    }

    /// How many messages are due before `end`.
    pub fn due_before(&self, end: Duration) -> u64 {
        let (seconds, ramp) = (end.as_secs_f64(), self.ramp.as_secs_f64());
        let within = seconds.min(ramp);
        let slope = if ramp > 0.0 { (self.to - self.from) / ramp } else { 0.0 };
        let due = self.from * within + slope * within * within / 2.0 + self.to * (seconds - within);
        // The estimate is off by a rounding at most.
        let mut count = due as u64;
        while count > 0 && self.due(count - 1) >= end {
            count -= 1;
        }
        while self.due(count) < end {
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_steady_rate_is_evenly_spaced_and_does_not_drift() {
        let schedule = Schedule::steady(1_000.0);
        assert_eq!(schedule.due(0), Duration::ZERO);
        assert_eq!(schedule.due(1), Duration::from_millis(1));
        assert_eq!(schedule.due(3_600_000_000), Duration::from_secs(3_600_000));
        assert_eq!(schedule.due_before(Duration::from_secs(10)), 10_000);
        assert_eq!(Schedule::steady(3.0).due_before(Duration::from_secs(1)), 3);
    }

    #[test]
    fn a_ramp_holds_the_integral_of_its_rate() {
        for (from, to) in [(0.0, 1_000.0), (1_000.0, 10.0), (500.0, 500.0), (100.0, 100.000_001)] {
            let schedule = Schedule { from, to, ramp: Duration::from_secs(10) };
            let within = (from + to) / 2.0 * 10.0;
            assert!(schedule.due_before(Duration::from_secs(10)).abs_diff(within as u64) <= 1, "{from}:{to}");
            let half = from * 5.0 + (to - from) / 10.0 * 12.5;
            assert!(schedule.due_before(Duration::from_secs(5)).abs_diff(half as u64) <= 1, "{from}:{to}");
            let after = schedule.due_before(Duration::from_secs(12)) - schedule.due_before(Duration::from_secs(10));
            assert!(after.abs_diff((to * 2.0) as u64) <= 1, "{from}:{to}");
        }
    }

    #[test]
    fn no_message_is_due_before_the_one_before_it() {
        let schedule = Schedule { from: 0.0, to: 5_000.0, ramp: Duration::from_secs(2) };
        let moments: Vec<Duration> = (0..20_000).map(|number| schedule.due(number)).collect();
        assert!(moments.is_sorted());
    }

    #[test]
    fn at_a_rate_of_zero_nothing_is_due() {
        let schedule = Schedule::steady(0.0);
        assert_eq!(schedule.due(1), Duration::MAX);
        assert_eq!(schedule.due(0), Duration::MAX);
    }
}
