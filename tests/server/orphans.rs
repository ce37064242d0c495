//! Goal: what is closed because its peer takes nothing goes at once, also in the kernel; and who is only slow gets
//! everything.
//!
//! Method: a network of the test's own, so that every TCP socket in `/proc/net/tcp` is the test's. Clients with a shut
//! window have the server's socket hold bytes for them. Once the server has closed them all, no socket of it may be
//! left that waits for their acknowledgement (FIN-WAIT-1, LAST-ACK): the kernel would keep it, and its bytes, for
//! minutes.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Network, Server, cooee, holds_within, wait_until};
use nix::sys::signal::Signal;

/// How many clients of each kind.
const EACH: usize = 10;

/// The kernel's numbers of the states in which a closed socket waits for an acknowledgement.
const FIN_WAIT_1: &str = "04";
const LAST_ACK: &str = "09";

/// How many sockets of this network wait for an acknowledgement, although they may be closed.
fn waiting() -> usize {
    // The table of this thread's network, and not of the process's.
    let table = fs::read_to_string("/proc/thread-self/net/tcp").expect("the table can be read");
    let states = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(3));
    states.filter(|state| [FIN_WAIT_1, LAST_ACK].contains(state)).count()
}

fn serve(network: &Network, args: &[&str], endpoints: usize) -> Server {
    Server::start_command(&mut network.enter(&cooee(&[&["serve"], args].concat())), endpoints)
}

/// Clients that send this much, if it is taken, and read nothing. What the server has not read would make every close a
/// RST, so it is no more than the server reads.
fn stuck(address: SocketAddr, bytes: &[u8]) -> Vec<Client> {
    let one = |_| {
        let mut client = Client::connect_with_small_buffer(address);
        client.stream.set_nonblocking(true).unwrap();
        let mut sent = 0;
        wait_until("all is sent, or no more is taken", || match client.stream.write(&bytes[sent..]) {
            Ok(count) => {
                sent += count;
                sent == bytes.len()
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock);
                true
            }
        });
        client
    };
    (0..EACH).map(one).collect()
}

#[test]
fn nothing_is_left_in_the_kernel_for_peers_that_were_given_up() {
    let Some(network) = Network::empty() else { return };
    let server = serve(
        &network,
        &["-v", "--idle-timeout=2s", "--half-closed-timeout=2s", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0?mode=ack"],
        2,
    );
    let (echo, ack) = (server.addresses()[0], server.addresses()[1]);
    network.within(|| {
        // Owed by the server, and owed by the kernel alone.
        let mut clients = stuck(echo, &[b'o'; 60_000]);
        clients.extend(stuck(echo, &[b'k'; 9_000]));
        // The same behind an end of the peer's side, and behind one of the server's.
        let half_closed = stuck(echo, &[b'h'; 60_000]);
        half_closed.iter().for_each(Client::shutdown);
        clients.extend(half_closed);
        clients.extend(stuck(ack, &[&[b'b'; 7 * 1024][..], b"bye"].concat()));
        let all = clients.len() as u64;
        server.wait_summary("all are closed", |summary| summary.get("accepted") == all && summary.get("active") == 0);
        assert!(holds_within(Duration::from_secs(1), || waiting() == 0), "{} are left: {}", waiting(), server.log());
        for (reason, count) in [(": idle-timeout", 2 * EACH), (": half-closed-timeout", EACH), (": ended", EACH)] {
            assert_eq!(server.logged(reason), count, "{reason}: {}", server.log());
        }
    });
}

#[test]
fn nothing_is_left_in_the_kernel_when_a_drain_has_no_more_time() {
    let Some(network) = Network::empty() else { return };
    // A second signal ends it sooner than the drain does.
    for (timeout, signals) in [("1s", 1), ("1h", 2)] {
        let mut server = serve(&network, &["--drain-timeout", timeout, "tcp://127.0.0.1:0"], 1);
        let address = server.address();
        network.within(|| {
            let clients = stuck(address, &[b'o'; 60_000]);
            server.wait_summary("all are there", |summary| summary.get("accepted") == clients.len() as u64);
            for _ in 0..signals {
                server.signal(Signal::SIGTERM);
                server.wait_log("draining");
            }
            server.exit_code();
            assert!(holds_within(Duration::from_secs(1), || waiting() == 0), "{} are left", waiting());
        });
    }
}

#[test]
fn a_reader_that_is_only_slow_gets_everything_although_it_counts_as_silent() {
    let server = Server::start(&["-v", "--idle-timeout=1s"]);
    let bytes = crate::support::noise(9_000, 15);
    let mut client = Client::connect_with_small_buffer(server.address());
    client.send(&bytes);
    let start = Instant::now();
    let mut got = Vec::new();
    // Longer than it may be silent, and than the server waits for its end.
    while start.elapsed() < Duration::from_secs(8) {
        let mut piece = [0; 100];
        let count = client.stream.read(&mut piece).expect("no RST");
        got.extend_from_slice(&piece[..count]);
        thread::sleep(Duration::from_millis(100));
    }
    assert!(got.len() < bytes.len(), "it was too fast to tell");
    server.wait_log("idle-timeout");
    got.extend(client.rest());
    assert!(got == bytes, "{} bytes of {}", got.len(), bytes.len());
}
