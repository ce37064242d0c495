//! Processes for tests: a server, and tools that talk to it or that it talks to.
//!
//! A server is started on port 0 and its real addresses are read from its `listening` lines, so that tests run side by side.
//! Whatever is waited for has a deadline, and every process is killed when its test ends, however it ends.

// Each test file uses its own part of this.
#![allow(dead_code)]

use std::collections::HashMap;
use std::ffi::OsStr;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, TcpStream, UdpSocket};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

/// How long anything is waited for. What works takes milliseconds; a loaded machine gets its time.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Tries `attempt` until it gives something; panics with `what` when the deadline has passed.
pub fn wait_until<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = attempt() {
            return found;
        }
        assert!(Instant::now() < end, "waited in vain: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

/// Tells why a test does not run here.
pub fn skip(reason: &str) {
    eprintln!("skipped: {reason}");
}

/// The lines that a process has printed so far, collected by a thread so that the process never waits for a reader.
#[derive(Clone)]
struct Lines(Arc<(Mutex<Collected>, Condvar)>);

#[derive(Default)]
struct Collected {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(stream: impl Read + Send + 'static) -> Lines {
        let lines = Lines(Arc::default());
        let shared = lines.clone();
        thread::spawn(move || {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
                let text = String::from_utf8_lossy(&line).trim_end_matches('\n').to_owned();
                shared.0.0.lock().unwrap().lines.push(text);
                shared.0.1.notify_all();
                line.clear();
            }
            shared.0.0.lock().unwrap().ended = true;
            shared.0.1.notify_all();
        });
        lines
    }

    fn all(&self) -> Vec<String> {
        self.0.0.lock().unwrap().lines.clone()
    }

    fn ended(&self) -> bool {
        self.0.0.lock().unwrap().ended
    }

    /// The first line from `start` on in which `find` finds something.
    fn wait_from<T>(&self, start: usize, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let end = Instant::now() + DEADLINE;
        let mut collected = self.0.0.lock().unwrap();
        loop {
            if let Some(found) = collected.lines.iter().skip(start).find_map(|line| find(line)) {
                return found;
            }
            let left = end.saturating_duration_since(Instant::now());
            if collected.ended || left.is_zero() {
                // The lock is free before the panic: the lines are printed on the way out.
                drop(collected);
                panic!("waited in vain for {what}");
            }
            collected = self.0.1.wait_timeout(collected, left).unwrap().0;
        }
    }
}

/// A process that runs beside the test.
pub struct Process {
    child: Child,
    stdout: Lines,
    stderr: Lines,
}

impl Process {
    /// Starts `command` with its output collected and without input.
    pub fn start(command: &mut Command) -> Process {
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        let stdout = Lines::of(child.stdout.take().unwrap());
        let stderr = Lines::of(child.stderr.take().unwrap());
        Process { child, stdout, stderr }
    }

    /// Its process id.
    pub fn pid(&self) -> i32 {
        self.child.id().try_into().unwrap()
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.pid()), signal).unwrap();
    }

    /// Waits until it has ended, and until all that it said is collected.
    pub fn wait(&mut self) -> ExitStatus {
        let status = wait_until("the end of the process", || self.child.try_wait().unwrap());
        wait_until("its last words", || (self.stdout.ended() && self.stderr.ended()).then_some(()));
        status
    }

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Waits for a line of stdout that holds `part`.
    pub fn wait_printed(&self, part: &str) -> String {
        self.stdout.wait_from(0, part, |line| line.contains(part).then(|| line.to_owned()))
    }

    /// Waits for a line of stderr that holds `part`.
    pub fn wait_logged(&self, part: &str) -> String {
        self.stderr.wait_from(0, part, |line| line.contains(part).then(|| line.to_owned()))
    }

    /// What stdout has had so far.
    pub fn printed(&self) -> Vec<String> {
        self.stdout.all()
    }

    /// What stderr has had so far.
    pub fn logged(&self) -> Vec<String> {
        self.stderr.all()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if thread::panicking() {
            let last = |lines: Vec<String>| lines[lines.len().saturating_sub(15)..].join("\n");
            eprintln!("--- a process had printed:\n{}", last(self.printed()));
            eprintln!("--- and logged:\n{}", last(self.logged()));
        }
    }
}

