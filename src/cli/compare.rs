//! `cooee compare`: checks everything, compares, and tells what was found.

use std::env;
use std::io;
use std::net::Ipv4Addr;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::time::SystemTime;

use nix::sys::prctl::set_child_subreaper;
use signal_hook::consts::SIGQUIT;

use crate::cli::cli_error::{CliError, say};
use crate::cli::compare_arguments::CompareArguments;
use crate::cli::endpoint::Transport;
use crate::cli::interrupt::Interrupt;
use crate::cli::memory_limit::{self, MemoryLimit};
use crate::cli::progress::ProgressLine;
use crate::cli::room;
use crate::cli::signals::Inherited;
use crate::cli::target::Target;
use crate::measure::compare;
use crate::measure::compare::command::ServerCommand;
use crate::measure::compare::comparison::Comparison;
use crate::measure::compare::listen_address::ListenKind;
use crate::measure::compare::pinning::Pinning;
use crate::measure::compare::plan::Plan;
use crate::measure::load;
use crate::measure::load::options::Options;
use crate::measure::load::outcome::Outcome;
use crate::measure::load::progress;
use crate::measure::report::conditions::Conditions;
use crate::measure::report::visible::visible;
use crate::os::address::Address;

/// Some figures show this program and not the servers.
const DOUBTFUL: u8 = 3;

/// Compares, and prints the result.
pub(crate) fn run(arguments: &CompareArguments) -> Result<ExitCode, CliError> {
    let began = SystemTime::now();
    let mut plan = plan(arguments)?;
    arguments.output().check(&[])?;
    arguments.output().check_files()?;
    // SIGQUIT from the terminal reaches only this program, and would leave the servers running.
    let start = Inherited::read();
    let interrupt = Interrupt::catch(&[SIGQUIT], &start);
    let mut interrupt = interrupt.map_err(|error| CliError::system("cannot catch signals", &error))?;
    start.keep_from_children().map_err(|error| CliError::system("cannot catch signals", &error))?;
    // A daemon that a server starts comes to this process when its parent ends, and is ended with the server.
    set_child_subreaper(true).map_err(|error| CliError::system("cannot become a subreaper", &error.into()))?;
    // Read before this thread is pinned: it lists the machine's processors.
    let command = env::args_os().map(|word| word.to_string_lossy().into_owned());
    let conditions = Conditions::here(command, &plan.options, began);
    let pinning = Pinning::new(arguments.server_cpus.clone(), arguments.generator_cpus.clone());
    plan.pinning = pinning.map_err(CliError::Usage)?;

    let servers = compare::run(&plan, &mut run_load, &mut || interrupt.caught().is_some());
    let servers = servers.map_err(|error| CliError::system("cannot compare", &error))?;
    let ended_by = interrupt.caught();
    interrupt.runs_are_over().map_err(|error| CliError::system("cannot catch signals", &error))?;
    let comparison = Comparison {
        conditions,
        transport: arguments.transport.to_string(),
        pinning: plan.pinning.as_ref().map(|pinning| pinning.placement.clone()),
        rounds: plan.rounds,
        idle_connections: if plan.options.datagrams { 0 } else { plan.idle_connections },
        silent_connections: plan.silent_connections,
        is_interrupted: ended_by.is_some(),
        servers,
    };
    drop(plan);
    tell(arguments, &comparison)?;
    Ok(exit_code(&comparison, ended_by))
}

/// Runs load, with the progress line on a terminal.
fn run_load(
    options: Options,
    interrupt: Option<UnixStream>,
    watch: &mut dyn FnMut(&progress::Progress),
) -> io::Result<Outcome> {
    let line = ProgressLine::start();
    load::run(options, interrupt, &mut |progress| {
        watch(progress);
        line.show(progress);
    })
}

/// Checks everything that can be checked before anything is started.
fn plan(arguments: &CompareArguments) -> Result<Plan, CliError> {
    let (family, address) = match arguments.transport {
        Transport::Tcp | Transport::Udp => (ListenKind::Port, Address::Ip((Ipv4Addr::LOCALHOST, 0).into())),
        Transport::Unix | Transport::UnixDatagram => (ListenKind::Path, Address::Unix("/".into())),
    };
    let mut servers: Vec<ServerCommand> = Vec::new();
    for text in &arguments.servers {
        let wrong = |reason: String| CliError::Usage(format!("--server '{}': {reason}", visible(text)));
        let server = ServerCommand::parse(text, family).map_err(wrong)?;
        server.find_program().map_err(wrong)?;
        if servers.iter().any(|known| known.name == server.name) {
            return Err(wrong(format!("another one is called '{}' already: NAME=COMMAND", visible(&server.name))));
        }
        servers.push(server);
    }
    // The addresses are not used: each process has its own.
    let target = Target { text: String::new(), transport: arguments.transport, addresses: vec![address] };
    let options = arguments.load.options(&target)?;
    memory_limit::warn_of_load(MemoryLimit::smallest().as_ref(), &options);
    let silent = arguments.silent_connections;
    if silent > 0 && options.datagrams {
        return Err(CliError::Usage("--silent-connections: datagrams have none".to_owned()));
    }
    let at_once = match silent {
        0 => ("--connections", options.connections),
        _ => ("--connections and --silent-connections: together", options.connections.saturating_add(silent)),
    };
    for (flag, wanted) in [at_once, ("--idle-connections", arguments.idle_connections)] {
        room::check(flag, wanted, &options)?;
    }
    Ok(Plan {
        servers,
        rounds: arguments.rounds,
        options,
        idle_connections: arguments.idle_connections,
        silent_connections: silent,
        start_timeout: arguments.start_timeout,
        // The running file, even if its name is gone.
        binder: Some("/proc/self/exe".into()),
        pinning: None,
    })
}

/// Writes the report to its outputs, and what went wrong to standard error.
fn tell(arguments: &CompareArguments, comparison: &Comparison) -> Result<(), CliError> {
    for (server, failure) in comparison.failures() {
        let lines: String = failure.output.iter().map(|line| format!("\n  | {line}")).collect();
        let wrote = if lines.is_empty() { " (it wrote nothing)" } else { "; it wrote at last:" };
        let (name, round, reason) = (visible(&server.name), failure.round, visible(&failure.reason));
        say(&format!("cooee: {name} failed in round {round}: {reason}{wrote}{lines}"));
    }
    arguments.output().write_comparison(comparison)
}

fn exit_code(comparison: &Comparison, ended_by: Option<i32>) -> ExitCode {
    if let Some(signal) = ended_by {
        // As a shell reports a program that a signal ended.
        ExitCode::from(128 + signal as u8)
    } else if comparison.failures().next().is_some() {
        ExitCode::FAILURE
    } else if comparison.is_doubtful() {
        ExitCode::from(DOUBTFUL)
    } else {
        ExitCode::SUCCESS
    }
}
