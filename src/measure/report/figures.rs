//! A report's figures by name, as a person reads them: the rows of tables in which several stand side by side.

use crate::measure::report::latencies::{Latencies, NAMES};
use crate::measure::report::{Loop, Report, human};

/// What is told of a figure that is not there.
pub(crate) const UNKNOWN: &str = "–";

/// The names of latencies from the send, in the order of [`NAMES`].
const FROM_SEND: [&str; 8] = [
    "p50 from send",
    "p90 from send",
    "p95 from send",
    "p99 from send",
    "p99.9 from send",
    "p99.99 from send",
    "max from send",
    "mean from send",
];

/// The figures of a report in their order. Reports of both loops have the same rows.
pub fn rows(report: &Report) -> Vec<(&'static str, String)> {
    let known = |count: Option<u64>| count.map_or(UNKNOWN.to_owned(), human::count);
    let shown = |value: Option<f64>, show: fn(f64) -> String| value.map_or(UNKNOWN.to_owned(), show);
    let is_open = report.pace == Loop::Open;
    let send_latency = if is_open { report.send_latency_us } else { Latencies::default() };
    let mut rows = vec![
        ("valid", if report.valid { "yes" } else { "NO" }.to_owned()),
        ("loop", report.pace.name().to_owned()),
        ("connections", human::count(report.connections)),
        ("measured time", human::seconds(report.duration_s)),
        ("messages due", human::count(report.due)),
        ("answered", human::count(report.messages)),
        ("in vain", known(report.in_vain)),
        ("longest in vain", micros(report.in_vain_longest_us)),
        ("latency until", report.latency_until.name().to_owned()),
        ("messages/s", human::rate(report.messages_per_s)),
        ("bytes/s", human::bytes(report.bytes_per_s)),
    ];
    rows.extend(NAMES.into_iter().zip(latencies(&report.latency_us, report.messages)));
    rows.extend(FROM_SEND.into_iter().zip(latencies(&send_latency, report.messages)));
    rows.extend([
        ("errors", human::count(report.error_count())),
        ("lost", known(report.lost)),
        ("duplicated", known(report.duplicated)),
        ("reordered", known(report.reordered)),
        ("corrupt", known(report.corrupt)),
        ("surplus bytes", known(report.surplus_bytes)),
        ("sent late", known(is_open.then_some(report.late))),
        ("held back", known(report.held.filter(|_| is_open))),
        ("ended in order", known(report.ended)),
        ("generator CPU", human::seconds(report.generator_cpu_s)),
        ("of it idle", shown(report.generator_idle_polling_s, human::seconds)),
        ("generator a msg", shown(report.generator_cpu_per_message(), human::latency)),
        ("server CPU", shown(report.server_cpu_s, human::seconds)),
        ("server a msg", shown(report.server_cpu_per_message(), human::latency)),
    ]);
    rows
}

/// Latencies in the order of [`NAMES`]. Percentiles that `messages` cannot tell are dashes.
pub(super) fn latencies(latencies: &Latencies, messages: u64) -> [String; 8] {
    latencies.told_by(messages).map(micros)
}

/// A row for each latency: its name, its value from the due time, and in an open loop that from the send.
pub(super) fn latency_rows(report: &Report) -> Vec<Vec<String>> {
    let [due, send] = [&report.latency_us, &report.send_latency_us].map(|of| latencies(of, report.messages));
    let columns = if report.pace == Loop::Open { 3 } else { 2 };
    let rows = NAMES.map(str::to_owned).into_iter().zip(due).zip(send);
    rows.map(|((name, due), send)| [name, due, send].into_iter().take(columns).collect()).collect()
}

