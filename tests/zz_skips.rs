//! Goal: a run that left tests out says so, at its end: how many, which and why. Where that matters (`STRICT_SKIPS=1`:
//! CI), a skip that `tests/expected_skips.toml` does not name fails the run.
//!
//! Method: a program without a test runner, so that what it prints is seen. `cargo test` runs the programs by their
//! names, this one last; behind it come the examples in the documentation, which leave nothing out. It reads what the
//! others have noted (`tests/support/skips.rs`).

#[path = "support/skips.rs"]
#[allow(dead_code, reason = "this program skips nothing itself")]
mod skips;

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::{env, fs};

use skips::{all_folders, folder, read, run};

/// A skip that is expected where CI runs: a test, and how its reason begins.
type Expected = (String, String);

fn main() -> ExitCode {
    // Whoever lists the tests (`-- --list`) runs none.
    if env::args().any(|argument| argument == "--list") {
        return ExitCode::SUCCESS;
    }
    check();
    let notes = folder().map(|folder| read(&folder)).unwrap_or_default();
    let list = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/expected_skips.toml");
    let expected = parse(&fs::read_to_string(&list).expect("the list of expected skips is there"));
    println!("\n{}", told(&notes));
    forget_ended_runs();
    if env::var_os("STRICT_SKIPS").is_none_or(|value| value != "1") {
        return ExitCode::SUCCESS;
    }
    let surprises: Vec<_> = notes.iter().filter(|note| !is_expected(note, &expected)).collect();
    for (test, reason) in &surprises {
        println!("not expected, and not named in tests/expected_skips.toml: {test}: {reason}");
    }
    if surprises.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// How many tests were left out, by reason.
fn told(notes: &[(String, String)]) -> String {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    notes.iter().for_each(|(test, reason)| reasons.entry(reason).or_default().push(test));
    let mut tests: Vec<&str> = notes.iter().map(|(test, _)| test.as_str()).collect();
    tests.dedup();
    let mut text = match tests.len() {
        0 => "skipped: no test of this run".to_owned(),
        1 => "skipped: 1 test of this run, or a part of it, although it is told as ok".to_owned(),
        count => format!("skipped: {count} tests of this run, or parts of them, although they are told as ok"),
    };
    for (reason, tests) in reasons {
        text.push_str(&format!("\n{:>4}  {reason}: {}", tests.len(), tests.join(", ")));
    }
    text
}

/// The lines `"test" = "how the reason begins"`; a line of TOML of another form is a mistake.
fn parse(text: &str) -> Vec<Expected> {
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with(['#', '[']));
    let pair = |line: &str| {
        let (test, reason) = line.strip_prefix('"')?.strip_suffix('"')?.split_once("\" = \"")?;
        Some((test.to_owned(), reason.to_owned()))
    };
    lines.map(|line| pair(line).unwrap_or_else(|| panic!("not \"TEST\" = \"REASON\": {line}"))).collect()
}

fn is_expected((test, reason): &(String, String), expected: &[Expected]) -> bool {
    expected.iter().any(|(name, beginning)| name == test && reason.starts_with(beginning))
}

/// Removes the notes of runs that have ended.
fn forget_ended_runs() {
    let folders = all_folders().and_then(|folder| fs::read_dir(folder).ok()).into_iter().flatten().flatten();
    for old in folders {
        let name = old.file_name().to_string_lossy().into_owned();
        let parent = name.split('-').next().and_then(|number| number.parse().ok());
        if parent.is_none_or(|parent| run(parent) != name) {
            let _ = fs::remove_dir_all(old.path());
        }
    }
}

/// What has no test runner tests itself.
fn check() {
    let note = |test: &str, reason: &str| (test.to_owned(), reason.to_owned());
    let notes = [note("a::one", "no IPv6"), note("a::two", "no nft: denied"), note("b::three", "no IPv6")];
    let text = told(&notes);
    assert!(text.contains("3 tests") && text.contains("   2  no IPv6: a::one, b::three"), "{text}");
    let twice = [note("a::one", "no IPv6"), note("a::one", "no nft")];
    assert!(told(&twice).contains("1 test ") && told(&[]).contains("no test"), "{}", told(&twice));
    let expected = parse("# why\n[skips]\n\"a::two\" = \"no nft\"\n\n\"b::three\" = \"no IPv6\"\n");
    let surprises: Vec<_> = notes.iter().filter(|note| !is_expected(note, &expected)).collect();
    assert_eq!(surprises, [&note("a::one", "no IPv6")]);
    assert!(!is_expected(&note("b::three", "another reason"), &expected));
}
