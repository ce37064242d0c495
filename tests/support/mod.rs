//! What the end-to-end tests share: the built binary as a process, conditions with a deadline, and sockets with time-outs.
//!
//! Nothing here sleeps for luck: whatever takes time is waited for as a condition, and a condition that does not come true within
//! [`PATIENCE`] fails the test with what the server said.
#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

/// How long anything may take before the test fails. A loaded machine is slow; a server that hangs is slower.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// The built binary, untouched by the log level of whoever runs the tests.
pub fn cooee(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cooee"));
    command.args(args).env_remove("RUST_LOG");
    command
}

/// Waits until `condition` holds; false where it did not within `patience`.
pub fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `condition` holds, and fails with `what` where it never does.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, condition), "not within {PATIENCE:?}: {what}");
}

/// Everything that a process has written to one pipe, collected by a thread of its own, so that the pipe never fills up.
#[derive(Clone)]
pub struct Collected(Arc<Mutex<(Vec<u8>, bool)>>);

impl Collected {
    pub fn of(mut pipe: impl Read + Send + 'static) -> Collected {
        let collected = Collected(Arc::default());
        let shared = collected.clone();
        thread::spawn(move || {
            let mut bytes = [0; 16 * 1024];
            while let Ok(count @ 1..) = pipe.read(&mut bytes) {
                shared.0.lock().unwrap().0.extend_from_slice(&bytes[..count]);
            }
            shared.0.lock().unwrap().1 = true;
        });
        collected
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.0.lock().unwrap().0.clone()
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes()).into_owned()
    }

    /// How often `text` occurs.
    pub fn count(&self, text: &str) -> usize {
        self.text().matches(text).count()
    }

    /// Everything until the other end was closed.
    pub fn whole(&self) -> Vec<u8> {
        wait_until("a process closes its output", || self.0.lock().unwrap().1);
        self.bytes()
    }
}

/// A child process that does not outlive the test.
pub struct Process {
    child: Child,
}

impl Process {
    pub fn spawn(command: &mut Command) -> Process {
        Process { child: command.spawn().expect("the binary starts") }
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.child.id() as i32), signal).expect("the process can be signalled");
    }

    /// Waits for the end; none where it did not come within `patience`.
    pub fn exit_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let mut status = None;
        holds_within(patience, || {
            status = self.child.try_wait().expect("the process can be waited for");
            status.is_some()
        });
        status
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A running `cooee serve`.
pub struct Server {
    process: Process,
    stdout: Collected,
    stderr: Collected,
}

impl Server {
    /// Starts `cooee serve` with these arguments and waits until it listens. Where no endpoint is among them it serves TCP on a free
    /// port of 127.0.0.1.
    pub fn start(args: &[&str]) -> Server {
        let mut endpoints = args.iter().filter(|arg| arg.contains("://")).count();
        let mut all = [&["serve"], args].concat();
        if endpoints == 0 {
            all.push("tcp://127.0.0.1:0");
            endpoints = 1;
        }
        Server::start_command(&mut cooee(&all), endpoints)
    }

    /// Starts a prepared `cooee serve` and waits for so many lines about endpoints.
    pub fn start_command(command: &mut Command, endpoints: usize) -> Server {
        raise_descriptor_limit();
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let stdout = Collected::of(process.child().stdout.take().expect("stdout is piped"));
        let stderr = Collected::of(process.child().stderr.take().expect("stderr is piped"));
        let mut server = Server { process, stdout, stderr };
        let mut exited = None;
        wait_until("the server says where it listens", || {
            exited = server.process.exit_within(Duration::ZERO);
            exited.is_some() || server.stdout.count("\n") >= endpoints
        });
        assert!(exited.is_none(), "the server ended with {exited:?}:\n{}", server.log());
        server
    }

    /// The addresses of its TCP endpoints, in order.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let text = self.stdout.text();
        let endpoints = text.lines().filter_map(|line| line.strip_prefix("listening tcp://"));
        endpoints.map(|rest| rest.split(' ').next().unwrap().parse().expect("an address")).collect()
    }

    /// The address of its first TCP endpoint.
    pub fn address(&self) -> SocketAddr {
        self.addresses()[0]
    }

    /// A client of its first TCP endpoint.
    pub fn connect(&self) -> Client {
        Client::connect(self.address())
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Its exit code; none where a signal killed it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        match self.process.exit_within(PATIENCE) {
            Some(status) => status.code(),
            None => panic!("the server does not end; it said:\n{}", self.log()),
        }
    }

    /// Drains it, and returns all that it has logged.
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.exit_code(), Some(0), "a drain is a success:\n{}", self.log());
        String::from_utf8_lossy(&self.stderr.whole()).into_owned()
    }

    /// What it has logged until now.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// How often it has logged `text`.
    pub fn logged(&self, text: &str) -> usize {
        self.stderr.count(text)
    }

    /// What it has printed until now.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// Waits until it has logged `text`.
    #[track_caller]
    pub fn wait_log(&self, text: &str) {
        self.wait_logged(text, 1);
    }

    /// Waits until it has logged `text` so many times.
    #[track_caller]
    pub fn wait_logged(&self, text: &str, times: usize) {
        let there = holds_within(PATIENCE, || self.logged(text) >= times);
        assert!(there, "'{text}' was not logged {times} times:\n{}", self.log());
    }

    /// Memory that it has in RAM, in bytes.
    pub fn resident_bytes(&self) -> usize {
        resident_bytes(self.id())
    }

    /// CPU time that it has used, in ticks of 10 ms.
    pub fn cpu_ticks(&self) -> u64 {
        cpu_ticks(self.id())
    }

    /// How many descriptors it has open.
    pub fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.id())).expect("the server lives").count()
    }
}

