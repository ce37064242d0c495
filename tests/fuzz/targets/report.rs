//! A report comes from a file that anybody may have written. It is refused in words, or it can be shown, merged,
//! written and read again, and nothing in it has power over a terminal or a page.
#![no_main]

#[path = "../../support/runs.rs"]
mod runs;

use std::sync::LazyLock;

use cooee::measure::report::visible::visible;
use cooee::measure::report::{Report, json, merge, run_page, table, text};
use cooee_fuzz::power::{assert_harmless, assert_one_harmless_line};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

/// What a hostile report is made from.
static REPORTS: LazyLock<[Value; 4]> = LazyLock::new(|| {
    [runs::closed(), runs::stopped_server(), runs::troubled(), runs::nothing()].map(|report| value(&report))
});

/// What a decimal number may lose, as a part of it: `serde_json` reads the last binary digit wrong now and then.
const DECIMAL_LOSS: f64 = 1e-12;

// A file as it is; or a digit, which says where to begin and how to show it, and then lines of a JSON pointer and what
// to put there.
fuzz_target!(|bytes: &[u8]| {
    let (read, view) = match bytes.split_first() {
        Some((digit, changes)) if digit.is_ascii_digit() => {
            let digit = usize::from(digit - b'0');
            let report = changed(REPORTS[digit % REPORTS.len()].clone(), &String::from_utf8_lossy(changes));
            (json::read(report.to_string().as_bytes()), digit / REPORTS.len())
        }
        _ => (json::read(bytes), 0),
    };
    let report = match read {
        Ok(report) => report,
        Err(reason) => return assert_one_harmless_line(&visible(&reason.to_string())),
    };
    let again = json::read(&written(&report)[..]).expect("what is written can be read");
    assert_same(&value(&again), &value(&report));
    // One at a time: pictures take a hundred times as long as words.
    match view {
        0 => check_words(&report),
        1 => assert_page(&run_page::page(&report)),
        _ => check_sum(report),
    }
});

/// Fails where two values differ by more than what writing and reading a decimal number takes away.
fn assert_same(one: &Value, other: &Value) {
    match (one, other) {
        (Value::Array(ones), Value::Array(others)) if ones.len() == others.len() => {
            ones.iter().zip(others).for_each(|(one, other)| assert_same(one, other));
        }
        (Value::Object(ones), Value::Object(others)) if ones.keys().eq(others.keys()) => {
            ones.values().zip(others.values()).for_each(|(one, other)| assert_same(one, other));
        }
        (Value::Number(one), Value::Number(other)) if one.is_f64() && other.is_f64() => {
            let (one, other) = (one.as_f64().unwrap_or(f64::NAN), other.as_f64().unwrap_or(f64::NAN));
            assert!((one - other).abs() <= one.abs() * DECIMAL_LOSS, "{one:e} is not {other:e}");
        }
        _ => assert_eq!(one, other),
    }
}

fn check_words(report: &Report) {
    assert_harmless(&text::text(report));
    let mut bytes = Vec::new();
    table::write(&[("fuzz".to_owned(), report.clone())], &mut bytes).expect("a table can be written");
    let rows = csv::Reader::from_reader(&bytes[..]).into_records().collect::<Result<Vec<_>, _>>();
    let rows = rows.expect("each row has as many cells as there are names");
    assert_eq!(rows.len(), 1);
    assert!(rows[0].iter().all(|cell| !cell.starts_with(['=', '+', '-', '@'])), "a formula is in {:?}", rows[0]);
}

/// Nothing in a page is a script, or acts on whoever looks at its text.
fn assert_page(page: &str) {
    assert_harmless(page);
    let page = page.to_ascii_lowercase();
    assert!(!page.contains("<script") && !page.contains("javascript:"), "{page}");
}

/// With the same run of another machine.
fn check_sum(report: Report) {
    let mut other = report.clone();
    other.conditions.iter_mut().for_each(|conditions| conditions.host.push('2'));
    let both = [("one".to_owned(), report), ("other".to_owned(), other)];
    assert_harmless(&text::side_by_side(&both));
    if let Ok(sum) = merge::merge(&both) {
        assert_eq!(sum.messages, both[0].1.messages + both[1].1.messages);
        let read = json::read(&written(&sum)[..]).expect("a sum can be read");
        check_words(&read);
    }
}

fn changed(mut report: Value, changes: &str) -> Value {
    for line in changes.lines() {
        let Some((pointer, value)) = line.split_once(' ') else { continue };
        let Ok(value) = serde_json::from_str(value) else { continue };
        if let Some(place) = report.pointer_mut(pointer) {
            *place = value;
        } else if let Some((folder, name)) = pointer.rsplit_once('/') {
            match report.pointer_mut(folder) {
                Some(Value::Object(fields)) => drop(fields.insert(name.to_owned(), value)),
                Some(Value::Array(values)) => values.push(value),
                _ => {}
            }
        }
    }
    report
}

fn written(report: &Report) -> Vec<u8> {
    let mut bytes = Vec::new();
    json::write(report, &mut bytes).expect("a report can be written");
    bytes
}

fn value(report: &Report) -> Value {
    serde_json::from_slice(&written(report)).expect("JSON")
}
