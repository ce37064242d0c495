//! Goal: connections are opened as they were asked for: one for each message with `--churn`, not faster than
//! `--connect-rate`, from the local addresses of `--source`; and each one costs a descriptor that the limit has to
//! allow.
//!
//! Method: our server, whose summary counts what it accepted; a server of the test's own that looks where its clients
//! come from.

use std::collections::BTreeMap;
use std::io::Write;
use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use crate::support::{FaultyServer, Loading, Server, load, take};
use nix::sys::signal::Signal;

#[test]
fn churn_gives_each_message_a_connection() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c4", "-n500", "--churn"]);
    measured.assert_right(500);
    let summary = server.drain();
    assert_eq!(summary.get("accepted"), 500, "{}", measured.shown());
    assert_eq!(summary.get("bytes_in"), 500 * 64, "{}", measured.shown());
}

#[test]
fn churn_by_schedule_and_at_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[&format!("unix://{}", folder.path().join("echo").display())]);
    let measured = load(&server.url("unix"), &["-c4", "-R500", "-d1s", "--churn"]);
    assert_eq!(measured.count("messages"), 500, "{}", measured.shown());
    assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
    assert_eq!(server.drain().get("accepted"), 500, "{}", measured.shown());
}

#[test]
fn churn_for_a_while_ends_cleanly() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c4", "-d300ms", "--churn"]);
    measured.assert_all_right();
    let summary = server.drain();
    assert!(summary.get("accepted") >= measured.count("messages"), "{}", measured.shown());
}

#[test]
fn connections_are_not_opened_faster_than_asked() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c50", "-n100", "--connect-rate=50"]);
    measured.assert_right(100);
    assert_eq!(measured.count("connections"), 50, "{}", measured.shown());
    assert!(measured.took.as_secs_f64() >= 0.9, "{}", measured.shown());
    assert_eq!(server.drain().get("accepted"), 50);
}

#[test]
fn connections_that_are_never_opened_are_not_waited_for_by_whoever_ends_it() {
    // The second one is due in many years.
    let server = Server::start(&[]);
    let loading = Loading::start(&server.url("tcp"), &["-c2", "--connect-rate=0.00000000000000000000000001"]);
    server.wait_summary("the first one is there", |summary| summary.get("accepted") == 1);
    loading.signal(Signal::SIGINT);
    let measured = loading.finish();
    assert_eq!(measured.ran.code, Some(1), "nothing was measured: {}", measured.shown());
}

#[test]
fn local_addresses_are_taken_in_turn() {
    let from: Arc<Mutex<BTreeMap<IpAddr, usize>>> = Arc::default();
    let seen = from.clone();
    let server = FaultyServer::start(move |_, stream| {
        *seen.lock().unwrap().entry(stream.peer_addr()?.ip()).or_default() += 1;
        loop {
            let message = take(stream, 64)?;
            stream.write_all(&message)?;
        }
    });
    load(&server.url(), &["-c9", "-n90", "--source=127.0.0.2,127.0.0.3,127.0.0.4"]).assert_right(90);
    let from: Vec<(String, usize)> = from.lock().unwrap().iter().map(|(ip, count)| (ip.to_string(), *count)).collect();
    assert_eq!(from, ["127.0.0.2", "127.0.0.3", "127.0.0.4"].map(|ip| (ip.to_owned(), 3)));
}

#[test]
fn datagrams_leave_from_the_given_address_too() {
    let server = Server::start(&["--log-messages", "udp://127.0.0.1:0"]);
    load(&server.url("udp"), &["-n20", "--source=127.0.0.5"]).assert_right(20);
    assert_eq!(server.stop().matches("message from 127.0.0.5:").count(), 20);
}

#[test]
fn the_first_address_of_a_name_that_answers_is_taken() {
    // "localhost" is ::1 and 127.0.0.1 on most machines, and the server is on one of them only.
    let server = Server::start(&[]);
    let url = format!("tcp://localhost:{}", server.address().port());
    let measured = load(&url, &["-c4", "-n400"]);
    assert_eq!(measured.count("messages"), 400, "{}", measured.shown());
    assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
    assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
}
