//! Goal: over TCP, every byte comes back once, in order, whatever the size, the number of clients and the mode.
//!
//! Method: hundreds of connections held open together in each mode; every size from 0 to 70,000, pipelined on a few connections
//! that echo or acknowledge it; 10 MB written by one thread and read by another; pipelined requests, whose replies the server's
//! own trace shows to leave in one write.
#![cfg(feature = "cli")]

mod support;

use std::thread;

use support::{Client, Server, acknowledged, len32, noise};

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
    const LARGEST: usize = 70_000;
    /// Connections of each mode; each has its share of the sizes, from small to large.
    const CONNECTIONS: usize = 2;
    let server =
        Server::start(&["--max-frame", "128KiB", "tcp://127.0.0.1:0", "tcp://127.0.0.1:0?mode=ack&framing=len32"]);
    let bytes = noise(2 * LARGEST, 1);
    // No two sizes begin alike, so what comes back for another size is not taken for the right one.
    let message = |size: usize| &bytes[size..2 * size];
    type Frame = fn(&[u8]) -> Vec<u8>;
    let modes: [(Frame, Frame); 2] =
        [(<[u8]>::to_vec, <[u8]>::to_vec), (len32, |message| len32(&acknowledged(message)))];
    thread::scope(|scope| {
        for (address, (request, reply)) in server.addresses().into_iter().zip(modes) {
            for first in 0..CONNECTIONS {
                let sizes = (first..=LARGEST).step_by(CONNECTIONS);
                let mut client = Client::connect(address);
                let mut writer = client.twin();
                let shares = sizes.clone();
                scope.spawn(move || {
                    shares.for_each(|size| writer.send(&request(message(size))));
                    writer.shutdown();
                });
                scope.spawn(move || {
                    sizes.for_each(|size| client.expect(&reply(message(size))));
                    assert_eq!(client.rest(), b"");
                });
            }
        }
    });
}

#[test]
fn ten_megabytes_come_back_byte_for_byte() {
    let server = Server::start(&[]);
    let bytes = noise(10_000_000, 2);
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
