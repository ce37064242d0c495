//! Goal: the reactor serves inside another program, and stops when that program says so.
//!
//! Method: a reactor runs on a thread of this test with a handler of its own, over real sockets; the test talks to it
//! and stops it through its handle. What the README tells others to write is compiled as an example of the crate's
//! documentation; its lines for `Cargo.toml` are given to cargo here.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use std::{env, fs};

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

/// The relay of `docs/examples`, as a process of its own between its clients and a listener of the test.
struct Relay {
    process: Child,
    address: SocketAddr,
}

impl Relay {
    /// Relays to `server`.
    fn to(server: SocketAddr) -> Relay {
        let own = env::current_exe().expect("this test");
        let folder = own.parent().and_then(Path::parent).expect("target/PROFILE/deps/NAME");
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--locked", "--quiet", "--example", "relay", "--profile"]);
        build.arg(if cfg!(debug_assertions) { "dev" } else { "release" });
        build.args((!cfg!(feature = "cli")).then_some("--no-default-features"));
        // Cargo may have been told another folder than that of the environment.
        build.arg("--target-dir").arg(folder.parent().expect("target"));
        assert!(build.current_dir(env!("CARGO_MANIFEST_DIR")).status().expect("cargo can be run").success());
        let mut command = Command::new(folder.join("examples/relay"));
        command.args(["127.0.0.1:0", &server.to_string()]).stdout(Stdio::piped());
        let mut process = command.spawn().expect("it was built");
        let mut line = String::new();
        BufReader::new(process.stdout.take().expect("it is piped")).read_line(&mut line).expect("it says where it is");
        let address = line.split(' ').nth(1).and_then(|word| word.parse().ok());
        Relay { process, address: address.expect(&line) }
    }

    /// A relay, and a listener for what it relays.
    fn start() -> (Relay, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        (Relay::to(listener.local_addr().expect("it is bound")), listener)
    }

    fn connect(&self) -> TcpStream {
        patient(TcpStream::connect(self.address).expect("the relay listens"))
    }

    /// A client, and the connection that the relay opened for it.
    fn pair(&self, server: &TcpListener) -> (TcpStream, TcpStream) {
        let client = self.connect();
        (client, patient(server.accept().expect("the relay connects").0))
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.process.kill().and_then(|()| self.process.wait()).expect("it lived until now");
    }
}

/// A stream that fails a test instead of holding it up.
fn patient(stream: TcpStream) -> TcpStream {
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    stream
}

/// Bytes of which no two neighbouring pieces are alike.
fn noise(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32).map(|place| (place ^ seed).wrapping_mul(2_654_435_761).to_be_bytes()[1]).collect()
}

/// Writes all of `bytes` and ends that side, from a thread of its own.
fn write_in_background(stream: &TcpStream, bytes: Vec<u8>) -> JoinHandle<()> {
    let mut stream = stream.try_clone().expect("a descriptor");
    thread::spawn(move || {
        stream.write_all(&bytes).expect("it is read");
        stream.shutdown(Shutdown::Write).expect("it is open");
    })
}

fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("a clean end");
    bytes
}

/// Writes to `stream` until nobody takes more for half a second; returns how many bytes were taken.
fn fill(mut stream: &TcpStream) -> usize {
    stream.set_write_timeout(Some(Duration::from_millis(500))).expect("a socket option");
    let piece = noise(64 * 1024, 0);
    let mut taken = 0;
    while taken < 256 << 20
        && let Ok(count) = stream.write(&piece)
    {
        taken += count;
    }
    taken
}

const LARGE: usize = 10 << 20;

