//! What a server uses: CPU time and memory, of all its processes together.
//!
//! The kernel tells CPU time in two ways. `stat` counts all that a process, its ended threads and its reaped children
//! have used, but in ticks (10 ms); `task/*/schedstat` counts nanoseconds, but of the threads that live. So both are
//! read: where they agree within the resolution of the ticks, no thread or child with anything to its name is missing,
//! and the fine one is taken; else the ticks are.

use std::time::{Duration, Instant};

use procfs::process::{Process, Stat};

use crate::measure::processes::process_id::ProcessId;

/// How much CPU time some processes had used at a moment.
#[derive(Clone, Copy, Debug)]
pub struct CpuReading {
    at: Instant,
    processes: u64,
    /// User and system time in ticks, with reaped children.
    ticks: u64,
    /// Nanoseconds of the threads that live.
    threads: u64,
}

/// CPU time that was used within a time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CpuUse {
    /// User and system time.
    pub cpu: Duration,
    /// The time that passed.
    pub wall: Duration,
}

impl CpuReading {
    /// Reads what `members` have used. It costs about as much as three messages a thread: it is made while load runs.
    pub fn of(members: &[ProcessId]) -> CpuReading {
        let mut reading = CpuReading { at: Instant::now(), processes: 0, ticks: 0, threads: 0 };
        for member in members {
            let Ok(process) = Process::new(member.id) else { continue };
            let Some(stat) = process.stat().ok().filter(|stat| stat.starttime == member.start) else { continue };
            let threads = process.tasks().into_iter().flatten().flatten().filter_map(|task| task.schedstat().ok());
            reading.threads += threads.map(|sched| sched.sum_exec_runtime).sum::<u64>();
            reading.ticks += used(&stat);
            reading.processes += 1;
        }
        reading
    }

    /// Whether none of the processes could be read: they have ended, or this process has no descriptor left to look
    /// with.
    pub fn is_empty(&self) -> bool {
        self.processes == 0
    }

    /// What was used between an `earlier` reading and this one. A process that is new here began in between. What has
    /// vanished took its part with it (a reaped child's is then in its parent's).
    pub fn since(&self, earlier: &CpuReading) -> CpuUse {
        let tick = 1_000_000_000 / procfs::ticks_per_second().max(1);
        let ticks = self.ticks.saturating_sub(earlier.ticks).saturating_mul(tick);
        let fine = self.threads.saturating_sub(earlier.threads);
        // User time and system time are each rounded down, at both ends.
        let resolution = 2 * tick * self.processes.max(1);
        let nanoseconds = if ticks.abs_diff(fine) <= resolution { fine } else { ticks };
        CpuUse { cpu: Duration::from_nanos(nanoseconds), wall: self.at.duration_since(earlier.at) }
    }
}

impl CpuUse {
    /// The share of a core: more than 1 where several were used.
    pub fn share(&self) -> f64 {
        self.cpu.as_secs_f64() / self.wall.as_secs_f64().max(1e-9)
    }
}

fn used(stat: &Stat) -> u64 {
    let children = stat.cutime.max(0) as u64 + stat.cstime.max(0) as u64;
    stat.utime + stat.stime + children
}

/// The memory that `members` have, in bytes: their proportional set size, in which a page that several of them share
/// counts once, without the pages of files: of those a process has more or less as other programs with the same
/// libraries come and go. Where the kernel does not tell it (`proc_pid_smaps(5)`), their resident set size. `None` if
/// it tells neither. The kernel's own memory, for sockets, is in none of them.
pub fn memory(members: &[ProcessId]) -> Option<u64> {
    let sizes: Vec<u64> = members.iter().filter_map(|member| size(*member)).collect();
    if sizes.is_empty() { None } else { Some(sizes.into_iter().sum()) }
}

fn size(member: ProcessId) -> Option<u64> {
    let process = Process::new(member.id).ok()?;
    let resident = || process.statm().ok().map(|sizes| sizes.resident * procfs::page_size());
    let rollup = process.smaps_rollup().ok();
    let proportional = rollup.and_then(|maps| {
        let sizes = &maps.memory_map_rollup.0.first()?.extension.map;
        Some(sizes.get("Pss_Anon")? + sizes.get("Pss_Shmem")?)
    });
    proportional.or_else(resident)
}

#[cfg(test)]
mod tests {
    use procfs::FromRead;

    use super::*;

    const TICK: u64 = 10_000_000;

    /// A reading of one process that has used so many ticks, with these threads.
    fn reading(at: Instant, ticks: u64, threads: &[u64]) -> CpuReading {
        CpuReading { at, processes: 1, ticks, threads: threads.iter().sum() }
    }

