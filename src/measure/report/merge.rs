//! Several runs as one: the same load, from several machines at the same time.
//!
//! Histograms and counts add up, and so do rates, if the runs ran at the same time. Percentiles never do: they are read
//! off the added histogram.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::measure::load::chance;
use crate::measure::load::interval::Interval;
use crate::measure::load::outcome::{Doubt, Outcome};
use crate::measure::report::conditions::MEASURED;
use crate::measure::report::latencies::Latencies;
use crate::measure::report::{Report, advice, human, latencies};

/// The share of the longest run during which all have to have run, for their rates to be added. Machines do not start
/// at the very same moment, and their clocks differ a little.
const TOGETHER: f64 = 0.8;

/// The runs as one; the names are those of their files. The error says why they cannot be merged.
pub fn merge(runs: &[(String, Report)]) -> Result<Report, String> {
    let [(first_name, first), rest @ ..] = runs else { return Err("there is nothing to merge".to_owned()) };
    let mut merged = first.clone();
    for (name, run) in rest {
        refuse_different((first_name, first), (name, run))?;
        if let Some(same) = merged.conditions.iter().find(|conditions| run.conditions.contains(conditions)) {
            return Err(format!("{name}: the run that began at {} on {} would count twice", same.began, same.host));
        }
        add(&mut merged, run)?;
    }
    if rest.is_empty() {
        return Ok(merged);
    }
    merged.latency_us = Latencies::of(&merged.histogram);
    merged.send_latency_us = Latencies::of(&merged.send_histogram);
    merged.percentiles_up_to = latencies::highest_told(merged.messages);
    merged.in_vain = Some(merged.due.saturating_sub(merged.messages));
    merged.intervals = intervals(runs);
    merged.doubts = runs
        .iter()
        .flat_map(|(name, run)| run.doubts.iter().map(move |doubt| format!("{name}: {doubt}")))
        .chain(not_together(runs))
        .collect();
    if merged.doubts.is_empty() {
        merged.doubts.extend(late_in_all(&merged));
    }
    merged.valid = merged.doubts.is_empty();
    merged.check()?;
    Ok(merged)
}

/// Runs that have measured different things have no sum.
fn refuse_different((one_name, one): (&str, &Report), (name, run): (&str, &Report)) -> Result<(), String> {
    let differs = |what: &str, one: &str, other: &str| {
        Err(format!("{one_name} and {name} cannot be merged: their {what} differ ({one}, {other})"))
    };
    if one.endpoint != run.endpoint {
        return differs("endpoints", &one.endpoint, &run.endpoint);
    }
    if one.pace != run.pace {
        return differs("loops", one.pace.name(), run.pace.name());
    }
    let option = |report: &Report, flag: &str| {
        report.conditions.first().and_then(|conditions| conditions.options.get(flag).cloned()).unwrap_or_default()
    };
    for flag in MEASURED {
        if option(one, flag) != option(run, flag) {
            return differs(&format!("--{flag}"), &option(one, flag), &option(run, flag));
        }
    }
    Ok(())
}

fn add(merged: &mut Report, run: &Report) -> Result<(), String> {
    let too_different = |error: hdrhistogram::errors::AdditionError| format!("histograms cannot be added: {error}");
    for (sum, histogram) in [(&mut merged.histogram, &run.histogram), (&mut merged.send_histogram, &run.send_histogram)]
    {
        sum.auto(true);
        sum.add(histogram).map_err(too_different)?;
    }
    merged.duration_s = merged.duration_s.max(run.duration_s);
    merged.messages_per_s += run.messages_per_s;
    merged.bytes_per_s += run.bytes_per_s;
    merged.generator_cpu_s += run.generator_cpu_s;
    let Report { connections, due, sent, messages, replies, reply_bytes, late, .. } = run;
    let counts = [connections, due, sent, messages, replies, reply_bytes, late];
    let Report { connections, due, sent, messages, replies, reply_bytes, late, .. } = &mut *merged;
    for (sum, count) in [connections, due, sent, messages, replies, reply_bytes, late].into_iter().zip(counts) {
        *sum = sum.saturating_add(*count);
    }
    // What one of them does not know, their sum does not know either.
    for (sum, time) in [
        (&mut merged.generator_idle_polling_s, run.generator_idle_polling_s),
        (&mut merged.held_s, run.held_s),
        (&mut merged.rested_s, run.rested_s),
    ] {
        *sum = sum.zip(time).map(|(sum, time)| sum + time);
    }
    let Report { held, ended, lost, duplicated, reordered, corrupt, surplus, surplus_bytes, .. } = run;
    let counts = [held, ended, lost, duplicated, reordered, corrupt, surplus, surplus_bytes];
    let Report { held, ended, lost, duplicated, reordered, corrupt, surplus, surplus_bytes, .. } = &mut *merged;
    let sums = [held, ended, lost, duplicated, reordered, corrupt, surplus, surplus_bytes];
    for (sum, count) in sums.into_iter().zip(counts) {
        *sum = sum.zip(*count).map(|(sum, count)| sum.saturating_add(count));
    }
    raise(&mut merged.in_vain_longest_us, run.in_vain_longest_us);
    for (kind, count) in &run.errors {
        let sum = merged.errors.entry(kind.clone()).or_default();
        *sum = sum.saturating_add(*count);
    }
    // Two runs on the server's machine have each seen all that it used; and a rate was found for one of them.
    merged.server_cpu_s = None;
    merged.objective = None;
    merged.interrupted |= run.interrupted;
    merged.mismatch = merged.mismatch.take().or_else(|| run.mismatch.clone());
    merged.conditions.extend(run.conditions.iter().cloned());
    Ok(())
}

