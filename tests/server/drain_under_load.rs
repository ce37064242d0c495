//! Goal: a drain under load leaves no request unanswered that the server has received, opens its doors to nobody any
//! more, and ends in time; a second signal ends it at once, however many connections there are.
//!
//! Method: one thread sends lines over thousands of connections, in an open loop: a slow answer holds nothing up. When
//! the server has been stopped (SIGSTOP) for so long that hundreds of requests wait in the kernel, the signal comes,
//! and the server goes on; so do the clients, until the server has ended each connection. A few never end their side,
//! so that the drain takes all the time that it may.
//!
//! *Received* means two things, and each is checked. For the kernel: the client's send queue was empty before the
//! signal was sent, so the server's side had acknowledged all that the client had sent until then; every byte of that
//! has to come back. For the server: what its last summary counts in `messages_in`, also those that came after the
//! signal; exactly as many answers have to arrive. A request that comes when the server has ended its side of the
//! connection is neither: it may be lost, and the client sees that by the FIN.

use std::fs;
use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Network, PATIENCE, Server, attempt, holds_within, in_full, measured, wait_until};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP, SIGTERM};

const DRAIN: Duration = Duration::from_secs(3);

/// Requests that leave before somebody looks for answers: whoever has fallen behind does not lose sight of the other
/// direction.
const BATCH: usize = 100;

/// One line of every request: so long, the line feed among it.
const LINE: usize = 16;

/// One connection, with all that was sent over it and how much of that came back.
struct Talk {
    stream: TcpStream,
    sent: Vec<u8>,
    answered: usize,
    ended: bool,
}

impl Talk {
    fn send(&mut self, number: usize) {
        let line = format!("{number:015}\n");
        match self.stream.write(line.as_bytes()) {
            Ok(count) => {
                assert_eq!(count, LINE, "a socket that owes next to nothing takes a line");
                self.sent.extend_from_slice(line.as_bytes());
            }
            // What the server has to say about it is seen when it is read from.
            Err(error) if is_end(&error) => {}
            Err(error) => panic!("cannot send: {error}"),
        }
    }

    /// Reads all that is there, and compares it.
    fn receive(&mut self) {
        let mut buffer = [0; 16 * 1024];
        while !self.ended {
            match self.stream.read(&mut buffer) {
                Ok(0) => self.ended = true,
                Ok(count) => {
                    let expected = self.sent.get(self.answered..self.answered + count);
                    assert_eq!(Some(&buffer[..count]), expected, "these bytes were not sent");
                    self.answered += count;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if is_end(&error) => self.ended = true,
                Err(error) => panic!("cannot read: {error}"),
            }
        }
    }
}

fn is_end(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}

/// Many connections, over which requests leave when they are due.
struct Crowd {
    poll: Poll,
    talks: Vec<Talk>,
    /// How many of them never end their side.
    stubborn: usize,
    rate: usize,
    start: Instant,
    requests: usize,
}

impl Crowd {
    fn connect(address: SocketAddr, stubborn: usize) -> Crowd {
        let (connections, rate) = in_full((500, 1_000), (5_000, 10_000));
        let poll = Poll::new().expect("a selector");
        let connect = |index| {
            let stream = Client::connect(address).stream;
            stream.set_nonblocking(true).unwrap();
            let mut stream = TcpStream::from_std(stream);
            poll.registry().register(&mut stream, Token(index), Interest::READABLE).expect("it can be watched");
            Talk { stream, sent: Vec::new(), answered: 0, ended: false }
        };
        let talks = (0..connections).map(connect).collect();
        Crowd { poll, talks, stubborn, rate, start: Instant::now(), requests: 0 }
    }

    /// Sends what is due and receives what comes, until it is `over`, which is told how many requests have left.
    /// Whoever sees the end of a connection ends it too, unless it is stubborn.
    fn go_on(&mut self, mut over: impl FnMut(usize) -> bool) {
        let mut events = Events::with_capacity(1024);
        while !over(self.requests) {
            let due = (self.start.elapsed().as_secs_f64() * self.rate as f64) as usize;
            for _ in 0..due.saturating_sub(self.requests).min(BATCH) {
                let index = self.requests % self.talks.len();
                if !self.talks[index].ended {
                    self.talks[index].send(self.requests);
                }
                self.requests += 1;
            }
            self.poll.poll(&mut events, Some(Duration::from_millis(1))).expect("it can be polled");
            for event in &events {
                let Token(index) = event.token();
                let talk = &mut self.talks[index];
                talk.receive();
                if talk.ended && index >= self.stubborn {
                    let _ = talk.stream.shutdown(std::net::Shutdown::Both);
                }
            }
        }
    }

    /// Goes on for so many seconds' requests: on a busy machine that may take longer.
    fn go_on_for(&mut self, seconds: f64) {
        let last = self.requests + (seconds * self.rate as f64) as usize;
        self.go_on(|requests| requests >= last);
    }

    /// Waits until the server's side has acknowledged all that was sent; returns how much that is, of each connection.
    fn received(&self, port: u16) -> Vec<usize> {
        wait_until("all that was sent is received", || send_queues_are_empty(port));
        self.talks.iter().map(|talk| talk.sent.len()).collect()
    }

