//! Goal: when its terminal closes, a server drains and a run of load writes its result, although SIGHUP comes more than
//! once; and a terminal that stops who writes from the background does not stop a server.
//!
//! Method: a pseudo-terminal (`pty(7)`). Its other end is closed, as a terminal's window is, and the kernel and the
//! shell send what they send. A client that does not end its side holds the drain up for as long as it may take, so
//! that a signal too many would be seen.

use std::fs::{self, File};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::support::{PATIENCE, Process, Server, children, cooee, skip, try_run, wait_until};
use nix::fcntl::OFlag;
use nix::pty::{PtyMaster, grantpt, posix_openpt, ptsname_r, unlockpt};
use serde_json::Value;

/// A terminal with a session of its own, whose leader runs in it.
struct Terminal {
    window: PtyMaster,
    leader: Process,
    shown: String,
}

impl Terminal {
    /// Opens one, and starts `command` in it. None where this machine cannot.
    fn start(command: &Command) -> Option<Terminal> {
        if !try_run(Command::new("setsid").arg("--version")).is_ok_and(|ran| ran.code == Some(0)) {
            skip("there is no setsid");
            return None;
        }
        let window = posix_openpt(OFlag::O_RDWR | OFlag::O_NOCTTY | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK).unwrap();
        grantpt(&window).unwrap();
        unlockpt(&window).unwrap();
        let inner = || {
            let path = ptsname_r(&window).unwrap();
            let options = File::options().read(true).write(true).custom_flags(OFlag::O_NOCTTY.bits()).open(path);
            Stdio::from(options.unwrap())
        };
        let mut session = Command::new("setsid");
        session.arg("--ctty").arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
        let leader = Process::spawn(session.stdin(inner()).stdout(inner()).stderr(inner()));
        Some(Terminal { window, leader, shown: String::new() })
    }

    /// A shell with job control in a terminal.
    fn shell() -> Option<Terminal> {
        if !try_run(Command::new("bash").arg("--version")).is_ok_and(|ran| ran.code == Some(0)) {
            skip("there is no bash");
            return None;
        }
        Terminal::start(Command::new("bash").args(["--norc", "--noprofile", "-i"]))
    }

    fn type_line(&mut self, line: &str) {
        self.window.write_all(format!("{line}\n").as_bytes()).unwrap();
    }

    /// What is shown by now.
    fn shown(&mut self) -> &str {
        let mut bytes = [0; 4096];
        loop {
            match self.window.read(&mut bytes) {
                Ok(count @ 1..) => self.shown.push_str(&String::from_utf8_lossy(&bytes[..count])),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                _ => return &self.shown,
            }
        }
    }

    /// Closes the window; its session leader is still there.
    fn close(self) -> Process {
        self.leader
    }
}

fn quoted(command: &Command) -> String {
    let words = [command.get_program()].into_iter().chain(command.get_args());
    words.map(|word| format!("'{}'", word.to_str().unwrap())).collect::<Vec<_>>().join(" ")
}

fn connect(socket: &Path) -> UnixStream {
    let mut client = None;
    wait_until("the server listens", || {
        client = UnixStream::connect(socket).ok();
        client.is_some()
    });
    let client = client.unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client
}

#[track_caller]
fn echo(client: &mut UnixStream, text: &str) {
    client.write_all(text.as_bytes()).unwrap();
    let mut bytes = vec![0; text.len()];
    client.read_exact(&mut bytes).unwrap();
    assert_eq!(bytes, text.as_bytes());
}

/// A server's command, its socket and its log in `folder`.
fn server_in(folder: &Path) -> (Command, PathBuf, PathBuf) {
    let (socket, log) = (folder.join("socket"), folder.join("log"));
    (cooee(&["serve", "--drain-timeout=2s", &format!("unix://{}", socket.display())]), socket, log)
}

