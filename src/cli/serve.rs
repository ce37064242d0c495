//! `cooee serve`: checks everything, binds everything, then turns the reactor until it has drained.

use std::io::{self, IsTerminal};
use std::process::ExitCode;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1};

use crate::apps::server::{OnSignal, Server, ServerSession};
use crate::cli::arguments::ServeArguments;
use crate::cli::cli_error::CliError;
use crate::cli::endpoint::Location;
use crate::cli::memory_limit::{self, MemoryLimit};
use crate::cli::opening::{Bound, Opening, open};
use crate::cli::overlap;
use crate::cli::plan::EndpointPlan;
use crate::cli::room;
use crate::cli::signals::{self, Inherited, Signals};
use crate::os::reason;
use crate::os::standard_stream::StandardOutput;
use crate::os::stream::Socket;
use crate::os::unix_socket::refuses_descriptors;
use crate::reactor::Reactor;
use crate::reactor::tag::Tag;

/// Serves until a signal, or a message that stops the server.
pub(crate) fn run(arguments: &ServeArguments) -> Result<ExitCode, CliError> {
    let defaults = &arguments.settings;
    let mut plans: Vec<EndpointPlan> =
        arguments.endpoints.iter().map(|text| EndpointPlan::parse(text, defaults)).collect::<Result<_, CliError>>()?;
    if !defaults.socket().file.is_default() && !plans.iter().any(EndpointPlan::has_file) {
        return Err(CliError::Usage(
            "--file-mode, --file-owner and --file-group are for the file of a Unix socket, and no endpoint has one: unix:///PATH".to_owned(),
        ));
    }
    plans.iter_mut().try_for_each(EndpointPlan::look_up)?;
    overlap::resolve(&mut plans)?;
    let listening = plans.iter().map(|plan| plan.transports.len() * plan.addresses.len().max(1)).sum();
    if listening > Server::SERVICES_MAX {
        return Err(CliError::Usage(format!("{listening} endpoints: there can be at most {}", Server::SERVICES_MAX)));
    }
    let possible = room::connection_limit(arguments.max_connections, listening)?;
    let memory = MemoryLimit::smallest();
    let max_connections = memory_limit::max_connections(memory.as_ref(), arguments.max_connections, possible);
    let queue_limit = memory_limit::queue_limit(memory.as_ref(), arguments.queue_limit);

    let limits = arguments.limits(max_connections, queue_limit);
    plans.iter().try_for_each(|plan| plan.fits(&limits))?;

    let cannot_start = |error: io::Error| CliError::system("cannot start the event loop", &error);
    // Caught before anything is bound: from here on, a signal's end removes the sockets' files.
    signals::never_stop_at_output().map_err(cannot_start)?;
    let signals = Signals::catch(signals::ending(), &Inherited::read()).map_err(cannot_start)?;
    let mut openings = Vec::new();
    for plan in &plans {
        openings.append(&mut open(plan)?);
    }
    if plans.iter().any(|plan| matches!(plan.location, Location::Unix(_))) && !refuses_descriptors() {
        warn_of_descriptors();
    }

    let mut reactor = Reactor::new(limits).map_err(cannot_start)?;
    let mut services = Vec::new();
    let mut announcements = Vec::new();
    for (tag, Opening { bound, service, exposure }) in (0..).map(Tag).zip(openings) {
        match bound {
            Bound::Listener(listener) => reactor.listen(listener, tag),
            Bound::Datagram(socket) => reactor.receive(socket, tag, Server::session(tag)),
        }
        .map_err(cannot_start)?;
        if let Some(exposure) = exposure {
            log::warn!("{} {exposure}", service.name);
        }
        announcements.push(format!("listening {} mode={}\n", service.name, service.mode.name()));
        services.push(service);
    }
    let mut server = Server::new(services);
    watch(signals, &mut server, &mut reactor).map_err(cannot_start)?;
    announce(&announcements);

    reactor.run(&mut server).map_err(|error| CliError::system("the event loop cannot go on", &error))?;
    server.summary(reactor.metrics()).for_each(|line| log::info!("{line}"));
    Ok(match server.killed_by() {
        Some(signal) => ExitCode::from(128 + signal as u8),
        None => ExitCode::SUCCESS,
    })
}

/// Warns that the kernel passes descriptors to a Unix socket, wanted or not.
fn warn_of_descriptors() {
    log::warn!(
        "this kernel cannot refuse descriptors that are sent to a Unix socket (SO_PASSRIGHTS, Linux 6.16): whoever may connect can \
         make every client wait. What protects is the mode of the socket's file and of its folder: let only those connect whom you trust"
    );
}

/// Prints one line an endpoint. The server starts even if standard output is closed or full.
fn announce(lines: &[String]) {
    let mut stdout = StandardOutput::open();
    let mut print = |line: &String| match stdout.write(line.as_bytes()) {
        Ok(count) if count < line.len() => Err(io::ErrorKind::WriteZero.into()),
        result => result,
    };
    if let Err(error) = lines.iter().try_for_each(|line| print(line).map(drop)) {
        log::warn!("cannot print the endpoints: {}", reason::of(&error));
    }
}

/// Attaches the stream that tells of signals to the reactor.
fn watch(mut signals: Signals, server: &mut Server, reactor: &mut Reactor<Server>) -> io::Result<()> {
    let stream = Socket::Unix(mio::net::UnixStream::from_std(signals.stream()?));
    let has_terminal = io::stdin().is_terminal() || io::stdout().is_terminal() || io::stderr().is_terminal();
    server.at_signals(Box::new(move || signals.next().map(|signal| (signal, on_signal(signal, has_terminal)))));
    reactor.attach(stream, ServerSession::Signals).map(drop)
}

/// What the server does at a signal. With `has_terminal` the server was started on a terminal, and SIGHUP says that it
/// is gone.
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
