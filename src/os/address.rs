//! Addresses: where a socket is, and who is at the other end.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddress;

use crate::os::unix_name::UnixName;

/// Where a socket is bound, or what it connects to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Address {
    /// An IP address and a port.
    Ip(SocketAddr),
    /// The name of a Unix socket.
    Unix(UnixName),
}

impl Address {
    /// Whether a socket that is bound to `source` can reach it, as far as the address family decides.
    pub fn is_of_family(&self, source: &SocketAddr) -> bool {
        matches!(self, Address::Ip(address) if address.is_ipv4() == source.is_ipv4())
    }

    /// The IP address and port; none of a Unix socket.
    pub fn ip(&self) -> Option<SocketAddr> {
        if let Address::Ip(address) = self { Some(*address) } else { None }
    }

    /// Whether `name` is the name of this Unix socket.
    pub fn is_named(&self, name: &UnixAddress) -> bool {
        matches!(self, Address::Unix(own) if own.is(name))
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
            Address::Unix(name) => name.fmt(f),
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
    /// A sender that the kernel did not tell.
    Unknown,
}

impl<'a> Peer<'a> {
    /// The peer of a stream, which has an IP address unless the stream is a Unix one.
    pub fn of(address: Option<&'a SocketAddr>) -> Peer<'a> {
        address.map_or(Peer::Unix(None), Peer::Ip)
    }
}

/// The number of one source, where sources are counted: an IPv4 address (mapped into IPv6 or not, RFC 4291, 2.5.5.2),
/// or an IPv6 /64, of which one host can use every address (2.5.4).
pub fn source_network(ip: IpAddr) -> u64 {
    match ip.to_canonical() {
        IpAddr::V4(ip) => u64::from(u32::from(ip)),
        IpAddr::V6(ip) => (u128::from(ip) >> 64) as u64,
    }
}

impl fmt::Display for Peer<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Peer::Ip(address) => SocketAddr::new(address.ip().to_canonical(), address.port()).fmt(f),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_source() {
        let network = |ip: &str| source_network(ip.parse().unwrap());
        assert_eq!(network("2001:db8:0:1::1"), network("2001:db8:0:1:ffff::2"));
        assert_eq!(network("::ffff:192.0.2.1"), network("192.0.2.1"));
        let mut networks = ["192.0.2.1", "192.0.2.2", "2001:db8:0:1::1", "2001:db8:0:2::1"].map(network).to_vec();
        networks.sort_unstable();
        networks.dedup();
        assert_eq!(networks.len(), 4, "others are sources of their own");
    }
}
