//! Runs of load as a generator would have measured them, made by hand: what is known of them is exact.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, UNIX_EPOCH};

use cooee::measure::load::error_kind::ErrorKind;
use cooee::measure::load::interval::Interval;
use cooee::measure::load::objective::Objective;
use cooee::measure::load::options::{Options, Pace};
use cooee::measure::load::outcome::{Mismatch, Outcome, Surplus};
use cooee::measure::load::schedule::Schedule;
use cooee::measure::report::Report;
use cooee::measure::report::conditions::Conditions;
use cooee::measure::report::objective::{Found, TriedRate};
use cooee::os::address::Address;
use hdrhistogram::Histogram;

/// A stretch of the runs.
const INTERVAL: Duration = Duration::from_millis(100);

/// What the runs were asked to do: 1,000 messages a second over 50 connections for 10 s.
pub fn options() -> Options {
    Options {
        connections: 50,
        pace: Pace::Open(Schedule::steady(1000.0)),
        interval: INTERVAL,
        ..Options::new(vec![Address::Ip(([127, 0, 0, 1], 9000).into())])
    }
}

/// Where and when they ran.
pub fn conditions() -> Conditions {
    Conditions {
        command: "cooee load -c 50 tcp://127.0.0.1:9000".to_owned(),
        program: "cooee 0.1.0".to_owned(),
        host: "here".to_owned(),
        kernel: "Linux 6.1.0 x86_64".to_owned(),
        cpu: Some("A processor of some kind @ 3.00GHz".to_owned()),
        cores: 2,
        descriptors: Some(20_000),
        process: 4711,
        began: "2026-11-22T12:00:00Z".to_owned(),
        options: Conditions::here([], &options(), UNIX_EPOCH).options,
    }
}

/// A message of a run: when it was due, when it was sent and when its reply was there, from the beginning of the
/// measured time on.
#[derive(Clone, Copy)]
struct Exchange {
    due: Duration,
    sent: Duration,
    answered: Duration,
}

/// What a generator counts of these messages in `duration`.
fn outcome(open_loop: bool, duration: Duration, exchanges: &[Exchange]) -> Outcome {
    let histogram = || Histogram::<u64>::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
    let nanoseconds = |time: Duration| time.as_nanos() as u64;
    let (mut latency, mut send_latency) = (histogram(), histogram());
    let mut stretches: BTreeMap<u128, Histogram<u64>> = BTreeMap::new();
    for exchange in exchanges {
        let from_due = nanoseconds(exchange.answered - exchange.due);
        latency.record(from_due).unwrap();
        send_latency.record(nanoseconds(exchange.answered - exchange.sent)).unwrap();
        let stretch = exchange.answered.as_nanos() / INTERVAL.as_nanos();
        stretches.entry(stretch).or_insert_with(histogram).record(from_due).unwrap();
    }
    let last = stretches.keys().last().map_or(0, |last| last + 1);
    let intervals = (0..last).map(|stretch| {
        let replies = stretches.get(&stretch);
        let at = |quantile| replies.map(|replies| replies.value_at_quantile(quantile) as f64 / 1e3);
        Interval {
            start_s: (INTERVAL * stretch as u32).as_secs_f64(),
            length_s: INTERVAL.as_secs_f64(),
            replies: replies.map_or(0, Histogram::len),
            errors: 0,
            p50_us: at(0.5),
            p99_us: at(0.99),
            max_us: at(1.0),
        }
    });
    let in_time = exchanges.iter().filter(|exchange| exchange.answered < duration).count() as u64;
    Outcome {
        duration,
        connections: 50,
        unopened: 0,
        messages: exchanges.len() as u64,
        replies_in_time: in_time,
        reply_bytes_in_time: in_time * 64,
        latency,
        send_latency,
        intervals: intervals.collect(),
        duplicated: Some(0),
        reordered: Some(0),
        corrupt: Some(0),
        due: exchanges.len() as u64,
        sent: exchanges.len() as u64,
        generator_cpu: Duration::from_micros(4 * exchanges.len() as u64),
        ..Outcome::nothing(open_loop)
    }
}

/// How long an undisturbed server takes for message number `index`: most 80 to 240 µs, one in a hundred 1 ms, one in a
/// thousand 8 ms.
fn service_time(index: u64) -> Duration {
    let scattered = index.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 40;
    match scattered % 1000 {
        0 => Duration::from_micros(8000),
        1..10 => Duration::from_micros(900 + scattered % 300),
        _ => Duration::from_micros(80 + scattered % 160),
    }
}

/// A closed loop without trouble: 50 connections for 10 s.
pub fn closed() -> Report {
    let mut exchanges = Vec::new();
    for connection in 0..50 {
        let mut now = Duration::ZERO;
        while now < Duration::from_secs(10) {
            let index = connection * 1_000_003 + exchanges.len() as u64;
            let answered = now + 20 * service_time(index);
            exchanges.push(Exchange { due: now, sent: now, answered });
            now = answered;
        }
    }
    report(&outcome(false, Duration::from_secs(10), &exchanges))
}

