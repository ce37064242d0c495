//! Goal: a jump of the wall clock closes nobody, and holds nobody open: every time limit is kept on the monotonic clock.
//!
//! Method: the server runs under libfaketime, which gives it a wall clock of the test's own and leaves CLOCK_MONOTONIC alone. That clock jumps
//! an hour and ten years, ahead and back, beside a client that talks and one that is silent. The times in the log show that the server
//! has seen each jump.
#![cfg(all(feature = "cli", target_os = "linux"))]

mod support;

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use support::{Server, attempt, cooee, in_full, measured, skip};
use tempfile::TempDir;

/// Where the wall clock goes, seen from the true time.
const JUMPS: [&str; 4] = ["+3600", "-3600", "+10y", "-10y"];

/// The library of Debian's package `faketime`, whatever the machine.
fn libfaketime() -> Option<PathBuf> {
    let folders = fs::read_dir("/usr/lib").ok()?.flatten().map(|entry| entry.path().join("faketime"));
    let mut libraries = folders.chain([PathBuf::from("/usr/lib/faketime")]).map(|path| path.join("libfaketimeMT.so.1"));
    libraries.find(|path| path.exists())
}

/// A wall clock for one server.
struct WallClock {
    folder: TempDir,
    library: PathBuf,
}

impl WallClock {
    /// None where there is no libfaketime.
    fn new() -> Option<WallClock> {
        let Some(library) = libfaketime() else {
            skip("there is no libfaketime (Debian: faketime)");
            return None;
        };
        let clock = WallClock { folder: tempfile::tempdir().unwrap(), library };
        clock.jump("+0");
        Some(clock)
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }

    /// The server reads the file whenever it asks for the time, so it has to be whole at any moment.
    fn jump(&self, offset: &str) {
        let new = self.folder.path().join("new");
        fs::write(&new, format!("{offset}\n")).unwrap();
        fs::rename(new, self.file()).unwrap();
    }

    fn serve(&self, args: &[&str]) -> Server {
        let mut command = cooee(&[&["serve", "tcp://127.0.0.1:0"], args].concat());
        command.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", self.file());
        command.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        Server::start_command(&mut command, 1)
    }
}

/// The hour that the server's clock shows.
fn hour(server: &Server) -> String {
    server.summary();
    let log = server.log();
    let last = log.lines().rfind(|line| line.contains("messages_in=")).expect("a summary");
    let digit = last.find(|character: char| character.is_ascii_digit()).expect("a time");
    last[digit..][.."2026-11-22T12".len()].to_owned()
}

#[test]
fn a_jump_closes_nobody() {
    let Some(clock) = WallClock::new() else { return };
    let server = clock.serve(&[]);
    let (mut silent, mut active) = (server.connect(), server.connect());
    silent.echo(b"hello");
    let mut before = hour(&server);
    for jump in JUMPS {
        clock.jump(jump);
        let after = hour(&server);
        assert_ne!(before, after, "the server has not seen the jump to {jump}");
        before = after;
        // Two round trips: deadlines are looked at once a turn.
        active.echo(b"before");
        active.echo(b"after");
        let summary = server.summary();
        assert_eq!((summary.get("active"), summary.get("closed")), (2, 0), "{jump}: {}", server.log());
    }
    silent.echo(b"still here");
    measured("13", &format!("0 wrong closes (0) in jumps of the wall clock to {}", JUMPS.join(", ")));
}

#[test]
fn a_jump_holds_nobody_open() {
    const IDLE: f64 = 0.5;
    let Some(clock) = WallClock::new() else { return };
    let server = clock.serve(&["--idle-timeout=500ms"]);
    let found = attempt(|| {
        let mut times = Vec::new();
        for jump in JUMPS {
            clock.jump("+0");
            let mut silent = server.connect();
            let start = Instant::now();
            silent.echo(b"hello");
            clock.jump(jump);
            assert_eq!(silent.rest(), b"");
            times.push(start.elapsed());
        }
        let last = times.iter().max().map_or(0.0, Duration::as_secs_f64);
        let first = times.iter().min().map_or(0.0, Duration::as_secs_f64);
        let figure =
            format!("idle limit of 0.5 s kept across them: closed after {first:.2} s to {last:.2} s (0.5 s + 0.5)");
        if first >= IDLE && last <= IDLE + in_full(5.0, 0.5) { Ok(figure) } else { Err(figure) }
    });
    measured("13", &found);
    assert_eq!(server.summary().get("idle-timeout"), server.summary().get("closed"));
}
