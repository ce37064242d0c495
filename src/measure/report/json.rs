//! Reports as JSON: the format that `docs/report-format.md` tells.

use std::borrow::Cow;
use std::io::{self, Read, Write};

use serde::Deserialize;

use crate::apps::text_form::whole_to_utf8;
use crate::measure::report::report_error::ReportError;
use crate::measure::report::{Report, VERSION};

/// The largest file that is read: a run of a day has not a tenth of it.
pub(super) const SIZE_MAX: u64 = 64 << 20;

/// What says whether the rest can be understood.
#[derive(Deserialize)]
struct Header {
    version: Option<u64>,
    /// What it is; a run's report does not tell.
    kind: Option<String>,
}

/// Writes a report as one JSON object and a line break.
pub fn write(report: &Report, sink: &mut (impl Write + ?Sized)) -> io::Result<()> {
    serde_json::to_writer_pretty(&mut *sink, report)?;
    sink.write_all(b"\n")
}

/// The bytes of a report.
pub fn bytes(source: impl Read) -> Result<Vec<u8>, ReportError> {
    let mut bytes = Vec::new();
    source.take(SIZE_MAX + 1).read_to_end(&mut bytes).map_err(ReportError::Unreadable)?;
    if bytes.len() as u64 > SIZE_MAX {
        return Err(ReportError::TooLarge);
    }
    whole_to_utf8(&bytes).map(Cow::into_owned).ok_or(ReportError::NotUtf16)
}

/// Whether these are a report of something else than a run of load, which says what it is.
pub fn is_of_kind(bytes: &[u8], kind: &str) -> bool {
    serde_json::from_slice(bytes).is_ok_and(|header: Header| header.kind.as_deref() == Some(kind))
}

/// Reads a report, and [checks](Report::check) it.
pub fn read(source: impl Read) -> Result<Report, ReportError> {
    parse(&bytes(source)?)
}

