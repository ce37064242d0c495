//! What holds a port that cannot be bound: a server, a client, or a connection that has ended.

use std::net::SocketAddr;

use crate::measure::processes::owner;
use crate::measure::processes::socket_table::{Kind, sockets};

/// What holds a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Holder {
    /// A socket that listens or receives; with its process in words, such as ` (nginx, process 42)`, or nothing where
    /// that is hidden.
    Server(String),
    /// A socket that is connected to a peer; with its process.
    Client(String),
    /// A connection that has ended: the kernel keeps its port for a minute (TIME_WAIT, RFC 9293, 3.6.1).
    Ended,
    /// Nothing that the system shows: a socket that is bound and does not listen is in no table (`proc_net(5)`).
    Unknown,
}

impl Holder {
    /// What is in the way of a socket at `address`.
    pub(crate) fn of(address: SocketAddr, datagrams: bool) -> Holder {
        let found = sockets(datagrams, |local| is_in_the_way(local, address));
        // Who listens explains it best, and what has ended least.
        let Some((kind, inode)) = found.into_iter().min() else { return Holder::Unknown };
        match kind {
            Kind::Server => Holder::Server(who(inode)),
            Kind::Client => Holder::Client(who(inode)),
            Kind::Ended => Holder::Ended,
        }
    }
}

fn who(inode: u64) -> String {
    let holders = owner::holders(&[inode]);
    let stat = holders.first().and_then(|process| process.stat().ok());
    stat.map_or_else(String::new, |stat| format!(" ({}, process {})", stat.comm.escape_debug(), stat.pid))
}

/// Whether a socket at `local` leaves no room for one at `address`.
fn is_in_the_way(local: SocketAddr, address: SocketAddr) -> bool {
    let (one, other) = (local.ip().to_canonical(), address.ip().to_canonical());
    local.port() == address.port() && (one == other || one.is_unspecified() || other.is_unspecified())
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    use super::*;

    #[test]
    fn servers_and_clients_are_told_apart() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.local_addr().unwrap();
        assert!(matches!(Holder::of(server, false), Holder::Server(_)));
        assert_eq!(Holder::of(server, true), Holder::Unknown);
        let client = TcpStream::connect(server).unwrap();
        let client_at = client.local_addr().unwrap();
        assert!(matches!(Holder::of(client_at, false), Holder::Client(_)));
        let (mut accepted, _) = listener.accept().unwrap();
        drop(client);
        accepted.read_to_end(&mut Vec::new()).unwrap();
        drop((accepted, listener));
        // The end of the server's side takes a moment to arrive.
        let until = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while Holder::of(client_at, false) != Holder::Ended && std::time::Instant::now() < until {
            std::thread::yield_now();
        }
        assert_eq!(Holder::of(client_at, false), Holder::Ended);

        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        sender.connect(receiver.local_addr().unwrap()).unwrap();
        assert!(matches!(Holder::of(receiver.local_addr().unwrap(), true), Holder::Server(_)));
        assert!(matches!(Holder::of(sender.local_addr().unwrap(), true), Holder::Client(_)));
    }
}
