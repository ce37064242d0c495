//! Goal: an open loop sends what its schedule says, whatever the server does: rate × time, and the integral of the rate
//! where it rises.
//!
//! Method: our server, which counts; and the report. Everything here is counted, not timed, so that a busy machine
//! changes nothing: what is due is due, and is waited for.

use crate::support::{Server, load};

#[test]
fn rate_times_time() {
    let server = Server::start(&["--framing=len32"]);
    let url = server.url("tcp");
    for (rate, time, due) in [("-R500", "-d1s", 500), ("-R2k/s", "-d500ms", 1000), ("-R2.5", "-d2s", 5)] {
        let before = server.summary().get("messages_in");
        let measured = load(&url, &["-c10", "--framing=len32", rate, time]);
        assert_eq!(measured.report["loop"], "open", "{}", measured.shown());
        assert_eq!(measured.count("messages"), due, "{rate} {time}: {}", measured.shown());
        assert_eq!(measured.count("sent"), due, "{rate} {time}: {}", measured.shown());
        assert_eq!(server.summary().get("messages_in") - before, due, "{rate} {time}: {}", measured.shown());
        assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
        assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
    }
}

#[test]
fn a_number_of_messages_by_schedule() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c10", "-R1000", "-n400"]);
    assert_eq!(measured.count("messages"), 400, "{}", measured.shown());
    let seconds = measured.number("duration_s");
    assert!((0.35..3.0).contains(&seconds), "{seconds} s: {}", measured.shown());
}

#[test]
fn a_ramp_is_the_integral_of_its_rate() {
    let server = Server::start(&[]);
    // From 0 to 1,000/s within a second, and a second more at 1,000/s: 500 + 1,000. Down from 800 to 200 in a second:
    // 500.
    for (ramp, time, due) in [("--ramp=0:1000/1s", "-d2s", 1500), ("--ramp=800:200/1s", "-d1s", 500)] {
        let measured = load(&server.url("tcp"), &["-c20", ramp, time]);
        let messages = measured.count("messages");
        assert!(messages.abs_diff(due) <= 2, "{messages} messages, {due} were due: {}", measured.shown());
        assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
    }
}

#[test]
fn it_is_not_faster_than_its_schedule() {
    // Replies that come at once do not pull the next message forward: it takes its time.
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c4", "-R100", "-d1s"]);
    assert_eq!(measured.count("messages"), 100, "{}", measured.shown());
    assert!(measured.took.as_secs_f64() >= 0.98, "{}", measured.shown());
    let rate = measured.number("messages_per_s");
    assert!((90.0..=101.0).contains(&rate), "{rate}/s: {}", measured.shown());
}

#[test]
fn datagrams_by_schedule() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let measured = load(&server.url("udp"), &["-c4", "--pipeline=100", "-R1000", "-d1s"]);
    assert_eq!(measured.count("messages") + measured.count("lost"), 1000, "{}", measured.shown());
    assert_eq!(measured.count("sent"), 1000, "{}", measured.shown());
}
