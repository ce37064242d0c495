//! A UDP socket bound to every address, whose replies leave from the address that was asked.
//!
//! The kernel tells the destination of each datagram in a control message (`IP_PKTINFO`, `ip(7)`; `IPV6_PKTINFO`, RFC
//! 3542). Without them the system chooses the address that a reply leaves from.

use std::io::{self, IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::cmsg_space;
use nix::errno::Errno;
use nix::libc::{in_addr, in_pktinfo, in6_addr, in6_pktinfo};
use nix::net::if_::if_nametoindex;
use nix::sys::socket::sockopt::{Ipv4PacketInfo, Ipv6RecvPacketInfo};
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, RecvMsg, SockaddrStorage, recvmsg, sendmsg, setsockopt,
};

use crate::os::received::{Queue, Received};
use crate::os::route::{Arrival, Route, is_to_many};
use crate::os::udp_batch::{self, ip_address};

/// A UDP socket bound to every address, of one family or of both.
#[derive(Debug)]
pub struct WildcardSocket {
    socket: UdpSocket,
    control: Vec<u8>,
    loopback: u32,
}

impl WildcardSocket {
    /// Asks the kernel to tell the destination of each datagram. An IPv6 socket that serves both families is told
    /// both ways, since the IPv6 message alone cannot tell a broadcast of IPv4.
    pub(crate) fn new(socket: UdpSocket) -> io::Result<WildcardSocket> {
        setsockopt(&socket, Ipv4PacketInfo, &true)?;
        if socket.local_addr()?.is_ipv6() {
            setsockopt(&socket, Ipv6RecvPacketInfo, &true)?;
        }
        let loopback = if_nametoindex("lo").unwrap_or(0);
        Ok(WildcardSocket { socket, control: cmsg_space!(in_pktinfo, in6_pktinfo), loopback })
    }

    pub(in crate::os) fn inner(&mut self) -> &mut UdpSocket {
        &mut self.socket
    }

    pub(in crate::os) fn local(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    pub(in crate::os) fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
        let mut slices = [IoSliceMut::new(buffer)];
        // Room for the messages is in the vector's capacity; recvmsg(2) tells how much of it was used.
        self.control.resize(self.control.capacity(), 0);
        let message = recvmsg::<SockaddrStorage>(
            self.socket.as_raw_fd(),
            &mut slices,
            Some(&mut self.control),
            MsgFlags::empty(),
        )?;
        Ok((message.bytes, route_of(&message, self.loopback)))
    }

    /// Many at once; see [`DatagramSocket`](crate::os::datagram_socket::DatagramSocket).
    pub(in crate::os) fn receive_batch(&self, buffer: &mut [u8], received: &mut Vec<Received>) -> io::Result<Queue> {
        let control = cmsg_space!(in_pktinfo, in6_pktinfo);
        udp_batch::receive(&self.socket, buffer, Some(control), |message| route_of(message, self.loopback), received)
    }

    pub(in crate::os) fn send(&mut self, bytes: &[u8], to: SocketAddr, from: Option<IpAddr>) -> io::Result<()> {
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

fn route_of(message: &RecvMsg<'_, '_, SockaddrStorage>, loopback: u32) -> Route {
    let source = message.address.as_ref().and_then(ip_address);
    // Control messages that were cut short are none.
    let (Some(source), Ok(controls)) = (source, message.cmsgs()) else { return Route::Unknown };
    let mut arrival: Option<Arrival> = None;
    for control in controls {
        let (destination, to_many, interface) = match control {
            ControlMessageOwned::Ipv4PacketInfo(info) => {
                let (written, ours) = (ipv4(info.ipi_addr), ipv4(info.ipi_spec_dst));
                // For a broadcast or a multicast the kernel gives the address that a reply would leave from
                // instead.
                (IpAddr::V4(written), written != ours, info.ipi_ifindex as u32)
            }
            ControlMessageOwned::Ipv6PacketInfo(info) => {
                (IpAddr::V6(Ipv6Addr::from(info.ipi6_addr.s6_addr)), false, info.ipi6_ifindex)
            }
            _ => continue,
        };
        let to_many = to_many || is_to_many(destination) || arrival.is_some_and(|other| other.to_many);
        arrival = Some(Arrival { destination, to_many, over_loopback: interface == loopback });
    }
    Route::Ip { source, arrival }
}

fn ipv4(address: in_addr) -> Ipv4Addr {
    Ipv4Addr::from(u32::from_be(address.s_addr))
}
