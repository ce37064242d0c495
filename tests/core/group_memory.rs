//! Goal: in a group of the reactor every source finds room to read into, and that room begins on a cache line.
//!
//! Method: streams and a datagram socket that look at the memory they are given, in a kernel that has an event for each
//! of them.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use cooee::os::address::Address;
use cooee::os::aligned_bytes::AlignedBytes;
use cooee::os::clock::Tick;
use cooee::os::datagram_socket::DatagramSocket;
use cooee::os::key::Key;
use cooee::os::listener::Listener;
use cooee::os::readiness::Readiness;
use cooee::os::received::{Queue, Received};
use cooee::os::route::Route;
use cooee::os::stream::{ConnectProgress, Stream};
use cooee::reactor::handler::{Context, Handler};
use cooee::reactor::limits::Limits;
use cooee::reactor::tag::Tag;
use cooee::reactor::{Kernel, Reactor};

/// A stream whose peer takes everything.
enum Abundant {
    /// There is more to read than any read takes.
    Endless,
    /// There are so many bytes to read, once.
    Some(usize),
    Nothing,
}

impl Stream for Abundant {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match std::mem::replace(self, Abundant::Nothing) {
            Abundant::Endless => {
                *self = Abundant::Endless;
                Ok(buffer.len())
            }
            Abundant::Some(count) => {
                assert!(begins_on_a_line(buffer));
                Ok(count)
            }
            Abundant::Nothing => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(bytes.len())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn connect_progress(&mut self) -> io::Result<ConnectProgress> {
        Ok(ConnectProgress::Pending)
    }

    fn held_by_kernel(&self) -> u32 {
        0
    }

    fn abort(&mut self) {}

    fn short_read_drains(&self) -> bool {
        false
    }
}

fn begins_on_a_line(buffer: &[u8]) -> bool {
    buffer.as_ptr().addr().is_multiple_of(AlignedBytes::LINE)
}

/// A socket with datagrams, which insists on room for the longest one.
struct Measuring;

impl DatagramSocket for Measuring {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
        assert!(buffer.len() > 65_527, "{} bytes are no room for the longest datagram", buffer.len());
        assert!(begins_on_a_line(buffer));
        Ok((1, Route::Connected))
    }

    fn receive_batch(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> io::Result<Queue> {
        let (length, route) = self.receive(buffer)?;
        received.push(Received { range: 0..length, route, is_cut: false });
        Ok(Queue::Empty)
    }

    fn own(&self) -> Option<Address> {
        None
    }

    fn send(&mut self, _: &[u8], _: &Route) -> io::Result<()> {
        Ok(())
    }

    fn send_batch<'a, B>(&mut self, batch: B) -> io::Result<usize>
    where
        B: ExactSizeIterator<Item = (&'a [u8], &'a Route)>,
    {
        Ok(batch.len())
    }
}

struct NoListener(Infallible);

impl Listener for NoListener {
    type Stream = Abundant;

    fn accept(&mut self) -> io::Result<(Abundant, Option<SocketAddr>)> {
        match self.0 {}
    }
}

/// Tells of a datagram at the first poll.
#[derive(Default)]
struct Telling(Vec<(Key, Readiness)>);

impl Kernel for Telling {
    type Stream = Abundant;
    type Listener = NoListener;
    type Datagram = Measuring;

    fn now(&mut self) -> Tick {
        Tick::START
    }

    fn poll(&mut self, _: Option<Duration>, events: &mut Vec<(Key, Readiness)>) -> io::Result<()> {
        events.append(&mut self.0);
        Ok(())
    }

    fn add_stream(&mut self, _: &mut Abundant, _: Key) -> io::Result<()> {
        Ok(())
    }

    fn add_listener(&mut self, _: &mut NoListener, _: Key) -> io::Result<()> {
        Ok(())
    }

    fn add_datagram(&mut self, _: &mut Measuring, key: Key) -> io::Result<()> {
        self.0.push((key, Readiness::READABLE));
        Ok(())
    }

    fn connect(&mut self, _: &Address, _: Option<SocketAddr>) -> io::Result<Abundant> {
        Ok(Abundant::Endless)
    }

    fn connect_datagram(&mut self, _: &Address, _: Option<SocketAddr>) -> io::Result<Measuring> {
        Ok(Measuring)
    }
}

#[derive(Default)]
struct Echo {
    datagrams: usize,
}

impl Handler for Echo {
    type Session = ();

    fn open(&mut self, _: Tag, _: &mut Context<'_>) {}

    fn receive(&mut self, (): &mut (), bytes: &[u8], cx: &mut Context<'_>) -> usize {
        cx.reply.echo(0..bytes.len());
        bytes.len()
    }

    fn datagram(&mut self, (): &mut (), _: &[u8], _: &mut Context<'_>) {
        self.datagrams += 1;
    }
}

#[test]
fn a_datagram_finds_room_behind_the_largest_reads() {
    for streams in 0..5 {
        let mut reactor = Reactor::with_kernel(Telling::default(), Limits::default());
        for _ in 0..streams {
            reactor.attach(Abundant::Endless, ()).unwrap();
        }
        reactor.receive(Measuring, Tag(0), ()).unwrap();
        let mut echo = Echo::default();
        reactor.turn(&mut echo).unwrap();
        assert!(echo.datagrams > 0);
    }
}

#[test]
fn whoever_reads_behind_another_in_a_group_begins_on_a_line() {
    let mut reactor = Reactor::with_kernel(Telling::default(), Limits::default());
    for length in [1, 63, 64, 65, 4_000] {
        reactor.attach(Abundant::Some(length), ()).unwrap();
    }
    reactor.receive(Measuring, Tag(0), ()).unwrap();
    let mut echo = Echo::default();
    reactor.turn(&mut echo).unwrap();
    assert!(echo.datagrams > 0, "the datagram socket came last");
}
