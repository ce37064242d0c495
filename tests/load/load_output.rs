//! Goal: the result goes where it was asked for, in the form that was asked for, and nowhere else; and whoever ends a
//! run early has what was measured until then.
//!
//! Method: the built binary with its output on pipes, in files, on a terminal of the test's own, and closed; SIGINT in
//! the middle.

use std::fs::{self, File};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Collected, Fate, FaultyDatagrams, FaultyServer, Loading, PATIENCE, Process, Server, cooee, finish, load, run, take,
};
use nix::pty::openpty;
use nix::sys::signal::Signal::{SIGINT, SIGTERM};
use serde_json::Value;

fn quick(url: &str, args: &[&str]) -> Command {
    cooee(&[&["load", "--warmup=0s", "-c2", "-R200", "-d500ms"], args, &[url]].concat())
}

#[test]
fn a_person_reads_it_on_stdout_and_stderr_is_silent() {
    let server = Server::start(&[]);
    let ran = run(&mut quick(&server.url("tcp"), &[]), b"");
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    let printed = ran.printed();
    for word in ["p50", "p90", "p95", "p99", "p99.9", "p99.99", "max", "mean", "messages", "CPU", "connections"] {
        assert!(printed.contains(word), "no '{word}': {printed}");
    }
    assert!(!printed.contains('\x1b'), "no colour where no terminal is: {printed:?}");
    assert!(printed.lines().all(|line| line.chars().count() <= 100), "{printed}");
    if ran.code == Some(0) {
        assert_eq!(ran.stderr, "", "all is well");
    }
}

#[test]
fn json_is_one_object_on_stdout_or_in_a_file() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("run.json");
    let ran = run(&mut quick(&server.url("tcp"), &["--json", path.to_str().unwrap()]), b"");
    assert!(ran.printed().contains("p99"), "a person still reads it: {ran:?}");
    let written: Value = serde_json::from_slice(&fs::read(&path).unwrap()).expect("JSON");
    let measured = load(&server.url("tcp"), &["-n10"]);
    let names = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&written), names(&measured.report));
    for name in [
        "version",
        "endpoint",
        "loop",
        "duration_s",
        "connections",
        "messages",
        "in_vain",
        "in_vain_longest_us",
        "latency_until",
        "percentiles_up_to",
        "surplus",
        "surplus_bytes",
        "messages_per_s",
        "bytes_per_s",
        "latency_us",
        "send_latency_us",
        "errors",
        "lost",
        "duplicated",
        "reordered",
        "corrupt",
        "late",
        "valid",
        "generator_cpu_s",
        "histogram",
    ] {
        assert!(written.get(name).is_some(), "no '{name}' in {:?}", names(&written));
    }
    for name in ["p50", "p90", "p95", "p99", "p999", "p9999", "max", "mean"] {
        assert!(written["latency_us"][name].is_number(), "no latency '{name}'");
    }
}

#[test]
fn csv_and_html_are_written_too() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let (csv, html) = (folder.path().join("run.csv"), folder.path().join("run.html"));
    let args = ["--csv", csv.to_str().unwrap(), "--html", html.to_str().unwrap()];
    let ran = run(&mut quick(&server.url("tcp"), &args), b"");
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    let csv = fs::read_to_string(csv).unwrap();
    let lines: Vec<&str> = csv.lines().collect();
    assert_eq!(lines.len(), 2, "a header and a row: {csv}");
    assert_eq!(lines[0].split(',').count(), lines[1].split(',').count(), "{csv}");
    let html = fs::read_to_string(html).unwrap();
    assert!(html.contains("<svg") && html.trim_end().ends_with("</html>"), "{} bytes", html.len());

    let ran = run(&mut quick(&server.url("tcp"), &["--csv=-"]), b"");
    assert_eq!(ran.printed().lines().count(), 2, "only the two lines: {ran:?}");
}

