//! Goal: nobody starves: a ping is answered while firehoses are on, they keep most of their rate beside many pings, and
//! bytes behind TCP urgent data are echoed at once.
//!
//! Method: clients that write and read as fast as they can while the standard probe, or another client, measures its
//! round trips; and urgent data (MSG_OOB) in front of ordinary bytes, where a read stops short at the mark and no
//! second edge tells of what lies behind it. In full the server has a core of its own, so that its fairness is measured
//! and not the scheduler's.

use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Client, Probe, Server, alone, attempt, beside, cooee, in_full, is_full, measured, on_core, wait_until,
};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use socket2::SockRef;

/// Round trips of a ping, sorted.
fn round_trips(ping: &mut Client) -> Vec<Duration> {
    let mut round_trips: Vec<Duration> = (0..200)
        .map(|_| {
            let start = Instant::now();
            ping.echo(b"ping");
            start.elapsed()
        })
        .collect();
    round_trips.sort();
    round_trips
}

/// Generous, for a loaded machine: who starves waits for as long as the firehose is on.
#[track_caller]
fn check_is_served(round_trips: &[Duration]) {
    let (median, worst) = (round_trips[round_trips.len() / 2], round_trips[round_trips.len() - 1]);
    assert!(median < Duration::from_millis(100), "median {median:?}, worst {worst:?}");
    assert!(worst < Duration::from_secs(2), "median {median:?}, worst {worst:?}");
}

/// Keeps this thread, and whatever it starts, off the server's core; false where there is no second one.
fn leave_core_to_the_server() -> bool {
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let mut others = CpuSet::new();
    (1..cores).for_each(|core| others.set(core).expect("a core"));
    cores > 1 && sched_setaffinity(Pid::from_raw(0), &others).is_ok()
}

/// Bytes a second that firehoses get back while `meanwhile` runs: they write and read as fast as they can.
fn echoed_to_firehoses<T>(server: &Server, firehoses: usize, meanwhile: impl FnOnce() -> T) -> (f64, T) {
    let block = vec![b'x'; 256 * 1024];
    let echoed = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..firehoses {
            let mut reader = server.connect();
            let mut writer = reader.twin();
            let (block, echoed, stop) = (&block, &echoed, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    writer.send(block);
                }
                writer.shutdown();
            });
            scope.spawn(move || {
                let mut bytes = vec![0; 256 * 1024];
                while let Ok(count @ 1..) = reader.stream.read(&mut bytes) {
                    echoed.fetch_add(count as u64, Ordering::Relaxed);
                }
            });
        }
        wait_until("the firehoses are on", || echoed.load(Ordering::Relaxed) > 16 * 1024 * 1024);
        let (before, start) = (echoed.load(Ordering::Relaxed), Instant::now());
        // Were somebody to starve, the firehoses would never stop.
        let found = catch_unwind(AssertUnwindSafe(meanwhile));
        let (count, took) = (echoed.load(Ordering::Relaxed) - before, start.elapsed());
        stop.store(true, Ordering::Relaxed);
        (count as f64 / took.as_secs_f64(), found.unwrap_or_else(|panic| resume_unwind(panic)))
    })
}

/// Four firehoses alone, then beside the probe.
fn serve_firehoses_and_the_probe() -> String {
    const FIREHOSES: usize = 4;
    let time = in_full(Duration::from_secs(1), Duration::from_secs(10));
    // Every day the other tests have the cores too.
    let is_pinned = is_full() && leave_core_to_the_server();
    attempt(|| {
        let serve = cooee(&["serve", "tcp://127.0.0.1:0"]);
        let server = Server::start_command(&mut if is_pinned { on_core(0, &serve) } else { serve }, 1);
        let probe = Probe::calm(&server.url("tcp"), time);
        let (alone, ()) = echoed_to_firehoses(&server, FIREHOSES, || thread::sleep(time));
        let (with_probe, probed) = echoed_to_firehoses(&server, FIREHOSES, || probe.start(time).finish());
        let kept = with_probe / alone;
        // Every day it is enough that they are not starved either.
        let least = in_full(0.005, 0.5);
        let hogs = format!(
            "{FIREHOSES} firehoses keep {:.0} % of the {:.0} MiB/s that they get alone (>= {})",
            kept * 100.0,
            alone / f64::from(1 << 20),
            least * 100.0
        );
        beside(probed, kept >= least, |probe| format!("{probe}, {hogs}"))
    })
}

