//! Goal: over TCP, every byte comes back once, in order, whatever the size, the number of clients and the mode.
//!
//! Method: hundreds of connections held open together in each mode; one connection that is asked for every size that may sit on an
//! edge of a buffer; 10 MB written by one thread and read by another; pipelined requests, whose replies the server's
//! own trace shows to leave in one write.
#![cfg(feature = "cli")]

mod support;

use std::thread;

use support::{Client, Noise, Server, acknowledged, len32};

/// Sizes at which something may change: all small ones, then those around powers of two and multiples of 1,024, then a sample.
fn sizes(noise: &mut Noise) -> Vec<usize> {
    const LARGEST: usize = 70_000;
    let mut sizes: Vec<usize> = (0..=2100).collect();
    let edges = (2..=LARGEST / 1024).map(|times| times * 1024);
    sizes.extend(edges.flat_map(|edge| [edge - 1, edge, edge + 1]));
    sizes.extend((0..200).map(|_| noise.below(LARGEST)));
    sizes.push(LARGEST);
    sizes
}

#[test]
fn hundreds_of_clients_are_served_at_once_in_each_mode() {
    const CLIENTS: usize = 250;
    let server = Server::start(&[
        "tcp://127.0.0.1:0?mode=echo",
        "tcp://127.0.0.1:0?mode=ack&framing=line",
        "tcp://127.0.0.1:0?mode=discard",
    ]);
    let addresses = server.addresses();
    let mut clients: Vec<[Client; 3]> = (0..CLIENTS)
        .map(|_| [Client::connect(addresses[0]), Client::connect(addresses[1]), Client::connect(addresses[2])])
        .collect();
    for round in 0..3 {
        for (number, modes) in clients.iter_mut().enumerate() {
            let message = format!("client {number} in round {round}");
            for client in modes {
                client.send(format!("{message}\n").as_bytes());
            }
        }
        for (number, [echo, ack, _]) in clients.iter_mut().enumerate() {
            let message = format!("client {number} in round {round}");
            echo.expect(format!("{message}\n").as_bytes());
            ack.expect(format!("数据[{message}]收到了!\n").as_bytes());
        }
    }
    for client in clients.into_iter().flatten() {
        assert_eq!(client.finish(), b"", "nothing may come that was not asked for");
    }
    let log = server.stop();
    assert!(log.contains("accepted=750 active=0"), "{log}");
    assert!(log.contains("closed=750(peer-closed=750)"), "{log}");
}

#[test]
fn every_size_comes_back_byte_for_byte() {
    let server =
        Server::start(&["--max-frame", "128KiB", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0?mode=ack&framing=len32"]);
    let addresses = server.addresses();
    let mut noise = Noise::new(1);
    let sizes = sizes(&mut noise);
    let bytes = noise.bytes(70_000);
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut echo = Client::connect(addresses[0]);
            for &size in &sizes {
                echo.echo(&bytes[..size]);
            }
            assert_eq!(echo.finish(), b"");
        });
        let mut ack = Client::connect(addresses[1]);
        for &size in &sizes {
            ack.ask(&len32(&bytes[..size]), &len32(&acknowledged(&bytes[..size])));
        }
        assert_eq!(ack.finish(), b"");
    });
}

#[test]
fn ten_megabytes_come_back_byte_for_byte() {
    let server = Server::start(&[]);
    let bytes = Noise::new(2).bytes(10_000_000);
    let mut client = server.connect();
    let mut writer = client.twin();
    thread::scope(|scope| {
        scope.spawn(|| {
            writer.send(&bytes);
            writer.shutdown();
        });
        let back = client.rest();
        assert_eq!(back.len(), bytes.len());
        assert!(back == bytes, "some byte changed");
    });
    let log = server.stop();
    assert!(log.contains("bytes_in=10000000 bytes_out=10000000"), "{log}");
}

#[test]
fn replies_to_pipelined_requests_leave_together() {
    let server = Server::start(&[
        "-vv",
        "--mode=ack",
        "tcp://127.0.0.1:0?framing=line",
        "tcp://127.0.0.1:0?framing=len32",
        "tcp://127.0.0.1:0?framing=line&mode=echo&bye=close",
    ]);
    let addresses = server.addresses();
    let messages: Vec<String> = (0..40).map(|number| format!("request {number}")).collect();
    let joined = |frame: &dyn Fn(&[u8]) -> Vec<u8>| -> Vec<u8> {
        messages.iter().flat_map(|message| frame(message.as_bytes())).collect()
    };
    let line = |message: &[u8]| [message, b"\n"].concat();
    let exchanges = [
        (joined(&line), joined(&|message| line(&acknowledged(message)))),
        (joined(&|message| len32(message)), joined(&|message| len32(&acknowledged(message)))),
        (joined(&line), joined(&line)),
    ];
    for (address, (requests, replies)) in addresses.iter().zip(exchanges) {
        let mut client = Client::connect(*address);
        let (reads, writes) = (server.logged(" read "), server.logged(" wrote "));
        client.ask(&requests, &replies);
        server.wait_log(&format!("wrote {} bytes, owes 0", replies.len()));
        assert_eq!(server.logged(" wrote "), writes + 1, "{}", server.log());
        assert!(server.logged(" read ") > reads);
    }
}
