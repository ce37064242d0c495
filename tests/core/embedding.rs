//! Goal: the reactor serves inside another program, and stops when that program says so.
//!
//! Method: a reactor runs on a thread of this test with a handler of its own, over real sockets; the test talks to it
//! and stops it through its handle. What the README tells others to write is compiled as an example of the crate's
//! documentation; its lines for `Cargo.toml` are given to cargo here.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use cooee::{
    CloseReason, Context, Dropped, Handler, Limits, Orders, Reactor, SocketOptions, Stop, StopHandle, Tag, listen_tcp,
    serve,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers in capitals, greets, and tells the test why each connection ended.
struct Shout(mpsc::Sender<CloseReason>);

impl Handler for Shout {
    type Session = Tag;

    fn open(&mut self, tag: Tag, cx: &mut Context<'_>) -> Tag {
        cx.reply.send(b"cooee!");
        tag
    }

    fn receive(&mut self, _session: &mut Tag, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        cx.reply.send(&bytes.to_ascii_uppercase());
        bytes.len()
    }

    fn tick(&mut self, _session: &mut Tag, cx: &mut Context<'_>) {
        cx.reply.send(b"tick");
    }

    fn close(&mut self, session: Tag, reason: CloseReason, _orders: &mut Orders) {
        assert_eq!(session, Tag(7), "the session is the one that open returned");
        self.0.send(reason).expect("the test listens");
    }
}

struct Embedded {
    address: SocketAddr,
    handle: StopHandle,
    closed: mpsc::Receiver<CloseReason>,
    /// The connections that were left, and the events that belonged to nobody.
    thread: JoinHandle<(u64, u64)>,
}

fn start() -> Embedded {
    start_with(Limits::default())
}

fn start_with(limits: Limits) -> Embedded {
    let mut reactor = Reactor::new(limits).expect("a selector");
    let (listener, address) = listen_tcp(([127, 0, 0, 1], 0).into(), &SocketOptions::default()).expect("a free port");
    reactor.listen(listener, Tag(7)).expect("a registered listener");
    let handle = reactor.stop_handle().expect("a waker");
    let (sender, closed) = mpsc::channel();
    let thread = thread::spawn(move || {
        reactor.run(&mut Shout(sender)).expect("the poll works");
        (reactor.metrics().total().active(), reactor.metrics().total().dropped(Dropped::StaleEvent))
    });
    Embedded { address, handle, closed, thread }
}

fn talk(address: SocketAddr) -> TcpStream {
    let mut client = TcpStream::connect(address).expect("somebody listens");
    client.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    client.write_all(b"hello").expect("the server reads");
    let mut reply = [0; 11];
    client.read_exact(&mut reply).expect("the server answers");
    assert_eq!(&reply, b"cooee!HELLO");
    client
}

#[test]
fn a_drain_from_outside_answers_and_ends() {
    let embedded = start();
    let mut client = talk(embedded.address);
    client.write_all(b"last words").expect("the server reads");
    embedded.handle.stop(Stop::Drain).expect("the waker works");
    let mut rest = Vec::new();
    client.read_to_end(&mut rest).expect("a clean end");
    assert_eq!(rest, b"LAST WORDS");
    drop(client);
    assert_eq!(embedded.closed.recv_timeout(PATIENCE), Ok(CloseReason::Drained));
    assert_eq!(embedded.thread.join().expect("no panic"), (0, 0));
    assert!(TcpStream::connect(embedded.address).is_err(), "nobody listens any more");
}

#[test]
fn a_stop_is_not_lost_when_its_handle_is_gone() {
    let mut reactor: Reactor<Shout> = Reactor::new(Limits::default()).expect("a selector");
    let (first, second) = (reactor.stop_handle().expect("a waker"), reactor.stop_handle().expect("the same waker"));
    drop(first);
    second.stop(Stop::AtOnce).expect("the waker works");
    drop(second);
    let (sender, _closed) = mpsc::channel();
    reactor.run(&mut Shout(sender)).expect("the poll works");
}

#[test]
fn a_reactor_that_never_sleeps_is_stopped_too() {
    let embedded = start_with(Limits { busy_poll: Some(Duration::from_secs(3600)), ..Limits::default() });
    let client = talk(embedded.address);
    embedded.handle.stop(Stop::AtOnce).expect("the waker works");
    assert_eq!(embedded.closed.recv_timeout(PATIENCE), Ok(CloseReason::Aborted));
    assert_eq!(embedded.thread.join().expect("no panic"), (0, 0));
    drop(client);
}

