//! What went wrong, for the person who started the program, and the exit code that goes with it.

use std::io;
use std::process::ExitCode;

use crate::cli::last_words;
use crate::measure::report::visible::visible;
use crate::os::reason;

/// What went wrong.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum CliError {
    /// The arguments make no sense: exit code 2, and nothing was bound or connected.
    Usage(String),
    /// It failed at run time: exit code 1.
    Runtime(String),
}

impl CliError {
    /// The system could not do it: `what`, and why.
    pub(crate) fn system(what: &str, error: &io::Error) -> CliError {
        CliError::Runtime(format!("{what}: {}", reason::of(error)))
    }

    /// What went wrong, in words.
    pub(crate) fn message(&self) -> &str {
        let (CliError::Usage(message) | CliError::Runtime(message)) = self;
        message
    }

    /// Tells it on stderr, in one line: arguments, and files of others, are quoted in it. Where nobody reads that any
    /// more, the exit code still says it.
    pub(crate) fn report(&self) -> ExitCode {
        let (message, code) = match self {
            CliError::Usage(message) => (message, 2),
            CliError::Runtime(message) => (message, 1),
        };
        last_words::say(&format!("cooee: {}", visible(message)));
        ExitCode::from(code)
    }
}
