//! Processes: the built binary, and whatever runs beside it, with what they say.

use std::ffi::OsStr;
use std::fmt;
use std::io::{self, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, Once, PoisonError};
use std::thread;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use super::{PATIENCE, holds_within, wait_until};

/// The built binary, untouched by the log level of whoever runs the tests; or another build of it, where `COOEE` says
/// which.
pub fn cooee(args: &[&str]) -> Command {
    let mut command = Command::new(std::env::var_os("COOEE").unwrap_or_else(|| env!("CARGO_BIN_EXE_cooee").into()));
    command.args(args).env_remove("RUST_LOG");
    command
}

/// The same command on one core of its own.
pub fn on_core(core: usize, command: &Command) -> Command {
    let mut pinned = Command::new("taskset");
    pinned.args(["-c", &core.to_string()]).arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
    pinned
}

/// Lets this process hold as many sockets as it may.
pub fn raise_descriptor_limit() {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard).expect("the soft limit can be raised to the hard one");
}

/// Everything that a process has written to one pipe, collected by a thread of its own, so that the pipe never fills
/// up.
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

    /// What `find` finds in the first line with any, where it is told of the whole lines behind the first `start`
    /// bytes.
    pub fn find<T>(&self, start: usize, find: impl Fn(&str) -> Option<T>) -> Option<T> {
        let shared = self.0.lock().unwrap();
        let lines = shared.0[start..].split_inclusive(|byte| *byte == b'\n');
        lines.filter_map(|line| line.strip_suffix(b"\n")).find_map(|line| find(&String::from_utf8_lossy(line)))
    }

    /// Whether the other end was closed: there will not be more.
    pub fn is_closed(&self) -> bool {
        self.0.lock().unwrap().1
    }

    /// Everything until the other end was closed.
    pub fn whole(&self) -> Vec<u8> {
        wait_until("a process closes its output", || self.is_closed());
        self.bytes()
    }
}

/// Held while a child process comes to be: from its fork to its exec it has a copy of every descriptor of this process,
/// and a socket that another test closes meanwhile lives on.
static FORK: Mutex<()> = Mutex::new(());

/// Closes a socket, a listener, or several in a tuple: when this returns, nobody has a copy, and the address is
/// nobody's.
pub fn close<T>(sockets: T) {
    let _nobody_forks = FORK.lock().unwrap_or_else(PoisonError::into_inner);
    drop(sockets);
}

static DEFAULT_SIGNALS: Once = Once::new();

/// Catches what this process ignores: what is caught is at its default in a child (`execve(2)`), what is ignored stays
/// ignored. A script that runs the tests in the background has them ignore SIGINT, and so would every program that they
/// start.
fn give_children_default_signals() {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let ignored = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    for signal in [Signal::SIGHUP, Signal::SIGINT, Signal::SIGQUIT, Signal::SIGTERM, Signal::SIGUSR1, Signal::SIGUSR2] {
        if ignored >> (signal as i32 - 1) & 1 == 1 {
            signal_hook::flag::register(signal as i32, Arc::default()).expect("the signal can be caught");
        }
    }
}

/// A child process that does not outlive the test.
pub struct Process {
    child: Child,
}

impl Process {
    pub fn spawn(command: &mut Command) -> Process {
        Process::try_spawn(command).expect("the binary starts")
    }

    /// The same for a program that may be missing.
    pub fn try_spawn(command: &mut Command) -> io::Result<Process> {
        DEFAULT_SIGNALS.call_once(give_children_default_signals);
        let _one_at_a_time = FORK.lock().unwrap_or_else(PoisonError::into_inner);
        command.spawn().map(|child| Process { child })
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

/// What a process did: its exit code and what it wrote.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: String,
}

impl Ran {
    /// What it wrote on stdout, which has to be UTF-8.
    #[track_caller]
    pub fn printed(&self) -> &str {
        str::from_utf8(&self.stdout).expect("UTF-8")
    }
}

impl fmt::Debug for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stdout = String::from_utf8_lossy(&self.stdout);
        f.debug_struct("Ran").field("code", &self.code).field("stdout", &stdout).field("stderr", &self.stderr).finish()
    }
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

/// Runs `cooee send` with these arguments, and with `input` as its standard input, to its end.
#[track_caller]
pub fn send(args: &[impl AsRef<OsStr>], input: &[u8]) -> Ran {
    run(cooee(&["send"]).args(args), input)
}

/// Runs `command`, whose standard input is set, to its end.
#[track_caller]
pub fn finish(process: Process) -> Ran {
    finish_within(process, PATIENCE)
}

/// Runs a program that may be missing to its end, with nothing on its standard input.
pub fn try_run(command: &mut Command) -> io::Result<Ran> {
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    Process::try_spawn(command).map(finish)
}

/// [`finish`] for a process that takes its time.
#[track_caller]
pub fn finish_within(mut process: Process, patience: Duration) -> Ran {
    let stdout = process.child().stdout.take().map(Collected::of);
    let stderr = process.child().stderr.take().map(Collected::of);
    let status = process.exit_within(patience);
    let said = || stderr.as_ref().map_or(String::new(), Collected::text);
    let Some(status) = status else { panic!("the process does not end; it said: {}", said()) };
    Ran {
        code: status.code(),
        stdout: stdout.as_ref().map_or(Vec::new(), Collected::whole),
        stderr: String::from_utf8_lossy(&stderr.as_ref().map_or(Vec::new(), Collected::whole)).into_owned(),
    }
}
