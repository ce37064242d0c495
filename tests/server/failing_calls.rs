//! Goal: whatever system call fails for a while, nobody ends for it and no byte is lost: neither the server's, nor the
//! client's, nor the load generator's.
//!
//! Method: `strace -e inject` lets calls of a running program fail, at a fixed pace, with what the kernel may really
//! answer; a run of load compares every byte meanwhile. `EINTR` says nothing. `ENOBUFS` and `ENOMEM` say that the call
//! is to be made again, and no edge will come for it. `EAGAIN` is another matter: the kernel promises an edge with it,
//! and an injected one breaks that promise. So what is shown is what becomes of the bytes then: they wait for the next
//! edge of whatever kind, or else for the connection's idle deadline, where input and output go before the timer.
//!
//! What cannot be injected: a failure of the one `send` by which a signal handler wakes the loop. It never waits, so it
//! is never interrupted, but it would not be tried again either; so no signal is sent while calls fail. Neither are
//! errors that the kernel keeps for a wrong call (`EBADF`, `EFAULT`, `EINVAL`), those that it gives only when it means
//! them (a RST, a full disk: they are made for real in other tests), nor `EAGAIN` from `epoll_wait`, which it never
//! gives.

use std::panic::resume_unwind;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Client, FailingCalls, Loading, Server, ask, cooee, load, load_command, measured, noise, receive, run, udp_client,
    wait_until,
};

/// What says that a call is to be made again.
const SHORTAGES: [&str; 2] = ["ENOBUFS", "ENOMEM"];

/// All of `calls` fail with `error`, each at its own pace, so that they fail in ever new company.
fn failing(calls: &[&str], error: &str, pace: usize) -> Option<FailingCalls> {
    let faults: Vec<String> = calls
        .iter()
        .enumerate()
        .map(|(number, call)| format!("{call}:error={error}:when={}+{}", pace + number, pace + 2 * number))
        .collect();
    FailingCalls::new(&faults)
}

/// A server whose calls fail, under load over TCP and a Unix socket; how many calls failed.
fn serve_streams(calls: &[&str], error: &str, pace: usize) -> Option<usize> {
    let failing = failing(calls, error, pace)?;
    let folder = tempfile::tempdir().expect("a folder");
    let unix = format!("unix://{}", folder.path().join("socket").display());
    let server = Server::start(&["tcp://127.0.0.1:0", &unix]);
    let tracer = failing.attach(server.id())?;
    thread::scope(|scope| {
        for url in server.urls() {
            scope.spawn(move || load(&url, &["-c8", "-n300", "--pipeline=2", "-l20000"]).assert_right(300));
        }
    });
    tracer.detach();
    let log = server.stop();
    let failed = failing.count();
    assert!(!log.contains("failed"), "nobody was closed for it:\n{log}");
    Some(failed)
}

/// A server whose calls fail, under load over UDP; how many calls failed. `may_drop`: answers may be dropped, if they
/// are counted.
fn serve_datagrams(calls: &[&str], error: &str, may_drop: bool) -> Option<usize> {
    let failing = failing(calls, error, 5)?;
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let tracer = failing.attach(server.id())?;
    let measured = load(&server.url("udp"), &["-c4", "-n400", "--pipeline=8", "-l500", "--timeout=3s"]);
    tracer.detach();
    let summary = server.drain();
    let (messages, lost) = (measured.count("messages"), measured.count("lost"));
    assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
    assert_eq!(lost, summary.get("dropped"), "what is lost is counted: {summary:?} {}", measured.shown());
    assert_eq!(messages + lost, measured.count("sent"), "{}", measured.shown());
    assert_eq!(lost > 0, may_drop, "{error}: {}", measured.shown());
    Some(failing.count())
}

/// A load generator whose calls fail; how many did.
fn generate_load(calls: &[&str], error: &str, pace: usize) -> Option<usize> {
    let failing = failing(calls, error, pace)?;
    let server = Server::start(&[]);
    let load = load_command(&server.url("tcp"), &["-c8", "-n300", "--pipeline=2", "-l20000"]);
    Loading::start_command(&mut failing.under(&load)).finish().assert_right(300);
    Some(failing.count())
}

/// A client whose calls fail while it streams its standard input; how many did.
fn stream_through_a_client(calls: &[&str], error: &str, pace: usize) -> Option<usize> {
    let failing = failing(calls, error, pace)?;
    let server = Server::start(&[]);
    let bytes = noise(3 * 1024 * 1024, 26);
    let send = cooee(&["send", "--raw", &server.address().to_string()]);
    let ran = run(&mut failing.under(&send), &bytes);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout == bytes, "{} bytes came back, of {}: {}", ran.stdout.len(), bytes.len(), ran.stderr);
    Some(failing.count())
}

