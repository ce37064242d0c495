//! Clients of datagram sockets, and datagrams with a forged source.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use socket2::{Domain, Protocol, Socket, Type};

use super::{PATIENCE, skip};

/// A UDP client on a port of its own, on loopback.
pub fn udp_client() -> UdpSocket {
    udp_client_at((Ipv4Addr::LOCALHOST, 0).into())
}

/// A UDP client at `address`.
pub fn udp_client_at(address: SocketAddr) -> UdpSocket {
    let socket = UdpSocket::bind(address).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

/// Sends one datagram to `server` and waits for the answer, which must come from there.
pub fn ask(client: &UdpSocket, server: SocketAddr, message: &[u8]) -> Vec<u8> {
    client.send_to(message, server).unwrap();
    let (answer, source) = receive(client);
    assert_eq!(source, server, "the answer came from elsewhere");
    answer
}

/// Waits for one datagram.
pub fn receive(client: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buffer = vec![0; 70_000];
    let (length, source) = client.recv_from(&mut buffer).expect("no datagram came");
    buffer.truncate(length);
    (buffer, source)
}

/// Whether nothing has come for `client`: to be asked when the server has said that it dropped the answer.
pub fn got_nothing(client: &UdpSocket) -> bool {
    client.set_nonblocking(true).unwrap();
    let received = client.recv_from(&mut [0; 16]);
    client.set_nonblocking(false).unwrap();
    matches!(received, Err(error) if error.kind() == io::ErrorKind::WouldBlock)
}

/// A datagram with a source that its sender does not have: the kernel writes the IP header, the test the UDP header.
fn forge(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> io::Result<()> {
    let socket = Socket::new(Domain::for_address(source), Type::RAW, Some(Protocol::UDP))?;
    // A raw socket has no ports.
    socket.bind(&SocketAddr::new(source.ip(), 0).into())?;
    socket.send_to(&udp_packet(source, destination, payload), &SocketAddr::new(destination.ip(), 0).into()).map(drop)
}

/// A UDP header and the payload behind it (RFC 768). Over IPv6 the checksum may not be left out (RFC 8200, 8.1).
fn udp_packet(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("a datagram is not that long");
    let packet = |checksum: u16| {
        let header = [source.port(), destination.port(), length, checksum];
        [header.map(u16::to_be_bytes).as_flattened(), payload].concat()
    };
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    // Both families add up the same: the addresses, the protocol's number, the length, and the packet.
    let summed = [octets(source), octets(destination), vec![0, 17], length.to_be_bytes().to_vec(), packet(0)].concat();
    let mut sum: u32 =
        summed.chunks(2).map(|half| u32::from(half[0]) << 8 | u32::from(*half.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    let checksum = !(sum as u16);
    packet(if checksum == 0 { 0xffff } else { checksum })
}

/// Forges a datagram; false, with a word about it, where that is not allowed.
pub fn can_forge(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> bool {
    match forge(source, destination, payload) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            skip("forging a source address needs CAP_NET_RAW");
            false
        }
        Err(error) => panic!("cannot forge {source} to {destination}: {error}"),
    }
}
