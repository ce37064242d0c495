//! Goal: without a free descriptor the loop rests and serves whom it has; and as soon as there are descriptors again it
//! serves those who wait, although no new SYN comes to say so.
//!
//! Method: `prlimit` takes the descriptors of a running server away. First the standard probe goes on beside that, over
//! connections that it already had. Then the CPU time of nothing but waiting is measured, while newcomers keep coming:
//! each of them is an edge, and none may be a failing `accept` of its own. The server's summary counts the failing
//! ones.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Missed, PATIENCE, Probe, Server, attempt, beside, in_full, measured};

/// Connections that the server has besides those of the probe.
const KNOWN: usize = 5;

/// Sets the soft descriptor limit of a running server.
fn limit_descriptors(server: &Server, limit: usize) {
    let mut command = Command::new("prlimit");
    let status = command.args([format!("--pid={}", server.id()), format!("--nofile={limit}:")]).status();
    assert!(status.expect("prlimit of util-linux").success());
}

/// Lines that the server has logged, without the summaries that it was asked for.
fn logged_lines(server: &Server) -> usize {
    server.log().lines().filter(|line| !line.contains("accepted=")).count()
}

/// A client that the kernel accepts for a server that cannot. It has sent something already.
fn newcomer(server: &Server) -> Client {
    let mut client = server.connect();
    client.send(b"patience");
    client
}

#[test]
fn without_descriptors_the_loop_rests_and_serves_again_when_there_are_some() {
    measured("1", &attempt(run_out_of_descriptors));
}

fn run_out_of_descriptors() -> Result<String, Missed> {
    let (probe_time, quiet_time) = in_full((2, 2), (10, 30));
    let (probe_time, quiet_time) = (Duration::from_secs(probe_time), Duration::from_secs(quiet_time));
    let server = Server::start(&[]);
    let probe = Probe::calm(&server.url("tcp"), probe_time);
    let mut known: Vec<Client> = (0..KNOWN).map(|_| server.connect()).collect();
    known.iter_mut().for_each(|client| client.echo(b"within the limit"));
    let calm = server.wait_summary("the calm probe has gone", |summary| summary.get("active") == KNOWN as u64);
    // The probe's descriptors are above the limit that is set below: when it goes, none of them can be used again.
    let (limit, before) = (server.descriptors(), logged_lines(&server));
    let probing = probe.start(probe_time);
    let all = calm.get("accepted") + 200;
    server.wait_summary("the probe is connected", |summary| summary.get("accepted") == all);

    limit_descriptors(&server, limit);
    let start = Instant::now();
    let mut waiting: Vec<Client> = (0..20).map(|_| newcomer(&server)).collect();
    server.wait_log("cannot accept");
    let probed = probing.finish();

    let (ticks, quiet) = (server.cpu_ticks(), Instant::now());
    while quiet.elapsed() < quiet_time {
        waiting.push(newcomer(&server));
        thread::sleep(Duration::from_millis(10));
    }
    let core = (server.cpu_ticks() - ticks) as f64 / quiet.elapsed().as_secs_f64();
    let (lines, time) = (logged_lines(&server) - before, start.elapsed().as_secs_f64());
    let failed = server.summary().get("accept");
    let rate = failed as f64 / time;
    // It has tried in vain since the last SYN came, so nothing but its own timer can tell it of a free descriptor.
    server.wait_summary("it tries again", |summary| summary.get("accept") >= failed + 2);

    let served_within = |waiting: &mut [Client]| {
        let free = Instant::now();
        waiting.iter_mut().for_each(|client| client.expect(b"patience"));
        free.elapsed().as_secs_f64()
    };
    known.truncate(KNOWN - 2);
    let two = served_within(&mut waiting[..2]);
    known.iter_mut().for_each(|client| client.echo(b"still here"));
    limit_descriptors(&server, 10_000);
    let rest = served_within(&mut waiting[2..]);
    drop((known, waiting));
    let summary = server.drain();
    assert_eq!(summary.get("closed"), summary.get("accepted"));

    let per_minute = lines as f64 * 60.0 / time;
    let found = |probed: &str| {
        format!(
            "{time:.0} s without: {core:.2} % of a core (< {}), {rate:.1} failing accepts a second (<= 20), {lines} log lines or \
         {per_minute:.1} a minute (<= 10), {probed}; served {two:.2} s after two closed and {rest:.2} s after the limit rose (<= 1)",
            in_full(20, 1),
        )
    };
    let soon = in_full(PATIENCE.as_secs_f64() / 4.0, 1.0);
    // A line that is told at once and never again is many a minute only because the time is short.
    let is_quiet = if quiet_time < Duration::from_secs(20) { lines <= 2 } else { per_minute <= 10.0 };
    let is_met = core < in_full(20.0, 1.0) && rate <= 20.0 && is_quiet && two.max(rest) <= soon;
    beside(probed, is_met, found)
}