#[test]
fn a_file_that_cannot_be_written_is_told() {
    let server = Server::start(&[]);
    for flag in ["--json", "--csv", "--html"] {
        let ran = run(&mut quick(&server.url("tcp"), &[flag, "/nowhere/at/all"]), b"");
        assert!(matches!(ran.code, Some(1 | 2)), "{flag}: {ran:?}");
        assert!(ran.stderr.contains("/nowhere/at/all"), "{flag}: {ran:?}");
    }
}

#[test]
fn a_run_that_did_not_begin_is_an_object_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (csv, html, json) = (path("run.csv"), path("run.html"), path("run.json"));
    let unknown = "no-such-host.invalid:9";
    for (args, code, words) in [
        (&[unknown][..], 1, "no-such-host.invalid"),
        (&["--churn", "udp://127.0.0.1:9"], 2, "--churn"),
        (&["--source=192.0.2.1", "127.0.0.1:9"], 2, "--source 192.0.2.1"),
        (&["127.0.0.1:0"], 2, "port 0"),
    ] {
        let ran = run(&mut cooee(&[&["load", "--json=-", "-R10"], args].concat()), b"");
        assert_eq!(ran.code, Some(code), "{args:?}: {ran:?}");
        let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        assert_eq!(
            (&report["valid"], &report["messages"], &report["loop"]),
            (&false.into(), &0.into(), &"open".into())
        );
        let doubt = report["doubts"][0].as_str().unwrap();
        assert!(doubt.starts_with("Nothing was measured: ") && doubt.contains(words), "{doubt}");
        assert!(report["latency_us"]["p99"].is_null() && report["percentiles_up_to"].is_null(), "{report:#}");
        assert!(ran.stderr.contains(words), "a person is told as before: {ran:?}");
    }
    let args = ["load", "--json", &json, "--csv", &csv, "--html", &html, unknown];
    let ran = run(&mut cooee(&args), b"");
    assert_eq!((ran.code, ran.printed()), (Some(1), ""), "{ran:?}");
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("INVALID") && !page.contains("<svg"), "no empty picture: {page}");
    assert!(fs::read_to_string(csv).unwrap().contains(",false,"));
    // It can be told again.
    let ran = run(&mut cooee(&["report", &json]), b"");
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.printed().contains("INVALID") && ran.printed().contains("Nothing was measured: "), "{ran:?}");
}

#[test]
fn a_run_that_measured_nothing_is_not_valid_and_draws_nothing() {
    // It takes what comes and says nothing.
    let server = FaultyServer::start(|_, stream| {
        while take(stream, 64).is_ok() {}
        Ok(())
    });
    let folder = tempfile::tempdir().unwrap();
    let html = folder.path().join("run.html");
    let measured = load(&server.url(), &["-d1s", "--timeout=300ms", "--html", html.to_str().unwrap()]);
    assert_eq!((measured.ran.code, measured.count("messages")), (Some(1), 0), "{}", measured.shown());
    let doubt = measured.report["doubts"][0].as_str().unwrap();
    assert!(doubt.starts_with("Nothing was measured: ") && doubt.contains("timed-out"), "{}", measured.shown());
    let page = fs::read_to_string(html).unwrap();
    assert!(!page.contains("Latency by percentile") && !page.contains("Throughput"), "{page}");
    assert!(page.contains("Errors over time") && page.contains("No message was answered."), "{page}");
}

