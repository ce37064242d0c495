//! Goal: what the system sends for a limit of a process (`setrlimit(2)`) costs no more than the limit says: a log or a
//! result whose file may not grow is lost, and nothing else is; the limit of CPU time ends a program in good order.
//!
//! Method: the built binary below `prlimit`, with limits that it soon reaches.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{PATIENCE, Process, Ran, Server, cooee, finish_within, run, skip, try_run, wait_until};
use nix::sys::signal::Signal::SIGTERM;
use serde_json::Value;

/// How long a limit of a second of CPU time may take on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// `command` below limits; what it writes to stderr goes to `log`, where one is given. None where this machine has no
/// `prlimit`.
fn limited(limits: &[&str], command: &Command, log: Option<&std::path::Path>) -> Option<Command> {
    if !try_run(Command::new("prlimit").arg("--version")).is_ok_and(|ran| ran.code == Some(0)) {
        skip("there is no prlimit");
        return None;
    }
    let mut shell = Command::new("sh");
    let redirection = log.map_or(String::new(), |log| format!(" 2>'{}'", log.display()));
    shell.args(["-c", &format!("exec \"$@\"{redirection}"), "sh", "prlimit"]).args(limits);
    shell.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
    Some(shell)
}

#[test]
fn a_log_that_may_not_grow_ends_no_server() {
    const MOST: u64 = 4_000;
    let folder = tempfile::tempdir().unwrap();
    let (socket, log) = (folder.path().join("socket"), folder.path().join("log"));
    let command = cooee(&["serve", "-v", &format!("unix://{}", socket.display())]);
    let Some(mut command) = limited(&[&format!("--fsize={MOST}")], &command, Some(&log)) else { return };
    let mut server = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()));
    wait_until("it listens", || UnixStream::connect(&socket).is_ok());
    // Two lines each, of more than 50 bytes.
    for _ in 0..100 {
        let mut client = UnixStream::connect(&socket).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(b"hi").unwrap();
        client.read_exact(&mut [0; 2]).unwrap();
    }
    let length = fs::metadata(&log).unwrap().len();
    assert!((MOST - 200..=MOST).contains(&length), "the log has {length} bytes: the limit was not reached");
    server.signal(SIGTERM);
    assert_eq!(server.exit_within(PATIENCE).and_then(|status| status.code()), Some(0));
    assert!(!socket.exists());
}

#[track_caller]
fn check_told(ran: &Ran, words: &str) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(words) && ran.stderr.contains("larger than is allowed"), "{ran:?}");
}

#[test]
fn a_result_that_does_not_fit_is_told_and_the_others_are_written() {
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    // A table is shorter than a report.
    let flags = [format!("--json={}", path("json")), format!("--csv={}", path("csv"))];
    let url = server.url("tcp");
    let arguments = ["load", "-c1", "-n50", "--warmup=0s", &flags[0], &flags[1], &url];
    let Some(mut command) = limited(&["--fsize=2000"], &cooee(&arguments), None) else { return };
    let ran = run(&mut command, b"");
    check_told(&ran, "cannot write");
    assert!(ran.printed().contains("latency"), "{ran:?}");
    let table = fs::read_to_string(path("csv")).unwrap();
    assert_eq!(table.lines().count(), 2, "{table}");

    // `report` and `send` are told the same.
    let report = run(&mut cooee(&["load", "-c1", "-n50", "--warmup=0s", "--json=-", &url]), b"");
    let arguments = ["report", "-", &flags[0]];
    let mut command = limited(&["--fsize=500"], &cooee(&arguments), None).unwrap();
    check_told(&run(&mut command, &report.stdout), "cannot write");
    let command = limited(&["--fsize=1000"], &cooee(&["send", "--raw", &url]), None).unwrap();
    let words: Vec<String> = command.get_args().skip(3).map(|word| word.to_str().unwrap().to_owned()).collect();
    let mut redirected = Command::new("sh");
    redirected.args(["-c", &format!("exec \"$@\" >'{}'", path("replies")), "sh"]).args(words);
    check_told(&run(&mut redirected, &[b'x'; 5_000]), "cannot write standard output");
    assert_eq!(fs::metadata(path("replies")).unwrap().len(), 1000);
}

#[test]
fn the_limit_of_cpu_time_drains_a_server_however_often_it_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let (socket, log) = (folder.path().join("socket"), folder.path().join("log"));
    let endpoint = format!("unix://{}", socket.display());
    let command = cooee(&["serve", "--busy-poll=1h", "--drain-timeout=5s", &endpoint]);
    let Some(mut command) = limited(&["--cpu=1:600"], &command, Some(&log)) else { return };
    let mut server = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()));
    let mut client = None;
    wait_until("it listens", || {
        client = UnixStream::connect(&socket).ok();
        client.is_some()
    });
    client.as_mut().unwrap().write_all(b"hi").unwrap();
    assert_eq!(server.exit_within(LONG).and_then(|status| status.code()), Some(0));
    let log = fs::read_to_string(log).unwrap();
    assert!(log.contains("signal 24: draining") && log.contains("drain-timeout=1"), "{log}");
    assert!(!socket.exists());
}

#[test]
fn the_limit_of_cpu_time_ends_a_run_whose_result_is_written() {
    let server = Server::start(&[]);
    let arguments = ["load", "-c1", "-d1h", "--warmup=0s", "--busy-poll=1h", "--json=-", &server.url("tcp")];
    let Some(mut command) = limited(&["--cpu=1:600"], &cooee(&arguments), None) else { return };
    let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let ran = finish_within(Process::spawn(command), LONG);
    let report: Value = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
    assert_eq!(report["interrupted"], true, "{report}");
}
