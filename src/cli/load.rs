//! `cooee load`: puts load on a server and tells what it measured.

use std::process::ExitCode;

use crate::cli::arguments::LoadCommand;
use crate::cli::failure::Failure;
use crate::cli::interrupt::Interrupt;
use crate::cli::load_arguments::Target;
use crate::load;

/// Runs load, and prints the result.
pub(crate) fn run(command: &LoadCommand) -> Result<ExitCode, Failure> {
    let target = Target::find(&command.endpoint)?;
    let options = command.load.options(&target)?;
    let interrupt = Interrupt::catch().map_err(|error| Failure::Runtime(error.to_string()))?;
    let outcome = load::run(options, interrupt.stream().ok(), &mut |progress| log::debug!("{progress:?}"))
        .map_err(|error| Failure::Runtime(error.to_string()))?;
    println!(
        "{:?} {} msgs {} /s late {} of {} errors {:?} lost {:?} dup {:?} reord {:?} corrupt {:?} cpu {:?} int {}",
        outcome.duration,
        outcome.messages,
        outcome.messages_per_second(),
        outcome.late,
        outcome.sent,
        outcome.errors,
        outcome.lost,
        outcome.duplicated,
        outcome.reordered,
        outcome.corrupt,
        outcome.generator_cpu,
        outcome.interrupted
    );
    println!(
        "p50 {} p99 {} max {} | p50 {} p99 {} max {}",
        outcome.latency.value_at_quantile(0.5) / 1000,
        outcome.latency.value_at_quantile(0.99) / 1000,
        outcome.latency.max() / 1000,
        outcome.send_latency.value_at_quantile(0.5) / 1000,
        outcome.send_latency.value_at_quantile(0.99) / 1000,
        outcome.send_latency.max() / 1000
    );
    println!("{:?} {:?}", outcome.mismatch, outcome.doubts());
    Ok(ExitCode::SUCCESS)
}
