//! Goal: a signal drains the server without losing what has arrived, a second one ends it at once, and its port is free
//! again.
//!
//! Method: the server is stopped (SIGSTOP) while clients send and connect, so that all of it waits in the kernel when
//! the signal comes; then it goes on (SIGCONT) and finds everything at once. Exit codes and the time they take are
//! measured. A drain under load has a file of its own: `drain_under_load.rs`.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Client, Noise, PATIENCE, Server, acknowledged, attempt, in_full, measured, wait_until};
use nix::sys::signal::Signal::{self, SIGCONT, SIGHUP, SIGINT, SIGKILL, SIGSTOP, SIGTERM, SIGUSR1, SIGXCPU};
use socket2::{Domain, Socket, Type};

/// Waits until a process that got SIGSTOP has stopped.
fn wait_stopped(server: &Server) {
    wait_until("the server has stopped", || {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", server.id())).unwrap();
        stat[stat.rfind(')').unwrap() + 2..].starts_with('T')
    });
}

#[test]
fn what_has_arrived_when_the_signal_comes_is_answered() {
    let mut server = Server::start(&[
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:0?mode=ack&framing=line",
        "tcp://127.0.0.1:0?mode=ack&encoding=gbk",
    ]);
    let addresses = server.addresses();
    let mut known: Vec<Client> = (0..50).map(|_| Client::connect(addresses[1])).collect();
    for client in &mut known {
        client.ask(b"hi\n", &[&acknowledged(b"hi")[..], b"\n"].concat());
    }
    let mut idle = server.connect();
    idle.echo(b"hi");

    server.signal(SIGSTOP);
    wait_stopped(&server);
    for client in &mut known {
        client.send(b"first\nsecond\nunfinished");
    }
    // These wait in the backlog: the server has not accepted them.
    let mut late: Vec<Client> = (0..300).map(|_| Client::connect(addresses[0])).collect();
    for (number, client) in late.iter_mut().enumerate() {
        client.send(format!("late {number}").as_bytes());
    }
    let mut silent = Client::connect(addresses[0]);
    let mut large = Client::connect(addresses[0]);
    large.send(&[b'x'; 50_000]);
    server.signal(SIGTERM);
    server.signal(SIGCONT);

    for client in &mut known {
        let replies = [&acknowledged(b"first")[..], b"\n", &acknowledged(b"second"), b"\n"].concat();
        assert_eq!(client.rest(), replies);
    }
    for (number, client) in late.iter_mut().enumerate() {
        assert_eq!(client.rest(), format!("late {number}").into_bytes());
    }
    assert!(large.rest() == [b'x'; 50_000]);
    assert_eq!(idle.rest(), b"");
    assert_eq!(silent.rest(), b"");
    for address in addresses {
        let error = TcpStream::connect_timeout(&address, PATIENCE).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionRefused, "nobody listens any more");
    }
    drop((known, late, silent, large, idle));
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    server.wait_log("accepted=353 active=0");
    server.wait_log("closed=353(drained=353)");
}

#[test]
fn requests_whose_event_is_still_in_the_kernel_are_answered_too() {
    // One batch holds 1,024 events. The first message that the server finds stops it, and most of the others are two
    // batches away.
    let mut server = Server::start(&["--bye=stop", "--framing=line"]);
    let mut clients: Vec<Client> = (0..3000).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.echo(b"hi\n");
    }
    server.signal(SIGSTOP);
    wait_stopped(&server);
    clients[0].send(b"bye\n");
    for client in &mut clients[1..] {
        client.send(b"and this?\n");
    }
    server.signal(SIGCONT);
    assert_eq!(clients[0].rest(), b"bye\n");
    for client in &mut clients[1..] {
        assert_eq!(client.rest(), b"and this?\n");
    }
    drop(clients);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
}

#[test]
fn either_signal_drains() {
    for signal in [SIGTERM, SIGINT] {
        let mut server = Server::start(&[]);
        let mut client = server.connect();
        client.echo(b"hi");
        server.signal(signal);
        assert_eq!(client.rest(), b"");
        drop(client);
        assert_eq!(server.exit_code(), Some(0), "{signal}");
        server.wait_log(&format!("signal {}: draining", signal as i32));
    }
}

