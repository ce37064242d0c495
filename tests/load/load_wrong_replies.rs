//! Goal: one wrong byte is never missed: it makes the exit code 1, and the report says where it was: which connection,
//! which of its messages, which byte, what had to come and what came.
//!
//! Method: servers of the test's own that change a byte, swap two replies, send one twice, cut one, or send bytes that
//! nobody asked for, in one reply among many.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::support::{FaultyServer, Loading, Measured, cooee, load, resident_bytes, run, take, wait_until};

const LENGTH: usize = 64;

/// A server that changes one byte of the fifth reply on its third connection. The others go no further before that, or
/// they could take all messages.
fn changes_a_byte() -> FaultyServer {
    let is_done = AtomicBool::new(false);
    FaultyServer::answering(LENGTH, move |connection, number, mut message| {
        if (connection, number) == (2, 4) {
            message[17] = b'\x1b';
            is_done.store(true, Ordering::SeqCst);
        } else if connection != 2 && number > 4 {
            wait_until("the byte was changed", || is_done.load(Ordering::SeqCst));
        }
        message
    })
}

#[track_caller]
fn assert_wrong(measured: &Measured) {
    assert_eq!(measured.ran.code, Some(1), "{}", measured.shown());
    assert!(measured.errors("wrong-reply") + measured.errors("unexpected") >= 1, "{}", measured.shown());
    assert!(measured.count("corrupt") >= 1, "{}", measured.shown());
    assert!(measured.report["mismatch"].is_object(), "{}", measured.shown());
}

#[test]
fn a_changed_byte_is_found_and_placed() {
    let server = changes_a_byte();
    let measured = load(&server.url(), &["-c4", "-n400"]);
    assert_wrong(&measured);
    assert_eq!(measured.errors("wrong-reply"), 1, "{}", measured.shown());
    assert_eq!(measured.count("corrupt"), 1, "{}", measured.shown());
    let mismatch = &measured.report["mismatch"];
    assert_eq!(mismatch["connection"], 2, "{mismatch}");
    assert_eq!(mismatch["message"], 4, "{mismatch}");
    assert_eq!(mismatch["offset"], 17, "{mismatch}");
    // The others, and a new connection in the place of that one, went on.
    assert_eq!(measured.count("sent"), 400, "{}", measured.shown());
    assert!(measured.count("messages") >= 390, "{}", measured.shown());
}