/// The courses of all runs over each other, from the beginning of each one's measured time on. Percentiles of a stretch
/// cannot be merged: the highest one is kept, above which the merged one cannot be.
fn intervals(runs: &[(String, Report)]) -> Vec<Interval> {
    let all = || runs.iter().flat_map(|(_, run)| run.intervals.iter());
    let length = all().map(|interval| interval.length_s).fold(0.0, f64::max);
    if length <= 0.0 {
        return Vec::new();
    }
    let mut sums: BTreeMap<u64, Interval> = BTreeMap::new();
    for interval in all() {
        let place = (interval.start_s / length).round() as u64;
        let empty = Interval { start_s: place as f64 * length, ..Interval::default() };
        let sum = sums.entry(place).or_insert(empty);
        sum.length_s = sum.length_s.max(interval.length_s);
        sum.replies = sum.replies.saturating_add(interval.replies);
        sum.errors = sum.errors.saturating_add(interval.errors);
        raise(&mut sum.p50_us, interval.p50_us);
        raise(&mut sum.p99_us, interval.p99_us);
        raise(&mut sum.max_us, interval.max_us);
    }
    sums.into_values().collect()
}

/// The larger one of both, as far as there are any.
fn raise(highest: &mut Option<f64>, other: Option<f64>) {
    *highest = highest.iter().copied().chain(other).reduce(f64::max);
}

/// The doubts about the sum of runs of which none was large enough to be doubted.
fn late_in_all(merged: &Report) -> impl Iterator<Item = String> + use<> {
    let of = |count: u64, doubt: fn(f64) -> Doubt| {
        let shows = chance::shows_more(count, merged.sent, Outcome::LATE_MAX);
        shows.then(|| advice::doubt(doubt(count as f64 / merged.sent as f64)))
    };
    [of(merged.late, Doubt::LateSends), of(merged.held.unwrap_or(0), Doubt::HeldBack)].into_iter().flatten()
}

