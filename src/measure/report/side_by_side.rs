//! Several reports beside each other: by how much they differ, and whether their conditions let that be compared.

use std::collections::BTreeSet;

use crate::measure::report::conditions::Conditions;
use crate::measure::report::figures::{self, UNKNOWN};
use crate::measure::report::visible::shortened;
use crate::measure::report::{Report, human, verdict};

/// Names that a sentence tells; of more it tells how many there are.
const NAMES_MAX: usize = 4;

/// Characters of a name, or of a condition, that are told.
const NAME_MAX: usize = 40;

/// What stands beside each other under one name, in the order of the reports.
pub(super) type Row = (String, Vec<String>);

/// Whether the runs are valid and their conditions the same; and of two, by how much the second one differs.
pub(super) fn sentence(reports: &[(String, Report)]) -> String {
    let invalid: Vec<&str> = reports
        .iter()
        .filter(|(_, report)| !verdict::is_valid(report) || report.mismatch.is_some())
        .map(|(name, _)| name.as_str())
        .collect();
    let validity = match (reports.len(), invalid.len()) {
        (1, 0) => "valid".to_owned(),
        (2, 0) => "both valid".to_owned(),
        (_, 0) => "all valid".to_owned(),
        (_, _) => format!("not to be trusted: {}", listed(invalid.into_iter())),
    };
    let runs = if reports.len() == 1 { "1 run".to_owned() } else { format!("{} runs", reports.len()) };
    let differences = differences(reports);
    let conditions = match (reports.len(), differences.is_empty()) {
        (1, _) => String::new(),
        (_, true) => "; the conditions are the same".to_owned(),
        (_, false) => {
            format!("; the conditions differ ({})", listed(differences.iter().map(|(name, _)| name.as_str())))
        }
    };
    let by_how_much = match reports {
        [(first, _), (second, _)] => match &ratios(reports)[..] {
            [(_, rates), _, (_, latencies), ..] if rates[1] != UNKNOWN && latencies[1] != UNKNOWN => {
                let [first, second] = [first, second].map(|name| shortened(name, NAME_MAX));
                let (rate, latency) = (&rates[1], &latencies[1]);
                format!("; {second} has {rate} times the messages/s and {latency} times the p99 of {first}")
            }
            _ => String::new(),
        },
        _ => String::new(),
    };
    format!("{runs}, {validity}{conditions}{by_how_much}.")
}

fn listed<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<String> = names.map(|name| shortened(name, NAME_MAX)).collect();
    match names.get(NAMES_MAX..) {
        Some(more) if !more.is_empty() => format!("{} and {} more", names[..NAMES_MAX].join(", "), more.len()),
        _ => names.join(", "),
    }
}

/// All figures of the reports.
pub(super) fn figures(reports: &[(String, Report)]) -> Vec<Row> {
    let columns: Vec<_> = reports.iter().map(|(_, report)| figures::rows(report)).collect();
    let names = columns.first().into_iter().flatten().map(|(name, _)| (*name).to_owned()).enumerate();
    names.map(|(row, name)| (name, columns.iter().map(|column| column[row].1.clone()).collect())).collect()
}

/// The figures that matter most, each as a ratio to the first report's.
pub(super) fn ratios(reports: &[(String, Report)]) -> Vec<Row> {
    type Figure = (&'static str, fn(&Report) -> Option<f64>);
    let figures: [Figure; 5] = [
        ("messages/s", |report| Some(report.messages_per_s)),
        ("p50", |report| report.latency_us.told_by(report.messages)[0]),
        ("p99", |report| report.latency_us.told_by(report.messages)[3]),
        ("p99.9", |report| report.latency_us.told_by(report.messages)[4]),
        ("server CPU/msg", Report::server_cpu_per_message),
    ];
    let Some((_, first)) = reports.first() else { return Vec::new() };
    let row = |(name, of): Figure| {
        let ratio = |(_, report): &(String, Report)| {
            let ratio = of(report)? / of(first)?;
            Some(ratio).filter(|ratio| ratio.is_finite())
        };
        let cells = reports.iter().map(|report| ratio(report).map_or(UNKNOWN.to_owned(), human::ratio));
        (name.to_owned(), cells.collect())
    };
    figures.map(row).into()
}

/// The conditions in which the reports differ. Where each run was, when it began and how its command was written do not
/// count.
pub(super) fn differences(reports: &[(String, Report)]) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    let mut compare = |name: &str, of: &dyn Fn(&Report) -> String| {
        let cells: Vec<String> = reports.iter().map(|(_, report)| shortened(&of(report), NAME_MAX)).collect();
        let values: BTreeSet<String> = reports.iter().map(|(_, report)| of(report)).collect();
        if values.len() > 1 {
            rows.push((name.to_owned(), cells));
        }
    };
    compare("endpoint", &|report| report.endpoint.clone());
    compare("loop", &|report| report.pace.name().to_owned());
    compare("merged runs", &|report| report.conditions.len().to_string());
    let conditions = reports.iter().flat_map(|(_, report)| &report.conditions);
    let flags: BTreeSet<&String> = conditions.flat_map(|conditions| conditions.options.keys()).collect();
    for flag in flags {
        compare(&shortened(flag, NAME_MAX), &|report| {
            of_all(report, |conditions| conditions.options.get(flag).cloned())
        });
    }
    compare("machine", &|report| of_all(report, |conditions| Some(conditions.host.clone())));
    compare("kernel", &|report| of_all(report, |conditions| Some(conditions.kernel.clone())));
    compare("processor", &|report| of_all(report, |conditions| conditions.cpu.clone()));
    compare("cores", &|report| of_all(report, |conditions| Some(conditions.cores.to_string())));
    compare("program", &|report| of_all(report, |conditions| Some(conditions.program.clone())));
    rows
}

