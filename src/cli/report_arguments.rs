//! The flags of `report`, and those that say where a report goes, which `load` has too.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};

use clap::Args;

use crate::cli::cli_error::CliError;
use crate::cli::output_files::OutputFiles;
#[cfg(target_os = "linux")]
use crate::measure::compare::{self, comparison::Comparison};
use crate::measure::report::visible::visible;
use crate::measure::report::{Report, json, run_page, table, text};

const EXAMPLES: &str = "\
Examples:
  cooee report a.json b.json
  cooee report --side-by-side before.json after.json";

const NOTES: &str = "\
Two machines as one:
  cooee report a.json b.json

Before and after a change:
  cooee report --side-by-side before.json after.json

Runs are merged where they have measured the same: the same endpoint, loop, messages and expectations. Histograms, counts and rates add \
up, and percentiles are read off the sum. Rates only add up where the runs ran at the same time: if they did not, the report says that it \
is invalid.";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, after_long_help = NOTES)]
pub(crate) struct ReportArguments {
    /// What 'cooee load --json FILE' has written, or 'cooee compare --json FILE'; - is standard input
    #[arg(value_name = "FILE", required = true)]
    pub(crate) files: Vec<PathBuf>,
    /// Lay the reports side by side instead of merging them
    #[arg(long, conflicts_with = "json", help_heading = OUTPUT)]
    pub(crate) side_by_side: bool,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}

pub(crate) const OUTPUT: &str = "Say where the result goes";

/// Where a report goes.
#[derive(Clone, Debug, Default, Args)]
pub(crate) struct OutputArguments {
    /// Write the report as JSON; - is standard output
    ///
    /// Nothing else is written to standard output then.
    #[arg(long, value_name = "FILE|-", help_heading = OUTPUT)]
    pub(crate) json: Option<PathBuf>,
    /// Write two lines of CSV; - is standard output
    ///
    /// One of names and one of figures. Nothing else is written to standard output then.
    #[arg(long, value_name = "FILE|-", help_heading = OUTPUT)]
    pub(crate) csv: Option<PathBuf>,
    /// Write a page with pictures, in one file
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) html: Option<PathBuf>,
}

impl OutputArguments {
    /// Checks the outputs: standard output takes one of them, and no file is written twice or is one of those that are
    /// `read`.
    pub(crate) fn check(&self, read: &[PathBuf]) -> Result<(), CliError> {
        if is_standard(self.json.as_deref()) && is_standard(self.csv.as_deref()) {
            return Err(CliError::Usage("--json - and --csv -: standard output can hold one of them".to_owned()));
        }
        if is_standard(self.html.as_deref()) {
            return Err(CliError::Usage("--html -: a page is written to a file".to_owned()));
        }
        let mut files = OutputFiles::default();
        for (flag, path) in [("--json", &self.json), ("--csv", &self.csv), ("--html", &self.html)] {
            if let Some(path) = path.as_deref().filter(|path| !is_standard(Some(path))) {
                files.add(flag, path)?;
            }
        }
        let mut read = read.iter().filter(|path| !is_standard(Some(path)));
        read.try_for_each(|path| files.check_input(path))?;
        files.check_streams()
    }

    /// Checks that the files can be written, before a run whose result would be lost.
    pub(crate) fn check_files(&self) -> Result<(), CliError> {
        let files = [&self.json, &self.csv, &self.html].into_iter().flatten();
        // A pipe is not opened: its reader would see an end of file.
        let is_pipe = |path: &Path| path.metadata().is_ok_and(|metadata| metadata.file_type().is_fifo());
        for path in files.filter(|path| !is_standard(Some(path)) && !is_pipe(path)) {
            File::options().append(true).create(true).open(path).map_err(|error| unwritable(path, &error))?;
        }
        Ok(())
    }

    /// Writes one report to its outputs, and as text to standard output if nothing else goes there. `name` stands in
    /// the table.
    pub(crate) fn write(&self, name: &str, report: &Report) -> Result<(), CliError> {
        self.write_files(name, report).and(self.write_text(|| text::text(report)))
    }

    /// Writes the report of a run that did not begin to the files, but not as text: stderr has the reason. Errors of
    /// writing are ignored beside it.
    pub(crate) fn write_failed(&self, name: &str, report: &Report) {
        let _ = self.write_files(name, report);
    }

    /// Tries every output, whichever fails: what was measured cannot be measured again.
    fn write_files(&self, name: &str, report: &Report) -> Result<(), CliError> {
        let json = write_to(&self.json, |sink| json::write(report, sink));
        let html = write_to(&self.html, |sink| sink.write_all(run_page::page(report).as_bytes()));
        let table = write_to(&self.csv, |sink| table::write(&[(name.to_owned(), report.clone())], sink));
        json.and(html).and(table)
    }

    /// Writes several reports side by side.
    pub(crate) fn write_side_by_side(&self, reports: &[(String, Report)]) -> Result<(), CliError> {
        write_to(&self.html, |sink| sink.write_all(run_page::side_by_side(reports).as_bytes()))?;
        write_to(&self.csv, |sink| table::write(reports, sink))?;
        self.write_text(|| text::side_by_side(reports))
    }

    /// Writes a comparison to its outputs, and as text to standard output if nothing else goes there. Tries every
    /// output.
    #[cfg(target_os = "linux")]
    pub(crate) fn write_comparison(&self, comparison: &Comparison) -> Result<(), CliError> {
        let json = compare::json::render(comparison)
            .map_err(|error| CliError::Runtime(format!("cannot make JSON: {error}")))
            .and_then(|json| write_to(&self.json, |sink| sink.write_all(json.as_bytes())));
        let html = write_to(&self.html, |sink| sink.write_all(compare::html::render(comparison).as_bytes()));
        json.and(html).and(self.write_text(|| compare::table::render(comparison)))
    }

    fn write_text(&self, text: impl FnOnce() -> String) -> Result<(), CliError> {
        if is_standard(self.json.as_deref()) || is_standard(self.csv.as_deref()) {
            return Ok(());
        }
        to(Path::new(STANDARD), |sink| sink.write_all(text().as_bytes()))
    }
}

/// The name of a standard stream among files.
pub(crate) const STANDARD: &str = "-";

pub(crate) fn is_standard(path: Option<&Path>) -> bool {
    path == Some(Path::new(STANDARD))
}

/// Writes to a file or to standard output, where that was asked for.
fn write_to(path: &Option<PathBuf>, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CliError> {
    path.as_ref().map_or(Ok(()), |path| to(path, write))
}

/// Writes to a file, or to standard output. A closed pipe at standard output is no error.
pub(crate) fn to(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> Result<(), CliError> {
    if is_standard(Some(path)) {
        let mut sink = BufWriter::new(io::stdout().lock());
        return match write(&mut sink).and_then(|()| sink.flush()) {
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
            result => result.map_err(|error| CliError::system("cannot write standard output", &error)),
        };
    }
    let written = File::create(path).and_then(|file| {
        let mut sink = BufWriter::new(file);
        write(&mut sink)?;
        sink.flush()
    });
    written.map_err(|error| unwritable(path, &error))
}

fn unwritable(path: &Path, error: &io::Error) -> CliError {
    let path = path.to_string_lossy();
    let path = visible(&path);
    match error.kind() {
        io::ErrorKind::NotFound => CliError::Runtime(format!("cannot write {path}: its folder does not exist")),
        _ => CliError::system(&format!("cannot write {path}"), error),
    }
}
