//! Goal: the wall clock may jump by an hour or by ten years, either way: nobody is closed for it, every timeout still
//! comes when it should, and what the load generator measures stays true.
//!
//! Method: libfaketime under one process, whose wall clock jumps while it runs (the machine's own is never touched):
//! beneath the server, a run of load, and a client that waits for a reply. That the jump was seen is read from the
//! times in the log, or from the run's report.

use std::net::TcpListener;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::support::{
    Client, Loading, Process, Server, WallClock, cooee, finish, in_full, load_command, measured, wait_until,
};

const HOUR: f64 = 3_600.0;
const YEAR: f64 = 365.0 * 24.0 * HOUR;

/// The jumps, and how far they are, in seconds.
const JUMPS: [(&str, f64); 4] = [("+1h", HOUR), ("-1h", -HOUR), ("+10y", 10.0 * YEAR), ("-10y", -10.0 * YEAR)];

/// How many seconds a time that a program wrote lies behind the right one; in front of it, where negative.
fn offset(time: &str) -> f64 {
    let time = humantime::parse_rfc3339_weak(time).unwrap_or_else(|error| panic!("{time}: {error}"));
    let since =
        |time: SystemTime| time.duration_since(SystemTime::UNIX_EPOCH).expect("a time since 1970").as_secs_f64();
    since(time) - since(SystemTime::now())
}

/// A jump was seen where the offset is nearer to it than half an hour; years have leap days.
#[track_caller]
fn assert_jumped(time: &str, jump: (&str, f64)) {
    let leap_days = jump.1.abs() / YEAR * 24.0 * HOUR;
    assert!((offset(time) - jump.1).abs() < HOUR / 2.0 + leap_days, "the clock did not jump by {}: {time}", jump.0);
}

/// Lets the server's clock jump; how long after its last byte a silent client was closed, as a part of its idle
/// timeout.
fn serve_through(clock: &WallClock, jump: (&str, f64), idle: Duration) -> f64 {
    let idle_timeout = format!("--idle-timeout={}ms", idle.as_millis());
    let serve = cooee(&["serve", "-v", &idle_timeout, "--drain-timeout=1s", "tcp://127.0.0.1:0"]);
    let server = Server::start_command(&mut clock.under(&serve), 1);
    let (mut silent, mut active) = (server.connect(), server.connect());
    active.echo(b"before");
    thread::sleep(idle / 10);
    silent.echo(b"before");
    let spoke = Instant::now();
    clock.jump(jump.0);
    server.summary();
    let log = server.log();
    let line = log.lines().rev().find(|line| line.contains("messages_in=")).expect("the summary");
    assert_jumped(line.split(' ').next().unwrap(), jump);
    let closed = thread::scope(|scope| {
        let closed = scope.spawn(|| {
            assert_eq!(silent.rest(), b"", "a FIN");
            spoke.elapsed()
        });
        while !closed.is_finished() {
            active.echo(b"and still");
            thread::sleep(idle / 20);
        }
        closed.join().unwrap()
    });
    active.echo(b"after");
    assert_eq!(server.logged("idle-timeout"), 1, "{}", server.log());
    // The jump back is one more.
    clock.jump("+0s");
    active.echo(b"to the end");
    let asked = Instant::now();
    let summary = server.drain();
    assert_eq!(summary.get("active"), 0, "{summary:?}");
    assert!(asked.elapsed() < Duration::from_secs(10), "the drain took {:?}", asked.elapsed());
    closed.as_secs_f64() / idle.as_secs_f64()
}

