//! The kernel's tables of IP sockets (`proc(5)`): which of them are at an address, and what each is there for.

use std::net::SocketAddr;

use procfs::net::TcpState;

/// What a socket is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// It listens, or takes datagrams from everybody.
    Server,
    /// It has one peer: an outgoing connection, or one that a server has accepted.
    Client,
    /// Its connection has ended, and the port rests for a while (TIME_WAIT).
    Ended,
}

/// The sockets for which `is_meant` holds of the local address, of UDP or of TCP: of which kind, and its inode.
pub(super) fn sockets(datagrams: bool, is_meant: impl Fn(SocketAddr) -> bool) -> Vec<(Kind, u64)> {
    if datagrams {
        let sockets = [procfs::net::udp(), procfs::net::udp6()].into_iter().flatten().flatten();
        let kind = |remote: SocketAddr| if remote.port() == 0 { Kind::Server } else { Kind::Client };
        let meant = sockets.filter(|socket| is_meant(socket.local_address));
        return meant.map(|socket| (kind(socket.remote_address), socket.inode)).collect();
    }
    let sockets = [procfs::net::tcp(), procfs::net::tcp6()].into_iter().flatten().flatten();
    let kind = |state| match state {
        TcpState::Listen => Kind::Server,
        TcpState::TimeWait => Kind::Ended,
        _ => Kind::Client,
    };
    let meant = sockets.filter(|socket| is_meant(socket.local_address));
    meant.map(|socket| (kind(socket.state), socket.inode)).collect()
}
