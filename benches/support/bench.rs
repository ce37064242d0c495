//! The measuring itself: `cooee compare`'s, one round of one server at a time.

use std::io;
use std::time::Duration;

use cooee::measure::compare;
use cooee::measure::compare::command::ServerCommand;
use cooee::measure::compare::comparison::Compared;
use cooee::measure::compare::pinning::Pinning;
use cooee::measure::compare::plan::Plan;
use cooee::measure::compare::round::Round;
use cooee::measure::load;
use cooee::measure::load::options::{End, Options};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::support::interrupt::Interrupt;
use crate::support::scenario::Scenario;

/// How long a server is warmed up and measured in each round. CPU time is counted in nanoseconds, so a quarter of a
/// second with thousands of messages is enough for one figure; what differs from process to process is found by rounds,
/// not by longer ones.
const WARM_UP: Duration = Duration::from_millis(100);
const MEASURED: Duration = Duration::from_millis(250);

/// How long a server may take until it answers, and how long opening all idle connections may take.
const START_TIMEOUT: Duration = Duration::from_secs(30);

/// After how many rounds that failed a server is not started any more.
const FAILURES_MAX: usize = 3;

/// Measures servers in rounds.
pub struct Bench {
    /// How many rounds.
    pub rounds: usize,
    /// When a measurement ends.
    pub end: End,
    /// With how many connections the memory of an idle one is measured; 0 where it is not.
    pub idle_connections: usize,
    plan: Plan,
    interrupt: Interrupt,
}

impl Bench {
    /// A bench of so many rounds, which has pinned this thread. In a [test](is_test) there is one, and a short one.
    pub fn new(rounds: usize) -> io::Result<Bench> {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;
        let plan = Plan {
            servers: Vec::new(),
            rounds: 1,
            options: Options::new(Vec::new()),
            idle_connections: 0,
            silent_connections: 0,
            start_timeout: START_TIMEOUT,
            binder: Some(env!("CARGO_BIN_EXE_cooee").into()),
            pinning: Pinning::new(None, None).map_err(io::Error::other)?,
        };
        // By number and not by time: on a busy machine a short time may pass without one message.
        let (rounds, end) = if is_test() { (1, End::Messages(2_000)) } else { (rounds, End::After(MEASURED)) };
        Ok(Bench { rounds, end, idle_connections: 0, plan, interrupt: Interrupt::catch()? })
    }

    /// Measures the servers of a scenario in turn, round by round, each with a fresh process. What fails is told at
    /// once, and the others go on: where the machine is busy, a server with many threads may not answer anything in its
    /// short time.
    pub fn measure(&mut self, scenario: &Scenario) -> Vec<Compared> {
        let mut all: Vec<Compared> = scenario.servers.iter().map(|(server, _)| Compared::new(server)).collect();
        let mut failures = vec![0; all.len()];
        for number in 1..=self.rounds {
            for (place, (server, options)) in scenario.servers.iter().enumerate() {
                if failures[place] == FAILURES_MAX {
                    continue;
                }
                let shown = self.round(server, options);
                for failure in shown.iter().filter_map(|shown| shown.failure.as_ref()) {
                    failures[place] += 1;
                    let output: String = failure.output.iter().map(|line| format!("\n  | {line}")).collect();
                    eprintln!("{}: {} failed: {}{output}", scenario.name, server.name, failure.reason);
                }
                let rounds = shown.into_iter().flat_map(|shown| shown.rounds);
                all[place].rounds.extend(rounds.map(|round| Round { number, ..round }));
            }
        }
        all
    }

    /// One round of one server.
    fn round(&mut self, server: &ServerCommand, options: &Options) -> Vec<Compared> {
        self.plan.servers = vec![server.clone()];
        self.plan.idle_connections = self.idle_connections;
        let warmup = if is_test() { Duration::ZERO } else { WARM_UP };
        self.plan.options = Options { warmup, end: self.end, ..options.clone() };
        let plan = &self.plan;
        let shown = self.interrupt.guard(|interrupt| compare::run(plan, &mut load::run, interrupt));
        shown.unwrap_or_else(|error| panic!("{} cannot be measured: {error}", server.name))
    }
}

/// Whether it is only to be seen that everything runs: `cargo bench -- --test`, or `cargo test --benches`. Criterion
/// judges the same.
pub fn is_test() -> bool {
    let has = |flag| std::env::args().any(|argument| argument == flag);
    has("--test") || !has("--bench")
}
