//! Goal: in a closed loop exactly as much is sent, and counted, as was asked for: so many messages, or for so long, and
//! nothing of the warm-up.
//!
//! Method: our server, whose summary says how many messages it has read, on how many connections.

use crate::support::{Server, load};

#[test]
fn exactly_so_many_messages() {
    for args in [&["-n1"][..], &["-n777"], &["-n1000", "-c7"], &["-n3", "-c10"], &["-n1001", "-c3", "--pipeline=16"]] {
        let server = Server::start(&["--framing=len32"]);
        let measured = load(&server.url("tcp"), &[args, &["--framing=len32"]].concat());
        let asked: u64 = args[0][2..].parse().unwrap();
        measured.assert_right(asked);
        assert_eq!(measured.count("sent"), asked, "{}", measured.shown());
        assert_eq!(measured.report["loop"], "closed", "{}", measured.shown());
        assert_eq!(server.drain().get("messages_in"), asked, "{args:?}: {}", measured.shown());
    }
}

#[test]
fn for_so_long() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c5", "-d700ms"]);
    measured.assert_all_right();
    let seconds = measured.number("duration_s");
    assert!((0.7..0.9).contains(&seconds), "{seconds} s: {}", measured.shown());
    let rate = measured.number("messages_per_s");
    // What came after its end was waited for, and is no part of the rate.
    let messages = measured.count("messages") as f64;
    assert!((rate * seconds / messages - 1.0).abs() < 0.05, "{rate}/s: {}", measured.shown());
    let bytes = measured.number("bytes_per_s");
    assert!((bytes / rate - 64.0).abs() < 0.01, "{bytes} bytes/s: {}", measured.shown());
}

#[test]
fn the_warm_up_is_not_counted() {
    let server = Server::start(&["--framing=len32"]);
    let measured = load(&server.url("tcp"), &["-n500", "--warmup=300ms", "--framing=len32"]);
    measured.assert_right(500);
    let served = server.drain().get("messages_in");
    assert!(served > 500, "{served} messages: was there a warm-up? {}", measured.shown());
    assert_eq!(measured.count("sent"), 500, "{}", measured.shown());
}

#[test]
fn the_warm_up_of_an_open_loop_is_not_counted() {
    let server = Server::start(&["--framing=len32"]);
    let args = ["-R500", "-d1s", "--warmup=500ms", "-c4", "--framing=len32"];
    let measured = load(&server.url("tcp"), &args);
    assert_eq!(measured.count("messages"), 500, "{}", measured.shown());
    assert_eq!(server.drain().get("messages_in"), 750, "{}", measured.shown());
}

#[test]
fn a_pipeline_holds_so_many_in_flight_and_no_more() {
    use crate::support::{FaultyServer, take};
    use std::io::Write;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::Duration;

    // The server answers only when 16 messages have come; and it looks whether a 17th has come before that.
    let too_many = Arc::new(AtomicUsize::new(0));
    let seen = too_many.clone();
    let server = FaultyServer::start(move |_, stream| {
        loop {
            let batch = take(stream, 16 * 64)?;
            stream.set_read_timeout(Some(Duration::from_millis(20)))?;
            seen.fetch_add(stream.peek(&mut [0; 64]).unwrap_or(0), Ordering::SeqCst);
            stream.set_read_timeout(Some(crate::support::PATIENCE))?;
            stream.write_all(&batch)?;
        }
    });
    let measured = load(&server.url(), &["-n320", "--pipeline=16"]);
    measured.assert_right(320);
    assert_eq!(too_many.load(Ordering::SeqCst), 0, "more than 16 were in flight");
}

#[test]
fn the_figures_agree_with_each_other() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c8", "-n20000"]);
    measured.assert_right(20_000);
    let names = ["p50", "p90", "p99", "p999", "p9999", "max"];
    let figures = names.map(|name| measured.latency(name));
    assert!(figures.is_sorted() && figures[0] > 0.0, "{}", measured.shown());
    assert!((figures[0] / 100.0..=figures[5]).contains(&measured.latency("mean")), "{}", measured.shown());
    // In a closed loop a message is due when it is sent.
    assert_eq!(measured.report["latency_us"], measured.report["send_latency_us"], "{}", measured.shown());
    // Little's law: connections = rate × latency, and a little for the generator's own turn.
    let in_flight = measured.number("messages_per_s") * measured.latency("mean");
    assert!((3.0..8.5).contains(&in_flight), "{in_flight} in flight on 8 connections: {}", measured.shown());
    assert_eq!(measured.count("late"), 0, "{}", measured.shown());
    assert!(measured.number("generator_cpu_s") > 0.0, "{}", measured.shown());
    assert_eq!(measured.count("version"), 1, "{}", measured.shown());
}
