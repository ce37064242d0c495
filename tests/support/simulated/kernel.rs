//! The reactor's seams over the simulated machine.

use std::cell::RefCell;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use cooee::os::address::Address;
use cooee::os::clock::Tick;
use cooee::os::datagram_socket::DatagramSocket;
use cooee::os::key::Key;
use cooee::os::listener::Listener;
use cooee::os::readiness::Readiness;
use cooee::os::received::Queue;
use cooee::os::received::Received;
use cooee::os::route::Route;
use cooee::os::stream::{ConnectProgress, Stream};
use cooee::reactor::Kernel;

use super::link::{Connecting, Role};
use super::mailbox::{Letter, Mailbox};
use super::world::World;

/// The machine, as the kernel, its sockets and the handler share it.
pub type SharedWorld = Rc<RefCell<World>>;

/// How many peers have one IP address, more or less: that of every fourth number.
const SOURCES: usize = 4;

/// How many ports a peer's address has.
const PORTS: usize = 20_000;

/// Writes a number as an address: so that the handler knows which link it serves, and where a connect should go. Peers
/// share a few IP addresses.
pub fn address_of(number: usize) -> SocketAddr {
    let (source, rest) = (number % SOURCES, number / SOURCES);
    let ip = 0x0a00_0000 + rest / PORTS * SOURCES + source;
    SocketAddr::from((Ipv4Addr::from(ip as u32), (40_000 + rest % PORTS) as u16))
}

/// The number that was written as an address.
pub fn number_of(address: SocketAddr) -> usize {
    match address {
        SocketAddr::V4(address) => {
            let ip = u32::from(*address.ip()) as usize - 0x0a00_0000;
            let rest = ip / SOURCES * PORTS + usize::from(address.port()) - 40_000;
            rest * SOURCES + ip % SOURCES
        }
        SocketAddr::V6(_) => panic!("the simulation uses IPv4"),
    }
}

/// The kernel.
pub struct SimulatedKernel(pub SharedWorld);

impl Kernel for SimulatedKernel {
    type Stream = SimulatedStream;
    type Listener = SimulatedListener;
    type Datagram = SimulatedDatagram;

    fn now(&mut self) -> Tick {
        Tick::at(Duration::from_micros(self.0.borrow().now()))
    }

    fn poll(&mut self, timeout: Option<Duration>, events: &mut Vec<(Key, Readiness)>) -> io::Result<()> {
        self.0.borrow_mut().poll(timeout.map(|timeout| timeout.as_micros() as u64), events);
        Ok(())
    }

    fn add_stream(&mut self, stream: &mut SimulatedStream, key: Key) -> io::Result<()> {
        self.0.borrow_mut().add_link(key, stream.link)
    }

    fn add_listener(&mut self, listener: &mut SimulatedListener, key: Key) -> io::Result<()> {
        self.0.borrow_mut().add_backlog(key, listener.backlog);
        Ok(())
    }

    fn add_datagram(&mut self, socket: &mut SimulatedDatagram, key: Key) -> io::Result<()> {
        self.0.borrow_mut().add_mailbox(key, socket.mailbox);
        Ok(())
    }

    fn connect(&mut self, address: &Address, _from: Option<SocketAddr>) -> io::Result<SimulatedStream> {
        let Address::Ip(address) = address else { panic!("the simulation connects to IP addresses") };
        let link = self.0.borrow_mut().connect(Role::Client(number_of(*address)))?;
        Ok(SimulatedStream { world: self.0.clone(), link })
    }

    fn connect_datagram(&mut self, _to: &Address, _from: Option<SocketAddr>) -> io::Result<SimulatedDatagram> {
        let mailbox = self.0.borrow_mut().connect_mailbox()?;
        Ok(SimulatedDatagram { world: self.0.clone(), mailbox })
    }
}

/// One end of a link.
pub struct SimulatedStream {
    world: SharedWorld,
    link: usize,
}

