//! Goal: a peer that resets its connection costs that connection only, and what it sent before the RST is still read.
//!
//! Method: while the server is stopped (SIGSTOP), clients send and then close with a linger of zero, which sends a RST:
//! before they were accepted, behind unread bytes, and under a reply. The server's summary says what it read and why it
//! closed. What has been *delivered* before a RST is counted byte by byte (in full 1,000 times, to a server that is
//! stopped and to one that runs): the kernel has acknowledged it, so nothing is left in the sender's queue.

use std::time::{Duration, Instant};

use crate::support::{
    Client, Noise, PATIENCE, Server, attempt, holds_within, in_full, len32, measured, noise, wait_until,
};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGUSR1};
use socket2::SockRef;

/// Ends the connection with a RST.
fn reset(client: Client) {
    SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
}

/// Waits until the server's summary says `words`.
#[track_caller]
fn wait_summary(server: &Server, words: &str) {
    wait_until(words, || {
        server.signal(SIGUSR1);
        server.logged(words) > 0
    });
}

#[test]
fn bytes_in_front_of_a_reset_are_read() {
    // Whole, and in many reads, the first of which meets the error when its echo is written.
    for budget in ["--read-budget=256KiB", "--read-budget=1KiB"] {
        for args in [&[budget][..], &[budget, "--mode=discard"], &[budget, "--framing=len32", "--bye=close"]] {
            let server = Server::start(args);
            let mut witness = server.connect();
            witness.send(&len32(b"w"));
            wait_summary(&server, "bytes_in=5 ");
            server.signal(SIGSTOP);
            let mut client = server.connect();
            client.send(&len32(&[7; 4996]).repeat(10));
            client.wait_arrived();
            reset(client);
            server.signal(SIGCONT);
            wait_summary(&server, "active=1 messages");
            wait_summary(&server, "closed=1(reset=1)");
            let log = server.log();
            assert!(log.contains("bytes_in=50005"), "{args:?}: {log}");
            witness.finish();
        }
    }
}

#[test]
fn what_was_delivered_before_a_reset_is_all_read() {
    const BATCH: u64 = 10;
    let rounds: u64 = in_full(60, 1_000);
    let server = Server::start(&["--mode=discard"]);
    let mut sizes = Noise::new(6);
    let bytes = noise(256 * 1024, 6);
    let mut delivered = 0;
    for batch in 0..rounds / BATCH {
        // A stopped server finds the RST with the bytes, one that runs finds it anywhere behind them.
        let is_stopped = batch % 2 == 0;
        if is_stopped {
            server.signal(SIGSTOP);
        }
        for _ in 0..BATCH {
            // What nobody reads has to fit into the receive buffer.
            let order = if is_stopped { sizes.below(16) } else { sizes.below(19) };
            let size = sizes.between(1, 1 << order);
            let mut client = server.connect();
            client.send(&bytes[..size]);
            client.wait_arrived();
            reset(client);
            delivered += size as u64;
        }
        if is_stopped {
            server.signal(SIGCONT);
        }
        let over = (batch + 1) * BATCH;
        let summary = server.wait_summary("all are over", |summary| summary.get("closed") == over);
        assert_eq!(summary.get("bytes_in"), delivered, "batch {batch}: {summary:?}");
        assert_eq!(summary.get("reset"), over, "{summary:?}");
    }
    measured("6", &format!("bytes_in = N in {rounds} of {rounds} resets (every time), {delivered} bytes in all"));
}

#[test]
fn connections_that_are_reset_before_they_are_accepted_are_gone_and_nothing_else() {
    measured("3", &attempt(reset_in_the_backlog));
}

fn reset_in_the_backlog() -> Result<String, String> {
    const RESETS: u64 = 2_000;
    let server = Server::start(&["--max-connections=1000"]);
    let (mut witness, mut last) = (server.connect(), None);
    witness.echo(b"before");
    let base = server.descriptors();
    server.signal(SIGSTOP);
    for number in 0..RESETS {
        let mut client = server.connect();
        if number % 2 == 0 {
            client.send(b"and gone");
        }
        reset(client);
        if number == RESETS / 2 {
            let mut among_them = server.connect();
            among_them.send(b"among them");
            last = Some(among_them);
        }
    }
    let start = Instant::now();
    server.signal(SIGCONT);
    let mut last = last.expect("one stays");
    last.expect(b"among them");
    // The one that stays has a descriptor too.
    let are_back = holds_within(PATIENCE, || server.descriptors() == base + 1);
    let took = start.elapsed();
    assert!(are_back, "{} descriptors, and there were {base}: {}", server.descriptors(), server.log());
    witness.echo(b"after");
    wait_summary(&server, &format!("accepted={} active=2", RESETS + 2));
    drop((witness, last));
    let log = server.stop();
    assert!(log.contains(&format!("closed={}(", RESETS + 2)) && !log.contains("panicked"), "{log}");
    let found =
        format!("{RESETS} connects with a RST: no panic, descriptors back after {:.3} s (<= 1)", took.as_secs_f64());
    if took <= in_full(PATIENCE, Duration::from_secs(1)) { Ok(found) } else { Err(found) }
}

#[test]
fn a_reset_under_a_reply_ends_that_connection_only() {
    let server = Server::start(&[]);
    let mut witness = server.connect();
    for _ in 0..200 {
        let mut client = server.connect();
        client.send(&[7; 30_000]);
        client.take(1);
        // The rest of the echo is unread, or still on its way.
        drop(client);
        witness.echo(b"still here");
    }
    wait_summary(&server, "accepted=201 active=1");
}