/// A latency in microseconds.
pub(super) fn micros(latency: Option<f64>) -> String {
    latency.map_or(UNKNOWN.to_owned(), human::micros)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::{Until, runs};

    /// A report with a figure of its own in each place.
    fn report(pace: Loop) -> Report {
        let latencies = |from: f64| Latencies {
            p50: Some(from),
            p90: Some(from + 1.0),
            p95: Some(from + 2.0),
            p99: Some(from + 3.0),
            p999: Some(from + 4.0),
            p9999: Some(from + 5.0),
            max: Some(from + 6.0),
            mean: Some(from + 7.0),
        };
        Report {
            pace,
            valid: true,
            connections: 50,
            duration_s: 10.0,
            due: 2_007,
            sent: 2_003,
            messages: 2_000,
            replies: 2_000,
            in_vain: Some(7),
            in_vain_longest_us: Some(1_500.0),
            latency_until: Until::FirstBytes,
            messages_per_s: 200.0,
            bytes_per_s: 12_800.0,
            latency_us: latencies(100.0),
            send_latency_us: latencies(50.0),
            errors: [("closed".to_owned(), 3), ("reset".to_owned(), 1)].into(),
            lost: Some(11),
            duplicated: Some(12),
            reordered: Some(13),
            corrupt: Some(14),
            surplus_bytes: Some(15),
            late: 16,
            held: Some(17),
            ended: Some(18),
            generator_cpu_s: 3.0,
            generator_idle_polling_s: Some(1.0),
            server_cpu_s: Some(4.0),
            ..runs::closed()
        }
    }

    fn told(report: &Report) -> Vec<String> {
        rows(report).into_iter().map(|(name, value)| format!("{name}: {value}")).collect()
    }

    #[test]
    fn each_figure_stands_under_its_own_name() {
        let expected = [
            "valid: yes",
            "loop: open",
            "connections: 50",
            "measured time: 10.0 s",
            "messages due: 2,007",
            "answered: 2,000",
            "in vain: 7",
            "longest in vain: 1.50 ms",
            "latency until: first-bytes",
            "messages/s: 200",
            "bytes/s: 12.8 kB",
            "p50: 100 µs",
            "p90: 101 µs",
            "p95: 102 µs",
            "p99: 103 µs",
            "p99.9: 104 µs",
            "p99.99: –",
            "max: 106 µs",
            "mean: 107 µs",
            "p50 from send: 50.0 µs",
            "p90 from send: 51.0 µs",
            "p95 from send: 52.0 µs",
            "p99 from send: 53.0 µs",
            "p99.9 from send: 54.0 µs",
            "p99.99 from send: –",
            "max from send: 56.0 µs",
            "mean from send: 57.0 µs",
            "errors: 4",
            "lost: 11",
            "duplicated: 12",
            "reordered: 13",
            "corrupt: 14",
            "surplus bytes: 15",
            "sent late: 16",
            "held back: 17",
            "ended in order: 18",
            "generator CPU: 3.00 s",
            "of it idle: 1.00 s",
            "generator a msg: 1.00 ms",
            "server CPU: 4.00 s",
            "server a msg: 2.00 ms",
        ];
        assert_eq!(told(&report(Loop::Open)), expected);
    }

    #[test]
    fn a_closed_loop_has_the_same_rows_without_what_only_a_schedule_has() {
        let (open, closed) = (told(&report(Loop::Open)), told(&report(Loop::Closed)));
        assert_eq!(open.len(), closed.len());
        let differ: Vec<&str> = open
            .iter()
            .zip(&closed)
            .filter(|(open, closed)| open != closed)
            .map(|(_, closed)| closed.as_str())
            .collect();
        assert_eq!(
            differ,
            [
                "loop: closed",
                "p50 from send: –",
                "p90 from send: –",
                "p95 from send: –",
                "p99 from send: –",
                "p99.9 from send: –",
                "max from send: –",
                "mean from send: –",
                "sent late: –",
                "held back: –",
            ]
        );
    }

    #[test]
    fn what_is_not_known_is_a_dash_and_not_nothing() {
        let unknown = Report {
            valid: false,
            replies: 0,
            in_vain: None,
            in_vain_longest_us: None,
            lost: None,
            duplicated: None,
            reordered: None,
            corrupt: None,
            surplus_bytes: None,
            held: None,
            ended: None,
            generator_idle_polling_s: None,
            server_cpu_s: None,
            ..report(Loop::Open)
        };
        let told = told(&unknown);
        assert_eq!(told[0], "valid: NO");
        let dashes: Vec<&str> = told.iter().filter_map(|row| row.strip_suffix(": –")).collect();
        let expected = [
            "in vain",
            "longest in vain",
            "p99.99",
            "p99.99 from send",
            "lost",
            "duplicated",
            "reordered",
            "corrupt",
            "surplus bytes",
            "held back",
            "ended in order",
            "of it idle",
            "generator a msg",
            "server CPU",
            "server a msg",
        ];
        assert_eq!(dashes, expected);
    }
}
