//! `cooee report`: reads what `cooee load` has written, and tells it: merged, or side by side.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::ExitCode;

use crate::cli::failure::Failure;
use crate::cli::report_arguments::{ReportArguments, STANDARD};
use crate::report::visible::visible;
use crate::report::{Report, json, merge};

/// Reads, merges, writes.
pub(crate) fn run(arguments: &ReportArguments) -> Result<ExitCode, Failure> {
    arguments.output.check(&arguments.files)?;
    if arguments.files.iter().filter(|file| *file == Path::new(STANDARD)).count() > 1 {
        return Err(Failure::Usage("standard input (-) can be read once".to_owned()));
    }
    let reports = arguments.files.iter().map(|file| read(file)).collect::<Result<Vec<_>, _>>()?;
    if arguments.side_by_side {
        arguments.output.write_side_by_side(&reports)?;
        return Ok(ExitCode::SUCCESS);
    }
    let merged = merge::merge(&reports)
        .map_err(|reason| Failure::Runtime(format!("{} (--side-by-side does not merge)", visible(&reason))))?;
    let names: Vec<&str> = reports.iter().map(|(name, _)| name.as_str()).collect();
    arguments.output.write(&names.join(" "), &merged)?;
    Ok(ExitCode::SUCCESS)
}

/// The report in a file, with the file's name.
fn read(file: &Path) -> Result<(String, Report), Failure> {
    let name =
        if file == Path::new(STANDARD) { "standard input".to_owned() } else { file.to_string_lossy().into_owned() };
    let read = if file == Path::new(STANDARD) {
        json::read(io::stdin().lock())
    } else {
        File::open(file).map_err(|error| format!("cannot be opened: {error}")).and_then(json::read)
    };
    match read {
        Ok(report) => Ok((name, report)),
        Err(reason) => Err(Failure::Runtime(visible(&format!("{name} {reason}")))),
    }
}
