//! The command line: arguments, endpoint URLs, the log on stderr. Everything here may know everything below.

mod arguments;
mod cli_error;
#[cfg(target_os = "linux")]
mod compare;
#[cfg(target_os = "linux")]
mod compare_arguments;
pub mod endpoint;
mod examples;
#[cfg(fuzzing)]
#[path = "../../tests/fuzz/understand.rs"]
pub mod fuzzing;
mod host;
mod interrupt;
mod load;
mod load_arguments;
mod log_filter;
mod logger;
#[cfg(target_os = "linux")]
mod memory_group;
mod memory_limit;
mod opening;
mod output_files;
mod overlap;
mod plan;
mod progress;
mod report;
mod report_arguments;
mod room;
mod send;
mod serve;
mod server_meter;
pub mod settings;
mod signals;
mod suggestion;
mod target;
mod units;
mod zone;

use std::env;
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use crate::cli::arguments::{Arguments, Command};
use crate::cli::cli_error::CliError;
use crate::cli::examples::EXAMPLES;
use crate::cli::report_arguments::STANDARD;
#[cfg(target_os = "linux")]
use crate::measure::processes::bound::Binder;
use crate::measure::report::visible::visible;

/// The same error with escaped arguments: clap quotes them as they are, unless they are not UTF-8.
fn without_power(error: clap::Error) -> clap::Error {
    let shown = env::args_os().map(|argument| visible(&argument.to_string_lossy()));
    Arguments::try_parse_from(shown).err().unwrap_or(error)
}

/// Prints examples of the commands.
fn show_examples() -> Result<ExitCode, CliError> {
    report_arguments::to(Path::new(STANDARD), |sink| sink.write_all(EXAMPLES.as_bytes())).map(|()| ExitCode::SUCCESS)
}

/// Parses the arguments, does what they say, and tells how it went.
pub fn run() -> ExitCode {
    // A process of `compare` that is about to become a server: nothing is set up in it.
    #[cfg(target_os = "linux")]
    if let Some(binder) = Binder::of(env::args_os()) {
        return binder.become_program();
    }
    let arguments = Arguments::try_parse().unwrap_or_else(|error| without_power(error).exit());
    let prepared = signals::prepare().map_err(|error| CliError::system("cannot set signals", &error));
    let result = prepared.and_then(|()| logger::start(&arguments.log)).and_then(|()| match &arguments.command {
        None => show_examples(),
        Some(Command::Serve(arguments)) => serve::run(arguments),
        Some(Command::Send(arguments)) => send::run(arguments),
        Some(Command::Load(arguments)) => load::run(arguments),
        #[cfg(target_os = "linux")]
        Some(Command::Compare(arguments)) => compare::run(arguments),
        Some(Command::Report(arguments)) => report::run(arguments),
    });
    match result {
        Ok(code) => code,
        Err(failure) => failure.report(),
    }
}
