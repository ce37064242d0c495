//! `cooee serve`: checks everything, binds everything, then turns the reactor until it has drained.

use std::io::{self, IsTerminal};
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::cli::arguments::ServeArguments;
use crate::cli::descriptors;
use crate::cli::endpoint::{Endpoint, Place, Transport, url_of_path};
use crate::cli::failure::Failure;
use crate::cli::memory_limit::{self, MemoryLimit};
use crate::cli::settings::Settings;
use crate::cli::signals::{self, Inherited, Signals};
use crate::limits::Limits;
use crate::net::bind;
use crate::net::datagram_socket::DatagramEndpoint;
use crate::net::listener::ListeningSocket;
use crate::net::room::Room;
use crate::net::standard_stream::StandardOutput;
use crate::net::stream::Socket;
use crate::net::unix_socket::refuses_descriptors;
use crate::protocol::framing::Framing;
use crate::reactor::Reactor;
use crate::server::service::Service;
use crate::server::{OnSignal, Server, Session};

/// How often a free port is sought that is free for TCP and UDP alike, and on every address of a host.
const PORT_TRIES: usize = 32;

/// One endpoint as it was asked for: checked, but nothing is bound yet.
pub(super) struct Plan {
    text: String,
    transports: Vec<Transport>,
    place: Place,
    /// The addresses of its host, once they are looked up.
    addresses: Vec<SocketAddr>,
    pub(super) settings: Settings,
}

/// A bound socket.
enum Bound {
    Listener(ListeningSocket),
    Datagram(DatagramEndpoint),
}

/// A bound socket, with what it serves.
struct Opening {
    bound: Bound,
    service: Service,
    exposed: Option<SocketAddr>,
}

/// Serves until a signal, or a message that stops the server.
pub(crate) fn run(arguments: &ServeArguments) -> Result<ExitCode, Failure> {
    let defaults = arguments.settings();
    let mut plans: Vec<Plan> =
        arguments.endpoints.iter().map(|text| plan(text, &defaults)).collect::<Result<_, Failure>>()?;
    for plan in &mut plans {
        look_up(plan)?;
    }
    let listening = plans.iter().map(|plan| plan.transports.len() * plan.addresses.len().max(1)).sum();
    let possible = descriptors::connection_limit(arguments.max_connections, listening)?;
    let memory = MemoryLimit::smallest();
    let max_connections = memory_limit::max_connections(memory.as_ref(), arguments.max_connections, possible);
    let queue_limit = memory_limit::queue_limit(memory.as_ref(), arguments.queue_limit);

    let limits = arguments.limits(max_connections, queue_limit);
    plans.iter().try_for_each(|plan| fits(plan, &limits))?;

    let cannot_start = |error: io::Error| Failure::Runtime(format!("cannot start the event loop: {error}"));
    // Caught before anything is bound: what ends this program from now on removes the files of its sockets.
    signals::never_stop_at_output().map_err(cannot_start)?;
    let signals = Signals::catch(signals::ending(), &Inherited::read()).map_err(cannot_start)?;
    let mut openings = Vec::new();
    for plan in &plans {
        openings.append(&mut open(plan)?);
    }
    if plans.iter().any(|plan| matches!(plan.place, Place::Path(_))) && !refuses_descriptors() {
        warn_of_descriptors();
    }

    let mut reactor = Reactor::new(limits).map_err(cannot_start)?;
    let mut services = Vec::new();
    let mut announcements = Vec::new();
    for (tag, Opening { bound, service, exposed }) in openings.into_iter().enumerate() {
        match bound {
            Bound::Listener(listener) => reactor.listen(listener, tag),
            Bound::Datagram(socket) => reactor.receive(socket, Server::session(tag)),
        }
        .map_err(cannot_start)?;
        if let Some(address) = exposed {
            warn_of_exposure(&service, address);
        }
        announcements.push(format!("listening {} mode={}\n", service.name, service.mode.name()));
        services.push(service);
    }
    let mut server = Server::new(services);
    watch(signals, &mut server, &mut reactor).map_err(cannot_start)?;
    announce(&announcements);

    reactor.run(&mut server).map_err(|error| Failure::Runtime(format!("the event loop failed: {error}")))?;
    log::info!("{}", reactor.metrics());
    Ok(match server.killed_by() {
        Some(signal) => ExitCode::from(128 + signal as u8),
        None => ExitCode::SUCCESS,
    })
}

