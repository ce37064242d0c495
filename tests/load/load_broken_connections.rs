//! Goal: connections that break are counted by kind and made anew, a server that is silent ends by the time-out, and a
//! run that measured nothing is no success and no hang.
//!
//! Method: servers of the test's own that close, reset, keep silent, or never read.

use std::io::Write;
use std::net::{SocketAddr, TcpStream};
use std::sync::mpsc::Receiver;
use std::sync::{Mutex, mpsc};
use std::thread;
use std::time::Duration;

use crate::support::{FaultyServer, Loading, Measured, Server, load, take};
use nix::sys::signal::Signal;
use socket2::{Domain, SockRef, Socket, Type};

const LENGTH: usize = 64;

/// A run that is over long before anybody would call it a hang.
const SOON: Duration = Duration::from_secs(8);

/// A server that serves so many messages on each connection, and then ends it, with a RST if it is told to.
fn tires_after(messages: usize, resets: bool) -> FaultyServer {
    FaultyServer::start(move |_, stream| {
        for _ in 0..messages {
            let message = take(stream, LENGTH)?;
            stream.write_all(&message)?;
        }
        if resets {
            SockRef::from(&*stream).set_linger(Some(Duration::ZERO))?;
        }
        Ok(())
    })
}

/// What became of each message is told: it came back, or it is among the errors.
#[track_caller]
fn assert_all_accounted(measured: &Measured, sent: u64) {
    assert_eq!(measured.count("sent"), sent, "{}", measured.shown());
    let (messages, unanswered) = (measured.count("messages"), measured.errors("unanswered"));
    assert_eq!(messages + unanswered, sent, "{}", measured.shown());
}

#[test]
fn closed_connections_are_counted_and_made_anew() {
    let server = tires_after(50, false);
    let measured = load(&server.url(), &["-c4", "-n1000"]);
    assert_eq!(measured.ran.code, Some(0), "{}", measured.shown());
    assert_all_accounted(&measured, 1000);
    assert!(measured.count("messages") >= 900, "{}", measured.shown());
    // A message may cross the end on its way: then it is owed, and closing with it unread is a RST.
    let ended = measured.count("ended") + measured.errors("closed") + measured.errors("reset");
    assert!(ended >= 12, "{ended} connections ended: {}", measured.shown());
    assert!(server.accepted() >= 16, "{} connections", server.accepted());
    assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
}

#[test]
fn reset_connections_are_counted_and_made_anew() {
    let server = tires_after(50, true);
    let measured = load(&server.url(), &["-c4", "-n1000"]);
    assert_eq!(measured.ran.code, Some(0), "{}", measured.shown());
    assert_all_accounted(&measured, 1000);
    assert!(measured.errors("reset") >= 12, "{}", measured.shown());
    assert!(server.accepted() >= 16, "{} connections", server.accepted());
}

#[test]
fn an_open_loop_goes_on_too() {
    let server = tires_after(50, false);
    let measured = load(&server.url(), &["-c4", "-n500", "-R500"]);
    assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
    assert!(measured.count("messages") >= 450, "{}", measured.shown());
    let ended = measured.count("ended") + measured.errors("closed") + measured.errors("reset");
    assert!(ended >= 6, "{}", measured.shown());
}

#[test]
fn whoever_closes_at_once_is_not_asked_without_end() {
    // No message ever comes back, and connecting again and again would be an attack. With many connections, the first
    // ones are closed before the last ones are open.
    for connections in [4, 300] {
        let server = FaultyServer::start(|_, _| Ok(()));
        let measured = load(&server.url(), &[&format!("-c{connections}"), "-d1s", "--timeout=500ms"]);
        assert_eq!(measured.ran.code, Some(1), "nothing was measured: {}", measured.shown());
        assert!(measured.took < SOON, "{}", measured.shown());
        assert!(measured.errors("closed") + measured.errors("reset") >= connections, "{}", measured.shown());
        assert!(server.accepted() < 5000, "{} connections in a second", server.accepted());
    }
}

#[test]
fn a_server_that_has_no_room_for_all_serves_those_it_has_room_for() {
    let server = Server::start(&["--max-connections=10"]);
    let measured = load(&server.url("tcp"), &["-c50", "-d500ms"]);
    assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
    assert!(measured.errors("closed") + measured.errors("reset") >= 30, "{}", measured.shown());
    assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
    assert!(measured.count("messages") >= 100, "{}", measured.shown());
    assert!(measured.took < SOON, "{}", measured.shown());
}

#[test]
fn a_silent_server_ends_by_the_timeout() {
    for rate in [&[][..], &["-R100"]] {
        let server = FaultyServer::start(|_, stream| {
            while take(stream, LENGTH).is_ok() {}
            Ok(())
        });
        let measured = load(&server.url(), &[&["-c4", "-d1s", "--timeout=300ms"], rate].concat());
        assert_eq!(measured.ran.code, Some(1), "nothing was measured: {}", measured.shown());
        assert_eq!(measured.count("messages"), 0, "{}", measured.shown());
        assert!(measured.errors("timed-out") >= 4, "{}", measured.shown());
        assert!(measured.took < SOON, "{}", measured.shown());
    }
}

