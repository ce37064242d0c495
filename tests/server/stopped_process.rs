//! Goal: after the process has been stopped for longer than the idle timeout, nobody whose bytes wait to be read is
//! closed: input goes before timers.
//!
//! Method: SIGSTOP for twice the idle timeout, while every client sends. There are more of them than one poll tells of
//! (1,024 events), so most deadlines pass before the kernel has told of the bytes that save their connections. Half of
//! the clients have left a line unfinished before the stop, and end it meanwhile. A few say nothing: they are closed,
//! so the timers are alive.

use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Server, in_full, in_rhythm, measured};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

const SILENT: usize = 100;

/// What each client sends before the stop and during it.
fn parts(number: usize) -> (Vec<u8>, Vec<u8>) {
    let before = if number.is_multiple_of(2) { String::new() } else { format!("begun by {number}, ") };
    (before.into_bytes(), format!("sent by {number} during the stop\n").into_bytes())
}

/// Stops a server with so many clients; how they fared. None where it took too long to make them all say something.
fn run(count: usize, idle: Duration) -> Option<String> {
    let server = Server::start(&["--framing=line", &format!("--idle-timeout={}ms", idle.as_millis())]);
    let mut silent: Vec<Client> = (0..SILENT).map(|_| server.connect()).collect();
    let mut clients: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    let start = Instant::now();
    let mut sent = 0;
    for (number, client) in clients.iter_mut().enumerate() {
        let hello = [b"hello\n", &parts(number).0[..]].concat();
        sent += hello.len() as u64;
        if client.stream.write_all(&hello).is_err() {
            return None;
        }
    }
    server.wait_summary("all have said hello", |summary| {
        summary.get("bytes_in") == sent || summary.get("active") < (SILENT + count) as u64 || start.elapsed() > idle
    });
    server.signal(SIGSTOP);
    if start.elapsed() > idle / 2 {
        server.signal(SIGCONT);
        return None;
    }
    let stopped = Instant::now();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&parts(number).1);
    }
    thread::sleep((2 * idle).saturating_sub(stopped.elapsed()));
    let stop = stopped.elapsed();
    server.signal(SIGCONT);
    let continued = Instant::now();
    for (number, client) in clients.iter_mut().enumerate() {
        let (before, during) = parts(number);
        client.expect(&[b"hello\n", &before[..], &during].concat());
    }
    let answered = continued.elapsed();
    for client in &mut silent {
        assert_eq!(client.rest(), b"", "a FIN");
    }
    drop(clients);
    let summary = server.drain();
    assert!(summary.get("idle-timeout") >= SILENT as u64, "{summary:?}");
    assert_eq!(summary.get("incomplete-timeout"), 0, "{summary:?}");
    Some(format!(
        "{count} of {count} clients answered (all) {answered:.1?} after a stop of {stop:.1?} with an idle timeout of {idle:?}, and \
         {SILENT} of {SILENT} silent ones closed"
    ))
}

#[test]
fn nobody_whose_bytes_wait_is_closed_after_a_stop() {
    let found =
        in_rhythm(in_full(Duration::from_secs(1), Duration::from_secs(4)), |idle| run(in_full(1_500, 3_000), idle));
    measured("12", &found);
}