fn interrupt_everybody() -> Option<usize> {
    let mut failed = serve_streams(&["recvfrom", "sendto", "accept4", "epoll_wait"], "EINTR", 3)?;
    failed += generate_load(&["recvfrom", "sendto", "epoll_wait"], "EINTR", 3)?;
    // The loader of a program reads too, and does not try again: its calls are over by then.
    failed += stream_through_a_client(&["recvfrom", "sendto", "epoll_wait", "poll", "read", "write"], "EINTR", 15)?;
    failed += serve_datagrams(&["recvfrom", "recvmmsg", "sendto", "sendmmsg", "epoll_wait"], "EINTR", false)?;
    Some(failed)
}

/// Everybody lacks memory now and then. Each failure is a pause of a tenth of a second.
fn run_short(error: &str) -> Option<usize> {
    let mut failed = serve_streams(&["recvfrom", "sendto", "accept4"], error, 40)?;
    failed += generate_load(&["recvfrom", "sendto"], error, 40)?;
    failed += stream_through_a_client(&["recvfrom", "sendto"], error, 10)?;
    failed += serve_datagrams(&["recvfrom", "recvmmsg"], error, false)?;
    failed += serve_datagrams(&["sendto", "sendmmsg"], error, true)?;
    Some(failed)
}

#[test]
fn no_call_that_fails_for_a_while_ends_anybody_or_loses_a_byte() {
    let failed: Option<usize> = thread::scope(|scope| {
        let interrupted = scope.spawn(interrupt_everybody);
        let short = SHORTAGES.map(|error| scope.spawn(move || run_short(error)));
        let runs = short.into_iter().chain([interrupted]);
        runs.map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic))).sum()
    });
    if let Some(failed) = failed {
        measured(
            "26",
            &format!(
                "{failed} calls failed with EINTR, ENOBUFS or ENOMEM, of the server, the client and the load generator: 0 exits (0), 0 bytes \
                 lost (0), answers to datagrams dropped and counted"
            ),
        );
    }
}

