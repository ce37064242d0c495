//! Goal: what a network does to datagrams is counted as it was: lost, duplicated, reordered and corrupt replies, each
//! by itself; and what cannot be known is not claimed.
//!
//! Method: an echo server of the test's own that does each of these by a fixed pattern, and counts. An open loop with
//! room for what is lost keeps the runs short: a message that is lost holds its place until the time-out.

use std::thread;
use std::time::Duration;

use crate::support::{Fate, Fates, FaultyDatagrams, Loading, Measured, Server, load, udp_client};
use nix::sys::signal::Signal;

/// Sends 1,000 messages in a second to a server with this pattern.
fn measure(fate: impl Fn(u64) -> Fate + Send + 'static, args: &[&str]) -> (Measured, Fates) {
    let server = FaultyDatagrams::start(fate);
    let args = [&["-n1000", "-R1000", "--pipeline=500", "--timeout=500ms"], args].concat();
    let measured = load(&server.url(), &args);
    (measured, server.fates())
}

/// This for every nth reply.
fn every(nth: u64, fate: Fate) -> impl Fn(u64) -> Fate {
    move |number| if number.is_multiple_of(nth) { fate } else { Fate::Delivered }
}

#[track_caller]
fn assert_counts(measured: &Measured, expected: [(&str, u64); 5]) {
    for (name, count) in expected {
        assert_eq!(measured.count(name), count, "{name}: {}", measured.shown());
    }
}

#[test]
fn a_clean_network_loses_nothing() {
    let (measured, fates) = measure(|_| Fate::Delivered, &[]);
    assert_eq!(fates.received, 1000);
    assert_counts(&measured, [("messages", 1000), ("lost", 0), ("duplicated", 0), ("reordered", 0), ("corrupt", 0)]);
}

#[test]
fn each_tenth_is_lost() {
    let (measured, fates) = measure(every(10, Fate::Lost), &[]);
    assert_eq!(fates.lost, 100);
    assert_counts(&measured, [("messages", 900), ("lost", 100), ("duplicated", 0), ("reordered", 0), ("corrupt", 0)]);
    // That is what a network does, and no fault of the server's.
    assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
}

#[test]
fn each_seventh_comes_twice() {
    let (measured, fates) = measure(every(7, Fate::Doubled), &[]);
    assert_eq!(fates.doubled, 142);
    assert_counts(&measured, [("messages", 1000), ("lost", 0), ("duplicated", 142), ("reordered", 0), ("corrupt", 0)]);
}

#[test]
fn each_eleventh_is_overtaken() {
    let (measured, fates) = measure(every(11, Fate::Overtaken), &[]);
    assert_eq!(fates.overtaken, 90);
    assert_counts(&measured, [("messages", 1000), ("lost", 0), ("duplicated", 0), ("reordered", 90), ("corrupt", 0)]);
}

#[test]
fn each_thirteenth_has_a_wrong_byte() {
    let (measured, fates) = measure(every(13, Fate::Damaged(40)), &[]);
    assert_eq!(fates.damaged, 76);
    assert_counts(&measured, [("sent", 1000), ("lost", 76), ("duplicated", 0), ("reordered", 0), ("corrupt", 76)]);
    assert_eq!(measured.ran.code, Some(1), "a wrong byte: {}", measured.shown());
    assert_eq!(measured.report["mismatch"]["offset"], 40, "{}", measured.shown());
}

#[test]
fn a_wrong_byte_anywhere_in_a_message_is_found() {
    // The number of the message is among the bytes that a network can damage.
    const BYTES: [usize; 10] = [0, 1, 7, 8, 14, 15, 16, 17, 62, 63];
    let fate = |number: u64| match number.is_multiple_of(100) {
        true => Fate::Damaged(BYTES[(number / 100) as usize % BYTES.len()]),
        false => Fate::Delivered,
    };
    let (measured, fates) = measure(fate, &[]);
    assert_eq!(fates.damaged, BYTES.len() as u64);
    assert_eq!(measured.count("corrupt"), fates.damaged, "{}", measured.shown());
    assert_eq!(measured.count("messages"), 1000 - fates.damaged, "{}", measured.shown());
    assert_eq!(measured.ran.code, Some(1), "{}", measured.shown());
}

#[test]
fn all_of_it_at_once_on_several_sockets() {
    let fate = |number: u64| match number {
        _ if number.is_multiple_of(10) => Fate::Lost,
        _ if number.is_multiple_of(7) => Fate::Doubled,
        _ if number.is_multiple_of(13) => Fate::Damaged(40),
        _ => Fate::Delivered,
    };
    let (measured, fates) = measure(fate, &["-c4"]);
    assert_eq!(fates.received, 1000);
    // A message that got a wrong reply never got a right one.
    let lost = fates.lost + fates.damaged;
    for (name, count) in [("lost", lost), ("duplicated", fates.doubled), ("corrupt", fates.damaged)] {
        assert_eq!(measured.count(name), count, "{name}: {}", measured.shown());
    }
    assert_eq!(measured.count("messages"), 1000 - lost, "{}", measured.shown());
}

