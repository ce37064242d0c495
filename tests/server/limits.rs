//! Goal: each limit holds, whoever goes over it is told or closed cleanly, and nobody else notices.
//!
//! Method: clients that do what each limit is there for (too many, silent, never reading), measured from outside: what
//! they read, when they are closed, the server's memory and CPU time in `/proc`, and its log. A witness is served
//! beside each of them. The limit of descriptors and unfinished messages have files of their own: `descriptor_limit.rs`
//! and `slowloris.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Client, PATIENCE, Server, acknowledged, cooee, holds_within, in_full, raise_descriptor_limit, run, wait_until,
};
use socket2::{Domain, Socket, Type};

const REFUSAL: &[u8] = b"too many connections, try again later\n";
const SOURCE_REFUSAL: &[u8] = b"too many connections from your address, close one first\n";

fn acknowledged_line(message: &[u8]) -> Vec<u8> {
    [&acknowledged(message)[..], b"\n"].concat()
}

/// Writes `bytes` for as long as the peer takes any, and returns how many it took.
fn write_until_stuck(client: &mut Client, bytes: &[u8]) -> usize {
    client.stream.set_write_timeout(Some(Duration::from_millis(300))).unwrap();
    let mut written = 0;
    while written < bytes.len() {
        match client.stream.write(&bytes[written..]) {
            Ok(count) => written += count,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => break,
            Err(error) => panic!("after {written} bytes: {error}"),
        }
    }
    written
}

#[test]
fn a_newcomer_over_the_limit_is_told_and_closed_and_nobody_else_notices() {
    let server = Server::start(&["--max-connections=3", "--mode=ack", "--framing=line"]);
    let mut clients: Vec<Client> = (0..3).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.ask(b"hi\n", &acknowledged_line(b"hi"));
    }
    // More newcomers at once than there are slots to tell them; half of them have sent something already.
    let newcomers: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    for (number, mut newcomer) in newcomers.into_iter().enumerate() {
        if number % 2 == 0 {
            newcomer.send(b"hello?\n");
        }
        assert_eq!(newcomer.rest(), REFUSAL, "newcomer {number}");
    }
    for client in &mut clients {
        client.ask(b"still here\n", &acknowledged_line(b"still here"));
    }
    server.wait_log("the limit of 3 connections is reached");
    assert_eq!(server.logged("the limit of 3 connections is reached"), 1, "{}", server.log());

    // One leaves, and the next newcomer is served.
    assert_eq!(clients.pop().unwrap().finish(), b"");
    wait_until("a newcomer is served again", || {
        let mut client = server.connect();
        client.send(b"now?\n");
        client.shutdown();
        client.rest() == acknowledged_line(b"now?")
    });
    drop(clients);
    let log = server.stop();
    assert!(log.contains("suppressed "), "what was not logged is told as a number:\n{log}");
}

/// Each of them had 5 s once, and few have a place at a time: the last of 4,096 was told after 640 s.
#[test]
fn newcomers_over_the_limit_are_told_soon_although_none_of_them_closes() {
    raise_descriptor_limit();
    let count = in_full(600, 4_096);
    let server = Server::start(&["--max-connections=1", "--mode=ack", "--framing=line"]);
    let mut first = server.connect();
    first.ask(b"first\n", &acknowledged_line(b"first"));
    let start = Instant::now();
    let mut stubborn: Vec<Client> = (0..count).map(|_| server.connect()).collect();
    for (number, client) in stubborn.iter_mut().enumerate() {
        // Half of them have asked for something, which is read and dropped: unread, it would make the FIN a RST.
        if number % 2 == 0 {
            client.send(b"hello?\n");
        }
        assert_eq!(client.rest(), REFUSAL, "newcomer {number}");
    }
    let took = start.elapsed();
    let sum = server.wait_summary("they are closed for good", |summary| summary.get("active") == 1);
    assert_eq!(sum.get("refused-at-limit"), count as u64);
    let most = Duration::from_millis(10 * count as u64);
    assert!(took < most, "the last of {count} was told after {took:?}");
    println!("{count} newcomers over the limit that stay: all were told within {:.2} s", took.as_secs_f64());
    // The slot is free for the next in line.
    drop(first);
    wait_until("a newcomer is served again", || {
        let mut client = server.connect();
        client.send(b"now?\n");
        client.shutdown();
        client.rest() == acknowledged_line(b"now?")
    });
}

