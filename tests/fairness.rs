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
use support::{Server, wait_until};

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
        let mut round_trips: Vec<Duration> = (0..200)
            .map(|_| {
                let start = Instant::now();
                ping.echo(b"ping");
                start.elapsed()
            })
            .collect();
        let meanwhile = echoed.load(Ordering::Relaxed) - before;
        stop.store(true, Ordering::Relaxed);
        round_trips.sort();
        assert!(meanwhile > 0, "the firehoses were served too");
        let (median, worst) = (round_trips[100], round_trips[199]);
        assert!(median < Duration::from_millis(100), "median {median:?}, worst {worst:?}");
        assert!(worst < Duration::from_secs(2), "median {median:?}, worst {worst:?}");
    });
}

#[test]
fn bytes_behind_urgent_data_are_echoed_at_once() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    for round in 0..200 {
        // The urgent byte itself is out of band, and no part of the stream.
        let before = format!("before {round} ");
        let behind = format!("behind {round} ");
        client.send(before.as_bytes());
        SockRef::from(&client.stream).send_out_of_band(b"!").unwrap();
        client.send(behind.as_bytes());
        client.expect(format!("{before}{behind}").as_bytes());
    }
    assert_eq!(client.finish(), b"");
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
