//! What a command says on standard error when it ends.
//!
//! A pipe that is full, because whoever reads the log has stopped, must not keep a program that has nothing more to do:
//! so it waits for room for a moment, and then goes without a word. The exit code says it all the same.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

/// How long it waits for room.
const PATIENCE: Duration = Duration::from_secs(1);

/// How much is written at a time, in bytes: so much a pipe with room takes at once (`PIPE_BUF`, `pipe(7)`).
const AT_ONCE: usize = 4_096;

/// Says `text` and a line break.
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
