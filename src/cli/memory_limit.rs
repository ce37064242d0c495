//! How much memory this process may have: the smallest limit that was set for it, and where.
//!
//! Over a limit of its address space a process is refused memory, and a Rust program aborts; over that of its control
//! group it is killed, whatever it was doing (`setrlimit(2)`, `cgroups(7)`). So what is kept for clients stays below
//! the limit.

use std::fmt;
#[cfg(target_os = "linux")]
use std::fs;
#[cfg(target_os = "linux")]
use std::path::Path;

#[cfg(target_os = "linux")]
use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};

#[cfg(target_os = "linux")]
use crate::cli::memory_group;
use crate::measure::load::options::Options;
use crate::reactor::limits::Limits;

/// A quarter of the limit is for queues and a half for connections. The rest is for the program and the allocator.
const QUEUES: usize = 4;
const CONNECTIONS: usize = 2;

/// What a connection may take beside the queues, in bytes: up to 8 KiB beyond their bound, and 1.5 to 5 KiB of the
/// kernel's memory without socket buffers (docs/memory.md tells how that was measured).
const CONNECTION: usize = 10 * 1024;

/// A limit of memory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MemoryLimit {
    /// How many bytes.
    pub(crate) bytes: u64,
    /// Where it was found, in words.
    pub(crate) source: String,
}

impl MemoryLimit {
    /// The smallest limit that holds for this process; `None` if the system reports none.
    #[cfg(target_os = "linux")]
    pub(crate) fn smallest() -> Option<MemoryLimit> {
        let root = Path::new("/");
        let groups = memory_group::limits(root);
        of_process().chain(groups).chain(of_machine(root)).min_by_key(|limit| limit.bytes)
    }

    /// Other systems are not asked.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn smallest() -> Option<MemoryLimit> {
        None
    }

    /// The limit divided by `parts`, in bytes.
    fn part(&self, parts: usize) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX) / parts
    }
}

impl fmt::Display for MemoryLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", mebibytes(self.bytes), self.source)
    }
}

/// The bound on all queues: `wanted`, or the default of [`Limits`], at most a quarter of the smallest memory limit. A
/// limit that matters is logged.
pub(crate) fn queue_limit(limit: Option<&MemoryLimit>, wanted: Option<usize>) -> usize {
    let default = Limits::default().queue_limit;
    let Some(limit) = limit else { return wanted.unwrap_or(default) };
    let fitting = default.min(limit.part(QUEUES));
    match wanted {
        // With half of it, what the allocator keeps beside may reach the whole.
        Some(wanted) if wanted > limit.part(2) => {
            let wanted = mebibytes(wanted as u64);
            log::warn!("--queue-limit {wanted} is more than half of {limit}: full queues could end this server");
        }
        None if fitting < default => {
            let fitting = mebibytes(fitting as u64);
            log::info!("the queue limit is {fitting}: a quarter of {limit}; --queue-limit sets another");
        }
        _ => {}
    }
    wanted.unwrap_or(fitting)
}

/// The connection limit: `wanted`, or as many of the `possible` ones as fit into half of the smallest memory limit.
pub(crate) fn max_connections(limit: Option<&MemoryLimit>, wanted: Option<usize>, possible: usize) -> usize {
    let Some(limit) = limit else { return possible };
    let fitting = limit.part(CONNECTIONS) / CONNECTION;
    match wanted {
        Some(wanted) if wanted > fitting => {
            log::warn!("--max-connections {wanted} is more than the {fitting} for which half of {limit} is enough");
            wanted
        }
        None if fitting < possible => {
            log::info!(
                "at most {fitting} connections: half of {limit} is for them; --max-connections sets another limit"
            );
            fitting.max(1)
        }
        _ => possible,
    }
}

/// Warns if the messages in flight need more than half of the smallest memory limit: what a server does not take is
/// kept here.
pub(crate) fn warn_of_load(limit: Option<&MemoryLimit>, options: &Options) {
    let Some(limit) = limit else { return };
    let messages = options.connections.saturating_mul(options.pipeline);
    let bytes = messages.saturating_mul(options.body.length());
    if bytes > limit.part(2) {
        let bytes = mebibytes(bytes as u64);
        log::warn!("{messages} messages in flight have {bytes}, more than half of {limit}: this program may be ended");
    }
}

