//! Goal: no coordinated omission. While a server is stopped, messages go on becoming due, and each of them has waited since then: the
//! latency from the due time says so, and the one from the actual send, which leaves most of the wait out, stands beside it.
//!
//! Method: a server is stopped (SIGSTOP) for two of the ten seconds of an open loop at 1,000 messages a second. The messages due in
//! the stop waited from its whole length down to nothing, evenly; they are the last fifth of all. So the 90th percentile is the
//! stop less a tenth of the run, 1.0 s, and the 99th the stop less a hundredth of it, 1.9 s. The stop is measured, so that a busy
//! machine that prolongs it moves what is expected with it.
#![cfg(feature = "cli")]

mod support;

use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use support::{Loading, Server};

const RUN: Duration = Duration::from_secs(10);
const STOP: Duration = Duration::from_secs(2);

#[track_caller]
fn assert_near(what: &str, seconds: f64, expected: f64, shown: &str) {
    assert!((seconds / expected - 1.0).abs() <= 0.05, "{what} is {seconds} s and not {expected} s ± 5 %: {shown}");
}

#[test]
fn a_stopped_server_is_seen_from_the_due_time() {
    let server = Server::start(&[]);
    let loading = Loading::start(&server.url("tcp"), &["-c10", "-R1000", "-d10s"]);
    // A good way into the run: three seconds after its first messages have come.
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    thread::sleep(Duration::from_secs(3));
    let stopped = Instant::now();
    server.signal(SIGSTOP);
    thread::sleep(STOP.saturating_sub(stopped.elapsed()));
    server.signal(SIGCONT);
    let stop = stopped.elapsed().as_secs_f64();
    let measured = loading.finish();

    let shown = measured.shown();
    assert_eq!(measured.report["loop"], "open", "{shown}");
    assert_eq!(measured.count("messages"), 10_000, "{shown}");
    assert_near("p90", measured.latency("p90"), stop - 0.1 * RUN.as_secs_f64(), &shown);
    assert_near("p99", measured.latency("p99"), stop - 0.01 * RUN.as_secs_f64(), &shown);
    assert_near("max", measured.latency("max"), stop, &shown);
    // From the send, only the ten that were in flight have waited: a thousandth of all.
    assert!(measured.send_latency("p90") < 0.2, "{shown}");
    assert!(measured.send_latency("p99") < measured.latency("p99") / 2.0, "{shown}");
    assert_near("max from the send", measured.send_latency("max"), stop, &shown);
    // Waiting for a free place is the server's latency, and nobody's fault here.
    assert_eq!(measured.all_errors(), 0, "{shown}");
}
