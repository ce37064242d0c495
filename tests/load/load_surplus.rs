//! Goal: with `--expect any` nobody says when a reply is whole, or which message it answers; and whenever something was
//! taken for a reply that was none, or not all of it, the run says so: `surplus`, a doubt, exit code 3. What is
//! measured then is called what it is.
//!
//! Method: servers of the test's own that answer in pieces, greet, answer at length or twice, on streams, with a
//! connection for each message, and with datagrams; and right ones, which raise no doubt. No test knows how the pieces
//! meet the reads: each wants the doubt.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::Duration;

use crate::support::{
    Fate, FaultyDatagrams, FaultyServer, Loading, Measured, Server, cooee, is_read, load, run, take, wait_until,
};
use nix::sys::signal::Signal;

const LENGTH: usize = 64;

/// Fails unless bytes were left over, and the run says that its figures are worth nothing.
#[track_caller]
fn assert_surplus(measured: &Measured) {
    assert!(measured.count("surplus") > 0 && measured.count("surplus_bytes") > 0, "{}", measured.shown());
    assert_eq!(measured.report["valid"], false, "{}", measured.shown());
    let doubts = measured.report["doubts"].to_string();
    assert!(doubts.contains("No message waited for") && doubts.contains("--framing line"), "{}", measured.shown());
    assert_eq!(measured.ran.code, Some(3), "{}", measured.shown());
    assert!(measured.ran.stderr.contains("No message waited for"), "{}", measured.shown());
}

#[track_caller]
fn assert_no_surplus(measured: &Measured, messages: u64) {
    assert_eq!(measured.count("surplus"), 0, "{}", measured.shown());
    assert_eq!(measured.count("messages"), messages, "{}", measured.shown());
    assert!(!measured.report["doubts"].to_string().contains("No message waited for"), "{}", measured.shown());
}

/// Writes bytes that the other end reads before anything else comes: in one read with what follows nobody could tell
/// them from it.
fn write_apart(stream: &mut TcpStream, bytes: &[u8]) -> io::Result<()> {
    stream.write_all(bytes)?;
    wait_until("they are read", || is_read(stream));
    Ok(())
}

/// Takes messages, whatever their length, and answers each read in two pieces that lie so far apart.
fn in_two_pieces(apart: Duration) -> FaultyServer {
    FaultyServer::start(move |_, stream| {
        let mut bytes = [0; 4096];
        while stream.read(&mut bytes)? > 0 {
            stream.write_all(b"the first piece, ")?;
            thread::sleep(apart);
            stream.write_all(b"and the second")?;
        }
        Ok(())
    })
}

#[test]
fn a_reply_in_two_pieces() {
    let server = in_two_pieces(Duration::from_millis(20));
    // An even number of messages and an odd one; in both loops; until a time is over; one that is alone.
    let even = ["-n10"];
    for args in [&even[..], &["-n11"], &["-n1"], &["-n20", "-R100"], &["-d300ms"], &["-c3", "-n30"]] {
        assert_surplus(&load(&server.url(), &[&["--expect=any"], args].concat()));
    }
    // Apart for longer than is listened at least: that the messages seem to take so long makes it listen longer.
    let server = in_two_pieces(Duration::from_millis(250));
    for count in ["-n4", "-n5"] {
        assert_surplus(&load(&server.url(), &["--expect=any", count]));
    }
}

#[test]
fn a_reply_in_two_pieces_in_the_warm_up_alone() {
    let is_first = std::sync::atomic::AtomicBool::new(true);
    let server = FaultyServer::answering(LENGTH, move |_, _, message| {
        if is_first.swap(false, std::sync::atomic::Ordering::SeqCst) { message.repeat(40_000) } else { message }
    });
    assert_surplus(&load(&server.url(), &["--expect=any", "--warmup=200ms", "-R20", "-d200ms"]));
}

#[test]
fn a_greeting() {
    let server = FaultyServer::start(|_, stream| {
        write_apart(stream, b"welcome\r\n")?;
        answer(stream)
    });
    for args in [&["-n20"][..], &["-c3", "-n20"], &["-n5", "-R50"]] {
        assert_surplus(&load(&server.url(), &[&["--expect=any"], args].concat()));
        // In lines it is a line too many. The server takes 64 bytes a message, so its line break is in them.
        assert_surplus(&load(&server.url(), &[&["--expect=any", "--framing=line", "-l63"], args].concat()));
    }
}