#[test]
fn a_jump_closes_nobody_and_every_timeout_comes_in_time() {
    let idle = in_full(Duration::from_secs(2), Duration::from_secs(10));
    let clocks: Option<Vec<WallClock>> = JUMPS.iter().map(|_| WallClock::new()).collect();
    let Some(clocks) = clocks else { return };
    let parts: Vec<f64> = thread::scope(|scope| {
        let runs = JUMPS.into_iter().zip(clocks);
        let runs: Vec<_> = runs.map(|(jump, clock)| scope.spawn(move || serve_through(&clock, jump, idle))).collect();
        runs.into_iter().map(|run| run.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    });
    let (first, last) = (parts.iter().copied().fold(f64::MAX, f64::min), parts.iter().copied().fold(0.0, f64::max));
    // A second is what the table allows; every day the machine may be busy.
    let late = in_full(3.0, 1.0 / idle.as_secs_f64());
    assert!(first > 0.99, "closed after {first} of the idle timeout");
    assert!(last < 1.0 + late, "closed after {last} of the idle timeout");
    measured(
        "13",
        &format!(
            "4 jumps (1 h and 10 years, either way), 0 wrong closes (0); silent connections closed after {first:.3} to {last:.3} idle \
             timeouts of {idle:?} (1.0 to {:.1})",
            1.0 + late
        ),
    );
}

#[test]
fn a_run_of_load_measures_the_same_through_a_jump() {
    let seconds = in_full(2, 10);
    thread::scope(|scope| {
        for jump in JUMPS {
            let Some(clock) = WallClock::new() else { return };
            scope.spawn(move || {
                let server = Server::start(&[]);
                let duration = format!("-d{seconds}s");
                let load = load_command(&server.url("tcp"), &["-c5", "-R200", &duration, "--timeout=5s"]);
                let loading = Loading::start_command(&mut clock.under(&load));
                wait_until("the run goes on", || server.summary().get("messages_in") > 0);
                thread::sleep(Duration::from_secs(seconds) / 4);
                clock.jump(jump.0);
                let measured = loading.finish();
                // A busy machine makes sends late, and that is said (exit code 3); a jump is neither late nor an error.
                assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
                assert_eq!((measured.all_errors(), measured.count("corrupt")), (0, 0), "{}", measured.shown());
                assert_eq!(measured.count("messages"), 200 * seconds, "{}", measured.shown());
                assert_eq!(measured.count("messages"), measured.count("due"), "{}", measured.shown());
                let took = measured.number("duration_s");
                assert!((took - seconds as f64).abs() < 2.0, "it says that it took {took} s: {}", measured.shown());
                assert!(measured.latency("max") < 5.0, "{}", measured.shown());
                let intervals = measured.report["intervals"].as_array().expect("intervals");
                let starts: Vec<f64> = intervals.iter().map(|interval| interval["start_s"].as_f64().unwrap()).collect();
                assert!(starts.is_sorted() && starts.iter().all(|start| *start < took + 1.0), "{starts:?}");
                // It began before the jump, and says when by the clock of that time.
                assert_jumped(measured.report["conditions"][0]["began"].as_str().expect("a time"), ("0", 0.0));
            });
        }
    });
}

#[test]
fn a_client_waits_no_longer_and_no_shorter() {
    let wait = Duration::from_secs(1);
    thread::scope(|scope| {
        for jump in JUMPS {
            let Some(clock) = WallClock::new() else { return };
            scope.spawn(move || {
                // One that accepts, and never answers.
                let server = TcpListener::bind("127.0.0.1:0").unwrap();
                let address = server.local_addr().unwrap().to_string();
                let send = cooee(&["send", "-v", &address, "-m", "hello?", "--wait", "1s"]);
                let mut send = clock.under(&send);
                let start = Instant::now();
                let waiting = Process::spawn(send.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()));
                let mut silent = Client::over(server.accept().unwrap().0);
                silent.expect(b"hello?");
                clock.jump(jump.0);
                let ran = finish(waiting);
                let took = start.elapsed();
                assert!(took > wait && took < 10 * wait, "it waited {took:?}: {ran:?}");
                assert!(ran.stderr.contains("20"), "it says the time: {ran:?}");
            });
        }
    });
}
