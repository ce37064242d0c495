//! The path of a Unix socket: taken over only from the dead, removed only while it is still ours.

#[cfg(target_os = "linux")]
use std::fs::File;
use std::fs::{self, Metadata, Permissions};
use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};

#[cfg(target_os = "linux")]
use nix::fcntl::{OFlag, open};
#[cfg(target_os = "linux")]
use nix::sys::stat::Mode;
use socket2::{SockAddr, Type};

use crate::os::reason::said;
use crate::os::unix_socket::unix_socket;

/// A path that one of our sockets is bound to. Dropping it removes the file, if that is still the one we made.
#[derive(Debug)]
pub struct UnixPath {
    path: PathBuf,
    device: u64,
    inode: u64,
}

impl UnixPath {
    /// Remembers the file that a bind has just made at `path`.
    pub(crate) fn of_bound(path: &Path) -> io::Result<UnixPath> {
        let file = fs::symlink_metadata(path)?;
        Ok(UnixPath { path: path.to_owned(), device: file.dev(), inode: file.ino() })
    }

    fn is_ours(&self) -> bool {
        fs::symlink_metadata(&self.path).is_ok_and(|file| self.is(&file))
    }

    fn is(&self, file: &Metadata) -> bool {
        file.dev() == self.device && file.ino() == self.inode
    }

    /// Gives the file its owner and group, then its permissions. It is held meanwhile (O_PATH), so that no other file
    /// can be put in its place.
    pub(super) fn give(&self, owner: Option<u32>, group: Option<u32>, mode: u32) -> io::Result<()> {
        #[cfg(target_os = "linux")]
        let (held, path) = {
            let flags = OFlag::O_PATH | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
            let held = File::from(open(&self.path, flags, Mode::empty())?);
            if !self.is(&held.metadata()?) {
                return Err(said(io::ErrorKind::AlreadyExists, "somebody has put another file in its place"));
            }
            let path = PathBuf::from(format!("/proc/self/fd/{}", held.as_raw_fd()));
            (held, path)
        };
        #[cfg(not(target_os = "linux"))]
        let path = self.path.clone();
        chown(&path, owner, group)?;
        fs::set_permissions(&path, Permissions::from_mode(mode))?;
        #[cfg(target_os = "linux")]
        drop(held);
        Ok(())
    }
}

impl Drop for UnixPath {
    fn drop(&mut self) {
        if self.is_ours() {
            // The next start takes a dead socket over.
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Makes room at `path` for a new socket of type `kind`: a socket file on which no one answers is removed, anything
/// else is an error.
pub fn make_room(path: &Path, kind: Type) -> io::Result<()> {
    let file = match fs::symlink_metadata(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    if !file.file_type().is_socket() {
        let words = "a file that is not a socket is there; it is left alone (remove it, or choose another path)";
        return Err(said(io::ErrorKind::AlreadyExists, words));
    }
    // A server with a full backlog would let a blocking probe wait.
    match unix_socket(kind)?.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Err(said(
            error.kind(),
            "a Unix socket is there to which this user may not connect, so nobody can tell whether its server lives (choose another path, \
             or remove it)",
        )),
        // It answers, its backlog is full, or it is a socket of another type: the path is in use.
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;
    use std::time::{Duration, Instant};

    use super::*;

    #[test]
    fn a_dead_socket_is_taken_over_and_a_living_one_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let living = UnixListener::bind(&path).unwrap();
        assert_eq!(make_room(&path, Type::STREAM).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(living);
        // A child process of another test has a copy of it from its fork to its exec.
        let until = Instant::now() + Duration::from_secs(10);
        while make_room(&path, Type::STREAM).is_err() && Instant::now() < until {
            std::thread::yield_now();
        }
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_a_socket_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("diary");
        fs::write(&path, "dear").unwrap();
        assert!(make_room(&path, Type::STREAM).is_err());
        assert_eq!(fs::read_to_string(&path).unwrap(), "dear");
    }

    #[test]
    fn only_our_own_file_is_removed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let first = UnixListener::bind(&path).unwrap();
        let ours = UnixPath::of_bound(&path).unwrap();
        fs::remove_file(&path).unwrap();
        let _successor = UnixListener::bind(&path).unwrap();
        drop((ours, first));
        assert!(path.exists(), "the successor's socket was removed");

        let ours = UnixPath::of_bound(&path).unwrap();
        drop(ours);
        assert!(!path.exists());
    }
}