impl Stream for SimulatedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.world.borrow_mut().read(self.link, buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.world.borrow_mut().write(self.link, bytes)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.world.borrow_mut().shutdown_write(self.link);
        Ok(())
    }

    fn connect_progress(&mut self) -> io::Result<ConnectProgress> {
        Ok(match self.world.borrow_mut().connect_progress(self.link)? {
            Connecting::Established => ConnectProgress::Established(Some(address_of(self.link))),
            Connecting::WithItself => ConnectProgress::WithItself,
            Connecting::Pending | Connecting::Refused => ConnectProgress::Pending,
        })
    }

    fn held_by_kernel(&self) -> u32 {
        self.world.borrow_mut().held_by_kernel(self.link)
    }

    fn abort(&mut self) {
        self.world.borrow_mut().abort(self.link);
    }

    fn short_read_drains(&self) -> bool {
        self.world.borrow().links[self.link].is_tcp
    }
}

impl Drop for SimulatedStream {
    fn drop(&mut self) {
        // While a failed check unwinds, nothing else is checked.
        if !std::thread::panicking() {
            self.world.borrow_mut().close_link(self.link);
        }
    }
}

/// A listening socket.
pub struct SimulatedListener {
    pub world: SharedWorld,
    pub backlog: usize,
}

impl Listener for SimulatedListener {
    type Stream = SimulatedStream;

    fn accept(&mut self) -> io::Result<(SimulatedStream, Option<SocketAddr>)> {
        let link = self.world.borrow_mut().accept(self.backlog)?;
        Ok((SimulatedStream { world: self.world.clone(), link }, Some(address_of(link))))
    }
}

impl Drop for SimulatedListener {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.world.borrow_mut().close_backlog(self.backlog);
        }
    }
}

fn route_of(letter: &Letter) -> Route {
    Route::Ip { source: address_of(letter.number), arrival: None }
}

fn sender_of(route: &Route) -> usize {
    let Route::Ip { source, .. } = route else { panic!("every letter has a source") };
    number_of(*source)
}

/// A datagram socket.
pub struct SimulatedDatagram {
    pub world: SharedWorld,
    pub mailbox: usize,
}

impl DatagramSocket for SimulatedDatagram {
    fn own(&self) -> Option<Address> {
        None
    }

    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
        let letter = self.world.borrow_mut().receive_letter(self.mailbox, buffer)?;
        Ok((letter.length, route_of(&letter)))
    }

    fn receive_batch(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> io::Result<Queue> {
        let mut world = self.world.borrow_mut();
        let room = Mailbox::SLOT * world.letters_a_call();
        let mut letters = vec![world.receive_letter(self.mailbox, &mut buffer[..Mailbox::SLOT])?];
        let is_empty = world.receive_more_letters(self.mailbox, &mut buffer[..room], &mut letters);
        for (number, letter) in letters.iter().enumerate() {
            let (start, route) = (number * Mailbox::SLOT, route_of(letter));
            received.push(Received { range: start..start + letter.length, route, is_cut: false });
        }
        Ok(if is_empty { Queue::Empty } else { Queue::Unknown })
    }

    fn send(&mut self, bytes: &[u8], route: &Route) -> io::Result<()> {
        self.world.borrow_mut().send_letter(self.mailbox, bytes, sender_of(route))
    }

    fn send_batch<'a, B>(&mut self, mut batch: B) -> io::Result<usize>
    where
        B: ExactSizeIterator<Item = (&'a [u8], &'a Route)>,
    {
        let mut world = self.world.borrow_mut();
        let most = world.letters_a_call().min(batch.len());
        let (bytes, route) = batch.next().expect("a batch is not empty");
        world.send_letter(self.mailbox, bytes, sender_of(route))?;
        let mut sent = 1;
        for (bytes, route) in batch.by_ref().take(most - 1) {
            if !world.send_next_letter(self.mailbox, bytes, sender_of(route)) {
                break;
            }
            sent += 1;
        }
        Ok(sent)
    }
}

impl Drop for SimulatedDatagram {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            self.world.borrow_mut().close_mailbox(self.mailbox);
        }
    }
}
