//! Clients of datagram sockets, and datagrams with a forged source.

use std::io;
use std::net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket};

use socket2::{Domain, Protocol, SockAddr, Socket, Type};

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

/// A datagram with a source that its sender does not have: the kernel writes the IP header, the test the UDP header (RFC 768; a
/// checksum of 0 is none).
fn forge(source: SocketAddrV4, destination: SocketAddrV4, payload: &[u8]) -> io::Result<()> {
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::UDP))?;
    socket.bind(&SocketAddrV4::new(*source.ip(), 0).into())?;
    let length = u16::try_from(8 + payload.len()).unwrap();
    let mut packet = Vec::new();
    for half in [source.port(), destination.port(), length, 0] {
        packet.extend_from_slice(&half.to_be_bytes());
    }
    packet.extend_from_slice(payload);
    socket.send_to(&packet, &SockAddr::from(destination)).map(drop)
}

/// Forges a datagram; false, with a word about it, where that is not allowed.
pub fn can_forge(source: SocketAddr, destination: SocketAddr, payload: &[u8]) -> bool {
    let (SocketAddr::V4(source), SocketAddr::V4(destination)) = (source, destination) else { panic!("IPv4 only") };
    match forge(source, destination, payload) {
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            skip("forging a source address needs CAP_NET_RAW");
            false
        }
        Err(error) => panic!("cannot forge {source} to {destination}: {error}"),
    }
}