/// `cooee serve` as a process.
pub struct Server(Process);

impl std::ops::Deref for Server {
    type Target = Process;

    fn deref(&self) -> &Process {
        &self.0
    }
}

impl std::ops::DerefMut for Server {
    fn deref_mut(&mut self) -> &mut Process {
        &mut self.0
    }
}

impl Server {
    /// Starts `cooee serve ARGUMENTS` and waits until it serves.
    pub fn start(arguments: &[&str]) -> Server {
        let server = Server(Process::start(cooee("serve").args(arguments)));
        server.wait_printed("listening ");
        server
    }

    /// Starts `command`, which becomes a server.
    pub fn start_command(command: &mut Command) -> Server {
        let server = Server(Process::start(command));
        server.wait_printed("listening ");
        server
    }

    /// The URL of the first endpoint whose URL begins so.
    pub fn url(&self, beginning: &str) -> String {
        self.0.stdout.wait_from(0, beginning, |line| {
            let url = line.strip_prefix("listening ")?.split(' ').next()?;
            url.starts_with(beginning).then(|| url.to_owned())
        })
    }

    /// The address of the first endpoint with this scheme.
    pub fn address(&self, scheme: &str) -> SocketAddr {
        let url = self.url(&format!("{scheme}://"));
        url.split("://").nth(1).unwrap().parse().unwrap()
    }

    /// How many descriptors it has open, where the system tells.
    pub fn open_descriptors(&self) -> Option<usize> {
        std::fs::read_dir(format!("/proc/{}/fd", self.pid())).ok().map(Iterator::count)
    }

    /// Asks for the summary (SIGUSR1) and reads it.
    pub fn summary(&self) -> Summary {
        let seen = self.0.stderr.all().len();
        self.signal(Signal::SIGUSR1);
        self.0.stderr.wait_from(seen, "a summary", Summary::parse)
    }

