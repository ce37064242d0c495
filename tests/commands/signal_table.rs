//! Goal: every command does at every signal what `docs/signals.md` says; what was ignored at the start stays ignored,
//! what was blocked is not, and what `compare` starts inherits neither.
//!
//! Method: the table is read from the page. For each of its cells a program is started, brought to where it waits for
//! others, and sent the signal. A program that goes on, or has stopped and was continued, is ended with SIGTERM, as the
//! table says of that; a signal that would have ended it comes before (`kill(2)`: both are pending then). What it
//! leaves is looked at: the exit status, the socket's file, the result, the servers that it had started.

use std::fs;
use std::io::Write;
use std::os::unix::net::UnixStream;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{ChildStdin, Command, Stdio};
use std::str::FromStr;
use std::time::Duration;

use crate::support::{
    Collected, PATIENCE, Process, Server, children, cooee, holds_within, is_gone, skip, try_run, wait_until,
};
use nix::libc::{SIGRTMAX, SIGRTMIN, SIGTERM};
use nix::sys::resource::{Resource, setrlimit};
use nix::sys::signal::Signal;
use serde_json::Value;
use tempfile::TempDir;

/// What a command does at a signal, in the words of the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Does {
    Drains,
    Result,
    Ends,
    GoesOn,
    Stops,
}

const COMMANDS: [&str; 5] = ["serve", "send", "load", "compare", "report"];

/// The number of a signal with this name.
fn number(name: &str) -> i32 {
    match name {
        "SIGRTMIN" => SIGRTMIN(),
        "SIGRTMAX" => SIGRTMAX(),
        _ => Signal::from_str(name).unwrap_or_else(|_| panic!("{name} is no signal")) as i32,
    }
}

/// The table of the page: each signal, and what the commands do at it, in their order.
fn table() -> Vec<(String, Vec<Does>)> {
    let page = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/signals.md")).unwrap();
    let head: Vec<String> = COMMANDS.iter().map(|command| format!("`{command}`")).collect();
    assert!(page.contains(&format!("| signal | {} |", head.join(" | "))), "the table has another head");
    let mut table = Vec::new();
    for row in page.lines().filter(|line| line.starts_with("| SIG")) {
        let cells: Vec<&str> = row.split('|').map(str::trim).collect();
        let does = cells[2..2 + COMMANDS.len()].iter().map(|cell| match *cell {
            "drains" => Does::Drains,
            "result" => Does::Result,
            "ends" => Does::Ends,
            "goes on" => Does::GoesOn,
            "stops" => Does::Stops,
            other => panic!("'{other}' is no word of the page"),
        });
        let does: Vec<Does> = does.collect();
        table.extend(cells[1].split(", ").map(|name| (name.to_owned(), does.clone())));
    }
    table
}

#[test]
fn every_signal_of_the_system_is_in_the_table() {
    let table = table();
    for signal in Signal::iterator() {
        let named = table.iter().filter(|(name, _)| number(name) == signal as i32).count();
        assert_eq!(named, 1, "{signal}");
    }
}

/// A command that waits for others.
struct Running {
    command: &'static str,
    process: Process,
    folder: TempDir,
    /// Whom it talks to.
    _peer: Option<Server>,
    /// What it reads: it does not end while this is open.
    _input: Option<ChildStdin>,
    /// The processes that it has started.
    started: Vec<u32>,
}

impl Running {
    /// Starts `command` with the words of `prefix` before it, and brings it to where it waits.
    fn start(command: &'static str, prefix: &[&str]) -> Running {
        // A fault leaves no core dump in the folder of the sources.
        setrlimit(Resource::RLIMIT_CORE, 0, 0).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        let peer = matches!(command, "send" | "load").then(|| Server::start(&[]));
        let url = peer.as_ref().map_or(String::new(), |peer| peer.url("tcp"));
        let json = format!("--json={}", path("result"));
        let server = format!("--server=a='{}' serve -q tcp://127.0.0.1:{{port}}", env!("CARGO_BIN_EXE_cooee"));
        let endpoint = format!("unix://{}", path("socket"));
        let run = ["-c1", "-d1h", "--warmup=0s"];
        let arguments = match command {
            "serve" => vec!["serve", "-q", &endpoint],
            "send" => vec!["send", &url],
            "load" => [&["load", &json, &url], &run[..]].concat(),
            "compare" => [&["compare", "-q", "--rounds=1", &json, &server], &run[..]].concat(),
            _ => vec!["report", "-"],
        };
        let plain = cooee(&arguments);
        let mut words = prefix.iter().map(PathBuf::from).chain([plain.get_program().into()]);
        let mut prefixed = Command::new(words.next().unwrap());
        prefixed.args(words).args(plain.get_args()).env_remove("RUST_LOG").env("TMPDIR", folder.path());
        // In a group of its own, below a parent in another one: a group without would not stop (`setpgid(2)`, orphaned
        // process group).
        let command_line = prefixed.process_group(0).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = Process::spawn(command_line);
        let mut input = process.child().stdin.take().unwrap();
        let output = Collected::of(process.child().stdout.take().unwrap());
        let mut started = Vec::new();
        match command {
            "serve" => wait_until("it listens", || UnixStream::connect(path("socket")).is_ok()),
            "send" => {
                input.write_all(b"hi\n").unwrap();
                wait_until("it has an answer", || output.count("hi\n") == 1);
            }
            "load" => {
                peer.as_ref().unwrap().wait_summary("it sends", |summary| summary.get("messages_in") > 0);
            }
            "compare" => wait_until("it has started a server", || {
                started = children(process.id());
                !started.is_empty()
            }),
            // More than the pipe holds: when this is written, it reads.
            _ => input.write_all(&[b' '; 200_000]).unwrap(),
        }
        Running { command, process, folder, _peer: peer, _input: Some(input), started }
    }

