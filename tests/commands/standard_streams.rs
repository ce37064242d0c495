//! Goal: whatever standard output and standard error are, they neither hold the loop up nor end it: pipes, sockets and
//! terminals whose reader has stopped, pipes that nobody reads any more, disks that are full. Lines that are lost are
//! counted, and told as soon as one can be printed again.
//!
//! Method: a server logs a numbered line for each message while a client measures how long each echo takes, until far
//! more has been logged than the stream holds. Then there is room again, and the numbers that are read and the losses
//! that are told add up to what was sent. The full disk is a small tmpfs in a mount namespace of the test's own, which
//! needs root. The client and the load generator print to the same terminal that nobody reads.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{
    Client, Collected, PATIENCE, Process, Server, attempt, close, cooee, finish, in_full, len32, load_command,
    measured, skip, try_run, wait_until,
};
use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::pty::openpty;
use nix::sys::signal::Signal::SIGTERM;

/// No echo may take longer while the log is stuck. A line that waits for its reader waits for ever.
fn stall() -> Duration {
    in_full(Duration::from_secs(3), Duration::from_millis(50))
}

/// Logs each message, of whatever length below 64 KiB.
const LOGGING: [&str; 3] = ["--log-messages", "--framing=len32", "--idle-timeout=0"];

/// Starts `cooee serve` with this standard error; its address stands on its standard output.
fn serve(stderr: impl Into<Stdio>) -> (Process, SocketAddr) {
    let mut command = cooee(&["serve", "tcp://127.0.0.1:0"]);
    start(command.args(LOGGING).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(stderr))
}

fn start(command: &mut Command) -> (Process, SocketAddr) {
    let mut process = Process::spawn(command);
    let stdout = Collected::of(process.child().stdout.take().expect("stdout is piped"));
    wait_until("it listens", || stdout.count("\n") > 0 || stdout.is_closed());
    let line = stdout.text();
    let url = line.strip_prefix("listening tcp://").and_then(|rest| rest.split(' ').next());
    (process, url.unwrap_or_else(|| panic!("it does not listen: {line}")).parse().expect("an address"))
}

/// A client that sends numbered messages, each of which becomes a line.
struct Talker {
    client: Client,
    sent: u64,
    slowest: Duration,
}

impl Talker {
    fn connect(address: SocketAddr) -> Talker {
        Talker { client: Client::connect(address), sent: 0, slowest: Duration::ZERO }
    }

    /// Sends so many bytes and their number, and waits for the echo.
    #[track_caller]
    fn talk(&mut self, length: usize) {
        // Its end says that a line is whole.
        let message = len32(format!("{}#{:06}#", "m".repeat(length), self.sent).as_bytes());
        let start = Instant::now();
        self.client.echo(&message);
        self.slowest = self.slowest.max(start.elapsed());
        self.sent += 1;
    }

    /// Talks until so many bytes were logged.
    #[track_caller]
    fn fill(&mut self, bytes: usize) {
        let mut length = 1;
        let mut logged = 0;
        while logged < bytes {
            // From short ones to the longest that stays whole: each finds another rest of a page.
            self.talk(length);
            logged += length;
            length = length * 7 % 3_800 + 1;
        }
    }
}

/// What the lines of a log tell: the numbers that were printed, and how many lines were lost.
fn tally(log: &str) -> (u64, u64) {
    const NOTE: &str = " lines before this one were lost: stderr took none]";
    let (mut printed, mut lost) = (0, 0);
    // Of a line that could only be begun, the beginning stands in front of the next.
    for line in log.split_inclusive('\n').filter_map(|line| line.strip_suffix('\n')) {
        let line = line.strip_suffix('\r').unwrap_or(line);
        let (rest, note) = match line.strip_suffix(NOTE).and_then(|line| line.rsplit_once(" [")) {
            Some((rest, count)) => (rest, count.parse().expect("a number of lines")),
            None => (line, 0),
        };
        printed += u64::from(rest.len() > 8 && rest.ends_with('#') && rest[..rest.len() - 7].ends_with('#'));
        lost += note;
    }
    (printed, lost)
}

