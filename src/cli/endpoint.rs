//! Endpoint URLs: `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH`, `unixgram:///PATH`, or `HOST:PORT` alone, each with settings
//! as a query.

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

/// What carries the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
    /// A Unix stream socket.
    Unix,
    /// A Unix datagram socket.
    UnixDatagram,
}

impl Transport {
    const ALL: [(&'static str, Transport); 4] = [
        ("tcp", Transport::Tcp),
        ("udp", Transport::Udp),
        ("unix", Transport::Unix),
        ("unixgram", Transport::UnixDatagram),
    ];

    /// The one with this name, in small letters.
    pub(crate) fn named(name: &str) -> Option<Transport> {
        Transport::ALL.iter().find(|(known, _)| *known == name).map(|(_, transport)| *transport)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Transport::ALL.iter().find(|(_, transport)| transport == self).map_or("", |(name, _)| name);
        f.write_str(name)
    }
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A host, as an address or a name, and a port.
    Host(String, u16),
    /// A path in the file system.
    Path(PathBuf),
}

/// A parsed endpoint URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What carries the bytes; none where the URL was `HOST:PORT` alone.
    pub transport: Option<Transport>,
    /// Where it is.
    pub place: Place,
    /// The settings of its query, decoded, in order.
    pub settings: Vec<(String, String)>,
}

impl Endpoint {
    /// Parses an endpoint. The error says what is wrong and what is right, on one line; what it quotes is escaped.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (transport, rest) = match address.split_once("://") {
            None => (None, address),
            Some((scheme, rest)) => {
                let Some(transport) = Transport::named(&scheme.to_ascii_lowercase()) else {
                    return Err(format!(
                        "unknown scheme '{}': valid ones are tcp, udp, unix and unixgram",
                        scheme.escape_debug()
                    ));
                };
                (Some(transport), rest)
            }
        };
        let place = match transport {
            Some(Transport::Unix | Transport::UnixDatagram) => path(rest)?,
            _ => host_and_port(rest)?,
        };
        Ok(Endpoint { transport, place, settings: settings(query)? })
    }

    /// Every address that a host has, each once, in the resolver's order. A name is looked up here, and may take its time.
    pub fn resolve(host: &str, port: u16) -> Result<Vec<SocketAddr>, String> {
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let found = (bare, port).to_socket_addrs().map_err(|_| format!("no such host: {}", bare.escape_debug()))?;
        let mut addresses = Vec::new();
        for address in found {
            if !addresses.contains(&address) {
                addresses.push(address);
            }
        }
        if addresses.is_empty() { Err(format!("no such host: {}", bare.escape_debug())) } else { Ok(addresses) }
    }
}

/// The URL of a path, which parses back to it: in the `listening` line a space ends the URL.
pub fn url_of_path(transport: Transport, path: &Path) -> String {
    const NOT_ITSELF: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');
    format!("{transport}://{}", percent_encode(path.as_os_str().as_bytes(), NOT_ITSELF))
}

fn path(text: &str) -> Result<Place, String> {
    if !text.starts_with('/') {
        return Err("a Unix path is absolute: unix:///PATH".to_owned());
    }
    let path: Vec<u8> = percent_decode_str(text).collect();
    if path.contains(&0) {
        return Err("a path holds no zero byte".to_owned());
    }
    Ok(Place::Path(PathBuf::from(std::ffi::OsString::from_vec(path))))
}

fn host_and_port(text: &str) -> Result<Place, String> {
    const FORM: &str = "an endpoint is HOST:PORT, with an IPv6 address in brackets: 127.0.0.1:9000, [::1]:9000";
    let text = text.strip_suffix('/').unwrap_or(text);
    let Some((host, port)) = text.rsplit_once(':') else { return Err(format!("the port is missing: {FORM}")) };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let name = bracketed.unwrap_or(host);
    if name.is_empty() || name.contains(['/', '[', ']', '@']) || (bracketed.is_none() && name.contains(':')) {
        return Err(FORM.to_owned());
    }
    if bracketed.is_some_and(|ip| ip.split('%').next().is_none_or(|ip| ip.parse::<std::net::Ipv6Addr>().is_err())) {
        return Err(format!("{} is not an IPv6 address", host.escape_debug()));
    }
    // `parse` would take "+9000" too.
    if port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(format!("'{}' is not a port: {FORM}", port.escape_debug()));
    }
    let port = port.parse().map_err(|_| format!("port {port} is out of range: 0 to 65535"))?;
    Ok(Place::Host(host.to_owned(), port))
}