    fn signal(&self, signal: i32) {
        match Signal::try_from(signal) {
            Ok(signal) => self.process.signal(signal),
            Err(_) => {
                let ran = try_run(Command::new("kill").args([&format!("-{signal}"), &self.process.id().to_string()]));
                assert_eq!(ran.unwrap().code, Some(0), "signal {signal} can be sent");
            }
        }
    }

    fn has_stopped(&self) -> bool {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.process.id())).unwrap_or_default();
        stat.rfind(')').is_some_and(|end| stat[end + 2..].starts_with('T'))
    }

    fn result(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(self.folder.path().join("result")).ok()?).ok()
    }

    /// Checks that it has ended as it should at `signal`.
    #[track_caller]
    fn check_end(mut self, does: Does, signal: i32) {
        let Some(status) = self.process.exit_within(PATIENCE) else {
            panic!("{} does not end at signal {signal}", self.command);
        };
        let told = format!("{} at signal {signal}: {status}", self.command);
        match does {
            Does::Ends => {
                assert_eq!(status.signal(), Some(signal), "{told}");
                assert_eq!(self.result(), None, "{told}: nothing is written");
                wait_until("the servers have ended", || self.started.iter().all(|id| is_gone(*id)));
            }
            Does::Drains => {
                assert_eq!(status.code(), Some(0), "{told}");
                assert!(!self.folder.path().join("socket").exists(), "{told}: the socket's file is left");
            }
            Does::Result => {
                let result = self.result().unwrap_or_else(|| panic!("{told}: no result is written"));
                assert_eq!(result["interrupted"], true, "{told}: {result}");
                if self.command == "compare" {
                    assert_eq!(status.code(), Some(128 + signal), "{told}");
                    assert!(self.started.iter().all(|id| is_gone(*id)), "{told}: a server runs on");
                } else {
                    // On a busy machine the figures of so short a run may not be trusted (3).
                    assert!(matches!(status.code(), Some(0 | 3)), "{told}");
                }
            }
            Does::GoesOn | Does::Stops => unreachable!("this is no end"),
        }
    }
}

/// Sends every signal of the table to a command.
fn check_column(command: &'static str) {
    let column = COMMANDS.iter().position(|name| *name == command).unwrap();
    let table = table();
    let at_term = table.iter().find(|(name, _)| name == "SIGTERM").unwrap().1[column];
    for (name, does) in &table {
        let (signal, does) = (number(name), does[column]);
        let running = Running::start(command, &[]);
        running.signal(signal);
        match does {
            Does::GoesOn => running.signal(SIGTERM),
            Does::Stops => {
                wait_until(&format!("{command} has stopped at {name}"), || running.has_stopped());
                running.process.signal(Signal::SIGCONT);
                running.signal(SIGTERM);
            }
            // The standard library takes the first (see the page).
            Does::Ends if matches!(name.as_str(), "SIGSEGV" | "SIGBUS") => {
                wait_until(&format!("{command} ends at {name}"), || {
                    running.signal(signal);
                    !running.is_there()
                });
            }
            _ => {}
        }
        match does {
            Does::GoesOn | Does::Stops => running.check_end(at_term, SIGTERM),
            _ => running.check_end(does, signal),
        }
    }
}

#[test]
fn serve_at_every_signal() {
    check_column("serve");
}

#[test]
fn send_at_every_signal() {
    check_column("send");
}

#[test]
fn load_at_every_signal() {
    check_column("load");
}

#[test]
fn compare_at_every_signal() {
    check_column("compare");
}

#[test]
fn report_at_every_signal() {
    check_column("report");
}

/// Words before a command that start it with these signals ignored and blocked.
const INHERITED: [&str; 3] = ["env", "--ignore-signal=INT,HUP,CHLD,XFSZ", "--block-signal=TERM,USR2"];