    fn answered(&self) -> usize {
        self.talks.iter().map(|talk| talk.answered).sum()
    }
}

/// Whether nothing waits in the send queue of any connection to this port (`tx_queue` of the kernel's
/// `proc_net_tcp.txt`).
fn send_queues_are_empty(port: u16) -> bool {
    let table = fs::read_to_string("/proc/thread-self/net/tcp").expect("the table can be read");
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let mut rows = rows.filter(|row| row[2].ends_with(&format!(":{port:04X}")));
    rows.all(|row| row[4].starts_with("00000000:"))
}

/// Waits until nobody listens at `address` any more; returns how long after `start` that was seen.
fn refused_after(address: SocketAddr, start: Instant) -> Duration {
    let is_refused =
        || std::net::TcpStream::connect(address).is_err_and(|error| error.kind() == ErrorKind::ConnectionRefused);
    assert!(holds_within(PATIENCE, is_refused), "somebody still listens");
    start.elapsed()
}

#[test]
fn no_request_that_was_received_stays_unanswered_and_it_ends_in_time() {
    // Where many other sockets are, it takes seconds to read the table of all.
    let Some(network) = Network::start(32_768, 60_999) else { return };
    let drained = attempt(|| network.within(drain));
    let ended = attempt(|| network.within(end_at_once));
    measured("21", &format!("{drained}; {ended}"));
}

fn drain() -> Result<String, String> {
    // Enough that the drain takes all the time that it may.
    const STUBBORN: usize = 20;
    let timeout = format!("--drain-timeout={}s", DRAIN.as_secs());
    let mut server = Server::start(&["--framing=line", &timeout]);
    let address = server.address();
    let mut crowd = Crowd::connect(address, STUBBORN);
    crowd.go_on_for(in_full(1.0, 5.0));
    server.signal(SIGSTOP);
    crowd.go_on_for(0.1);
    let received = crowd.received(address.port());
    let waiting = (received.iter().sum::<usize>() - crowd.answered()) / LINE;

    server.signal(SIGTERM);
    let start = Instant::now();
    server.signal(SIGCONT);
    let (refused, ended) = thread::scope(|scope| {
        let refused = scope.spawn(|| refused_after(address, start));
        let mut ended = None;
        crowd.go_on(|_| {
            ended = ended.or_else(|| (!server.is_alive()).then(|| start.elapsed()));
            ended.is_some() || start.elapsed() > PATIENCE
        });
        (refused.join().expect("nobody listens any more"), ended)
    });
    // What the kernel still has for the clients.
    crowd.talks.iter_mut().for_each(Talk::receive);
    let ended = ended.unwrap_or_else(|| panic!("it does not end: {}", server.log()));
    let summary = server.last_summary();

    assert!(crowd.talks.iter().all(|talk| talk.ended), "a connection has not ended");
    let unanswered = crowd.talks.iter().zip(&received).filter(|(talk, received)| talk.answered < **received).count();
    assert_eq!(unanswered, 0, "of {waiting} requests that waited for an answer: {summary:?}");
    assert_eq!(summary.get("messages_in"), (crowd.answered() / LINE) as u64, "what it has read came back: {summary:?}");
    assert_eq!(summary.get("messages_in"), summary.get("messages_out"), "{summary:?}");
    // The doors may have been open for a few more.
    assert_eq!(summary.get("closed"), summary.get("accepted"), "{summary:?}");
    assert_eq!(summary.get("drain-timeout"), STUBBORN as u64, "{summary:?}");
    assert!(waiting >= crowd.rate / 20, "only {waiting} requests waited when the signal came: nothing was tried");

    let late = ended.saturating_sub(DRAIN);
    let (connections, rate) = (crowd.talks.len(), crowd.rate);
    let found = format!(
        "{connections} connections, {rate} requests/s, {waiting} of them received and unanswered when the signal came: all answered; \
         listener shut after {:.0} ms (<= 50), exit 0 {:.2} s after the drain timeout (<= 0.5)",
        refused.as_secs_f64() * 1e3,
        late.as_secs_f64()
    );
    let (refused_most, late_most) = in_full((1.5, 5.0), (0.05, 0.5));
    if refused.as_secs_f64() <= refused_most && late.as_secs_f64() <= late_most { Ok(found) } else { Err(found) }
}

/// Nobody ends any connection, and a second signal comes.
fn end_at_once() -> Result<String, String> {
    let mut server = Server::start(&["--framing=line", "--drain-timeout=1h"]);
    let mut crowd = Crowd::connect(server.address(), usize::MAX);
    crowd.go_on_for(0.5);
    server.signal(SIGTERM);
    server.wait_log("draining");
    crowd.go_on_for(0.1);
    assert!(server.is_alive(), "it waits for the clients to end their side: {}", server.log());
    let start = Instant::now();
    server.signal(SIGTERM);
    let ended = holds_within(PATIENCE, || !server.is_alive());
    let took = start.elapsed();
    assert!(ended && server.exit_code() == Some(128 + SIGTERM as i32), "{}", server.log());
    server.wait_log(&format!("aborted={}", crowd.talks.len()));
    let found = format!("a second signal ends it within {:.0} ms (<= 100)", took.as_secs_f64() * 1e3);
    if took <= in_full(Duration::from_secs(5), Duration::from_millis(100)) { Ok(found) } else { Err(found) }
}
