//! Datagram sockets: the seam, and the real ones.
//!
//! They are registered READABLE alone: with WRITABLE every reply that leaves would wake the loop for nothing.

use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixDatagram;

use mio::event::Source as _;
use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};

use crate::os::address::Address;
use crate::os::received::{Queue, Received};
use crate::os::route::Route;
#[cfg(target_os = "linux")]
use crate::os::udp_batch;
use crate::os::unix_name::UnixName;
use crate::os::unix_path::UnixPath;
#[cfg(target_os = "linux")]
use crate::os::wildcard_socket::WildcardSocket;

/// The longest datagram that is taken, in bytes. UDP's are far shorter; a Unix socket's are as long as its peer's
/// buffer allows.
pub(crate) const DATAGRAM_MAX: usize = 256 * 1024;

/// A non-blocking datagram socket.
pub trait DatagramSocket {
    /// Receives one datagram: its length and its route. A datagram of 0 bytes is a message like any other.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)>;

    /// Receives at least one datagram into `buffer`, as many as one call can, and adds them to `received`, oldest
    /// first. An error came before any datagram.
    fn receive_batch(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> io::Result<Queue>;

    /// The address that it answers from; none where it has one peer alone. A reply must never go there.
    fn own(&self) -> Option<Address>;

    /// Sends one datagram back along `route`, whole or not at all.
    fn send(&mut self, bytes: &[u8], route: &Route) -> io::Result<()>;

    /// Sends at least the first datagram of `batch` as [`send`](Self::send) does, and as many as one call can. Returns
    /// how many left. An error is that of the first one.
    fn send_batch<'a, B>(&mut self, batch: B) -> io::Result<usize>
    where
        B: ExactSizeIterator<Item = (&'a [u8], &'a Route)>;
}

/// Receives one datagram as a batch of its own.
pub(crate) fn receive_one<D: DatagramSocket>(
    socket: &mut D,
    buffer: &mut [u8],
    received: &mut Vec<Received>,
) -> io::Result<Queue> {
    let room = buffer.len().min(DATAGRAM_MAX);
    let (length, route) = socket.receive(&mut buffer[..room])?;
    received.push(Received { range: 0..length, route, is_cut: length == room });
    Ok(Queue::Unknown)
}

/// Sends the first datagram of a batch, and no other.
pub(crate) fn send_first<'a, D: DatagramSocket>(
    socket: &mut D,
    mut batch: impl Iterator<Item = (&'a [u8], &'a Route)>,
) -> io::Result<usize> {
    let Some((bytes, route)) = batch.next() else { return Ok(0) };
    socket.send(bytes, route)?;
    Ok(1)
}

/// A real datagram socket.
#[derive(Debug)]
pub enum DatagramEndpoint {
    /// UDP on one address.
    Udp(UdpSocket),
    /// UDP on every address, or on one of many hosts: each datagram tells its destination, so that replies leave from
    /// there, and none answers what was sent to many.
    #[cfg(target_os = "linux")]
    UdpWildcard(WildcardSocket),
    /// UDP towards one peer.
    UdpConnected(UdpSocket),
    /// A Unix datagram socket, with its path unless its name is abstract; the path goes first, as in
    /// [`ListeningSocket`](crate::os::listener::ListeningSocket).
    Unix(Option<UnixPath>, UnixDatagram),
    /// A Unix datagram socket towards one peer, with a name of its own, or a path where the system has no other names.
    UnixConnected(Option<UnixPath>, UnixDatagram),
}

impl DatagramSocket for DatagramEndpoint {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
        match self {
            Self::Udp(socket) => {
                let (length, source) = socket.recv_from(buffer)?;
                Ok((length, Route::Ip { source, arrival: None }))
            }
            #[cfg(target_os = "linux")]
            Self::UdpWildcard(socket) => socket.receive(buffer),
            Self::UdpConnected(socket) => Ok((socket.recv(buffer)?, Route::Connected)),
            Self::Unix(_, socket) => {
                let (length, source) = socket.recv_from(buffer)?;
                Ok((length, Route::Unix(source)))
            }
            Self::UnixConnected(_, socket) => Ok((socket.recv(buffer)?, Route::Connected)),
        }
    }

    fn receive_batch(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> io::Result<Queue> {
        match self {
            #[cfg(target_os = "linux")]
            Self::Udp(socket) => udp_batch::receive(socket, buffer, None, udp_batch::route_to_one_address, received),
            #[cfg(target_os = "linux")]
            Self::UdpWildcard(socket) => socket.receive_batch(buffer, received),
            _ => receive_one(self, buffer, received),
        }
    }

    fn own(&self) -> Option<Address> {
        match self {
            Self::Udp(socket) => socket.local_addr().ok().map(Address::Ip),
            #[cfg(target_os = "linux")]
            Self::UdpWildcard(socket) => socket.local().map(Address::Ip),
            // As the kernel has it: that is how others are told.
            Self::Unix(_, socket) => UnixName::of(&socket.local_addr().ok()?).map(Address::Unix),
            Self::UdpConnected(_) | Self::UnixConnected(..) => None,
        }
    }

    fn send(&mut self, bytes: &[u8], route: &Route) -> io::Result<()> {
        match (self, route) {
            #[cfg(target_os = "linux")]
            (Self::UdpWildcard(socket), Route::Ip { source, arrival }) => {
                socket.send(bytes, *source, arrival.map(|arrival| arrival.destination))
            }
            (Self::Udp(socket), Route::Ip { source, .. }) => socket.send_to(bytes, *source).map(drop),
            (Self::UdpConnected(socket), _) => socket.send(bytes).map(drop),
            (Self::Unix(_, socket), Route::Unix(to)) => socket.send_to_addr(bytes, to).map(drop),
            (Self::UnixConnected(_, socket), _) => socket.send(bytes).map(drop),
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }

    fn send_batch<'a, B>(&mut self, batch: B) -> io::Result<usize>
    where
        B: ExactSizeIterator<Item = (&'a [u8], &'a Route)>,
    {
        match self {
            #[cfg(target_os = "linux")]
            Self::Udp(socket) if batch.len() > 1 => udp_batch::send(socket, batch),
            _ => send_first(self, batch),
        }
    }
}

impl DatagramEndpoint {
    /// Registers the socket, edge-triggered and READABLE alone.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let read = Interest::READABLE;
        match self {
            Self::Udp(socket) | Self::UdpConnected(socket) => socket.register(registry, token, read),
            #[cfg(target_os = "linux")]
            Self::UdpWildcard(socket) => socket.inner().register(registry, token, read),
            Self::Unix(_, socket) | Self::UnixConnected(_, socket) => {
                SourceFd(&socket.as_raw_fd()).register(registry, token, read)
            }
        }
    }
}
