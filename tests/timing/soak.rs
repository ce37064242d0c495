//! Goal: nothing is left of a connection when it has gone: neither memory nor a descriptor nor a count, however many
//! come and go, and however they go.
//!
//! Method: connections are opened and closed all the time, by well-behaved clients (a run of load with a connection for
//! each message, every reply checked) and by rude ones (resets, half-closes, unfinished lines, replies that nobody
//! reads), beside some that stay, and UDP. The server's resident memory is looked at again and again; after a warm-up,
//! a straight line through what was seen (least squares) tells how fast it grows. At the end it has as many descriptors
//! as at the start, and has counted an end for every connection.
//!
//! `SOAK=3600` is how many seconds it takes in full; 600 where nothing is said.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Loading, Server, alone, attempt, in_full, is_full, measured, noise, wait_until};
use socket2::{Domain, SockRef, Socket, Type};

const MIB: f64 = 1024.0 * 1024.0;

/// The most that it may grow, in MiB an hour.
const SLOPE: f64 = 1.0;

/// Every day a slope says nothing: it may have grown by so much, in MiB, from the end of the warm-up to the end.
const GROWN: f64 = 4.0;

fn length() -> Duration {
    let asked = std::env::var("SOAK").ok().map(|seconds| seconds.parse().expect("SOAK is a number of seconds"));
    Duration::from_secs(if is_full() { asked.unwrap_or(600) } else { 4 })
}

/// How fast `samples` (seconds, bytes) grow, in bytes a second: the line with the least squares.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let count = samples.len() as f64;
    let (mean_x, mean_y) =
        samples.iter().fold((0.0, 0.0), |(x, y), sample| (x + sample.0 / count, y + sample.1 / count));
    let (covariance, variance) = samples.iter().fold((0.0, 0.0), |(covariance, variance), (x, y)| {
        (covariance + (x - mean_x) * (y - mean_y), variance + (x - mean_x).powi(2))
    });
    covariance / variance
}

/// One connection that ends badly, in one of several ways.
fn be_rude(address: SocketAddr, way: u64, flood: &[u8]) {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
    // One whose replies nobody reads makes the server keep some.
    if way % 5 == 4 {
        socket.set_recv_buffer_size(4096).unwrap();
    }
    socket.connect(&address.into()).expect("the server accepts");
    let mut client = Client::over(std::net::TcpStream::from(socket));
    match way % 5 {
        0 => {}
        1 => client.send(b"an unfinished line"),
        2 => {
            client.send(b"a line\nand no more");
            assert_eq!(client.finish(), b"a line\nand no more");
            return;
        }
        3 => client.ask(b"a line\n", b"a line\n"),
        _ => {
            client.stream.set_nonblocking(true).unwrap();
            while let Ok(1..) = client.stream.write(flood) {}
            let _ = client.stream.read(&mut [0; 100]);
        }
    }
    if way.is_multiple_of(2) {
        // Closing sends a RST.
        SockRef::from(&client.stream).set_linger(Some(Duration::ZERO)).unwrap();
    }
}

/// Lets connections come and go for as long.
fn run(length: Duration) -> Result<String, String> {
    let server =
        Server::start(&["--idle-timeout=10s", "--framing=line", "tcp://127.0.0.1:0?sndbuf=16KiB", "udp://127.0.0.1:0"]);
    let address = server.address();
    let base = server.descriptors();
    let duration = format!("-d{}ms", length.as_millis());
    let rate = in_full("-R200", "-R1000");
    let churn = ["-c20", "--churn", rate, "--framing=line", "-l100", &duration];
    let steady = ["-c50", "-R500", "--framing=line", "-l2000", &duration];
    let datagrams = ["-c5", "-R200", &duration];
    let loads = [
        Loading::start(&server.url("tcp"), &churn),
        Loading::start(&server.url("tcp"), &steady),
        Loading::start(&server.url("udp"), &datagrams),
    ];
    let flood = noise(1024 * 1024, 30).iter().map(|byte| byte % 64 + b' ').collect::<Vec<u8>>();
    let (stop, rude) = (AtomicBool::new(false), AtomicU64::new(0));
    let start = Instant::now();
    let samples = thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                be_rude(address, rude.fetch_add(1, Ordering::Relaxed), &flood);
                thread::sleep(Duration::from_millis(2));
            }
        });
        let mut samples = Vec::new();
        while start.elapsed() < length {
            samples.push((start.elapsed().as_secs_f64(), server.resident_bytes() as f64));
            thread::sleep(length.div_f64(200.0));
        }
        stop.store(true, Ordering::Relaxed);
        samples
    });
    // A fifth of the time is enough to have seen every kind of connection, and all at once.
    let settled = &samples[samples.len() / 5..];
    let replies: u64 = loads
        .map(|load| {
            let measured = load.finish_within(length + 3 * crate::support::PATIENCE);
            assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
            assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
            measured.count("messages")
        })
        .iter()
        .sum();
    let summary = server.wait_summary("all have gone", |summary| summary.get("active") == 0);
    wait_until("every descriptor is closed", || server.descriptors() == base);
    let (accepted, closed) = (summary.get("accepted"), summary.get("closed"));
    assert_eq!(accepted, closed, "accepted is closed and active, of which none is left: {summary:?}");
    let rude = rude.into_inner();
    assert!(accepted > rude + 50, "all kinds of clients came: {summary:?}");
    let (first, last) = (settled[0].1 / MIB, settled[settled.len() - 1].1 / MIB);
    let (grows, grown) = (slope(settled) * 3600.0 / MIB, last - first);
    let growth = in_full(
        format!("RSS grew by {grown:.2} MiB (< {GROWN})"),
        format!("RSS grows by {grows:.2} MiB an hour (< {SLOPE})"),
    );
    let found = format!(
        "{growth}, {first:.1} to {last:.1} MiB in {length:?}; accepted {accepted} = closed \
         {closed} + active 0, {rude} of them rude; {base} descriptors before and after; {replies} replies, all right"
    );
    if in_full(grown < GROWN, grows < SLOPE) { Ok(found) } else { Err(found) }
}

#[test]
fn whoever_has_gone_leaves_nothing_behind() {
    let _alone = alone();
    let found = attempt(|| run(length()));
    measured("30", &found);
}

#[test]
fn the_line_through_samples_has_their_slope() {
    let _alone = alone();
    let samples: Vec<(f64, f64)> =
        (0..100).map(|x| (f64::from(x), 5.0 + 2.5 * f64::from(x) + f64::from(x % 2))).collect();
    assert!((slope(&samples) - 2.5).abs() < 0.01);
    assert!(slope(&[(0.0, 7.0), (1.0, 7.0), (2.0, 7.0)]).abs() < 1e-9);
}