/// The same of bytes that were read.
pub fn parse(bytes: &[u8]) -> Result<Report, ReportError> {
    let header: Header = serde_json::from_slice(bytes)?;
    match header.version {
        Some(VERSION) => {}
        Some(version) => return Err(ReportError::OtherVersion(version)),
        None => return Err(ReportError::NoVersion),
    }
    let mut report: Report = serde_json::from_slice(bytes)?;
    report.check().map_err(ReportError::Untrue)?;
    report.complete();
    Ok(report)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::measure::report::{Until, runs};

    fn written(report: &Report) -> Value {
        let mut bytes = Vec::new();
        write(report, &mut bytes).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    }

    #[test]
    fn what_is_written_is_read_without_loss() {
        for report in [runs::closed(), runs::stopped_server(), runs::troubled(), runs::nothing()] {
            let again = read(written(&report).to_string().as_bytes()).unwrap();
            assert_eq!(again.histogram, report.histogram);
            assert_eq!(again.errors, report.errors);
            assert_eq!(written(&again).as_object().unwrap().len(), written(&report).as_object().unwrap().len());
            assert!(again.latency_us.agrees_with(&report.latency_us));
        }
    }

    #[test]
    fn a_file_of_64_mebibytes_is_read_and_not_one_byte_more() {
        let refusal = |length: u64| read(io::repeat(b' ').take(length)).unwrap_err().to_string();
        let most = refusal(67_108_864);
        assert!(most.starts_with("is no report: EOF"), "{most}");
        assert_eq!(refusal(67_108_865), "is no report: it has more than 64 MiB");
    }

    #[test]
    fn a_report_ends_with_a_line_break() {
        let mut bytes = Vec::new();
        write(&runs::few(), &mut bytes).unwrap();
        assert!(bytes.starts_with(b"{\n") && bytes.ends_with(b"\n}\n"));
    }

    #[test]
    fn a_report_from_before_generators_could_poll_is_read() {
        let mut report = written(&runs::closed());
        assert_eq!(report.as_object_mut().unwrap().remove("generator_idle_polling_s"), Some(json!(null)));
        assert_eq!(read(report.to_string().as_bytes()).unwrap().generator_idle_polling_s, None);
    }

    #[test]
    fn what_an_older_report_does_not_tell_is_read_off_what_it_does() {
        let new = runs::troubled();
        let mut old = written(&new);
        let fields = old.as_object_mut().unwrap();
        for name in ["in_vain", "in_vain_longest_us", "latency_until", "percentiles_up_to", "surplus", "surplus_bytes"]
        {
            assert!(fields.remove(name).is_some(), "{name}");
        }
        for name in ["latency_us", "send_latency_us"] {
            assert!(fields[name].as_object_mut().unwrap().remove("p95").is_some());
        }
        let read = |report: &Value| read(report.to_string().as_bytes()).unwrap();
        let completed = read(&old);
        assert!((completed.latency_us.p95.unwrap() / new.latency_us.p95.unwrap() - 1.0).abs() < 1e-9);
        assert!(completed.send_latency_us.p95.is_some());
        assert_eq!((completed.in_vain, completed.in_vain_longest_us), (Some(9), None), "how long is not known");
        assert_eq!((completed.percentiles_up_to, completed.surplus), (Some(99.9), None));
        assert_eq!(completed.latency_until, Until::WholeReply);
        old["conditions"][0]["options"]["expect"] = "any".into();
        assert_eq!(read(&old).latency_until, Until::FirstBytes);
    }

    /// The places of all figures in a document that are no whole numbers.
    fn fractions(value: &Value, place: String) -> Vec<String> {
        match value {
            Value::Object(fields) => {
                fields.iter().flat_map(|(name, inner)| fractions(inner, format!("{place}/{name}"))).collect()
            }
            Value::Array(entries) => {
                entries.iter().enumerate().flat_map(|(at, inner)| fractions(inner, format!("{place}/{at}"))).collect()
            }
            Value::Number(number) if number.is_f64() => vec![place],
            _ => Vec::new(),
        }
    }

    #[test]
    fn no_figure_is_below_nothing() {
        let whole = written(&runs::troubled());
        let places = fractions(&whole, String::new());
        for known in ["/server_cpu_s", "/latency_us/mean", "/send_latency_us/p50", "/intervals/0/start_s"]
            .into_iter()
            .chain(["/objective/limit_us", "/objective/steps/0/rate", "/objective/steps/0/latency_us"])
        {
            assert!(places.iter().any(|place| place == known), "{known} is not in {places:?}");
        }
        for place in places {
            for wrong in [-0.0, -1.0] {
                let mut report = whole.clone();
                *report.pointer_mut(&place).unwrap() = wrong.into();
                let Ok(report) = read(report.to_string().as_bytes()) else { continue };
                let kept = written(&report).pointer(&place).and_then(Value::as_f64);
                assert!(kept.is_none_or(f64::is_sign_positive), "{place} may be {wrong:?}");
            }
        }
    }

    #[test]
    fn what_cannot_be_true_is_refused_with_the_reason() {
        let cases: [(&str, Value, &str); 20] = [
            ("/version", json!(2), "version 2"),
            ("/version", json!(null), "no version"),
            ("/endpoint", json!(7), "invalid type"),
            ("/loop", json!("open\u{1b}"), "unknown variant"),
            ("/messages", json!(1), "a histogram holds"),
            ("/late", json!(10_000_000), "late is"),
            ("/sent", json!(u64::MAX), "nobody has"),
            ("/duration_s", json!(-1.0), "duration_s is -1"),
            ("/generator_idle_polling_s", json!(-0.5), "generator_idle_polling_s is -0.5"),
            ("/server_cpu_s", json!(-2.0), "server_cpu_s is -2"),
            ("/messages_per_s", json!(1e9), "the counts give"),
            ("/latency_us/p99", json!(1.0), "latency_us is not what"),
            ("/latency_us/p95", json!(1.0), "latency_us is not what"),
            ("/in_vain", json!(7), "in_vain is"),
            ("/in_vain_longest_us", json!(-1.0), "in_vain_longest_us is -1"),
            ("/surplus_bytes", json!(u64::MAX), "nobody has"),
            ("/histogram", json!("AAAA"), "a histogram cannot be read"),
            ("/valid", json!(false), "contradict"),
            ("/intervals/1/start_s", json!(1e300), "an interval"),
            ("/conditions/0/began", json!("yesterday"), "is no time"),
        ];
        for (path, value, words) in cases {
            let mut report = written(&runs::closed());
            *report.pointer_mut(path).unwrap() = value;
            let error = read(report.to_string().as_bytes()).unwrap_err().to_string();
            assert!(error.contains(words), "{path}: {error}");
        }
        assert!(read(&b"{"[..]).unwrap_err().to_string().contains("is no report"));
        assert!(read(&b"[]"[..]).unwrap_err().to_string().contains("is no report"));
        let deep = format!("{{\"version\":1,\"endpoint\":{}", "[".repeat(100_000));
        assert!(read(deep.as_bytes()).unwrap_err().to_string().contains("is no report"));
        assert!(read(io::repeat(b' ')).unwrap_err().to_string().contains("64 MiB"));
    }
}
