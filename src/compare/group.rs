//! The processes of one server: its process group, and whatever its processes have started.

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use crate::processes::family::Family;
use crate::processes::member::Member;

/// The process group of a server, named by its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(pub Pid);

impl Group {
    /// The processes of the group and their descendants.
    pub fn family(self) -> Family {
        Family::Group(self.0)
    }

    /// Those of its family that live.
    pub fn members(self) -> Vec<Member> {
        self.family().members()
    }

    /// Sends a signal to the group, and to those of `members` who have left it.
    pub fn signal(self, signal: Signal, members: &[Member]) {
        // The group may be empty by now: that is what the signal is for.
        let _: Result<(), Errno> = signal::killpg(self.0, signal);
        for member in members {
            if member.stat().is_some_and(|stat| stat.pgrp != self.0.as_raw()) {
                let _: Result<(), Errno> = signal::kill(Pid::from_raw(member.id), signal);
            }
        }
    }
}
