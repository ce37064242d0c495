//! Goal: over TCP, every byte comes back once, in order, whatever the size, the number of clients and the mode.
//!
//! Method: hundreds of connections held open together in each mode; every size from 0 to 70,000, pipelined on a few
//! connections that echo or acknowledge it; many connections at once that send chunks of 1 B to 1 MiB and compare what
//! comes back by its place in the stream, from send buffers large and small (in full 1,000 of them and `GIGABYTES`, 20
//! unless told otherwise); pipelined requests, whose replies the server's own trace shows to leave in one write.

use std::env;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::thread;
use std::time::Instant;

use crate::support::{Client, Noise, PATIENCE, Server, acknowledged, in_full, len32, measured, noise};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

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

/// The largest chunk that is written at once, and the largest piece that is read.
const CHUNK_MAX: usize = 1024 * 1024;

/// Noise without an end, so that a byte is told by its place. Its period is a prime: no buffer's size is a multiple of
/// it.
struct Pattern(Vec<u8>);

impl Pattern {
    const PERIOD: usize = 1_048_583;

    fn new() -> Pattern {
        let mut bytes = noise(Pattern::PERIOD, 2);
        bytes.extend_from_within(..CHUNK_MAX);
        Pattern(bytes)
    }

    /// Its bytes from `place` on, at most [`CHUNK_MAX`].
    fn at(&self, place: u64, count: usize) -> &[u8] {
        let start = (place % Pattern::PERIOD as u64) as usize;
        &self.0[start..start + count]
    }
}

/// One connection that sends its part of the pattern, and checks what comes back.
struct Exchange {
    stream: TcpStream,
    /// Where its part begins: no other connection's bytes are right here.
    place: u64,
    total: u64,
    sent: u64,
    chunk_end: u64,
    /// Whether the next chunk waits until this one is back: between two the server is at rest.
    is_polite: bool,
    received: u64,
    is_over: bool,
    noise: Noise,
}

impl Exchange {
    fn connect(address: SocketAddr, number: u64, total: u64) -> Exchange {
        let stream = Client::connect(address).stream;
        stream.set_nonblocking(true).unwrap();
        let (place, noise) = (number * 7_919, Noise::new(number));
        Exchange { stream, place, total, sent: 0, chunk_end: 0, is_polite: false, received: 0, is_over: false, noise }
    }

    fn may_send(&self) -> bool {
        self.sent < self.total && !(self.is_polite && self.sent == self.chunk_end && self.received < self.sent)
    }

    fn interest(&self) -> PollFlags {
        if self.may_send() { PollFlags::POLLIN | PollFlags::POLLOUT } else { PollFlags::POLLIN }
    }

    /// Writes what is left of a chunk, or of the next.
    fn send(&mut self, pattern: &Pattern) {
        if self.sent == self.chunk_end {
            // As many small ones as large ones, over all orders of magnitude.
            let below = 1 << self.noise.between(0, CHUNK_MAX.ilog2() as usize);
            let size = self.noise.between(1, below) as u64;
            self.chunk_end = self.total.min(self.sent + size);
            self.is_polite = self.noise.percent(25);
        }
        match self.stream.write(pattern.at(self.place + self.sent, (self.chunk_end - self.sent) as usize)) {
            Ok(count) => self.sent += count as u64,
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        if self.sent == self.total {
            self.stream.shutdown(Shutdown::Write).expect("the write side can be shut");
        }
    }

    fn receive(&mut self, pattern: &Pattern, buffer: &mut [u8]) {
        match self.stream.read(buffer) {
            Ok(0) => {
                assert_eq!(self.received, self.total, "the end came early, or bytes were lost");
                self.is_over = true;
            }
            Ok(count) => {
                let expected = pattern.at(self.place + self.received, count);
                if let Some(at) = buffer.iter().zip(expected).position(|(got, expected)| got != expected) {
                    panic!("the byte at {} is wrong", self.received + at as u64);
                }
                self.received += count as u64;
                assert!(self.received <= self.sent, "more came back than was sent");
            }
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
    }
}

/// Drives all of them to their ends.
fn exchange_all(mut exchanges: Vec<Exchange>, pattern: &Pattern) {
    let mut buffer = vec![0; CHUNK_MAX];
    while !exchanges.is_empty() {
        let mut asked: Vec<PollFd<'_>> =
            exchanges.iter().map(|exchange| PollFd::new(exchange.stream.as_fd(), exchange.interest())).collect();
        let patience = PollTimeout::try_from(PATIENCE).unwrap();
        assert!(poll(&mut asked, patience).expect("poll works") > 0, "nothing moved for {PATIENCE:?}");
        let ready: Vec<PollFlags> = asked.iter().map(|fd| fd.revents().expect("known events")).collect();
        for (exchange, ready) in exchanges.iter_mut().zip(ready) {
            if ready.contains(PollFlags::POLLOUT) {
                exchange.send(pattern);
            }
            if ready.intersects(PollFlags::POLLIN | PollFlags::POLLERR | PollFlags::POLLHUP) {
                exchange.receive(pattern, &mut buffer);
            }
        }
        exchanges.retain(|exchange| !exchange.is_over);
    }
}

#[test]
fn many_connections_get_their_own_bytes_back_in_order() {
    let connections: u64 = in_full(50, 1_000);
    let gigabytes = env::var("GIGABYTES").map_or(20, |count| count.parse().expect("GIGABYTES is a number"));
    let each = in_full(1_200_000, gigabytes * 1_000_000_000 / connections);
    // Every second connection has so small a send buffer that the server has to keep what its socket refuses.
    let server = Server::start(&["tcp://127.0.0.1:0", "tcp://127.0.0.1:0?sndbuf=16KiB"]);
    let addresses = server.addresses();
    let pattern = Pattern::new();
    let connect = |number| Exchange::connect(addresses[number as usize % addresses.len()], number, each);
    let mut first: Vec<Exchange> = (0..connections).map(connect).collect();
    let second = first.split_off(first.len() / 2);
    let start = Instant::now();
    thread::scope(|scope| {
        scope.spawn(|| exchange_all(first, &pattern));
        exchange_all(second, &pattern);
    });
    let took = start.elapsed();
    let summary = server.drain();
    let (all, read, written) = (connections * each, summary.get("bytes_in"), summary.get("bytes_out"));
    assert_eq!((read, written), (all, all), "{summary:?}");
    assert_eq!(summary.get("peer-closed"), connections, "{summary:?}");
    measured(
        "4",
        &format!(
            "{connections} connections (1,000), {:.2} GB in chunks of 1 B to 1 MiB, 0 corrupt bytes (0), bytes in {read} = bytes \
             out {written}, in {:.1} s",
            all as f64 / 1e9,
            took.as_secs_f64()
        ),
    );
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