/// Answers each message with itself, as a line.
fn answer(stream: &mut TcpStream) -> io::Result<()> {
    loop {
        let mut message = take(stream, LENGTH)?;
        message[LENGTH - 1] = b'\n';
        write_apart(stream, &message)?;
    }
}

#[test]
fn a_greeting_before_anything_was_sent() {
    // The other connections are opened for a second: until then, nothing is sent on the first.
    let server = FaultyServer::start(|number, stream| {
        if number == 0 {
            stream.write_all(b"welcome\r\n")?;
        }
        answer(stream)
    });
    let measured = load(&server.url(), &["--expect=any", "-c11", "--connect-rate=20", "-n100"]);
    assert_surplus(&measured);
    assert_eq!(measured.count("surplus_bytes"), 9, "{}", measured.shown());
}

#[test]
fn a_greeting_with_a_connection_for_each_message() {
    // The reply comes when this side has ended its own, or a while before; and the server ends its side then, later or
    // never.
    let ends: [fn(&mut TcpStream) -> io::Result<()>; 3] = [
        |_| Ok(()),
        |stream| {
            thread::sleep(Duration::from_millis(100));
            stream.write_all(b"goodbye")
        },
        |_| {
            thread::sleep(Duration::from_secs(2));
            Ok(())
        },
    ];
    for (index, end) in ends.into_iter().enumerate() {
        let server = FaultyServer::start(move |_, stream| {
            stream.write_all(b"welcome\r\n")?;
            let message = take(stream, LENGTH)?;
            thread::sleep(Duration::from_millis(20));
            stream.write_all(&message)?;
            end(stream)
        });
        for args in [&["-n10"][..], &["-c3", "-n10", "-R100"], &["-n1"]] {
            let measured = load(&server.url(), &[&["--churn", "--expect=any"], args].concat());
            assert_surplus(&measured);
            assert_eq!(measured.all_errors(), 0, "{index}: {}", measured.shown());
        }
    }
}

#[test]
fn a_reply_of_a_megabyte() {
    let server = FaultyServer::answering(LENGTH, |_, _, _| vec![b'x'; 1_000_000]);
    for args in [&["-n20"][..], &["-n5", "--churn"], &["-c2", "-d200ms"]] {
        assert_surplus(&load(&server.url(), &[&["--expect=any"], args].concat()));
    }
    // A frame says where it ends, and then it is one reply.
    let server = FaultyServer::answering(LENGTH, |_, _, _| [vec![b'x'; 1_000_000], b"\n".to_vec()].concat());
    let measured = load(&server.url(), &["-n20", "-l63", "--expect=any", "--framing=line"]);
    assert_no_surplus(&measured, 20);
    assert_eq!(measured.report["latency_until"], "whole-reply", "{}", measured.shown());
    assert!(measured.number("bytes_per_s") * measured.number("duration_s") > 19e6, "{}", measured.shown());
}

#[test]
fn two_datagrams_for_one_message() {
    for args in [&["-n50"][..], &["-n50", "-R200"], &["-n1"], &["-n50", "--pipeline=4"]] {
        let server = FaultyDatagrams::start(|_| Fate::Doubled);
        assert_surplus(&load(&server.url(), &[&["--expect=any"], args].concat()));
        // A datagram without a number looks like the answer to the next message, though every byte of it is right.
        assert_surplus(&load(&server.url(), &[&["-mhello"], args].concat()));
    }
}

#[test]
fn a_datagram_when_none_is_in_flight() {
    // The reply to the first message comes behind that to the second, when the first was given up.
    let server = FaultyDatagrams::start(|number| if number == 1 { Fate::Overtaken } else { Fate::Delivered });
    assert_surplus(&load(&server.url(), &["--expect=any", "-n2", "-R4", "--timeout=100ms"]));
}

#[test]
fn the_same_text_twice_on_a_stream_is_found_after_the_last_message() {
    // Each reply comes twice, the second time once the first was read: it is taken for the next one, and every byte is
    // right. No two come in one read, which would show them before the last message.
    let server = FaultyServer::answering(5, |_, _, message| message);
    load(&server.url(), &["-mhello", "-n100"]).assert_right(100);
    let server = FaultyServer::start(|_, stream| {
        loop {
            let message = take(stream, 5)?;
            write_apart(stream, &message)?;
            write_apart(stream, &message)?;
        }
    });
    let measured = load(&server.url(), &["-mhello", "-n20"]);
    assert_eq!(measured.ran.code, Some(1), "{}", measured.shown());
    assert!(measured.errors("unexpected") > 0 && measured.count("corrupt") > 0, "{}", measured.shown());
}

