//! `cooee load`: puts load on a server and tells what it measured.

use std::env;
use std::io;
use std::net::UdpSocket;
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use crate::cli::arguments::LoadCommand;
use crate::cli::cli_error::{CliError, say};
use crate::cli::interrupt::Interrupt;
use crate::cli::memory_limit::{self, MemoryLimit};
use crate::cli::progress::ProgressLine;
use crate::cli::room;
use crate::cli::server_meter::ServerMeter;
use crate::cli::signals::Inherited;
use crate::cli::target::Target;
use crate::measure::load;
use crate::measure::load::objective::Objective;
use crate::measure::load::options::{End, Options, Pace};
use crate::measure::load::outcome::Outcome;
use crate::measure::load::schedule::Schedule;
use crate::measure::load::search::{NextRun, Search};
use crate::measure::report::Report;
use crate::measure::report::conditions::{Conditions, without_port};
use crate::measure::report::objective::{Found, TriedRate};
use crate::os::bind::has_many_listeners;

/// A step of a search takes this part of the run that confirms it, within these bounds.
const STEP_PART: u32 = 5;
const STEP_MIN: Duration = Duration::from_secs(1);
const STEP_MAX: Duration = Duration::from_secs(10);

/// The figures are invalid: they do not show how fast the server is.
const INVALID: u8 = 3;

/// Runs load, and tells the result.
pub(crate) fn run(command: &LoadCommand) -> Result<ExitCode, CliError> {
    command.output.check(&[])?;
    let began = SystemTime::now();
    let report = measure(command).inspect_err(|failure| {
        // A program that reads the result finds the reason there.
        let conditions = Conditions::before(command_line(), began);
        let report = Report::of_no_run(failure.message(), command.load.is_open_loop(), &command.endpoint, conditions);
        command.output.write_failed(&report.endpoint, &report);
    })?;
    command.output.write(&report.endpoint, &report)?;
    Ok(verdict(&report))
}

/// The command line, word by word.
fn command_line() -> impl Iterator<Item = String> {
    env::args_os().map(|word| word.to_string_lossy().into_owned())
}

/// Runs load as the arguments say. What fails here has measured nothing.
fn measure(command: &LoadCommand) -> Result<Report, CliError> {
    let target = Target::find(&command.endpoint)?;
    let options = command.load.options(&target)?;
    memory_limit::warn_of_load(MemoryLimit::smallest().as_ref(), &options);
    check_sources(&options)?;
    room::check("--connections", options.connections, &options)?;
    command.output.check_files()?;
    let interrupt =
        Interrupt::catch(&[], &Inherited::read()).map_err(|error| CliError::system("cannot catch signals", &error))?;
    let server = ServerMeter::find(&target.addresses, options.datagrams);
    let mut runs = Runs { target, server, interrupt };
    let report = match command.slo {
        None => runs.report(&options)?,
        Some(objective) => runs.search(&options, objective)?,
    };
    runs.interrupt.runs_are_over().map_err(|error| CliError::system("cannot catch signals", &error))?;
    Ok(report)
}

/// Whether connections can leave from the addresses that were asked for.
fn check_sources(options: &Options) -> Result<(), CliError> {
    for source in &options.sources {
        let text = without_port(source);
        if has_many_listeners(*source) {
            return Err(CliError::Usage(format!(
                "--source {text}: it is an address of many hosts, and nobody can connect from it"
            )));
        }
        UdpSocket::bind(source).map_err(|error| match error.kind() {
            io::ErrorKind::AddrNotAvailable => CliError::Usage(format!(
                "--source {text}: it is not an address of this machine ('ip address' shows them)"
            )),
            _ => CliError::system(&format!("--source {text}"), &error),
        })?;
    }
    Ok(())
}

