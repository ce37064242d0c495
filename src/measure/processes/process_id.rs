//! One process, named so that it is not taken for another.

use procfs::process::{Process, Stat};

/// A process that lives: its id, and when it began, so that another one with the same id is not taken for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessId {
    /// Its process id.
    pub id: i32,
    /// When it began, in ticks since the machine did (`proc_pid_stat(5)`, `starttime`).
    pub start: u64,
}

impl ProcessId {
    /// The process that `stat` tells of.
    pub fn of(stat: &Stat) -> ProcessId {
        ProcessId { id: stat.pid, start: stat.starttime }
    }

    /// What the kernel tells of it; `None` if it has ended.
    pub fn stat(self) -> Option<Stat> {
        let stat = Process::new(self.id).ok()?.stat().ok()?;
        (stat.starttime == self.start).then_some(stat)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_process_with_the_same_id_is_not_taken_for_it() {
        let this = ProcessId::of(&Process::myself().unwrap().stat().unwrap());
        assert_eq!(this.stat().map(|stat| stat.pid), Some(this.id));
        assert!(ProcessId { start: this.start + 1, ..this }.stat().is_none());
    }
}