/// The connection is gone by then, so that what comes is answered with a RST. The farewell has arrived before that.
#[test]
fn a_farewell_is_there_for_a_client_that_speaks_after_it_was_closed() {
    let server = Server::start(&["--max-connections=0", "--mode=ack", "--framing=line"]);
    let mut client = server.connect();
    server.wait_summary("it is closed", |summary| summary.get("refused-at-limit") == 1);
    client.send(b"hello?\n");
    client.expect(REFUSAL);
}

/// A client that comes from this address of loopback.
fn client_from(source: &str, server: &Server) -> Client {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
    socket.connect_timeout(&server.address().into(), PATIENCE).unwrap();
    Client::over(socket.into())
}

/// A byte now and then keeps a connection: so one host could hold every place, for a thousand bytes a second.
#[test]
fn one_source_has_its_share_of_the_places_and_no_more() {
    let server =
        Server::start(&["--max-connections=20", "--max-connections-per-source=5", "--mode=ack", "--framing=line"]);
    let asks = |client: &mut Client| client.ask(b"hi\n", &acknowledged_line(b"hi"));
    let mut held: Vec<Client> = (0..5).map(|_| client_from("127.0.0.2", &server)).collect();
    held.iter_mut().for_each(asks);
    // More than can be told at once, so some of them only see an end.
    let newcomers: Vec<Client> = (0..100).map(|_| client_from("127.0.0.2", &server)).collect();
    let mut told = 0;
    for mut newcomer in newcomers {
        let farewell = newcomer.rest();
        assert!([&b""[..], SOURCE_REFUSAL].contains(&&farewell[..]), "{}", farewell.escape_ascii());
        told += usize::from(!farewell.is_empty());
    }
    assert!(told >= 32, "{told} were told why");
    let sum = server.wait_summary("they are gone", |summary| summary.get("active") == 5);
    assert_eq!((sum.get("refused-at-source-limit"), sum.get("refused-at-limit")), (100, 0));
    server.wait_log("127.0.0.2 has 5 connections");
    // Others are served, and so are those who have a place.
    let mut others: Vec<Client> = (3..6).map(|host| client_from(&format!("127.0.0.{host}"), &server)).collect();
    others.iter_mut().chain(&mut held).for_each(asks);
    // A place that is given back can be taken.
    assert_eq!(held.pop().unwrap().finish(), b"");
    wait_until("the source is served again", || {
        let mut client = client_from("127.0.0.2", &server);
        client.send(b"now?\n");
        client.shutdown();
        client.rest() == acknowledged_line(b"now?")
    });
}

#[test]
fn clients_of_a_unix_socket_have_no_source() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cooee.sock");
    let _server = Server::start(&["--max-connections-per-source=1", &format!("unix://{}", path.display())]);
    let mut clients: Vec<_> = (0..3).map(|_| Client::over(UnixStream::connect(&path).unwrap())).collect();
    clients.iter_mut().for_each(|client| client.echo(b"served"));
}

#[test]
fn the_refusal_is_framed_and_said_in_ack_mode_only() {
    let server = Server::start(&[
        "--max-connections=0",
        "tcp://127.0.0.1:0?mode=ack&framing=len32",
        "tcp://127.0.0.1:0?mode=ack",
        "tcp://127.0.0.1:0?mode=echo",
        "tcp://127.0.0.1:0?mode=discard&framing=line",
    ]);
    let text = REFUSAL.trim_ascii_end();
    let farewells = [crate::support::len32(text), text.to_vec(), Vec::new(), Vec::new()];
    for (address, farewell) in server.addresses().into_iter().zip(farewells) {
        assert_eq!(Client::connect(address).rest(), farewell);
    }
}

