//! Goal: a reply is what its bytes say, however they are cut: one read is not one reply.
//!
//! Method: servers of the test's own that write replies a byte at a time, in odd pieces across their borders, and many
//! at once; and ours with large messages, which no read brings whole.

use std::io::Write;
use std::thread;

use crate::support::{FaultyServer, Server, load, take};

const LENGTH: usize = 64;

#[test]
fn a_byte_at_a_time() {
    let server = FaultyServer::start(|_, stream| {
        loop {
            for byte in take(stream, LENGTH)? {
                stream.write_all(&[byte])?;
            }
        }
    });
    load(&server.url(), &["-c4", "-n400"]).assert_right(400);
}

#[test]
fn in_odd_pieces_across_the_borders_of_replies() {
    // What is not a multiple of the piece waits for the next message, until there have been 16 of them.
    const PIECE: usize = 37;
    let server = FaultyServer::start(|_, stream| {
        loop {
            let mut owed = Vec::new();
            for _ in 0..16 {
                owed.extend(take(stream, LENGTH)?);
                while owed.len() >= PIECE {
                    stream.write_all(&owed[..PIECE])?;
                    owed.drain(..PIECE);
                    thread::yield_now();
                }
            }
            stream.write_all(&owed)?;
        }
    });
    load(&server.url(), &["-n1600", "--pipeline=16"]).assert_right(1600);
}

#[test]
fn many_replies_in_one_write() {
    let server = FaultyServer::start(|_, stream| {
        loop {
            let messages = take(stream, 16 * LENGTH)?;
            stream.write_all(&messages)?;
        }
    });
    load(&server.url(), &["-n1600", "--pipeline=16"]).assert_right(1600);
}

#[test]
fn messages_of_every_size() {
    let server = Server::start(&[]);
    for length in ["1", "2", "15", "16", "17", "1024", "1025", "70000"] {
        load(&server.url("tcp"), &["-c2", "-n50", "-l", length, "--pipeline=3"]).assert_right(50);
    }
}

#[test]
fn large_messages_of_256_kib() {
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c4", "-n200", "-l256KiB", "--pipeline=2"]);
    measured.assert_right(200);
    let bytes = measured.number("bytes_per_s") * measured.number("duration_s");
    assert!((bytes / (200.0 * 262_144.0) - 1.0).abs() < 0.01, "{bytes} bytes: {}", measured.shown());
}
