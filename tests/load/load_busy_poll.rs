//! Goal: with `--busy-poll` the generator stays awake, says so in its report, and is not taken for the bottleneck
//! because of that. Nor do reports of polling and of sleeping generators become one.
//!
//! Method: one connection to a server that takes two milliseconds for each answer, so that the generator has nearly
//! nothing to do; the same load with and without the flag. What a generator is called that has its hands full is tested
//! where it is judged (`src/measure/load/outcome.rs`), and that nothing is counted then in `busy_poll.rs`: no test can
//! make a busy machine keep one busy.

use std::fs;
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::{FaultyServer, Measured, Server, cooee, load, run};
use serde_json::Value;

/// Runs with `flags` on one connection to a server that takes its time.
fn with_a_slow_server(flags: &[&str]) -> Measured {
    let server = FaultyServer::answering(64, |_, _, message| {
        thread::sleep(Duration::from_millis(2));
        message
    });
    load(&server.url(), &[&["-c1", "-d1s"], flags].concat())
}

#[test]
fn an_idle_generator_that_polls_is_not_called_the_bottleneck() {
    let measured = with_a_slow_server(&["--busy-poll=1s"]);
    let shown = measured.shown();
    let (cpu, idle) = (measured.number("generator_cpu_s"), measured.number("generator_idle_polling_s"));
    // Awake all the time, as far as others let it: idle is what the clock says, CPU time what the processor does.
    assert!(idle > 0.5, "{idle} s: {shown}");
    assert!(cpu > 0.05, "{cpu} s: {shown}");
    assert!(idle <= measured.number("duration_s") + 0.01, "{shown}");
    assert_eq!(measured.report["valid"], true, "{shown}");
    assert_eq!(measured.ran.code, Some(0), "{shown}");
    assert_eq!(measured.report["conditions"][0]["options"]["busy-poll"], "1s", "{shown}");
}

#[test]
fn it_sleeps_where_it_was_not_asked() {
    for flags in [&[][..], &["--busy-poll=0"]] {
        let measured = with_a_slow_server(flags);
        let shown = measured.shown();
        assert_eq!(measured.report["generator_idle_polling_s"], Value::Null, "{shown}");
        assert!(measured.report["conditions"][0]["options"].get("busy-poll").is_none(), "{shown}");
    }
}

#[test]
fn messages_are_counted_and_idle_time_with_them_where_no_time_is_given() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let measured = load(&server.url("udp"), &["-c3", "-n300", "--busy-poll=1ms", "--timeout=5s"]);
    assert_eq!(measured.count("messages"), 300, "{}", measured.shown());
    assert!(measured.number("generator_idle_polling_s") >= 0.0, "{}", measured.shown());
}

#[test]
fn polling_and_sleeping_generators_are_not_merged() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    for (name, flags) in [("asleep.json", &[][..]), ("awake.json", &["--busy-poll=1ms"])] {
        let measured = load(&server.url("tcp"), &[&["-n100"], flags].concat());
        fs::write(folder.path().join(name), &measured.ran.stdout).unwrap();
    }
    let report = |args: &[&str], folder: &Path| run(cooee(&["report"]).args(args).current_dir(folder), b"");
    let ran = report(&["asleep.json", "awake.json"], folder.path());
    assert_ne!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stderr.contains("--busy-poll differ (, 1ms)"), "{ran:?}");
    let printed = report(&["--side-by-side", "asleep.json", "awake.json"], folder.path()).printed().to_owned();
    let row = printed.lines().find(|line| line.starts_with("of it idle")).unwrap_or_else(|| panic!("{printed}"));
    assert!(row.contains('–') && row.trim_end().ends_with('s'), "{row}");
}

#[test]
fn a_time_that_is_none_is_refused_before_anything_is_connected() {
    let compare = ["compare", "--server", "a=true {port}", "--server", "b=true {port}"];
    for command in [&["load", "127.0.0.1:9"][..], &compare] {
        for (flag, words) in [("--busy-poll=always", "250ms, 30s, 5m"), ("--busy-poll=1ns", "at least 1us, or 0")] {
            let ran = run(cooee(command).arg(flag), b"");
            assert_eq!(ran.code, Some(2), "{ran:?}");
            assert!(ran.stderr.contains("--busy-poll") && ran.stderr.contains(words), "{ran:?}");
        }
    }
}

#[test]
fn a_comparison_tells_it() {
    let exe = env!("CARGO_BIN_EXE_cooee");
    let server = |name| format!("{name}='{exe}' -q serve tcp://127.0.0.1:{{port}}");
    let args = ["compare", "--rounds=1", "--idle-connections=0", "-n200", "--busy-poll=1ms", "--json=-"];
    let ran = run(cooee(&args).args(["--server", &server("a"), "--server", &server("b")]), b"");
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    let told: Value = serde_json::from_slice(&ran.stdout).expect("JSON");
    assert_eq!(told["conditions"]["options"]["busy-poll"], "1ms", "{told}");
    for server in [0, 1] {
        let round = &told["servers"][server]["rounds"][0];
        assert!(round["generator_idle_polling_core"].as_f64().is_some_and(|share| share >= 0.0), "{round}");
    }
}
