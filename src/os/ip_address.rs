//! An IP address as the system calls of `nix` give it.

use std::net::{SocketAddr, SocketAddrV6};

use nix::sys::socket::SockaddrStorage;

/// The address in `storage`; none where it is of another family.
pub(in crate::os) fn ip_address(storage: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(address) = storage.as_sockaddr_in() {
        return Some(SocketAddr::new(address.ip().into(), address.port()));
    }
    let address = storage.as_sockaddr_in6()?;
    Some(SocketAddrV6::new(address.ip(), address.port(), address.flowinfo(), address.scope_id()).into())
}
