//! The kernel seam: what the reactor asks of the operating system, and the real one through `mio`. A test puts a
//! simulated kernel in its place, with sockets that behave as badly as real ones may.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use mio::event::Event;
use mio::{Events, Poll, Waker};

use crate::os::address::Address;
use crate::os::bind;
use crate::os::clock::Tick;
use crate::os::datagram_socket::{DatagramEndpoint, DatagramSocket};
#[cfg(any(target_os = "linux", target_os = "android"))]
use crate::os::fine_timer::FineTimer;
use crate::os::key::Key;
use crate::os::listener::{Listener, ListeningSocket};
use crate::os::readiness::Readiness;
use crate::os::stream::{Socket, Stream};

/// The most events that one poll brings. Others stay in the kernel, and come with the next.
const BATCH: usize = 1024;

/// An edge-triggered kernel.
pub trait Kernel {
    /// Its byte streams.
    type Stream: Stream;
    /// Its listening sockets.
    type Listener: Listener<Stream = Self::Stream>;
    /// Its datagram sockets.
    type Datagram: DatagramSocket;

    /// This moment, on a clock that never goes back.
    fn now(&mut self) -> Tick;

    /// Waits for events, at most for `timeout`, and adds them to `events`. An interrupted wait brings none.
    fn poll(&mut self, timeout: Option<Duration>, events: &mut Vec<(Key, Readiness)>) -> io::Result<()>;

    /// Asks for the edges of a stream, in both directions.
    fn add_stream(&mut self, stream: &mut Self::Stream, key: Key) -> io::Result<()>;

    /// Asks for the edges of a listening socket.
    fn add_listener(&mut self, listener: &mut Self::Listener, key: Key) -> io::Result<()>;

    /// Asks for the edges of a datagram socket.
    fn add_datagram(&mut self, socket: &mut Self::Datagram, key: Key) -> io::Result<()>;

    /// Begins to open a connection, from a local address where one is given.
    fn connect(&mut self, to: &Address, from: Option<SocketAddr>) -> io::Result<Self::Stream>;

    /// Opens a datagram socket with one peer, from a local address where one is given.
    fn connect_datagram(&mut self, to: &Address, from: Option<SocketAddr>) -> io::Result<Self::Datagram>;
}

/// The real kernel.
pub struct Mio {
    poll: Poll,
    events: Events,
    began: Instant,
    /// One for the life of the poll, because a waker that is dropped takes its edge along.
    waker: Option<Arc<Waker>>,
    #[cfg(any(target_os = "linux", target_os = "android"))]
    timer: Option<FineTimer>,
}

impl Mio {
    /// A new instance of the system's selector. Its waits are rounded up to milliseconds.
    pub fn new() -> io::Result<Mio> {
        Ok(Mio {
            poll: Poll::new()?,
            events: Events::with_capacity(BATCH),
            began: Instant::now(),
            waker: None,
            #[cfg(any(target_os = "linux", target_os = "android"))]
            timer: None,
        })
    }

    /// One for a schedule: its clock begins at `began`, and its waits end on the microsecond, where the system has a
    /// timer for that. Each new deadline costs a system call.
    pub fn with_fine_timer(began: Instant) -> io::Result<Mio> {
        let mio = Mio { began, ..Mio::new()? };
        #[cfg(any(target_os = "linux", target_os = "android"))]
        let mio = Mio { timer: Some(FineTimer::new(mio.poll.registry())?), ..mio };
        Ok(mio)
    }

    /// What wakes a poll from outside.
    pub(crate) fn waker(&mut self) -> io::Result<Arc<Waker>> {
        if let Some(waker) = &self.waker {
            return Ok(waker.clone());
        }
        let waker = Arc::new(Waker::new(self.poll.registry(), Key::WAKER.into())?);
        Ok(self.waker.insert(waker).clone())
    }
}

impl Kernel for Mio {
    type Stream = Socket;
    type Listener = ListeningSocket;
    type Datagram = DatagramEndpoint;

