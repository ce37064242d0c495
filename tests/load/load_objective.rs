//! Goal: `--slo` finds a rate that the server keeps, and no higher one; and says so where there is none.
//!
//! Method: a server of the test's own that takes five milliseconds for a message, on one connection: 200 messages a
//! second is the most that it can do, and with a little room to it, nobody waits long.

use std::thread;
use std::time::Duration;

use crate::support::{FaultyServer, Loading, Measured, cooee, run};
use serde_json::Value;

/// How long a search may take on a busy machine.
const LONG: Duration = Duration::from_secs(90);

/// A server that takes five milliseconds for a message.
fn slow() -> FaultyServer {
    FaultyServer::answering(64, |_, _, message| {
        thread::sleep(Duration::from_millis(5));
        message
    })
}

fn search(server: &FaultyServer, objective: &str) -> Measured {
    let args = [&format!("--slo={objective}"), "-d1s", "--timeout=500ms"];
    Loading::start(&server.url(), &args).finish_within(LONG)
}

fn is_too_slow(step: &Value) -> bool {
    step["verdict"].as_str().expect("a verdict").contains("too slow to tell")
}

#[test]
fn the_highest_rate_is_one_that_the_server_keeps() {
    let server = slow();
    let measured = search(&server, "p90=40ms");
    let found = &measured.report["objective"];
    let steps = found["steps"].as_array().unwrap_or_else(|| panic!("no steps: {}", measured.shown()));
    match found["rate"].as_f64() {
        Some(rate) => {
            assert!((10.0..=200.0).contains(&rate), "{rate}/s: {}", measured.shown());
            let last = steps.last().expect("it was confirmed");
            assert_eq!((&last["kept"], &last["confirms"]), (&true.into(), &true.into()), "{}", measured.shown());
            assert!(last["latency_us"].as_f64() <= Some(40_000.0), "{}", measured.shown());
            // The report is that of the run that confirms it.
            assert!(measured.latency("p90") <= 0.04, "{}", measured.shown());
            assert_eq!(measured.report["loop"], "open", "{}", measured.shown());
        }
        // Where others take the processor, that is told.
        None => assert!(steps.iter().any(is_too_slow), "{}", measured.shown()),
    }
    for step in steps.iter().filter(|step| step["rate"].as_f64() > Some(202.0)) {
        assert_eq!(step["kept"], false, "more than it can do: {}", measured.shown());
    }
}

#[test]
fn a_rate_with_hardly_a_message_is_none() {
    // Five messages a second at the most: in a second there are too few of them to say anything about half of them.
    let server = FaultyServer::answering(64, |_, _, message| {
        thread::sleep(Duration::from_millis(200));
        message
    });
    let measured = search(&server, "p50=250ms");
    assert!(matches!(measured.ran.code, Some(1 | 3)), "{}", measured.shown());
    assert!(measured.report["objective"]["rate"].is_null(), "{}", measured.shown());
}

#[test]
fn where_no_rate_keeps_it_that_is_said_and_no_success() {
    let server = slow();
    let measured = search(&server, "p50=1ms");
    assert!(matches!(measured.ran.code, Some(1 | 3)), "{}", measured.shown());
    assert!(measured.report["objective"]["rate"].is_null(), "{}", measured.shown());
    assert_eq!(measured.report["objective"]["percentile"], "p50", "{}", measured.shown());
}

#[test]
fn a_search_that_cannot_succeed_ends_early_and_tells_what_it_tried() {
    // One message in flight takes five milliseconds without waiting for another, so no rate is tried at all.
    let server = slow();
    let alone = search(&server, "p50=1ms");
    let found = &alone.report["objective"];
    assert_eq!(found["closed_loop"]["in_flight"], 1, "{}", alone.shown());
    assert!(found["closed_loop"]["latency_us"].as_f64() >= Some(5_000.0), "{}", alone.shown());
    if alone.report["valid"] == true {
        assert_eq!(found["steps"].as_array().map(Vec::len), Some(0), "{}", alone.shown());
        assert!(found["reason"].as_str().expect("a reason").contains("One message in flight"), "{}", alone.shown());
    }
    // With several, a quarter of the rate shows it: it is no better.
    let args = ["--slo=p50=1ms", "-c4", "-d1s", "--timeout=500ms"];
    let measured = Loading::start(&server.url(), &args).finish_within(LONG);
    let found = &measured.report["objective"];
    let steps = found["steps"].as_array().unwrap_or_else(|| panic!("no steps: {}", measured.shown()));
    assert!(found["rate"].is_null() && !steps.is_empty(), "{}", measured.shown());
    if !steps.iter().any(is_too_slow) {
        assert!(steps.len() <= 3, "{}", measured.shown());
        assert!(found["reason"].as_str().expect("a reason").contains("no better"), "{}", measured.shown());
    }
    // A person reads the same.
    let ran = run(&mut cooee(&["load", "--slo=p50=1ms", "-d1s", &server.url()]), b"");
    let said = String::from_utf8_lossy(&ran.stdout);
    for words in ["No rate was found", "closed loop, 1 in flight: ", "no rate keeps it"] {
        assert!(said.contains(words) || ran.code == Some(3), "'{words}': {ran:?}");
    }
}

#[test]
fn an_objective_that_makes_no_sense_is_refused() {
    for objective in ["", "p99", "p99=", "p98=1ms", "p99=0", "p99=fast", "99=1ms"] {
        let ran = run(&mut cooee(&["load", "--slo", objective, "127.0.0.1:9"]), b"");
        assert_eq!(ran.code, Some(2), "{objective}: {ran:?}");
    }
    for flag in ["-R100", "--ramp=1:2/1s", "-n100"] {
        let ran = run(&mut cooee(&["load", "--slo=p99=1ms", flag, "127.0.0.1:9"]), b"");
        assert_eq!(ran.code, Some(2), "{flag}: {ran:?}");
    }
}
