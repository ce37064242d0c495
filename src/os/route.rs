//! The route of a datagram: where it came from, and how it reached us.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::unix::net::SocketAddr as UnixAddress;

use crate::os::address::Peer;

/// Where a datagram came from, and to which of our addresses: what a reply needs.
#[derive(Clone, Debug)]
pub enum Route {
    /// From an IP address.
    Ip {
        /// Who sent it.
        source: SocketAddr,
        /// How it reached us, where the socket can tell.
        arrival: Option<Arrival>,
    },
    /// From a Unix socket, named or not.
    Unix(UnixAddress),
    /// From the one peer that the socket is connected to.
    Connected,
    /// The kernel did not tell.
    Unknown,
}

/// How a datagram reached a socket that is bound to every address of the machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrival {
    /// The address that the sender wrote on it.
    pub destination: IpAddr,
    /// Whether that is a broadcast or multicast address.
    pub to_many: bool,
    /// Whether it came over the loopback interface: then its sender is on this machine, whatever address it gave.
    pub over_loopback: bool,
}

impl Route {
    /// The sender, as logs tell it.
    pub fn peer(&self) -> Peer<'_> {
        match self {
            Route::Ip { source, .. } => Peer::Ip(source),
            Route::Unix(address) => Peer::Unix(Some(address)),
            Route::Connected => Peer::Connected,
            Route::Unknown => Peer::Unknown,
        }
    }
}

/// Whether datagrams to `ip` go to many hosts.
pub(super) fn is_to_many(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => ip.is_multicast() || ip == Ipv4Addr::BROADCAST,
        IpAddr::V6(ip) => ip.is_multicast() || ip.to_ipv4_mapped().is_some_and(|ip| is_to_many(IpAddr::V4(ip))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn broadcast_and_multicast_go_to_many() {
        for many in ["224.0.0.1", "239.255.255.250", "255.255.255.255", "::ffff:224.0.0.1", "ff02::1"] {
            assert!(is_to_many(many.parse().unwrap()), "{many}");
        }
        for one in ["192.0.2.1", "127.0.0.1", "::ffff:192.0.2.1", "::1", "2001:db8::1"] {
            assert!(!is_to_many(one.parse().unwrap()), "{one}");
        }
    }
}
