//! Goal: for `busy_poll` after an event the reactor asks for the next one without sleeping, then it sleeps as if there
//! were no such limit; deadlines, stops and drains are not in the way of it; and idle costs nothing. It counts for how
//! long it polled for nothing.
//!
//! Method: a reactor over the real kernel with a clock of the test's own, which moves on by a step a poll and never
//! sleeps, but notes for how long it was asked to. Then the built server, with its CPU time from `/proc`.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use crate::support::{PATIENCE, Server, alone, holds_within, wait_until};
use cooee::os::address::Address;
use cooee::os::bind::{SocketOptions, bind_udp};
use cooee::os::clock::Tick;
use cooee::os::datagram_socket::DatagramEndpoint;
use cooee::os::key::Key;
use cooee::os::listener::ListeningSocket;
use cooee::os::readiness::Readiness;
use cooee::os::stream::Socket;
use cooee::reactor::handler::{Context, Handler, Stop};
use cooee::reactor::limits::Limits;
use cooee::reactor::tag::Tag;
use cooee::reactor::{Kernel, Mio, Reactor, Turn};

/// How far the clock goes with each poll.
const STEP: Duration = Duration::from_micros(100);

/// The system's kernel, but for time: a poll brings what is there, and takes a step, or as long as it may where nothing
/// is there.
struct Clocked {
    mio: Mio,
    now: Tick,
    /// For how long each poll was to wait.
    asked: Vec<Option<Duration>>,
}

impl Kernel for Clocked {
    type Stream = Socket;
    type Listener = ListeningSocket;
    type Datagram = DatagramEndpoint;

    fn now(&mut self) -> Tick {
        self.now
    }

    fn poll(&mut self, timeout: Option<Duration>, events: &mut Vec<(Key, Readiness)>) -> io::Result<()> {
        assert!(self.asked.len() < 1_000, "it never sleeps");
        self.asked.push(timeout);
        self.mio.poll(Some(Duration::ZERO), events)?;
        let slept = timeout.filter(|_| events.is_empty()).unwrap_or_default();
        self.now = self.now.after(slept.max(STEP));
        Ok(())
    }

    fn add_stream(&mut self, stream: &mut Socket, key: Key) -> io::Result<()> {
        self.mio.add_stream(stream, key)
    }

    fn add_listener(&mut self, listener: &mut ListeningSocket, key: Key) -> io::Result<()> {
        self.mio.add_listener(listener, key)
    }

    fn add_datagram(&mut self, socket: &mut DatagramEndpoint, key: Key) -> io::Result<()> {
        self.mio.add_datagram(socket, key)
    }

    fn connect(&mut self, to: &Address, from: Option<SocketAddr>) -> io::Result<Socket> {
        self.mio.connect(to, from)
    }

    fn connect_datagram(&mut self, to: &Address, from: Option<SocketAddr>) -> io::Result<DatagramEndpoint> {
        self.mio.connect_datagram(to, from)
    }
}

/// Takes datagrams; each may ask for a tick, or for the end.
#[derive(Default)]
struct Listener {
    tick_after: Option<Duration>,
    stops: Option<Stop>,
    received: Vec<Tick>,
    ticked: Vec<Tick>,
}

impl Handler for Listener {
    type Session = ();

    fn open(&mut self, _tag: Tag, _cx: &mut Context<'_>) {}

    fn receive(&mut self, _session: &mut (), bytes: &[u8], _cx: &mut Context<'_>) -> usize {
        bytes.len()
    }

    fn datagram(&mut self, _session: &mut (), _bytes: &[u8], cx: &mut Context<'_>) {
        self.received.push(cx.now);
        if let Some(wait) = self.tick_after {
            cx.wake_after(wait);
        }
        if let Some(how) = self.stops {
            cx.orders.stop(how);
        }
    }

    fn tick(&mut self, _session: &mut (), cx: &mut Context<'_>) {
        self.ticked.push(cx.now);
    }
}

/// A reactor with a datagram socket, and who sends to it.
struct Awake {
    reactor: Reactor<Listener, Clocked>,
    handler: Listener,
    sender: UdpSocket,
}

impl Awake {
    fn new(busy_poll: Option<Duration>) -> Awake {
        let kernel = Clocked { mio: Mio::new().expect("a selector"), now: Tick::START, asked: Vec::new() };
        let mut reactor = Reactor::with_kernel(kernel, Limits { busy_poll, ..Limits::default() });
        let (socket, address) = bind_udp(([127, 0, 0, 1], 0).into(), &SocketOptions::default()).expect("a free port");
        reactor.receive(socket, Tag(0), ()).expect("a registered socket");
        let sender = UdpSocket::bind("127.0.0.1:0").expect("a free port");
        sender.connect(address).expect("a local address");
        Awake { reactor, handler: Listener::default(), sender }
    }

    /// On loopback a datagram has arrived when it was sent.
    fn send(&self) {
        self.sender.send(b"cooee").expect("a socket that listens");
    }