    /// Asks for the summary until `reached` says that what is waited for has happened.
    pub fn wait_summary(&self, what: &str, reached: impl Fn(&Summary) -> bool) -> Summary {
        let end = Instant::now() + DEADLINE;
        let mut pause = Duration::from_millis(1);
        loop {
            let summary = self.summary();
            if reached(&summary) {
                return summary;
            }
            assert!(Instant::now() < end, "waited in vain: {what}; {summary:?}");
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// Ends it with SIGTERM; it must have drained cleanly. Gives its last summary.
    pub fn stop(mut self) -> Summary {
        self.drain()
    }

    /// Drains it as [`stop`](Server::stop) does, for those who still want to read what it said.
    pub fn drain(&mut self) -> Summary {
        self.signal(Signal::SIGTERM);
        self.last_summary()
    }

    /// Waits for a clean end that somebody else ordered, and gives the last summary.
    pub fn last_summary(&mut self) -> Summary {
        let status = self.wait();
        assert_eq!(status.code(), Some(0), "exit after a drain: {status}");
        self.logged().iter().rev().find_map(|line| Summary::parse(line)).expect("no summary at the end")
    }
}

/// The numbers of one summary line, by name.
#[derive(Debug)]
pub struct Summary(HashMap<String, u64>);

impl Summary {
    fn parse(line: &str) -> Option<Summary> {
        let start = line.find("accepted=").filter(|_| line.contains("messages_in="))?;
        let pairs = line[start..].split([' ', '(', ')']).filter_map(|pair| pair.split_once('='));
        Some(Summary(pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()))
    }

    /// The number with this name; what did not happen is not in the line.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// The built binary with a subcommand.
pub fn cooee(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cooee"));
    command.arg(subcommand).env_remove("RUST_LOG");
    command
}

/// What a program that has ended leaves behind.
#[derive(Debug)]
pub struct Ended {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs `command` to its end with `input` on stdin.
pub fn run(command: &mut Command, input: &[u8]) -> Ended {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
    let mut stdin = child.stdin.take().unwrap();
    let input = input.to_owned();
    thread::spawn(move || {
        // A program that ends without reading everything is judged by what it says, not here.
        let _ = stdin.write_all(&input);
    });
    let collect = |mut stream: Box<dyn Read + Send>| {
        thread::spawn(move || {
            let mut bytes = Vec::new();
            let _ = stream.read_to_end(&mut bytes);
            String::from_utf8_lossy(&bytes).into_owned()
        })
    };
    let stdout = collect(Box::new(child.stdout.take().unwrap()));
    let stderr = collect(Box::new(child.stderr.take().unwrap()));
    let end = Instant::now() + DEADLINE;
    let status = loop {
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        if Instant::now() >= end {
            let _ = child.kill();
            let _ = child.wait();
            panic!("{command:?} does not end; it said {:?} and {:?}", stdout.join(), stderr.join());
        }
        thread::sleep(Duration::from_millis(2));
    };
    Ended { code: status.code(), stdout: stdout.join().unwrap(), stderr: stderr.join().unwrap() }
}

/// Runs `cooee send ARGUMENTS` with `input` on stdin.
pub fn send<S: AsRef<OsStr>>(arguments: &[S], input: &[u8]) -> Ended {
    run(cooee("send").args(arguments), input)
}

/// A UDP client on a port of its own, on loopback.
pub fn udp_client() -> UdpSocket {
    udp_client_at((Ipv4Addr::LOCALHOST, 0).into())
}

/// A UDP client at `address`.
pub fn udp_client_at(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// Sends one datagram to `server` and waits for the answer, which must come from there.
pub fn ask(client: &UdpSocket, server: SocketAddr, message: &[u8]) -> Vec<u8> {
    client.send_to(message, server).unwrap();
    let (answer, source) = receive(client);
    assert_eq!(source, server, "the answer came from elsewhere");
    answer
}

/// Waits for one datagram.
pub fn receive(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 70_000];
    let (length, source) = client.recv_from(&mut buffer).expect("no datagram came");
    buffer.truncate(length);
    (buffer, source)
}

/// Whether nothing has come for `client`: to be asked when the server has said that it dropped the answer.
pub fn got_nothing(client: &UdpSocket) -> bool {
    client.set_nonblocking(true).unwrap();
    let received = client.recv_from(&mut [0; 16]);
    client.set_nonblocking(false).unwrap();
    matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// A TCP client with a deadline for its reads.
pub fn tcp_client(server: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(server).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// Sends `message` and reads an answer of `length` bytes.
pub fn converse<S: Read + Write>(stream: &mut S, message: &[u8], length: usize) -> Vec<u8> {
    stream.write_all(message).unwrap();
    let mut answer = vec![0; length];
    stream.read_exact(&mut answer).expect("no whole answer came");
    answer
}

/// Reads what comes until the peer has ended its side.
pub fn read_to_end(stream: &mut impl Read) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).expect("the peer did not end its side cleanly");
    bytes
}

/// `length` bytes in which no two neighbouring blocks are alike.
pub fn pattern(length: usize, seed: usize) -> Vec<u8> {
    (0..length).map(|index| ((index.wrapping_mul(31) >> 3) ^ index ^ seed.wrapping_mul(97)) as u8).collect()
}

/// A datagram with a source that its sender does not have: the kernel writes the IP header, the test the UDP header (RFC 768; a
/// checksum of 0 is none).
fn forge(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))?;
    socket.bind(&SocketAddrV4::new(*source.ip(), 0).into())?;
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut packet = Vec::new();
    for half in [source.port(), destination.port(), length, 0] {
        packet.extend_from_slice(&half.to_be_bytes());
    }
    packet.extend_from_slice(payload);
    socket.send_to(&packet, &SockAddr::from(destination)).map(drop)
}

/// Forges a datagram; false, with a word about it, where that is not allowed.
pub fn can_forge(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> bool {
    let (SocketAddr::V4(source), SocketAddr::V4(destination)) = (source, destination) else { panic!("IPv4 only") };
    match forge(source, destination, payload) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            skip("forging a source address needs CAP_NET_RAW");
            false
        }
        Err(error) => panic!("cannot forge {source} to {destination}: {error}"),
    }
}