/// The exit code, and a line on stderr if it is not 0, because the result may go to a file.
fn verdict(report: &Report) -> ExitCode {
    let missed = report.objective.as_ref().is_some_and(|found| found.rate.is_none());
    let (code, sentence) = if let Some(reason) = report.nothing_because() {
        (1, format!("nothing was measured: {reason}"))
    } else if report.mismatch.is_some() {
        (1, "the server did not answer what it had to (--expect)".to_owned())
    } else if !report.valid {
        (INVALID, format!("the figures are not to be trusted: {}", report.doubts.join(" ")))
    } else if missed {
        (1, "no rate was found that keeps the objective (--slo)".to_owned())
    } else {
        return ExitCode::SUCCESS;
    };
    say(&format!("cooee: {}: {sentence}", report.endpoint.escape_debug()));
    ExitCode::from(code)
}

/// Runs against one server, one after the other.
struct Runs {
    target: Target,
    /// The server's processes, if they are on this machine: they show whether the server or this program was the
    /// bottleneck.
    server: ServerMeter,
    interrupt: Interrupt,
}

impl Runs {
    fn outcome(&mut self, options: &Options) -> Result<Outcome, CliError> {
        let failed = |error: io::Error| CliError::system("cannot run load", &error);
        let progress = ProgressLine::start();
        let interrupt = self.interrupt.stream().map_err(failed)?;
        let outcome = self.server.measure(|watch| {
            load::run(options.clone(), Some(interrupt), &mut |state| {
                watch(state.stage);
                progress.show(state);
            })
        });
        outcome.map_err(failed)
    }

    fn report(&mut self, options: &Options) -> Result<Report, CliError> {
        let began = SystemTime::now();
        let outcome = self.outcome(options)?;
        Ok(self.report_of(&outcome, options, began))
    }

    /// The report of a run with these options that began then.
    fn report_of(&self, outcome: &Outcome, options: &Options, began: SystemTime) -> Report {
        Report::new(outcome, &self.target.text, Conditions::here(command_line(), options, began))
    }

    /// Searches the highest rate that keeps `objective`. The report is that of the confirming run, or else of the last
    /// run.
    fn search(&mut self, options: &Options, objective: Objective) -> Result<Report, CliError> {
        let End::After(duration) = options.end else {
            return Err(CliError::Usage(
                "--slo: a search takes a time (--duration), not a number of messages".to_owned(),
            ));
        };
        let short = Options { end: End::After((duration / STEP_PART).clamp(STEP_MIN, STEP_MAX)), ..options.clone() };
        let at = |options: &Options, rate| Options { pace: Pace::Open(Schedule::steady(rate)), ..options.clone() };
        let began = SystemTime::now();
        let closed = self.outcome(&short)?;
        log::info!("a closed loop gets {:.0} replies a second: searching below that", closed.messages_per_second());
        let in_flight = options.connections.saturating_mul(options.pipeline);
        let mut search = Search::below(&closed, in_flight, objective);
        let mut found = Found::after(&closed, in_flight, objective);
        let mut last = self.report_of(&closed, &short, began);
        while last.messages > 0 && self.interrupt.caught().is_none() {
            let (rate, confirms) = match search.next() {
                NextRun::Step(rate) => (rate, false),
                NextRun::Confirm(rate) => (rate, true),
                NextRun::Found(rate) => {
                    found.rate = Some(rate);
                    break;
                }
                NextRun::NotFound(why) => {
                    found.reason = Some(why.to_string());
                    break;
                }
            };
            let options = at(if confirms { options } else { &short }, rate);
            let began = SystemTime::now();
            let outcome = self.outcome(&options)?;
            if outcome.interrupted {
                break;
            }
            let verdict = objective.judge(rate, &outcome);
            if confirms {
                search.confirm(rate, verdict)
            } else {
                search.step(rate, verdict, objective.miss(rate, verdict, &outcome))
            }
            let step = TriedRate::new(rate, confirms, verdict, objective, &outcome);
            log::info!("{step}");
            found.steps.push(step);
            last = self.report_of(&outcome, &options, began);
        }
        last.objective = Some(found);
        Ok(last)
    }
}