/// Checks that a server drained for its whole time: what it logged, and its socket's file.
#[track_caller]
fn check_drained(socket: &Path, log: &Path) {
    let text = || fs::read_to_string(log).unwrap_or_default();
    wait_until("the server has told its summary", || text().contains("accepted="));
    let text = text();
    assert!(text.contains("signal 1: draining"), "{text}");
    assert!(text.contains("drain-timeout=1") && !text.contains("aborted"), "it was cut short: {text}");
    wait_until("the socket's file is removed", || !socket.exists());
}

#[test]
fn a_server_whose_terminal_closes_drains_although_the_shell_and_the_kernel_both_tell_it() {
    for background in ["", " &"] {
        let Some(mut terminal) = Terminal::shell() else { return };
        let folder = tempfile::tempdir().unwrap();
        let (command, socket, log) = server_in(folder.path());
        terminal.type_line(&format!("{} 2>'{}'{background}", quoted(&command), log.display()));
        let mut client = connect(&socket);
        echo(&mut client, "hi");
        let mut shell = terminal.close();
        // Where both came before the server looked, it is told of one (`signal(7)`: a standard signal is pending once).
        check_drained(&socket, &log);
        assert!(shell.exit_within(PATIENCE).is_some(), "the shell is gone");
    }
}

#[test]
fn a_server_that_leads_its_session_drains_when_the_terminal_closes() {
    let folder = tempfile::tempdir().unwrap();
    let (command, socket, log) = server_in(folder.path());
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("exec {} 2>'{}'", quoted(&command), log.display())]);
    let Some(terminal) = Terminal::start(&shell) else { return };
    let mut client = connect(&socket);
    echo(&mut client, "hi");
    let mut server = terminal.close();
    check_drained(&socket, &log);
    assert_eq!(server.exit_within(PATIENCE).and_then(|status| status.code()), Some(0));
}

#[test]
fn a_run_of_load_whose_terminal_closes_writes_its_result() {
    let Some(mut terminal) = Terminal::shell() else { return };
    let server = Server::start(&[]);
    let folder = tempfile::tempdir().unwrap();
    let result = folder.path().join("result");
    let json = format!("--json={}", result.display());
    let command = cooee(&["load", "-c1", "-d1h", "--warmup=0s", &json, &server.url("tcp")]);
    terminal.type_line(&quoted(&command));
    server.wait_summary("it sends", |summary| summary.get("messages_in") > 0);
    let load = children(terminal.leader.id())[0];
    let _shell = terminal.close();
    wait_until("the run is over", || crate::support::is_gone(load));
    let report: Value = serde_json::from_slice(&fs::read(&result).unwrap()).expect("a whole report");
    assert_eq!(report["interrupted"], true, "{report}");
}

#[test]
fn a_terminal_that_stops_the_background_does_not_stop_a_server() {
    let Some(mut terminal) = Terminal::shell() else { return };
    let folder = tempfile::tempdir().unwrap();
    let socket = folder.path().join("socket");
    let endpoint = format!("unix://{}", socket.display());
    let command = cooee(&["serve", "-v", &endpoint]);
    // What would have been stopped is seen in the same session.
    terminal.type_line(&format!("stty tostop; (echo never; touch '{}/went-on') &", folder.path().display()));
    terminal.type_line(&format!("{} >/dev/null &", quoted(&command)));
    let mut client = connect(&socket);
    echo(&mut client, "hi");
    wait_until("the server has logged a line", || terminal.shown().contains("accepted"));
    echo(&mut client, "there");
    assert!(!folder.path().join("went-on").exists(), "the terminal stops nobody: {}", terminal.shown());
    drop(client);
    wait_until("it has logged the end", || terminal.shown().contains("closed"));
    // The shell hangs up on its jobs: nothing is left behind.
    let mut shell = terminal.close();
    assert!(shell.exit_within(PATIENCE).is_some(), "the shell is gone");
    wait_until("the server has drained", || !socket.exists());
}
