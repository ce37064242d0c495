//! Processes that belong together: some of them, and all that they have started.

use nix::unistd::Pid;
use procfs::process::{Stat, all_processes};

use crate::processes::member::Member;

/// Processes that belong together, with their descendants wherever they went. One whose parent has ended and who has left (a daemon)
/// cannot be told from a stranger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// A process group, named by its leader.
    Group(Pid),
    /// These.
    Of(Vec<Member>),
}

impl Family {
    /// Those that live now. This process is never among them.
    pub fn members(&self) -> Vec<Member> {
        let Ok(processes) = all_processes() else { return Vec::new() };
        let own = std::process::id() as i32;
        let stats = processes.flatten().filter(|process| process.pid != own).filter_map(|process| process.stat().ok());
        let stats: Vec<Stat> = stats.collect();
        let mut found: Vec<&Stat> = stats.iter().filter(|stat| self.begins_with(stat)).collect();
        let mut next = 0;
        while let Some(parent) = found.get(next).map(|stat| stat.pid) {
            next += 1;
            let children = stats.iter().filter(|stat| stat.ppid == parent);
            let new: Vec<&Stat> = children.filter(|child| !found.iter().any(|known| known.pid == child.pid)).collect();
            found.extend(new);
        }
        found.into_iter().filter(|stat| !matches!(stat.state, 'Z' | 'X')).map(Member::of).collect()
    }

    fn begins_with(&self, stat: &Stat) -> bool {
        match self {
            Family::Group(leader) => stat.pgrp == leader.as_raw(),
            Family::Of(members) => members.contains(&Member::of(stat)),
        }
    }
}
