//! A report's figures by name, as a person reads them: the rows of tables in which several stand side by side.

use crate::report::latencies::{Latencies, NAMES};
use crate::report::{Loop, Report, human};

/// What is told of a figure that is not there.
pub const UNKNOWN: &str = "–";

/// The figures of a report in their order. Reports of both loops have the same rows.
pub fn rows(report: &Report) -> Vec<(String, String)> {
    let mut rows = vec![
        ("valid", if report.valid { "yes" } else { "NO" }.to_owned()),
        ("loop", report.pace.name().to_owned()),
        ("connections", human::count(report.connections)),
        ("measured time", human::seconds(report.duration_s)),
        ("messages due", human::count(report.due)),
        ("answered", human::count(report.messages)),
        ("in vain", report.in_vain.map_or(UNKNOWN.to_owned(), human::count)),
        ("longest in vain", micros(report.in_vain_longest_us)),
        ("latency until", report.latency_until.name().to_owned()),
        ("messages/s", human::rate(report.messages_per_s)),
        ("bytes/s", human::bytes(report.bytes_per_s)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<Vec<_>>();
    for (name, latency) in NAMES.into_iter().zip(latencies(&report.latency_us, report.messages)) {
        rows.push((name.to_owned(), latency));
    }
    let from_send = match report.pace {
        Loop::Open => latencies(&report.send_latency_us, report.messages),
        Loop::Closed => latencies(&Latencies::default(), 0),
    };
    for (name, latency) in NAMES.into_iter().zip(from_send) {
        rows.push((format!("{name} from send"), latency));
    }
    let known = |count: Option<u64>| count.map_or(UNKNOWN.to_owned(), human::count);
    let rest = [
        ("errors", human::count(report.error_count())),
        ("lost", known(report.lost)),
        ("duplicated", known(report.duplicated)),
        ("reordered", known(report.reordered)),
        ("corrupt", known(report.corrupt)),
        ("surplus bytes", known(report.surplus_bytes)),
        ("sent late", known(Some(report.late).filter(|_| report.pace == Loop::Open))),
        ("held back", known(report.held.filter(|_| report.pace == Loop::Open))),
        ("ended in order", known(report.ended)),
        ("generator CPU", human::seconds(report.generator_cpu_s)),
        ("of it idle", report.generator_idle_polling_s.map_or(UNKNOWN.to_owned(), human::seconds)),
        ("generator a msg", report.generator_cpu_per_message().map_or(UNKNOWN.to_owned(), human::latency)),
        ("server CPU", report.server_cpu_s.map_or(UNKNOWN.to_owned(), human::seconds)),
        ("server a msg", report.server_cpu_per_message().map_or(UNKNOWN.to_owned(), human::latency)),
    ];
    rows.extend(rest.map(|(name, value)| (name.to_owned(), value)));
    rows
}

/// Latencies in the order of [`NAMES`]. What so many messages cannot tell is not there.
pub(super) fn latencies(latencies: &Latencies, messages: u64) -> [String; 8] {
    latencies.told_by(messages).map(micros)
}

/// A latency in microseconds.
pub(super) fn micros(latency: Option<f64>) -> String {
    latency.map_or(UNKNOWN.to_owned(), |micros| human::latency(micros * 1e3))
}
