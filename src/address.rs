//! Addresses: where a socket is, and who is at the other end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::PathBuf;

/// Where a socket is bound, or what it connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// A path in the file system (`unix(7)`).
    Unix(PathBuf),
}

impl Address {
    /// Whether a socket that is bound to `source` can reach it, as far as the address family decides.
    pub fn is_of_family(&self, source: &IpAddr) -> bool {
        matches!(self, Address::Ip(address) if address.is_ipv4() == source.is_ipv4())
    }
}

impl From<SocketAddr> for Address {
    fn from(address: SocketAddr) -> Address {
        Address::Ip(address)
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Address::Ip(address) => address.fmt(f),
            Address::Unix(path) => path.display().fmt(f),
        }
    }
}

/// Who is at the other end, as logs tell it.
#[derive(Clone, Copy, Debug)]
pub enum Peer<'a> {
    /// An IP address and a port; an IPv4 address mapped into IPv6 is told as what it is.
    Ip(&'a SocketAddr),
    /// A Unix socket, by its name where it has one that is known.
    Unix(Option<&'a UnixAddress>),
    /// The one peer that a datagram socket is connected to.
    Connected,
    /// Whoever sent a datagram of which the kernel did not tell.
    Unknown,
}

impl<'a> Peer<'a> {
    /// The peer of a stream, which has an IP address unless the stream is a Unix one.
    pub fn of(address: Option<&'a SocketAddr>) -> Peer<'a> {
        address.map_or(Peer::Unix(None), Peer::Ip)
    }
}

/// The address itself, or the IPv4 address that is mapped into it (RFC 4291, 2.5.5.2).
pub fn canonical(ip: IpAddr) -> IpAddr {
    ip.to_canonical()
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(address) => SocketAddr::new(canonical(address.ip()), address.port()).fmt(f),
            Peer::Unix(name) => match name.and_then(UnixAddress::as_pathname) {
                // The debug form of a path is escaped: a client chooses its own name.
                Some(path) => write!(f, "unix:{path:?}"),
                None => f.write_str("unix"),
            },
            Peer::Connected => f.write_str("the peer"),
            Peer::Unknown => f.write_str("somebody"),
        }
    }
}