/// A size as the flags take it.
fn mebibytes(bytes: u64) -> String {
    format!("{} MiB", (bytes as f64 / 104_857.6).round() / 10.0)
}

/// The limits of this process: address space, and data (`setrlimit(2)`; both count what is reserved, used or not).
#[cfg(target_os = "linux")]
fn of_process() -> impl Iterator<Item = MemoryLimit> {
    let resources = [
        (Resource::RLIMIT_AS, "limit of address space, ulimit -v"),
        (Resource::RLIMIT_DATA, "limit of data, ulimit -d"),
    ];
    resources.into_iter().filter_map(|(resource, source)| match getrlimit(resource) {
        Ok((bytes, _)) if bytes != RLIM_INFINITY => Some(MemoryLimit { bytes, source: source.to_owned() }),
        _ => None,
    })
}

/// The machine's memory (`proc_meminfo(5)`).
#[cfg(target_os = "linux")]
fn of_machine(root: &Path) -> Option<MemoryLimit> {
    let text = fs::read_to_string(root.join("proc/meminfo")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kibibytes: u64 = line.trim().strip_suffix(" kB")?.trim().parse().ok()?;
    Some(MemoryLimit { bytes: kibibytes.saturating_mul(1024), source: "the memory of this machine".to_owned() })
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    fn limit(mebibytes: u64) -> MemoryLimit {
        MemoryLimit { bytes: mebibytes << 20, source: "a test".to_owned() }
    }

    #[test]
    fn the_defaults_fit_into_the_limit_and_what_is_wanted_is_taken() {
        const MIB: usize = 1 << 20;
        assert_eq!(queue_limit(None, None), 128 * MIB);
        for (bytes, expected) in [(1 << 20, 128 * MIB), (512, 128 * MIB), (511, 511 * MIB / 4), (128, 32 * MIB)] {
            assert_eq!(queue_limit(Some(&limit(bytes)), None), expected, "{bytes} MiB");
        }
        assert_eq!(queue_limit(Some(&limit(128)), Some(200 * MIB)), 200 * MIB);
        assert_eq!(max_connections(None, None, 20_000), 20_000);
        assert_eq!(max_connections(Some(&limit(128)), None, 20_000), 6_553);
        assert_eq!(max_connections(Some(&limit(128)), None, 1_000), 1_000);
        assert_eq!(max_connections(Some(&limit(128)), Some(10_000), 10_000), 10_000);
        assert_eq!(max_connections(Some(&limit(0)), None, 20_000), 1);
        for small in [64, 128, 511] {
            let all = queue_limit(Some(&limit(small)), None)
                + CONNECTION * max_connections(Some(&limit(small)), None, 100_000);
            assert!(all as u64 <= (small << 20) / 4 * 3, "{small} MiB");
        }
    }

    #[test]
    fn sizes_are_told_as_the_flags_take_them() {
        assert_eq!([30 << 20, 32_505_856, 1 << 40, 1].map(mebibytes), ["30 MiB", "31 MiB", "1048576 MiB", "0 MiB"]);
        assert_eq!(mebibytes(1_600_000), "1.5 MiB");
    }

    #[test]
    fn the_machine_tells_how_much_it_has() {
        let folder = tempfile::tempdir().unwrap();
        let told = |text: &str| {
            fs::create_dir_all(folder.path().join("proc")).unwrap();
            fs::write(folder.path().join("proc/meminfo"), text).unwrap();
            of_machine(folder.path()).map(|limit| limit.bytes)
        };
        assert_eq!(told("MemTotal:         246000 kB\nMemFree: 1 kB\n"), Some(246_000 * 1024));
        assert_eq!(told("MemFree: 1 kB\n"), None);
        assert_eq!(told("MemTotal: many kB\n"), None);
        assert_eq!(told("MemTotal: 99999999999999999999 kB\n"), None);
        assert_eq!(of_machine(Path::new("/no/such/root")), None);
    }
}
