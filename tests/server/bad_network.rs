//! Goal: a network that loses, delays and reorders costs time and datagrams, and nothing else: every byte that arrives
//! is right, every message of a connection arrives, what was lost is counted as lost, and the server works no harder
//! for a message than on a good day.
//!
//! Method: the server and `cooee load`, which compares every byte, are at the two ends of a cable between networks of
//! the test's own. nftables drop packets at random at both ends, in front of reassembly, so that fragments are lost
//! too. A relay between the two holds each frame for a time of its own, so that some overtake others. The same load
//! without the fault says what a message costs.

use std::thread;
use std::time::Duration;

use crate::support::{Link, Loading, Measured, Server, attempt, cpu_time, in_full, load_command, measured};

/// Messages a second.
const RATE: &str = "1000";

/// Bytes of a message: more than one packet holds.
const LENGTH: usize = 2000;

/// Fragments of a datagram of [`LENGTH`] bytes, there and back.
const FRAGMENTS: i32 = 4;

/// How much more CPU time a message may take than without the fault.
fn cost_most() -> f64 {
    in_full(5.0, 2.0)
}

/// What a run has cost the server.
struct Run {
    measured: Measured,
    /// Seconds of CPU time a message that it has received.
    cost: f64,
}

/// Loads a server at the far end from the near one for a while.
fn run(link: &Link, scheme: &str) -> Run {
    let server = link.serve(&["--udp-rate", "0", "--rcvbuf", "4M", &format!("{scheme}://10.77.0.2:9000")]);
    let (time, length) = (in_full("2s", "15s"), LENGTH.to_string());
    let args: &[&str] = match scheme {
        "tcp" => &["-c50", "--timeout=20s"],
        // A datagram that is lost holds its place until the time-out, so there are places for all of them.
        _ => &["-c10", "--pipeline=500", "--timeout=3s"],
    };
    let args = [args, &["-R", RATE, "-d", time, "-l", &length]].concat();
    let before = cpu_time(server.id());
    let command = load_command(&server.url(scheme), &args);
    let measured = Loading::start_command(&mut link.near.enter(&command)).finish_within(3 * crate::support::PATIENCE);
    let used = (cpu_time(server.id()) - before).as_secs_f64();
    rests(&server);
    let summary = server.drain();
    assert_eq!((summary.get("dropped"), summary.get("reset")), (0, 0), "{summary:?}");
    Run { measured, cost: used / summary.get("messages_in").max(1) as f64 }
}

/// The server has nothing to do any more, so it does nothing.
fn rests(server: &Server) {
    const TIME: Duration = Duration::from_millis(300);
    let before = cpu_time(server.id());
    thread::sleep(TIME);
    let used = cpu_time(server.id()) - before;
    assert!(used < TIME / 10, "it has used {used:?} of {TIME:?} in which nobody said anything");
}

/// Checks what no fault excuses: a wrong byte anywhere, an error, or a message of a connection that did not come back.
#[track_caller]
fn check(measured: &Measured, scheme: &str) {
    let shown = measured.shown();
    assert_eq!((measured.count("corrupt"), measured.all_errors()), (0, 0), "{shown}");
    assert_eq!(measured.count("messages") + measured.count("lost"), measured.count("sent"), "{shown}");
    assert_eq!(measured.count("duplicated"), 0, "{shown}");
    if scheme == "tcp" {
        assert_eq!((measured.count("lost"), measured.count("messages")), (0, measured.count("due")), "{shown}");
    }
}

/// Loads it over TCP and over UDP without the fault and then, over `faulty`, with it: `may_lose` says whether so much
/// of the UDP load may be lost, and has to be.
fn compare(what: &str, good: &Link, faulty: &Link, may_lose: impl Fn(f64) -> bool) {
    for scheme in ["tcp", "udp"] {
        let found = attempt(|| {
            let calm = run(good, scheme);
            check(&calm.measured, scheme);
            let run = run(faulty, scheme);
            check(&run.measured, scheme);
            let [calm_lost, lost] = [&calm.measured, &run.measured].map(|of| of.number("lost") / of.number("sent"));
            let times = run.cost / calm.cost;
            let found = format!(
                "{what}, {scheme}: {} messages back of {}, 0 wrong bytes (0), {:.1} % lost (calm {:.1}), p99 {:.1} ms (calm {:.1}), \
                 {:.1} us of CPU a message, {times:.2} times that of a calm network (< 2)",
                run.measured.count("messages"),
                run.measured.count("sent"),
                100.0 * lost,
                100.0 * calm_lost,
                1e3 * run.measured.latency("p99"),
                1e3 * calm.measured.latency("p99"),
                1e6 * run.cost,
            );
            // A machine that stalls lets the queues of the clients run over.
            let is_lost_as_due = scheme == "tcp" || calm_lost <= in_full(0.5, 0.001) && may_lose(lost);
            if times < cost_most() && is_lost_as_due { Ok(found) } else { Err(found) }
        });
        measured("27", &found);
    }
}

/// A cable at whose ends so many packets of a thousand are dropped as they arrive, at random.
fn losing(permille: u32) -> Option<Link> {
    let link = Link::start()?;
    let chain = "type filter hook prerouting priority -450";
    for network in [&link.near, &link.far] {
        if !network.has_filters() {
            return None;
        }
        let rule = format!("numgen random mod 1000 < {permille} counter drop");
        network.sh(&format!("nft 'table inet loss {{ chain arriving {{ {chain}; {rule}; }}; }}'"));
    }
    Some(link)
}

/// How many packets were dropped.
fn dropped(link: &Link) -> u64 {
    let of = |rules: String| {
        let words: Vec<&str> = rules.split_whitespace().collect();
        let count = words.windows(2).find(|pair| pair[0] == "packets").expect("a rule that counts");
        count[1].parse::<u64>().expect("a number")
    };
    [&link.near, &link.far].map(|network| of(network.sh("nft list ruleset"))).iter().sum()
}

fn lose(permille: u32) {
    let (Some(good), Some(bad)) = (Link::start(), losing(permille)) else { return };
    let due = 1.0 - (1.0 - f64::from(permille) / 1000.0).powi(FRAGMENTS);
    // Where the machine stalls, what comes later than the time-out is lost too.
    let most = in_full(1.0, 2.0 * due);
    compare(&format!("{} % loss", f64::from(permille) / 10.0), &good, &bad, |lost| (due / 2.0..=most).contains(&lost));
    assert!(dropped(&bad) > 50, "only {} packets were dropped", dropped(&bad));
}

#[test]
fn one_packet_of_a_hundred_is_lost() {
    lose(10);
}

#[test]
fn one_packet_of_twenty_is_lost() {
    lose(50);
}

#[test]
fn packets_are_late_and_overtake_each_other() {
    let (Some(good), Some(bad)) = (Link::start(), Link::long(Duration::from_millis(1), Duration::from_millis(9)))
    else {
        return;
    };
    // The kernel gives a datagram up whose fragments more than 64 others overtake (ipfrag_max_dist), as they may after
    // a stall.
    let late_most = in_full(0.5, 0.01);
    compare("1 to 10 ms late", &good, &bad, |lost| lost <= late_most);
    let carried = bad.unplug();
    assert!(carried.overtaken > carried.frames / 10, "hardly anything was reordered: {carried:?}");
    measured("27", &format!("reordering: {} of {} frames overtaken (> 0)", carried.overtaken, carried.frames));
}