#[test]
fn a_server_that_stops_answering_in_the_middle_is_told() {
    let server = FaultyServer::start(|_, stream| {
        for number in 0.. {
            let message = take(stream, LENGTH)?;
            if number < 100 {
                stream.write_all(&message)?;
            }
        }
        Ok(())
    });
    let measured = load(&server.url(), &["-d1s", "--timeout=200ms"]);
    assert_eq!(measured.ran.code, Some(0), "{}", measured.shown());
    assert!(measured.count("messages") >= 100, "{}", measured.shown());
    assert!(measured.errors("timed-out") >= 1, "{}", measured.shown());
}

#[test]
fn a_server_that_never_reads_ends_by_the_timeout() {
    let (_alive, over): (_, Receiver<()>) = mpsc::channel();
    let over = Mutex::new(over);
    let server = FaultyServer::start(move |_, _| {
        // Holds its connection, one at a time, until the test is over.
        let _ = over.lock().unwrap().recv();
        Ok(())
    });
    let measured = load(&server.url(), &["-c2", "-d1s", "-l4MiB", "--timeout=400ms"]);
    assert_eq!(measured.ran.code, Some(1), "nothing was measured: {}", measured.shown());
    assert!(measured.errors("timed-out") >= 2, "{}", measured.shown());
    assert!(measured.took < SOON, "{}", measured.shown());
}

#[test]
fn with_an_exact_number_of_messages_a_silent_server_is_no_hang_either() {
    let server = FaultyServer::start(|_, stream| {
        while take(stream, LENGTH).is_ok() {}
        Ok(())
    });
    let measured = load(&server.url(), &["-c2", "-n10", "--timeout=200ms"]);
    assert_eq!(measured.ran.code, Some(1), "nothing was measured: {}", measured.shown());
    assert!(measured.took < SOON, "{}", measured.shown());
}

#[test]
fn a_server_that_accepts_nobody_ends_by_the_connect_timeout() {
    // With its backlog full, the kernel drops each SYN.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let _in_line = TcpStream::connect(address).unwrap();
    let measured = load(&format!("tcp://{address}"), &["-c3", "-d1s", "--connect-timeout=300ms"]);
    assert_eq!(measured.ran.code, Some(1), "nothing was measured: {}", measured.shown());
    assert!(measured.errors("connect-timeout") >= 1, "{}", measured.shown());
    assert!(measured.took < SOON, "{}", measured.shown());
}

#[test]
fn a_server_that_dies_is_told_and_its_successor_is_found() {
    let first = Server::start(&[]);
    let url = first.url("tcp");
    let loading = Loading::start(&url, &["-c4", "-R500", "-d3s"]);
    first.wait_summary("the run has begun", |summary| summary.get("messages_in") > 100);
    first.signal(Signal::SIGKILL);
    drop(first);
    let second = Server::start(&[&url]);
    second.wait_summary("it is found", |summary| summary.get("messages_in") > 100);
    let measured = loading.finish();
    assert!(measured.count("messages") > 200, "{}", measured.shown());
    // A connection that owed nothing when the server died has ended, and is no error if its successor is there already.
    let told = measured.all_errors() + measured.count("ended");
    assert!(told >= 4, "{told} told: {}", measured.shown());
    assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
    assert!(measured.took < SOON, "{}", measured.shown());
}

#[test]
fn a_reply_behind_the_time_out_is_none_whenever_its_message_was_sent() {
    // Every reply comes half a time-out too late. How late a time-out may be noticed is a twentieth of it.
    let server = FaultyServer::answering(LENGTH, |_, _, message| {
        thread::sleep(Duration::from_millis(1500));
        message
    });
    let measured = load(&server.url(), &["-c60", "-R20", "-d1s", "--timeout=1s"]);
    assert_eq!((measured.count("due"), measured.count("messages")), (20, 0), "{}", measured.shown());
    assert!(measured.errors("timed-out") > 10, "{}", measured.shown());
}

#[test]
fn a_server_that_is_gone_for_good_ends_the_run_at_its_time() {
    for args in [&["-R500", "-d1500ms"][..], &["-d1500ms"], &["-n100000"]] {
        let server = Server::start(&[]);
        let fixed = ["-c4", "--timeout=500ms", "--connect-timeout=500ms"];
        let loading = Loading::start(&server.url("tcp"), &[&fixed, args].concat());
        server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 100);
        server.signal(Signal::SIGKILL);
        let measured = loading.finish();
        assert!(measured.errors("refused") >= 1, "{}", measured.shown());
        assert!(measured.count("messages") > 0, "{}", measured.shown());
        assert!(measured.took < SOON, "{}", measured.shown());
    }
}
