//! The log on stderr: lines by `simple_logger`, which neither block the loop nor end it.
//!
//! `simple_logger` prints with `eprintln!`, which blocks while a pipe is full and panics on a closed pipe or a full
//! disk. So the descriptor is polled first, a line is cut to what a ready pipe takes at once, a terminal is made
//! non-blocking, and a panic is caught.

use std::io;
use std::panic::{self, AssertUnwindSafe};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use anstream::{AutoStream, ColorChoice};
use log::{Log, Metadata, Record};
use simple_logger::SimpleLogger;

use crate::cli::arguments::LogArguments;
use crate::cli::cli_error::CliError;
use crate::cli::log_filter::LogFilter;
use crate::os::standard_stream::{reopen_stderr, stderr_is_ready};

/// The longest message, in bytes. With time, level and module it stays below 4,096, which a pipe that is ready takes at
/// once.
const LINE_MAX: usize = 4_000;

/// Whether a line is being printed: a panic is then the printing's, and its report could not be printed either.
static PRINTING: AtomicBool = AtomicBool::new(false);

struct StderrLogger {
    inner: SimpleLogger,
    lost: AtomicU64,
}

/// Starts logging at the level that the flags give, or else as `RUST_LOG` says, or else at info.
pub(crate) fn start(arguments: &LogArguments) -> Result<(), CliError> {
    let filter = arguments.level().map_or_else(LogFilter::from_environment, LogFilter::at);
    let inner = filter.targets.iter().fold(SimpleLogger::new().with_level(filter.level), |logger, (target, level)| {
        logger.with_module_level(target, *level)
    });
    // As `clap` decides for its help and its errors: `NO_COLOR`, `CLICOLOR`, `CLICOLOR_FORCE` and `TERM` are asked.
    let colors = AutoStream::choice(&io::stderr()) != ColorChoice::Never;
    // `simple_logger` leaves colours to `colored`, which would ask standard output.
    colored::control::set_override(colors);
    let inner = inner.with_utc_timestamps().with_colors(colors);
    log::set_max_level(inner.max_level());
    reopen_stderr();
    let report = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        if !PRINTING.load(Ordering::Relaxed) {
            report(info);
        }
    }));
    let logger = StderrLogger { inner, lost: AtomicU64::new(0) };
    log::set_boxed_logger(Box::new(logger))
        .map_err(|_| CliError::Runtime("cannot log: another logger is set already".to_owned()))?;
    if let Some(complaint) = filter.complaint() {
        log::warn!("{complaint}");
    }
    Ok(())
}

impl StderrLogger {
    /// Prints one line; false where it could not be printed at once.
    fn print(&self, record: &Record<'_>, message: &str) -> bool {
        if !stderr_is_ready() {
            return false;
        }
        PRINTING.store(true, Ordering::Relaxed);
        let printed = panic::catch_unwind(AssertUnwindSafe(|| {
            self.inner.log(
                &Record::builder()
                    .metadata(record.metadata().clone())
                    .module_path(record.module_path())
                    .args(format_args!("{message}"))
                    .build(),
            );
        }));
        PRINTING.store(false, Ordering::Relaxed);
        printed.is_ok()
    }
}

impl Log for StderrLogger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.inner.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let lost = self.lost.load(Ordering::Relaxed);
        let note = match lost {
            0 => String::new(),
            _ => format!(" [{lost} lines before this one were lost: stderr took none]"),
        };
        let mut message = record.args().to_string();
        // The note counts too: a ready pipe would block on one byte more than a page.
        let max = LINE_MAX - note.len();
        if message.len() > max {
            message.truncate(message.floor_char_boundary(max));
            message.push_str(" ...");
        }
        message.push_str(&note);
        let lost = if self.print(record, &message) { 0 } else { lost + 1 };
        self.lost.store(lost, Ordering::Relaxed);
    }

    fn flush(&self) {}
}