#[test]
fn a_relay_carries_both_ways_and_each_end_in_its_own_time() {
    let (relay, listener) = Relay::start();
    let (client, server) = relay.pair(&listener);
    // The client ends first, and is answered after its end has arrived.
    let writer = write_in_background(&client, noise(LARGE, 1));
    assert!(read_to_end(&server) == noise(LARGE, 1), "bytes changed on their way to the server");
    writer.join().expect("all was taken");
    let writer = write_in_background(&server, noise(LARGE, 2));
    assert!(read_to_end(&client) == noise(LARGE, 2), "bytes changed on their way to the client");
    writer.join().expect("all was taken");

    // The other way round, and both at once.
    let (client, mut server) = relay.pair(&listener);
    let writers = [write_in_background(&server, noise(LARGE, 3)), write_in_background(&client, noise(LARGE, 4))];
    assert!(read_to_end(&client) == noise(LARGE, 3), "bytes changed on their way to the client");
    assert!(read_to_end(&server) == noise(LARGE, 4), "bytes changed on their way to the server");
    writers.into_iter().for_each(|writer| writer.join().expect("all was taken"));
    assert!(server.write(b"late").is_err() || server.read(&mut [0]).is_ok_and(|count| count == 0));
}

#[test]
fn a_relay_reads_no_faster_than_the_slower_end_takes() {
    for backwards in [false, true] {
        let (relay, listener) = Relay::start();
        let (mut slow, mut fast) = relay.pair(&listener);
        if backwards {
            (slow, fast) = (fast, slow);
        }
        let taken = fill(&fast);
        // The kernel keeps a few MiB for each of the two connections.
        assert!(taken < 64 << 20, "{taken} bytes were taken, and nobody reads them");
        let resident = fs::read_to_string(format!("/proc/{}/statm", relay.process.id()));
        if let Some(pages) = resident.ok().and_then(|text| text.split(' ').nth(1)?.parse::<usize>().ok()) {
            assert!(pages * 4096 < 64 << 20, "{pages} pages");
        }
        // The other way is not held up by that.
        let writer = write_in_background(&slow, noise(LARGE, 5));
        assert!(read_to_end(&fast) == noise(LARGE, 5), "bytes changed on their way");
        writer.join().expect("all was taken");
        // And nothing of what waited is lost.
        fast.shutdown(Shutdown::Write).expect("it is open");
        assert_eq!(read_to_end(&slow).len(), taken);
    }
}

#[test]
fn a_relay_ends_a_client_whose_server_is_gone() {
    let (relay, listener) = Relay::start();
    let (mut client, server) = relay.pair(&listener);
    drop(server);
    drop(listener);
    assert_eq!(read_to_end(&client), b"", "the server has gone");
    assert_eq!(read_to_end(&relay.connect()), b"", "nobody listens any more");
    // A client that stays is not kept: what it sends has nowhere to go.
    let deadline = Instant::now() + PATIENCE;
    while client.write_all(b"still there?").is_ok() {
        assert!(Instant::now() < deadline, "the relay reads on");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_relay_serves_many_of_whom_half_are_gone_abruptly() {
    let echo = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let relay = Relay::to(echo.local_addr().expect("it is bound"));
    drop(echo.try_clone().map(|echo| thread::spawn(move || serve_echoes(&echo))));
    let clients: Vec<TcpStream> = (0..200).map(|_| relay.connect()).collect();
    let mut left = Vec::new();
    for (number, mut client) in clients.into_iter().enumerate() {
        client.write_all(&noise(100_000, number as u32)).expect("the relay reads");
        if number % 2 == 0 {
            // What it is sent is never read, so its end is a RST.
            drop(client);
        } else {
            client.shutdown(Shutdown::Write).expect("it is open");
            left.push((number, client));
        }
    }
    for (number, client) in left {
        assert!(read_to_end(&client) == noise(100_000, number as u32), "client {number}");
    }
    // Every connection of theirs ends, and its memory is free.
    let open = || fs::read_dir(format!("/proc/{}/fd", relay.process.id())).map_or(0, Iterator::count);
    let deadline = Instant::now() + PATIENCE;
    while open() > 20 {
        assert!(Instant::now() < deadline, "{} descriptors are open", open());
        thread::sleep(Duration::from_millis(20));
    }
}

/// Echoes to everybody, each on a thread of its own.
fn serve_echoes(listener: &TcpListener) {
    for stream in listener.incoming() {
        let Ok(stream) = stream else { return };
        thread::spawn(move || {
            let _ = std::io::copy(&mut &stream, &mut &stream);
            let _ = stream.shutdown(Shutdown::Write);
        });
    }
}
