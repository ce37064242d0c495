//! Endpoint URLs: `tcp://HOST:PORT`, `udp://HOST:PORT`, `unix:///PATH`, `unixgram:///PATH`, or `HOST:PORT` alone, each
//! with settings as a query; and the shorter spellings of them that people try.

use std::net::Ipv6Addr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, percent_encode};

use crate::cli::suggestion::did_you_mean;
use crate::os::unix_name::UnixName;
use crate::reactor::named::{UnknownName, named};

named! {
    /// What carries the bytes.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Transport: "ones" {
        /// TCP.
        Tcp = "tcp",
        /// UDP.
        Udp = "udp",
        /// A Unix stream socket.
        Unix = "unix",
        /// A Unix datagram socket.
        UnixDatagram = "unixgram",
    }
}

/// Where an endpoint is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Location {
    /// A host, as an address or a name, and a port.
    Host(String, u16),
    /// The name of a Unix socket.
    Unix(UnixName),
}

/// A parsed endpoint URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// What carries the bytes; `None` for `HOST:PORT` alone.
    pub transport: Option<Transport>,
    /// Where it is.
    pub location: Location,
    /// The settings of its query, decoded, in order.
    pub settings: Vec<(String, String)>,
}

impl Endpoint {
    /// Parses an endpoint. The error says what is wrong and what is right, on one line; what it quotes is escaped.
    ///
    /// `9000` is a port of 127.0.0.1, `:9000` one of `[::]`, `*:9000` one of `0.0.0.0`; the `//` behind a scheme may be
    /// left out, and a path alone is a Unix stream's.
    pub fn parse(text: &str) -> Result<Endpoint, String> {
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let (transport, rest) = scheme(address)?;
        let location = match transport {
            Some(transport @ (Transport::Unix | Transport::UnixDatagram)) => {
                Location::Unix(unix_name(rest, transport)?)
            }
            _ => host_and_port(rest)?,
        };
        Ok(Endpoint { transport, location, settings: settings(query)? })
    }

    /// Parses the endpoint of a server to connect to: a single address.
    pub fn parse_server(text: &str) -> Result<Endpoint, String> {
        let address = text.split_once('?').map_or(text, |(address, _)| address);
        let (transport, rest) = scheme(address)?;
        let port = rest.strip_prefix(':').or_else(|| rest.strip_prefix("*:")).filter(|port| is_number(port));
        if let (Some(port), None | Some(Transport::Tcp | Transport::Udp)) = (port, transport) {
            let scheme = transport.map_or(String::new(), |transport| format!("{transport}://"));
            return Err(format!(
                "it stands for every address, which is for servers: name the one to connect to, {scheme}127.0.0.1:{port} or {scheme}[::1]:{port}"
            ));
        }
        Endpoint::parse(text)
    }
}

/// The transport of an endpoint, and what follows its scheme.
fn scheme(address: &str) -> Result<(Option<Transport>, &str), String> {
    if address.starts_with('/') {
        return Ok((Some(Transport::Unix), address));
    }
    if let Some((scheme, rest)) = address.split_once("://") {
        let transport = scheme.to_ascii_lowercase().parse().map_err(|error: UnknownName| {
            let (scheme, meant) = (scheme.escape_debug(), did_you_mean(scheme, error.known.iter().copied()));
            format!("unknown scheme '{scheme}': {error}, as in tcp://127.0.0.1:9000{meant}")
        })?;
        return Ok((Some(transport), rest));
    }
    let short = address.split_once(':').and_then(|(scheme, rest)| {
        let transport = scheme.to_ascii_lowercase().parse().ok()?;
        Some((Some(transport), rest))
    });
    Ok(short.unwrap_or((None, address)))
}

