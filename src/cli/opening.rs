//! Binding the sockets of an endpoint, with an explanation of what fails.

use std::io;
use std::net::SocketAddr;

use nix::errno::Errno;

use crate::apps::server::service::Service;
use crate::cli::cli_error::CliError;
use crate::cli::endpoint::{Location, Transport, url_of_unix};
use crate::cli::host::ipv6_is_off;
use crate::cli::plan::EndpointPlan;
use crate::os::bind::{self, SocketOptions};
use crate::os::datagram_socket::DatagramEndpoint;
use crate::os::listener::ListeningSocket;
use crate::os::reason::{self, said};
use crate::os::unix_name::UnixName;

/// How often to look for a port that is free for TCP and UDP and on every address of a host.
const PORT_TRIES: usize = 32;

/// A bound socket.
pub(super) enum Bound {
    Listener(ListeningSocket),
    Datagram(DatagramEndpoint),
}

/// A bound socket, with what it serves.
pub(super) struct Opening {
    pub(super) bound: Bound,
    pub(super) service: Service,
    /// A warning of who can reach it beside this user.
    pub(super) exposure: Option<String>,
}

/// Why a socket was not bound.
struct BindError {
    error: io::Error,
    transport: Transport,
    address: SocketAddr,
}

/// Binds every address of an endpoint.
pub(super) fn open(plan: &EndpointPlan) -> Result<Vec<Opening>, CliError> {
    match &plan.location {
        Location::Unix(name) => Ok(vec![open_unix(plan, name)?]),
        Location::Host(_, port) => {
            let several = plan.transports.len() * plan.addresses.len() > 1;
            for _ in 0..PORT_TRIES {
                match open_addresses(plan) {
                    // A free port for the first socket was taken for another one.
                    Err(refused) if *port == 0 && several && refused.error.kind() == io::ErrorKind::AddrInUse => {}
                    Err(refused) => return Err(plan.failed(&refused.explain())),
                    Ok((openings, missing)) => {
                        for BindError { address, error, .. } in missing {
                            log::warn!(
                                "'{}' is served without {}: {}",
                                plan.text.escape_debug(),
                                address.ip(),
                                why_absent(&error, address)
                            );
                        }
                        return Ok(openings);
                    }
                }
            }
            Err(plan.failed("no port is free for all of its sockets"))
        }
    }
}

/// Binds the addresses of a host, and returns separately those that this machine lacks: a name may list one, as `::1
/// localhost` does where IPv6 is off. It is an error if none is left.
fn open_addresses(plan: &EndpointPlan) -> Result<(Vec<Opening>, Vec<BindError>), BindError> {
    let (mut openings, mut missing) = (Vec::new(), Vec::<BindError>::new());
    let mut port = None;
    for transport in plan.transports.iter().copied() {
        let only_v6 = plan.only_v6.contains(&transport);
        let options = SocketOptions { only_v6, ..plan.settings.socket() };
        for mut address in plan.addresses.iter().copied() {
            // Port 0 took a free one for the first socket; the others get the same.
            address.set_port(port.unwrap_or(address.port()));
            let bound = match transport {
                Transport::Udp => bind::bind_udp(address, &options).map(|(socket, at)| (Bound::Datagram(socket), at)),
                _ => bind::listen_tcp(address, &options).map(|(listener, at)| (Bound::Listener(listener), at)),
            };
            let (bound, address) = match bound {
                Ok(bound) => bound,
                Err(error) if plan.addresses.len() > 1 && is_absent(&error) => {
                    if !missing.iter().any(|known| known.address.ip() == address.ip()) {
                        missing.push(BindError { error, transport, address });
                    }
                    continue;
                }
                Err(error) => return Err(BindError { error, transport, address }),
            };
            port = Some(address.port());
            let service = plan.settings.service(format!("{transport}://{address}"));
            let service = service.map_err(|reason| BindError {
                error: said(io::ErrorKind::Other, reason),
                transport,
                address,
            })?;
            let exposure = exposure(transport, address);
            openings.push(Opening { bound, service, exposure });
        }
    }
    match missing.len() {
        count if count > 0 && openings.is_empty() => Err(missing.swap_remove(0)),
        _ => Ok((openings, missing)),
    }
}

/// What a peer outside loopback can do.
fn exposure(transport: Transport, address: SocketAddr) -> Option<String> {
    let who = match address.ip() {
        ip if ip.to_canonical().is_loopback() => return None,
        ip if ip.is_unspecified() => "every network of this machine",
        _ => "its network",
    };
    let what = match transport {
        Transport::Udp => {
            "anybody there can have datagrams sent to an address that they forge, at the rate of --udp-rate"
        }
        _ => "anybody there can hold connections and send bytes, up to the limits",
    };
    Some(format!("is open to {who}: {what}; there is no authentication and no encryption"))
}

