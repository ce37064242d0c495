//! Goal: `cooee report` tells what runs of load have measured, merged or side by side, and refuses what is no report or
//! cannot be merged, in plain words that name the file. Its JSON is what `docs/report-format.md` promises, field by
//! field.
//!
//! Method: the built binary, with files of runs whose figures are known, since they were made by hand: among them a
//! server that stood still for 2 s of 10 s at 1,000 messages a second.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::Read;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{PATIENCE, Process, Ran, cooee, finish, run};
use cooee::measure::report::objective::Found;
use cooee::measure::report::{Report, json};
use serde_json::Value;
use tempfile::TempDir;

/// A folder with reports.
struct Folder(TempDir);

impl Folder {
    fn with(reports: &[(&str, Report)]) -> Folder {
        let folder = Folder(tempfile::tempdir().unwrap());
        for (name, report) in reports {
            fs::write(folder.path(name), written(report)).unwrap();
        }
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Runs `cooee report` in it.
    fn report(&self, args: &[&str]) -> Ran {
        run(cooee(&["report"]).args(args).current_dir(self.0.path()), b"")
    }
}

fn written(report: &Report) -> Vec<u8> {
    let mut bytes = Vec::new();
    json::write(report, &mut bytes).unwrap();
    bytes
}

fn on(host: &str, mut report: Report) -> Report {
    report.conditions[0].host = host.to_owned();
    report
}

/// The figures of a line of the text.
#[track_caller]
fn line<'a>(text: &'a str, name: &str) -> &'a str {
    text.lines().find(|line| line.trim_start().starts_with(name)).unwrap_or_else(|| panic!("no {name} in {text}"))
}

/// What a page says first, below what it is called.
fn first_sentence(page: &str) -> &str {
    let after = page.split_once("</h1><p class=\"verdict\">").expect("a verdict").1;
    after.split_once("</p>").expect("its end").0
}

#[test]
fn the_first_sentence_of_a_report_is_its_verdict() {
    let searched = |rate| {
        let mut report = crate::runs::stopped_server();
        report.objective = crate::runs::troubled().objective.map(|found| Found { rate, ..found });
        report
    };
    let doubted =
        Report { late: 5_000, valid: false, doubts: vec!["late".to_owned()], ..crate::runs::stopped_server() };
    let interrupted = Report { interrupted: true, ..crate::runs::stopped_server() };
    let cases = [
        ("good.json", crate::runs::stopped_server(), "1,000 of 1,000 messages/s as asked, 0 late, valid."),
        ("closed.json", crate::runs::closed(), "14,251 messages/s, valid."),
        ("doubted.json", doubted, "1,000 of 1,000 messages/s as asked, 5,000 late, INVALID."),
        ("nothing.json", crate::runs::nothing(), "Nothing was answered, 50 errors, INVALID."),
        ("ended.json", interrupted, "1,000 messages/s, 0 late, interrupted after 10.0 s, valid."),
        (
            "found.json",
            searched(Some(900.0)),
            "Highest rate that keeps p99 within 2.00 ms: 900 messages/s, 0 late, valid.",
        ),
        ("none.json", searched(None), "No rate was found that keeps p99 within 2.00 ms, 0 late, valid."),
    ];
    let folder = Folder::with(&cases.clone().map(|(name, report, _)| (name, report)));
    for (name, report, verdict) in &cases {
        let ran = folder.report(&[name, "--html", "a.html"]);
        assert_eq!(ran.code, Some(0), "{name}: {ran:?}");
        let said = ran.printed().split_once(&report.endpoint).expect("what it was").0;
        assert_eq!(said.replace('\n', " ").trim(), *verdict, "{name}");
        let page = fs::read_to_string(folder.path("a.html")).unwrap();
        assert_eq!(first_sentence(&page), *verdict, "{name}");
        let title = "<title>tcp://127.0.0.1:9000, 2026-11-22 12:00:00 UTC: load test</title>";
        assert!(page.contains(title), "{name}: {page}");
    }
    // Merged ones are judged together.
    let both = Folder::with(&[
        ("a.json", on("a", crate::runs::stopped_server())),
        ("b.json", on("b", crate::runs::stopped_server())),
    ]);
    let merged = both.report(&["a.json", "b.json"]);
    assert!(merged.printed().starts_with("2,000 of 2,000 messages/s as asked, 0 late, valid.\n"), "{merged:?}");
}

