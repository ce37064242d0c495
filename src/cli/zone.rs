//! The zone of an IPv6 address: the interface over which a link-local address is reached (RFC 4007), by its name or its
//! number.

use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};

use nix::net::if_;

/// Parses an IP address as a flag takes it, with a zone where it has one and with the port 0. The error says what is
/// right.
pub(crate) fn ip(text: &str) -> Result<SocketAddr, String> {
    if !text.contains([':', '%']) {
        let ip = text.parse::<IpAddr>().map_err(|_| "an IP address is wanted: 127.0.0.2, ::1, fe80::1%eth0".to_owned());
        return ip.map(|ip| SocketAddr::new(ip, 0));
    }
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    ipv6(bare, 0)
}

/// Parses an IPv6 address with a zone (`fe80::1%eth0`, `fe80::1%2`, or as a URL has it: `fe80::1%25eth0`, RFC 6874) or
/// without one. An IPv4 address that is mapped into IPv6 is told as the IPv4 address.
pub(crate) fn ipv6(text: &str, port: u16) -> Result<SocketAddr, String> {
    let (ip, zone) = match text.split_once('%') {
        Some((ip, zone)) => (ip, Some(zone)),
        None => (text, None),
    };
    let ip: Ipv6Addr = ip.parse().map_err(|_| format!("{} is not an IPv6 address", text.escape_debug()))?;
    if let Some(ip) = ip.to_ipv4_mapped() {
        return Ok(SocketAddr::new(ip.into(), port));
    }
    let interface = match zone {
        Some(zone) => index(zone)?,
        None => 0,
    };
    check(SocketAddrV6::new(ip, port, 0, interface).into())
}

/// The same address; an error if it is link-local without an interface, as a name's may be.
pub(crate) fn check(address: SocketAddr) -> Result<SocketAddr, String> {
    match address {
        SocketAddr::V6(six) if six.ip().is_unicast_link_local() && six.scope_id() == 0 => Err(format!(
            "{ip} is the address of one link, and so needs its interface: [{ip}%{}] ({})",
            interfaces().into_iter().find(|name| name != "lo").unwrap_or_else(|| "eth0".to_owned()),
            known(),
            ip = six.ip()
        )),
        _ => Ok(address),
    }
}

/// The index of an interface given by name or number, with the `%` before it escaped or not.
fn index(zone: &str) -> Result<u32, String> {
    let find = |zone: &str| {
        let by_name = if_::if_nametoindex(zone).ok();
        by_name.or_else(|| zone.parse().ok().filter(|index| indices().contains(index)))
    };
    let escaped = zone.strip_prefix("25").filter(|zone| !zone.is_empty());
    find(zone).or_else(|| find(escaped?)).ok_or_else(|| {
        format!("this machine has no interface '{}' ({})", escaped.unwrap_or(zone).escape_debug(), known())
    })
}

fn indices() -> Vec<u32> {
    if_::if_nameindex().map_or_else(|_| Vec::new(), |interfaces| interfaces.iter().map(if_::Interface::index).collect())
}

fn interfaces() -> Vec<String> {
    let Ok(interfaces) = if_::if_nameindex() else { return Vec::new() };
    interfaces.iter().map(|interface| interface.name().to_string_lossy().into_owned()).collect()
}

/// The interfaces of this machine, for an error.
fn known() -> String {
    match interfaces() {
        names if names.is_empty() => "'ip link' shows the interfaces".to_owned(),
        names => format!("interfaces here: {}", names.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_a_name_or_a_number_in_every_form() {
        let index = if_::if_nametoindex("lo").unwrap();
        let wanted = SocketAddr::from(SocketAddrV6::new("fe80::1".parse().unwrap(), 7, 0, index));
        for zone in ["lo", "25lo", &index.to_string(), &format!("25{index}")] {
            assert_eq!(ipv6(&format!("fe80::1%{zone}"), 7), Ok(wanted), "{zone}");
        }
        assert_eq!(ip("fe80::1%lo").unwrap().port(), 0);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("fe80::1", "needs its interface"),
            ("fe80::1%nope", "no interface 'nope'"),
            ("fe80::1%25nope", "no interface 'nope'"),
            ("fe80::1%", "no interface ''"),
            ("fe80::1%\u{1b}", "no interface"),
            ("::1::", "not an IPv6 address"),
            ("localhost", "an IP address is wanted"),
        ] {
            let error = ip(text).unwrap_err();
            assert!(error.contains(word) && !error.contains('\u{1b}'), "{text}: {error}");
        }
        assert_eq!(ip("::ffff:127.0.0.1"), Ok(([127, 0, 0, 1], 0).into()));
        assert_eq!(ip("127.0.0.2"), Ok(([127, 0, 0, 2], 0).into()));
    }
}
