//! Goal: every kind of message that the flags describe is what goes out, and what has to come back: each framing, an
//! acknowledgement in each encoding, a text, nothing checked at all; and what cannot be checked is refused, with the
//! reason, before anything is connected.
//!
//! Method: our server, whose log says which messages it has read, and the usage errors of the binary against a port
//! that counts who connects.

use std::io::Write;
use std::net::TcpListener;
use std::thread;
use std::time::Duration;

use crate::support::{FaultyServer, Loading, Server, cooee, load, resident_bytes, run, take};

#[test]
fn every_framing_of_an_echo() {
    for framing in ["chunk", "line", "len32"] {
        let server = Server::start(&["--framing", framing]);
        let args = ["-c4", "-n2000", "--pipeline=16", "--framing", framing];
        load(&server.url("tcp"), &args).assert_right(2000);
    }
}

#[test]
fn acknowledgements_in_each_encoding() {
    for framing in ["line", "len32"] {
        for encoding in ["utf-8", "gbk"] {
            let server = Server::start(&["--mode=ack", "--framing", framing, "--encoding", encoding]);
            let args = ["-c4", "-n1000", "--pipeline=8", "--expect=ack", "--framing", framing, "--encoding", encoding];
            load(&server.url("tcp"), &args).assert_right(1000);
        }
    }
}

#[test]
fn an_acknowledgement_in_words_of_ones_own() {
    let server = Server::start(&["--mode=ack", "--framing=line", "--ack-format=<{}> ok"]);
    let args = ["-n500", "--expect=ack", "--framing=line"];
    load(&server.url("tcp"), &[&args[..], &["--ack-format=<{}> ok"]].concat()).assert_right(500);
    // Other words are a wrong reply, and so is an acknowledgement where an echo was expected.
    for expect in ["--expect=ack", "--expect=echo"] {
        let measured = load(&server.url("tcp"), &["-n5", "--framing=line", expect]);
        assert_eq!(measured.errors("wrong-reply"), 5, "{}", measured.shown());
        assert_eq!(measured.count("messages"), 0, "{}", measured.shown());
    }
}

#[test]
fn an_acknowledgement_in_chunk_framing_one_at_a_time() {
    let server = Server::start(&["--mode=ack", "--encoding=gbk"]);
    load(&server.url("tcp"), &["-c4", "-n1000", "--expect=ack", "--encoding=gbk"]).assert_right(1000);
}

#[test]
fn an_acknowledgement_of_datagrams() {
    let server = Server::start(&["--mode=ack", "--encoding=gbk", "udp://127.0.0.1:0"]);
    let args = ["-c4", "-n1000", "--pipeline=4", "--expect=ack", "--encoding=gbk"];
    load(&server.url("udp"), &args).assert_right(1000);
}

#[test]
fn a_text_is_sent_as_it_is_in_its_encoding() {
    let server = Server::start(&["--framing=line", "--encoding=gbk", "--log-messages"]);
    let args = ["-n3", "-m你好 cooee", "--encoding=gbk", "--framing=line"];
    load(&server.url("tcp"), &args).assert_right(3);
    assert_eq!(server.stop().matches("你好 cooee").count(), 3);
}

