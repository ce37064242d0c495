//! Goal: whoever never finishes a message is closed when its time is up, however many there are and for however long
//! they come again; and nobody else notices.
//!
//! Method: thousands of connections, each of which sends one byte of an unfinished line now and then, six times within
//! the idle limit. One that is closed is replaced at once, so their number never falls. Each life is measured, from the
//! first byte of the line to the end of the connection, both as the client sees them. The standard probe goes on at
//! another endpoint of the same loop, and at theirs a witness whose lines are whole: a whole message is a sign of life,
//! a byte of one is not.
//!
//! In full the limit is 60 s and two lots of connections live it. `SLOWLORIS=600` makes the attack last ten minutes.

use std::io::{ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{Client, Missed, PATIENCE, Probe, Server, attempt, beside, in_full, measured};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};

/// How many bytes of a line each has time to send.
const BYTES: u32 = 6;

/// One connection whose line never ends.
struct Slow {
    stream: TcpStream,
    began: Instant,
}

impl Slow {
    fn start(address: SocketAddr, poll: &Poll, token: Token) -> Slow {
        let stream = Client::connect(address).stream;
        stream.set_nonblocking(true).unwrap();
        let mut slow = Slow { stream: TcpStream::from_std(stream), began: Instant::now() };
        slow.trickle();
        poll.registry().register(&mut slow.stream, token, Interest::READABLE).expect("it can be watched");
        slow
    }

    /// What the server does about it is seen when it is read from.
    fn trickle(&mut self) {
        let _ = self.stream.write(b"x");
    }

    /// How long it lived, if that is over.
    fn life(&mut self) -> Option<Duration> {
        match self.stream.read(&mut [0; 16]) {
            Ok(0) => Some(self.began.elapsed()),
            Ok(count) => panic!("{count} bytes came for a line that has no end"),
            Err(error) if error.kind() == ErrorKind::WouldBlock => None,
            // A byte that came when it was being closed.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Some(self.began.elapsed()),
            Err(error) => panic!("cannot read: {error}"),
        }
    }
}

/// All of them, and how long those lived that are gone.
struct Attack {
    address: SocketAddr,
    poll: Poll,
    slow: Vec<Slow>,
    lives: Vec<Duration>,
}

impl Attack {
    fn start(address: SocketAddr, count: usize) -> Attack {
        let poll = Poll::new().expect("a selector");
        let slow = (0..count).map(|index| Slow::start(address, &poll, Token(index))).collect();
        Attack { address, poll, slow, lives: Vec::new() }
    }

    /// Goes on for a while, and longer where not yet so many were closed as there are. Each sends a byte once in
    /// `pause`, one after the other.
    fn go_on(&mut self, time: Duration, pause: Duration) {
        let (start, mut sent) = (Instant::now(), 0);
        let mut events = Events::with_capacity(1024);
        let is_over = |lives: usize, count: usize| match start.elapsed() {
            passed if passed < time => false,
            passed => lives >= count || passed > time + PATIENCE,
        };
        while !is_over(self.lives.len(), self.slow.len()) {
            let due = (start.elapsed().as_secs_f64() / pause.as_secs_f64() * self.slow.len() as f64) as usize;
            while sent < due {
                let index = sent % self.slow.len();
                self.slow[index].trickle();
                sent += 1;
            }
            self.poll.poll(&mut events, Some(Duration::from_millis(10))).expect("it can be polled");
            for token in events.iter().map(|event| event.token()) {
                if let Some(life) = self.slow[token.0].life() {
                    self.lives.push(life);
                    self.slow[token.0] = Slow::start(self.address, &self.poll, token);
                }
            }
        }
    }
}

/// Sends whole lines for so long, and reads each back.
fn speak(address: SocketAddr, time: Duration, pause: Duration) {
    let (mut witness, start) = (Client::connect(address), Instant::now());
    while start.elapsed() < time {
        witness.echo(b"a whole line\n");
        thread::sleep(pause);
    }
}

#[test]
fn unfinished_messages_are_closed_in_time_although_they_trickle() {
    measured("11", &attempt(trickle));
}

fn trickle() -> Result<String, Missed> {
    let (count, limit, probe_time) = in_full((500, 3, 1), (10_000, 60, 10));
    let (limit, probe_time) = (Duration::from_secs(limit), Duration::from_secs(probe_time));
    let asked = std::env::var("SLOWLORIS").ok().map(|seconds| seconds.parse().expect("SLOWLORIS is in seconds"));
    let length = asked.map_or(limit * in_full(3, 4) / 2, Duration::from_secs) + Duration::from_secs(in_full(0, 5));
    let idle_timeout = format!("--idle-timeout={}s", limit.as_secs());
    let server = Server::start(&[&idle_timeout, "tcp://127.0.0.1:0", "tcp://127.0.0.1:0?framing=line"]);
    let address = server.addresses()[1];
    let probe = Probe::calm(&server.url("tcp"), probe_time);
    let mut attack = Attack::start(address, count);
    let probing = probe.start(length);
    thread::scope(|scope| {
        scope.spawn(|| speak(address, length, limit / 10));
        attack.go_on(length, limit / BYTES);
    });
    let oldest = attack.slow.iter().map(|slow| slow.began.elapsed()).max().expect("there are some");
    let probed = probing.finish();

    let lives = &attack.lives;
    assert!(lives.len() >= count, "{} of {count} were closed, and the oldest lives for {oldest:?}", lives.len());
    let (shortest, longest) = (lives.iter().min().expect("some"), lives.iter().max().expect("some"));
    let closed = server.summary().get("incomplete-timeout");
    assert!(closed >= lives.len() as u64, "the server closed {closed} for that: {}", server.log());
    let found = |probed: &str| {
        format!(
            "{count} connections, {} closed in {:.0} s after {:.2} to {:.2} s ({} +- 1), {probed}",
            lives.len(),
            length.as_secs_f64(),
            shortest.as_secs_f64(),
            longest.as_secs_f64(),
            limit.as_secs(),
        )
    };
    let (early, late) = (Duration::from_secs(1), Duration::from_secs(in_full(8, 1)));
    let is_in_time = *shortest + early >= limit && *longest <= limit + late && oldest <= limit + late;
    beside(probed, is_in_time, found)
}