#[test]
fn sighup_without_a_terminal_is_told_and_changes_nothing() {
    let server = Server::start(&[]);
    let mut client = server.connect();
    server.signal(SIGHUP);
    server.wait_log("signal 1: nothing to do");
    client.echo(b"it goes on");
    drop(client);
    server.stop();
}

#[test]
fn only_somebody_who_asks_twice_cuts_a_drain_short() {
    let mut server = Server::start(&["--drain-timeout=1h"]);
    let mut client = server.connect();
    client.echo(b"hi");
    for times in 1..=3 {
        server.signal(SIGXCPU);
        server.wait_logged("signal 24: draining", times);
    }
    assert_eq!(client.rest(), b"");
    server.signal(SIGTERM);
    server.wait_log("signal 15: draining; a second one ends at once");
    server.signal(SIGHUP);
    server.wait_log("signal 1: nothing to do");
    assert!(server.is_alive());
    server.signal(SIGINT);
    assert_eq!(server.exit_code(), Some(130), "{}", server.log());
}

#[test]
fn a_second_signal_ends_at_once() {
    let pairs: [(Signal, Signal); 4] = [(SIGTERM, SIGTERM), (SIGINT, SIGINT), (SIGTERM, SIGINT), (SIGINT, SIGTERM)];
    for (first, second) in pairs {
        let mut server = Server::start(&["--drain-timeout=1h"]);
        let mut client = server.connect();
        client.echo(b"hi");
        server.signal(first);
        // The FIN has come, and the server waits for this side's.
        assert_eq!(client.rest(), b"");
        let start = Instant::now();
        server.signal(second);
        assert_eq!(server.exit_code(), Some(128 + second as i32), "{first} then {second}: {}", server.log());
        assert!(start.elapsed() < Duration::from_secs(2), "at once, not after {:?}", start.elapsed());
        server.wait_log("aborted=1");
    }
}

#[test]
fn a_client_that_never_closes_holds_the_drain_up_no_longer_than_it_may() {
    let mut server = Server::start(&["--drain-timeout=700ms"]);
    let mut client = server.connect();
    client.echo(b"hi");
    let start = Instant::now();
    server.signal(SIGTERM);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    let took = start.elapsed();
    assert!((0.6..3.0).contains(&took.as_secs_f64()), "it took {took:?}");
    server.wait_log("drain-timeout=1");
    assert_eq!(client.rest(), b"");
}

#[test]
fn what_waits_behind_a_slow_reader_is_read_and_answered_in_a_drain() {
    let mut server = Server::start(&["--write-limit=4KiB", "--drain-timeout=1m", "tcp://127.0.0.1:0?sndbuf=4KiB"]);
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4096).unwrap();
    socket.connect(&server.address().into()).unwrap();
    let mut client = Client::over(socket.into());
    let bytes = Noise::new(6).bytes(50_000);
    client.send(&bytes);
    client.wait_arrived();
    server.signal(SIGTERM);
    server.wait_log("draining");
    assert!(client.rest() == bytes, "some byte was lost");
    drop(client);
    assert_eq!(server.exit_code(), Some(0), "{}", server.log());
    server.wait_log("drained=1");
}

