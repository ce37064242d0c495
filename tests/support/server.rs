//! A server as a process, and the numbers that it sums up.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::{
    Client, Collected, PATIENCE, Process, cooee, cpu_ticks, descriptors, holds_within, raise_descriptor_limit,
    resident_bytes, wait_until,
};

/// A running `cooee serve`, or another program that serves.
pub struct Server {
    process: Process,
    stdout: Collected,
    stderr: Collected,
}

impl Server {
    /// Starts `cooee serve` with these arguments and waits until it listens. Where no endpoint is among them it serves
    /// TCP on a free port of 127.0.0.1.
    pub fn start(args: &[&str]) -> Server {
        // `HOST:PORT` alone is served with TCP and with UDP.
        let lines = |arg: &&str| if arg.contains("://") { 1 } else { 2 * usize::from(arg.contains(':')) };
        let mut endpoints = args.iter().map(lines).sum();
        let mut all = [&["serve"], args].concat();
        if endpoints == 0 {
            all.push("tcp://127.0.0.1:0");
            endpoints = 1;
        }
        Server::start_command(&mut cooee(&all), endpoints)
    }

    /// Starts a prepared command, which becomes a server, and waits for so many lines about endpoints.
    pub fn start_command(command: &mut Command, endpoints: usize) -> Server {
        raise_descriptor_limit();
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let stdout = Collected::of(process.child().stdout.take().expect("stdout is piped"));
        let stderr = Collected::of(process.child().stderr.take().expect("stderr is piped"));
        let mut server = Server { process, stdout, stderr };
        wait_until("the server says where it listens", || server.stdout.count("\n") >= endpoints || !server.is_alive());
        assert!(server.is_alive(), "the server ended:\n{}", server.log());
        server
    }

    /// The URLs of its endpoints, in order.
    pub fn urls(&self) -> Vec<String> {
        let text = self.stdout.text();
        // A line that has not wholly arrived is none yet.
        let lines = text.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n'));
        let endpoints = lines.filter_map(|line| line.strip_prefix("listening "));
        endpoints.map(|rest| rest.split(' ').next().unwrap().to_owned()).collect()
    }

    /// The URL of its first endpoint with this scheme.
    #[track_caller]
    pub fn url(&self, scheme: &str) -> String {
        let mut urls = self.urls().into_iter();
        urls.find(|url| url.split_once("://").is_some_and(|(of, _)| of == scheme))
            .expect("an endpoint with this scheme")
    }

    /// The address of its first endpoint with this scheme.
    #[track_caller]
    pub fn address_of(&self, scheme: &str) -> SocketAddr {
        self.url(scheme).split_once("://").unwrap().1.parse().expect("an address")
    }

    /// The addresses of its TCP endpoints, in order.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        let urls = self.urls();
        let addresses = urls.iter().filter_map(|url| url.strip_prefix("tcp://"));
        addresses.map(|address| address.parse().expect("an address")).collect()
    }

    /// The address of its first TCP endpoint.
    pub fn address(&self) -> SocketAddr {
        self.address_of("tcp")
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

    /// Whether it still runs.
    pub fn is_alive(&mut self) -> bool {
        self.process.exit_within(Duration::ZERO).is_none()
    }

    /// Waits for its end, and for all that it said. Its exit code; none where a signal killed it.
    #[track_caller]
    pub fn exit_code(&mut self) -> Option<i32> {
        let Some(status) = self.process.exit_within(PATIENCE) else {
            panic!("the server does not end; it said:\n{}", self.log());
        };
        self.stdout.whole();
        self.stderr.whole();
        status.code()
    }

    /// Drains it, and returns all that it has logged.
    #[track_caller]
    pub fn stop(mut self) -> String {
        self.signal(Signal::SIGTERM);
        assert_eq!(self.exit_code(), Some(0), "a drain is a success:\n{}", self.log());
        self.log()
    }

    /// Drains it, and returns its last summary.
    #[track_caller]
    pub fn drain(mut self) -> Summary {
        self.signal(Signal::SIGTERM);
        self.last_summary()
    }

    /// Waits for a clean end that somebody else ordered, and returns the last summary.
    #[track_caller]
    pub fn last_summary(&mut self) -> Summary {
        assert_eq!(self.exit_code(), Some(0), "a drain is a success:\n{}", self.log());
        self.log().lines().rev().find_map(Summary::parse).expect("a summary at the end")
    }

    /// Asks for a summary (SIGUSR1) and reads it.
    #[track_caller]
    pub fn summary(&self) -> Summary {
        let start = self.stderr.bytes().len();
        self.signal(Signal::SIGUSR1);
        self.wait_line(&self.stderr, start, "a summary", Summary::parse)
    }

    /// Asks for summaries until `reached` says that what is waited for has happened.
    #[track_caller]
    pub fn wait_summary(&self, what: &str, reached: impl Fn(&Summary) -> bool) -> Summary {
        let start = Instant::now();
        // Each question wakes the server and is a line in its log, so they become rare.
        let mut pause = Duration::from_millis(1);
        loop {
            let summary = self.summary();
            if reached(&summary) {
                return summary;
            }
            assert!(start.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}; {summary:?}");
            thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(100));
        }
    }

    /// What it has logged until now.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// The same, byte for byte.
    pub fn log_bytes(&self) -> Vec<u8> {
        self.stderr.bytes()
    }

    /// How often it has logged `text`.
    pub fn logged(&self, text: &str) -> usize {
        self.stderr.count(text)
    }

    /// What it has printed until now.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What `find` finds in a line of an output, behind the first `start` bytes; waits for that line.
    #[track_caller]
    fn wait_line<T>(&self, output: &Collected, start: usize, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let mut found = None;
        holds_within(PATIENCE, || {
            let is_last_look = output.is_closed();
            found = output.find(start, &find);
            found.is_some() || is_last_look
        });
        found.unwrap_or_else(|| panic!("the server never said '{what}':\n{}", self.log()))
    }

    /// Waits until it has printed `text`; returns the line.
    #[track_caller]
    pub fn wait_printed(&self, text: &str) -> String {
        self.wait_line(&self.stdout, 0, text, |line| line.contains(text).then(|| line.to_owned()))
    }

    /// Waits until it has logged `text`; returns the line.
    #[track_caller]
    pub fn wait_log(&self, text: &str) -> String {
        self.wait_line(&self.stderr, 0, text, |line| line.contains(text).then(|| line.to_owned()))
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
        descriptors(self.id())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if thread::panicking() {
            let log = self.log();
            let last: Vec<&str> = log.lines().rev().take(15).collect();
            eprintln!("a server had logged at last:\n{}", last.into_iter().rev().collect::<Vec<_>>().join("\n"));
        }
    }
}

/// The numbers of one summary line, by name.
#[derive(Debug)]
pub struct Summary(HashMap<String, u64>);

impl Summary {
    fn parse(line: &str) -> Option<Summary> {
        // The line of one endpoint begins with its name.
        let start = line.find("] accepted=")? + 2;
        let pairs = line[start..].split([' ', '(', ')']).filter_map(|pair| pair.split_once('='));
        Some(Summary(pairs.map(|(name, count)| (name.to_owned(), count.parse().unwrap())).collect()))
    }

    /// The number with this name; what did not happen is not in the line.
    pub fn get(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}
