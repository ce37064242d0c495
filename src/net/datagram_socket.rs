//! Datagram sockets: the seam, and the real ones.
//!
//! They are registered READABLE alone: with WRITABLE every reply that leaves would wake the loop for nothing.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};

use mio::net::UdpSocket;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, event};
use std::os::fd::AsRawFd;

use crate::address::Peer;
use crate::net::unix_path::UnixPath;

/// Where a datagram came from and which of our addresses it was sent to: what a reply needs.
#[derive(Clone, Debug)]
pub enum Route {
    /// From an IP address.
    Ip {
        /// Who sent it.
        source: SocketAddr,
        /// How it reached us, where the socket can tell.
        arrival: Option<Arrival>,
    },
    /// From a Unix socket, named or not.
    Unix(UnixAddress),
    /// From the one peer that the socket is connected to.
    Connected,
}

/// How a datagram reached a socket that is bound to every address of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The address that the sender wrote on it.
    pub destination: IpAddr,
    /// Whether that is a broadcast or multicast address.
    pub to_many: bool,
    /// Whether it came over the loopback interface: then its sender is on this machine, whatever address it gave.
    pub over_loopback: bool,
}

impl Route {
    /// The sender, as logs tell it.
    pub fn peer(&self) -> Peer<'_> {
        match self {
            Route::Ip { source, .. } => Peer::ip(*source),
            Route::Unix(address) => Peer::Unix(Some(address)),
            Route::Connected => Peer::Connected,
        }
    }
}

/// A non-blocking datagram socket.
pub trait DatagramSocket {
    /// Receives one datagram: its length and its route. A datagram of 0 bytes is a message like any other.
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)>;

    /// Sends one datagram back along `route`, whole or not at all.
    fn send(&mut self, bytes: &[u8], route: &Route) -> io::Result<()>;
}

/// A real datagram socket.
#[derive(Debug)]
pub enum DatagramEndpoint {
    /// UDP on one address.
    Udp(UdpSocket),
    /// UDP on every address, or on one to which many hosts listen: each datagram tells where it was sent to, so that replies leave
    /// from the address that was asked, and none answers what was sent to many.
    UdpWildcard(packet_info::WildcardSocket),
    /// UDP towards one peer.
    UdpConnected(UdpSocket),
    /// A Unix datagram socket; the path goes first, as in [`ListeningSocket`](crate::net::listener::ListeningSocket).
    Unix(UnixPath, UnixDatagram),
    /// A Unix datagram socket towards one peer, with a name of its own so that it can be answered: a path where the system has no
    /// other names.
    UnixConnected(Option<UnixPath>, UnixDatagram),
}

impl DatagramSocket for DatagramEndpoint {
    fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
        match self {
            DatagramEndpoint::Udp(socket) => {
                let (length, source) = socket.recv_from(buffer)?;
                Ok((length, Route::Ip { source, arrival: None }))
            }
            DatagramEndpoint::UdpWildcard(socket) => socket.receive(buffer),
            DatagramEndpoint::UdpConnected(socket) => Ok((socket.recv(buffer)?, Route::Connected)),
            DatagramEndpoint::Unix(_, socket) => {
                let (length, source) = socket.recv_from(buffer)?;
                Ok((length, Route::Unix(source)))
            }
            DatagramEndpoint::UnixConnected(_, socket) => Ok((socket.recv(buffer)?, Route::Connected)),
        }
    }

    fn send(&mut self, bytes: &[u8], route: &Route) -> io::Result<()> {
        match (self, route) {
            (DatagramEndpoint::UdpWildcard(socket), Route::Ip { source, arrival }) => {
                socket.send(bytes, *source, arrival.map(|arrival| arrival.destination))
            }
            (DatagramEndpoint::Udp(socket), Route::Ip { source, .. }) => socket.send_to(bytes, *source).map(drop),
            (DatagramEndpoint::UdpConnected(socket), _) => socket.send(bytes).map(drop),
            (DatagramEndpoint::Unix(_, socket), Route::Unix(to)) => socket.send_to_addr(bytes, to).map(drop),
            (DatagramEndpoint::UnixConnected(_, socket), _) => socket.send(bytes).map(drop),
            _ => Err(io::ErrorKind::AddrNotAvailable.into()),
        }
    }
}

impl DatagramEndpoint {
    /// Registers the socket, edge-triggered and READABLE alone.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let read = Interest::READABLE;
        match self {
            DatagramEndpoint::Udp(socket) | DatagramEndpoint::UdpConnected(socket) => {
                event::Source::register(socket, registry, token, read)
            }
            DatagramEndpoint::UdpWildcard(socket) => event::Source::register(socket.inner(), registry, token, read),
            DatagramEndpoint::Unix(_, socket) | DatagramEndpoint::UnixConnected(_, socket) => {
                event::Source::register(&mut SourceFd(&socket.as_raw_fd()), registry, token, read)
            }
        }
    }
}

/// Whether datagrams to `ip` go to many hosts.
fn is_to_many(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip == Ipv4Addr::BROADCAST,
        IpAddr::V6(ip) => ip.is_multicast() || ip.to_ipv4_mapped().is_some_and(|ip| is_to_many(IpAddr::V4(ip))),
    }
}

/// A wildcard UDP socket that knows which address each datagram was sent to (`IP_PKTINFO`, `ip(7)`; `IPV6_PKTINFO`, RFC 3542).
#[cfg(target_os = "linux")]
pub mod packet_info {
    use std::io::{IoSlice, IoSliceMut};

