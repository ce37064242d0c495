//! The command line as the fuzz targets of `tests/fuzz` see it: arguments are parsed and checked by the code that does
//! so for `cooee` itself, but no name is looked up, and nothing is opened, bound or started.

use std::ffi::OsString;

use clap::{Arg, Args, Command as Flags, Parser};

use crate::apps::server::service::Service;
use crate::cli::arguments::{Arguments, Command, ServeArguments};
use crate::cli::cli_error::CliError;
use crate::cli::endpoint::{Endpoint, Transport};
use crate::cli::load_arguments::LoadArguments;
use crate::cli::plan::EndpointPlan;
use crate::cli::settings::Settings;
use crate::cli::target::Target;
use crate::measure::load::options::Options;
use crate::os::address::Address;
use crate::reactor::limits::Limits;

/// What a command line asks for, where it makes sense.
#[derive(Clone, Debug)]
pub enum Understood {
    /// Each endpoint's settings with what they amount to, and what holds for all of them.
    Serve(Vec<(Settings, Service)>, Box<Limits>),
    /// What a load generator would do.
    Load(Box<Options>),
    /// Another command, whose arguments clap has understood.
    Other,
}

/// Why a command line is not carried out: an exit code, and what is told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refused {
    /// By clap, which also answers `--help`.
    Parser(i32, String),
    /// By us, with the exit code 2.
    Usage(String),
}

/// The keys that an endpoint's query can have.
pub fn keys() -> Vec<String> {
    let flags = Settings::augment_args(Flags::new("query"));
    flags.get_arguments().filter_map(Arg::get_long).map(str::to_owned).collect()
}

/// What the words of a command line, with the program's name, ask for.
pub fn understand(words: impl IntoIterator<Item = OsString>) -> Result<Understood, Refused> {
    let arguments = Arguments::try_parse_from(words)
        .map_err(|error| Refused::Parser(error.exit_code(), error.render().to_string()))?;
    let Some(command) = &arguments.command else { return Ok(Understood::Other) };
    let understood = match command {
        Command::Serve(arguments) => services(arguments),
        Command::Load(command) => command.output.check(&[]).and_then(|()| load(&command.load, &command.endpoint)),
        #[cfg(target_os = "linux")]
        Command::Compare(arguments) => arguments.output().check(&[]).and_then(|()| {
            let target = Target { text: String::new(), transport: arguments.transport, addresses: Vec::new() };
            arguments.load.options(&target).map(|options| Understood::Load(Box::new(options)))
        }),
        Command::Send(arguments) => {
            Endpoint::parse_server(&arguments.endpoint).map(|_| Understood::Other).map_err(CliError::Usage)
        }
        Command::Report(arguments) => arguments.output.check(&arguments.files).map(|()| Understood::Other),
    };
    understood.map_err(|failure| match failure {
        CliError::Usage(reason) => Refused::Usage(reason),
        CliError::Runtime(reason) => unreachable!("nothing runs: {reason}"),
    })
}

fn services(arguments: &ServeArguments) -> Result<Understood, CliError> {
    let queue_limit = arguments.queue_limit.unwrap_or(Limits::default().queue_limit);
    let limits = Box::new(arguments.limits(arguments.max_connections.unwrap_or(1), queue_limit));
    let plans = arguments.endpoints.iter().map(|text| EndpointPlan::parse(text, &arguments.settings));
    let services = plans.map(|plan| {
        let plan = plan?;
        plan.fits(&limits)?;
        let settings = plan.settings;
        let service = settings.service(String::new()).map_err(CliError::Runtime)?;
        Ok((settings, service))
    });
    Ok(Understood::Serve(services.collect::<Result<_, _>>()?, limits))
}

fn load(arguments: &LoadArguments, text: &str) -> Result<Understood, CliError> {
    let endpoint = Endpoint::parse_server(text).map_err(CliError::Usage)?;
    let transport = endpoint.transport.unwrap_or(Transport::Tcp);
    let addresses = vec![Address::Ip(([127, 0, 0, 1], 9000).into())];
    let target = Target { text: text.to_owned(), transport, addresses };
    arguments.options(&target).map(|options| Understood::Load(Box::new(options)))
}