#[test]
fn the_servers_cpu_time_is_in_every_output_with_columns() {
    let with = Report { server_cpu_s: Some(2.0), ..crate::runs::stopped_server() };
    let folder = Folder::with(&[("a.json", with), ("b.json", crate::runs::stopped_server())]);
    let text = folder.report(&["a.json", "--html", "a.html", "--csv", "a.csv"]);
    assert!(line(text.printed(), "server CPU").ends_with("2.00 s (20.0 % of a core), 200 µs a message"), "{text:?}");
    let page = fs::read_to_string(folder.path("a.html")).unwrap();
    assert!(page.contains("<dt>server CPU a message</dt><dd>200 µs</dd>"), "{page}");
    assert!(page.contains("<dt>late sends</dt><dd>0 of 10,000</dd>"), "{page}");
    let both = folder.report(&["a.json", "b.json", "--side-by-side", "--html", "both.html", "--csv", "both.csv"]);
    assert!(both.printed().contains("\nserver CPU                  2.00 s                 –\n"), "{both:?}");
    assert!(both.printed().contains("\nserver a msg                200 µs                 –\n"), "{both:?}");
    let page = fs::read_to_string(folder.path("both.html")).unwrap();
    assert!(page.contains("<th scope=\"row\">server CPU</th><td>2.00 s</td><td>–</td>"), "{page}");
    for (file, expected) in [("a.csv", &["2"][..]), ("both.csv", &["2", ""])] {
        let table = fs::read_to_string(folder.path(file)).unwrap();
        let mut rows = table.lines().map(|line| line.split(',').collect::<Vec<_>>());
        let column = rows.next().unwrap().iter().position(|name| *name == "server_cpu_s").expect("a column");
        assert_eq!(rows.map(|row| row[column].to_owned()).collect::<Vec<_>>(), expected, "{table}");
    }
}

