//! What a run costs the process that makes it.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::reactor::metrics::Metrics;

/// The CPU time of this process, and how much of it was polling for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// Time in which it polled for nothing.
    pub idle_polling: Duration,
}

impl Effort {
    /// The effort until now (`getrusage(2)`, and the reactor's counters).
    pub(crate) fn so_far(metrics: &Metrics) -> Effort {
        let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
            let micros = (usage.user_time() + usage.system_time()).num_microseconds();
            Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        });
        Effort { cpu, idle_polling: metrics.idle_polling }
    }

    /// The effort since `earlier`.
    pub(crate) fn since(self, earlier: Effort) -> Effort {
        Effort {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            idle_polling: self.idle_polling.saturating_sub(earlier.idle_polling),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::Read;
    use std::time::Instant;

    use nix::time::{ClockId, clock_gettime};

    use super::*;

    /// All that this process has used, by its own clock (`CLOCK_PROCESS_CPUTIME_ID`).
    fn clock() -> Duration {
        clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
    }

    /// System time of this process, in microseconds.
    fn system() -> i64 {
        getrusage(UsageWho::RUSAGE_SELF).unwrap().system_time().num_microseconds()
    }

    #[test]
    fn time_in_the_kernel_counts_as_well_as_time_in_the_program() {
        let metrics = Metrics::default();
        let (before, clock_before, system_before) = (Effort::so_far(&metrics), clock(), system());
        let mut zeros = File::open("/dev/zero").unwrap();
        let mut buffer = vec![0; 1 << 20];
        let start = Instant::now();
        // The kernel fills them: hardly any of it is this program's own time.
        while system() < system_before + 100_000 {
            zeros.read_exact(&mut buffer).unwrap();
            assert!(start.elapsed() < Duration::from_secs(20), "100 ms in the kernel are not counted");
        }
        let used = clock() - clock_before;
        let effort = Effort::so_far(&metrics).since(before);
        // Each reading is rounded to microseconds.
        assert!(effort.cpu + Duration::from_millis(5) >= used, "{effort:?} of {used:?}");
    }
}