#[test]
fn a_ping_is_answered_while_firehoses_are_on() {
    let _alone = alone();
    // A thread of its own: where it may run is no matter of the other tests.
    let found = thread::spawn(serve_firehoses_and_the_probe).join().unwrap_or_else(|panic| resume_unwind(panic));
    measured("9", &found);
}

#[test]
fn a_ping_is_answered_while_more_comes_than_can_be_discarded() {
    let _alone = alone();
    // Nothing is owed for what is discarded, so nothing but the budget of a turn stops the reading; and looking at
    // lines takes longer than sending them.
    let server = Server::start(&["tcp://127.0.0.1:0?mode=discard&framing=line&rcvbuf=4MiB", "tcp://127.0.0.1:0"]);
    let addresses = server.addresses();
    let block = b"a line\n".repeat(100_000);
    let sent = AtomicU64::new(0);
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        let firehose = Client::connect(addresses[0]);
        for mut writer in [firehose.twin(), firehose.twin(), firehose.twin()] {
            let (block, sent, stop) = (&block, &sent, &stop);
            scope.spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    writer.send(block);
                    sent.fetch_add(block.len() as u64, Ordering::Relaxed);
                }
            });
        }
        wait_until("the firehose is on", || sent.load(Ordering::Relaxed) > 16 * 1024 * 1024);
        let mut ping = Client::connect(addresses[1]);
        // Were it to starve, the writers would never stop.
        let round_trips = catch_unwind(AssertUnwindSafe(|| round_trips(&mut ping)));
        stop.store(true, Ordering::Relaxed);
        check_is_served(&round_trips.expect("the ping is served"));
    });
}

#[test]
fn bytes_behind_urgent_data_are_echoed_at_once() {
    let _alone = alone();
    const ROUNDS: usize = 200;
    // Where the mark is mistaken for the end of what has come, they wait for the next packet: for ever.
    let at_once = in_full(Duration::from_secs(2), Duration::from_millis(50));
    let found = attempt(|| {
        let server = Server::start(&[]);
        let mut client = server.connect();
        let mut slowest = Duration::ZERO;
        for round in 0..ROUNDS {
            // The urgent byte itself is out of band, and no part of the stream.
            let before = format!("before {round} ");
            let behind = format!("behind {round} ");
            client.send(before.as_bytes());
            SockRef::from(&client.stream).send_out_of_band(b"!").unwrap();
            client.send(behind.as_bytes());
            let start = Instant::now();
            client.expect(format!("{before}{behind}").as_bytes());
            slowest = slowest.max(start.elapsed());
        }
        assert_eq!(client.finish(), b"");
        let millis = |time: Duration| time.as_secs_f64() * 1e3;
        let found = format!(
            "{ROUNDS} of {ROUNDS} echoed (20 of 20), the slowest after {:.2} ms (< {:.0} ms)",
            millis(slowest),
            millis(at_once)
        );
        if slowest < at_once { Ok(found) } else { Err(found) }
    });
    measured("6a", &found);
}

#[test]
fn urgent_data_alone_and_in_front_of_the_end_does_no_harm() {
    let _alone = alone();
    let server = Server::start(&[]);
    for _ in 0..50 {
        let mut client = server.connect();
        SockRef::from(&client.stream).send_out_of_band(b"!").unwrap();
        client.echo(b"after");
        client.send(b"last ");
        SockRef::from(&client.stream).send_out_of_band(b"words!").unwrap();
        assert_eq!(client.finish(), b"last words", "only the last urgent byte is out of band");
    }
}
