//! `cooee report`: reads what `cooee load` has written, and tells it, merged or side by side; or a comparison, as
//! `cooee compare` has told it.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::cli_error::CliError;
use crate::cli::report_arguments::{ReportArguments, STANDARD};
#[cfg(target_os = "linux")]
use crate::measure::compare;
use crate::measure::report::visible::visible;
use crate::measure::report::{Report, json, merge};
use crate::os::reason;

/// Reads, merges, writes.
pub(crate) fn run(arguments: &ReportArguments) -> Result<ExitCode, CliError> {
    arguments.output.check(&arguments.files)?;
    if arguments.files.iter().filter(|file| *file == Path::new(STANDARD)).count() > 1 {
        return Err(CliError::Usage("standard input (-) can be read once".to_owned()));
    }
    let files = arguments.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    #[cfg(target_os = "linux")]
    if let Some((name, bytes)) = files.iter().find(|(_, bytes)| json::is_of_kind(bytes, compare::json::KIND)) {
        return show_comparison(arguments, name, bytes);
    }
    let reports = files.into_iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    if arguments.side_by_side {
        arguments.output.write_side_by_side(&reports)?;
        return Ok(ExitCode::SUCCESS);
    }
    let merged = merge::merge(&reports)
        .map_err(|reason| CliError::Runtime(format!("{} (--side-by-side does not merge)", visible(&reason))))?;
    let names: Vec<&str> = reports.iter().map(|(name, _)| name.as_str()).collect();
    arguments.output.write(&names.join(" "), &merged)?;
    Ok(ExitCode::SUCCESS)
}

/// Shows the comparison in these bytes as it was told when it was made.
#[cfg(target_os = "linux")]
fn show_comparison(arguments: &ReportArguments, name: &str, bytes: &[u8]) -> Result<ExitCode, CliError> {
    let is_alone = arguments.files.len() == 1 && !arguments.side_by_side;
    if !is_alone || arguments.output.csv.is_some() {
        return Err(CliError::Usage(format!(
            "{name} is a comparison of servers (cooee compare): it is shown by itself, as text, --json or --html"
        )));
    }
    let comparison = compare::read::read(bytes).map_err(|reason| unreadable(name, &reason))?;
    arguments.output.write_comparison(&comparison)?;
    Ok(ExitCode::SUCCESS)
}

/// What is in a file, with the file's name.
fn read(file: &Path) -> Result<(String, Vec<u8>), CliError> {
    let (name, bytes) = if file == Path::new(STANDARD) {
        ("standard input".to_owned(), json::bytes(io::stdin().lock()))
    } else {
        let name = file.to_string_lossy().into_owned();
        let cannot_open = |error: io::Error| unreadable(&name, &format!("cannot be opened: {}", reason::of(&error)));
        let bytes = json::bytes(File::open(file).map_err(cannot_open)?);
        (name, bytes)
    };
    let bytes = bytes.map_err(|error| unreadable(&name, &error.to_string()))?;
    Ok((name, bytes))
}

/// The report of a run in a file.
fn parse((name, bytes): (String, Vec<u8>)) -> Result<(String, Report), CliError> {
    let report = json::parse(&bytes).map_err(|error| unreadable(&name, &error.to_string()))?;
    Ok((name, report))
}

fn unreadable(name: &str, reason: &str) -> CliError {
    CliError::Runtime(visible(&format!("{name} {reason}")))
}
