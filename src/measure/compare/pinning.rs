//! Which processors the server and this program run on.
//!
//! Where they share one, each waits for the other and the figures tell of the scheduler; so each gets a core of its own
//! where there are two. A child inherits the affinity of the thread that starts it (`sched_setaffinity(2)`), so this
//! thread takes the server's for the moment of the start: nothing has to run between fork and exec.

use std::fs;
use std::io;

use nix::sched::{CpuSet, sched_getaffinity, sched_setaffinity};
use nix::unistd::Pid;
use serde::{Deserialize, Serialize};

use crate::os::reason;

/// This thread.
const SELF: Pid = Pid::from_raw(0);

/// The pinning of this thread to the generator's processors, and those of the servers. Dropping it gives the thread its
/// affinity back.
#[derive(Debug)]
pub struct Pinning {
    /// The processors of each.
    pub placement: Placement,
    before: CpuSet,
}

/// The processors of the server and of this program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Placement {
    /// The server's processors.
    pub server: Vec<usize>,
    /// This program's.
    pub generator: Vec<usize>,
}

impl Pinning {
    /// Pins this thread and chooses for servers; `None` if it may run on one processor alone. Lists that are given are
    /// taken, and the error says what is wrong with them.
    pub fn new(server: Option<Vec<usize>>, generator: Option<Vec<usize>>) -> Result<Option<Pinning>, String> {
        let before = sched_getaffinity(SELF)
            .map_err(|error| format!("cannot tell the processors: {}", reason::of(&error.into())))?;
        let allowed: Vec<usize> = (0..CpuSet::count()).filter(|cpu| before.is_set(*cpu) == Ok(true)).collect();
        let Some(placement) = choose(&allowed, server, generator, &siblings)? else { return Ok(None) };
        let pinning = Pinning { placement, before };
        pinning
            .go_to(&pinning.placement.generator)
            .map_err(|error| format!("cannot pin this program: {}", reason::of(&error)))?;
        Ok(Some(pinning))
    }

    /// Calls `start`, whose child runs on the server's processors.
    pub(crate) fn start_server<T>(&self, start: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        self.go_to(&self.placement.server)?;
        let started = start();
        self.go_to(&self.placement.generator)?;
        started
    }

    fn go_to(&self, cpus: &[usize]) -> io::Result<()> {
        let mut set = CpuSet::new();
        cpus.iter().try_for_each(|cpu| set.set(*cpu))?;
        Ok(sched_setaffinity(SELF, &set)?)
    }
}

impl Drop for Pinning {
    fn drop(&mut self) {
        // If it is refused, this thread stays on its processors, which does no harm.
        let _ = sched_setaffinity(SELF, &self.before);
    }
}

/// The processors that share a core with `cpu`, itself included.
fn siblings(cpu: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list");
    fs::read_to_string(path).ok().and_then(|text| parse_list(text.trim()).ok()).unwrap_or_else(|| vec![cpu])
}

/// What is not given is chosen: one processor, the server's from the front and the generator's from the back, and of
/// another core where there is one. The first is often the busiest with interrupts, but it is the same for every
/// server.
fn choose(
    allowed: &[usize],
    server: Option<Vec<usize>>,
    generator: Option<Vec<usize>>,
    siblings: &dyn Fn(usize) -> Vec<usize>,
) -> Result<Option<Placement>, String> {
    for (flag, list) in [("--server-cpus", &server), ("--generator-cpus", &generator)] {
        if let Some(cpu) = list.iter().flatten().find(|cpu| !allowed.contains(cpu)) {
            return Err(format!("{flag}: this program may not run on processor {cpu}"));
        }
    }
    if let (Some(server), Some(generator)) = (&server, &generator)
        && let Some(cpu) = server.iter().find(|cpu| generator.contains(cpu))
    {
        return Err(format!("--server-cpus, --generator-cpus: both have processor {cpu}"));
    }
    let apart = |taken: &[usize], from: &mut dyn Iterator<Item = usize>| {
        let free: Vec<usize> = from.filter(|cpu| !taken.contains(cpu)).collect();
        let neighbours: Vec<usize> = taken.iter().flat_map(|cpu| siblings(*cpu)).collect();
        free.iter().find(|cpu| !neighbours.contains(cpu)).or(free.first()).map(|cpu| vec![*cpu])
    };
    let is_given = server.is_some() || generator.is_some();
    let server = server
        .or_else(|| apart(generator.as_deref().unwrap_or(&[]), &mut allowed.iter().copied()))
        .ok_or("--generator-cpus: no processor is left for the server")?;
    let Some(generator) = generator.or_else(|| apart(&server, &mut allowed.iter().rev().copied())) else {
        return if is_given {
            Err("--server-cpus: no processor is left for the generator".to_owned())
        } else {
            Ok(None)
        };
    };
    Ok(Some(Placement { server, generator }))
}