#[test]
fn a_right_server_raises_no_doubt_and_takes_no_time() {
    let server = Server::start(&["127.0.0.1:0", "--mode=ack"]);
    for args in [&["-n200"][..], &["-n200", "--churn"], &["-n200", "-R400", "--churn"], &["-n200", "-c3", "-R1000"]] {
        let measured = load(&server.url("tcp"), &[&["--expect=any"], args].concat());
        assert_no_surplus(&measured, 200);
        assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
        assert_eq!(measured.report["latency_until"], "first-bytes", "{}", measured.shown());
        // What is listened for behind the last reply is no time of measuring.
        if args == ["-n200"] {
            assert!(measured.number("duration_s") < measured.took.as_secs_f64() - 0.1, "{}", measured.shown());
        }
    }
    let measured = load(&server.url("udp"), &["-n200", "--expect=any"]);
    assert_no_surplus(&measured, 200);
    assert_eq!(measured.report["latency_until"], "whole-reply", "a datagram is one: {}", measured.shown());
    // Where every reply shows what it answers, nothing is left over that would not be an error.
    let server = Server::start(&[]);
    assert!(load(&server.url("tcp"), &["-n10"]).report["surplus"].is_null());
}

#[test]
fn what_the_server_does_after_the_last_reply_counts_for_nothing() {
    // It ends each connection a moment after it has answered.
    let server = FaultyServer::start(|_, stream| {
        let message = take(stream, LENGTH)?;
        stream.write_all(&message)?;
        thread::sleep(Duration::from_millis(30));
        Ok(())
    });
    let measured = load(&server.url(), &["--expect=any", "-n1"]);
    assert_no_surplus(&measured, 1);
    assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
}

#[test]
fn whoever_interrupts_the_last_moment_has_the_whole_run() {
    // A reply that took long is listened behind for a second.
    let server = FaultyServer::start(|_, stream| {
        let message = take(stream, LENGTH)?;
        thread::sleep(Duration::from_millis(600));
        stream.write_all(&message)?;
        let _ = take(stream, 1);
        Ok(())
    });
    let loading = Loading::start(&server.url(), &["--expect=any", "-n1"]);
    wait_until("it has connected", || server.accepted() > 0);
    thread::sleep(Duration::from_millis(900));
    loading.signal(Signal::SIGINT);
    let measured = loading.finish();
    assert_eq!(measured.count("messages"), 1, "{}", measured.shown());
    assert_eq!(measured.report["interrupted"], false, "{}", measured.shown());
}

#[test]
fn a_person_is_told_first_bytes_everywhere() {
    let server = in_two_pieces(Duration::from_millis(5));
    let folder = tempfile::tempdir().unwrap();
    let (csv, html) = (folder.path().join("run.csv"), folder.path().join("run.html"));
    let args = ["load", "--warmup=0s", "-n30", "--expect=any", "--csv", csv.to_str().unwrap(), "--html"];
    let ran = run(cooee(&args).args([html.to_str().unwrap(), &server.url()]), b"");
    let text = ran.printed();
    assert!(text.contains("time to first bytes") && text.contains("\nfirst bytes\n"), "{text}");
    assert!(text.contains("INVALID") && text.contains("bytes that no message waited for"), "{text}");
    let csv = std::fs::read_to_string(csv).unwrap();
    assert!(csv.contains(",latency_until,") && csv.contains(",first-bytes,"), "{csv}");
    let html = std::fs::read_to_string(html).unwrap();
    assert!(html.contains("<h2>Time to first bytes</h2>") && !html.contains("Latency by percentile"), "{html}");
}

#[test]
fn a_search_for_a_rate_is_not_made_against_a_server_that_sends_too_much() {
    let server = in_two_pieces(Duration::from_millis(5));
    let args = ["--expect=any", "--slo=p95=100ms", "-d1s"];
    let measured = Loading::start(&server.url(), &args).finish();
    let found = &measured.report["objective"];
    assert!(found["rate"].is_null(), "{}", measured.shown());
    assert!(found["steps"].as_array().unwrap().len() <= 1, "{}", measured.shown());
    assert_eq!(measured.ran.code, Some(3), "{}", measured.shown());
}