/// An open loop of 1,000 messages a second, whose server stands still from second 4 to second 6. On each of 50
/// connections one message is on its way then; all others leave when it goes on.
pub fn stopped_server() -> Report {
    let (stop, start) = (Duration::from_secs(4), Duration::from_secs(6));
    let exchanges: Vec<Exchange> = (0..10_000)
        .map(|index| {
            let due = Duration::from_millis(index);
            let waited = index.checked_sub(4000).filter(|_| due < start);
            let sent = if waited.is_some_and(|before| before >= 50) { start } else { due };
            let served = if waited.is_some() { start } else { due };
            debug_assert!(due >= stop || waited.is_none());
            Exchange { due, sent, answered: served + service_time(index) }
        })
        .collect();
    report(&outcome(true, Duration::from_secs(10), &exchanges))
}

/// An open loop in which nearly everything went wrong that can, and that was ended early.
pub fn troubled() -> Report {
    let exchanges: Vec<Exchange> = (0..4200)
        .map(|index| {
            let due = Duration::from_millis(index);
            let sent = due + if index % 25 == 0 { Duration::from_millis(2) } else { Duration::ZERO };
            Exchange { due, sent, answered: sent + service_time(index) }
        })
        .collect();
    let mut outcome = outcome(true, Duration::from_millis(4200), &exchanges);
    outcome.errors = [
        (ErrorKind::NoDescriptor, 12),
        (ErrorKind::Reset, 3),
        (ErrorKind::WrongReply, 1),
        (ErrorKind::Unanswered, 7),
        (ErrorKind::Other(io::ErrorKind::HostUnreachable), 2),
    ]
    .into();
    for (interval, errors) in outcome.intervals.iter_mut().zip([12, 0, 0, 2, 0, 0, 1, 3, 0, 7]) {
        interval.errors = errors;
    }
    outcome.late = 168;
    (outcome.held, outcome.held_for, outcome.ended) = (40, Duration::from_millis(900), 17);
    outcome.due += 9;
    outcome.sent += 7;
    outcome.longest_in_vain = Some(Duration::from_millis(2_500));
    outcome.corrupt = Some(1);
    outcome.duplicated = None;
    outcome.interrupted = true;
    outcome.server_cpu = Some(Duration::from_millis(900));
    outcome.mismatch = Some(Mismatch {
        connection: 3,
        message: 41,
        offset: 17,
        expected: b"abcdefghijklmnop".to_vec(),
        got: b"\x1b[31m<script>alert(1)</script>\xff".to_vec(),
    });
    let objective = Objective { quantile: 0.99, latency: Duration::from_millis(2) };
    let mut found = Found::after(&outcome, 50, objective);
    found.reason = Some("The lowest rate that was tried did not keep it either.".to_owned());
    found.steps.push(TriedRate::new(1_000.0, true, objective.judge(1_000.0, &outcome), objective, &outcome));
    Report { objective: Some(found), ..report(&outcome) }
}

/// A closed loop of 50 messages, one at a time: too few to tell a 99th percentile.
pub fn few() -> Report {
    let at = |index: u64| Duration::from_millis(100 * index);
    let exchanges: Vec<Exchange> = (0..50)
        .map(|index| Exchange { due: at(index), sent: at(index), answered: at(index) + service_time(index) })
        .collect();
    report(&Outcome { connections: 1, ..outcome(false, Duration::from_secs(5), &exchanges) })
}

/// A closed loop in which nobody knew when a reply was whole, and more came than was waited for.
pub fn first_bytes() -> Report {
    let at = |index: u64| Duration::from_millis(index);
    let exchanges: Vec<Exchange> = (0..10_000)
        .map(|index| Exchange { due: at(index), sent: at(index), answered: at(index) + service_time(index) })
        .collect();
    let outcome = outcome(false, Duration::from_secs(10), &exchanges);
    report(&Outcome { first_bytes: true, surplus: Some(Surplus { times: 3, bytes: 120 }), corrupt: None, ..outcome })
}

/// An open loop of 2,000 datagrams a second with these replies in each stretch, after 40 µs each. The other messages
/// were lost: how many, and over how many sockets, is for the caller to say.
pub fn datagrams(replies: &[u64]) -> Report {
    let exchanges: Vec<Exchange> = (0..)
        .zip(replies)
        .flat_map(|(stretch, count)| {
            let due = INTERVAL * stretch + Duration::from_millis(10);
            std::iter::repeat_n(Exchange { due, sent: due, answered: due + Duration::from_micros(40) }, *count as usize)
        })
        .collect();
    let duration = INTERVAL * replies.len() as u32;
    let mut outcome = outcome(true, duration, &exchanges);
    // A silence at the end is a part of the course too.
    let stretch = |stretch: usize| Interval {
        start_s: (INTERVAL * stretch as u32).as_secs_f64(),
        length_s: INTERVAL.as_secs_f64(),
        replies: 0,
        errors: 0,
        p50_us: None,
        p99_us: None,
        max_us: None,
    };
    let known = outcome.intervals.len();
    outcome.intervals.extend((known..replies.len()).map(stretch));
    outcome.due = 200 * replies.len() as u64;
    let mut conditions = conditions();
    let options = Options { datagrams: true, timeout: Duration::from_secs(1), ..options() };
    conditions.options = Conditions::here([], &options, UNIX_EPOCH).options;
    Report::new(&outcome, "udp://192.0.2.1:9000", conditions)
}

/// A run against a port where nobody listens.
pub fn nothing() -> Report {
    let mut outcome = outcome(false, Duration::from_secs(10), &[]);
    outcome.connections = 0;
    outcome.errors.insert(ErrorKind::Refused, 50);
    report(&outcome)
}

fn report(outcome: &Outcome) -> Report {
    Report::new(outcome, "tcp://127.0.0.1:9000", conditions())
}
