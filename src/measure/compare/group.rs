//! The processes of one server: its process group, whatever its processes have started, and those of them whose parents
//! have ended.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::measure::processes::family::Family;
use crate::measure::processes::process_id::ProcessId;

/// Whether whatever becomes a child of this process from now on, besides the server that it starts, is a process of
/// that server that has lost its parent: where it is a subreaper ([`prctl::set_child_subreaper`]) and has no child yet.
/// (A shell's `exec` may have left it some, and their descendants would come to it too.)
pub(crate) fn adopts_orphans() -> bool {
    prctl::get_child_subreaper() == Ok(true) && Family::children(std::process::id() as i32).is_empty()
}

/// The processes of a server: those of a process group, named by its leader, and their descendants.
///
/// Where this process [adopts orphans](adopts_orphans), a daemon that has left the group belongs to them too: when its
/// parent ends it becomes a child of this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerGroup {
    /// Its leader.
    pub leader: Pid,
    /// The processes of the group and their descendants.
    pub family: Family,
}

impl ServerGroup {
    /// The processes of the server that `leader` leads; `adopts` is whether this process [adopted
    /// orphans](adopts_orphans) before it was started.
    pub(crate) fn new(leader: Pid, adopts: bool) -> ServerGroup {
        let family = if adopts { Family::Adopting(leader) } else { Family::Group(leader) };
        ServerGroup { leader, family }
    }

    /// Those of its family that live.
    pub(crate) fn members(&self) -> Vec<ProcessId> {
        self.family.members()
    }

    /// Sends a signal to the group, and to those of `members` who have left it.
    pub(crate) fn signal(&self, signal: Signal, members: &[ProcessId]) {
        // The group may be empty by now: that is what the signal is for.
        let _: Result<(), Errno> = signal::killpg(self.leader, signal);
        let has_left = |member: &&ProcessId| member.stat().is_some_and(|stat| stat.pgrp != self.leader.as_raw());
        send(signal, members.iter().filter(has_left));
    }

    /// Reaps those that have come to this process and have ended: no other process can. The leader is left.
    pub(crate) fn reap(&self) {
        let Family::Adopting(leader) = self.family else { return };
        // Looking at all that have ended takes milliseconds. The kernel names one, and while it names none there is
        // nothing to do.
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = waitid(Id::All, peek) {
            if pid == leader {
                break;
            }
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// Sends a signal to those of `members` that live.
pub fn send<'a>(signal: Signal, members: impl IntoIterator<Item = &'a ProcessId>) {
    for member in members.into_iter().filter(|member| member.stat().is_some()) {
        let _: Result<(), Errno> = signal::kill(Pid::from_raw(member.id), signal);
    }
}