#[test]
fn a_person_is_told_where_it_was_and_no_control_byte_comes_through() {
    let server = changes_a_byte();
    let ran = run(&mut cooee(&["load", "--warmup=0s", "-c4", "-n400", &server.url()]), b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = format!("{}{}", ran.printed(), ran.stderr);
    for words in ["WRONG REPLY", "connection 2", "message 4", "byte 17"] {
        assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").contains(words), "no '{words}': {said}");
    }
    assert!(!said.contains('\x1b'), "{said:?}");
}

#[test]
fn the_last_byte_of_the_last_reply_is_checked_too() {
    let server = FaultyServer::answering(LENGTH, |_, number, mut message| {
        if number == 99 {
            message[LENGTH - 1] ^= 0x80;
        }
        message
    });
    let measured = load(&server.url(), &["-n100"]);
    assert_wrong(&measured);
    let mismatch = &measured.report["mismatch"];
    assert_eq!((&mismatch["message"], &mismatch["offset"]), (&99.into(), &63.into()), "{mismatch}");
}

#[test]
fn each_message_differs_from_its_neighbours_so_that_a_swap_shows() {
    // Eight at a time; the third and the fourth of the second eight are swapped.
    let server = FaultyServer::start(|_, stream| {
        for batch in 0.. {
            let mut messages: Vec<Vec<u8>> = Vec::new();
            for _ in 0..8 {
                messages.push(take(stream, LENGTH)?);
            }
            if batch == 1 {
                messages.swap(2, 3);
            }
            stream.write_all(&messages.concat())?;
        }
        Ok(())
    });
    let measured = load(&server.url(), &["-n80", "--pipeline=8", "--timeout=500ms"]);
    assert_wrong(&measured);
    let mismatch = &measured.report["mismatch"];
    assert_eq!(mismatch["message"], 10, "{mismatch}");
}

#[test]
fn the_same_length_on_two_connections_is_not_the_same_message() {
    // Each connection gets what the other one has sent.
    let server = FaultyServer::start({
        let kept = std::sync::Mutex::new(vec![b'.'; LENGTH]);
        move |_, stream| {
            loop {
                let message = take(stream, LENGTH)?;
                let reply = std::mem::replace(&mut *kept.lock().unwrap(), message);
                stream.write_all(&reply)?;
            }
        }
    });
    let measured = load(&server.url(), &["-c2", "-n10"]);
    assert_wrong(&measured);
    assert_eq!(measured.count("messages"), 0, "{}", measured.shown());
}

#[test]
fn a_reply_that_comes_twice_is_no_success() {
    let server = FaultyServer::answering(LENGTH, |_, number, message| {
        let times = if number == 20 { 2 } else { 1 };
        message.repeat(times)
    });
    for pipeline in ["--pipeline=1", "--pipeline=4"] {
        assert_wrong(&load(&server.url(), &["-n100", pipeline, "--timeout=500ms"]));
    }
}

#[test]
fn bytes_that_nobody_asked_for_are_no_success() {
    // A greeting before anything was sent; more after a reply, in the same write; and more behind the last reply.
    let greeting = FaultyServer::start(|_, stream| {
        stream.write_all(b"welcome\n")?;
        loop {
            let message = take(stream, LENGTH)?;
            stream.write_all(&message)?;
        }
    });
    assert_wrong(&load(&greeting.url(), &["-n5"]));
    let more = FaultyServer::answering(LENGTH, |_, number, mut message| {
        if number == 20 {
            message.extend_from_slice(b"\r\n");
        }
        message
    });
    assert_wrong(&load(&more.url(), &["-n100"]));
    let last = FaultyServer::answering(LENGTH, |_, number, mut message| {
        if number == 99 {
            message.push(b'!');
        }
        message
    });
    assert_wrong(&load(&last.url(), &["-n100"]));
}

#[test]
fn a_reply_that_ends_too_early_is_no_success() {
    let server = FaultyServer::answering(LENGTH, |_, number, mut message| {
        message.truncate(if number == 50 { LENGTH - 1 } else { LENGTH });
        message
    });
    let measured = load(&server.url(), &["-n100", "--timeout=300ms"]);
    assert!(measured.errors("timed-out") >= 1, "{}", measured.shown());
    assert!(measured.count("messages") < 100, "{}", measured.shown());
}

#[test]
fn with_expect_any_nothing_is_checked_and_nothing_is_claimed() {
    let server = FaultyServer::answering(LENGTH, |_, _, _| vec![0; LENGTH]);
    let measured = load(&server.url(), &["-n100", "--expect=any"]);
    assert_eq!(measured.count("messages"), 100, "{}", measured.shown());
    assert!(measured.report["corrupt"].is_null(), "{}", measured.shown());
    assert_wrong(&load(&server.url(), &["-n5"]));
}

#[test]
fn a_hostile_flood_is_bounded() {
    // For one message, bytes without end.
    let server = FaultyServer::start(|_, stream| {
        take(stream, LENGTH)?;
        loop {
            stream.write_all(&[0x9b; 64 * 1024])?;
        }
    });
    let loading = Loading::start(&server.url(), &["-c4", "-d1s", "--timeout=300ms"]);
    for _ in 0..10 {
        let bytes = resident_bytes(loading.id());
        assert!(bytes < 64 * 1024 * 1024, "it holds {bytes} bytes");
        thread::sleep(Duration::from_millis(50));
    }
    let measured = loading.finish();
    assert_wrong(&measured);
}
