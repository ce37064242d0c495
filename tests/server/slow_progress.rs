//! Goal: whoever reads slowly, but some within every idle timeout, is not closed, and gets every byte.
//!
//! Method: clients with small receive buffers against a server with small send buffers. Each sends its bytes as fast as
//! they are taken, and reads a little several times an idle timeout. Most of the time the server has read all and owes
//! the rest: nothing but the writes that the kernel takes now and then is a sign of life. Every byte is compared. A few
//! clients stop reading: they are closed, so the timers are alive.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Server, in_full, in_rhythm, measured, noise, raise_descriptor_limit};
use socket2::{Domain, Socket, Type};

/// What each client sends. Less than half of it fits into the buffers of the two sockets.
const TOTAL: usize = 96 * 1024;

/// What it reads at a time, so that the kernel takes some more of what the server owes.
const PIECE: usize = 8 * 1024;

/// How many times an idle timeout.
const STEPS: u32 = 3;

const STUCK: usize = 10;

/// The server's default: 5,000 readers reach it, and then each waits for others, too.
const QUEUE_LIMIT: usize = 128 * 1024 * 1024;

struct SlowReader<'a> {
    stream: TcpStream,
    bytes: &'a [u8],
    sent: usize,
    got: usize,
}

impl<'a> SlowReader<'a> {
    fn connect(address: SocketAddr, bytes: &'a [u8]) -> SlowReader<'a> {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect(&address.into()).expect("the server accepts");
        socket.set_nonblocking(true).unwrap();
        SlowReader { stream: socket.into(), bytes, sent: 0, got: 0 }
    }

    fn send_what_is_taken(&mut self) {
        while self.sent < self.bytes.len() {
            match self.stream.write(&self.bytes[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("cannot send after {} of {} bytes: {error}", self.sent, self.bytes.len()),
            }
        }
    }

    /// Reads a piece, and no more than is there.
    fn read_a_piece(&mut self) {
        let mut piece = [0; PIECE];
        let mut room = PIECE.min(self.bytes.len() - self.got);
        while room > 0 {
            match self.stream.read(&mut piece[..room]) {
                Ok(0) => panic!("closed after {} of {} bytes", self.got, self.bytes.len()),
                Ok(count) => {
                    assert!(piece[..count] == self.bytes[self.got..self.got + count], "a byte changed");
                    self.got += count;
                    room -= count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => panic!("reset after {} of {} bytes: {error}", self.got, self.bytes.len()),
            }
        }
    }

    fn is_done(&self) -> bool {
        self.got == self.bytes.len()
    }
}

/// Lets so many clients read slowly; how they fared. None where the test itself was too slow to keep its promise.
fn run(count: usize, idle: Duration) -> Option<String> {
    raise_descriptor_limit();
    let noise = noise(TOTAL + count, 8);
    let idle_timeout = format!("--idle-timeout={}ms", idle.as_millis());
    let server = Server::start(&["-v", &idle_timeout, "tcp://127.0.0.1:0?sndbuf=8KiB&rcvbuf=16KiB"]);
    let mut stuck: Vec<SlowReader> =
        (0..STUCK).map(|_| SlowReader::connect(server.address(), &noise[..TOTAL])).collect();
    let mut readers: Vec<SlowReader> =
        (0..count).map(|number| SlowReader::connect(server.address(), &noise[number..number + TOTAL])).collect();
    stuck.iter_mut().for_each(SlowReader::send_what_is_taken);
    let start = Instant::now();
    let (mut last, mut resident, mut owed_most) = (start, 0, 0);
    while readers.iter().any(|reader| !reader.is_done()) {
        for reader in &mut readers {
            reader.read_a_piece();
            reader.send_what_is_taken();
        }
        resident = resident.max(server.resident_bytes());
        let summary = server.summary();
        owed_most = owed_most.max(summary.get("bytes_in") - summary.get("bytes_out"));
        thread::sleep((idle / STEPS).saturating_sub(last.elapsed()));
        if last.elapsed() > idle / 3 * 2 {
            return None;
        }
        last = Instant::now();
    }
    let took = start.elapsed();
    assert!(took > 2 * idle, "they read for longer than they could have been silent: {took:?}");
    let owed_each = owed_most as usize / (count + STUCK);
    let least = (TOTAL / 2).min(QUEUE_LIMIT / 4 * 3 / (count + STUCK));
    assert!(owed_each > least, "the server owed {owed_each} bytes to each: it has to wait for them to read");
    // Some of those who are done are closed by now, and rightly. Nobody else was.
    drop(readers);
    let gone = crate::support::holds_within(crate::support::PATIENCE, || server.summary().get("active") == 0);
    assert!(gone, "those who read nothing any more are closed: {:?}", server.summary());
    Some(format!(
        "{count} of {count} slow readers got every byte (all) in {took:.1?}, which is {:.1} idle timeouts; the server owed {} KiB to each, \
         RSS {} MiB; {STUCK} of {STUCK} who stopped reading were closed",
        took.as_secs_f64() / idle.as_secs_f64(),
        owed_each / 1024,
        resident / (1024 * 1024)
    ))
}

#[test]
fn a_slow_reader_is_not_closed_and_gets_every_byte() {
    let found =
        in_rhythm(in_full(Duration::from_secs(1), Duration::from_secs(5)), |idle| run(in_full(50, 5_000), idle));
    measured("8", &found);
}
