//! Goal: whatever a server does, a run begins, ends, and takes no more of the machine than it needs.
//!
//! Method: servers that end connections at once, send before they are asked, have no room, or do not read; Linux keeps
//! a backlog of 0 to one connection, and a Unix datagram socket that nobody reads to a few messages. How much of a core
//! a run took, it tells itself.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixDatagram;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{
    FaultyServer, PATIENCE, Process, Server, can_trace, children, cooee, load, run, take, wait_until,
};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, SockAddr, Socket, Type};

#[test]
fn connections_that_end_at_once_do_not_keep_the_run_from_beginning() {
    let server = FaultyServer::start(|_, _| Ok(()));
    let measured = load(&server.url(), &["-c20", "--connect-rate=100", "-d300ms"]);
    assert_eq!(measured.count("messages"), 0, "{}", measured.shown());
    assert!(measured.all_errors() >= 19, "{}", measured.shown());
    // It may have ended before the run began, which goes on trying all the same.
    let measured = load(&server.url(), &["-c1", "-d500ms"]);
    assert!(server.accepted() >= 22, "{}", measured.shown());
}

#[test]
fn bytes_before_the_first_message_do_not_keep_the_run_from_beginning() {
    let server = FaultyServer::start(|_, stream| {
        stream.write_all(b"welcome\n")?;
        take(stream, 1_000_000).map(drop)
    });
    let measured = load(&server.url(), &["-c20", "--connect-rate=100", "-d300ms"]);
    assert!(measured.count("corrupt") >= 19, "{}", measured.shown());
    assert_eq!(measured.report["mismatch"]["got"], "welcome\\n", "{}", measured.shown());
}

#[test]
fn a_server_with_room_for_few_is_measured_with_those() {
    let server = FaultyServer::start(|number, stream| {
        if number >= 3 {
            return Ok(());
        }
        loop {
            let message = take(stream, 64)?;
            stream.write_all(&message)?;
        }
    });
    let measured = load(&server.url(), &["-c20", "--connect-rate=100", "-d300ms"]);
    assert!(measured.count("messages") > 0, "{}", measured.shown());
    // The last ones may not have been seen to end when the run began.
    assert!((3..20).contains(&measured.count("connections")), "{}", measured.shown());
}

#[test]
fn a_backlog_that_stays_full_is_a_connect_time_out() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("full");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&SockAddr::unix(&path).unwrap()).unwrap();
    listener.listen(0).unwrap();
    let url = format!("unix://{}", path.display());
    let measured = load(&url, &["-c3", "-d300ms", "--connect-timeout=300ms", "--timeout=100ms"]);
    assert_eq!(measured.count("connections"), 1, "{}", measured.shown());
    assert!(measured.errors("connect-timeout") >= 2, "{}", measured.shown());
    // Now nobody finds room, the first one neither.
    let measured = load(&url, &["-c3", "-d300ms", "--connect-timeout=300ms", "--timeout=100ms"]);
    assert_eq!(measured.count("connections"), 0, "{}", measured.shown());
    assert_eq!(measured.errors("connect-timeout"), 1, "{}", measured.shown());
}

#[test]
fn a_datagram_socket_that_takes_no_more_is_not_asked_without_rest() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deaf");
    let _deaf = UnixDatagram::bind(&path).unwrap();
    let url = format!("unixgram://{}", path.display());
    for args in [&["-c1", "--pipeline=100", "-d1s"][..], &["-c1", "--pipeline=100", "-d1s", "-R1000"]] {
        let measured = load(&url, args);
        assert!(measured.number("generator_cpu_s") < 0.25, "{}", measured.shown());
        assert_eq!(measured.count("lost"), measured.count("sent"), "{}", measured.shown());
        assert!(measured.count("late") <= measured.count("sent"), "{}", measured.shown());
    }
}