/// Without these calls nothing can be served, sent or measured: the error says so, and for which endpoint if it is
/// one's. Nobody hangs, and nobody goes on with half of what was asked for.
#[test]
fn a_call_that_fails_at_the_start_ends_the_program_with_a_clear_word() {
    let server = Server::start(&[]);
    let (address, url) = (server.address().to_string(), server.url("tcp"));
    let ends = |command: &Command, call: &str, error: &str, words: &[&str]| {
        let Some(failing) = FailingCalls::new(&[format!("{call}:error={error}")]) else { return 0 };
        let ran = run(&mut failing.under(command), b"");
        assert_eq!(ran.code, Some(1), "{call} {error}: {ran:?}");
        let last = ran.stderr.lines().last().unwrap_or_default();
        assert!(words.iter().all(|word| last.contains(word)), "{call} {error}: {words:?} in {last}");
        failing.count()
    };
    let failed: usize = thread::scope(|scope| {
        let runs = ["ENOBUFS", "ENOMEM"].map(|error| {
            let words = "the system has no memory for";
            let (address, url) = (&address, &url);
            scope.spawn(move || {
                let serve = cooee(&["serve", "tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
                let send = cooee(&["send", "-m", "hello", address]);
                let load = load_command(url, &["-c3", "-n30"]);
                let mut failed = 0;
                for call in ["socket", "setsockopt", "bind", "listen", "getsockname"] {
                    failed += ends(&serve, call, error, &["cannot listen on", "tcp://127.0.0.1:0", words]);
                }
                for (program, what) in [(&serve, "event loop"), (&send, "event loop"), (&load, "cannot run load")] {
                    for call in ["epoll_create1", "epoll_ctl"] {
                        failed += ends(program, call, error, &[what, words]);
                    }
                }
                for call in ["socket", "setsockopt", "connect"] {
                    failed += ends(&send, call, error, &[address, "no memory for a socket"]);
                    failed += ends(&load, call, error, &[url, "no-memory", "no memory for another socket"]);
                }
                failed
            })
        });
        runs.into_iter().map(|run| run.join().unwrap_or_else(|panic| resume_unwind(panic))).sum()
    });
    if failed > 0 {
        measured("26", &format!("{failed} calls failed at the start: each told, exit code 1"));
    }
    server.connect().echo(b"unharmed");
}

/// Every error that `accept(2)` lists and that is not a wrong call's.
#[test]
fn no_error_of_accept_turns_anybody_away() {
    const ERRORS: [&str; 13] = [
        "EINTR",
        "ECONNABORTED",
        "EMFILE",
        "ENFILE",
        "ENOBUFS",
        "ENOMEM",
        "EPERM",
        "EPROTO",
        "ENETDOWN",
        "ENOPROTOOPT",
        "EHOSTDOWN",
        "EHOSTUNREACH",
        "ENETUNREACH",
    ];
    thread::scope(|scope| {
        for error in ERRORS {
            scope.spawn(move || {
                let Some(failing) = FailingCalls::new(&[format!("accept4:error={error}:when=1+2")]) else { return };
                let server = Server::start(&[]);
                let Some(tracer) = failing.attach(server.id()) else { return };
                let mut clients: Vec<Client> = (0..4).map(|_| server.connect()).collect();
                for client in &mut clients {
                    client.echo(error.as_bytes());
                }
                assert!(failing.count() >= 4, "{error}: each was accepted at the second try");
                tracer.detach();
                drop(clients);
                server.stop();
            });
        }
    });
}

/// A newcomer that the kernel will not watch is gone, for nobody would hear of it; the next is served.
#[test]
fn a_newcomer_that_cannot_be_watched_is_turned_away_and_nobody_else() {
    for error in ["ENOMEM", "ENOSPC"] {
        let server = Server::start(&[]);
        let mut witness = server.connect();
        witness.echo(b"before");
        let Some(failing) = FailingCalls::new(&[format!("epoll_ctl:error={error}:when=1")]) else { return };
        let Some(tracer) = failing.attach(server.id()) else { return };
        let mut gone = server.connect();
        gone.stream.set_read_timeout(Some(crate::support::PATIENCE)).unwrap();
        assert!(!matches!(std::io::Read::read(&mut gone.stream, &mut [0]), Ok(1..)), "it is closed");
        server.connect().echo(b"the next");
        witness.echo(b"after");
        tracer.detach();
        let summary = server.summary();
        assert_eq!((summary.get("accept"), summary.get("failed")), (1, 1), "{summary:?}");
        assert_eq!(failing.count(), 1);
    }
}

/// How long bytes wait where a read or a write said that it would block, and it would not have.
#[test]
fn a_would_block_that_the_kernel_should_not_have_said_costs_time_and_no_byte() {
    const IDLE: Duration = Duration::from_secs(2);
    thread::scope(|scope| {
        for call in ["recvfrom", "sendto"] {
            scope.spawn(move || {
                let server = Server::start(&["-v", "--idle-timeout=2s"]);
                let mut client = server.connect();
                client.echo(b"before");
                let Some(failing) = FailingCalls::new(&[format!("{call}:error=EAGAIN:when=1+2")]) else { return };
                let Some(_tracer) = failing.attach(server.id()) else { return };
                client.send(b"one");
                wait_until("the first call fails", || failing.count_of(call) == 1);
                // The next edge, of whatever kind, mends it.
                client.send(b"two");
                client.expect(b"onetwo");
                let start = Instant::now();
                client.send(b"three");
                wait_until("another call fails", || failing.count_of(call) == 2);
                client.expect(b"three");
                let waited = start.elapsed();
                assert!(waited > IDLE / 2 && waited < 3 * IDLE, "until the idle deadline, and not {waited:?}");
                assert_eq!(server.logged("idle-timeout"), 0, "{call}: it is no reason to close: {}", server.log());
            });
        }
    });
}

/// The same for a listener and for datagrams: there is no idle deadline, but there is a next one.
#[test]
fn whoever_waits_for_a_false_would_block_comes_with_the_next() {
    let server = Server::start(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0"]);
    let Some(failing) = FailingCalls::new(&["accept4:error=EAGAIN:when=1", "recvfrom:error=EAGAIN:when=1"]) else {
        return;
    };
    let Some(_tracer) = failing.attach(server.id()) else { return };
    let (socket, address) = (udp_client(), server.address_of("udp"));
    socket.send_to(b"one", address).unwrap();
    wait_until("the datagram is not received", || failing.count_of("recvfrom") == 1);
    assert_eq!(ask(&socket, address, b"two"), b"one");
    assert_eq!(receive(&socket).0, b"two");
    let mut first = server.connect();
    wait_until("the connection is not accepted", || failing.count_of("accept4") == 1);
    let mut second = server.connect();
    first.echo(b"the first");
    second.echo(b"the second");
}
