//! Goal: whatever clients do, and however often, the log says it in a few lines and a number: at most 100 lines in any
//! second, and "suppressed N" for the rest, which add up to what has happened.
//!
//! Method: each kind of line that somebody else can cause is caused as fast as two threads can: broken frames,
//! newcomers over the limit, a server without descriptors or whose kernel watches no more sockets (`strace -e inject`),
//! queues at their bound, datagrams that are not answered, and `bye` again and again. The lines of each second are
//! counted by the log's own clock, and the events by the summary.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Client, PATIENCE, Server, Summary, children, cooee, in_full, is_full, len32, measured, skip, wait_until,
};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTERM};
use socket2::SockRef;

/// The lines of any second may be so many.
const LINES: usize = 100;

/// In full long enough for a window of suppressed lines to end, and another to begin.
fn flood_time() -> Duration {
    in_full(Duration::from_secs(1), Duration::from_secs(35))
}

/// Does `event` again and again, on two threads, for the time of a flood. Returns how long it took.
fn flood(event: impl Fn() + Sync) -> Duration {
    let start = Instant::now();
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::Relaxed) {
                    event();
                }
            });
        }
        thread::sleep(flood_time());
        is_over.store(true, Ordering::Relaxed);
    });
    start.elapsed()
}

/// What a log says of one kind of event.
struct Told {
    shown: u64,
    suppressed: u64,
    /// The lines in its busiest second, whatever they say.
    busiest: usize,
}

/// Reads a log: `line` is in each line about the event, and `kind` is what the number of suppressed ones is about.
fn read(log: &str, line: &str, kind: &str) -> Told {
    let mut seconds: HashMap<&str, usize> = HashMap::new();
    for line in log.lines() {
        *seconds.entry(line.get(..19).unwrap_or("")).or_default() += 1;
    }
    let suppressed = log.lines().filter_map(|line| {
        let (count, of) = line.split_once("suppressed ")?.1.split_once(" more: ")?;
        (of == kind).then(|| count.parse::<u64>().expect("a number"))
    });
    Told {
        shown: log.lines().filter(|text| text.contains(line)).count() as u64,
        suppressed: suppressed.sum(),
        busiest: seconds.values().copied().max().unwrap_or(0),
    }
}

/// Ends the server and checks what it has said of the events, `count` of which the summary tells. Both are told for the
/// table.
#[track_caller]
fn check(mut server: Server, line: &str, kind: &str, time: Duration, count: impl Fn(&Summary) -> u64) {
    if is_full() && time >= flood_time() {
        // It does not take the end of the server to be told.
        server.wait_log("suppressed ");
    }
    server.signal(SIGTERM);
    let summary = server.last_summary();
    check_told(&server.log(), line, kind, time, count(&summary));
}

#[track_caller]
fn check_told(log: &str, line: &str, kind: &str, time: Duration, events: u64) {
    let Told { shown, suppressed, busiest } = read(log, line, kind);
    assert!(shown > 0 && suppressed > 0, "{shown} shown and {suppressed} suppressed:\n{log}");
    assert_eq!(shown + suppressed, events, "{kind}: {shown} shown and {suppressed} suppressed:\n{log}");
    assert!(busiest <= LINES, "{busiest} lines in a second:\n{log}");
    let rate = events as f64 / time.as_secs_f64();
    let figure = format!(
        "{kind}: {events} events, {rate:.0}/s: {shown} lines and \"suppressed\" {suppressed}; busiest second {busiest} lines (<= {LINES})"
    );
    measured("16", &figure);
}

/// Connects and reads to the end; the kernel's own limits are no failure here.
fn connect_and_send(address: SocketAddr, bytes: &[u8]) {
    let Ok(mut stream) = TcpStream::connect(address) else { return };
    let _ = stream.set_read_timeout(Some(PATIENCE));
    // No port is to rest for a minute: the end is a RST.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    let _ = stream.write_all(bytes);
    let _ = stream.read_to_end(&mut Vec::new());
}

/// A connection on which a message has begun.
fn begin(address: SocketAddr, bytes: &[u8]) -> Option<TcpStream> {
    let mut stream = TcpStream::connect(address).ok()?;
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
    let _ = stream.write_all(bytes);
    stream.set_nonblocking(true).ok()?;
    Some(stream)
}

/// Whether the server has ended its side.
fn has_ended(mut stream: &TcpStream) -> bool {
    !matches!(stream.read(&mut [0]), Err(error) if error.kind() == ErrorKind::WouldBlock)
}

#[test]
fn broken_frames() {
    let server = Server::start(&["--framing=len32"]);
    let address = server.address();
    let time = flood(|| connect_and_send(address, &[0xff; 4]));
    check(server, " closes ", "bad frame", time, |summary| {
        // Whoever reads the RST before it is done with the connection has closed it for that.
        summary.get("frame-too-long") + summary.get("reset")
    });
}

#[test]
fn newcomers_over_the_limit() {
    let server = Server::start(&["--max-connections=1"]);
    let mut first = server.connect();
    first.echo(b"the only one");
    let address = server.address();
    let time = flood(|| connect_and_send(address, b""));
    drop(first);
    check(server, "newcomers are refused", "refused at the connection limit", time, |summary| {
        summary.get("accepted") - 1
    });
}

