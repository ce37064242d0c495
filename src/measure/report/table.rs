//! Reports as a table of comma-separated values (RFC 4180): one line with the names, and one a report.

use std::io::{self, Write};

use serde_json::Value;

use crate::measure::report::Report;
use crate::measure::report::latencies::NAMES;

/// The columns before those of the latencies: fields of the JSON, but for the first three.
const COLUMNS: &str = "report began hosts endpoint loop valid interrupted duration_s connections due sent messages in_vain \
    in_vain_longest_us replies messages_per_s bytes_per_s errors lost duplicated reordered corrupt surplus surplus_bytes \
    late held held_s rested_s ended generator_cpu_s generator_idle_polling_s server_cpu_s latency_until percentiles_up_to";

/// Writes the reports with their names. Figures are in the units of the JSON, and what is not known is empty; so are
/// percentiles that so few messages cannot tell.
pub fn write(reports: &[(String, Report)], sink: impl Write) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(sink);
    for (index, (name, report)) in reports.iter().enumerate() {
        let columns = columns(name, report)?;
        if index == 0 {
            table.write_record(columns.iter().map(|(name, _)| name))?;
        }
        table.write_record(columns.iter().map(|(_, value)| value))?;
    }
    table.flush()
}

fn columns(name: &str, report: &Report) -> io::Result<Vec<(String, String)>> {
    let fields = serde_json::to_value(report)?;
    let value = |column: &str| match column {
        "report" => text(name),
        "began" => text(report.conditions.first().map_or("", |conditions| &conditions.began)),
        "hosts" => text(&report.conditions.iter().map(|run| run.host.as_str()).collect::<Vec<_>>().join(" ")),
        "endpoint" => text(&report.endpoint),
        "errors" => report.error_count().to_string(),
        field => cell(&fields[field]),
    };
    let mut columns: Vec<_> = COLUMNS.split_whitespace().map(|column| (column.to_owned(), value(column))).collect();
    for (field, latencies) in [("latency_us", &report.latency_us), ("send_latency_us", &report.send_latency_us)] {
        for (figure, value) in NAMES.into_iter().zip(latencies.told_by(report.messages)) {
            let value = value.map_or_else(String::new, |value| value.to_string());
            columns.push((format!("{field}_{}", figure.replace('.', "")), value));
        }
    }
    Ok(columns)
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        // Not as JSON writes it: a whole number has no point.
        Value::Number(number) if number.is_f64() => number.as_f64().map_or_else(String::new, |value| value.to_string()),
        other => other.to_string(),
    }
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
