//! The folder for the Unix sockets of servers: private, removed at the end, and at the next start where there was no
//! end.

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;
use std::time::Duration;

use tempfile::TempDir;

/// What its name begins with.
const PREFIX: &str = "cooee-compare-";

/// A younger folder may have an owner that has not locked it yet.
const OLD: Duration = Duration::from_secs(60);

/// A folder that only this user can enter. Dropping it removes it; a process that is killed leaves it, and the next one
/// removes it.
#[derive(Debug)]
pub(crate) struct SocketFolder {
    folder: TempDir,
    /// Locked as long as its owner lives (`flock(2)`): the kernel unlocks it however that ends.
    _lock: File,
}

impl SocketFolder {
    /// Makes one in `parent`, and removes those there whose owners are gone.
    pub(crate) fn new(parent: &Path) -> io::Result<SocketFolder> {
        let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
        let lock = File::open(folder.path())?;
        sweep(parent, lock.metadata()?.uid());
        match lock.try_lock() {
            // A file system without locks has none to sweep by either.
            Ok(()) | Err(TryLockError::Error(_)) => Ok(SocketFolder { folder, _lock: lock }),
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::ResourceBusy.into()),
        }
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }
}

/// Removes what was left in `parent` by processes of this user that were killed. What cannot be removed stays, which
/// does no harm.
fn sweep(parent: &Path, user: u32) {
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        if entry.file_name().to_string_lossy().starts_with(PREFIX) {
            let _ = remove_left(&entry.path(), user);
        }
    }
}

/// Removes a folder whose owner is gone, with the sockets in it. A folder that holds anything else was not left by this
/// program, and stays.
fn remove_left(folder: &Path, user: u32) -> io::Result<()> {
    let metadata = folder.symlink_metadata()?;
    let is_old = metadata.modified()?.elapsed().is_ok_and(|age| age >= OLD);
    if !metadata.is_dir() || metadata.uid() != user || !is_old {
        return Ok(());
    }
    let lock = File::open(folder)?;
    if lock.try_lock().is_err() {
        return Ok(());
    }
    let entries = fs::read_dir(folder)?.collect::<io::Result<Vec<_>>>()?;
    if entries.iter().all(|entry| entry.file_type().is_ok_and(|kind| kind.is_socket())) {
        entries.iter().try_for_each(|entry| fs::remove_file(entry.path()))?;
        fs::remove_dir(folder)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs::FileTimes;
    use std::os::unix::net::UnixListener;
    use std::path::PathBuf;
    use std::time::SystemTime;

    use super::*;

    /// A folder as one is left that was made long ago, with these files in it and a socket.
    fn left(parent: &Path, name: &str, files: &[&str]) -> PathBuf {
        let folder = parent.join(format!("{PREFIX}{name}"));
        fs::create_dir(&folder).unwrap();
        UnixListener::bind(folder.join("1.sock")).unwrap();
        files.iter().for_each(|file| fs::write(folder.join(file), "").unwrap());
        make_old(&folder);
        folder
    }

    fn make_old(folder: &Path) {
        let long_ago = SystemTime::now() - 2 * OLD;
        File::open(folder).unwrap().set_times(FileTimes::new().set_modified(long_ago)).unwrap();
    }

    #[test]
    fn what_a_killed_process_has_left_is_removed_at_the_next_start_and_nothing_else() {
        let parent = tempfile::tempdir().unwrap();
        let dead = left(parent.path(), "dead", &[]);
        let notes = left(parent.path(), "notes", &["note"]);
        let young = parent.path().join("cooee-compare-young");
        fs::create_dir(&young).unwrap();
        let living = SocketFolder::new(parent.path()).unwrap();
        make_old(living.path());
        assert!(!dead.exists() && notes.join("note").exists() && young.exists() && living.path().exists());

        let other = SocketFolder::new(parent.path()).unwrap();
        assert!(living.path().exists() && other.path() != living.path(), "its owner lives");
        let path = living.path().to_owned();
        drop(living);
        assert!(!path.exists());
    }
}
