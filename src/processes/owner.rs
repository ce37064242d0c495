//! Whose socket an address of this machine is: the processes that serve there.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use procfs::net::TcpState;
use procfs::process::{FDTarget, Process, all_processes};

use crate::address::Address;
use crate::processes::member::Member;

/// The processes that hold the socket on which `address` is served, with those that share it. Empty where the address is another
/// machine's, or where this process may not look.
pub fn owners(address: &Address, datagrams: bool) -> Vec<Member> {
    let inodes = match address {
        Address::Ip(address) if is_local(*address) => inodes_at(*address, datagrams),
        Address::Ip(_) => Vec::new(),
        Address::Unix(path) => inodes_of(path),
    };
    if inodes.is_empty() {
        return Vec::new();
    }
    let holds = |process: &Process| {
        let descriptors = process.fd().into_iter().flatten().flatten();
        descriptors.into_iter().any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    };
    let processes = all_processes().into_iter().flatten().flatten();
    let own = std::process::id() as i32;
    processes
        .filter(|process| process.pid != own && holds(process))
        .filter_map(|process| Some(Member::of(&process.stat().ok()?)))
        .collect()
}

/// Whether an address belongs to this machine: only then can a socket be bound to it.
fn is_local(address: SocketAddr) -> bool {
    UdpSocket::bind(SocketAddr::new(address.ip(), 0)).is_ok()
}

fn inodes_at(address: SocketAddr, datagrams: bool) -> Vec<u64> {
    let serves = |local: SocketAddr| {
        let ip = local.ip().to_canonical();
        local.port() == address.port() && (ip == address.ip().to_canonical() || ip.is_unspecified())
    };
    if datagrams {
        let sockets = [procfs::net::udp(), procfs::net::udp6()].into_iter().flatten().flatten();
        // A connected socket is a client's.
        let serving = sockets.filter(|socket| socket.remote_address.port() == 0 && serves(socket.local_address));
        return serving.map(|socket| socket.inode).collect();
    }
    let sockets = [procfs::net::tcp(), procfs::net::tcp6()].into_iter().flatten().flatten();
    let serving = sockets.filter(|socket| socket.state == TcpState::Listen && serves(socket.local_address));
    serving.map(|socket| socket.inode).collect()
}

fn inodes_of(path: &Path) -> Vec<u64> {
    let sockets = procfs::net::unix().into_iter().flatten();
    sockets.filter(|socket| socket.path.as_deref() == Some(path)).map(|socket| socket.inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn a_socket_of_this_machine_is_found_and_another_machines_is_not() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(inodes_at(address, false).len(), 1);
        assert_eq!(inodes_at(address, true).len(), 0);
        assert_eq!(owners(&Address::Ip(address), false), [], "this process is the client");
        let elsewhere = SocketAddr::new([192, 0, 2, 1].into(), address.port());
        assert!(!is_local(elsewhere));
        assert_eq!(owners(&Address::Ip(elsewhere), false), []);
    }
}
