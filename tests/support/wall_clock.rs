//! A wall clock that jumps under one process alone: libfaketime, which answers `clock_gettime(2)` in the kernel's
//! place.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use super::skip;

/// What a process believes of the time of day. The monotonic clock is left alone, as a jump of the real one leaves it.
pub struct WallClock {
    library: PathBuf,
    folder: TempDir,
}

impl WallClock {
    /// One that is right until it jumps. None, with a word about it, where libfaketime is not installed.
    pub fn new() -> Option<WallClock> {
        let Some(library) = find_library() else {
            skip("libfaketime is not installed");
            return None;
        };
        let clock = WallClock { library, folder: tempfile::tempdir().expect("a folder") };
        clock.jump("+0s");
        Some(clock)
    }

    /// The same command, which believes this clock.
    pub fn under(&self, command: &Command) -> Command {
        let mut believing = Command::new(command.get_program());
        believing.args(command.get_args()).env_remove("RUST_LOG");
        believing.env("LD_PRELOAD", &self.library).env("FAKETIME_TIMESTAMP_FILE", self.file());
        // Else it would look at the file every ten seconds.
        believing.env("FAKETIME_NO_CACHE", "1").env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        believing
    }

    /// Jumps to so far from the right time, such as `-10y`.
    pub fn jump(&self, offset: &str) {
        // A reader sees the old offset or the new one, and no half of it.
        let next = self.folder.path().join("next");
        fs::write(&next, offset).expect("the offset can be written");
        fs::rename(next, self.file()).expect("the offset can be put in place");
    }

    fn file(&self) -> PathBuf {
        self.folder.path().join("offset")
    }
}

fn find_library() -> Option<PathBuf> {
    const NAME: &str = "faketime/libfaketimeMT.so.1";
    let folders = fs::read_dir("/usr/lib").into_iter().flatten().flatten().map(|entry| entry.path());
    let places = folders.chain(["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(|folder| Path::new(folder).to_owned()));
    places.map(|folder| folder.join(NAME)).find(|library| library.exists())
}
