//! The processes of one server: its process group, and whatever its processes have started.

use nix::errno::Errno;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use procfs::process::{Process, Stat, all_processes};

/// A process that lives: its id, and when it began, so that another one with the same id is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Member {
    /// Its process id.
    pub id: i32,
    /// When it began, in ticks since the machine did (`proc_pid_stat(5)`, `starttime`).
    pub start: u64,
}

/// The process group of a server, named by its leader.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Group(pub Pid);

impl Group {
    /// The living processes of the group, and their descendants wherever they went. One that has left the group and whose parent has ended
    /// (a daemon) cannot be told from a stranger.
    pub fn members(self) -> Vec<Member> {
        let Ok(processes) = all_processes() else { return Vec::new() };
        let stats: Vec<Stat> = processes.flatten().filter_map(|process| process.stat().ok()).collect();
        let mut found: Vec<&Stat> = stats.iter().filter(|stat| stat.pgrp == self.0.as_raw()).collect();
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|stat| stat.pid) {
            next += 1;
            let children = stats.iter().filter(|stat| stat.ppid == parent);
            let new: Vec<&Stat> = children.filter(|child| !found.iter().any(|known| known.pid == child.pid)).collect();
            found.extend(new);
        }
        let alive = found.into_iter().filter(|stat| !matches!(stat.state, 'Z' | 'X'));
        alive.map(|stat| Member { id: stat.pid, start: stat.starttime }).collect()
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

impl Member {
    /// What the kernel tells of it; none where it has ended.
    pub fn stat(self) -> Option<Stat> {
        let stat = Process::new(self.id).ok()?.stat().ok()?;
        (stat.starttime == self.start).then_some(stat)
    }
}