#[test]
fn a_silent_connection_is_closed_in_time_and_an_active_one_is_not() {
    let server = Server::start(&["-v", "--idle-timeout=2s"]);
    let mut silent = server.connect();
    let mut active = server.connect();
    let mut spoke = server.connect();
    let start = Instant::now();
    let stop_pinging = Duration::from_secs(4);
    thread::scope(|scope| {
        scope.spawn(|| {
            while start.elapsed() < stop_pinging {
                active.echo(b"ping");
                thread::sleep(Duration::from_millis(200));
            }
        });
        scope.spawn(|| {
            spoke.stream.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
            let mut byte = [0];
            let silence = spoke.stream.read(&mut byte).unwrap_err();
            assert!(matches!(silence.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{silence}");
            spoke.echo(b"here");
            let spoken = Instant::now();
            spoke.stream.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(spoke.rest(), b"");
            assert!(spoken.elapsed() > Duration::from_secs(1), "what it said counts: {:?}", spoken.elapsed());
        });
        assert_eq!(silent.rest(), b"", "a FIN");
        let closed = start.elapsed();
        assert!((1.0..3.0).contains(&closed.as_secs_f64()), "closed after {closed:?}");
    });
    server.wait_logged("idle-timeout", 2);
    active.echo(b"still here");
}

/// While all queues together are full, whoever owes is not read: then nobody can finish a message, and none is called
/// unfinished.
#[test]
fn a_message_that_the_server_does_not_read_is_not_called_unfinished() {
    let server = Server::start(&[
        "-v",
        "--framing=line",
        "--idle-timeout=2s",
        "--write-limit=1MiB",
        "--queue-limit=1MiB",
        "tcp://127.0.0.1:0?sndbuf=16KiB",
    ]);
    let lines = [&[b'v'; 999][..], b"\n"].concat().repeat(500);
    let mut reader = Client::connect_with_small_buffer(server.address());
    reader.send(&lines);
    reader.send(b"unfin");
    reader.wait_arrived();
    // This one never reads, and fills what is left of the queues until its time is up, after the reader's message's
    // would be.
    let mut hog = Client::connect_with_small_buffer(server.address());
    thread::sleep(Duration::from_millis(500));
    write_until_stuck(&mut hog, &[&[b'h'; 999][..], b"\n"].concat().repeat(4_000));
    reader.send(b"ished\n");
    reader.shutdown();
    let mut got = Vec::new();
    let start = Instant::now();
    while start.elapsed() < Duration::from_millis(2_500) {
        got.extend(reader.take(1_000));
        thread::sleep(Duration::from_millis(20));
    }
    got.extend(reader.rest());
    assert_eq!(got.len(), lines.len() + b"unfinished\n".len(), "{}", server.log());
    assert!(got.starts_with(&lines) && got.ends_with(b"unfinished\n"));
}

#[test]
fn a_half_closed_peer_that_reads_nothing_is_not_waited_for_longer() {
    let server =
        Server::start(&["-v", "--half-closed-timeout=1s", "--idle-timeout=0", "tcp://127.0.0.1:0?sndbuf=8KiB"]);
    let mut client = Client::connect_with_small_buffer(server.address());
    client.send(&[7; 60_000]);
    client.shutdown();
    let start = Instant::now();
    server.wait_log("half-closed-timeout");
    let closed = start.elapsed();
    assert!((0.5..3.0).contains(&closed.as_secs_f64()), "closed after {closed:?}");
    // One that reads gets everything, in whatever time it takes.
    let mut client = Client::connect_with_small_buffer(server.address());
    client.send(&[7; 60_000]);
    client.shutdown();
    let start = Instant::now();
    let mut got = 0;
    while start.elapsed() < Duration::from_millis(1500) {
        got += client.take(1000).len();
        thread::sleep(Duration::from_millis(40));
    }
    assert_eq!(got + client.rest().len(), 60_000);
    assert_eq!(server.logged("half-closed-timeout"), 1, "{}", server.log());
}

/// It could hold what it is owed for ever otherwise, for a byte now and then.
#[test]
fn sending_is_no_sign_of_life_of_a_peer_that_takes_nothing() {
    let server = Server::start(&["-v", "--idle-timeout=2s", "--write-limit=1MiB", "tcp://127.0.0.1:0?sndbuf=8KiB"]);
    let mut client = Client::connect_with_small_buffer(server.address());
    client.send(&[7; 512 * 1024]);
    let start = Instant::now();
    wait_until("it is closed", || {
        // Once it is closed, this fails.
        let _ = client.stream.write(b"alive");
        server.logged("idle-timeout") == 1
    });
    assert!(start.elapsed() > Duration::from_secs(1), "not before its time: {:?}", start.elapsed());
    // One that takes a little now and then lives.
    let mut client = Client::connect_with_small_buffer(server.address());
    client.send(&[7; 100 * 1024]);
    let (mut got, start) = (0, Instant::now());
    while start.elapsed() < Duration::from_secs(3) {
        got += client.take(2_000).len();
        thread::sleep(Duration::from_millis(100));
    }
    client.shutdown();
    assert_eq!(got + client.rest().len(), 100 * 1024, "{}", server.log());
}

#[test]
fn slow_readers_cost_bounded_memory_and_are_closed_when_their_time_is_up() {
    const STUCK: usize = 20;
    let server = Server::start(&["-v", "--idle-timeout=2s"]);
    let mut witness = server.connect();
    let bytes = vec![7; 256 * 1024];
    for _ in 0..20 {
        let mut writer = witness.twin();
        thread::scope(|scope| {
            scope.spawn(|| writer.send(&bytes));
            witness.expect(&bytes);
        });
    }
    let before = server.resident_bytes();
    let mut stuck: Vec<Client> = (0..STUCK).map(|_| Client::connect_with_small_buffer(server.address())).collect();
    let flood = vec![7; 16 * 1024 * 1024];
    let grown = thread::scope(|scope| {
        for client in &mut stuck {
            scope.spawn(|| {
                let written = write_until_stuck(client, &flood);
                assert!(written < flood.len(), "the server took everything and has it somewhere");
            });
        }
        let mut grown = 0;
        for _ in 0..40 {
            let start = Instant::now();
            witness.echo(b"served meanwhile");
            assert!(start.elapsed() < Duration::from_secs(2), "the witness waited {:?}", start.elapsed());
            grown = grown.max(server.resident_bytes().saturating_sub(before));
            thread::sleep(Duration::from_millis(10));
        }
        grown
    });
    // Each is owed the write limit of 64 KiB, in a buffer that may have grown to twice that.
    let bound = STUCK * 4 * 64 * 1024 + 4 * 1024 * 1024;
    assert!(grown < bound, "{grown} bytes for {STUCK} clients");
    wait_until("all who are stuck are closed", || {
        witness.echo(b"and still");
        server.logged("idle-timeout") >= STUCK
    });
    witness.echo(b"to the end");
}

#[test]
fn at_the_queue_limit_who_owes_waits_and_gets_everything_later() {
    const STUCK: usize = 12;
    let server = Server::start(&["--queue-limit=200KiB", "tcp://127.0.0.1:0?sndbuf=8KiB"]);
    let mut witness = server.connect();
    witness.echo(b"before");
    let bytes = crate::support::Noise::new(5).bytes(2 * 1024 * 1024);
    let clients: Vec<Client> = (0..STUCK).map(|_| Client::connect_with_small_buffer(server.address())).collect();
    thread::scope(|scope| {
        for client in &clients {
            let mut writer = client.twin();
            let bytes = &bytes;
            scope.spawn(move || {
                writer.send(bytes);
                writer.shutdown();
            });
        }
        server.wait_log("bytes are owed to clients that do not read");
        for _ in 0..50 {
            witness.echo(b"owes nothing");
        }
        // The last in line reads first: the others may not stand in its way.
        for mut client in clients.iter().rev().map(Client::twin) {
            assert!(client.rest() == bytes, "some byte changed");
        }
    });
    witness.echo(b"after");
    assert_eq!(server.logged("bytes are owed to clients"), 1, "{}", server.log());
}

#[test]
fn a_connection_limit_that_does_not_fit_is_refused_at_the_start() {
    let ran = run(&mut cooee(&["serve", "--max-connections=4000000000", "tcp://127.0.0.1:0"]), b"");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("--max-connections 4000000000 does not fit"), "{ran:?}");
    assert!(ran.stderr.contains("ulimit -n"), "it says what to do: {ran:?}");
    assert_eq!(ran.stdout, b"", "nothing is bound");
}

#[test]
fn a_limit_that_leaves_no_room_is_an_error_at_the_start() {
    let mut limited = Command::new("prlimit");
    limited.args(["--nofile=40:40", env!("CARGO_BIN_EXE_cooee"), "serve", "tcp://127.0.0.1:0"]);
    let ran = run(&mut limited, b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("leaves no room for connections"), "{ran:?}");
}

#[test]
fn the_default_limit_leaves_a_reserve_and_raises_the_soft_limit() {
    let mut limited = Command::new("prlimit");
    limited.args(["--nofile=70:100", env!("CARGO_BIN_EXE_cooee"), "serve", "tcp://127.0.0.1:0"]);
    let server = Server::start_command(&mut limited, 1);
    // 100 descriptors, less the reserve.
    let mut clients: Vec<Client> = (0..36).map(|_| server.connect()).collect();
    for client in &mut clients {
        client.echo(b"served");
    }
    assert_eq!(server.connect().rest(), b"");
    assert!(
        holds_within(PATIENCE, || server.logged("the limit of 36 connections is reached") == 1),
        "{}",
        server.log()
    );
}
