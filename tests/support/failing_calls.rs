//! System calls that fail although nothing is wrong: `strace -e inject`, which answers in the kernel's place. The call
//! is not made, so nothing is taken from a socket and nothing is given to it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use nix::sys::signal::Signal;
use tempfile::TempDir;

use super::{Collected, PATIENCE, Process, can_trace, skip, wait_until};

/// What lets the calls of a running process fail.
pub struct Tracer(Process);

impl Tracer {
    /// Ends it between two calls: from here on, they are made.
    #[track_caller]
    pub fn detach(mut self) {
        self.0.signal(Signal::SIGTERM);
        assert!(self.0.exit_within(PATIENCE).is_some(), "strace ends");
    }
}

/// Which calls of a process fail, and a trace of them.
pub struct FailingCalls {
    faults: Vec<String>,
    folder: TempDir,
}

impl FailingCalls {
    /// Each of `faults` is what `strace -e inject=` takes: `recvfrom:error=EINTR:when=3+5` is the third call and every
    /// fifth after it. None, with a word about it, where nothing can be traced.
    pub fn new(faults: &[impl ToString]) -> Option<FailingCalls> {
        if !can_trace() {
            return None;
        }
        let faults = faults.iter().map(ToString::to_string).collect();
        Some(FailingCalls { faults, folder: tempfile::tempdir().expect("a folder") })
    }

    /// The same command with these faults from its start. The process is its own, and the tracer's parent is not the
    /// test.
    pub fn under(&self, command: &Command) -> Command {
        let mut traced = Command::new("strace");
        traced.arg("-D").args(self.arguments()).arg(command.get_program()).args(command.get_args());
        traced.env_remove("RUST_LOG");
        traced
    }

    /// Lets these calls of a running process fail for as long as the tracer lives. None, with a word about it, where
    /// only children can be traced.
    pub fn attach(&self, process: u32) -> Option<Tracer> {
        let mut command = Command::new("strace");
        command.args(self.arguments()).args(["-p", &process.to_string()]);
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut tracer = Process::spawn(command);
        let said = Collected::of(tracer.child().stderr.take().expect("stderr is piped"));
        wait_until("strace traces", || said.count("attached") > 0 || said.is_closed());
        if said.count("attached") == 0 {
            skip("a running process cannot be traced here");
            return None;
        }
        Some(Tracer(tracer))
    }

    fn arguments(&self) -> Vec<String> {
        let calls: Vec<&str> = self.faults.iter().filter_map(|fault| fault.split(':').next()).collect();
        let mut arguments = vec!["-s0".to_owned(), "-o".to_owned(), self.trace().display().to_string()];
        arguments.push(format!("--trace={}", calls.join(",")));
        arguments.extend(self.faults.iter().map(|fault| format!("--inject={fault}")));
        arguments
    }

    fn trace(&self) -> PathBuf {
        self.folder.path().join("trace")
    }

    /// How many calls of this name have failed so.
    pub fn count_of(&self, call: &str) -> usize {
        let trace = fs::read_to_string(self.trace()).unwrap_or_default();
        trace.lines().filter(|line| line.ends_with("(INJECTED)") && line.contains(&format!("{call}("))).count()
    }

    /// How many calls have failed so; some have.
    #[track_caller]
    pub fn count(&self) -> usize {
        let calls = self.faults.iter().filter_map(|fault| fault.split(':').next());
        let count = calls.map(|call| self.count_of(call)).sum();
        assert!(count > 0, "no call failed");
        count
    }
}