#[test]
fn a_number_of_messages_by_schedule_is_sent_to_the_last() {
    let server = Server::start(&["127.0.0.1:0"]);
    for transport in ["tcp", "udp"] {
        // Every lane holds the ticket of a message that is due later than the time-out of the first.
        let measured = load(&server.url(transport), &["-c6", "-n6", "-R5", "--timeout=500ms"]);
        assert_eq!(measured.count("messages"), 6, "{}", measured.shown());
        assert!(measured.took >= Duration::from_secs(1), "{}", measured.shown());
    }
}

#[test]
fn a_short_time_out_costs_no_core() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["--timeout=1us", "-R1", "-d1s"]);
    assert!(measured.number("generator_cpu_s") < 0.4, "{}", measured.shown());
}

#[test]
fn a_result_that_fits_on_no_disk_is_told_all_the_same() {
    let server = Server::start(&[]);
    let args = ["load", "-d100ms", "--warmup=0s", "--json=/dev/full", &server.url("tcp")];
    let ran = run(&mut cooee(&args), b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("/dev/full"), "{ran:?}");
    assert!(String::from_utf8_lossy(&ran.stdout).contains("closed loop"), "{ran:?}");
}

#[test]
fn a_result_that_nobody_takes_can_be_ended() {
    let server = Server::start(&[]);
    // A terminal or a pager that stopped: a pipe with no room is the same.
    let (reader, writer) = std::io::pipe().unwrap();
    fill(&writer);
    let args = ["load", "-d100ms", "--warmup=0s", "--json=-", &server.url("tcp")];
    let mut command = cooee(&args);
    let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(writer).stderr(Stdio::piped()));
    drop(command);
    server.wait_summary("the run is over", |summary| summary.get("active") == 0 && summary.get("messages_in") > 0);
    wait_until("it has ended", || {
        process.signal(Signal::SIGINT);
        process.exit_within(Duration::from_millis(20)).is_some()
    });
    assert!(process.exit_within(PATIENCE).is_some_and(|status| status.code().is_none()), "a signal ended it");
    drop(reader);
}

#[test]
fn a_result_for_a_pipe_that_nobody_opens_can_be_ended() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let json = format!("--json={}", pipe.display());
    let url = server.url("tcp");
    let failing = ["strace", "-o/dev/null", "-etrace=epoll_create1", "-einject=epoll_create1:error=EMFILE"];
    // A run that has measured something, one that could not begin, and one whose event loop failed.
    let mut cases: Vec<(&[&str], &str)> = vec![(&["env"], &url), (&["env"], "tcp://no-such-host.invalid:1")];
    if can_trace() {
        cases.push((&failing, &url));
    }
    for (prefix, endpoint) in cases {
        let mut command = Command::new(prefix[0]);
        command.args(&prefix[1..]).arg(env!("CARGO_BIN_EXE_cooee"));
        command.args(["load", "-d100ms", "--warmup=0s", &json, endpoint]);
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
        let mut waiting = None;
        wait_until("it waits for a reader", || {
            let all = children(process.id()).into_iter().chain([process.id()]);
            let place = |id: &u32| fs::read_to_string(format!("/proc/{id}/wchan")).unwrap_or_default();
            waiting = all.into_iter().find(|id| ["wait_for_partner", "fifo_open"].contains(&place(id).as_str()));
            waiting.is_some()
        });
        let waiting = Pid::from_raw(waiting.unwrap() as i32);
        wait_until("it has ended", || {
            let _ = kill(waiting, Signal::SIGINT);
            process.exit_within(Duration::from_millis(20)).is_some()
        });
        let ended = process.exit_within(PATIENCE).unwrap();
        assert_eq!(ended.signal(), Some(Signal::SIGINT as i32), "{prefix:?} {endpoint}");
    }
}

/// Writes to a pipe until it takes no more.
fn fill(mut pipe: &std::io::PipeWriter) {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd;

    let has_room = |pipe: &std::io::PipeWriter| {
        let mut asked = [PollFd::new(pipe.as_fd(), PollFlags::POLLOUT)];
        poll(&mut asked, PollTimeout::ZERO).unwrap() > 0
    };
    // Room means that a page of 4,096 bytes is taken at once.
    while has_room(pipe) {
        pipe.write_all(&[0; 4_096]).unwrap();
    }
}