/// Whether the machine does not have the address, or its whole family.
fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::AddrNotAvailable || error.raw_os_error() == Some(Errno::EAFNOSUPPORT as i32)
}

fn why_absent(error: &io::Error, address: SocketAddr) -> String {
    let six_is_off = address.is_ipv6() && ipv6_is_off();
    match error.kind() {
        _ if six_is_off => "IPv6 is off on this machine".to_owned(),
        io::ErrorKind::AddrNotAvailable => "it is not an address of this machine".to_owned(),
        _ => reason::of(error),
    }
}

impl BindError {
    fn explain(&self) -> String {
        let BindError { error, transport, address } = self;
        let place = format!("{transport}://{address}");
        match error.kind() {
            io::ErrorKind::AddrInUse => in_use(&place, *address, *transport == Transport::Udp),
            io::ErrorKind::AddrNotAvailable if address.is_ipv6() => format!(
                "{place} is not an address of this machine ({})",
                match why_absent(error, *address).as_str() {
                    "IPv6 is off on this machine" => "IPv6 is off; 127.0.0.1 and 0.0.0.0 are IPv4",
                    _ => "'ip address' shows them",
                }
            ),
            io::ErrorKind::AddrNotAvailable => {
                format!("{place} is not an address of this machine ('ip address' shows them)")
            }
            io::ErrorKind::PermissionDenied => {
                format!("{place}: permission denied (ports below 1024 need a privilege)")
            }
            _ => format!("{place}: {}", reason::of(error)),
        }
    }
}

/// Explains who holds the address, as far as the system tells.
#[cfg(target_os = "linux")]
fn in_use(place: &str, address: SocketAddr, datagrams: bool) -> String {
    use crate::measure::processes::holder::Holder;
    match Holder::of(address, datagrams) {
        Holder::Server(who) => {
            format!("{place} is the address of another server{who}: address in use (stop it, or choose another)")
        }
        Holder::Client(who) => format!(
            "the port of {place} is that of an outgoing connection{who}, and of no server: address in use (end the connection, or choose \
             another port, best one below those that the system gives to clients: net.ipv4.ip_local_port_range)"
        ),
        Holder::Ended => format!(
            "the port of {place} was that of an outgoing connection, which has ended: address in use for another minute at most (TIME_WAIT; \
             try again then, or choose another port)"
        ),
        Holder::Unknown => format!(
            "address in use: a socket holds {place} that neither listens nor is connected, or that the system does not show (choose another \
             port)"
        ),
    }
}

#[cfg(not(target_os = "linux"))]
fn in_use(place: &str, _: SocketAddr, _: bool) -> String {
    format!("{place} is in use: address in use by another server, or by a connection (choose another)")
}

fn open_unix(plan: &EndpointPlan, name: &UnixName) -> Result<Opening, CliError> {
    let tell = |error: io::Error| plan.failed(&explain_unix(&error, name));
    let is_datagram = plan.transports == [Transport::UnixDatagram];
    let bound = if is_datagram {
        Bound::Datagram(bind::bind_unix_datagram(name, &plan.settings.socket()).map_err(tell)?)
    } else {
        Bound::Listener(bind::listen_unix(name, &plan.settings.socket()).map_err(tell)?)
    };
    let scheme = if is_datagram { Transport::UnixDatagram } else { Transport::Unix };
    let service = plan.settings.service(url_of_unix(scheme, name)).map_err(|reason| plan.failed(&reason))?;
    let exposure = name.path().is_none().then(|| {
        "is open to every user of this machine, containers that share its network included: an abstract name has no permissions, \
         and there is no authentication (a path has them: file-mode)"
            .to_owned()
    });
    Ok(Opening { bound, service, exposure })
}

fn explain_unix(error: &io::Error, name: &UnixName) -> String {
    let place = format!("'{}'", name.to_string().escape_debug());
    match error.kind() {
        _ if reason::is_said(error) => format!("{place}: {}", reason::of(error)),
        io::ErrorKind::AddrInUse => {
            format!("{place} is the address of another server: address in use (stop it, or choose another)")
        }
        io::ErrorKind::PermissionDenied => {
            format!("{place}: permission denied (its folder must be one that you can write to)")
        }
        io::ErrorKind::NotFound => format!("the folder of {place} does not exist"),
        _ => format!("{place}: {}", reason::of(error)),
    }
}
