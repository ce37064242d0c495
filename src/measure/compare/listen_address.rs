//! Where a server is told to listen: a free port, or a path in a private folder.

use std::collections::hash_map::RandomState;
use std::fs;
use std::hash::BuildHasher;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::path::Path;

use crate::os::address::Address;
use crate::os::reason::said;
use crate::os::unix_name::UnixName;

/// Ports that need no privilege and that few services have.
const PORTS: Range<u16> = 10_000..32_768;

/// How many ports are tried.
const TRIES: u32 = 256;

/// What names the place where a server listens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListenKind {
    /// A port of 127.0.0.1.
    Port,
    /// The path of a Unix socket.
    Path,
    /// The abstract name of a Unix socket.
    Name,
}

impl ListenKind {
    /// What stands for the place in a server's command.
    pub fn placeholder(self) -> &'static str {
        match self {
            ListenKind::Port => "{port}",
            ListenKind::Path => "{path}",
            ListenKind::Name => "{name}",
        }
    }
}

/// Where one server process is told to listen.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenAddress {
    /// The address to connect to.
    pub address: Address,
    family: ListenKind,
    text: String,
}

impl ListenAddress {
    /// A free place: a port, or a path in `folder` for the process of this `number`.
    ///
    /// A port is taken from outside the range from which the system gives ports to clients: otherwise one of this
    /// program's own connections could have it when the server wants it, or be connected to itself.
    pub fn take(family: ListenKind, folder: Option<&Path>, number: usize) -> io::Result<ListenAddress> {
        match family {
            ListenKind::Port => free_port().map(ListenAddress::at_port),
            ListenKind::Path => {
                let folder = folder.ok_or(io::ErrorKind::NotADirectory)?;
                let path = folder.join(format!("{number}.sock"));
                if path.as_os_str().len() > UnixName::MAX {
                    let words =
                        "the path of the temporary folder is too long for a Unix socket: set TMPDIR to a shorter one";
                    return Err(said(io::ErrorKind::InvalidFilename, words));
                }
                let words = "the path of the temporary folder is no text: set TMPDIR to another one";
                let text = path.to_str().ok_or_else(|| said(io::ErrorKind::InvalidFilename, words))?.to_owned();
                Ok(ListenAddress { address: Address::Unix(path.into()), family, text })
            }
            ListenKind::Name => {
                // No other process can know it beforehand.
                let text = format!("cooee-compare-{:x}-{number}", RandomState::new().hash_one(number));
                let address = Address::Unix(UnixName::Abstract(text.clone().into_bytes()));
                Ok(ListenAddress { address, family, text })
            }
        }
    }

    pub(super) fn at_port(port: u16) -> ListenAddress {
        ListenAddress {
            address: Address::Ip((Ipv4Addr::LOCALHOST, port).into()),
            family: ListenKind::Port,
            text: port.to_string(),
        }
    }

    /// `word` with this place where the placeholder stands.
    pub fn fill(&self, word: &str) -> String {
        word.replace(self.family.placeholder(), &self.text)
    }
}

fn free_port() -> io::Result<u16> {
    let clients = client_ports();
    let mut candidates = PORTS.filter(|port| !clients.contains(&u32::from(*port))).collect::<Vec<u16>>();
    // Where clients get every port there is no better one.
    if candidates.is_empty() {
        candidates.extend(PORTS);
    }
    // Several comparisons at once should not try the same ones.
    let random = RandomState::new();
    let tried = (0..TRIES).map(|number| candidates[random.hash_one(number) as usize % candidates.len()]);
    tried
        .into_iter()
        .find(|port| is_free(*port))
        .ok_or_else(|| said(io::ErrorKind::AddrInUse, "no free port was found below those of clients"))
}

/// The ports that the system gives to clients (`ip(7)`, `ip_local_port_range`).
fn client_ports() -> Range<u32> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut bounds = text.split_whitespace().filter_map(|bound| bound.parse::<u32>().ok());
    match (bounds.next(), bounds.next()) {
        (Some(first), Some(last)) => first..last.saturating_add(1),
        _ => 32_768..61_000,
    }
}

/// Whether a server could have `port` with TCP and with UDP, on IPv4 and on IPv6 where there is any.
fn is_free(port: u16) -> bool {
    let is_taken = |error: &io::Error| error.kind() == io::ErrorKind::AddrInUse;
    let on_six = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).err().is_some_and(|error| is_taken(&error));
    !on_six
        && TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
        && UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_not_free() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(listener.local_addr().unwrap().port()));
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        assert!(!is_free(socket.local_addr().unwrap().port()));
        let free = free_port().unwrap();
        assert!(!client_ports().contains(&u32::from(free)), "{free} could be a client's");
    }

    #[test]
    fn a_path_lies_in_the_private_folder() {
        let place = ListenAddress::take(ListenKind::Path, Some(Path::new("/run/private")), 3).unwrap();
        assert_eq!(place.address, Address::Unix("/run/private/3.sock".into()));
        assert_eq!(place.fill("unix://{path}?x={port}"), "unix:///run/private/3.sock?x={port}");
        let long = format!("/{}", "x".repeat(110));
        let long = ListenAddress::take(ListenKind::Path, Some(Path::new(&long)), 3).unwrap_err();
        assert!(crate::os::reason::of(&long).contains("TMPDIR"));
        let names = [3, 3].map(|number| ListenAddress::take(ListenKind::Name, None, number).unwrap());
        assert_ne!(names[0].address, names[1].address, "nobody can know it beforehand");
        let Address::Unix(UnixName::Abstract(name)) = &names[0].address else { panic!("{:?}", names[0].address) };
        assert_eq!(names[0].fill("unix://@{name}"), format!("unix://@{}", String::from_utf8_lossy(name)));
    }
    #[test]
    fn a_port_is_sought_among_those_that_few_have() {
        let ports: Vec<u16> = (0..20).map(|_| free_port().unwrap()).collect();
        assert!(ports.iter().all(|port| PORTS.contains(port) && is_free(*port)), "{ports:?}");
        assert!(ports.iter().any(|port| *port != ports[0]), "several comparisons would have the same one");
        let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
        let clients = client_ports();
        assert_eq!(format!("{}\t{}\n", clients.start, clients.end - 1), text);
    }

    #[test]
    fn a_port_is_taken_that_is_so_on_ipv6_alone() {
        let Ok(listener) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else {
            return crate::skips::skip("no IPv6 on this machine");
        };
        assert!(!is_free(listener.local_addr().unwrap().port()));
    }
}
