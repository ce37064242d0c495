//! `cooee compare`: checks everything, compares, and tells what was found.

use std::fs;
use std::io::{self, Write};
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::SystemTime;

use crate::address::Address;
use crate::cli::compare_arguments::CompareArguments;
use crate::cli::descriptors;
use crate::cli::endpoint::Transport;
use crate::cli::failure::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::load_arguments::Target;
use crate::compare::command::ServerCommand;
use crate::compare::comparison::Comparison;
use crate::compare::listen_address::Family;
use crate::compare::pinning::Pinning;
use crate::compare::plan::Plan;
use crate::compare::{self, html, json, table};
use crate::load;
use crate::protocol::escape::Escaped;
use crate::report::conditions::Conditions;

/// Some figures tell of this program and not of the servers.
const DOUBTFUL: u8 = 3;

/// As a shell tells of a program that SIGINT ended.
const INTERRUPTED: u8 = 130;

/// Compares, and prints the result.
pub(crate) fn run(arguments: &CompareArguments) -> Result<ExitCode, Failure> {
    let began = SystemTime::now();
    let mut interrupt = Interrupt::catch().map_err(|error| runtime("cannot catch signals", &error))?;
    let mut plan = plan(arguments)?;
    // Told before this thread is pinned: it is the machine's processors that count.
    let conditions = Conditions::here(std::env::args(), &plan.options, began);
    let cpus = |list: &Option<_>| list.as_ref().map(|super::compare_arguments::Processors(cpus)| cpus.clone());
    plan.pinning =
        Pinning::new(cpus(&arguments.server_cpus), cpus(&arguments.generator_cpus)).map_err(Failure::Usage)?;

    let servers =
        compare::run(&plan, &mut load::run, &mut interrupt).map_err(|error| runtime("cannot compare", &error))?;
    let comparison = Comparison {
        conditions,
        transport: arguments.transport.to_string(),
        pinning: plan.pinning.as_ref().map(|pinning| (pinning.server.clone(), pinning.generator.clone())),
        rounds: plan.rounds,
        idle_connections: if plan.options.datagrams { 0 } else { plan.idle_connections },
        is_interrupted: interrupt.is_caught(),
        servers,
    };
    drop(plan);
    tell(arguments, &comparison)?;
    Ok(exit_code(&comparison))
}

/// Checks everything that can be checked before anything is started.
fn plan(arguments: &CompareArguments) -> Result<Plan, Failure> {
    let (family, address) = match arguments.transport {
        Transport::Tcp | Transport::Udp => (Family::Port, Address::Ip((Ipv4Addr::LOCALHOST, 0).into())),
        Transport::Unix | Transport::UnixDatagram => (Family::Path, Address::Unix("/".into())),
    };
    let mut servers: Vec<ServerCommand> = Vec::new();
    for text in &arguments.servers {
        let wrong = |reason: String| Failure::Usage(format!("--server '{}': {reason}", Escaped(text)));
        let server = ServerCommand::parse(text, family).map_err(wrong)?;
        server.find_program().map_err(wrong)?;
        if servers.iter().any(|known| known.name == server.name) {
            return Err(wrong(format!("another one is called '{}' already: NAME=COMMAND", Escaped(&server.name))));
        }
        servers.push(server);
    }
    // Its addresses are not used: each process has its own.
    let target = Target { text: String::new(), transport: arguments.transport, addresses: vec![address] };
    let options = arguments.load.options(&target)?;
    let possible = descriptors::connection_limit(None, 0)?;
    for (flag, wanted) in [("--connections", options.connections), ("--idle-connections", arguments.idle_connections)] {
        if wanted > possible {
            return Err(Failure::Usage(format!(
                "{flag} {wanted} does not fit: the limit of descriptors allows {possible} (raise it with 'ulimit -n')"
            )));
        }
    }
    Ok(Plan {
        servers,
        rounds: arguments.rounds,
        family,
        options,
        idle_connections: arguments.idle_connections,
        start_timeout: arguments.start_timeout,
        pinning: None,
    })
}

/// Prints the table, or JSON in its place, and writes the files that were asked for.
fn tell(arguments: &CompareArguments, comparison: &Comparison) -> Result<(), Failure> {
    for server in &comparison.servers {
        if let Some(failure) = &server.failure {
            // Reasons are escaped where they are made: their line breaks are their own.
            let name = Escaped(&server.name);
            let _ = writeln!(io::stderr(), "cooee: {name}: failed in round {}: {}", failure.round, failure.reason);
        }
    }
    let json = match &arguments.json {
        None => None,
        Some(_) => Some(json::render(comparison).map_err(|error| runtime("cannot make JSON", &error))?),
    };
    let (stdout, json_file) = match (arguments.json.as_deref(), &json) {
        (Some("-"), Some(json)) => (json.clone(), None),
        (file, _) => (table::render(comparison), file),
    };
    let printed = io::stdout().lock().write_all(stdout.as_bytes()).and_then(|()| io::stdout().flush());
    if let (Some(file), Some(json)) = (json_file, &json) {
        write_file(file, json)?;
    }
    if let Some(file) = &arguments.html {
        write_file(file, &html::render(comparison))?;
    }
    printed.map_err(|error| runtime("cannot print the result", &error))
}

fn write_file(path: &str, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| runtime(&format!("cannot write '{}'", Escaped(path)), &error))
}

fn runtime(what: &str, error: &dyn std::fmt::Display) -> Failure {
    Failure::Runtime(format!("{what}: {error}"))
}

fn exit_code(comparison: &Comparison) -> ExitCode {
    if comparison.is_interrupted {
        ExitCode::from(INTERRUPTED)
    } else if comparison.has_failures() {
        ExitCode::FAILURE
    } else if comparison.is_doubtful() {
        ExitCode::from(DOUBTFUL)
    } else {
        ExitCode::SUCCESS
    }
}

impl compare::Interrupt for Interrupt {
    fn stream(&self) -> io::Result<UnixStream> {
        Interrupt::stream(self)
    }

    fn note(&mut self) {
        Interrupt::note(self);
    }

    fn is_caught(&mut self) -> bool {
        Interrupt::is_caught(self)
    }
}