#[test]
fn one_report_is_told() {
    let folder = Folder::with(&[("a.json", crate::runs::stopped_server())]);
    let ran = folder.report(&["a.json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stderr, "");
    let text = ran.printed();
    assert!(line(text, "p90 ").contains("1.00 s"), "no coordinated omission: {text}");
    assert!(line(text, "p99 ").contains("1.90 s"), "{text}");
    assert!(text.contains("coordinated omission") && text.contains("1,000 messages/s"), "{text}");
}

#[test]
fn two_machines_are_merged() {
    let folder =
        Folder::with(&[("a.json", on("a", crate::runs::closed())), ("b.json", on("b", crate::runs::closed()))]);
    let ran =
        folder.report(&["a.json", "b.json", "--json", "merged.json", "--html", "merged.html", "--csv", "merged.csv"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.printed().contains("100 connections") && ran.printed().contains("merged from 2 runs"), "{ran:?}");

    let merged = json::read(&fs::read(folder.path("merged.json")).unwrap()[..]).unwrap();
    let one = crate::runs::closed();
    assert_eq!(merged.messages, 2 * one.messages);
    assert_eq!(merged.histogram.value_at_quantile(0.99), one.histogram.value_at_quantile(0.99));
    assert!(merged.valid);
    let page = fs::read_to_string(folder.path("merged.html")).unwrap();
    assert!(page.contains("</svg>") && page.ends_with("</html>"), "{page}");
    let table = fs::read_to_string(folder.path("merged.csv")).unwrap();
    assert_eq!(table.lines().count(), 2, "{table}");

    // What was merged can be merged again, but not with what is in it already.
    let ran = folder.report(&["merged.json", "a.json"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("count twice"), "{ran:?}");
}

#[test]
fn rates_of_runs_one_after_the_other_are_doubted_aloud() {
    let mut later = on("b", crate::runs::closed());
    later.conditions[0].began = "2026-11-22T12:10:00Z".to_owned();
    let folder = Folder::with(&[("a.json", crate::runs::closed()), ("b.json", later)]);
    let ran = folder.report(&["a.json", "b.json"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.printed().contains("INVALID") && ran.printed().contains("at the same time"), "{ran:?}");
}

#[test]
fn what_differs_is_not_merged_but_laid_side_by_side() {
    let folder = Folder::with(&[("a.json", crate::runs::closed()), ("b.json", crate::runs::stopped_server())]);
    let ran = folder.report(&["a.json", "b.json"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("a.json and b.json") && ran.stderr.contains("loops differ"), "{ran:?}");
    assert!(ran.stderr.contains("--side-by-side") && ran.stdout.is_empty(), "{ran:?}");

    let ran = folder.report(&["a.json", "b.json", "--side-by-side", "--html", "both.html", "--csv", "both.csv"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(line(ran.printed(), "loop").ends_with("closed              open"), "{ran:?}");
    let verdict = "2 runs, both valid; the conditions differ (loop); b.json has ";
    assert!(ran.printed().starts_with(verdict), "{ran:?}");
    let page = fs::read_to_string(folder.path("both.html")).unwrap();
    assert!(first_sentence(&page).starts_with(verdict), "{page}");
    assert!(page.contains("<title>a.json, b.json: load tests side by side</title>"), "{page}");
    let places = ["<h2>Ratios</h2>", "<svg", "<h2>Conditions that differ</h2>", "<h2>Figures</h2>"];
    assert!(places.map(|words| page.find(words).expect(words)).is_sorted(), "{page}");
    assert_eq!(fs::read_to_string(folder.path("both.csv")).unwrap().lines().count(), 3);
}

#[test]
fn standard_output_holds_one_thing() {
    let folder = Folder::with(&[("a.json", crate::runs::closed())]);
    let ran = folder.report(&["a.json", "--json", "-"]);
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout, written(&crate::runs::closed()), "the same object, and nothing else");
    let ran = folder.report(&["a.json", "--csv", "-"]);
    assert!(ran.printed().starts_with("report,began,") && ran.printed().lines().count() == 2, "{ran:?}");
}

#[test]
fn standard_input_is_read_as_a_file() {
    let ran = run(&mut cooee(&["report", "-", "--csv", "-"]), &written(&crate::runs::closed()));
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.printed().lines().nth(1).unwrap().starts_with("standard input,"), "{ran:?}");
    let ran = run(&mut cooee(&["report", "-"]), b"{");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.starts_with("cooee: standard input is no report: "), "{ran:?}");
}

#[test]
fn a_report_that_a_shell_or_an_editor_of_windows_has_written_is_read() {
    let report = written(&crate::runs::closed());
    let text = str::from_utf8(&report).unwrap().replace('\n', "\r\n");
    let marked = format!("\u{feff}{text}");
    let forms: [(&str, Vec<u8>); 4] = [
        ("CR LF", text.into()),
        ("a mark", marked.clone().into()),
        ("UTF-16, low byte first", marked.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16, high byte first", marked.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ];
    let folder = Folder::with(&[("plain.json", crate::runs::closed())]);
    let plain = folder.report(&["plain.json", "--csv=-"]);
    for (form, bytes) in forms {
        fs::write(folder.path("plain.json"), &bytes).unwrap();
        let ran = folder.report(&["plain.json", "--csv=-"]);
        assert_eq!((ran.code, &ran.stdout), (Some(0), &plain.stdout), "{form}: {ran:?}");
        let ran = run(cooee(&["report", "-", "--csv=-"]).current_dir(folder.0.path()), &bytes);
        let named = plain.printed().replace("plain.json,", "standard input,");
        assert_eq!((ran.code, ran.printed()), (Some(0), named.as_str()), "{form}: {ran:?}");
    }
    fs::write(folder.path("plain.json"), b"\xff\xfe{").unwrap();
    let ran = folder.report(&["plain.json"]);
    assert!(ran.code == Some(1) && ran.stderr.contains("begins as UTF-16 does"), "{ran:?}");
}

#[test]
fn wrong_usage_says_what_is_right() {
    let folder = Folder::with(&[("a.json", crate::runs::closed())]);
    for (args, words) in [
        (&[][..], "FILE"),
        (&["a.json", "--json", "-", "--csv", "-"], "standard output can hold one"),
        (&["a.json", "--html", "-"], "--html -"),
        (&["a.json", "--side-by-side", "--json", "b.json"], "cannot be used with"),
        (&["-", "-"], "can be read once"),
    ] {
        let ran = folder.report(args);
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(words), "{args:?}: {ran:?}");
        assert!(ran.stdout.is_empty(), "{args:?}");
    }
}

#[test]
fn no_two_outputs_go_to_one_file_and_none_to_an_input() {
    let folder = Folder::with(&[("a.json", crate::runs::closed()), ("b.json", on("other", crate::runs::closed()))]);
    fs::write(folder.path("there"), "kept").unwrap();
    fs::hard_link(folder.path("there"), folder.path("hard")).unwrap();
    for (target, link) in [("there", "soft"), ("new", "dangling"), ("a.json", "input")] {
        symlink(target, folder.path(link)).unwrap();
    }
    let server = format!("--server=a='{}' serve -q tcp://127.0.0.1:{{port}}", env!("CARGO_BIN_EXE_cooee"));
    // Nobody listens there: with exit code 1 it would have been tried.
    let commands =
        [&["load", "127.0.0.1:1"][..], &["compare", "--rounds=1", "-n1", &server], &["report", "a.json", "b.json"]];
    let pairs = [["new", "new"], ["new", "./new"], ["new", "dangling"], ["there", "hard"], ["there", "soft"]];
    let [json, html, csv] = ["--json", "--html", "--csv"];
    let outputs = [[json, html], [json, csv], [csv, html]];
    let mut cases: Vec<(&[&str], Vec<&str>)> = Vec::new();
    for command in commands {
        for [one, other] in pairs {
            let known = outputs.iter().filter(|flags| command[0] != "compare" || !flags.contains(&csv));
            cases.extend(known.map(|flags| (command, vec![flags[0], one, flags[1], other])));
        }
        cases.extend([json, html].map(|flag| (command, vec![flag, "stream"])));
    }
    cases.extend(["a.json", "./b.json", "input"].map(|file| (commands[2], vec![json, file])));
    for (command, flags) in cases {
        for stream in ["stdout", "stderr"] {
            let mut command = cooee(&[command, &flags[..]].concat());
            command.current_dir(folder.0.path()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
            if flags.contains(&"stream") {
                let file = File::create(folder.path("stream")).unwrap();
                if stream == "stdout" {
                    command.stdout(file)
                } else {
                    command.stderr(file)
                };
            }
            let ran = finish(Process::spawn(&mut command));
            assert_eq!((ran.code, ran.printed()), (Some(2), ""), "{flags:?}: {ran:?}");
            assert!(ran.stderr.contains("are one file") || stream == "stderr", "{flags:?}: {ran:?}");
        }
    }
    assert_eq!(fs::read(folder.path("there")).unwrap(), b"kept");
    assert_eq!(fs::read(folder.path("a.json")).unwrap(), written(&crate::runs::closed()));
    assert!(!folder.path("new").exists(), "nothing was written");
    // A device keeps nothing, so nothing can be lost there.
    let ran = folder.report(&["a.json", json, "/dev/null", html, "/dev/null", csv, "new"]);
    assert!(ran.code == Some(0) && folder.path("new").exists(), "{ran:?}");
}

#[test]
fn what_is_no_report_is_named_with_the_reason() {
    let folder = Folder::with(&[("good.json", crate::runs::closed())]);
    let good: Value = serde_json::from_slice(&written(&crate::runs::closed())).unwrap();
    let with = |field: &str, value: Value| {
        let mut report = good.clone();
        report[field] = value;
        report.to_string().into_bytes()
    };
    let half = written(&crate::runs::closed())[..1000].to_vec();
    let cases: [(&str, Vec<u8>, &str); 9] = [
        ("empty.json", Vec::new(), "is no report"),
        ("half.json", half, "is no report"),
        ("bytes.json", vec![0xff; 100], "is no report"),
        ("other.json", b"{\"benchmarks\": []}".to_vec(), "it has no version"),
        ("newer.json", with("version", 2.into()), "version 2"),
        ("histogram.json", with("histogram", "AAAA".into()), "a histogram cannot be read"),
        ("messages.json", with("messages", 7.into()), "a histogram holds"),
        ("rate.json", with("messages_per_s", 1e12.into()), "the counts give"),
        ("terminal.json", with("loop", "\u{1b}]0;title\u{7}".into()), "\\u{1b}]0;title"),
    ];
    for (name, bytes, words) in cases {
        fs::write(folder.path(name), bytes).unwrap();
        for args in [&[name][..], &["good.json", name], &["good.json", name, "--side-by-side"]] {
            let ran = folder.report(args);
            assert_eq!(ran.code, Some(1), "{args:?}: {ran:?}");
            assert!(
                ran.stderr.starts_with(&format!("cooee: {name} ")) && ran.stderr.contains(words),
                "{args:?}: {ran:?}"
            );
            assert!(ran.stdout.is_empty() && !ran.stderr.contains('\x1b'), "{args:?}: {ran:?}");
        }
    }
    let ran = folder.report(&["missing.json"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("missing.json cannot be opened"), "{ran:?}");
    let ran = folder.report(&["good.json", "--html", "no/such/folder.html"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.stderr.contains("no/such/folder.html"), "{ran:?}");
}

#[test]
fn a_hostile_report_does_nothing_to_a_terminal() {
    let mut hostile = crate::runs::troubled();
    hostile.endpoint = "tcp://\x1b[2J\u{202e}".to_owned();
    hostile.doubts.push("\x1b]0;title\x07".to_owned());
    hostile.errors.insert("\x1b[31m".to_owned(), 1);
    hostile.mismatch.as_mut().unwrap().got = "\u{9b}2J".to_owned();
    hostile.conditions[0].host = "<script>\x1b".to_owned();
    let folder = Folder::with(&[("a.json", hostile)]);
    for args in [&["a.json", "--html", "a.html"][..], &["a.json", "--side-by-side", "--html", "a.html"]] {
        let ran = folder.report(args);
        assert_eq!(ran.code, Some(0), "{ran:?}");
        let page = fs::read_to_string(folder.path("a.html")).unwrap();
        for text in [ran.printed(), &page] {
            assert!(!text.contains(['\x1b', '\u{202e}', '\u{9b}', '\x07']), "{text}");
        }
        assert!(!page.contains("<script"));
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let folder = Folder::with(&[("a.json", crate::runs::closed())]);
    for format in [&[][..], &["--json", "-"], &["--csv", "-"]] {
        let mut command = cooee(&["report", "a.json"]);
        command.args(format).current_dir(folder.0.path()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Process::spawn(&mut command);
        drop(process.child().stdout.take());
        let status = process.exit_within(PATIENCE).expect("it ends");
        let mut said = String::new();
        process.child().stderr.take().unwrap().read_to_string(&mut said).unwrap();
        assert_eq!((status.code(), &said[..]), (Some(0), ""), "{format:?}");
    }
}

#[test]
fn a_full_disk_is_a_failure() {
    if !Path::new("/dev/full").exists() {
        return crate::support::skip("this system has no /dev/full");
    }
    let folder = Folder::with(&[("a.json", crate::runs::closed())]);
    let full = || fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let mut command = cooee(&["report", "a.json"]);
    command.current_dir(folder.0.path()).stdin(Stdio::null()).stdout(full()).stderr(Stdio::piped());
    let ran = crate::support::finish(Process::spawn(&mut command));
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("cannot write standard output"), "{ran:?}");
    let ran = folder.report(&["a.json", "--json", "/dev/full"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
}

/// The paths of all fields below a value: `latency_us.p50`, `intervals[].replies`.
fn fields(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    match value {
        Value::Object(fields_of) => {
            for (name, value) in fields_of {
                let name = match path {
                    "errors" => "KIND",
                    "conditions[].options" => "FLAG",
                    _ => name,
                };
                let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
                found.insert(path.clone());
                fields(value, &path, found);
            }
        }
        Value::Array(values) => values.iter().for_each(|value| fields(value, &format!("{path}[]"), found)),
        _ => {}
    }
}

#[test]
fn the_documentation_has_every_field_that_is_written_and_no_other() {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/report-format.md")).unwrap();
    let told: BTreeSet<String> = page
        .split("## ")
        .take_while(|section| !section.starts_with("A comparison\n"))
        .filter(|section| section.contains("\n| field |"))
        .flat_map(str::lines)
        .filter_map(|line| line.strip_prefix("| `")?.split_once("` |"))
        .map(|(field, _)| field.to_owned())
        .collect();
    let mut found = BTreeSet::new();
    fields(&serde_json::from_slice(&written(&crate::runs::troubled())).unwrap(), "", &mut found);
    let difference: Vec<&String> = told.symmetric_difference(&found).collect();
    assert!(difference.is_empty(), "{difference:?}");
}
