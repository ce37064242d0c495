//! Goal: a message has a longest length, whoever breaks it loses that connection and nothing else, and a claimed length
//! costs nothing.
//!
//! Method: messages of exactly the limit, one more, and the largest claim; a thousand claims of a megabyte each while
//! the server's resident memory is measured. A witness beside every offender checks that nobody else notices.

use crate::support::{Client, Server, acknowledged, len32, measured};

const MAX: usize = 100;

/// A server with a limit of [`MAX`] bytes: echo and ack, each in both framings that have one.
fn server() -> Server {
    Server::start(&[
        "-v",
        "--max-frame=100",
        "tcp://127.0.0.1:0?framing=len32&mode=ack",
        "tcp://127.0.0.1:0?framing=line&mode=ack",
        "tcp://127.0.0.1:0?framing=len32&mode=echo",
        "tcp://127.0.0.1:0?framing=line&mode=echo",
        "tcp://127.0.0.1:0?framing=line&mode=discard",
    ])
}

/// Checks that `request` is answered with `replies` and then the end, for the reason `reason`.
fn check_offence(server: &Server, endpoint: usize, request: &[u8], replies: &[u8], reason: &str) {
    let address = server.addresses()[endpoint];
    let mut witness = Client::connect(server.addresses()[2]);
    witness.echo(&len32(b"before"));
    let mut client = Client::connect(address);
    let closes = format!("tcp://{address} closes {}: {reason}", client.stream.local_addr().unwrap());
    client.send(request);
    assert_eq!(client.rest(), replies, "{reason}");
    server.wait_log(&closes);
    witness.echo(&len32(b"after"));
}

#[test]
fn a_length_of_exactly_the_limit_is_taken_and_one_more_is_not() {
    let server = server();
    let addresses = server.addresses();
    for size in [0, 1, MAX - 1, MAX] {
        let message = vec![b'm'; size];
        Client::connect(addresses[0]).ask(&len32(&message), &len32(&acknowledged(&message)));
        Client::connect(addresses[2]).echo(&len32(&message));
    }
    let told = "frame-too-long (the longest message is 100 bytes)";
    check_offence(&server, 0, &len32(&[b'm'; MAX + 1]), b"", told);
    check_offence(&server, 2, &[0xff; 4], b"", told);
    // What came before the offence is answered.
    let before = [len32(b"fine"), vec![0xff; 4]].concat();
    check_offence(&server, 0, &before, &len32(&acknowledged(b"fine")), told);
    measured(
        "24",
        "lengths 0, 1, max - 1 and max are answered; max + 1 and 2^32 - 1 are closed as frame-too-long, beside a witness",
    );
}

#[test]
fn a_line_of_exactly_the_limit_is_taken_and_one_more_is_not() {
    let server = server();
    let addresses = server.addresses();
    for size in [0, 1, MAX - 1, MAX] {
        for ending in ["\n", "\r\n"] {
            let line = ["m".repeat(size), ending.to_owned()].concat();
            let reply = [&acknowledged("m".repeat(size).as_bytes())[..], ending.as_bytes()].concat();
            Client::connect(addresses[1]).ask(line.as_bytes(), &reply);
            Client::connect(addresses[3]).echo(line.as_bytes());
        }
        // A last line without an ending is held to the same limit.
        let mut client = Client::connect(addresses[3]);
        client.send(&vec![b'm'; size]);
        assert_eq!(client.finish(), vec![b'm'; size]);
    }
    let told = "frame-too-long (the longest message is 100 bytes)";
    let long = "m".repeat(MAX + 1);
    check_offence(&server, 1, format!("{long}\n").as_bytes(), b"", told);
    check_offence(&server, 3, format!("{long}\r\n").as_bytes(), b"", told);
    // It is known to be too long without its ending, and in discard mode too.
    check_offence(&server, 1, long.as_bytes(), b"", told);
    check_offence(&server, 4, long.as_bytes(), b"", told);
}

#[test]
fn lines_keep_the_ending_that_they_came_with() {
    let server = server();
    let addresses = server.addresses();
    let mixed = b"unix\nwindows\r\n\n\r\nlone \r is text\r\nlast\r";
    let mut client = Client::connect(addresses[3]);
    client.send(mixed);
    assert_eq!(client.finish(), mixed);

    let mut client = Client::connect(addresses[1]);
    client.send(mixed);
    let replies: Vec<u8> = [
        (&b"unix"[..], &b"\n"[..]),
        (b"windows", b"\r\n"),
        (b"", b"\n"),
        (b"", b"\r\n"),
        (b"lone \r is text", b"\r\n"),
        (b"last\r", b""),
    ]
    .iter()
    .flat_map(|(message, ending)| [&acknowledged(message)[..], ending].concat())
    .collect();
    assert_eq!(client.finish(), replies);
}

#[test]
fn a_message_cut_short_by_the_end_is_told_as_that() {
    let server = server();
    let mut witness = Client::connect(server.addresses()[2]);
    witness.echo(&len32(b"before"));
    for cut in 1..len32(b"hello").len() {
        let mut client = Client::connect(server.addresses()[2]);
        client.send(&[len32(b"whole"), len32(b"hello")[..cut].to_vec()].concat());
        assert_eq!(client.finish(), len32(b"whole"), "cut at {cut}");
    }
    server.wait_log("frame-truncated");
    witness.echo(&len32(b"after"));
    drop(witness);
    let log = server.stop();
    assert!(log.contains("frame-truncated=8"), "{log}");
}

#[test]
fn a_thousand_false_claims_cost_no_memory() {
    const LARGEST: u32 = 1024 * 1024;
    const LIARS: usize = 1000;
    const GROWTH: usize = 10 * 1024 * 1024;
    let server = Server::start(&["--max-frame=1MiB", "--framing=len32"]);
    let mut witness = server.connect();
    let large = vec![b'w'; 300_000];
    let mut writer = witness.twin();
    std::thread::scope(|scope| {
        scope.spawn(|| writer.send(&len32(&large)));
        witness.expect(&len32(&large));
    });
    let before = server.resident_bytes();
    let mut most = 0;
    // What may come, as long as it does not, and what may not.
    for claim in [LARGEST, LARGEST + 1, u32::MAX] {
        let mut liars: Vec<Client> = (0..LIARS).map(|_| server.connect()).collect();
        for liar in &mut liars {
            liar.send(&[&claim.to_be_bytes()[..], b"that is all"].concat());
        }
        // The witness is answered after them: what they sent has been read.
        witness.echo(&len32(b"still here"));
        let grown = server.resident_bytes().saturating_sub(before);
        assert!(grown < GROWTH, "{grown} bytes for {LIARS} claims of {claim} bytes each");
        most = most.max(grown);
        for liar in liars {
            let end = if claim == LARGEST { liar.finish() } else { liar.twin().rest() };
            assert_eq!(end, b"", "a claim of {claim} bytes");
        }
        witness.echo(&len32(b"and after"));
    }
    drop((witness, writer));
    let summary = server.drain();
    assert_eq!(summary.get("frame-truncated"), LIARS as u64, "{summary:?}");
    assert_eq!(summary.get("frame-too-long"), 2 * LIARS as u64, "{summary:?}");
    let kib = most / 1024;
    measured(
        "24",
        &format!(
            "{LIARS} claims each of max, max + 1 and 2^32 - 1: RSS + {kib} KiB (<= 10 MiB), closed as frame-truncated {LIARS} of {LIARS}, \
             frame-too-long {0} of {0}",
            2 * LIARS
        ),
    );
}
