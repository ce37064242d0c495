//! Whether the figures of a report can be true together. A report comes from a file that anybody may have written.

use crate::measure::report::latencies::Latencies;
use crate::measure::report::objective::Found;
use crate::measure::report::{Report, VERSION};

/// Counts above it are not exact in the JSON of most programs, and no run comes near.
const COUNT_MAX: u64 = 1 << 53;

/// The longest run, in seconds: 31 years.
const DURATION_MAX: f64 = 1e9;

/// Whether a value can be an amount: zero, or more. Zero has no minus, which would begin a formula in a table.
pub(crate) fn is_amount(value: f64) -> bool {
    value.is_finite() && value.is_sign_positive()
}

/// Pictures and tables are made for people: a report with more than this is refused.
const KINDS_MAX: usize = 1_000;
const CONDITIONS_MAX: usize = 10_000;
const INTERVALS_MAX: usize = 1_000_000;

impl Report {
    /// Whether the figures can be true together; an error says which cannot.
    pub fn check(&self) -> Result<(), String> {
        if self.version != VERSION {
            return Err(format!("its version is {}, and this program knows version {VERSION}", self.version));
        }
        self.check_counts()?;
        self.check_rates()?;
        self.check_latencies()?;
        self.check_intervals()?;
        self.objective.as_ref().map_or(Ok(()), check_objective)?;
        if self.valid != self.doubts.is_empty() {
            return Err("valid and doubts contradict each other".to_owned());
        }
        if self.conditions.is_empty() || self.conditions.len() > CONDITIONS_MAX {
            return Err(format!("it has {} conditions: one a run is told", self.conditions.len()));
        }
        if let Some(conditions) = self.conditions.iter().find(|conditions| conditions.began().is_none()) {
            return Err(format!("conditions.began is no time: {}", conditions.began));
        }
        Ok(())
    }

    fn check_counts(&self) -> Result<(), String> {
        let Report { held, ended, lost, duplicated, reordered, corrupt, surplus, surplus_bytes, .. } = *self;
        let optional = [held, ended, lost, duplicated, reordered, corrupt, surplus, surplus_bytes];
        let counts = [self.connections, self.due, self.sent, self.messages, self.replies, self.reply_bytes, self.late];
        let counts = counts.into_iter().chain(optional.into_iter().flatten()).chain(self.errors.values().copied());
        if let Some(count) = counts.chain([self.error_count()]).find(|count| *count > COUNT_MAX) {
            return Err(format!("it has counted up to {count}: nobody has"));
        }
        if self.errors.len() > KINDS_MAX {
            return Err(format!("it has {} kinds of errors", self.errors.len()));
        }
        if self.sent > self.due {
            return Err(format!("sent is {}, and due are only {}", self.sent, self.due));
        }
        if self.late > self.sent {
            return Err(format!("late is {}, and sent is only {}", self.late, self.sent));
        }
        if let Some(held) = self.held.filter(|held| *held > self.sent) {
            return Err(format!("held is {held}, and sent is only {}", self.sent));
        }
        Ok(())
    }

    fn check_rates(&self) -> Result<(), String> {
        let amounts = [
            ("duration_s", self.duration_s),
            ("messages_per_s", self.messages_per_s),
            ("bytes_per_s", self.bytes_per_s),
            ("generator_cpu_s", self.generator_cpu_s),
            ("generator_idle_polling_s", self.generator_idle_polling_s.unwrap_or(0.0)),
            ("server_cpu_s", self.server_cpu_s.unwrap_or(0.0)),
            ("held_s", self.held_s.unwrap_or(0.0)),
            ("rested_s", self.rested_s.unwrap_or(0.0)),
            ("in_vain_longest_us", self.in_vain_longest_us.unwrap_or(0.0)),
        ];
        check_amounts(amounts)?;
        if self.duration_s > DURATION_MAX {
            return Err(format!("duration_s is {}", self.duration_s));
        }
        // Of merged runs, each has a duration of its own.
        if self.conditions.len() == 1 && self.duration_s > 0.0 {
            for (name, rate, count) in [
                ("messages_per_s", self.messages_per_s, self.replies),
                ("bytes_per_s", self.bytes_per_s, self.reply_bytes),
            ] {
                let expected = count as f64 / self.duration_s;
                if (rate - expected).abs() > expected * 1e-3 {
                    return Err(format!("{name} is {rate}, and the counts give {expected}"));
                }
            }
        }
        Ok(())
    }

    fn check_latencies(&self) -> Result<(), String> {
        for (name, latencies, histogram) in [
            ("latency_us", &self.latency_us, &self.histogram),
            ("send_latency_us", &self.send_latency_us, &self.send_histogram),
        ] {
            if histogram.len() != self.messages {
                return Err(format!("messages is {}, and a histogram holds {}", self.messages, histogram.len()));
            }
            check_amounts(latencies.values().into_iter().flatten().map(|value| (name, value)))?;
            if !latencies.agrees_with(&Latencies::of(histogram)) {
                return Err(format!("{name} is not what its histogram says"));
            }
        }
        let in_vain = self.due.saturating_sub(self.messages);
        if let Some(told) = self.in_vain.filter(|told| *told != in_vain) {
            return Err(format!("in_vain is {told}, and of {} messages {} were answered", self.due, self.messages));
        }
        Ok(())
    }