fn is_number(text: &str) -> bool {
    // `parse` would take "+9000" too.
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The URL of a Unix socket, which parses back to it: in the `listening` line a space ends the URL.
pub fn url_of_unix(transport: Transport, name: &UnixName) -> String {
    const NOT_ITSELF: &AsciiSet = &CONTROLS.add(b' ').add(b'%').add(b'?').add(b'#');
    let (mark, bytes) = match name {
        UnixName::Path(path) => ("", path.as_os_str().as_bytes()),
        UnixName::Abstract(name) => ("@", name.as_slice()),
    };
    format!("{transport}://{mark}{}", percent_encode(bytes, NOT_ITSELF))
}

fn unix_name(text: &str, transport: Transport) -> Result<UnixName, String> {
    const MAX: usize = UnixName::MAX;
    if let Some(name) = text.strip_prefix('@') {
        let name: Vec<u8> = percent_decode_str(name).collect();
        return match name.len() {
            _ if !cfg!(target_os = "linux") => Err(format!("only Linux has abstract names: {transport}:///PATH")),
            0 => Err(format!("an abstract name is not empty: {transport}://@NAME")),
            1..=MAX => Ok(UnixName::Abstract(name)),
            length => {
                Err(format!("the abstract name of a Unix socket has at most {MAX} bytes, and this one has {length}"))
            }
        };
    }
    if !text.starts_with('/') {
        let path = if text.is_empty() { "PATH" } else { text.trim_start_matches("./") };
        return Err(format!("a Unix path is absolute: {transport}:///{}", path.escape_debug()));
    }
    let path: Vec<u8> = percent_decode_str(text).collect();
    if path.contains(&0) {
        return Err("a path holds no zero byte".to_owned());
    }
    if path.len() > MAX {
        return Err(format!(
            "the path of a Unix socket has at most {MAX} bytes, and this one has {}: choose a shorter one, such as /run/cooee.sock",
            path.len()
        ));
    }
    Ok(UnixName::Path(PathBuf::from(std::ffi::OsString::from_vec(path))))
}

fn host_and_port(text: &str) -> Result<Location, String> {
    const FORM: &str = "an endpoint is HOST:PORT, with an IPv6 address in brackets: 127.0.0.1:9000, [::1]:9000";
    let text = text.strip_suffix('/').unwrap_or(text);
    if is_number(text) {
        return Ok(Location::Host("127.0.0.1".to_owned(), port_number(text)?));
    }
    if text.starts_with('@') {
        return Err("an abstract name is a Unix socket's: unix://@NAME, unixgram://@NAME".to_owned());
    }
    if text.starts_with(['/', '.']) {
        return Err("a path is a Unix socket's: unix:///PATH, unixgram:///PATH".to_owned());
    }
    if text.parse::<Ipv6Addr>().is_ok() {
        // The part after the last colon may have been meant as the port.
        let with_port = text.rsplit_once(':').filter(|(ip, port)| ip.parse::<Ipv6Addr>().is_ok() && is_number(port));
        let right = with_port.map_or_else(|| format!("[{text}]:9000"), |(ip, port)| format!("[{ip}]:{port}"));
        return Err(format!("an IPv6 address stands in brackets, before its port: {right}"));
    }
    let Some((host, port)) = text.rsplit_once(':').filter(|_| !text.ends_with(']')) else {
        let host = text.escape_debug();
        let plain = !text.is_empty() && !text.contains(['/', '@', '?', ' ']);
        let right = if plain { format!("{host}:9000") } else { FORM.to_owned() };
        return Err(format!("the port is missing: {right}"));
    };
    let host = match host {
        "" => "[::]",
        "*" => "0.0.0.0",
        host => host,
    };
    let bracketed = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    let name = bracketed.unwrap_or(host);
    if bracketed.is_none() && host.split('%').next().is_some_and(|ip| ip.parse::<Ipv6Addr>().is_ok()) {
        let (host, port) = (host.escape_debug(), port.escape_debug());
        return Err(format!("an IPv6 address stands in brackets, before its port: [{host}]:{port}"));
    }
    if name.is_empty() || name.contains(['/', '[', ']', '@']) || (bracketed.is_none() && name.contains([':', '%'])) {
        return Err(FORM.to_owned());
    }
    if bracketed.is_some_and(|ip| ip.split('%').next().is_none_or(|ip| ip.parse::<Ipv6Addr>().is_err())) {
        return Err(format!("{} is not an IPv6 address", host.escape_debug()));
    }
    if !is_number(port) {
        return Err(format!("'{}' is not a port: {FORM}", port.escape_debug()));
    }
    Ok(Location::Host(host.to_owned(), port_number(port)?))
}

fn port_number(text: &str) -> Result<u16, String> {
    text.parse().map_err(|_| format!("port {text} is out of range: 0 to 65535"))
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
            Endpoint { transport, location: Location::Host(host, port), .. } => (transport, host, port),
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
        assert_eq!(endpoint.location, Location::Unix("/tmp/a b?c".into()));
        assert_eq!(endpoint.settings, [("mode".to_owned(), "ack".to_owned())]);
        assert!(Endpoint::parse("unix://tmp/s").unwrap_err().contains("absolute"));
        assert!(Endpoint::parse("unixgram:///a%00b").unwrap_err().contains("zero"));
    }

    #[test]
    fn the_url_of_a_path_parses_back_to_it() {
        for path in [&b"/run/s"[..], b"/a b", b"/50%20?x=y&z#!", "/数 据\n".as_bytes(), b"/\xff\x80"] {
            let path = PathBuf::from(std::ffi::OsStr::from_bytes(path));
            for name in [UnixName::Path(path.clone()), UnixName::Abstract(path.as_os_str().as_bytes().to_vec())] {
                let url = url_of_unix(Transport::Unix, &name);
                assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url}");
                assert_eq!(Endpoint::parse(&url).unwrap().location, Location::Unix(name), "{url}");
            }
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
    fn shorter_spellings_are_understood() {
        let long = |short: &str| match Endpoint::parse(short).unwrap() {
            Endpoint { transport, location: Location::Host(host, port), .. } => {
                format!("{}{host}:{port}", transport.map_or(String::new(), |transport| format!("{transport}://")))
            }
            Endpoint { transport, location: Location::Unix(name), .. } => url_of_unix(transport.unwrap(), &name),
        };
        for (short, wanted) in [
            ("9000", "127.0.0.1:9000"),
            ("9000?mode=ack", "127.0.0.1:9000"),
            ("tcp:9000", "tcp://127.0.0.1:9000"),
            ("udp://9000", "udp://127.0.0.1:9000"),
            ("TCP:localhost:9000", "tcp://localhost:9000"),
            (":9000", "[::]:9000"),
            ("udp::9000", "udp://[::]:9000"),
            ("*:9000", "0.0.0.0:9000"),
            ("tcp://*:9000", "tcp://0.0.0.0:9000"),
            ("unix:/run/x", "unix:///run/x"),
            ("unixgram:/run/x", "unixgram:///run/x"),
            ("/run/x.sock", "unix:///run/x.sock"),
            ("unix:@x", "unix://@x"),
        ] {
            assert_eq!(long(short), wanted, "{short}");
        }
        for (short, right) in [(":9000", "127.0.0.1:9000"), ("*:9000", "[::1]:9000"), ("udp:*:7", "udp://127.0.0.1:7")]
        {
            let error = Endpoint::parse_server(short).unwrap_err();
            assert!(error.contains(right), "{short}: {error}");
        }
        assert_eq!(Endpoint::parse_server("9000"), Endpoint::parse("9000"));
        assert_eq!(Endpoint::parse_server("[::]:9000"), Endpoint::parse("[::]:9000"));
        let long = format!("unix:///{}", "x".repeat(107));
        assert!(Endpoint::parse(&long).unwrap_err().contains("at most 107 bytes, and this one has 108"));
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("http://h:1", "unknown scheme"),
            ("h", "port is missing"),
            ("h:", "not a port"),
            ("h:+1", "not a port"),
            ("h:70000", "out of range"),
            ("localhost", "missing: localhost:9000"),
            ("[::1]", "missing: [::1]:9000"),
            ("::1:9000", "brackets, before its port: [::1]:9000"),
            ("::1", "brackets"),
            ("fe80::1%eth0:9000", "before its port: [fe80::1%eth0]:9000"),
            ("tpc://h:1", "did you mean 'tcp'?"),
            ("unixgrm:///s", "did you mean 'unixgram'?"),
            ("./s.sock", "unix:///PATH"),
            ("tcp:///s.sock", "unix:///PATH"),
            ("unix:run/s", "unix:///run/s"),
            ("100000", "out of range"),
            ("@x", "unix://@NAME"),
            ("unix://@", "unix://@NAME"),
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
}