    /// One turn; for how long each of its polls was to wait.
    fn turn(&mut self) -> Vec<Option<Duration>> {
        assert_eq!(self.reactor.turn(&mut self.handler).expect("the poll works"), Turn::Running);
        std::mem::take(&mut self.reactor.kernel_mut().asked)
    }
}

const NOW: Option<Duration> = Some(Duration::ZERO);

#[test]
fn after_an_event_it_stays_awake_for_as_long_as_it_was_told_and_no_longer() {
    let _alone = alone();
    let mut awake = Awake::new(Some(10 * STEP));
    assert_eq!(awake.turn(), [None], "nothing has happened yet");
    awake.send();
    assert_eq!(awake.turn(), [None]);
    assert_eq!(awake.handler.received.len(), 1);
    assert_eq!(awake.turn(), [vec![NOW; 10], vec![None]].concat(), "all of it is one turn");
    assert_eq!(awake.turn(), [None], "a poll without events does not begin it again");
}

#[test]
fn each_event_begins_it_again() {
    let _alone = alone();
    let mut awake = Awake::new(Some(10 * STEP));
    for _ in 0..3 {
        awake.send();
        awake.turn();
    }
    assert_eq!(awake.handler.received.len(), 3);
    assert_eq!(awake.turn(), [vec![NOW; 10], vec![None]].concat());
}

#[test]
fn without_it_every_poll_may_sleep() {
    let _alone = alone();
    let mut awake = Awake::new(None);
    awake.send();
    assert_eq!(awake.turn(), [None]);
    assert_eq!((awake.turn(), awake.handler.received.len()), (vec![None], 1));
}

#[test]
fn a_deadline_fires_in_time_while_it_is_awake_and_after() {
    let _alone = alone();
    let mut awake = Awake::new(Some(10 * STEP));
    awake.handler.tick_after = Some(3 * STEP);
    awake.send();
    awake.turn();
    assert_eq!(awake.turn(), [NOW; 4], "the poll after it has come is the last");
    assert_eq!(awake.turn(), [NOW]);
    let (received, ticked) = (awake.handler.received[0], awake.handler.ticked[0]);
    assert!(ticked.since(received) <= 5 * STEP, "{:?}", ticked.since(received));

    awake.handler.tick_after = Some(20 * STEP);
    awake.send();
    awake.turn();
    assert_eq!(awake.turn(), [vec![NOW; 10], vec![Some(10 * STEP)]].concat(), "it sleeps for the rest");
    awake.turn();
    assert_eq!(awake.handler.ticked.len(), 2);
    assert_eq!(awake.turn(), [None], "a deadline is no event");
}

#[test]
fn what_it_polled_for_nothing_is_counted_from_empty_poll_to_empty_poll() {
    let _alone = alone();
    let mut awake = Awake::new(Some(10 * STEP));
    for _ in 0..5 {
        awake.send();
        awake.turn();
    }
    let idle = |awake: &Awake| awake.reactor.metrics().idle_polling;
    assert_eq!(idle(&awake), Duration::ZERO, "every poll brought something: its hands were full");
    awake.turn();
    assert_eq!(idle(&awake), 9 * STEP, "ten polls were empty");
    awake.turn();
    assert_eq!(idle(&awake), 9 * STEP, "it slept");

    awake.handler.tick_after = Some(5 * STEP);
    awake.send();
    awake.turn();
    awake.turn();
    assert_eq!(idle(&awake), 9 * STEP + 4 * STEP, "five were empty, and the deadline had come with the sixth");

    let mut asleep = Awake::new(None);
    asleep.handler.tick_after = Some(5 * STEP);
    asleep.send();
    asleep.turn();
    asleep.turn();
    assert_eq!(idle(&asleep), Duration::ZERO);
}

#[test]
fn a_stop_ends_it() {
    let _alone = alone();
    for how in [Stop::Drain, Stop::AtOnce] {
        let mut awake = Awake::new(Some(Duration::from_secs(3600)));
        awake.handler.stops = Some(how);
        awake.send();
        awake.reactor.run(&mut awake.handler).expect("the poll works");
        assert!(awake.reactor.kernel_mut().asked.len() < 5, "{how:?}");
    }
}

#[test]
fn the_server_uses_a_core_after_a_message_and_then_none() {
    let _alone = alone();

    // CPU time is told in ticks of 10 ms.
    let server = Server::start(&["--busy-poll=300ms"]);
    let mut client = server.connect();
    let (mut begun, mut messages) = (0, 1);
    // On a busy machine it may get none of a core for as long as it is awake; then it is asked once more.
    wait_until("it uses CPU time although nobody asks it anything", || {
        client.echo(b"cooee");
        messages += 1;
        begun = server.cpu_ticks();
        holds_within(Duration::from_millis(300), || server.cpu_ticks() >= begun + 5)
    });
    let mut last = u64::MAX;
    let rests = holds_within(PATIENCE, || {
        let before = std::mem::replace(&mut last, server.cpu_ticks());
        std::thread::sleep(Duration::from_millis(100));
        before == last
    });
    assert!(rests, "it never rests");
    assert!(last <= begun + 35, "it used {} ticks for 300 ms", last - begun);
    client.echo(b"again");
    drop(client);
    assert_eq!(server.drain().get("messages_in"), messages);
}

#[test]
fn a_server_that_is_awake_hears_a_signal() {
    let _alone = alone();
    let server = Server::start(&["--busy-poll=1h"]);
    let mut client = server.connect();
    client.echo(b"cooee");
    drop(client);
    assert_eq!(server.drain().get("messages_in"), 1);
}
