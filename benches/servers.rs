//! Goal: what a message costs our server, beside the same message on the best loops that can be written by hand
//! (`peers/epoll.c`, `peers/mio_loop.rs`) and on what people use instead (tokio, smol, a thread for each connection).
//!
//! Method: each server is a process of its own, pinned to one processor; this program puts load on it from another,
//! checks every byte that comes back, and meters the server's CPU time. All of that is the code of `cooee compare`. The
//! servers of a scenario are measured in turn, round by round, each time with a fresh process, so whatever happens on
//! the machine meets all alike. That is the first thing that a scenario does, whichever of its servers criterion asks
//! for first; it ends with a table of ratios within each round.
//!
//! Criterion is then given a figure a round as its samples: for its estimate, its comparison with the last time, and
//! its pictures (`target/criterion/report/index.html`). Two figures: the server's *CPU time a message*, user and
//! system, which is the one that holds on a noisy machine; and the *time a message*, one by the rate of all connections
//! together, in which this program's own cost and the wake-ups of both are contained. What criterion says of "warming
//! up" and of an "estimated" time is of handing the figures over, and means nothing here.
//!
//! `cargo bench --bench servers -- '1 connection'` measures the scenarios whose names contain that, all their servers
//! together. Connections that are only held are the matter of `idle_memory.rs`.

mod support;

use std::cell::{OnceCell, RefCell};
use std::time::Duration;

use cooee::measure::compare::comparison::Compared;
use cooee::measure::compare::metric::Metric;
use cooee::measure::compare::round::Round;
use cooee::measure::load::options::{Expect, Options};
use cooee::protocol::charset::Charset;
use cooee::protocol::framing::Framing;
use cooee::protocol::mode::ack::{Ack, DEFAULT_FORMAT};
use criterion::{Criterion, SamplingMode};
use support::bench::Bench;
use support::scenario::{Scenario, echo};
use support::servers::{Servers, cooee};
use support::table;
use support::unit::Unit;

/// Rounds of each scenario: criterion asks for ten samples at least.
const ROUNDS: usize = 10;

fn main() {
    let servers = Servers::build();
    let bench = RefCell::new(Bench::new(ROUNDS).expect("this program can be pinned, and can catch signals"));
    let mut cpu = criterion(Unit::Cpu);
    let mut wall = criterion(Unit::Wall);
    for scenario in scenarios(&servers) {
        let measured = Measured { scenario, servers: OnceCell::new(), bench: &bench };
        tell(&mut cpu, &measured, "CPU time a message", |round| round.cpu_us_per_message.map(|us| us * 1e3));
        tell(&mut wall, &measured, "time a message", |round| Some(1e9 / round.messages_per_s));
    }
    wall.final_summary();
}

fn criterion(unit: Unit) -> Criterion<Unit> {
    // Drawing takes as long as there are resamples: with 100,000 of them, the default, longer than measuring.
    Criterion::default().with_measurement(unit).nresamples(5_000).configure_from_args()
}

fn scenarios(servers: &Servers) -> Vec<Scenario> {
    let tcp = |name, options| Scenario::new(name, servers.tcp(), &options);
    let large = |name, options| Scenario::new(name, servers.tcp_large(), &options);
    vec![
        tcp("1 connection, 64 B", echo(1, 64, 1)),
        tcp("50 connections, 64 B", echo(50, 64, 1)),
        tcp("1,000 connections, 64 B", echo(1_000, 64, 1)),
        tcp("50 connections, 1 KiB", echo(50, 1024, 1)),
        large("50 connections, 16 KiB", echo(50, 16 * 1024, 1)),
        large("8 connections, 64 KiB, 4 in flight", echo(8, 64 * 1024, 4)),
        tcp("50 connections, 64 B, 16 in flight", echo(50, 64, 16)),
        tcp("connect, 64 B, close, 50 at once", Options { churn: true, ..echo(50, 64, 1) }),
        acks(),
        Scenario::new(
            "UDP, 16 sockets, 64 B, 8 in flight",
            servers.udp(),
            &Options { datagrams: true, ..echo(16, 64, 8) },
        ),
    ]
}

/// Our server alone: what an acknowledgement costs in each framing, beside an echo.
fn acks() -> Scenario {
    let mut servers = vec![(cooee("echo", "tcp://127.0.0.1:{port}"), echo(50, 64, 1))];
    for framing in [Framing::Chunk, Framing::Line, Framing::Len32] {
        let endpoint = format!("tcp://127.0.0.1:{{port}}?mode=ack&framing={framing}");
        let ack = Ack::new(DEFAULT_FORMAT, Charset::UTF_8).expect("the default is one");
        let mut options = Options { expect: Expect::Ack(ack), ..echo(50, 64, 1) };
        options.rules.framing = framing;
        servers.push((cooee(&format!("ack-{framing}"), &endpoint), options));
    }
    Scenario { name: "acknowledged, 50 connections, 64 B".to_owned(), servers }
}

/// A scenario, measured when somebody first asks: criterion alone knows which ones its filter lets through.
struct Measured<'a> {
    scenario: Scenario,
    servers: OnceCell<Vec<Compared>>,
    bench: &'a RefCell<Bench>,
}

impl Measured<'_> {
    fn servers(&self) -> &[Compared] {
        self.servers.get_or_init(|| {
            let (bench, name) = (&mut self.bench.borrow_mut(), &self.scenario.name);
            eprintln!("\n{name}: {} rounds of {} servers", bench.rounds, self.scenario.servers.len());
            let servers = bench.measure(&self.scenario);
            println!("\n{name}: the server's CPU time a message");
            print!("{}", table::render(Metric::CpuPerMessage, &servers));
            servers
        })
    }
}

/// Tells criterion a figure of every server, in nanoseconds, a value a round.
fn tell(criterion: &mut Criterion<Unit>, measured: &Measured<'_>, name: &str, figure: fn(&Round) -> Option<f64>) {
    let values = |server: &Compared| server.rounds.iter().filter_map(figure).collect::<Vec<f64>>();
    let mut group = criterion.benchmark_group(format!("{}: {name}", measured.scenario.name));
    // The figures are there already: one call warms up, and then each call is a sample.
    group.sampling_mode(SamplingMode::Flat).sample_size(ROUNDS);
    group.warm_up_time(Duration::from_nanos(1)).measurement_time(Duration::from_millis(1));
    for (place, (server, _)) in measured.scenario.servers.iter().enumerate() {
        // Criterion takes no benchmark back. One that is known to have failed, and was told, is not begun.
        if measured.servers.get().is_some_and(|servers| values(&servers[place]).is_empty()) {
            continue;
        }
        let mut call = 0;
        group.bench_function(&server.name, |bencher| {
            let values = values(&measured.servers()[place]);
            assert!(!values.is_empty(), "{} has no figure", server.name);
            let value = values[call % values.len()];
            call += 1;
            bencher.iter_custom(|calls| value * calls as f64);
        });
    }
    group.finish();
}
