//! Reports as a table of comma-separated values (RFC 4180): one line with the names, and one a report.

use std::io::{self, Write};

use crate::measure::report::Report;
use crate::measure::report::latencies::Latencies;

/// The names of the columns of [`Latencies`].
const LATENCIES: [&str; 8] = ["p50", "p90", "p95", "p99", "p999", "p9999", "max", "mean"];

/// Writes the reports with their names. Figures are in the units of the JSON, and what is not known is empty; so are
/// percentiles that so few messages cannot tell.
pub fn write(reports: &[(String, Report)], sink: impl Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(sink);
    for (index, (name, report)) in reports.iter().enumerate() {
        let columns = columns(name, report);
        if index == 0 {
            table.write_record(columns.iter().map(|(name, _)| name))?;
        }
        table.write_record(columns.iter().map(|(_, value)| value))?;
    }
    table.flush()
}

fn columns(name: &str, report: &Report) -> Vec<(String, String)> {
    let hosts: Vec<&str> = report.conditions.iter().map(|conditions| conditions.host.as_str()).collect();
    let began = report.conditions.first().map_or("", |conditions| &conditions.began);
    let mut columns = vec![
        ("report", text(name)),
        ("began", text(began)),
        ("hosts", text(&hosts.join(" "))),
        ("endpoint", text(&report.endpoint)),
        ("loop", report.pace.name().to_owned()),
        ("valid", report.valid.to_string()),
        ("interrupted", report.interrupted.to_string()),
        ("duration_s", report.duration_s.to_string()),
        ("connections", report.connections.to_string()),
        ("due", report.due.to_string()),
        ("sent", report.sent.to_string()),
        ("messages", report.messages.to_string()),
        ("in_vain", known(report.in_vain)),
        ("in_vain_longest_us", known(report.in_vain_longest_us)),
        ("replies", report.replies.to_string()),
        ("messages_per_s", report.messages_per_s.to_string()),
        ("bytes_per_s", report.bytes_per_s.to_string()),
        ("errors", report.error_count().to_string()),
        ("lost", known(report.lost)),
        ("duplicated", known(report.duplicated)),
        ("reordered", known(report.reordered)),
        ("corrupt", known(report.corrupt)),
        ("surplus", known(report.surplus)),
        ("surplus_bytes", known(report.surplus_bytes)),
        ("late", report.late.to_string()),
        ("held", known(report.held)),
        ("held_s", known(report.held_s)),
        ("rested_s", known(report.rested_s)),
        ("ended", known(report.ended)),
        ("generator_cpu_s", report.generator_cpu_s.to_string()),
        ("generator_idle_polling_s", known(report.generator_idle_polling_s)),
        ("server_cpu_s", known(report.server_cpu_s)),
        ("latency_until", report.latency_until.name().to_owned()),
        ("percentiles_up_to", known(report.percentiles_up_to)),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect::<Vec<_>>();
    let mut latencies = |name: &str, latencies: &Latencies| {
        for (figure, value) in LATENCIES.into_iter().zip(latencies.told_by(report.messages)) {
            columns.push((format!("{name}_{figure}"), known(value)));
        }
    };
    latencies("latency_us", &report.latency_us);
    latencies("send_latency_us", &report.send_latency_us);
    columns
}

fn known(value: Option<impl ToString>) -> String {
    value.map_or_else(String::new, |value| value.to_string())
}

/// Text that is nothing but text to a spreadsheet, which takes some first characters for the beginning of a formula.
fn text(text: &str) -> String {
    let guard = if text.starts_with(['=', '+', '-', '@', '\t', '\r']) { "'" } else { "" };
    format!("{guard}{text}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    #[test]
    fn one_line_of_names_and_one_a_report() {
        let mut hostile = runs::troubled();
        hostile.endpoint = "=1+1,\"\n".to_owned();
        hostile.lost = None;
        hostile.generator_idle_polling_s = Some(0.5);
        let reports = [("a.json".to_owned(), runs::closed()), ("b.json".to_owned(), hostile)];
        let mut bytes = Vec::new();
        write(&reports, &mut bytes).unwrap();
        let mut table = csv::Reader::from_reader(&bytes[..]);
        let names = table.headers().unwrap().clone();
        let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
        let cell = |row: usize, name: &str| {
            let column = names.iter().position(|column| column == name).unwrap();
            rows[row][column].to_owned()
        };
        assert_eq!(rows.len(), 2);
        assert_eq!(cell(0, "report"), "a.json");
        assert_eq!(cell(0, "messages"), runs::closed().messages.to_string());
        assert_eq!(cell(0, "latency_us_p99"), runs::closed().latency_us.p99.unwrap().to_string());
        assert_eq!(cell(1, "endpoint"), "'=1+1,\"\n");
        assert_eq!(cell(1, "lost"), "");
        let idle = "generator_idle_polling_s";
        assert_eq!((cell(0, idle), cell(1, idle)), (String::new(), "0.5".to_owned()));
        let server = "server_cpu_s";
        assert_eq!((cell(0, server), cell(1, server)), (String::new(), "0.9".to_owned()));
    }
}