#[test]
fn percentiles_say_of_how_many_messages_they_are_and_who_waited_in_vain() {
    let each_tenth = |number: u64| if number.is_multiple_of(10) { Fate::Lost } else { Fate::Delivered };
    let server = FaultyDatagrams::start(each_tenth);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (csv, html, json) = (path("run.csv"), path("run.html"), path("run.json"));
    let args = ["load", "--warmup=0s", "-n50", "-R200", "--pipeline=50", "--timeout=400ms"];
    let ran = run(cooee(&args).args(["--csv", &csv, "--html", &html, "--json", &json, &server.url()]), b"");
    let text = ran.printed();
    assert!(text.contains("\n  of 45 of 50 messages; 5 waited in vain, for up to "), "{text}");
    let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap().trim_end();
    assert!(!row("p95 ").contains('–') && row("p99 ").ends_with('–') && !row("max ").contains('–'), "{text}");
    let report: Value = serde_json::from_slice(&fs::read(json).unwrap()).unwrap();
    let waited = report["in_vain_longest_us"].as_f64().unwrap();
    assert_eq!((&report["in_vain"], &report["percentiles_up_to"]), (&5.into(), &95.0.into()), "{report:#}");
    assert!((400e3..5e6).contains(&waited), "{waited} µs");
    let csv = fs::read_to_string(csv).unwrap();
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let (names, figures) = (lines.next().unwrap(), lines.next().unwrap());
    let cell = |name: &str| figures[names.iter().position(|known| *known == name).unwrap()];
    assert_eq!((cell("in_vain"), cell("latency_us_p99"), cell("percentiles_up_to")), ("5", "", "95"));
    assert!(!cell("latency_us_p95").is_empty() && !cell("latency_us_max").is_empty());
    let page = fs::read_to_string(html).unwrap();
    assert!(page.contains("Of 45 of 50 messages; 5 waited in vain, for up to "), "{page}");
}

#[test]
fn who_is_never_answered_on_a_stream_has_waited_in_vain_too() {
    // The first ten messages of the first connection are answered, and no more; most of what is due then is never sent.
    let start = || {
        FaultyServer::start(|number, stream| {
            for _ in 0..if number == 0 { 10 } else { 0 } {
                let message = take(stream, 64)?;
                std::io::Write::write_all(stream, &message)?;
            }
            while take(stream, 64).is_ok() {}
            Ok(())
        })
    };
    let server = start();
    let measured = load(&server.url(), &["-R100", "-d500ms", "--timeout=600ms"]);
    assert_eq!(measured.count("messages"), 10, "{}", measured.shown());
    assert_eq!(measured.count("in_vain"), 40, "{}", measured.shown());
    let waited = measured.number("in_vain_longest_us") / 1e6;
    assert!((0.6..5.0).contains(&waited), "{waited} s: {}", measured.shown());
    // One that is interrupted has waited until then.
    let server = start();
    let loading = Loading::start(&server.url(), &["-n20", "--timeout=60s"]);
    crate::support::wait_until("it waits", || server.accepted() == 1);
    thread::sleep(Duration::from_millis(300));
    loading.signal(SIGINT);
    let measured = loading.finish();
    assert_eq!((measured.count("messages"), measured.count("in_vain")), (10, 1), "{}", measured.shown());
    assert!(measured.number("in_vain_longest_us") > 50e3, "{}", measured.shown());
}

#[test]
fn two_results_on_stdout_are_refused() {
    let ran = run(&mut quick("tcp://127.0.0.1:9", &["--json=-", "--csv=-"]), b"");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert_eq!(ran.stdout, b"", "{ran:?}");
}

#[test]
fn an_interrupt_prints_the_result_so_far() {
    let server = Server::start(&[]);
    for (signal, rate) in [(SIGINT, &[][..]), (SIGINT, &["-R500"]), (SIGTERM, &["-R500"])] {
        let loading = Loading::start(&server.url("tcp"), &[&["-c2", "-d60s"], rate].concat());
        let before = server.summary().get("messages_in");
        server.wait_summary("the run has begun", |summary| summary.get("messages_in") > before + 100);
        let start = Instant::now();
        loading.signal(signal);
        let measured = loading.finish();
        assert!(start.elapsed() < Duration::from_secs(5), "{:?}: {}", start.elapsed(), measured.shown());
        // Something was measured; where the machine is busy, it may be told that it is not to be trusted.
        assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
        assert!(measured.count("messages") > 0, "{}", measured.shown());
        assert_eq!(measured.report["interrupted"], true, "{}", measured.shown());
        let seconds = measured.number("duration_s");
        assert!(seconds < 30.0, "the time that it really took: {}", measured.shown());
        assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
        assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
    }
}

