//! The processes of one server: its process group, whatever its processes have started, and those of them whose parents have ended.

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid, waitpid};
use nix::unistd::Pid;

use crate::processes::family::Family;
use crate::processes::member::Member;

/// The processes that this process is the parent of.
pub fn own_children() -> Vec<Member> {
    Family::children(std::process::id() as i32)
}

/// The processes of a server: those of a process group, named by its leader, and their descendants.
///
/// Where this process is a subreaper ([`prctl::set_child_subreaper`]), a daemon that has left the group belongs to them too: when its parent
/// ends it becomes a child of this process. Every child that came since the server was started is taken for such a one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    leader: Pid,
    family: Family,
}

impl Group {
    /// The processes of the server that `leader` leads, where this process had the children `strangers` before.
    pub fn new(leader: Pid, strangers: Vec<Member>) -> Group {
        let adopts = prctl::get_child_subreaper() == Ok(true);
        let family = if adopts { Family::Adopting { leader, strangers } } else { Family::Group(leader) };
        Group { leader, family }
    }

    /// Its leader.
    pub fn leader(&self) -> Pid {
        self.leader
    }

    /// The processes of the group and their descendants.
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// Those of its family that live.
    pub fn members(&self) -> Vec<Member> {
        self.family.members()
    }

    /// Sends a signal to the group, and to those of `members` who have left it.
    pub fn signal(&self, signal: Signal, members: &[Member]) {
        // The group may be empty by now: that is what the signal is for.
        let _: Result<(), Errno> = signal::killpg(self.leader, signal);
        let has_left = |member: &&Member| member.stat().is_some_and(|stat| stat.pgrp != self.leader.as_raw());
        send(signal, members.iter().filter(has_left));
    }

    /// Reaps those that have come to this process and have ended: nobody else can. The leader, and who was a child before, are left.
    pub fn reap(&self) {
        let Family::Adopting { leader, strangers } = &self.family else { return };
        let is_other = |pid: Pid| pid == *leader || strangers.iter().any(|stranger| stranger.id == pid.as_raw());
        // Looking at all that have ended takes milliseconds. The kernel names one, and while it names none there is nothing to do.
        let peek = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        while let Ok(WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..)) = waitid(Id::All, peek) {
            if is_other(pid) {
                break;
            }
            let _ = waitpid(pid, Some(WaitPidFlag::WNOHANG));
        }
    }
}

/// Sends a signal to those of `members` that live.
pub fn send<'a>(signal: Signal, members: impl IntoIterator<Item = &'a Member>) {
    for member in members.into_iter().filter(|member| member.stat().is_some()) {
        let _: Result<(), Errno> = signal::kill(Pid::from_raw(member.id), signal);
    }
}