#[test]
fn several_endpoints_have_a_line_each_below_the_total() {
    let server = Server::start(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    server.connect().echo(b"12345");
    server.signal(SIGUSR1);
    server.wait_log("udp://");
    let urls = server.urls();
    let log = server.stop();
    let lines: Vec<&str> = log.lines().rev().take(3).collect();
    let counts = "accepted=1 active=0 messages_in=1 messages_out=1 bytes_in=5 bytes_out=5 closed=1(";
    assert!(lines[2].contains(&format!("] {counts}")), "{log}");
    assert!(lines[1].contains(&format!("]   {}: {counts}", urls[0])), "{log}");
    assert!(lines[0].ends_with(&format!(
        "]   {}: accepted=0 active=0 messages_in=0 messages_out=0 bytes_in=0 bytes_out=0 closed=0 dropped=0 errors=0",
        urls[1]
    )), "{log}");
}

#[test]
fn the_summary_comes_on_request_and_at_the_end() {
    let server = Server::start(&[]);
    server.signal(SIGUSR1);
    server.wait_log("accepted=0 active=0 messages_in=0 messages_out=0 bytes_in=0 bytes_out=0 closed=0 dropped=0");
    let mut first = server.connect();
    first.echo(b"12345");
    assert_eq!(first.finish(), b"");
    let mut second = server.connect();
    second.echo(b"123");
    second.echo(b"12");
    wait_until("the first is counted as closed", || {
        server.signal(SIGUSR1);
        server
            .logged("accepted=2 active=1 messages_in=3 messages_out=3 bytes_in=10 bytes_out=10 closed=1(peer-closed=1)")
            > 0
    });
    second.echo(b"it goes on");
    drop(second);
    let log = server.stop();
    let last = log.lines().last().unwrap_or_default();
    assert!(last.contains("accepted=2 active=0") && last.contains("closed=2("), "{log}");
}

#[test]
fn the_port_is_free_at_once_after_a_drain() {
    let mut server = Server::start(&[]);
    let endpoint = format!("tcp://{}", server.address());
    // The server closes first, so that its side waits in TIME_WAIT.
    let mut clients: Vec<Client> = (0..20).map(|_| server.connect()).collect();
    clients.iter_mut().for_each(|client| client.echo(b"hi"));
    server.signal(SIGTERM);
    for client in &mut clients {
        assert_eq!(client.rest(), b"");
    }
    drop(clients);
    assert_eq!(server.exit_code(), Some(0));
    Server::start(&[&endpoint]).connect().echo(b"hi");
}

/// How many sockets on this local port are in one of these states (numbers of the kernel's `tcp_states.h`).
fn sockets_in(states: &[&str], port: u16) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").expect("the table can be read");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[1].ends_with(&format!(":{port:04X}")) && states.contains(&row[3])).count()
}

#[test]
fn a_killed_server_comes_back_at_once() {
    measured("22", &attempt(kill_and_restart));
}

/// Kills a server and starts another on its port, again and again; the sockets of all that were killed before are still
/// there.
fn kill_and_restart() -> Result<String, String> {
    const ENDED: usize = 10;
    const LIVE: usize = 10;
    let times = in_full(5, 50);
    let arguments = |endpoint: &str| ["--framing=line", "--bye=close", endpoint].map(str::to_owned);
    let start = |endpoint: &str| Server::start(&arguments(endpoint).each_ref().map(String::as_str));
    let mut server = start("tcp://127.0.0.1:0");
    let address = server.address();
    let (mut slowest, mut live) = (Duration::ZERO, Vec::new());
    for _ in 0..times {
        for _ in 0..ENDED {
            let mut client = server.connect();
            client.send(b"bye\n");
            // The server ends its side first, so TIME_WAIT is on its port.
            assert_eq!(client.rest(), b"bye\n");
        }
        live.extend((0..LIVE).map(|_| server.connect()));
        live.iter_mut().rev().take(LIVE).for_each(|client| client.echo(b"hi\n"));
        server.signal(SIGKILL);
        assert_eq!(server.exit_code(), None, "killed");
        let killed = Instant::now();
        server = start(&format!("tcp://{address}"));
        slowest = slowest.max(killed.elapsed());
        server.connect().echo(b"hi\n");
    }
    let (time_wait, fin_wait) = (sockets_in(&["06"], address.port()), sockets_in(&["04", "05"], address.port()));
    assert!(time_wait >= ENDED && fin_wait >= LIVE, "{time_wait} and {fin_wait}: nothing stood in its way");
    let found = format!(
        "bound {times} of {times} times, {:.0} ms after the start at the most (<= 200), over {time_wait} sockets in TIME_WAIT and \
         {fin_wait} in FIN_WAIT",
        slowest.as_secs_f64() * 1e3
    );
    if slowest <= in_full(PATIENCE, Duration::from_millis(200)) { Ok(found) } else { Err(found) }
}
