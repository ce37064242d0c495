//! Goal: what a message to a Unix socket carries besides its bytes makes nobody wait: neither descriptors whose last
//! close takes its time, nor credentials, nor urgent bytes.
//!
//! Method: TCP sockets with SO_LINGER and a peer that never reads are sent along with a message (`SCM_RIGHTS`), and
//! closed here. Whoever takes the message then waits for them in `read`, O_NONBLOCK or not. It has to be refused
//! (`SO_PASSRIGHTS`, Linux 6.16): to a server and to a client, to a stream before and after it is accepted, and to a
//! datagram socket. A witness asks the server meanwhile. An older kernel is one whose `setsockopt` fails, by `strace`.

use std::fs;
use std::io::{IoSlice, Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use crate::support::{
    Client, FailingCalls, Lingering, PATIENCE, Process, Server, cooee, finish, in_full, load_command, measured, run,
    skip,
};
use cooee::os::unix_socket::refuses_descriptors;
use nix::errno::Errno;
use nix::sys::signal::Signal;
use nix::sys::socket::{ControlMessage, MsgFlags, UnixCredentials, send, sendmsg};
use tempfile::TempDir;

/// How long each of the descriptors takes to close, and how many there are: a server that takes them is away for the
/// product.
const LINGER: Duration = Duration::from_secs(1);
const DESCRIPTORS: usize = 3;

/// What the witness may wait: far less than the product, and more than a busy machine takes.
const WAIT_MAX: Duration = Duration::from_millis(1_500);

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

/// The kernel is new enough; a word about it where it is not.
fn is_new_kernel() -> bool {
    if !refuses_descriptors() {
        skip("this kernel has no SO_PASSRIGHTS (Linux 6.16)");
    }
    refuses_descriptors()
}

fn url(scheme: &str, path: &Path) -> String {
    format!("{scheme}://{}", path.display())
}

/// A datagram client of the server at `path`, with a name of its own.
fn datagram_client(folder: &TempDir, name: &str, path: &Path) -> UnixDatagram {
    let client = UnixDatagram::bind(folder.path().join(name)).unwrap();
    client.connect(path).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

fn pass(over: &impl AsRawFd, count: usize) -> nix::Result<usize> {
    Lingering::new(count, LINGER).pass(over, b"with descriptors").0
}

/// The longest of the echoes that a client of `server` waits for within `time`.
fn longest_wait(server: &Server, time: Duration) -> Duration {
    let mut client = server.connect();
    let start = Instant::now();
    let mut longest = Duration::ZERO;
    while start.elapsed() < time {
        let asked = Instant::now();
        client.echo(b"are you there?");
        longest = longest.max(asked.elapsed());
    }
    longest
}

#[test]
fn descriptors_are_refused_by_streams_and_by_datagrams_and_nobody_waits() {
    if !is_new_kernel() {
        return;
    }
    let folder = folder();
    let (stream, gram) = (folder.path().join("stream"), folder.path().join("gram"));
    let server = Server::start(&["tcp://127.0.0.1:0", &url("unix", &stream), &url("unixgram", &gram)]);
    let mut over_stream = Client::over(UnixStream::connect(&stream).unwrap());
    over_stream.echo(b"accepted");
    let over_gram = datagram_client(&folder, "client", &gram);
    // One message carries 253 descriptors at the most (SCM_MAX_FD).
    let count = in_full(DESCRIPTORS, 253);
    // Whoever closes last waits: the copies here are closed before the server reads.
    server.signal(Signal::SIGSTOP);
    let (to_stream, _peers) = Lingering::new(count, LINGER).pass(&over_stream.stream, b"stream");
    let (to_gram, _others) = Lingering::new(count, LINGER).pass(&over_gram, b"gram");
    server.signal(Signal::SIGCONT);
    let longest = longest_wait(&server, Duration::from_millis(300));
    assert!(longest < WAIT_MAX, "somebody else waited {longest:?}: {to_stream:?}, {to_gram:?}");
    assert_eq!((to_stream, to_gram), (Err(Errno::EPERM), Err(Errno::EPERM)));
    // Whoever tried is served as before.
    over_stream.echo(b"without");
    over_gram.send(b"without").unwrap();
    assert_eq!(over_gram.recv(&mut [0; 64]).unwrap(), 7);
    server.stop();
    measured(
        "34",
        &format!(
            "2 messages with {count} descriptors of {LINGER:?} each: refused (EPERM), slowest echo {longest:?} beside them"
        ),
    );
}

/// Between `connect(2)` and `accept(2)` the other end is nobody's yet, and takes messages already.
#[test]
fn descriptors_are_refused_before_a_connection_is_accepted_too() {
    if !is_new_kernel() {
        return;
    }
    let folder = folder();
    let path = folder.path().join("stream");
    let server = Server::start(&["--max-connections=1", &url("unix", &path)]);
    server.signal(Signal::SIGSTOP);
    let (mut first, over_the_limit) = (UnixStream::connect(&path).unwrap(), UnixStream::connect(&path).unwrap());
    assert_eq!(pass(&first, 1), Err(Errno::EPERM));
    assert_eq!(pass(&over_the_limit, 1), Err(Errno::EPERM));
    server.signal(Signal::SIGCONT);
    first.write_all(b"hello").unwrap();
    first.set_read_timeout(Some(PATIENCE)).unwrap();
    first.read_exact(&mut [0; 5]).unwrap();
    assert_eq!(pass(&first, 1), Err(Errno::EPERM));
    // It is told so and soon closed: whatever it had sent would be closed with it.
    assert!(matches!(pass(&over_the_limit, 1), Err(Errno::EPERM | Errno::EPIPE)));
    drop((first, over_the_limit));
    server.stop();
}

/// What a server may do to whoever connects to it: the same.
#[test]
fn a_client_and_the_load_generator_refuse_descriptors_too() {
    if !is_new_kernel() {
        return;
    }
    let folder = folder();
    let (stream, gram) = (folder.path().join("stream"), folder.path().join("gram"));
    let listener = UnixListener::bind(&stream).unwrap();
    for scheme in ["unix", "unixgram"] {
        let url = url(scheme, if scheme == "unix" { &stream } else { &gram });
        let loading = load_command(&url, &["-c1", "-n1", "-l2", "--timeout=10s"]);
        let mut sending = cooee(&["send", &url, "-mhi", "--wait=10s"]);
        sending.stdin(Stdio::null());
        for mut command in [sending, loading] {
            let _ = fs::remove_file(&gram);
            let socket = UnixDatagram::bind(&gram).unwrap();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
            let mut message = [0; 2];
            if scheme == "unix" {
                let (mut accepted, _) = listener.accept().unwrap();
                accepted.read_exact(&mut message).unwrap();
                assert_eq!(pass(&accepted, 1), Err(Errno::EPERM), "{command:?}");
                accepted.write_all(&message).unwrap();
            } else {
                let (_, from) = socket.recv_from(&mut message).unwrap();
                socket.connect_addr(&from).unwrap();
                assert_eq!(pass(&socket, 1), Err(Errno::EPERM), "{command:?}");
                socket.send(&message).unwrap();
            }
            let ran = finish(process);
            assert_eq!(ran.code, Some(0), "{ran:?}");
        }
    }
}

/// Nobody asked for credentials or for urgent bytes, so the kernel drops the first and skips the others.
#[test]
fn credentials_and_urgent_bytes_hold_nobody_up() {
    let folder = folder();
    let (stream, gram) = (folder.path().join("stream"), folder.path().join("gram"));
    let server = Server::start(&["tcp://127.0.0.1:0", &url("unix", &stream), &url("unixgram", &gram)]);
    let mut over_stream = Client::over(UnixStream::connect(&stream).unwrap());
    let over_gram = datagram_client(&folder, "client", &gram);
    let who = UnixCredentials::new();
    let carried = [ControlMessage::ScmCredentials(&who)];
    for over in [over_stream.stream.as_raw_fd(), over_gram.as_raw_fd()] {
        let sent = sendmsg::<()>(over, &[IoSlice::new(b"who")], &carried, MsgFlags::empty(), None);
        assert_eq!(sent, Ok(3));
    }
    over_stream.expect(b"who");
    assert_eq!(over_gram.recv(&mut [0; 64]).unwrap(), 3);
    // Linux 5.15; an older one does not know the flag.
    if send(over_stream.stream.as_raw_fd(), b"!", MsgFlags::MSG_OOB).is_ok() {
        over_stream.echo(b"behind it");
    }
    assert!(longest_wait(&server, Duration::from_millis(100)) < WAIT_MAX);
    server.stop();
}

/// Its operator is told what is missing, once and only where it matters; everything else is as before.
#[test]
fn an_older_kernel_is_told_of_and_served_on() {
    let Some(older) = FailingCalls::new(&["setsockopt:error=ENOPROTOOPT"]) else { return };
    let folder = folder();
    let (stream, gram) = (folder.path().join("stream"), folder.path().join("gram"));
    let (stream_url, gram_url) = (url("unix", &stream), url("unixgram", &gram));
    let server = Server::start_command(&mut older.under(&cooee(&["serve", &stream_url, &gram_url])), 2);
    Client::over(UnixStream::connect(&stream).unwrap()).echo(b"served");
    for url in [&stream_url, &gram_url] {
        let sent = run(&mut older.under(&cooee(&["send", url, "-mhello"])), b"");
        assert_eq!((sent.code, sent.printed()), (Some(0), "hello\n"), "{sent:?}");
    }
    let log = server.stop();
    assert_eq!(log.matches("SO_PASSRIGHTS").count(), 1, "{log}");
    assert!(log.contains("mode of the socket's file"), "{log}");
    if is_new_kernel() {
        let log = Server::start(&[&stream_url, &gram_url]).stop();
        assert!(!log.contains("SO_PASSRIGHTS"), "{log}");
    }
    // Whoever has no Unix socket has nothing to fear.
    let log = Server::start(&["tcp://127.0.0.1:0"]).stop();
    assert!(!log.contains("SO_PASSRIGHTS"), "{log}");
}