    fn check_intervals(&self) -> Result<(), String> {
        if self.intervals.len() > INTERVALS_MAX {
            return Err(format!("it has {} intervals", self.intervals.len()));
        }
        let is_time = |seconds: f64| is_amount(seconds) && seconds <= DURATION_MAX;
        let mut last = 0.0;
        for interval in &self.intervals {
            let latencies = [interval.p50_us, interval.p99_us, interval.max_us];
            let are_latencies = latencies.into_iter().flatten().all(is_amount);
            if !is_time(interval.start_s) || !is_time(interval.length_s) || !are_latencies {
                return Err("an interval has a time that is none".to_owned());
            }
            if interval.start_s < last {
                return Err("its intervals are not in order".to_owned());
            }
            if interval.replies > COUNT_MAX || interval.errors > COUNT_MAX {
                return Err("an interval has counted what nobody can".to_owned());
            }
            last = interval.start_s;
        }
        Ok(())
    }
}

fn check_amounts<'a>(amounts: impl IntoIterator<Item = (&'a str, f64)>) -> Result<(), String> {
    let wrong = amounts.into_iter().find(|(_, amount)| !is_amount(*amount));
    wrong.map_or(Ok(()), |(name, amount)| Err(format!("{name} is {amount}")))
}

/// Of a search: its objective, its closed loop, and each rate that was tried.
fn check_objective(found: &Found) -> Result<(), String> {
    let ends = [("objective.limit_us", Some(found.limit_us)), ("objective.rate", found.rate)];
    let closed = found.closed_loop.iter().flat_map(|closed| {
        let (rate, latency) = (Some(closed.messages_per_s), closed.latency_us);
        [("objective.closed_loop.messages_per_s", rate), ("objective.closed_loop.latency_us", latency)]
    });
    let steps = found
        .steps
        .iter()
        .flat_map(|step| [("objective.steps.rate", Some(step.rate)), ("objective.steps.latency_us", step.latency_us)]);
    check_amounts(ends.into_iter().chain(closed).chain(steps).filter_map(|(name, amount)| Some((name, amount?))))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    /// Why a report of a closed loop is refused that was changed so.
    fn refusal(change: impl FnOnce(&mut Report)) -> String {
        let mut report = runs::closed();
        change(&mut report);
        report.check().err().unwrap_or_default()
    }

    #[test]
    fn a_report_has_the_conditions_of_one_run_or_of_some() {
        let conditions = |count: usize| refusal(|report| report.conditions = vec![runs::conditions(); count]);
        assert!(conditions(0).contains("has 0 conditions") && conditions(10_001).contains("has 10001 conditions"));
        assert_eq!((conditions(1), conditions(10_000)), (String::new(), String::new()));
    }
    /// The same of a merged report, whose rates are not what its counts give.
    fn refusal_merged(change: impl FnOnce(&mut Report)) -> String {
        refusal(|report| {
            report.conditions = vec![runs::conditions(); 2];
            change(report);
        })
    }

    #[test]
    fn counts_are_such_as_somebody_may_have_counted() {
        assert_eq!(refusal_merged(|report| report.reply_bytes = 1 << 53), "");
        assert!(refusal_merged(|report| report.reply_bytes = (1 << 53) + 1).contains("nobody has"));
        let kinds =
            |count: usize| refusal(|report| report.errors = (0..count).map(|number| (number.to_string(), 0)).collect());
        assert_eq!(kinds(1_000), "");
        assert!(kinds(1_001).contains("1001 kinds"));
        assert!(refusal(|report| report.sent = report.due + 1).starts_with("sent is"));
        assert_eq!(refusal(|report| report.late = report.sent), "");
        assert!(refusal(|report| report.late = report.sent + 1).starts_with("late is"));
    }

    #[test]
    fn rates_are_what_the_counts_give() {
        for part in [0.998, 1.002] {
            assert!(refusal(|report| report.messages_per_s *= part).starts_with("messages_per_s is"));
            assert!(refusal(|report| report.bytes_per_s *= part).starts_with("bytes_per_s is"));
            assert_eq!(refusal_merged(|report| report.bytes_per_s *= part), "");
        }
        assert_eq!(refusal(|report| report.messages_per_s *= 1.0005), "");
        assert_eq!(refusal(|report| (report.duration_s, report.messages_per_s) = (0.0, 7.0)), "", "there is no time");
        for wrong in [-1.0, f64::NAN, f64::INFINITY] {
            assert!(refusal(|report| report.generator_cpu_s = wrong).starts_with("generator_cpu_s is"));
        }
        assert_eq!(refusal_merged(|report| report.duration_s = 1e9), "");
        assert!(refusal_merged(|report| report.duration_s = 1.1e9).starts_with("duration_s is"));
    }

    #[test]
    fn intervals_are_stretches_of_time_in_their_order() {
        let interval = |change: fn(&mut crate::measure::load::interval::Interval)| {
            refusal(|report| change(&mut report.intervals[3]))
        };
        assert_eq!(interval(|interval| interval.p50_us = None), "");
        assert!(interval(|interval| interval.start_s = -0.1).contains("time that is none"));
        assert!(interval(|interval| interval.length_s = f64::NAN).contains("time that is none"));
        assert!(interval(|interval| interval.max_us = Some(-1.0)).contains("time that is none"));
        assert!(interval(|interval| interval.p99_us = Some(f64::INFINITY)).contains("time that is none"));
        assert!(interval(|interval| interval.start_s = 1.0).contains("not in order"));
        assert!(interval(|interval| interval.replies = (1 << 53) + 1).contains("what nobody can"));
        assert!(interval(|interval| interval.errors = (1 << 53) + 1).contains("what nobody can"));
        assert_eq!(interval(|interval| (interval.replies, interval.errors) = (1 << 53, 1 << 53)), "");
    }
}
