//! Goal: a peer that ends its side gets every byte that it is owed, then a FIN, and never a RST.
//!
//! Method: connections (in full 10,000) that send 1 byte to 256 KiB, shut their write side and read to the end, with
//! the FIN behind the data and in one packet with it (TCP_CORK), where no second edge tells of it, and behind data of
//! which most is still owed, since the windows are small; messages that only the end completes; and conversations that
//! the server ends while input lies unread behind the last message, which close(2) would answer with a RST.

use std::io::Write;
use std::thread;
use std::time::Instant;

use crate::support::{Client, Noise, Server, acknowledged, in_full, measured};
use socket2::SockRef;

#[test]
fn every_byte_comes_back_after_a_half_close_and_then_a_fin() {
    let rounds = in_full(300, 10_000);
    let server = Server::start(&[]);
    let mut noise = Noise::new(3);
    let bytes = noise.bytes(256 * 1024);
    let mut all = 0;
    let start = Instant::now();
    for round in 0..rounds {
        // Spread over the orders of magnitude, the largest among them.
        let size = match round {
            0..4 => bytes.len() - round as usize,
            _ => 1 + noise.below(1 << (1 + round % 18)),
        };
        all += size as u64;
        let mut client = server.connect();
        let mut writer = client.twin();
        thread::scope(|scope| {
            scope.spawn(|| {
                writer.send(&bytes[..size]);
                writer.shutdown();
            });
            // A RST would be an error of the read, or wait in the socket.
            assert!(client.rest() == bytes[..size], "round {round}, {size} bytes");
        });
        assert!(client.stream.take_error().unwrap().is_none(), "round {round}: a RST behind the FIN");
    }
    let took = start.elapsed();
    let summary = server.drain();
    assert_eq!((summary.get("closed"), summary.get("peer-closed")), (rounds, rounds), "{summary:?}");
    assert_eq!((summary.get("bytes_in"), summary.get("bytes_out")), (all, all), "{summary:?}");
    measured(
        "5",
        &format!(
            "{rounds} half-closes (10,000) of 1 B to 256 KiB: 100 % of {all} bytes back (100 %), {rounds} FIN, 0 RST (0), in {:.1} s",
            took.as_secs_f64()
        ),
    );
}

#[test]
fn what_is_owed_when_the_end_comes_still_leaves() {
    let mut noise = Noise::new(4);
    for round in 0..5 {
        // Neither socket takes much, so most of the echo is in the server's hands already when the end comes.
        let server = Server::start(&["-vv", "tcp://127.0.0.1:0?sndbuf=4KiB"]);
        let bytes = noise.bytes(60 * 1024);
        let mut client = Client::connect_with_small_buffer(server.address());
        client.send(&bytes);
        server.wait_log("write would block: it owes ");
        client.shutdown();
        server.wait_log("read 0: the peer has ended its side");
        assert!(client.rest() == bytes, "round {round}");
    }
}

#[test]
fn a_fin_in_one_packet_with_the_data_is_seen() {
    let server = Server::start(&["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?mode=ack&framing=len32"]);
    for address in server.addresses() {
        for size in (1..300).chain([1024, 4000, 16_000]) {
            let mut client = Client::connect(address);
            let socket = SockRef::from(&client.stream);
            socket.set_tcp_nodelay(false).unwrap();
            socket.set_tcp_cork(true).unwrap();
            let message = vec![b'x'; size];
            let (request, reply) = if address == server.addresses()[0] {
                (message.clone(), message)
            } else {
                (crate::support::len32(&message), crate::support::len32(&acknowledged(&message)))
            };
            client.send(&request);
            client.shutdown();
            assert!(client.rest() == reply, "{size} bytes");
        }
    }
}

#[test]
fn what_only_the_end_completes_is_answered_at_the_end() {
    let server =
        Server::start(&["-vv", "--mode=ack", "tcp://127.0.0.1:0?encoding=gbk", "tcp://127.0.0.1:0?framing=line"]);
    let addresses = server.addresses();
    let gbk = |message: &[u8]| [b"\xca\xfd\xbe\xdd[", message, b"]\xca\xd5\xb5\xbd\xc1\xcb!"].concat();

    // The first byte of a character waits for the second; at the end it is a message as it is.
    let mut client = Client::connect(addresses[0]);
    client.ask(b"a\xca", &gbk(b"a"));
    assert_eq!(client.finish(), gbk(b"\xca"));

    // A last line needs no ending, and then its reply gets none.
    let mut client = Client::connect(addresses[1]);
    client.ask(b"whole\r\npart", &[&acknowledged(b"whole")[..], b"\r\n"].concat());
    assert_eq!(client.finish(), acknowledged(b"part"));

    // Nothing at all is no message.
    for address in addresses {
        assert_eq!(Client::connect(address).finish(), b"");
    }
}

#[test]
fn the_reply_to_bye_arrives_although_input_lies_unread_behind_it() {
    let server = Server::start(&["--mode=ack", "--framing=line"]);
    for round in 0..60 {
        // More or less of it, so that the end of the conversation falls before, within and after a read.
        let sent = [&b"hello\nbye\n"[..], &vec![b'x'; 4000 * round]].concat();
        let mut client = server.connect();
        let mut writer = client.twin();
        thread::scope(|scope| {
            // The server reads and drops what comes after `bye`, so that a RST does not overtake the reply.
            scope.spawn(|| {
                writer.send(&sent);
                writer.shutdown();
            });
            let replies = [&acknowledged(b"hello")[..], b"\n", &acknowledged(b"bye"), b"\n"].concat();
            assert_eq!(client.rest(), replies, "round {round}");
        });
    }
    let log = server.stop();
    assert!(log.contains("closed=60(ended=60)"), "{log}");
}

#[test]
fn a_client_that_goes_on_writing_after_bye_is_not_reset() {
    let server = Server::start(&["--mode=ack", "--framing=line"]);
    let mut client = server.connect();
    client.send(b"bye\n");
    // The reply, and the FIN behind it, are there before anything more is sent.
    assert_eq!(client.rest(), [&acknowledged(b"bye")[..], b"\n"].concat());
    for _ in 0..50 {
        client.stream.write_all(b"still here\n").expect("the server reads on and drops");
    }
    client.shutdown();
    assert_eq!(client.rest(), b"");
    let log = server.stop();
    assert!(log.contains("closed=1(ended=1)"), "{log}");
}