/// Ends the server; all that it has logged has to be told or counted.
#[track_caller]
fn check_tally(mut talker: Talker, mut process: Process, log: impl Fn() -> String) -> (u64, u64) {
    // The next line that is printed tells the losses.
    wait_until("the lost lines are told", || {
        talker.talk(1);
        log().contains(" lines before this one were lost")
    });
    assert_eq!(talker.client.finish(), b"");
    process.signal(SIGTERM);
    assert_eq!(process.exit_within(PATIENCE).expect("it drains").code(), Some(0));
    wait_until("all of the log is there", || log().contains("closed=1(peer-closed=1)"));
    let (printed, lost) = tally(&log());
    assert!(printed > 0 && lost > 0, "{printed} printed, {lost} lost");
    assert_eq!(printed + lost, talker.sent, "{printed} lines were printed and {lost} lost");
    (printed, lost)
}

/// Whether nothing has stalled, in words for the table.
fn judge(what: &str, slowest: Duration, rest: &str) -> Result<String, String> {
    let most = stall();
    let told =
        format!("{what}: the slowest echo took {:.1} ms (<= {}){rest}", slowest.as_secs_f64() * 1e3, most.as_millis());
    if slowest <= most { Ok(told) } else { Err(told) }
}

/// The log goes to `writer`, which nobody reads from until far more is logged than it holds.
fn check_stopped_reader(
    what: &str,
    reader: impl Read + Send + 'static,
    writer: impl Into<Stdio>,
) -> Result<String, String> {
    let (process, address) = serve(writer);
    let mut talker = Talker::connect(address);
    talker.fill(in_full(1_000_000, 10_000_000));
    let slowest = talker.slowest;
    let log = Collected::of(reader);
    let (printed, lost) = check_tally(talker, process, || log.text());
    judge(what, slowest, &format!(", {printed} lines printed, {lost} lost and told, none missing (0)"))
}

/// A terminal: the end that a person has, and the end that a program has.
fn terminal() -> (File, OwnedFd) {
    let pair = openpty(None, None).unwrap();
    (pair.master.into(), pair.slave)
}

#[test]
fn a_reader_of_the_log_that_has_stopped_holds_nobody_up() {
    let pipe = || {
        let (reader, writer) = io::pipe().unwrap();
        check_stopped_reader("stderr is a pipe whose reader has stopped", reader, writer)
    };
    measured("14", &attempt(pipe));
    // As a service manager gives it.
    let socket = || {
        let (reader, writer) = UnixStream::pair().unwrap();
        check_stopped_reader("a socket whose reader has stopped", reader, OwnedFd::from(writer))
    };
    measured("14", &attempt(socket));
    // It is ready while it has room for one byte.
    let on_terminal = || {
        let (person, program) = terminal();
        check_stopped_reader("a terminal whose reader has stopped", person, program)
    };
    measured("14", &attempt(on_terminal));
}

#[test]
fn a_log_that_has_room_for_a_line_at_a_time_holds_nobody_up() {
    let (mut reader, writer) = io::pipe().unwrap();
    let (mut process, address) = serve(writer);
    let mut talker = Talker::connect(address);
    talker.fill(200_000);
    // Room for one page: the next line comes with the number of those that were lost, and must not block the loop
    // either.
    for _ in 0..20 {
        reader.read_exact(&mut [0; 4096]).unwrap();
        for length in [20_000, 1, 20_000] {
            talker.talk(length);
        }
    }
    let reading = Collected::of(reader);
    wait_until("lost lines are told", || {
        talker.talk(20_000);
        reading.count("lines before this one were lost") > 0
    });
    assert!(reading.text().lines().all(|line| line.len() < 4096), "a line fits into a page of a pipe");
    assert_eq!(talker.client.finish(), b"");
    process.signal(SIGTERM);
    assert_eq!(process.exit_within(PATIENCE).expect("it drains").code(), Some(0));
}

#[test]
fn a_log_that_takes_nothing_at_all_holds_nobody_up() {
    let full = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    for (what, stderr) in [("stderr is a closed pipe", closed_pipe as fn() -> Stdio), ("stderr is /dev/full", full)] {
        let figure = attempt(|| {
            let (process, address) = serve(stderr());
            let mut talker = Talker::connect(address);
            talker.fill(in_full(100_000, 10_000_000));
            let slowest = talker.slowest;
            drop(talker);
            check_serves_and_drains(process, address);
            judge(what, slowest, ", alive")
        });
        measured("14", &figure);
    }
}

