//! What went wrong, for the person who started the program, and the exit code that goes with it.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

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
        say(&format!("cooee: {}", visible(message)));
        ExitCode::from(code)
    }
}

/// How long it waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much is written at a time, in bytes: so much a pipe with room takes at once (`PIPE_BUF`, `pipe(7)`).
const AT_ONCE: usize = 4_096;

/// Says `text` and a line break on standard error. A pipe that is full, because nobody reads the log, must not keep a
/// program that has nothing more to do: so it waits for room for a moment, and then goes without a word.
pub(crate) fn say(text: &str) {
    let deadline = Instant::now() + PATIENCE;
    let mut stderr = io::stderr();
    for piece in format!("{text}\n").as_bytes().chunks(AT_ONCE) {
        // Where nobody reads any more, the write says so.
        if !is_ready_by(deadline, &stderr) || stderr.write_all(piece).is_err() {
            return;
        }
    }
}

/// Waits until a write would not wait.
fn is_ready_by(deadline: Instant, stream: &impl AsFd) -> bool {
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        let mut asked = [PollFd::new(stream.as_fd(), PollFlags::POLLOUT)];
        match poll(&mut asked, PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO)) {
            Err(Errno::EINTR) => {}
            ready => return ready.is_ok_and(|count| count > 0),
        }
    }
}
