//! What is to be compared, and how.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::measure::compare::command::ServerCommand;
use crate::measure::compare::pinning::Pinning;
use crate::measure::load::options::Options;

/// No deadline is later, so that every clock can tell it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What is to be compared, and how.
#[derive(Debug)]
pub struct Plan {
    /// The servers. The first is the one that the others are compared with.
    pub servers: Vec<ServerCommand>,
    /// How often each is measured.
    pub rounds: usize,
    /// The load. Its addresses are each process's own.
    pub options: Options,
    /// Connections with which the memory of an idle one is measured; with 0, and for datagrams, it is not.
    pub idle_connections: usize,
    /// Connections that are open and silent while load runs; 0 for datagrams.
    pub silent_connections: usize,
    /// How long a server may take from its start until it answers, and then for each thousand of idle or silent
    /// connections.
    pub start_timeout: Duration,
    /// The file of the `cooee` program, which binds each server to this process: the kernel ends the server when this
    /// process ends. With none, a server runs on when this process is killed.
    pub binder: Option<PathBuf>,
    /// The processors of the server and of this program; `None` if there is one processor alone.
    pub pinning: Option<Pinning>,
}

impl Plan {
    /// By when a server has to have taken this number of connections, opened one after the other from now on.
    pub(crate) fn deadline_for(&self, connections: usize) -> Instant {
        let thousands = u32::try_from(connections.div_ceil(1_000)).unwrap_or(u32::MAX);
        Instant::now() + self.start_timeout.saturating_mul(thousands.max(1)).min(LONGEST)
    }

    /// How many processors a server may use.
    pub(crate) fn server_processors(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.pinning.as_ref().map_or_else(all, |pinning| pinning.placement.server.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::compare::samples::options;

    #[test]
    fn a_thousand_connections_may_take_as_long_as_a_start() {
        let plan = |start_timeout: Duration| Plan {
            servers: Vec::new(),
            rounds: 1,
            options: options(),
            idle_connections: 0,
            silent_connections: 0,
            start_timeout,
            binder: None,
            pinning: None,
        };
        let seconds = |timeout: u64, connections: usize| {
            let left = plan(Duration::from_secs(timeout)).deadline_for(connections) - Instant::now();
            left.as_secs_f64().round() as u64
        };
        for (connections, expected) in [(0, 100), (1, 100), (1_000, 100), (1_001, 200), (10_000, 1_000)] {
            assert_eq!(seconds(100, connections), expected, "{connections}");
        }
        assert_eq!(seconds(u64::MAX, 5), LONGEST.as_secs(), "a clock can tell it");
        assert_eq!(LONGEST, Duration::from_secs(86_400));
        let all = std::thread::available_parallelism().unwrap().get();
        assert_eq!(plan(Duration::ZERO).server_processors(), all, "nothing is pinned");
    }
}
