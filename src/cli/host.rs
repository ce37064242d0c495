//! Hosts: which addresses a name, or an address as people write it, stands for.

use std::net::{Ipv6Addr, SocketAddr, ToSocketAddrs, UdpSocket};

use crate::cli::cli_error::CliError;
use crate::cli::endpoint::Transport;
use crate::cli::suggestion::did_you_mean;
use crate::cli::zone;
use crate::os::bind;

/// Every address of a host, each once, in the resolver's order. Looking up a name may block. The error holds the reason
/// alone; the caller adds the endpoint.
pub(crate) fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, CliError> {
    let found = match host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
        Some(ip) => vec![zone::ipv6(ip, port).map_err(CliError::Usage)?],
        None => look_up(host, port)?,
    };
    let mut addresses: Vec<SocketAddr> = Vec::new();
    for address in found {
        let ip = address.ip().to_canonical();
        let address = if ip == address.ip() { address } else { SocketAddr::new(ip, port) };
        let address = zone::check(address).map_err(CliError::Usage)?;
        if bind::has_many_listeners(address) {
            return Err(CliError::Usage(format!(
                "{ip} is a {} address: many hosts hear what is sent there, and nobody can answer from it; give the address of one",
                if ip.is_multicast() { "multicast" } else { "broadcast" }
            )));
        }
        if !addresses.contains(&address) {
            addresses.push(address);
        }
    }
    Ok(addresses)
}

/// Whether this machine has no IPv6: then even its loopback address is missing.
pub(crate) fn ipv6_is_off() -> bool {
    UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err()
}

fn look_up(host: &str, port: u16) -> Result<Vec<SocketAddr>, CliError> {
    // The resolver's own words for a missing address rarely say more than that it is not known.
    let found = (host, port).to_socket_addrs().map(Iterator::collect::<Vec<_>>).unwrap_or_default();
    if found.is_empty() {
        return Err(CliError::Runtime(format!(
            "no such host: {} (neither /etc/hosts nor the name servers know its address){}",
            host.escape_debug(),
            did_you_mean(host, Transport::NAMES)
        )));
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_of_a_host_is_found_once() {
        assert_eq!(addresses("[::1]", 7).unwrap(), ["[::1]:7".parse().unwrap()]);
        assert_eq!(addresses("[::ffff:127.0.0.1]", 7).unwrap(), ["127.0.0.1:7".parse().unwrap()]);
        let CliError::Runtime(unknown) = addresses("no-such-host.invalid", 1).unwrap_err() else {
            panic!("the arguments make sense")
        };
        assert!(unknown.contains("no such host: no-such-host.invalid"), "{unknown}");
    }

    #[test]
    fn an_address_of_many_is_refused() {
        for many in ["224.0.0.1", "255.255.255.255", "127.255.255.255", "[ff02::1%lo]", "[::ffff:239.1.2.3]"] {
            let Err(CliError::Usage(reason)) = addresses(many, 7) else { panic!("{many} is taken") };
            assert!(reason.contains("cast address") && reason.contains("the address of one"), "{reason}");
        }
        for one in ["127.0.0.1", "0.0.0.0", "[::]", "192.0.2.1"] {
            assert!(addresses(one, 7).is_ok(), "{one}");
        }
    }
}
