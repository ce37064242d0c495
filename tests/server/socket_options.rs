//! Goal: the options of sockets do what they say: several processes share a port, silent peers are probed, and a
//! connection is accepted when it speaks; and the kernel keeps little for a peer that does not read.
//!
//! Method: two servers on one port, and what `/proc/net/tcp` tells of the server's sockets.

use std::io::Write;
use std::net::SocketAddr;

use std::time::{Duration, Instant};

use cooee::os::bind::{SocketOptions, listen_tcp};
use cooee::os::listener::ListeningSocket;
use socket2::SockRef;

use crate::support::{Client, FAR, Link, Server, cooee, run, tcp_row, wait_until};

#[test]
fn several_processes_share_a_port_where_that_was_asked_for() {
    let first = Server::start(&["--reuse-port"]);
    let endpoint = format!("tcp://{}", first.address());
    let second = Server::start(&["--reuse-port", &endpoint]);
    // The kernel spreads connections by their addresses: one of the two gets none with a chance of 2 in 2 to the power
    // of 64.
    for _ in 0..64 {
        let mut client = first.connect();
        client.echo(b"from one of the two");
        assert_eq!(client.finish(), b"");
    }
    for server in [first, second] {
        let log = server.stop();
        assert!(!log.contains("accepted=0 ") && !log.contains("accepted=64 "), "{log}");
    }

    let alone = Server::start(&[]);
    let endpoint = format!("tcp://{}?reuse-port=true", alone.address());
    let ran = run(&mut cooee(&["serve", &endpoint]), b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("address in use"), "{ran:?}");
}

#[test]
fn silent_peers_are_probed_where_that_was_asked_for() {
    let server = Server::start(&["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?keepalive=60s"]);
    let timers: Vec<String> = server
        .addresses()
        .into_iter()
        .map(|address| {
            let mut client = Client::connect(address);
            client.echo(b"hi");
            // Until the last reply is acknowledged, its retransmission timer runs instead.
            let mut timer = String::new();
            wait_until("no retransmission is pending", || {
                timer = tcp_row(address, client.stream.local_addr().unwrap())[5].split(':').next().unwrap().to_owned();
                timer != "01"
            });
            timer
        })
        .collect();
    // 00: no timer; 02: the keep-alive timer (the kernel's `proc_net_tcp.txt`).
    assert_eq!(timers, ["00", "02"]);
}

#[test]
fn probes_take_as_long_again_as_the_silence_before_them() {
    for (silence, interval) in [(1, 1), (2, 1), (3, 1), (60, 20), (600, 200), (7_200, 2_400)] {
        let options = SocketOptions { keepalive: Some(Duration::from_secs(silence)), ..SocketOptions::default() };
        let (listener, address) = listen_tcp(([127, 0, 0, 1], 0).into(), &options).unwrap();
        let ListeningSocket::Tcp(listener) = listener else { panic!("{listener:?}") };
        let _client = Client::connect(address);
        let mut accepted = None;
        wait_until("it is accepted", || {
            accepted = listener.accept().ok();
            accepted.is_some()
        });
        // What it has inherited from the listener.
        let (stream, _) = accepted.unwrap();
        let socket = SockRef::from(&stream);
        assert!(socket.keepalive().unwrap());
        assert_eq!(socket.tcp_keepalive_time().unwrap(), Duration::from_secs(silence));
        assert_eq!(socket.tcp_keepalive_interval().unwrap(), Duration::from_secs(interval), "after {silence} s");
        assert_eq!(socket.tcp_keepalive_retries().unwrap(), SocketOptions::PROBES);
    }
}

#[test]
fn a_peer_whose_host_is_gone_is_found_in_the_time_that_was_promised() {
    let Some(link) = Link::start() else { return };
    let server = link.serve(&["--idle-timeout=0", &format!("tcp://{FAR}:0?keepalive=2s")]);
    let _client = link.near.within(|| {
        let mut client = Client::connect(server.address());
        client.echo(b"hi");
        client
    });
    // Nothing that comes is for this host any more, so it answers nothing.
    let gone = Instant::now();
    link.near.sh("ip addr flush dev cable");
    server.wait_summary("the connection is closed", |summary| summary.get("active") == 0);
    let after = gone.elapsed();
    assert!(after > Duration::from_secs(2), "a peer is given up that may only have been silent: {after:?}");
    // Two seconds of silence and three probes, a second apart; and what a busy machine takes.
    assert!(after < Duration::from_secs(12), "{after:?}: {}", server.log());
}

#[test]
fn a_connection_is_accepted_when_it_speaks_where_that_was_asked_for() {
    let server = Server::start(&["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?defer-accept=60s"]);
    let addresses = server.addresses();
    // For both clients the connection is established: connect(2) has returned.
    let mut deferred = Client::connect(addresses[1]);
    let _silent = Client::connect(addresses[0]);
    server.wait_summary("the silent client of the first endpoint is accepted", |summary| summary.get("accepted") == 1);
    assert_eq!(server.summary().get("accepted"), 1, "that of the second one is not");
    deferred.echo(b"now it is");
    assert_eq!(server.summary().get("accepted"), 2);
}

#[test]
fn the_kernel_keeps_little_for_a_peer_that_does_not_read() {
    /// What the server's socket holds for a client that has been sent much and reads nothing.
    fn kept(address: SocketAddr) -> usize {
        let mut client = Client::connect_with_small_buffer(address);
        client.stream.set_nonblocking(true).unwrap();
        let mut quiet = 0;
        wait_until("the server takes nothing more", || {
            let taken = client.stream.write(&[7; 64 * 1024]).unwrap_or(0);
            quiet = if taken == 0 { quiet + 1 } else { 0 };
            quiet == 250
        });
        // The table has a row for every connection of the machine: asked once, for it may be long.
        let row = tcp_row(address, client.stream.local_addr().unwrap());
        usize::from_str_radix(row[4].split(':').next().unwrap(), 16).unwrap()
    }
    let server = Server::start(&["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?notsent-lowat=256KiB"]);
    let addresses = server.addresses();
    let (little, more) = (kept(addresses[0]), kept(addresses[1]));
    // One write that began below the mark may go over it.
    assert!((4 * 1024..128 * 1024).contains(&little), "{little} bytes, and {more} with 256 KiB");
    assert!(more > 192 * 1024, "{little} bytes, and {more} with 256 KiB");
}