/// What a condition was in the runs of a report: each value once.
fn of_all(report: &Report, of: impl Fn(&Conditions) -> Option<String>) -> String {
    let values: BTreeSet<String> =
        report.conditions.iter().map(|conditions| of(conditions).unwrap_or(UNKNOWN.to_owned())).collect();
    values.into_iter().collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    fn named(reports: Vec<Report>) -> Vec<(String, Report)> {
        ["a", "b", "c", "d", "e", "f"].into_iter().map(str::to_owned).zip(reports).collect()
    }

    /// A run with round figures: 1,000 messages a second, a median of 100 µs and a p99 of 200 µs, and 10 µs of CPU a
    /// message.
    fn round() -> Report {
        let mut report = runs::closed();
        (report.messages, report.replies, report.messages_per_s) = (10_000, 10_000, 1_000.0);
        (report.latency_us.p50, report.latency_us.p99, report.latency_us.p999) =
            (Some(100.0), Some(200.0), Some(400.0));
        report.server_cpu_s = Some(0.1);
        report
    }

    fn other() -> Report {
        let mut report = Report { messages_per_s: 1_500.0, server_cpu_s: Some(0.05), ..round() };
        (report.latency_us.p50, report.latency_us.p99, report.latency_us.p999) = (Some(75.0), Some(240.0), None);
        report
    }

    #[test]
    fn ratios_are_to_the_first() {
        let ratios = ratios(&named(vec![round(), other(), runs::nothing()]));
        let expected: [(&str, [&str; 3]); 5] = [
            ("messages/s", ["1.00", "1.50", "0"]),
            ("p50", ["1.00", "0.75", "–"]),
            ("p99", ["1.00", "1.20", "–"]),
            ("p99.9", ["1.00", "–", "–"]),
            ("server CPU/msg", ["1.00", "0.50", "–"]),
        ];
        let expected = expected.map(|(name, cells)| (name.to_owned(), cells.map(str::to_owned).to_vec()));
        assert_eq!(ratios, expected);
    }

    #[test]
    fn a_ratio_to_nothing_is_none() {
        let cells: Vec<String> =
            ratios(&named(vec![runs::nothing(), round()])).into_iter().flat_map(|(_, cells)| cells).collect();
        assert!(cells.iter().all(|cell| cell == UNKNOWN), "{cells:?}");
        assert_eq!(super::ratios(&[]), []);
    }

    #[test]
    fn two_are_told_by_how_much_they_differ() {
        assert_eq!(
            sentence(&named(vec![round(), other()])),
            "2 runs, both valid; the conditions are the same; b has 1.50 times the messages/s and 1.20 times the p99 of a."
        );
        let untold = Report { messages: 50, ..other() };
        assert_eq!(sentence(&named(vec![round(), untold])), "2 runs, both valid; the conditions are the same.");
    }

    #[test]
    fn who_is_not_to_be_trusted_is_named() {
        assert_eq!(sentence(&named(vec![round()])), "1 run, valid.");
        let three = named(vec![round(), other(), round()]);
        assert_eq!(sentence(&three), "3 runs, all valid; the conditions are the same.");
        let bad = || Report { valid: false, ..round() };
        let said = sentence(&named(vec![round(), bad(), Report { mismatch: runs::troubled().mismatch, ..round() }]));
        assert_eq!(said, "3 runs, not to be trusted: b, c; the conditions are the same.");
        let said = sentence(&named(vec![bad(), bad(), bad(), bad(), bad(), bad()]));
        assert_eq!(said, "6 runs, not to be trusted: a, b, c, d and 2 more; the conditions are the same.");
        let said = sentence(&named(vec![bad(), bad(), bad(), bad()]));
        assert_eq!(said, "4 runs, not to be trusted: a, b, c, d; the conditions are the same.");
    }

    #[test]
    fn conditions_that_differ_are_told_and_no_other() {
        let mut there = round();
        there.endpoint = "tcp://[::1]:9000".to_owned();
        let conditions = &mut there.conditions[0];
        (conditions.command, conditions.process, conditions.began) = ("other".to_owned(), 1, "2026-11-23".to_owned());
        conditions.host = "there".to_owned();
        conditions.options.insert("pipeline".to_owned(), "64".to_owned());
        conditions.options.remove("rate");
        let mut merged = round();
        merged.conditions.push(Conditions { cores: 8, ..merged.conditions[0].clone() });
        let rows = differences(&named(vec![round(), there.clone(), merged]));
        let cells = |name: &str| rows.iter().find(|(known, _)| known == name).map(|(_, cells)| cells.join("|"));
        let names: Vec<&str> = rows.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["endpoint", "merged runs", "pipeline", "rate", "machine", "cores"]);
        assert_eq!(cells("endpoint").unwrap(), "tcp://127.0.0.1:9000|tcp://[::1]:9000|tcp://127.0.0.1:9000");
        assert_eq!(cells("merged runs").unwrap(), "1|1|2");
        assert_eq!(cells("rate").unwrap(), "1000|–|1000");
        assert_eq!(cells("cores").unwrap(), "2|2|2, 8");
        let said = sentence(&named(vec![round(), there]));
        assert!(said.contains("; the conditions differ (endpoint, pipeline, rate, machine); b has"), "{said}");
    }
}
