//! Standard input and standard output as streams that never block the loop.
//!
//! `O_NONBLOCK` belongs to the open file, which the user's shell shares: setting it on an inherited descriptor changes the
//! shell. So the descriptors stay blocking, and `poll(2)` with timeout 0 is asked before each call.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token, event};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

/// The most that one write to standard output takes. POSIX promises that a pipe which is ready takes `PIPE_BUF` bytes at
/// once; one more byte could block.
const PIPE_BUF: usize = 4096;

/// Standard input.
#[derive(Debug, Default)]
pub struct StandardInput(());

/// Standard output.
#[derive(Debug, Default)]
pub struct StandardOutput(());

impl StandardInput {
    /// Reads what is there (`read(2)`), or answers `WouldBlock`.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let input = io::stdin();
        ask(input.as_fd(), PollFlags::POLLIN)?;
        Ok(unistd::read(input, buffer)?)
    }
}

impl StandardOutput {
    /// Writes at most [`PIPE_BUF`] bytes (`write(2)`), or answers `WouldBlock`.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let output = io::stdout();
        ask(output.as_fd(), PollFlags::POLLOUT)?;
        Ok(unistd::write(output, &bytes[..bytes.len().min(PIPE_BUF)])?)
    }
}

/// Whether standard error takes a line at once, and somebody may still read it. A terminal that was stopped (^S) does not.
pub fn stderr_is_ready() -> bool {
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

/// Files and `/dev/null` refuse epoll (`EPERM`): they are always ready and never answer `WouldBlock`, so no edge is ever owed.
fn allow_files(registered: io::Result<()>) -> io::Result<()> {
    match registered {
        Err(error) if error.raw_os_error() == Some(Errno::EPERM as i32) => Ok(()),
        result => result,
    }
}

macro_rules! standard_source {
    ($stream:ty, $descriptor:expr) => {
        impl event::Source for $stream {
            fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
                allow_files(SourceFd(&$descriptor.as_raw_fd()).register(registry, token, interest))
            }

            fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
                allow_files(SourceFd(&$descriptor.as_raw_fd()).reregister(registry, token, interest))
            }

            fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
                SourceFd(&$descriptor.as_raw_fd()).deregister(registry)
            }
        }
    };
}

standard_source!(StandardInput, io::stdin());
standard_source!(StandardOutput, io::stdout());