#[test]
fn a_lack_of_descriptors() {
    // It could drain its backlog only if it had some.
    let server = Server::start(&["--drain-timeout=100ms"]);
    let limit = format!("--nofile={0}:{0}", server.descriptors());
    let limited = Command::new("prlimit").arg(format!("--pid={}", server.id())).arg(limit).status();
    assert!(limited.expect("prlimit of util-linux").success());
    let address = server.address();
    let waiting: Vec<Client> = (0..100).map(|_| server.connect()).collect();
    let time = flood(|| {
        let _ = TcpStream::connect_timeout(&address, Duration::from_millis(50));
        thread::sleep(Duration::from_millis(1));
    });
    check(server, "cannot accept", "accept failed", time, |summary| summary.get("accept"));
    drop(waiting);
}

/// The server under strace: its child is the server.
fn with_injection(injected: &str, args: &[&str]) -> Option<(Server, i32)> {
    if !Command::new("strace").args(["-qq", "-o", "/dev/null", "true"]).status().is_ok_and(|status| status.success()) {
        skip("strace cannot be used here");
        return None;
    }
    let serving = cooee(&[&["serve", "tcp://127.0.0.1:0"], args].concat());
    let mut command = Command::new("strace");
    command.args(["-qq", "-f", "-o", "/dev/null", "-e", "trace=epoll_ctl", "-e", injected]);
    command.arg(serving.get_program()).args(serving.get_args()).env_remove("RUST_LOG");
    let server = Server::start_command(&mut command, 1);
    let id = children(server.id())[0] as i32;
    Some((server, id))
}

#[test]
fn connections_that_the_kernel_does_not_watch() {
    // The listener and the signals are watched; what comes later is not.
    let Some((mut server, id)) = with_injection("inject=epoll_ctl:error=ENOSPC:when=20+", &[]) else { return };
    let address = server.address();
    let clients: Vec<Client> = (0..20).map(|_| Client::connect(address)).collect();
    server.wait_log("cannot watch an accepted connection");
    let time = flood(|| connect_and_send(address, b""));
    drop(clients);
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(id), SIGTERM).unwrap();
    let summary = server.last_summary();
    check_told(&server.log(), "cannot watch an accepted", "accept failed", time, summary.get("accept"));
}

#[test]
fn queues_at_their_bound() {
    let server = Server::start(&["--framing=len32", "--queue-limit=512KiB", "--max-frame=100KiB"]);
    let address = server.address();
    // A third of the limit is for messages that have begun. Eight halves of some are more than that, so some are closed
    // each time.
    let half = &len32(&[b'm'; 100_000])[..50_000];
    let time = flood(|| {
        let begun: Vec<TcpStream> = (0..8).filter_map(|_| begin(address, half)).collect();
        wait_until("one is closed", || begun.iter().any(has_ended));
    });
    // What was closed for room and what the client gave up are not told apart afterwards: both end with its RST.
    let (line, kind) = ("its message is incomplete", "queue limit reached");
    let mut server = server;
    server.signal(SIGTERM);
    let summary = server.last_summary();
    let Told { shown, suppressed, .. } = read(&server.log(), line, kind);
    assert!(shown + suppressed < summary.get("accepted"), "{summary:?}");
    check_told(&server.log(), line, kind, time, shown + suppressed);
}

#[test]
fn datagrams_that_are_not_answered() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    // They are told to whoever asks for more than others see.
    let server = Server::start(&["-v", &format!("unixgram://{}", path.display())]);
    let time = flood(|| {
        let unnamed = UnixDatagram::unbound().unwrap();
        for _ in 0..1000 {
            let _ = unnamed.send_to(b"answer me", &path);
        }
    });
    check(server, "did not answer", "datagram dropped", time, |summary| summary.get("unnamed-peer"));
}

#[test]
fn bye_again_and_again() {
    let server = Server::start(&["udp://127.0.0.1:0?bye=stop", "--rcvbuf=8MiB"]);
    let address = server.address_of("udp");
    let client = crate::support::udp_client();
    // All are there when the first is read, and each turn takes a few.
    server.signal(SIGSTOP);
    let start = Instant::now();
    for _ in 0..10_000 {
        client.send_to(b"bye", address).unwrap();
    }
    server.signal(SIGCONT);
    let mut server = server;
    let summary = server.last_summary();
    assert!(summary.get("messages_in") > 128, "they do not take several turns: {summary:?}");
    check_told(&server.log(), " said bye to ", "said bye", start.elapsed(), summary.get("messages_in"));
}

#[test]
fn what_is_no_news_is_not_told_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let server = Server::start(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0", &format!("unixgram://{}", path.display())]);
    let (address, udp) = (server.address(), server.address_of("udp"));
    let time = flood(|| {
        // Connections that come and go, with a RST; a reply that meets a closed port; a datagram that has no sender.
        let mut client = Client::connect(address);
        client.echo(b"hi");
        let _ = SockRef::from(&client.stream).set_linger(Some(Duration::ZERO));
        drop(client);
        crate::support::udp_client().send_to(b"hi", udp).unwrap();
        let _ = UnixDatagram::unbound().unwrap().send_to(b"hi", &path);
    });
    wait_until("all are closed", || server.summary().get("active") == 0);
    let asked = server.logged("accepted=");
    assert_eq!(server.log().lines().count(), asked, "{}", server.log());
    let summary = server.drain();
    let events = summary.get("accepted") + summary.get("unnamed-peer") + summary.get("datagram");
    assert!(summary.get("unnamed-peer") > 0 && summary.get("reset") > 0, "{summary:?}");
    let rate = events as f64 / time.as_secs_f64();
    measured(
        "16",
        &format!(
            "resets, closed ports, unnamed senders: {events} events, {rate:.0}/s: 0 lines at the default level (<= {LINES}/s)"
        ),
    );
}
