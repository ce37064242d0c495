//! What went wrong, as told to the user, and its exit code.

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
    /// An error of the system: `what` failed, and why.
    pub(crate) fn system(what: &str, error: &io::Error) -> CliError {
        CliError::Runtime(format!("{what}: {}", reason::of(error)))
    }

    /// What went wrong, in words.
    pub(crate) fn message(&self) -> &str {
        let (CliError::Usage(message) | CliError::Runtime(message)) = self;
        message
    }

    /// Prints the message on stderr in one line, escaped, because it quotes arguments and files. The exit code says the
    /// same.
    pub(crate) fn report(&self) -> ExitCode {
        let (message, code) = match self {
            CliError::Usage(message) => (message, 2),
            CliError::Runtime(message) => (message, 1),
        };
        say(&format!("cooee: {}", visible(message)));
        ExitCode::from(code)
    }
}

/// How long to wait for room.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// How many bytes are written at a time: a ready pipe takes these at once (`PIPE_BUF`, `pipe(7)`).
const AT_ONCE: usize = 4_096;

/// Writes `text` and a line break to standard error. A full pipe must not keep a finished program alive, so the write
/// waits for room for a moment and is then given up.
pub(crate) fn say(text: &str) {
    let deadline = Instant::now() + WAIT_MAX;
    let mut stderr = io::stderr();
    for piece in format!("{text}\n").as_bytes().chunks(AT_ONCE) {
        // A closed pipe fails the write.
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