/// A list of processors as the kernel writes it: `0,2-3`. The error says what is right.
pub(crate) fn parse_list(text: &str) -> Result<Vec<usize>, String> {
    let form = || "a list of processors is 0, 0,2 or 0-3".to_owned();
    let mut list = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().map_err(|_| form())?, last.parse().map_err(|_| form())?);
        if first > last || last >= CpuSet::count() {
            return Err(form());
        }
        list.extend(first..=last);
    }
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alone(cpu: usize) -> Vec<usize> {
        vec![cpu]
    }

    /// Processors 0 and 1 share a core, and so do 2 and 3.
    fn paired(cpu: usize) -> Vec<usize> {
        vec![cpu & !1, cpu | 1]
    }

    #[test]
    fn each_gets_a_core_of_its_own_where_there_are_two() {
        assert_eq!(choose(&[0, 1], None, None, &alone), Ok(Some(Placement { server: vec![0], generator: vec![1] })));
        assert_eq!(
            choose(&[2, 3, 4], None, None, &paired),
            Ok(Some(Placement { server: vec![2], generator: vec![4] }))
        );
        assert_eq!(
            choose(&[0, 1, 2], Some(vec![2]), None, &paired),
            Ok(Some(Placement { server: vec![2], generator: vec![1] }))
        );
        assert_eq!(
            choose(&[0, 1], None, None, &paired),
            Ok(Some(Placement { server: vec![0], generator: vec![1] })),
            "half a core is better than none"
        );
        assert_eq!(choose(&[5], None, None, &alone), Ok(None));
    }

    #[test]
    fn lists_that_are_given_are_taken_where_they_can_be() {
        let allowed = [0, 1, 2, 3];
        assert_eq!(
            choose(&allowed, Some(vec![0, 1]), None, &alone),
            Ok(Some(Placement { server: vec![0, 1], generator: vec![3] }))
        );
        assert_eq!(
            choose(&allowed, None, Some(vec![0]), &alone),
            Ok(Some(Placement { server: vec![1], generator: vec![0] }))
        );
        assert!(choose(&allowed, Some(vec![4]), None, &alone).unwrap_err().contains("processor 4"));
        assert!(choose(&allowed, Some(vec![1]), Some(vec![1, 2]), &alone).unwrap_err().contains("both have"));
        assert!(choose(&allowed, Some(allowed.to_vec()), None, &alone).unwrap_err().contains("no processor is left"));
        assert!(choose(&allowed, None, Some(allowed.to_vec()), &alone).unwrap_err().contains("no processor is left"));
    }

    #[test]
    fn a_list_is_written_as_the_kernel_writes_it() {
        assert_eq!(parse_list("0,2-4,3"), Ok(vec![0, 2, 3, 4]));
        for bad in ["", "a", "3-1", "0,", "-1", "0-99999999"] {
            assert!(parse_list(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn this_thread_is_pinned_and_freed_again() {
        let before = sched_getaffinity(SELF).unwrap();
        let Some(pinning) = Pinning::new(None, None).unwrap() else { return };
        let is_pinned_to = |cpu: usize| {
            let set = sched_getaffinity(SELF).unwrap();
            (0..CpuSet::count()).all(|other| set.is_set(other).unwrap() == (other == cpu))
        };
        assert!(is_pinned_to(pinning.placement.generator[0]));
        assert!(pinning.start_server(|| Ok(is_pinned_to(pinning.placement.server[0]))).unwrap());
        assert!(is_pinned_to(pinning.placement.generator[0]));
        drop(pinning);
        assert_eq!(sched_getaffinity(SELF).unwrap(), before);
    }
    #[test]
    fn the_kernel_says_who_shares_a_core() {
        let allowed = sched_getaffinity(SELF).unwrap();
        let mut allowed = (0..CpuSet::count()).filter(|cpu| allowed.is_set(*cpu) == Ok(true));
        let cpu = allowed.next().unwrap();
        assert!(siblings(cpu).contains(&cpu));
        assert_eq!(siblings(100_000), [100_000], "where it does not");
        let pinning = Pinning::new(None, None).unwrap();
        assert_eq!(pinning.is_some(), allowed.next().is_some(), "each gets one where there are two");
    }
}