/// Starts a server whose log is a file on a disk of 64 KiB, most of which another file takes. The folder that is
/// mounted on is seen by the server alone.
fn serve_on_small_disk(folder: &str) -> Option<(Process, SocketAddr)> {
    let script = "mount -t tmpfs -o size=64k none \"$0\" && head -c 32768 /dev/zero > \"$0/other\" && exec \"$@\" 2>> \"$0/log\"";
    let serving = cooee(&["serve", "tcp://127.0.0.1:0"]);
    let mounted = try_run(Command::new("unshare").args(["--mount", "mount", "-t", "tmpfs", "none", folder]));
    if !mounted.is_ok_and(|mounted| mounted.code == Some(0)) {
        skip("a disk cannot be mounted in a namespace here");
        return None;
    }
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, folder]).arg(serving.get_program()).args(serving.get_args());
    command.args(LOGGING).env_remove("RUST_LOG");
    Some(start(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit())))
}

#[test]
fn a_disk_that_is_full_holds_nobody_up_and_is_written_to_again_when_it_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().to_str().expect("a path in UTF-8");
    let scenario = || {
        let Some((process, address)) = serve_on_small_disk(folder) else { return Ok(String::new()) };
        // The server's view of its files; it is gone with it, so the file is opened first.
        let seen = |name: &str| format!("/proc/{}/root{folder}/{name}", process.id());
        let log = File::open(seen("log")).expect("the log");
        let mut talker = Talker::connect(address);
        talker.fill(in_full(100_000, 2_000_000));
        let slowest = talker.slowest;
        assert!(log.metadata().unwrap().len() <= 32 * 1024, "the disk is full");
        fs::remove_file(seen("other")).expect("there is room again");
        let text = || {
            let mut bytes = Vec::new();
            let copy = format!("/proc/self/fd/{}", log.as_raw_fd());
            File::open(copy).and_then(|mut file| file.read_to_end(&mut bytes)).expect("the log can be read");
            String::from_utf8_lossy(&bytes).into_owned()
        };
        let (printed, lost) = check_tally(talker, process, text);
        judge(
            "stderr is a full disk",
            slowest,
            &format!(", {printed} lines printed, {lost} lost and told, none missing (0)"),
        )
    };
    let figure = attempt(scenario);
    if !figure.is_empty() {
        measured("14", &figure);
    }
}

/// An address that is free now.
fn free_address() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    close(listener);
    address
}

/// Starts `cooee serve` on a port that is known beforehand, for a server whose stdout cannot be read.
fn serve_on_known_port(args: &[&str], streams: impl Fn(&mut Command)) -> (Process, SocketAddr) {
    start_on_known_port(|address| {
        let mut command = cooee(&[&["serve", &format!("tcp://{address}")], args].concat());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        streams(&mut command);
        command
    })
}

/// The same for a command that serves an address in its own way.
fn start_on_known_port(serving: impl Fn(SocketAddr) -> Command) -> (Process, SocketAddr) {
    // The port is free now; another process may take it first, and then this is tried again.
    for _ in 0..20 {
        let address = free_address();
        let mut process = Process::spawn(&mut serving(address));
        let listens = crate::support::holds_within(PATIENCE, || {
            process.exit_within(Duration::ZERO).is_some() || TcpStream::connect(address).is_ok()
        });
        if listens && process.exit_within(Duration::ZERO).is_none() {
            return (process, address);
        }
    }
    panic!("no server on any port");
}

/// The writing end of a pipe that nobody reads any more.
fn closed_pipe() -> Stdio {
    let (reader, writer) = io::pipe().unwrap();
    drop(reader);
    writer.into()
}

#[track_caller]
fn check_serves_and_drains(mut process: Process, address: SocketAddr) {
    let mut client = Client::connect(address);
    client.echo(&len32(b"served all the same"));
    assert_eq!(client.finish(), b"");
    process.signal(SIGTERM);
    assert_eq!(process.exit_within(PATIENCE).expect("it drains").code(), Some(0));
}

