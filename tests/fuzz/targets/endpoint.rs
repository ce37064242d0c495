//! Any text is an endpoint or is refused in one harmless line. What is an endpoint can be printed as a URL, and that is
//! the same endpoint.
#![no_main]

use std::path::Path;

use cooee::cli::endpoint::{Endpoint, Location, Transport, url_of_unix};
use cooee::os::unix_name::UnixName;
use cooee_fuzz::power::assert_one_harmless_line;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let endpoint = match Endpoint::parse(&text) {
        Ok(endpoint) => endpoint,
        Err(reason) => {
            assert!(!reason.is_empty());
            return assert_one_harmless_line(&reason);
        }
    };
    let is_unix = matches!(endpoint.transport, Some(Transport::Unix | Transport::UnixDatagram));
    let mut url = match &endpoint.location {
        Location::Unix(name) => {
            assert!(is_unix && name.path().is_none_or(Path::is_absolute));
            let url = url_of_unix(endpoint.transport.expect("a scheme"), name);
            assert!(url.bytes().all(|byte| byte.is_ascii_graphic()), "{url:?}");
            url
        }
        Location::Host(host, port) => {
            assert!(!is_unix && !host.is_empty() && !host.contains(['/', '@', '?']), "{host:?}");
            assert!(!host.contains(':') || (host.starts_with('[') && host.ends_with(']')), "{host:?}");
            let scheme = endpoint.transport.map_or(String::new(), |transport| format!("{transport}://"));
            format!("{scheme}{host}:{port}")
        }
    };
    for (index, (key, value)) in endpoint.settings.iter().enumerate() {
        assert!(endpoint.settings[..index].iter().all(|(known, _)| known != key), "{key:?} is there twice");
        let quoted = |text: &'_ str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        url.push(if index == 0 { '?' } else { '&' });
        url.push_str(&format!("{}={}", quoted(key), quoted(value)));
    }
    assert_eq!(Endpoint::parse(&url), Ok(endpoint), "{url:?}");
    any_path(bytes);
});

/// A path that was not given as a URL: a server may be told one by another program.
fn any_path(bytes: &[u8]) {
    use std::os::unix::ffi::OsStrExt;

    if bytes.contains(&0) || bytes.len() >= UnixName::MAX {
        return;
    }
    let path = Path::new("/").join(Path::new(std::ffi::OsStr::from_bytes(bytes)));
    let name = UnixName::Path(path);
    let url = url_of_unix(Transport::UnixDatagram, &name);
    assert_eq!(Endpoint::parse(&url).map(|endpoint| endpoint.location), Ok(Location::Unix(name)), "{url:?}");
}