/// Checks one endpoint with its settings.
pub(super) fn plan(text: &str, defaults: &Settings) -> Result<Plan, Failure> {
    let wrong = |reason: String| Failure::Usage(format!("endpoint '{}': {reason}", text.escape_debug()));
    let endpoint = Endpoint::parse(text).map_err(wrong)?;
    let mut settings = defaults.clone();
    for (key, value) in &endpoint.settings {
        settings.set(key, value).map_err(wrong)?;
    }
    // The name is not known before the port is, but whatever else could be wrong is found now.
    settings.service(String::new()).map_err(wrong)?;
    let transports = endpoint.transport.map_or_else(|| vec![Transport::Tcp, Transport::Udp], |one| vec![one]);
    Ok(Plan { text: text.to_owned(), transports, place: endpoint.place, addresses: Vec::new(), settings })
}

/// What an incomplete message takes beside its own bytes: the length before it, and what holds it, in bytes.
const AROUND_A_MESSAGE: usize = 1024;

/// Checks that the longest message of an endpoint can be received at all, be its sender the only client.
pub(super) fn fits(plan: &Plan, limits: &Limits) -> Result<(), Failure> {
    let frames = plan.transports.iter().any(|transport| matches!(transport, Transport::Tcp | Transport::Unix));
    if !frames || plan.settings.framing == Framing::Chunk {
        return Ok(());
    }
    let (longest, queue) = (plan.settings.max_frame, limits.queue_limit);
    let room = Room::for_one_message(queue);
    if longest.saturating_add(AROUND_A_MESSAGE) <= room {
        return Ok(());
    }
    let needed = longest.saturating_add(AROUND_A_MESSAGE).saturating_mul(4);
    Err(Failure::Usage(format!(
        "endpoint '{}': --max-frame {longest} does not fit: unfinished messages may hold a quarter of the queue limit of {queue} bytes, which is \
         {room}, and {AROUND_A_MESSAGE} of that stand around each; set --queue-limit to at least {needed}, or --max-frame to at most {}",
        plan.text.escape_debug(),
        room.saturating_sub(AROUND_A_MESSAGE),
    )))
}

/// Looks the host of an endpoint up, which may take its time: so it is done before the loop, and never in it.
fn look_up(plan: &mut Plan) -> Result<(), Failure> {
    if let Place::Host(host, port) = &plan.place {
        plan.addresses = Endpoint::resolve(host, *port).map_err(|reason| failed(plan, &reason))?;
    }
    Ok(())
}

/// Binds every address of an endpoint.
fn open(plan: &Plan) -> Result<Vec<Opening>, Failure> {
    match &plan.place {
        Place::Path(path) => Ok(vec![open_path(plan, path)?]),
        Place::Host(_, port) => {
            let addresses = &plan.addresses;
            let several = plan.transports.len() * addresses.len() > 1;
            for _ in 0..PORT_TRIES {
                match open_addresses(plan, addresses) {
                    // A free port for the first socket was taken for another one.
                    Err((error, _)) if *port == 0 && several && error.kind() == io::ErrorKind::AddrInUse => {}
                    Err((error, address)) => return Err(failed(plan, &explain(plan, &error, &address))),
                    Ok(openings) => return Ok(openings),
                }
            }
            Err(failed(plan, "no port is free for all of its sockets"))
        }
    }
}

fn failed(plan: &Plan, reason: &str) -> Failure {
    Failure::Runtime(format!("cannot listen on '{}': {reason}", plan.text.escape_debug()))
}

fn explain(plan: &Plan, error: &io::Error, place: &str) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => {
            format!("{place} is the address of another server: address in use (stop it, or choose another)")
        }
        io::ErrorKind::AddrNotAvailable => format!("{place} is not an address of this machine"),
        io::ErrorKind::PermissionDenied => {
            let need = match plan.place {
                Place::Host(..) => "ports below 1024 need a privilege",
                Place::Path(_) => "its folder must be one that you can write to",
            };
            format!("{place}: permission denied ({need})")
        }
        io::ErrorKind::NotFound if matches!(plan.place, Place::Path(_)) => {
            format!("the folder of {place} does not exist")
        }
        // The place is left out where the message names it already.
        _ if place == plan.text => error.to_string(),
        _ => format!("{place}: {error}"),
    }
}