/// The doubt that rates were added of runs that did not run at the same time.
fn not_together(runs: &[(String, Report)]) -> Option<String> {
    let since_1970 = |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs_f64();
    // From when until when each ran.
    let times: Vec<(f64, f64)> = runs
        .iter()
        .flat_map(|(_, run)| run.conditions.iter().map(|conditions| (conditions.began(), run.duration_s)))
        .map(|(began, duration)| (began.map_or(0.0, since_1970), duration))
        .collect();
    let latest_start = times.iter().map(|(start, _)| *start).fold(f64::NEG_INFINITY, f64::max);
    let earliest_end = times.iter().map(|(start, duration)| start + duration).fold(f64::INFINITY, f64::min);
    let longest = times.iter().map(|(_, duration)| *duration).fold(0.0, f64::max);
    let together = (earliest_end - latest_start).max(0.0);
    (together < longest * TOGETHER).then(|| {
        format!(
            "rates add up where runs ran at the same time, and these did so for {} of {}: messages_per_s and bytes_per_s of the \
             sum are not what the server did (their latencies can be merged all the same; --side-by-side tells the rates of each).",
            human::latency_tick(together * 1e9),
            human::latency_tick(longest * 1e9)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    fn named(runs: impl IntoIterator<Item = Report>) -> Vec<(String, Report)> {
        runs.into_iter().enumerate().map(|(index, run)| (format!("{index}.json"), run)).collect()
    }

    /// Two machines at the same time.
    fn two() -> Vec<(String, Report)> {
        let mut other = runs::closed();
        other.conditions[0].host = "other".to_owned();
        named([runs::closed(), other])
    }

    #[test]
    fn what_adds_up_is_added_and_percentiles_are_read_off_the_sum() {
        let one = runs::closed();
        let merged = merge(&two()).unwrap();
        assert_eq!((merged.messages, merged.connections), (2 * one.messages, 2 * one.connections));
        assert!((merged.messages_per_s - 2.0 * one.messages_per_s).abs() < 1e-6);
        assert_eq!(merged.histogram.len(), 2 * one.histogram.len());
        assert!(merged.latency_us.agrees_with(&one.latency_us), "the same distribution twice");
        assert_eq!(merged.duration_s, one.duration_s);
        assert_eq!(merged.conditions.len(), 2);
        assert!(merged.valid, "{:?}", merged.doubts);
        assert_eq!(merged.intervals.len(), one.intervals.len());
        assert_eq!(merged.intervals[3].replies, 2 * one.intervals[3].replies);
        assert_eq!(merged.intervals[3].p99_us, one.intervals[3].p99_us);
    }

    #[test]
    fn a_merged_report_can_be_merged_again() {
        let mut third = runs::closed();
        third.conditions[0].host = "third".to_owned();
        let merged = merge(&two()).unwrap();
        assert_eq!(merge(&named([merged.clone(), third])).unwrap().conditions.len(), 3);
        let twice = merge(&named([merged, runs::closed()])).unwrap_err();
        assert!(twice.contains("count twice"), "{twice}");
    }

    #[test]
    fn what_is_not_known_of_one_is_not_known_of_the_sum() {
        let mut runs = two();
        (runs[0].1.lost, runs[1].1.lost) = (Some(3), Some(4));
        (runs[0].1.corrupt, runs[1].1.corrupt) = (Some(3), None);
        (runs[0].1.held, runs[1].1.held) = (Some(5), Some(6));
        (runs[0].1.held_s, runs[1].1.held_s) = (Some(0.5), Some(0.25));
        (runs[0].1.ended, runs[1].1.ended) = (Some(5), None);
        let merged = merge(&runs).unwrap();
        assert_eq!((merged.held, merged.held_s, merged.ended), (Some(11), Some(0.75), None));
        assert_eq!((merged.lost, merged.corrupt), (Some(7), None));
        assert_eq!(merged.generator_idle_polling_s, None);
        runs.iter_mut().for_each(|(_, run)| run.generator_idle_polling_s = Some(0.25));
        assert_eq!(merge(&runs).unwrap().generator_idle_polling_s, Some(0.5));
    }

    #[test]
    fn who_waited_in_vain_is_added_and_the_longest_is_the_longest() {
        let mut runs = two();
        (runs[0].1.due, runs[0].1.in_vain_longest_us) = (runs[0].1.due + 5, Some(7e6));
        (runs[1].1.due, runs[1].1.in_vain_longest_us) = (runs[1].1.due + 2, Some(9e6));
        let merged = merge(&runs).unwrap();
        assert_eq!((merged.in_vain, merged.in_vain_longest_us), (Some(7), Some(9e6)));
        assert_eq!(merged.percentiles_up_to, Some(99.99));
    }

    #[test]
    fn runs_that_measured_different_things_are_refused() {
        type Edit = fn(&mut Report);
        let cases: [(Edit, &str); 5] = [
            (|run| run.endpoint.push('1'), "endpoints differ"),
            (|run| run.pace = crate::measure::report::Loop::Open, "loops differ (closed, open)"),
            (
                |run| drop(run.conditions[0].options.insert("length".to_owned(), "65".to_owned())),
                "--length differ (64, 65)",
            ),
            (
                |run| drop(run.conditions[0].options.insert("busy-poll".to_owned(), "1ms".to_owned())),
                "--busy-poll differ (, 1ms)",
            ),
            (|run| run.conditions[0].host = "here".to_owned(), "count twice"),
        ];
        for (change, words) in cases {
            let mut runs = two();
            change(&mut runs[1].1);
            let error = merge(&runs).unwrap_err();
            assert!(error.contains(words), "{error}");
        }
    }

    #[test]
    fn rates_of_runs_one_after_the_other_are_doubted() {
        let mut runs = two();
        runs[1].1.conditions[0].began = "2026-11-22T12:00:01Z".to_owned();
        assert!(merge(&runs).unwrap().valid, "a second of ten is nothing");
        runs[1].1.conditions[0].began = "2026-11-22T12:00:30Z".to_owned();
        let merged = merge(&runs).unwrap();
        assert!(!merged.valid && merged.doubts[0].contains("at the same time"), "{:?}", merged.doubts);
    }

    #[test]
    fn runs_too_small_to_be_doubted_are_doubted_together() {
        let small = |late, host: &str| {
            let mut run = runs::closed();
            (run.sent, run.late, run.conditions[0].host) = (10, late, host.to_owned());
            run
        };
        let merged = |late: [u64; 3]| {
            let all = ["one", "two", "three"].iter().zip(late).map(|(host, late)| small(late, host));
            merge(&named(all)).unwrap()
        };
        let doubted = merged([1, 1, 1]);
        assert!(!doubted.valid && doubted.doubts[0].starts_with("10.0 % of the messages"), "{:?}", doubted.doubts);
        assert!(merged([1, 0, 0]).valid);
    }

    #[test]
    fn a_doubt_about_one_is_a_doubt_about_all() {
        let mut other = runs::troubled();
        other.conditions[0].host = "other".to_owned();
        let runs = named([runs::stopped_server(), other]);
        let merged = merge(&runs).unwrap();
        assert!(!merged.valid && merged.interrupted && merged.mismatch.is_some());
        assert!(merged.doubts.iter().any(|doubt| doubt.starts_with("1.json: ")), "{:?}", merged.doubts);
    }
}
