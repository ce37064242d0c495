//! Who may connect to a Unix socket: the owner, the group and the mode of its file (`unix(7)`: whoever may write to
//! it).

use std::io;
use std::path::Path;

use nix::errno::Errno;
use nix::sys::stat::{Mode, umask};
use socket2::{SockAddr, Socket};

use crate::os::reason::said;
use crate::os::unix_path::UnixPath;

/// What is set of the file of a Unix socket; whatever is none is left as the system makes it: the process's own user
/// and group, and what the umask leaves of 0777.
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

    /// Binds `socket` to `path`, and gives the file its owner, group and mode before anybody can connect: it is made
    /// without any permission, by a umask for the moment of the bind (which is the whole process's, so nothing else may
    /// make files meanwhile). The caller listens afterwards; a datagram socket is open to others with the mode, which
    /// is set last.
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