/// Memory that a process has in RAM, in bytes (`VmRSS`).
pub fn resident_bytes(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// CPU time that a process has used (`utime + stime`), in ticks of 10 ms.
pub fn cpu_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process lives");
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Lets this process hold as many sockets as it may.
pub fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit can be raised to the hard one");
}

/// A TCP client whose every call has a time-out.
pub struct Client {
    pub stream: TcpStream,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts"))
    }

    pub fn over(stream: TcpStream) -> Client {
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client { stream }
    }

    /// Another handle of the same connection, for another thread.
    pub fn twin(&self) -> Client {
        Client { stream: self.stream.try_clone().unwrap() }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("cannot send {} bytes: {error}", bytes.len()));
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        if let Err(error) = self.stream.read_exact(&mut bytes) {
            panic!("cannot read {count} bytes: {error}");
        }
        bytes
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub fn expect(&mut self, bytes: &[u8]) {
        let got = self.take(bytes.len());
        assert!(
            got == bytes,
            "expected {} bytes, got others: '{}' is not '{}'",
            bytes.len(),
            shown(&got),
            shown(bytes)
        );
    }

    /// Sends `request` and reads exactly `reply`.
    #[track_caller]
    pub fn ask(&mut self, request: &[u8], reply: &[u8]) {
        self.send(request);
        self.expect(reply);
    }

    /// Sends `bytes` and reads them back.
    #[track_caller]
    pub fn echo(&mut self, bytes: &[u8]) {
        self.ask(bytes, bytes);
    }

    /// Ends this side.
    #[track_caller]
    pub fn shutdown(&self) {
        self.stream.shutdown(std::net::Shutdown::Write).expect("the write side can be shut");
    }

    /// Reads to the end, which has to be a FIN.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            panic!("no clean end after {} bytes: {error}", bytes.len());
        }
        bytes
    }

    /// Ends this side and reads to the end, which has to be a FIN.
    #[track_caller]
    pub fn finish(mut self) -> Vec<u8> {
        self.shutdown();
        self.rest()
    }

    /// Waits until everything that was sent lies in the peer's socket: nothing is left in this one's send queue.
    #[track_caller]
    pub fn wait_arrived(&self) {
        let (local, peer) = (self.stream.local_addr().unwrap(), self.stream.peer_addr().unwrap());
        wait_until("what was sent has arrived", || tcp_row(local, peer)[4].starts_with("00000000:"));
    }
}

/// The columns of `/proc/net/tcp` for the IPv4 socket between these two addresses (the kernel's `proc_net_tcp.txt`).
pub fn tcp_row(local: SocketAddr, peer: SocketAddr) -> Vec<String> {
    let ends = |address: SocketAddr| format!(":{:04X}", address.port());
    let table = fs::read_to_string("/proc/net/tcp").expect("the table can be read");
    let rows = table.lines().map(|line| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>());
    let mut matching = rows.filter(|row| row[1].ends_with(&ends(local)) && row[2].ends_with(&ends(peer)));
    matching.next().expect("the socket is in the table")
}

/// The beginning of some bytes, for a message.
fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}

/// What a process did: its exit code and what it wrote.
#[derive(Debug)]
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

/// Runs `command` with `input` on a pipe as its standard input, to its end.
#[track_caller]
pub fn run(command: &mut Command, input: &[u8]) -> Ran {
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut pipe = process.child().stdin.take().expect("stdin is piped");
    let input = input.to_vec();
    // Whoever ends without reading all of its input may: that is what some tests are about.
    thread::spawn(move || drop(pipe.write_all(&input)));
    finish(process)
}

/// Runs `command`, whose standard input is set, to its end.
#[track_caller]
pub fn finish(mut process: Process) -> Ran {
    let stdout = process.child().stdout.take().map(Collected::of);
    let stderr = process.child().stderr.take().map(Collected::of);
    let status = process.exit_within(PATIENCE);
    let said = || stderr.as_ref().map_or(String::new(), Collected::text);
    let Some(status) = status else { panic!("the process does not end; it said: {}", said()) };
    Ran {
        code: status.code(),
        stdout: stdout.as_ref().map_or(Vec::new(), Collected::whole),
        stderr: String::from_utf8_lossy(&stderr.as_ref().map_or(Vec::new(), Collected::whole)).into_owned(),
    }
}

/// Repeatable noise (xorshift64*): the same seed gives the same bytes.
pub struct Noise(u64);

impl Noise {
    pub fn new(seed: u64) -> Noise {
        Noise(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    pub fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A number below `end`.
    pub fn below(&mut self, end: usize) -> usize {
        (self.next() % end as u64) as usize
    }

    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        let mut bytes: Vec<u8> = words.collect();
        bytes.truncate(count);
        bytes
    }
}

/// A message in len32 framing.
pub fn len32(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

/// The tutorial's acknowledgement of `message`, in UTF-8.
pub fn acknowledged(message: &[u8]) -> Vec<u8> {
    ["数据[".as_bytes(), message, "]收到了!".as_bytes()].concat()
}
