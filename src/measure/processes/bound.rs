//! A program that is bound to the process that has started it: it gets SIGTERM when that one ends, however it ends.
//!
//! The kernel sends the signal (`PR_SET_PDEATHSIG(2const)`), so it comes after a SIGKILL too. A process can ask for it
//! only for itself, and what it asked for outlives `execve(2)`. So this program is started first, as a *binder*: it
//! asks, and becomes the other program. The process id stays the same, and so do the environment, the process group,
//! the affinity and the signals that are at their default.
//!
//! The kernel forgets the request where the program is set-user-ID or has capabilities, and what the program starts
//! itself does not inherit it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitCode, Stdio, id};

use nix::libc::EINVAL;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{Pid, getppid};

/// The first argument of a binder. The process id of its parent follows, then the program and its arguments.
const WORD: &str = "start-bound-to";

/// Starts `words`, the program first, bound to this process; `binder` is the file of this program. `set` sets what else
/// belongs to the command; standard input is `/dev/null`. The errors are those of [`Command::spawn`].
///
/// The kernel takes the thread that calls this for the parent: when that thread ends, the program is told to end.
pub fn start(binder: &Path, words: &[String], set: impl FnOnce(&mut Command)) -> io::Result<Child> {
    let (told, teller) = io::pipe()?;
    let mut command = Command::new(binder);
    command.arg(WORD).arg(id().to_string()).args(words).stdin(teller);
    set(&mut command);
    let mut child = command.spawn()?;
    // It holds the end that is written to: the other one would never end.
    drop(command);
    match failure(told) {
        None => Ok(child),
        Some(error) => {
            let _ = child.wait();
            Err(error)
        }
    }
}

/// Why the binder could not become the program; none once it has.
fn failure(mut told: PipeReader) -> Option<io::Error> {
    let mut number = [0; size_of::<i32>()];
    // The pipe ends when it is closed on exec. It also ends if the binder was killed, which is an end like a server's
    // own.
    told.read_exact(&mut number).ok().map(|()| io::Error::from_raw_os_error(i32::from_ne_bytes(number)))
}

/// A binder that is to become another program.
#[derive(Debug)]
pub(crate) struct Binder {
    parent: Pid,
    words: Vec<OsString>,
}

impl Binder {
    /// What the arguments of this program ask for, where they are a binder's.
    pub(crate) fn of(arguments: impl IntoIterator<Item = OsString>) -> Option<Binder> {
        let mut arguments = arguments.into_iter().skip(1);
        arguments.next().filter(|word| word == WORD)?;
        let parent = arguments.next()?.to_str()?.parse().ok()?;
        let words: Vec<OsString> = arguments.collect();
        (!words.is_empty()).then_some(Binder { parent: Pid::from_raw(parent), words })
    }

    /// Becomes the program. It returns where it cannot, or where the parent has ended before it could be bound to it.
    pub(crate) fn become_program(&self) -> ExitCode {
        let Ok(teller) = io::stdin().as_fd().try_clone_to_owned() else { return ExitCode::FAILURE };
        // Where the system does not allow it (seccomp(2)), the server is measured all the same.
        let _ = set_pdeathsig(Signal::SIGTERM);
        if getppid() == self.parent {
            let error = Command::new(&self.words[0]).args(&self.words[1..]).stdin(Stdio::null()).exec();
            let _ = File::from(teller).write_all(&error.raw_os_error().unwrap_or(EINVAL).to_ne_bytes());
        }
        ExitCode::FAILURE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Option<Binder> {
        Binder::of(words.iter().map(OsString::from))
    }

    #[test]
    fn only_a_binders_arguments_are_taken() {
        for words in [
            &["cooee"][..],
            &["cooee", "serve", "1"],
            &["cooee", WORD],
            &["cooee", WORD, "1"],
            &["cooee", WORD, "parent", "true"],
        ] {
            assert!(of(words).is_none(), "{words:?}");
        }
        let binder = of(&["cooee", WORD, "17", "server", "--help"]).unwrap();
        assert_eq!(
            (binder.parent, &binder.words[..]),
            (Pid::from_raw(17), &["server", "--help"].map(OsString::from)[..])
        );
    }

    #[test]
    fn one_whose_parent_is_gone_starts_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let marker = folder.path().join("started");
        // Process 0 is nobody's parent that can be seen.
        let binder = of(&["cooee", WORD, "-1", "touch", marker.to_str().unwrap()]).unwrap();
        assert_ne!(getppid(), binder.parent);
        assert_eq!(format!("{:?}", binder.become_program()), format!("{:?}", ExitCode::FAILURE));
        assert!(!marker.exists());
    }
}