/// Whether this machine's `env` can start a program so (coreutils 8.31).
fn env_sets_signals() -> bool {
    let can =
        try_run(Command::new(INHERITED[0]).args(&INHERITED[1..]).arg("true")).is_ok_and(|ran| ran.code == Some(0));
    if !can {
        skip("env cannot start a program with signals ignored");
    }
    can
}

/// The sets of signals of a process that `/proc` tells under this name, as bits.
fn set_of(process: u32, name: &str) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a set of signals");
    u64::from_str_radix(line.trim_start_matches(':').trim(), 16).expect("a number")
}

#[test]
fn what_was_ignored_at_the_start_stays_ignored_and_what_was_blocked_arrives() {
    if !env_sets_signals() {
        return;
    }
    let table = table();
    for (column, command) in COMMANDS.into_iter().enumerate() {
        for name in ["SIGTERM", "SIGUSR2"] {
            let running = Running::start(command, &INHERITED);
            for ignored in [Signal::SIGINT, Signal::SIGHUP, Signal::SIGXFSZ] {
                running.process.signal(ignored);
            }
            // It has not ended when it has had time for that: what ends it is not pending together with what is
            // ignored.
            assert!(!holds_within(Duration::from_millis(100), || !running.is_there()), "{command} has ended");
            running.signal(number(name));
            let does = table.iter().find(|(row, _)| row == name).unwrap().1[column];
            running.check_end(does, number(name));
        }
    }
}

impl Running {
    fn is_there(&self) -> bool {
        fs::read_to_string(format!("/proc/{}/stat", self.process.id())).is_ok_and(|stat| !stat.contains(") Z "))
    }
}

#[test]
fn no_signal_that_is_blocked_is_at_its_default() {
    // `compare` blocks nothing while it starts a server: what is not caught either would stop it then.
    for command in ["serve", "load", "compare"] {
        let running = Running::start(command, &[]);
        // While one starts, nothing is blocked, and all for a moment: by the C library, until the new process is
        // executed (`posix_spawn(3)`).
        let mut blocked = 0;
        wait_until("SIGTTOU is blocked, and not everything", || {
            blocked = set_of(running.process.id(), "SigBlk");
            blocked != 0 && blocked & 1 << (Signal::SIGUSR1 as i32 - 1) == 0
        });
        let caught = set_of(running.process.id(), "SigCgt");
        assert_eq!(blocked & !caught, 0, "{command}: blocked {blocked:#x}, caught {caught:#x}");
        running.signal(SIGTERM);
        running.check_end(if command == "serve" { Does::Drains } else { Does::Result }, SIGTERM);
    }
}

#[test]
fn a_server_that_compare_starts_inherits_neither() {
    let prefixes: [&[&str]; 2] = [&[], &INHERITED];
    let prefixes = if env_sets_signals() { &prefixes[..] } else { &prefixes[..1] };
    for prefix in prefixes {
        // What `cat` does with signals is what it was given.
        let folder = tempfile::tempdir().unwrap();
        let mut words = prefix.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let compare = cooee(&[]);
        words.push(compare.get_program().to_str().unwrap().to_owned());
        words.extend(["compare", "--rounds=1", "--server=a=sleep {port}", "--start-timeout=1h"].map(str::to_owned));
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let process = Process::spawn(command.stderr(Stdio::null()));
        let mut server = None;
        wait_until("a server runs", || {
            server = children(process.id()).first().copied();
            server
                .is_some_and(|id| fs::read(format!("/proc/{id}/cmdline")).is_ok_and(|line| line.starts_with(b"sleep")))
        });
        let server = server.unwrap();
        for name in ["SigIgn", "SigBlk", "SigCgt"] {
            // Two are the C library's own, which nobody can set (`signal(7)`).
            let set = set_of(server, name) & !(0b11 << 31);
            assert_eq!(set, 0, "{name} of a server of compare after {prefix:?}: {set:#x}");
        }
        process.signal(Signal::SIGTERM);
        wait_until("the server is stopped", || is_gone(server));
    }
}

#[test]
fn the_second_request_ends_compare_while_nobody_reads_its_result() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let server = format!("--server=a='{}' serve -q tcp://127.0.0.1:{{port}}", env!("CARGO_BIN_EXE_cooee"));
    let json = format!("--json={}", pipe.display());
    let mut command = cooee(&["compare", "-q", "--rounds=1", "-c1", "-n10", "--idle-connections=0", &server, &json]);
    let command = command.env("TMPDIR", folder.path()).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::spawn(command);
    // Opening the pipe waits for a reader (`fifo(7)`), and no server is left then.
    let mut had_server = false;
    wait_until("the comparison is over", || {
        let has_server = !children(process.id()).is_empty();
        had_server |= has_server;
        had_server && !has_server
    });
    let mut sent = 0;
    let has_ended = holds_within(PATIENCE, || {
        sent += 1;
        process.signal(Signal::SIGTERM);
        process.exit_within(Duration::from_millis(200)).is_some()
    });
    assert!(has_ended && sent >= 2, "it has ended after {sent} signals");
}