#[test]
fn a_stop_at_once_waits_for_nobody() {
    let embedded = start();
    let client = talk(embedded.address);
    embedded.handle.clone().stop(Stop::AtOnce).expect("the waker works");
    assert_eq!(embedded.closed.recv_timeout(PATIENCE), Ok(CloseReason::Aborted));
    assert_eq!(embedded.thread.join().expect("no panic"), (0, 0));
    drop(client);
}

/// Echoes, and ends the server with whoever says "bye".
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn open(&mut self, _tag: Tag, _cx: &mut Context<'_>) {}

    fn receive(&mut self, _session: &mut (), bytes: &[u8], cx: &mut Context<'_>) -> usize {
        cx.reply.echo(0..bytes.len());
        if bytes == b"bye" {
            cx.orders.stop(Stop::Drain);
        }
        bytes.len()
    }
}

#[test]
fn one_call_serves_until_the_handler_stops_it() {
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port");
    let server = thread::spawn(move || serve(free, Echo));
    let deadline = Instant::now() + PATIENCE;
    let mut client = loop {
        match TcpStream::connect(free) {
            Ok(client) => break client,
            Err(error) => assert!(Instant::now() < deadline && !server.is_finished(), "{error}"),
        }
        thread::sleep(Duration::from_millis(5));
    };
    for message in [&b"hello"[..], b"bye"] {
        client.write_all(message).expect("the server reads");
        let mut reply = vec![0; message.len()];
        client.read_exact(&mut reply).expect("the server answers");
        assert_eq!(reply, message);
    }
    assert_eq!(client.read(&mut [0]).expect("a clean end"), 0);
    drop(client);
    server.join().expect("no panic").expect("it was stopped");
}

#[test]
fn a_server_that_cannot_start_says_where_and_why() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = taken.local_addr().expect("it is bound");
    let error = serve(address, Echo).expect_err("the port is taken");
    assert_eq!(error.kind(), ErrorKind::AddrInUse);
    assert_eq!(error.to_string(), format!("cannot serve {address}: address in use"));
    let error = serve("127.0.0.1", Echo).expect_err("there is no port");
    assert_eq!(error.to_string(), "cannot serve 127.0.0.1: it is no address with a port, or a name without an address");
}

/// The blocks of a language in a page.
fn blocks<'a>(page: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    page.split(fence.as_str()).skip(1).filter_map(|rest| rest.split("```").next()).collect()
}

#[test]
fn the_lines_for_cargo_are_taken_as_they_stand_and_bring_what_they_say() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let page = fs::read_to_string(root.join("README.md")).expect("the page");
    let lines = blocks(&page, "toml");
    assert_eq!(lines.len(), 2, "one alone, and one with the load generator");
    for line in lines {
        let folder = tempfile::tempdir().expect("a folder");
        // The folder of a clone lies beside that of the program.
        symlink(root, folder.path().join("cooee")).expect("a link");
        let program = folder.path().join("program");
        fs::create_dir_all(program.join("src")).expect("a folder");
        fs::write(program.join("src/main.rs"), "fn main() {}").expect("a file");
        let manifest = format!("[package]\nname = \"program\"\nedition = \"2024\"\n\n{line}\n[workspace]\n");
        fs::write(program.join("Cargo.toml"), manifest).expect("a file");
        // The versions that were built here are here, so nothing has to be asked for.
        fs::copy(root.join("Cargo.lock"), program.join("Cargo.lock")).expect("a file");
        let mut tree = Command::new(env!("CARGO"));
        tree.args(["tree", "--offline", "--edges", "normal", "--prefix", "none"]).current_dir(&program);
        let tree = match tree.output() {
            Ok(tree) => tree,
            Err(error) => return crate::support::skips::skip(&format!("cargo cannot be run: {error}")),
        };
        let (told, said) = (String::from_utf8_lossy(&tree.stdout), String::from_utf8_lossy(&tree.stderr));
        assert!(tree.status.success(), "{line}: {said}");
        let has = |name: &str| told.lines().any(|line| line.starts_with(&format!("{name} v")));
        assert!(has("cooee") && has("mio"), "{told}");
        assert!(!has("clap") && !has("simple_logger") && !has("serde_json"), "the command line's are left out: {told}");
        assert_eq!(has("hdrhistogram"), line.contains("\"load\""), "{told}");
    }
}
