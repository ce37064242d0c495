//! Processes that belong together: some of them, and all that they have started.

use nix::unistd::Pid;
use procfs::process::{Stat, all_processes};

use crate::measure::processes::process_id::ProcessId;

/// Processes that belong together, with their descendants wherever they went. One whose parent has ended and who has
/// left (a daemon) cannot be told from a stranger, unless it has come to this process ([`Family::Adopting`]).
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Family {
    /// A process group, named by its leader.
    Group(Pid),
    /// The same, and all children of this process. Where it is a subreaper (`PR_SET_CHILD_SUBREAPER(2const)`), those of
    /// its descendants whose parents end become its children.
    Adopting(Pid),
    /// These.
    Of(Vec<ProcessId>),
}

impl Family {
    /// Those that live now. This process is never among them.
    pub(crate) fn members(&self) -> Vec<ProcessId> {
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
        found.into_iter().filter(|stat| !matches!(stat.state, 'Z' | 'X')).map(ProcessId::of).collect()
    }

    /// The children of a process, those that have ended and are not reaped included.
    pub(crate) fn children(parent: i32) -> Vec<ProcessId> {
        let stats = all_processes().into_iter().flatten().flatten().filter_map(|process| process.stat().ok());
        stats.filter(|stat| stat.ppid == parent).map(|stat| ProcessId::of(&stat)).collect()
    }

    fn begins_with(&self, stat: &Stat) -> bool {
        match self {
            Family::Group(leader) => stat.pgrp == leader.as_raw(),
            Family::Adopting(leader) => stat.pgrp == leader.as_raw() || stat.ppid == std::process::id() as i32,
            Family::Of(members) => members.contains(&ProcessId::of(stat)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::thread;
    use std::time::{Duration, Instant};

    use procfs::process::Process;

    use super::*;

    #[test]
    fn whoever_was_started_belongs_to_it_even_in_a_group_of_its_own() {
        // All end by themselves when the pipe closes.
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec 3<&0; setsid sh -c 'read line' <&3 & sh -c 'read line' <&3 & wait"]);
        let mut shell = shell.stdin(Stdio::piped()).process_group(0).spawn().unwrap();
        let leader = ProcessId::of(&Process::new(shell.id() as i32).unwrap().stat().unwrap());
        let own = std::process::id() as i32;
        for family in [Family::Of(vec![leader]), Family::Group(Pid::from_raw(leader.id))] {
            let start = Instant::now();
            while family.members().len() != 3 {
                assert!(start.elapsed() < Duration::from_secs(20), "{:?}", family.members());
                thread::sleep(Duration::from_millis(5));
            }
            assert!(family.members().contains(&leader) && family.members().iter().all(|member| member.id != own));
        }
        drop(shell.stdin.take());
        shell.wait().unwrap();
        assert_eq!(Family::Of(vec![leader]).members(), []);
    }
}