fn open_addresses(plan: &Plan, addresses: &[SocketAddr]) -> Result<Vec<Opening>, (io::Error, String)> {
    let mut openings = Vec::new();
    let mut port = None;
    for transport in &plan.transports {
        for mut address in addresses.iter().copied() {
            // Port 0 took a free one for the first socket; the others get the same.
            address.set_port(port.unwrap_or(address.port()));
            let tell = |error| (error, format!("{transport}://{address}"));
            let (bound, address) = match transport {
                Transport::Udp => {
                    let (socket, address) = bind::bind_udp(address, &plan.settings.socket).map_err(tell)?;
                    (Bound::Datagram(socket), address)
                }
                _ => {
                    let (listener, address) = bind::listen_tcp(address, &plan.settings.socket).map_err(tell)?;
                    (Bound::Listener(listener), address)
                }
            };
            port = Some(address.port());
            let service = plan.settings.service(format!("{transport}://{address}"));
            let service = service.map_err(|reason| (io::Error::other(reason), String::new()))?;
            let exposed = Some(address).filter(|address| !address.ip().to_canonical().is_loopback());
            openings.push(Opening { bound, service, exposed });
        }
    }
    Ok(openings)
}

fn open_path(plan: &Plan, path: &Path) -> Result<Opening, Failure> {
    let tell = |error: io::Error| failed(plan, &explain(plan, &error, &format!("{path:?}")));
    let is_datagram = plan.transports == [Transport::UnixDatagram];
    let bound = if is_datagram {
        Bound::Datagram(bind::bind_unix_datagram(path, &plan.settings.socket).map_err(tell)?)
    } else {
        Bound::Listener(bind::listen_unix(path, &plan.settings.socket).map_err(tell)?)
    };
    let scheme = if is_datagram { Transport::UnixDatagram } else { Transport::Unix };
    let service = plan.settings.service(url_of_path(scheme, path)).map_err(|reason| failed(plan, &reason))?;
    Ok(Opening { bound, service, exposed: None })
}

/// Says what everybody who reaches a socket outside loopback can do with it.
fn warn_of_exposure(service: &Service, address: SocketAddr) {
    let who = if address.ip().is_unspecified() { "every network of this machine" } else { "its network" };
    let what = if service.name.starts_with("udp") {
        "anybody there can have datagrams sent to an address that they forge, at the rate of --udp-rate"
    } else {
        "anybody there can hold connections and send bytes, up to the limits"
    };
    log::warn!("{} is open to {who}: {what}; there is no authentication and no encryption", service.name);
}

/// Says what whoever may connect to a Unix socket can do on a system that passes descriptors whether they are wanted or not.
fn warn_of_descriptors() {
    log::warn!(
        "this kernel cannot refuse descriptors that are sent to a Unix socket (SO_PASSRIGHTS, Linux 6.16): whoever may connect can \
         make every client wait. What protects is the mode of the socket's file and of its folder: let only those connect whom you trust"
    );
}

/// Prints one line an endpoint. A standard output that is closed or full is no reason not to serve.
fn announce(lines: &[String]) {
    let mut stdout = StandardOutput::open();
    let mut print = |line: &String| match stdout.write(line.as_bytes()) {
        Ok(count) if count < line.len() => Err(io::ErrorKind::WriteZero.into()),
        result => result,
    };
    if let Err(error) = lines.iter().try_for_each(|line| print(line).map(drop)) {
        log::warn!("cannot print the endpoints: {error}");
    }
}

/// Has the server told of signals by a stream, which the reactor watches like everything else.
fn watch(mut signals: Signals, server: &mut Server, reactor: &mut Reactor<Server>) -> io::Result<()> {
    let stream = Socket::Unix(mio::net::UnixStream::from_std(signals.stream()?));
    let has_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    server.at_signals(Box::new(move || signals.next().map(|signal| (signal, on_signal(signal, has_terminal)))));
    reactor.attach(stream, Session::Signals).map(drop)
}

/// What the server does at a signal. `has_terminal` tells whether it was started with a terminal: then SIGHUP says that this is gone.
fn on_signal(signal: i32, has_terminal: bool) -> OnSignal {
    match signal {
        SIGINT | SIGTERM => OnSignal::Ask,
        SIGUSR1 => OnSignal::Summary,
        SIGHUP if !has_terminal => {
            OnSignal::GoOn("nothing to do: no standard stream was a terminal at the start (SIGTERM drains)")
        }
        _ => OnSignal::Drain,
    }
}
