//! Many UDP datagrams in one system call (`recvmmsg(2)`, `sendmmsg(2)`), on a socket that is bound to one address.

use std::array;
use std::io::{self, IoSlice, IoSliceMut};
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV6};
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::sys::socket::{MsgFlags, MultiHeaders, RecvMsg, SockaddrStorage, recvmmsg};
use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

use crate::os::received::{Queue, Received};
use crate::os::route::Route;

/// How many datagrams one call takes at most. Eight save seven eighths of the system calls, and 64 measured no better.
const BATCH: usize = 8;

/// Room for one datagram of any length: a payload has at most 65,507 bytes over IPv4, and 65,527 over IPv6.
const SLOT: usize = 64 * 1024;

/// Receives as many datagrams as wait, and as `buffer` has slots for. Each has room for the control messages that
/// `control` has room for, and came along the route that `route_of` finds.
pub(in crate::os) fn receive(
    socket: &UdpSocket,
    buffer: &mut [u8],
    control: Option<Vec<u8>>,
    route_of: impl Fn(&RecvMsg<'_, '_, SockaddrStorage>) -> Route,
    received: &mut Vec<Received>,
) -> io::Result<Queue> {
    let count = BATCH.min(buffer.len() / SLOT);
    let mut rooms = buffer.chunks_exact_mut(SLOT);
    let mut slots: [[IoSliceMut<'_>; 1]; BATCH] =
        array::from_fn(|_| [IoSliceMut::new(rooms.next().unwrap_or_default())]);
    // New headers for every call: in used ones, the length of the last address is the room for the next (nix#2813).
    let mut headers = MultiHeaders::<SockaddrStorage>::preallocate(count, control);
    let messages = recvmmsg(socket.as_raw_fd(), &mut headers, &mut slots[..count], MsgFlags::empty(), None)?;
    let mut taken = 0;
    for message in messages {
        let start = taken * SLOT;
        taken += 1;
        received.push(Received {
            range: start..start + message.bytes,
            route: route_of(&message),
            is_cut: message.flags.contains(MsgFlags::MSG_TRUNC),
        });
    }
    // The kernel stops early at an empty queue, and at an error of the socket, which has an edge of its own.
    Ok(if taken < count { Queue::Empty } else { Queue::Unknown })
}

/// The route of a datagram on a socket that is bound to one address.
pub(in crate::os) fn route_to_one_address(message: &RecvMsg<'_, '_, SockaddrStorage>) -> Route {
    let source = message.address.as_ref().and_then(ip_address);
    source.map_or(Route::Unknown, |source| Route::Ip { source, arrival: None })
}

/// Sends the first datagrams of `batch`, up to one that the kernel refuses.
pub(in crate::os) fn send<'a>(
    socket: &UdpSocket,
    batch: impl ExactSizeIterator<Item = (&'a [u8], &'a Route)>,
) -> io::Result<usize> {
    let mut batch = batch.take(BATCH);
    let count = batch.len();
    let mut departures: [_; BATCH] = array::from_fn(|_| {
        let (to, bytes) = match batch.next() {
            Some((bytes, Route::Ip { source, .. })) => (*source, bytes),
            // The kernel refuses port 0.
            _ => (SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0)), [].as_slice()),
        };
        (SocketAddrAny::from(to), [IoSlice::new(bytes)], SendAncillaryBuffer::default())
    });
    let mut messages =
        departures.each_mut().map(|(to, parts, no_control)| MMsgHdr::new_with_addr(to, parts, no_control));
    Ok(sendmmsg(socket, &mut messages[..count], SendFlags::empty())?)
}

/// The address in `storage`, as the system calls of `nix` give it; `None` if it is of another family.
pub(in crate::os) fn ip_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(address) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(address.ip().into(), address.port()));
    }
    let address = storage.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(address.ip(), address.port(), address.flowinfo(), address.scope_id()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_is_received_at_a_time_than_there_are_whole_slots() {
        let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..3 {
            socket.send_to(b"datagram", socket.local_addr().unwrap()).unwrap();
        }
        socket.set_nonblocking(true).unwrap();
        let socket = UdpSocket::from_std(socket);
        let mut room = vec![0; 3 * SLOT - 1];
        for count in [2, 1] {
            let mut received = Vec::new();
            let queue = receive(&socket, &mut room[..count * SLOT + 1], None, route_to_one_address, &mut received);
            assert_eq!((queue.unwrap(), received.len()), (Queue::Unknown, count));
            for (slot, one) in received.iter().enumerate() {
                assert_eq!((one.range.clone(), one.is_cut), (slot * SLOT..slot * SLOT + 8, false));
            }
        }
    }
}
