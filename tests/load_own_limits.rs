//! Goal: where the generator is at its own end, it says so: sends that leave late, ports and descriptors that are used up. It never blames
//! the server for them, and never hangs.
//!
//! Method: the generator itself is stopped (SIGSTOP) within an open loop, with a free connection for every message that becomes due; it
//! runs in a network namespace with 20 ports; it runs under a limit of 64 descriptors. The namespace needs root.
#![cfg(feature = "cli")]

mod support;

use std::process::Command;
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use support::{Loading, Measured, Network, Ran, Server, cooee, load, load_command, run};

/// Runs against `server`, and stops the generator for a while when its first messages have come.
fn stop_generator(server: &Server, loading: Loading, stop: Duration) -> Measured {
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    loading.signal(SIGSTOP);
    thread::sleep(stop);
    loading.signal(SIGCONT);
    loading.finish()
}

#[test]
fn sends_that_leave_late_are_counted_and_make_the_run_invalid() {
    let server = Server::start(&[]);
    let loading = Loading::start(&server.url("tcp"), &["-c400", "-R1000", "-d2s"]);
    let measured = stop_generator(&server, loading, Duration::from_millis(200));
    // 200 messages were due meanwhile, a tenth of all; those of the last millisecond are not late.
    let shown = measured.shown();
    assert!(measured.count("late") >= 190, "{shown}");
    assert_eq!(measured.report["valid"], false, "{shown}");
    assert_eq!(measured.ran.code, Some(3), "{shown}");
    // They were waited for, and measured, from when they were due.
    assert_eq!(measured.count("messages"), 2000, "{shown}");
    assert_eq!(measured.all_errors(), 0, "{shown}");
    assert!(measured.latency("max") >= 0.19, "{shown}");
    let late = measured.count("late");
    support::measured(
        "33",
        &format!("the generator stopped for 200 ms at 1,000/s: {late} sends late (>= 190), run invalid, exit code 3"),
    );
}

#[test]
fn a_person_is_told_that_the_run_is_invalid_and_why() {
    let server = Server::start(&[]);
    let url = server.url("tcp");
    let mut command = cooee(&["load", "--warmup=0s", "-c400", "-R1000", "-d1s", &url]);
    let mut process = support::Process::spawn(
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped()),
    );
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    process.signal(SIGSTOP);
    thread::sleep(Duration::from_millis(200));
    process.signal(SIGCONT);
    assert!(process.exit_within(support::PATIENCE).is_some(), "it does not end");
    let ran = support::finish(process);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let said = said(&ran).to_lowercase();
    assert!(said.contains("invalid") && said.contains("late"), "{said}");
}

#[test]
fn ten_messages_show_nothing_and_that_is_said() {
    let server = Server::start(&[]);
    // In 90 ms one message is due at the most: it is late, and the run is what it was.
    let loading = Loading::start(&server.url("tcp"), &["-R10", "-d1s"]);
    let measured = stop_generator(&server, loading, Duration::from_millis(90));
    if measured.count("late") <= 1 {
        assert_eq!((&measured.report["valid"], measured.ran.code), (&true.into(), Some(0)), "{}", measured.shown());
    }
    let ran = run(&mut cooee(&["load", "--warmup=0s", "-R10", "-d1s", &server.url("tcp")]), b"");
    let said = said(&ran);
    assert!(said.contains("10 messages are too few to tell") || said.contains("INVALID"), "{said}");
}

#[test]
fn waiting_for_a_free_connection_is_the_servers_and_not_late() {
    // One connection, and far more due than it can carry: every message waits for its turn.
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c1", "-R1000k", "-d300ms", "--timeout=300ms"]);
    let shown = measured.shown();
    assert!(measured.count("messages") > 0, "{shown}");
    let late = measured.count("late") as f64 / measured.count("sent").max(1) as f64;
    assert!(late < 0.2, "{late} of all left late: {shown}");
    assert!(measured.latency("p50") > 10.0 * measured.send_latency("p50"), "{shown}");
}

/// All that it said.
fn said(ran: &Ran) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr)
}

/// A network with 20 ports for clients, and our server in it. Each run needs one of its own: used ports rest for a minute (TIME_WAIT).
fn few_ports() -> Option<(Network, Server)> {
    let network = Network::start(40_000, 40_019)?;
    let server = Server::start_command(&mut network.enter(&cooee(&["serve", "tcp://127.0.0.1:9000"])), 1);
    Some((network, server))
}

#[test]
fn out_of_ports_is_told() {
    let Some((network, server)) = few_ports() else { return };
    let command = load_command(&server.url("tcp"), &["-c50", "-n1000"]);
    let measured = Loading::start_command(&mut network.enter(&command)).finish();
    assert!(measured.errors("no-port") >= 30, "{}", measured.shown());
    assert_eq!(measured.count("connections"), 20, "{}", measured.shown());
    assert_eq!(measured.count("messages"), 1000, "{}", measured.shown());
    let (errors, took) = (measured.errors("no-port"), measured.took);
    support::measured(
        "33",
        &format!("20 ports for 50 connections: {errors} errors no-port (>= 30), ended in {took:.1?}"),
    );
}

#[test]
fn out_of_ports_is_told_in_words_with_what_to_do() {
    let Some((network, server)) = few_ports() else { return };
    let command = cooee(&["load", "-c50", "-n1000", "--warmup=0s", &server.url("tcp")]);
    let ran = run(&mut network.enter(&command), b"");
    assert!(said(&ran).contains("--source"), "{ran:?}");
}

#[test]
fn more_local_addresses_have_more_ports() {
    let Some((network, server)) = few_ports() else { return };
    let args = ["-c50", "-n1000", "--source=127.0.0.2,127.0.0.3,127.0.0.4"];
    let measured = Loading::start_command(&mut network.enter(&load_command(&server.url("tcp"), &args))).finish();
    measured.assert_right(1000);
    assert_eq!(measured.count("connections"), 50, "{}", measured.shown());
}

#[test]
fn out_of_ports_by_churn_is_told_and_no_hang() {
    // Each port rests for a minute (TIME_WAIT) when its connection has been closed.
    let Some((network, server)) = few_ports() else { return };
    let command = load_command(&server.url("tcp"), &["-c2", "-d2s", "--churn", "--timeout=500ms"]);
    let measured = Loading::start_command(&mut network.enter(&command)).finish();
    assert!(measured.took < Duration::from_secs(8), "{}", measured.shown());
    // Where the kernel gives ports back early, it goes on; where it does not, that is told.
    assert!(measured.errors("no-port") >= 1 || measured.count("messages") > 100, "{}", measured.shown());
    let (errors, messages) = (measured.errors("no-port"), measured.count("messages"));
    support::measured(
        "33",
        &format!(
            "20 ports and churn for 2 s: {messages} messages, {errors} errors no-port, no hang ({:.1?})",
            measured.took
        ),
    );
}

#[test]
fn out_of_descriptors_is_told_with_what_to_do() {
    let server = Server::start(&[]);
    let url = server.url("tcp");
    let mut limited = Command::new("prlimit");
    limited.args(["--nofile=64:64", env!("CARGO_BIN_EXE_cooee"), "load", "--warmup=0s", "-c200", "-n1000", &url]);
    let ran = run(&mut limited, b"");
    assert!(said(&ran).contains("ulimit -n"), "it says what to do: {ran:?}");
    assert!(matches!(ran.code, Some(0..=3)), "{ran:?}");
}
