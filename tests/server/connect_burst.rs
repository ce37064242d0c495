//! Goal: thousands of newcomers at once all get in: none has to send its SYN again, which takes a second, and the
//! kernel turns none away.
//!
//! Method: a network of the test's own, where nobody else is counted, and 4,000 connects as fast as two threads can.
//! Once against a server that runs, and once while it is stopped (SIGSTOP): the worst that can happen to it, for then
//! all of them have to wait in the backlog. How long each connect takes, and the kernel's own count of full queues
//! (`ListenOverflows` and `ListenDrops` in `/proc/net/netstat`). Then each of them says something and is answered.

use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Network, PATIENCE, Server, attempt, in_full, measured};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};
use socket2::{Domain, SockAddr, Socket, Type};

const BURST: usize = 4_000;
const THREADS: usize = 2;

/// What one burst was like.
struct Burst {
    /// How long all of the connects took together.
    took: Duration,
    slowest: Duration,
    refused: u64,
    /// From the first connect, or from when the server went on, until each of them was answered.
    served: Duration,
}

/// How often a full queue has made the kernel turn a connection away, in this thread's network.
fn turned_away() -> u64 {
    let table = fs::read_to_string("/proc/thread-self/net/netstat").expect("the table can be read");
    let rows: Vec<Vec<&str>> = table.lines().map(|line| line.split(' ').collect()).collect();
    let pairs = rows.chunks(2).filter(|pair| pair[0][0] == "TcpExt:");
    let counts = pairs.flat_map(|pair| pair[0].iter().zip(&pair[1]));
    let counts: Vec<u64> = counts
        .filter(|(name, _)| ["ListenOverflows", "ListenDrops"].contains(name))
        .map(|(_, count)| count.parse().expect("a count"))
        .collect();
    assert_eq!(counts.len(), 2, "{table}");
    counts.iter().sum()
}

/// Sockets that are about to connect, and give up in time (SO_SNDTIMEO bounds a blocking connect too, `socket(7)`).
fn sockets() -> Vec<Socket> {
    let socket = |_| {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a descriptor is free");
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        socket
    };
    (0..BURST).map(socket).collect()
}

/// Connects all of them, one after the other; returns how long the slowest took.
fn connect(sockets: &[Socket], address: &SockAddr) -> Duration {
    let connect = |socket: &Socket| {
        let start = Instant::now();
        socket.connect(address).expect("the server, or its backlog, takes it");
        start.elapsed()
    };
    sockets.iter().map(connect).max().expect("there are some")
}

fn burst(is_stopped: bool) -> Burst {
    let server = Server::start(&[]);
    let (address, before, sockets) = (server.address().into(), turned_away(), sockets());
    if is_stopped {
        server.signal(SIGSTOP);
    }
    let start = Instant::now();
    let slowest = thread::scope(|scope| {
        let shares = sockets.chunks(BURST / THREADS);
        let threads: Vec<_> = shares.map(|share| scope.spawn(|| connect(share, &address))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no connect fails")).max().expect("there are some")
    });
    let took = start.elapsed();
    let waits_since = if is_stopped { Instant::now() } else { start };
    server.signal(SIGCONT);
    let mut clients: Vec<Client> = sockets.into_iter().map(|socket| Client::over(socket.into())).collect();
    clients.iter_mut().for_each(|client| client.send(b"me too"));
    clients.iter_mut().for_each(|client| client.expect(b"me too"));
    let served = waits_since.elapsed();
    let refused = turned_away() - before;
    drop(clients);
    assert_eq!(server.drain().get("accepted"), BURST as u64, "each of them once");
    Burst { took, slowest, refused, served }
}

#[test]
fn nobody_in_a_burst_of_newcomers_waits_for_a_second_or_is_turned_away() {
    let Some(network) = Network::start(32_768, 60_999) else { return };
    let found = attempt(|| {
        let bursts = [false, true].map(|is_stopped| network.within(|| burst(is_stopped)));
        let told: Vec<String> = bursts.iter().zip(["running", "stopped"]).map(|(burst, server)| {
            let [took, slowest, served] =
                [burst.took, burst.slowest, burst.served].map(|time| time.as_secs_f64() * 1e3);
            let refused = burst.refused;
            format!(
                "server {server}: {BURST} connects in {took:.0} ms (<= 100), the slowest {slowest:.1} ms (< 1,000), {refused} turned \
                 away (0), all answered after {served:.0} ms"
            )
        }).collect();
        let told = told.join("; ");
        let most = Duration::from_millis(in_full(20_000, 100));
        let is_met = |burst: &Burst| burst.refused == 0 && burst.slowest < Duration::from_secs(1) && burst.took <= most;
        if bursts.iter().all(is_met) { Ok(told) } else { Err(told) }
    });
    measured("2", &found);
}
