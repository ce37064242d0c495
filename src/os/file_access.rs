//! The owner, the group and the mode of a Unix socket's file: who may write to it may connect (`unix(7)`).

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use socket2::{SockAddr, Socket};

use crate::os::reason::said;
use crate::os::unix_path::UnixPath;

/// What is set of the file of a Unix socket. By default: the process's own user and group, and 0777 without the umask.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FileAccess {
    /// The permissions, such as 0o660.
    pub mode: Option<u32>,
    /// The user who owns it.
    pub owner: Option<u32>,
    /// The group that it belongs to.
    pub group: Option<u32>,
}

impl FileAccess {
    /// Whether nothing is set.
    pub fn is_default(&self) -> bool {
        *self == FileAccess::default()
    }

    /// Binds `socket` to `path`, and gives the file its owner, group and mode before a client can connect: it is made
    /// without permissions, by a umask during the bind (which is the process's, so nothing else may make files). The
    /// caller listens afterwards; a datagram socket opens with the mode, which is set last.
    pub(super) fn bind(&self, socket: &Socket, address: &SockAddr, path: &Path) -> io::Result<UnixPath> {
        if self.is_default() {
            socket.bind(address)?;
            return UnixPath::of_bound(path);
        }
        let usual = umask(Mode::from_bits_truncate(0o777));
        let bound = socket.bind(address);
        umask(usual);
        bound?;
        let made = UnixPath::of_bound(path)?;
        let mode = self.mode.unwrap_or(0o777 & !usual.bits());
        made.give(self.owner, self.group, mode).map_err(told)?;
        Ok(made)
    }
}

fn told(error: io::Error) -> io::Error {
    match error.raw_os_error().map(Errno::from_raw) {
        Some(Errno::EPERM) => said(
            error.kind(),
            "its file cannot be given to this file-owner or file-group: root can, and everybody else can choose a group of their own",
        ),
        _ => error,
    }
}