    fn now(&mut self) -> Tick {
        Tick::at(self.began.elapsed())
    }

    fn poll(&mut self, timeout: Option<Duration>, events: &mut Vec<(Key, Readiness)>) -> io::Result<()> {
        let mut timeout = timeout;
        #[cfg(any(target_os = "linux", target_os = "android"))]
        if let (Some(timer), Some(wait)) = (&mut self.timer, timeout)
            && !wait.is_zero()
        {
            timer.set(self.began.elapsed() + wait, wait)?;
            timeout = None;
        }
        match self.poll.poll(&mut self.events, timeout) {
            Ok(()) => {
                for event in &self.events {
                    #[cfg(any(target_os = "linux", target_os = "android"))]
                    if let Some(timer) = &mut self.timer
                        && Key::from(event.token()) == Key::TIMER
                    {
                        timer.fired();
                        continue;
                    }
                    events.push(translate(event));
                }
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
        Ok(())
    }

    fn add_stream(&mut self, stream: &mut Socket, key: Key) -> io::Result<()> {
        stream.register(self.poll.registry(), key.into())
    }

    fn add_listener(&mut self, listener: &mut ListeningSocket, key: Key) -> io::Result<()> {
        listener.register(self.poll.registry(), key.into())
    }

    fn add_datagram(&mut self, socket: &mut DatagramEndpoint, key: Key) -> io::Result<()> {
        socket.register(self.poll.registry(), key.into())
    }

    fn connect(&mut self, to: &Address, from: Option<SocketAddr>) -> io::Result<Socket> {
        bind::connect(to, from)
    }

    fn connect_datagram(&mut self, to: &Address, from: Option<SocketAddr>) -> io::Result<DatagramEndpoint> {
        bind::connect_datagram(to, from)
    }
}

/// mio's event as ours. An error is only a hint: reading tells it, behind the bytes that came before it.
fn translate(event: &Event) -> (Key, Readiness) {
    let mut readiness = Readiness::empty();
    readiness.set(Readiness::READABLE, event.is_readable());
    readiness.set(Readiness::WRITABLE, event.is_writable() || event.is_error());
    readiness.set(Readiness::PRIORITY, event.is_priority());
    readiness.set(Readiness::READ_CLOSED, event.is_read_closed() || event.is_error());
    (event.token().into(), readiness)
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    const WAIT: Duration = Duration::from_micros(200);

    #[test]
    fn a_fine_timer_ends_a_wait_before_a_millisecond_is_over() {
        let mut mio = Mio::with_fine_timer(Instant::now()).unwrap();
        let mut events = Vec::new();
        // One of many: on a busy machine any one may be late.
        let mut waits = (0..500).map(|_| {
            let begun = Instant::now();
            mio.poll(Some(WAIT), &mut events).unwrap();
            begun.elapsed()
        });
        assert!(waits.any(|wait| (WAIT..Duration::from_millis(1)).contains(&wait)));
        assert_eq!(events, [], "the timer is nobody's event");
    }

    #[test]
    fn a_nearer_moment_takes_the_place_of_one_that_was_not_waited_for() {
        let mut mio = Mio::with_fine_timer(Instant::now()).unwrap();
        let mut events = Vec::new();
        mio.waker().unwrap().wake().unwrap();
        mio.poll(Some(Duration::from_secs(60)), &mut events).unwrap();
        assert_eq!(events, [(Key::WAKER, Readiness::READABLE)]);
        let begun = Instant::now();
        mio.poll(Some(WAIT), &mut events).unwrap();
        assert!(begun.elapsed() < Duration::from_secs(30));
    }

    #[test]
    fn the_clock_begins_where_it_was_asked_to() {
        let began = Instant::now().checked_sub(Duration::from_secs(5)).unwrap();
        let mut mio = Mio::with_fine_timer(began).unwrap();
        assert!(mio.now() >= Tick::at(Duration::from_secs(5)));
    }
}