#[test]
fn messages_are_letters_and_digits_each_another() {
    let server = Server::start(&["--framing=line", "--log-messages"]);
    load(&server.url("tcp"), &["-n50", "-c2", "-l40", "--framing=line"]).assert_right(50);
    let log = server.stop();
    let mut messages: Vec<&str> =
        log.lines().filter(|line| line.contains("message from")).map(|line| line.rsplit(' ').next().unwrap()).collect();
    assert_eq!(messages.len(), 50, "{log}");
    for message in &messages {
        assert_eq!(message.len(), 40, "{message}");
        assert!(message.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{message}");
    }
    messages.sort_unstable();
    messages.dedup();
    assert_eq!(messages.len(), 50, "some message was sent twice: {log}");
}

#[test]
fn with_any_reply_a_server_that_answers_otherwise_is_measured() {
    let server = Server::start(&["--mode=ack", "--framing=line"]);
    let measured = load(&server.url("tcp"), &["-n500", "--expect=any", "--framing=line", "--pipeline=4"]);
    assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
    assert_eq!(measured.count("messages"), 500, "{}", measured.shown());
    assert!(measured.report["corrupt"].is_null(), "{}", measured.shown());
}

#[test]
fn replies_that_are_too_long_to_be_any_are_bounded() {
    // Lines of 1 MiB and a byte, of 60,000 bytes, and a length that is believed by nobody.
    let line = |length| FaultyServer::answering(65, move |_, _, _| [vec![b'x'; length], b"\n".to_vec()].concat());
    let (longer, long) = (line(1024 * 1024 + 2), line(60_000));
    let claim = FaultyServer::answering(68, |_, _, _| b"\xff\xff\xff\xff".to_vec());
    for (server, args) in [
        (&longer, &["--framing=line"][..]),
        (&long, &["--framing=line", "--max-reply=59000"]),
        (&claim, &["--framing=len32"]),
    ] {
        let args = [&["-n3", "--expect=any", "--timeout=5s"], args].concat();
        let measured = load(&server.url(), &args);
        assert_eq!(measured.errors("reply-too-long"), 3, "{}", measured.shown());
        assert_eq!(measured.count("messages"), 0, "{}", measured.shown());
        assert_eq!(measured.ran.code, Some(1), "{}", measured.shown());
        assert!(measured.report["mismatch"].is_null(), "nothing had to come: {}", measured.shown());
    }
    // Longer than its message, and than a read: whole with its end.
    for server in [&long, &line(1024 * 1024)] {
        let measured = load(&server.url(), &["-n20", "-c2", "--expect=any", "--framing=line"]);
        assert_eq!(measured.count("messages"), 20, "{}", measured.shown());
        assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
        assert!(matches!(measured.ran.code, Some(0 | 3)), "{}", measured.shown());
    }
}

#[test]
fn a_reply_that_goes_on_for_ever_takes_no_memory() {
    let server = FaultyServer::start(|_, stream| {
        take(stream, 65)?;
        loop {
            stream.write_all(&[b'x'; 64 * 1024])?;
        }
    });
    let args = ["-c8", "-d1s", "--expect=any", "--framing=line", "--max-reply=1GiB", "--timeout=700ms"];
    let loading = Loading::start(&server.url(), &args);
    let most = (0..10).map(|_| {
        thread::sleep(Duration::from_millis(50));
        resident_bytes(loading.id())
    });
    let most = most.max().unwrap();
    assert!(most < 64 * 1024 * 1024, "it holds {most} bytes");
    let measured = loading.finish();
    assert_eq!(measured.count("messages"), 0, "{}", measured.shown());
}

#[test]
fn what_cannot_be_is_refused_before_anything_is_connected() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let address = listener.local_addr().unwrap();
    let (tcp, udp) = (format!("tcp://{address}"), format!("udp://{address}"));
    for (args, word) in [
        (&["--expect=ack", "--pipeline=2", &tcp][..], "--pipeline"),
        (&["--expect=any", "--pipeline=2", &tcp], "--pipeline"),
        (&["--expect=any", "--max-reply=1k", &tcp], "--max-reply"),
        (&["--max-reply=1k", "--framing=line", &tcp], "--max-reply"),
        (&["--expect=any", "--max-reply=1k", "--framing=line", &udp], "--max-reply"),
        (&["--expect=ack", "-l2000", &tcp], "--length"),
        (&["--churn", &udp], "--churn"),
        (&["-l70000", &udp], "--length"),
        (&["--source=::1", &tcp], "--source"),
        // TEST-NET-1 (RFC 5737) is nobody's.
        (&["--source=192.0.2.1", &tcp], "--source"),
        (&["-m", "", &tcp], "--message"),
        (&["-m", "a\nb", "--framing=line", &tcp], "--message"),
        (&["-m", "x", "-l5", &tcp], "--length"),
        (&["-n5", "-d1s", &tcp], "--duration"),
        (&["-R5", "--ramp=1:2/1s", &tcp], "--ramp"),
        (&["--churn", "--pipeline=2", &tcp], "--pipeline"),
        (&["-c0", &tcp], "at least 1"),
        (&["-c100000000", &tcp], "--connections"),
        (&["--pipeline=18446744073709551615", &tcp], "--pipeline"),
        (&["-c1000", "--pipeline=1000000", &udp], "--pipeline"),
        (&["-l15EiB", &tcp], "--length"),
        (&["-l8GiB", "--framing=len32", &tcp], "--length"),
        (&["-n0", &tcp], "0"),
        (&["-R0", &tcp], "more than 0"),
        (&["--ack-format=x", "--expect=ack", &tcp], "{}"),
        (&["--encoding=klingon", &tcp], "klingon"),
        (&["tcp://127.0.0.1:0"], "port 0"),
        (&["http://127.0.0.1:80"], "unknown scheme"),
        (&["tcp://127.0.0.1:80?mode=ack"], "flags"),
        (&[], "ENDPOINT"),
    ] {
        let ran = run(cooee(&["load"]).args(args), b"");
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains(word), "{args:?}: {ran:?}");
        assert_eq!(ran.stdout, b"", "{args:?}: {ran:?}");
    }
    assert!(listener.accept().is_err(), "somebody has connected");
}