    use nix::cmsg_space;
    use nix::errno::Errno;
    use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
    use nix::net::if_::if_nametoindex;
    use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
    use nix::sys::socket::{
        ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    };

    use super::*;

    /// A UDP socket bound to every address, of one family or of both.
    #[derive(Debug)]
    pub struct WildcardSocket {
        socket: UdpSocket,
        control: Vec<u8>,
        loopback: u32,
    }

    impl WildcardSocket {
        /// Asks the kernel to tell the destination of each datagram. An IPv6 socket that serves both families is told both ways,
        /// since the IPv6 message alone cannot tell a broadcast of IPv4.
        pub fn new(socket: UdpSocket) -> io::Result<WildcardSocket> {
            setsockopt(&socket, Ipv4PacketInfo, &true)?;
            if socket.local_addr()?.is_ipv6() {
                setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
            }
            let loopback = if_nametoindex("lo").unwrap_or(0);
            Ok(WildcardSocket { socket, control: cmsg_space!(in_pktinfo, in6_pktinfo), loopback })
        }

        pub(super) fn inner(&mut self) -> &mut UdpSocket {
            &mut self.socket
        }

        pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
            let mut slices = [IoSliceMut::new(buffer)];
            // Room for the messages is in the vector's capacity; recvmsg(2) tells how much of it was used.
            self.control.resize(self.control.capacity(), 0);
            let message = recvmsg::<SockaddrStorage>(
                self.socket.as_raw_fd(),
                &mut slices,
                Some(&mut self.control),
                MsgFlags::empty(),
            )?;
            let source = message.address.as_ref().and_then(ip_address).ok_or(io::ErrorKind::AddrNotAvailable)?;
            let mut arrival: Option<Arrival> = None;
            for control in message.cmsgs()? {
                let (destination, to_many, interface) = match control {
                    ControlMessageOwned::Ipv4PacketInfo(info) => {
                        let (written, ours) = (ipv4(info.ipi_addr), ipv4(info.ipi_spec_dst));
                        // For a broadcast or a multicast the kernel gives the address that a reply would leave from instead.
                        (IpAddr::V4(written), written != ours, info.ipi_ifindex as u32)
                    }
                    ControlMessageOwned::Ipv6PacketInfo(info) => {
                        (IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)), false, info.ipi6_ifindex)
                    }
                    _ => continue,
                };
                let to_many = to_many || is_to_many(destination) || arrival.is_some_and(|other| other.to_many);
                arrival = Some(Arrival { destination, to_many, over_loopback: interface == self.loopback });
            }
            Ok((message.bytes, Route::Ip { source, arrival }))
        }

        pub(super) fn send(&mut self, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
            let slices = [IoSlice::new(bytes)];
            let fd = self.socket.as_raw_fd();
            let to_storage = SockaddrStorage::from(to);
            let flags = MsgFlags::empty();
            let sent = match (to, from) {
                (SocketAddr::V4(_), Some(IpAddr::V4(from))) => {
                    let info = in_pktinfo {
                        ipi_ifindex: 0,
                        ipi_spec_dst: in_addr { s_addr: u32::from(from).to_be() },
                        ipi_addr: in_addr { s_addr: 0 },
                    };
                    sendmsg(fd, &slices, &[ControlMessage::Ipv4PacketInfo(&info)], flags, Some(&to_storage))
                }
                (SocketAddr::V6(_), Some(from)) => {
                    let from = match from {
                        IpAddr::V4(from) => from.to_ipv6_mapped(),
                        IpAddr::V6(from) => from,
                    };
                    let info = in6_pktinfo { ipi6_addr: in6_addr { s6_addr: from.octets() }, ipi6_ifindex: 0 };
                    sendmsg(fd, &slices, &[ControlMessage::Ipv6PacketInfo(&info)], flags, Some(&to_storage))
                }
                _ => return self.socket.send_to(bytes, to).map(drop),
            };
            sent.map(drop).map_err(|errno: Errno| errno.into())
        }
    }

    fn ipv4(address: in_addr) -> Ipv4Addr {
        Ipv4Addr::from(u32::from_be(address.s_addr))
    }

    fn ip_address(address: &SockaddrStorage) -> Option<SocketAddr> {
        if let Some(address) = address.as_sockaddr_in() {
            return Some(SocketAddr::new(address.ip().into(), address.port()));
        }
        let address = address.as_sockaddr_in6()?;
        Some(std::net::SocketAddrV6::new(address.ip(), address.port(), address.flowinfo(), address.scope_id()).into())
    }
}

/// Without packet information the system chooses the address that a reply leaves from.
#[cfg(not(target_os = "linux"))]
pub mod packet_info {
    use super::*;

    /// A UDP socket bound to every address.
    #[derive(Debug)]
    pub struct WildcardSocket(UdpSocket);

    impl WildcardSocket {
        /// Takes the socket as it is.
        pub fn new(socket: UdpSocket) -> io::Result<WildcardSocket> {
            Ok(WildcardSocket(socket))
        }

        pub(super) fn inner(&mut self) -> &mut UdpSocket {
            &mut self.0
        }

        pub(super) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
            let (length, source) = self.0.recv_from(buffer)?;
            Ok((length, Route::Ip { source, arrival: None }))
        }

        pub(super) fn send(&mut self, bytes: &[u8], to: SocketAddr, _from: Option<IpAddr>) -> io::Result<()> {
            self.0.send_to(bytes, to).map(drop)
        }
    }
}
