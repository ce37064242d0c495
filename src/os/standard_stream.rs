//! Standard input and standard output as streams that never block the loop.
//!
//! `O_NONBLOCK` belongs to the open file, which the user's shell shares. So the descriptors stay blocking, and
//! `poll(2)` with timeout 0 is asked before each call.
//!
//! A terminal is ready while it has room for a single byte, and a longer line would block. So a terminal that is
//! written to is opened once more, as an open file of our own, which does not block (Linux).

use std::fs::OpenOptions;
use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt;

use mio::event::Source as _;
use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use nix::errno::Errno;
use nix::libc::{O_NOCTTY, O_NONBLOCK};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

/// The most that one write takes: POSIX promises that a ready pipe takes `PIPE_BUF` bytes at once.
const PIPE_BUF: usize = 4096;

/// Standard input. It keeps nothing: every one of thousands of connections has room for it.
#[derive(Debug)]
pub struct StandardInput(());

/// Standard output.
#[derive(Debug)]
pub struct StandardOutput {
    /// The terminal that it is, opened once more.
    terminal: Option<OwnedFd>,
}

impl StandardInput {
    /// Takes it as it is.
    pub fn open() -> StandardInput {
        StandardInput(())
    }

    /// Reads what is there (`read(2)`), or answers `WouldBlock`.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let shared = io::stdin();
        ask(shared.as_fd(), PollFlags::POLLIN)?;
        Ok(unistd::read(&shared, buffer)?)
    }
}

impl AsRawFd for StandardInput {
    fn as_raw_fd(&self) -> RawFd {
        io::stdin().as_raw_fd()
    }
}

impl StandardOutput {
    /// Takes it as it is, but opens a terminal once more.
    pub fn open() -> StandardOutput {
        StandardOutput { terminal: reopen_terminal(&io::stdout()) }
    }

    /// Writes at most [`PIPE_BUF`] bytes (`write(2)`), or answers `WouldBlock`.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let shared = io::stdout();
        let descriptor = self.terminal.as_ref().map_or(shared.as_fd(), OwnedFd::as_fd);
        ask(descriptor, PollFlags::POLLOUT)?;
        Ok(unistd::write(descriptor, &bytes[..bytes.len().min(PIPE_BUF)])?)
    }
}

impl AsRawFd for StandardOutput {
    fn as_raw_fd(&self) -> RawFd {
        self.terminal.as_ref().map_or_else(|| io::stdout().as_raw_fd(), OwnedFd::as_raw_fd)
    }
}

/// Puts an open file of our own in the place of standard error, where that is a terminal, so that it never blocks.
pub fn reopen_stderr() {
    if let Some(terminal) = reopen_terminal(&io::stderr()) {
        // Where it cannot be replaced it stays as it was.
        let _ = unistd::dup2_stderr(terminal);
    }
}

/// Opens the terminal of a descriptor once more. `None` if it is no terminal, or may not be opened (after `su`, say).
fn reopen_terminal(descriptor: &(impl IsTerminal + AsRawFd)) -> Option<OwnedFd> {
    if !descriptor.is_terminal() {
        return None;
    }
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    OpenOptions::new().write(true).custom_flags(O_NONBLOCK | O_NOCTTY).open(path).ok().map(OwnedFd::from)
}

/// Whether standard error takes a line at once and has a reader. A terminal that was stopped (^S) does not.
pub(crate) fn stderr_is_ready() -> bool {
    let stderr = io::stderr();
    let mut fds = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let ready = poll(&mut fds, PollTimeout::ZERO);
    ready.is_ok() && fds[0].revents().is_some_and(|events| events == PollFlags::POLLOUT)
}

/// Whether a call on `fd` would be served at once; regular files and `/dev/null` always are.
fn ask(fd: BorrowedFd<'_>, flags: PollFlags) -> io::Result<()> {
    match poll(&mut [PollFd::new(fd, flags)], PollTimeout::ZERO)? {
        0 => Err(io::ErrorKind::WouldBlock.into()),
        _ => Ok(()),
    }
}

/// Registers a standard stream. Files and `/dev/null` refuse epoll (`EPERM`): they are always ready and never answer
/// `WouldBlock`, so no edge is ever owed.
pub(super) fn register(stream: &impl AsRawFd, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
    match SourceFd(&stream.as_raw_fd()).register(registry, token, interest) {
        Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => Ok(()),
        result => result,
    }
}
