//! Goal: nobody starves: a ping is answered while firehoses are on, and bytes behind TCP urgent data are echoed at once.
//!
//! Method: clients that write and read as fast as they can while another measures its round trips; and urgent data (MSG_OOB) in front of
//! ordinary bytes, where a read stops short at the mark and no second edge tells of what lies behind it.
#![cfg(feature = "cli")]

mod support;

use std::io::Read;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::SockRef;
use support::{Client, Server, attempt, in_full, measured, wait_until};

/// Round trips of a ping, sorted.
fn round_trips(ping: &mut Client) -> Vec<Duration> {
    let mut round_trips: Vec<Duration> = (0..200)
        .map(|_| {
            let start = Instant::now();
            ping.echo(b"ping");
            start.elapsed()
        })
        .collect();
    round_trips.sort();
    round_trips
}

/// Generous, for a loaded machine: who starves waits for as long as the firehose is on.
#[track_caller]
fn check_is_served(round_trips: &[Duration]) {
    let (median, worst) = (round_trips[round_trips.len() / 2], round_trips[round_trips.len() - 1]);
    assert!(median < Duration::from_millis(100), "median {median:?}, worst {worst:?}");
    assert!(worst < Duration::from_secs(2), "median {median:?}, worst {worst:?}");
}

#[test]
fn a_ping_is_answered_while_firehoses_are_on() {
    const FIREHOSES: usize = 3;
    let server = Server::start(&[]);
    let block = vec![b'x'; 256 * 1024];
    let echoed = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..FIREHOSES {
            let mut reader = server.connect();
            let mut writer = reader.twin();
            let (block, echoed, stop) = (&block, &echoed, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    writer.send(block);
                }
                writer.shutdown();
            });
            scope.spawn(move || {
                let mut bytes = vec![0; 256 * 1024];
                while let Ok(count @ 1..) = reader.stream.read(&mut bytes) {
                    echoed.fetch_add(count as u64, Ordering::Relaxed);
                }
            });
        }
        let mut ping = server.connect();
        wait_until("the firehoses are on", || echoed.load(Ordering::Relaxed) > 4 * 1024 * 1024);
        let before = echoed.load(Ordering::Relaxed);
        let round_trips = round_trips(&mut ping);
        let meanwhile = echoed.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        assert!(meanwhile > 0, "the firehoses were served too");
        check_is_served(&round_trips);
    });
}

#[test]
fn a_ping_is_answered_while_more_comes_than_can_be_discarded() {
    // Nothing is owed for what is discarded, so nothing but the budget of a turn stops the reading; and looking at lines takes longer
    // than sending them.
    let server = Server::start(&["tcp://127.0.0.1:0?mode=discard&framing=line&rcvbuf=4MiB", "tcp://127.0.0.1:0"]);
    let addresses = server.addresses();
    let block = b"a line\n".repeat(100_000);
    let sent = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let firehose = Client::connect(addresses[0]);
        for mut writer in [firehose.twin(), firehose.twin(), firehose.twin()] {
            let (block, sent, stop) = (&block, &sent, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    writer.send(block);
                    sent.fetch_add(block.len() as u64, Ordering::Relaxed);
                }
            });
        }
        wait_until("the firehose is on", || sent.load(Ordering::Relaxed) > 16 * 1024 * 1024);
        let mut ping = Client::connect(addresses[1]);
        // Were it to starve, the writers would never stop.
        let round_trips = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| round_trips(&mut ping)));
        stop.store(true, Ordering::Relaxed);
        check_is_served(&round_trips.expect("the ping is served"));
    });
}

#[test]
fn bytes_behind_urgent_data_are_echoed_at_once() {
    const ROUNDS: usize = 200;
    // Where the mark is mistaken for the end of what has come, they wait for the next packet: for ever.
    let at_once = in_full(Duration::from_secs(2), Duration::from_millis(50));
    let found = attempt(|| {
        let server = Server::start(&[]);
        let mut client = server.connect();
        let mut slowest = Duration::ZERO;
        for round in 0..ROUNDS {
            // The urgent byte itself is out of band, and no part of the stream.
            let before = format!("before {round} ");
            let behind = format!("behind {round} ");
            client.send(before.as_bytes());
            SockRef::from(&client.stream).send_out_of_band(b"!").unwrap();
            client.send(behind.as_bytes());
            let start = Instant::now();
            client.expect(format!("{before}{behind}").as_bytes());
            slowest = slowest.max(start.elapsed());
        }
        assert_eq!(client.finish(), b"");
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let found = format!(
            "{ROUNDS} of {ROUNDS} echoed (20 of 20), the slowest after {:.2} ms (< {:.0} ms)",
            millis(slowest),
            millis(at_once)
        );
        if slowest < at_once { Ok(found) } else { Err(found) }
    });
    measured("6a", &found);
}

#[test]
fn urgent_data_alone_and_in_front_of_the_end_does_no_harm() {
    let server = Server::start(&[]);
    for _ in 0..50 {
        let mut client = server.connect();
        SockRef::from(&client.stream).send_out_of_band(b"!").unwrap();
        client.echo(b"after");
        client.send(b"last ");
        SockRef::from(&client.stream).send_out_of_band(b"words!").unwrap();
        assert_eq!(client.finish(), b"last words", "only the last urgent byte is out of band");
    }
}