fn settings(query: &str) -> Result<Vec<(String, String)>, String> {
    let mut settings: Vec<(String, String)> = Vec::new();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair
            .split_once('=')
            .ok_or_else(|| format!("the setting '{}' has no value: KEY=VALUE", pair.escape_debug()))?;
        let decode = |text: &str| {
            let text = percent_decode_str(text)
                .decode_utf8()
                .map_err(|_| format!("'{}' is not UTF-8", text.escape_debug()))?;
            Ok::<String, String>(text.into_owned())
        };
        let (key, value) = (decode(key)?, decode(value)?);
        if settings.iter().any(|(known, _)| *known == key) {
            return Err(format!("the setting '{}' is given twice", key.escape_debug()));
        }
        settings.push((key, value));
    }
    Ok(settings)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(text: &str) -> (Option<Transport>, String, u16) {
        match Endpoint::parse(text).unwrap() {
            Endpoint { transport, place: Place::Host(host, port), .. } => (transport, host, port),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn hosts_are_addresses_or_names() {
        assert_eq!(host("tcp://127.0.0.1:9000"), (Some(Transport::Tcp), "127.0.0.1".into(), 9000));
        assert_eq!(host("UDP://localhost:0/"), (Some(Transport::Udp), "localhost".into(), 0));
        assert_eq!(host("[::1]:7"), (None, "[::1]".into(), 7));
        assert_eq!(host("localhost:65535"), (None, "localhost".into(), 65535));
    }

    #[test]
    fn paths_are_absolute_and_percent_decoded() {
        let endpoint = Endpoint::parse("unix:///tmp/a%20b%3Fc?mode=ack").unwrap();
        assert_eq!(endpoint.place, Place::Path("/tmp/a b?c".into()));
        assert_eq!(endpoint.settings, [("mode".to_owned(), "ack".to_owned())]);
        assert!(Endpoint::parse("unix://tmp/s").unwrap_err().contains("absolute"));
        assert!(Endpoint::parse("unixgram:///a%00b").unwrap_err().contains("zero"));
    }

    #[test]
    fn the_url_of_a_path_parses_back_to_it() {
        for path in [&b"/run/s"[..], b"/a b", b"/50%20?x=y&z#!", "/数 据\n".as_bytes(), b"/\xff\x80"] {
            let path = Path::new(std::ffi::OsStr::from_bytes(path));
            let url = url_of_path(Transport::Unix, path);
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
            assert_eq!(Endpoint::parse(&url).unwrap().place, Place::Path(path.to_owned()), "{url}");
        }
    }

    #[test]
    fn settings_are_decoded() {
        let endpoint = Endpoint::parse("h:1?ack-format=%E6%95%B0[{}]%26&bye=stop").unwrap();
        assert_eq!(endpoint.settings[0], ("ack-format".to_owned(), "数[{}]&".to_owned()));
        assert_eq!(endpoint.settings[1], ("bye".to_owned(), "stop".to_owned()));
        assert!(Endpoint::parse("h:1?mode").unwrap_err().contains("KEY=VALUE"));
        assert!(Endpoint::parse("h:1?bye=stop&bye=close").unwrap_err().contains("twice"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("http://h:1", "unknown scheme"),
            ("h", "port is missing"),
            ("h:", "not a port"),
            ("h:+1", "not a port"),
            ("h:70000", "out of range"),
            (":1", "HOST:PORT"),
            ("::1:9000", "brackets"),
            ("[zz]:1", "not an IPv6 address"),
            ("tcp://user@h:1", "HOST:PORT"),
            ("[fe80::1%eth0/x]:1", "HOST:PORT"),
            ("[]:1", "HOST:PORT"),
            ("", "port is missing"),
            ("t\x1bcp://h:1", "unknown scheme"),
            ("h:\n1", "not a port"),
            ("[\u{202e}]:1", "not an IPv6 address"),
            ("h:1?\x1b", "KEY=VALUE"),
            ("h:1?\x1b=%ff\u{9b}", "not UTF-8"),
            ("h:1?%1b=1&%1b=2", "twice"),
        ] {
            let error = Endpoint::parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
            assert!(!error.contains(['\x1b', '\n', '\u{9b}', '\u{202e}']), "{text:?}: {error:?}");
        }
    }

    #[test]
    fn every_address_of_a_host_is_found_once() {
        assert_eq!(Endpoint::resolve("[::1]", 7).unwrap(), ["[::1]:7".parse().unwrap()]);
        let unknown = Endpoint::resolve("no-such-host.invalid", 1).unwrap_err();
        assert!(unknown.contains("no such host: no-such-host.invalid"), "{unknown}");
    }
}