#[test]
fn an_interrupt_before_anything_was_measured_is_no_success() {
    let server = FaultyServer::start(|_, stream| {
        while take(stream, 64).is_ok() {}
        Ok(())
    });
    let loading = Loading::start(&server.url(), &["-d60s", "--timeout=60s"]);
    crate::support::wait_until("it has connected", || server.accepted() > 0);
    let start = Instant::now();
    loading.signal(SIGINT);
    let measured = loading.finish();
    assert_eq!(measured.ran.code, Some(1), "{}", measured.shown());
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}: {}", start.elapsed(), measured.shown());
}

#[test]
fn closed_outputs_are_no_panic() {
    let server = Server::start(&[]);
    for args in [&[][..], &["--json=-"], &["--csv=-"]] {
        let mut command = quick(&server.url("tcp"), args);
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        drop(process.child().stdout.take());
        let ran = finish(process);
        assert!(!ran.stderr.contains("panicked"), "{args:?}: {ran:?}");
        assert!(matches!(ran.code, Some(0 | 1 | 3)), "{args:?}: {ran:?}");
    }
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut command = quick(&server.url("tcp"), &["--json=-"]);
    let ran = finish(Process::spawn(command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped())));
    assert_eq!(ran.code, Some(1), "what could not be written is told: {ran:?}");
    assert!(!ran.stderr.contains("panicked") && !ran.stderr.is_empty(), "{ran:?}");
}

/// Runs with stderr on a terminal of its own, and returns what that terminal was sent.
fn on_terminal(url: &str, variables: &[(&str, &str)]) -> String {
    let pty = openpty(None, None).unwrap();
    let mut command = quick(url, &["-d1500ms"]);
    // The last one of two durations would be refused.
    let args: Vec<_> = command.get_args().filter(|arg| *arg != "-d500ms").map(ToOwned::to_owned).collect();
    command = Command::new(command.get_program());
    command.args(args).env("TERM", "xterm-256color").env_remove("NO_COLOR").env_remove("RUST_LOG");
    command.envs(variables.iter().copied());
    let screen = Collected::of(File::from(pty.master));
    let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(pty.slave));
    // The terminal ends when nobody has it open any more: this command too.
    drop(command);
    assert!(process.exit_within(PATIENCE).is_some(), "it does not end");
    let ran = finish(process);
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    crate::support::wait_until("the terminal ends", || screen.is_closed());
    screen.text()
}

#[test]
fn a_terminal_shows_progress_and_is_left_clean() {
    let server = Server::start(&[]);
    let plain = on_terminal(&server.url("tcp"), &[("NO_COLOR", "1")]);
    assert!(plain.contains("/s"), "messages a second: {plain:?}");
    let colours = |text: &str| {
        text.split('\x1b').skip(1).any(|rest| {
            let sequence: String = rest.chars().take_while(|c| !c.is_ascii_alphabetic()).collect();
            rest.chars().nth(sequence.chars().count()) == Some('m')
        })
    };
    assert!(!colours(&plain), "NO_COLOR: {plain:?}");
    // The last thing is an empty line.
    let last = plain.rsplit(['\r', '\n']).find(|line| !line.is_empty()).unwrap_or("");
    assert!(!last.contains("/s") || last.contains("\x1b[2K"), "it is cleared: {plain:?}");
    let coloured = on_terminal(&server.url("tcp"), &[]);
    assert!(coloured.contains("/s"), "{coloured:?}");
    // A line that cannot be taken back is not drawn at all.
    let dumb = on_terminal(&server.url("tcp"), &[("TERM", "dumb")]);
    assert!(!dumb.contains("/s") && !dumb.contains('\x1b'), "{dumb:?}");
}

#[test]
fn a_reader_that_is_slow_holds_nobody_up() {
    // Nobody reads stdout until the process is done with its load.
    let server = Server::start(&[]);
    let mut command = quick(&server.url("tcp"), &["--json=-"]);
    let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    thread::sleep(Duration::from_millis(700));
    let stdout = Collected::of(process.child().stdout.take().unwrap());
    assert!(process.exit_within(PATIENCE).is_some(), "it does not end");
    let report: Value = serde_json::from_slice(&stdout.whole()).expect("one whole object");
    assert_eq!(report["messages"], 100, "{report:#}");
}