    #[test]
    fn the_fine_count_is_taken_where_nothing_is_missing() {
        let start = Instant::now();
        let end = start + Duration::from_secs(1);
        let use_of = |ticks, threads: &[u64]| reading(end, ticks, threads).since(&reading(start, 100, &[5, 0]));
        let used = use_of(150, &[400_000_005, 103_000_000]);
        assert_eq!(used, CpuUse { cpu: Duration::from_nanos(503_000_000), wall: Duration::from_secs(1) });
        assert!((used.share() - 0.503).abs() < 1e-9);
        // A new thread began in between.
        assert_eq!(use_of(150, &[5, 0, 500_000_000]).cpu, Duration::from_millis(500));
        // Threads, or children, came and went: half a second is missing.
        assert_eq!(use_of(200, &[500_000_005, 0]).cpu, Duration::from_secs(1));
        assert_eq!(use_of(102, &[2 * TICK]).cpu.as_millis(), 19);
    }

    #[test]
    fn what_ended_children_have_used_is_their_parents() {
        // `proc_pid_stat(5)`: utime, stime, cutime and cstime are the 14th field and those behind it.
        let line = |fields: &str| format!("1 (server) S 1 1 1 0 -1 0 0 0 0 0 {fields} 20 0 1 0 1 {}", "0 ".repeat(30));
        let used_of = |fields| used(&Stat::from_read(line(fields).as_bytes()).unwrap());
        assert_eq!(used_of("1 2 4 8"), 15);
        assert_eq!(used_of("1 2 -4 -8"), 3, "what the kernel cannot tell is nothing");
    }

    #[test]
    fn two_ticks_a_process_are_the_resolution() {
        let start = Instant::now();
        let of = |processes, ticks: u64, threads| {
            let at = start + Duration::from_secs(ticks.min(1));
            CpuReading { at, processes, ticks, threads }
        };
        let used = |processes, ticks| {
            let used = of(processes, ticks, TICK).since(&of(processes, 0, 0)).cpu;
            used.as_nanos() as u64 / TICK
        };
        assert_eq!((used(1, 3), used(1, 4)), (1, 4));
        assert_eq!((used(2, 5), used(2, 6)), (1, 6));
    }

    #[test]
    fn a_share_is_of_the_time_that_passed() {
        let used = CpuUse { cpu: Duration::from_secs(3), wall: Duration::from_secs(2) };
        assert!((used.share() - 1.5).abs() < 1e-9);
    }

    #[test]
    fn memory_is_the_processs_own_and_what_it_shares() {
        let script = "import mmap, sys\nheld = b'x' * (16 << 20)\nshared = mmap.mmap(-1, 8 << 20)\nshared.write(b'x' * (8 << 20))\n\
                      print(flush=True)\nsys.stdin.read()";
        let python = std::process::Command::new("python3")
            .args(["-c", script])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn();
        let Ok(mut python) = python else { return crate::skips::skip("python3 is missing") };
        std::io::Read::read_exact(python.stdout.as_mut().unwrap(), &mut [0]).unwrap();
        let stat = Process::new(python.id() as i32).unwrap().stat().unwrap();
        let held = memory(&[ProcessId::of(&stat)]).unwrap() >> 20;
        assert!((24..64).contains(&held), "{held} MiB");
        drop(python.stdin.take());
        python.wait().unwrap();
    }

    #[test]
    fn nothing_is_read_of_whoever_has_ended() {
        let gone = ProcessId { id: std::process::id() as i32, start: 1 };
        assert!(CpuReading::of(&[gone]).is_empty());
        assert_eq!(memory(&[]), None);
    }

    #[test]
    fn what_this_process_burns_is_counted() {
        let stat = Process::myself().unwrap().stat().unwrap();
        let this = ProcessId { id: stat.pid, start: stat.starttime };
        let before = CpuReading::of(&[this]);
        let start = Instant::now();
        while before.threads + 50_000_000 > CpuReading::of(&[this]).threads {
            assert!(start.elapsed() < Duration::from_secs(20), "50 ms of work are not counted");
        }
        let used = CpuReading::of(&[this]).since(&before);
        assert!(used.cpu >= Duration::from_millis(20), "{used:?}");
        let before = memory(&[this]).unwrap();
        let held = vec![1u8; 8 << 20];
        let after = memory(&[this]).unwrap();
        // Other tests of this process give memory back at the same time.
        assert!(after > before.saturating_sub(4 << 20) && held.len() == 8 << 20, "{before} and then {after}");
    }
}