#[test]
fn a_standard_output_that_takes_nothing_is_no_reason_not_to_serve() {
    // Somebody else has filled them before the server started.
    let (_reader, full_pipe) = io::pipe().unwrap();
    fill(&full_pipe, usize::MAX);
    let (_person, full_terminal) = terminal();
    fill(&full_terminal, usize::MAX);
    let full_disk = || Stdio::from(OpenOptions::new().write(true).open("/dev/full").unwrap());
    let outputs: [&dyn Fn() -> Stdio; 4] =
        [&closed_pipe, &full_disk, &|| full_pipe.try_clone().unwrap().into(), &|| {
            full_terminal.try_clone().unwrap().into()
        }];
    for output in outputs {
        let (process, address) = serve_on_known_port(&["-vv"], |command| {
            command.stdout(output());
        });
        check_serves_and_drains(process, address);
    }
    // No descriptors 0, 1 and 2 at all.
    let (process, address) = start_on_known_port(|address| {
        let line = format!("exec \"$0\" serve -vv tcp://{address} <&- >&- 2>&-");
        let mut command = Command::new("sh");
        command.args(["-c", &line]).arg(cooee(&[]).get_program());
        command
    });
    check_serves_and_drains(process, address);
    measured(
        "14",
        "stdout is a closed pipe, a full disk, a full pipe, a full terminal, or nothing: serves all the same (5 of 5)",
    );
}

#[test]
fn a_command_that_has_failed_ends_although_nobody_takes_its_last_words() {
    let taken = Server::start(&[]);
    let (_reader, full) = io::pipe().unwrap();
    fill(&full, usize::MAX);
    let taken = taken.url("tcp");
    let server = "--server=a=sleep 1000{port}";
    let commands: [&[&str]; 5] = [
        &["serve", &taken],
        &["load", "-d100ms", "127.0.0.1:1"],
        &["load", "-d100ms", "no-such-host.invalid:1"],
        &["report", "/no/such/file"],
        &["compare", "--rounds=1", "-n1", "--idle-connections=0", "--start-timeout=100ms", server],
    ];
    for args in commands {
        let mut command = cooee(args);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(full.try_clone().unwrap());
        let mut process = Process::spawn(&mut command);
        assert_eq!(process.exit_within(PATIENCE).expect("it ends").code(), Some(1), "{args:?}");
    }
}

/// Fills a pipe or a terminal with so many bytes, or with as many as it holds. Returns how many those are.
fn fill(stream: &impl AsRawFd, most: usize) -> usize {
    // An open file of our own: whether it blocks is nobody else's business.
    let path = format!("/proc/self/fd/{}", stream.as_raw_fd());
    let writer = OpenOptions::new().write(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path);
    let mut writer = writer.expect("it can be opened once more");
    let mut holds = 0;
    // A terminal moves what it holds from one queue to the next on its own time, and then has room again.
    let mut write = || match writer.write(&[b'x'; 64][..64.min(most - holds)]) {
        Ok(count) => {
            holds += count;
            count > 0
        }
        Err(_) => false,
    };
    while crate::support::holds_within(Duration::from_millis(100), &mut write) {}
    holds
}

#[test]
fn a_terminal_whose_reader_has_stopped_does_not_hold_a_run_of_load_up() {
    // What a terminal holds is found by filling one; the other gets a little less, so that it is ready, but for no line
    // of progress.
    let (_first, program) = terminal();
    let holds = fill(&program, usize::MAX);
    let server = Server::start(&[]);
    let scenario = |room: usize| {
        let (_person, program) = terminal();
        fill(&program, holds - room);
        let mut command = load_command(&server.url("tcp"), &["-c2", "-R1000", "-d1s"]);
        command.env("TERM", "xterm");
        let mut process =
            Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::from(program)));
        drop(command);
        let stdout = Collected::of(process.child().stdout.take().unwrap());
        assert!(process.exit_within(PATIENCE).is_some(), "it waits for its terminal, which has room for {room} bytes");
        let report: serde_json::Value = serde_json::from_slice(&stdout.whole()).expect("one JSON object");
        assert_eq!(report["messages"], 1000, "{report:#}");
        let longest = Duration::from_secs_f64(report["latency_us"]["max"].as_f64().expect("the longest") / 1e6);
        judge(
            &format!("a terminal with room for {room} bytes shows the progress of a load"),
            longest,
            ", 1,000 of 1,000 answered",
        )
    };
    for room in [0, 20, 200, holds] {
        measured("14", &attempt(|| scenario(room)));
    }
}

#[test]
fn a_help_that_nobody_reads_ends_quietly() {
    let mut command = cooee(&["serve", "--help"]);
    command.stdin(Stdio::null()).stdout(closed_pipe()).stderr(Stdio::piped());
    let ran = finish(Process::spawn(&mut command));
    assert_eq!(ran.stderr, "", "{ran:?}");
}
