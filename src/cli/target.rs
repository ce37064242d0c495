//! The server that a client connects to: its transport and its addresses.

use std::net::Ipv6Addr;

use crate::cli::cli_error::CliError;
use crate::cli::endpoint::{Endpoint, Location, Transport};
use crate::cli::host;
use crate::os::address::Address;

/// A server to connect to.
#[derive(Clone, Debug)]
pub(crate) struct Target {
    /// The endpoint as it was given.
    pub(crate) text: String,
    pub(crate) transport: Transport,
    pub(crate) addresses: Vec<Address>,
}

impl Target {
    /// Parses an endpoint and looks its host up.
    pub(crate) fn find(text: &str) -> Result<Target, CliError> {
        let wrong = |reason: String| CliError::Usage(format!("endpoint '{}': {reason}", text.escape_debug()));
        let endpoint = Endpoint::parse_server(text).map_err(wrong)?;
        if let Some((key, _)) = endpoint.settings.first() {
            return Err(wrong(format!("the setting '{}' is the server's: here, use flags", key.escape_debug())));
        }
        let transport = endpoint.transport.unwrap_or(Transport::Tcp);
        let addresses = match endpoint.location {
            Location::Unix(name) => vec![Address::Unix(name)],
            Location::Host(_, 0) => {
                return Err(wrong("port 0 is no server's: it is what a server takes a free port with".to_owned()));
            }
            Location::Host(host, port) => {
                let found = host::addresses(&host, port).map_err(|failure| match failure {
                    CliError::Usage(reason) => wrong(reason),
                    CliError::Runtime(reason) => CliError::Runtime(format!("{}: {reason}", text.escape_debug())),
                })?;
                // The system would say that no address is available, as it does when no port is left.
                if found.iter().all(|to| to.ip() == Ipv6Addr::LOCALHOST) && host::ipv6_is_off() {
                    let text = text.escape_debug();
                    return Err(CliError::Runtime(format!("{text}: IPv6 is off on this machine (127.0.0.1 is IPv4)")));
                }
                found.into_iter().map(Address::Ip).collect()
            }
        };
        Ok(Target { text: text.to_owned(), transport, addresses })
    }

    /// Whether messages are datagrams.
    pub(crate) fn is_datagram(&self) -> bool {
        matches!(self.transport, Transport::Udp | Transport::UnixDatagram)
    }
}
