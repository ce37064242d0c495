//! What a run costs the process that makes it.

use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;

use crate::metrics::Metrics;

/// What this process has used, and how much of it for nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Effort {
    /// CPU time, user and system.
    pub cpu: Duration,
    /// Time in which it polled for nothing.
    pub idle_polling: Duration,
}

impl Effort {
    /// What it was until now (`getrusage(2)`, and the reactor's counters).
    pub fn so_far(metrics: &Metrics) -> Effort {
        let cpu = getrusage(UsageWho::RUSAGE_SELF).map_or(Duration::ZERO, |usage| {
            let micros = (usage.user_time() + usage.system_time()).num_microseconds();
            Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        });
        Effort { cpu, idle_polling: metrics.idle_polling }
    }

    /// What it was since `earlier`.
    pub fn since(self, earlier: Effort) -> Effort {
        Effort {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            idle_polling: self.idle_polling.saturating_sub(earlier.idle_polling),
        }
    }
}