#[test]
fn without_a_number_in_the_message_nothing_is_claimed_about_its_order() {
    for args in [["-l8"], ["-l15"], ["-mhello, this is the same text each time"]] {
        let (measured, _) = measure(|_| Fate::Delivered, &args);
        assert_eq!(measured.count("messages"), 1000, "{}", measured.shown());
        for name in ["duplicated", "reordered"] {
            assert!(measured.report[name].is_null(), "{args:?} {name}: {}", measured.shown());
        }
    }
    let (measured, _) = measure(|_| Fate::Delivered, &["-l16"]);
    assert_counts(&measured, [("messages", 1000), ("lost", 0), ("duplicated", 0), ("reordered", 0), ("corrupt", 0)]);
}

#[test]
fn in_a_closed_loop_a_lost_one_costs_its_timeout_and_no_more() {
    let server = FaultyDatagrams::start(every(10, Fate::Lost));
    let measured = load(&server.url(), &["-c4", "-n100", "--timeout=100ms"]);
    assert_eq!(measured.count("lost"), 10, "{}", measured.shown());
    assert_eq!(measured.count("messages"), 90, "{}", measured.shown());
    assert_eq!(server.fates().received, 100);
}

#[test]
fn a_reply_that_comes_after_the_timeout_is_lost_and_harms_nobody() {
    // Overtaken by the next message, which in a closed loop leaves when this one was given up.
    let server = FaultyDatagrams::start(every(10, Fate::Overtaken));
    let measured = load(&server.url(), &["-n50", "--timeout=200ms"]);
    assert_eq!(measured.count("lost"), 5, "{}", measured.shown());
    assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
    assert!(matches!(measured.ran.code, Some(0)), "{}", measured.shown());
}

#[test]
fn nobody_at_the_port_is_refused_and_no_success() {
    // A socket that is connected elsewhere holds the port, and is nobody to all others.
    let held = udp_client();
    held.connect("127.0.0.1:9").unwrap();
    let url = format!("udp://{}", held.local_addr().unwrap());
    let measured = load(&url, &["-d1s", "--timeout=200ms"]);
    assert_eq!(measured.ran.code, Some(1), "nothing was measured: {}", measured.shown());
    assert_eq!(measured.count("messages"), 0, "{}", measured.shown());
    assert!(measured.errors("refused") >= 1, "{}", measured.shown());
}

#[test]
fn sixteen_sockets_with_eight_in_flight() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let measured = load(&server.url("udp"), &["-c16", "--pipeline=8", "-n20000"]);
    measured.assert_right(20_000);
    assert_counts(
        &measured,
        [("connections", 16), ("lost", 0), ("duplicated", 0), ("reordered", 0), ("messages", 20_000)],
    );
}

#[test]
fn the_warm_up_is_not_counted() {
    // Every reply comes twice, or is lost; as many in the warm-up as in the measured time.
    for (fate, name) in [(Fate::Doubled, "duplicated"), (Fate::Lost, "lost")] {
        let server = FaultyDatagrams::start(move |_| fate);
        let args = ["-R1000", "--warmup=500ms", "-d500ms", "--pipeline=1000", "--timeout=400ms"];
        let measured = load(&server.url(), &args);
        assert_eq!(measured.count("sent"), 500, "{name}: {}", measured.shown());
        // Where a moment decides between the last of the one and the first of the other, it may be a few more or fewer.
        assert!(measured.count(name).abs_diff(500) <= 50, "{name}: {}", measured.shown());
    }
}

#[test]
fn a_socket_that_takes_no_more_is_the_servers_and_nobody_is_late() {
    // While its server is stopped, the queue of a Unix datagram socket is soon full; whoever sends has to wait.
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[&format!("unixgram://{}", folder.path().join("echo").display())]);
    let args = ["-c2", "--pipeline=500", "-R1000", "-d1500ms", "--timeout=3s"];
    let loading = Loading::start(&server.url("unixgram"), &args);
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    server.signal(Signal::SIGSTOP);
    thread::sleep(Duration::from_millis(300));
    server.signal(Signal::SIGCONT);
    let measured = loading.finish();
    assert_eq!(measured.count("sent"), 1500, "{}", measured.shown());
    assert!(measured.latency("max") > 0.25, "{}", measured.shown());
    // It tried again once in a while, and not without a pause, and no attempt counted twice (`late` is at most `sent`).
    assert!(measured.number("generator_cpu_s") < 0.2, "{}", measured.shown());
}

#[test]
fn a_message_that_waits_for_the_place_of_a_lost_one_is_not_late() {
    // One is in flight for 100 ms each time, and ten are due meanwhile: they wait for the server, and not for this
    // program.
    let server = FaultyDatagrams::start(|_| Fate::Lost);
    let measured = load(&server.url(), &["-R100", "-d2s", "--timeout=100ms"]);
    let (sent, late) = (measured.count("sent"), measured.count("late"));
    assert!(sent >= 10 && late * 2 < sent, "{late} of {sent} late: {}", measured.shown());
}
