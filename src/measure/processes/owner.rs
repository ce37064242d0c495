//! Whose socket an address of this machine is: the processes that serve there.

use std::net::{SocketAddr, UdpSocket};
use std::path::Path;

use procfs::process::{FDTarget, Process, all_processes};

use crate::measure::processes::process_id::ProcessId;
use crate::measure::processes::socket_table::{Kind, sockets};
use crate::os::address::Address;
use crate::os::unix_name::UnixName;

/// The processes that hold the socket on which `address` is served, with those that share it. Empty where the address
/// is another machine's, or where this process may not look.
pub(crate) fn owners(address: &Address, datagrams: bool) -> Vec<ProcessId> {
    let inodes = match address {
        Address::Ip(address) if is_local(*address) => inodes_at(*address, datagrams),
        Address::Ip(_) => Vec::new(),
        Address::Unix(name) => inodes_of(name),
    };
    if inodes.is_empty() {
        return Vec::new();
    }
    holders(&inodes).into_iter().filter_map(|process| Some(ProcessId::of(&process.stat().ok()?))).collect()
}

/// The other processes that hold one of these sockets, as far as this one may look.
pub(super) fn holders(inodes: &[u64]) -> Vec<Process> {
    let holds = |process: &Process| {
        let descriptors = process.fd().into_iter().flatten().flatten();
        descriptors.into_iter().any(|fd| matches!(fd.target, FDTarget::Socket(inode) if inodes.contains(&inode)))
    };
    let processes = all_processes().into_iter().flatten().flatten();
    let own = std::process::id() as i32;
    processes.filter(|process| process.pid != own && holds(process)).collect()
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
    let served = sockets(datagrams, serves).into_iter().filter(|(kind, _)| *kind == Kind::Server);
    served.map(|(_, inode)| inode).collect()
}

fn inodes_of(name: &UnixName) -> Vec<u64> {
    // The table has an abstract name behind an '@', as it is displayed.
    let shown = name.path().map_or_else(|| name.to_string().replace('\0', "@").into(), Path::to_owned);
    let sockets = procfs::net::unix().into_iter().flatten();
    sockets.filter(|socket| socket.path.as_ref() == Some(&shown)).map(|socket| socket.inode).collect()
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixListener;
    use std::process::{Child, Command};
    use std::thread;
    use std::time::{Duration, Instant};

    use super::*;

    /// A process that holds a socket, and nothing else of it.
    struct Held(Child);

    impl Held {
        fn of(socket: impl Into<OwnedFd>) -> Held {
            Held(Command::new("sleep").arg("60").stdin(socket.into()).spawn().unwrap())
        }

        fn member(&self) -> ProcessId {
            ProcessId::of(&Process::new(self.0.id() as i32).unwrap().stat().unwrap())
        }
    }

    impl Drop for Held {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    /// Fails where an address is not served by these processes. A child of another test holds every socket of this
    /// program between its fork and its exec, so a look that finds more is repeated.
    #[track_caller]
    fn assert_owners(address: &Address, datagrams: bool, expected: &[ProcessId]) {
        let deadline = Instant::now() + Duration::from_secs(20);
        let mut found = owners(address, datagrams);
        while found != expected && Instant::now() < deadline {
            thread::sleep(Duration::from_millis(2));
            found = owners(address, datagrams);
        }
        assert_eq!(found, expected, "{address}");
    }

    #[test]
    fn whoever_holds_the_socket_serves_there() {
        let tcp = TcpListener::bind(("127.0.0.2", 0)).unwrap();
        let everywhere = TcpListener::bind(("0.0.0.0", 0)).unwrap();
        let udp = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        let client = UdpSocket::bind(("127.0.0.1", 0)).unwrap();
        client.connect(udp.local_addr().unwrap()).unwrap();
        let ends = [&tcp, &everywhere].map(|listener| listener.local_addr().unwrap());
        let [udp_end, client_end] = [&udp, &client].map(|socket| socket.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let unix = UnixListener::bind(&path).unwrap();
        let holders = [Held::of(tcp), Held::of(everywhere), Held::of(udp), Held::of(unix)];
        let [tcp, everywhere, udp, unix] = holders.each_ref().map(|holder| vec![holder.member()]);

        let at = |ip: [u8; 4], end: SocketAddr| Address::Ip(SocketAddr::new(ip.into(), end.port()));
        assert_owners(&Address::Ip(ends[0]), false, &tcp);
        // Another address.
        assert_owners(&at([127, 0, 0, 1], ends[0]), false, &[]);
        assert_owners(&at([127, 0, 0, 1], ends[1]), false, &everywhere);
        // Another machine's.
        assert_owners(&at([192, 0, 2, 1], ends[1]), false, &[]);
        assert_owners(&Address::Ip(udp_end), true, &udp);
        assert_owners(&Address::Ip(udp_end), false, &[]);
        let _client = Held::of(client);
        // A client's.
        assert_owners(&Address::Ip(client_end), true, &[]);
        assert_owners(&Address::Unix(path.into()), false, &unix);
        assert_owners(&Address::Unix(folder.path().join("nothing").into()), false, &[]);
    }

    #[test]
    fn a_socket_of_this_machine_is_found_and_another_machines_is_not() {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        assert_eq!(inodes_at(address, false).len(), 1);
        assert_eq!(inodes_at(address, true).len(), 0);
        // This process is the client.
        assert_owners(&Address::Ip(address), false, &[]);
        let elsewhere = SocketAddr::new([192, 0, 2, 1].into(), address.port());
        assert!(!is_local(elsewhere));
        assert_owners(&Address::Ip(elsewhere), false, &[]);
    }
}
