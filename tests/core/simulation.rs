//! Goal: the whole reactor keeps its promises, whatever peers and kernel do, for thousands of turns.
//!
//! Method: a [`Reactor`] over a simulated edge-triggered kernel (see `support/simulated`). Everything follows from one
//! seed: peers that connect, send, stop reading, half-close, reset and vanish; short reads and writes, interrupted
//! calls, events that are spurious, stale, late, or cut off from their batch; descriptors that run out; datagrams that
//! cannot be sent; and a handler that pauses, wakes others, asks for ticks, half-closes, connects and ends. Time is the
//! simulation's own: a poll lasts until somebody acts.
//!
//! The kernel tells each edge once. So a reactor that loses one hangs, and that is seen: half of the seeds end with a
//! calm, in which every peer sends the rest, reads everything and ends; then every connection must end by itself, with
//! every byte in place. The others end with a drain or an abort in the middle of it all.
//!
//! A seed that fails is named. `SEED=n cargo test --test simulation` replays it, with its trace.

use std::cell::RefCell;
use std::rc::Rc;
use std::time::{Duration, Instant};

use cooee::reactor::close_reason::CloseReason;
use cooee::reactor::limits::{DatagramRate, Limits};
use cooee::reactor::metrics::{Counts, Dropped};
use cooee::reactor::tag::Tag;
use cooee::reactor::{Reactor, Turn};

use crate::support::full::measured;
use crate::support::simulated::backlog::Backlog;
use crate::support::simulated::kernel::{
    SharedWorld, SimulatedDatagram, SimulatedKernel, SimulatedListener, address_of,
};
use crate::support::simulated::link::Role;
use crate::support::simulated::mailbox::Mailbox;
use crate::support::simulated::server::{CONNECTED, Server, Session};
use crate::support::simulated::trace::Trace;
use crate::support::simulated::world::World;
use crate::support::splitmix::Splitmix;

/// Turns of each seed before it comes to its end.
const STEPS: usize = 3_000;

/// Within so many turns everything has ended. A thousand would do, but for peers with buffers of a few bytes.
const LAST_STEPS: usize = 50_000;

/// Newcomers over the limit that are told so at once, as the reactor documents it.
const REFUSED_MAX: usize = 32;

/// How a simulation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Calm,
    Drain,
    Abort,
}

struct Simulation {
    world: SharedWorld,
    server: Server,
    reactor: Reactor<Server, SimulatedKernel>,
    max_connections: usize,
}

/// Names the seed of a simulation that fails.
struct SeedReport(u64);

impl Drop for SeedReport {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("seed {0} fails: SEED={0} cargo test --test simulation replays it", self.0);
        }
    }
}

/// The bounds that a seed runs under: small ones are met often.
fn limits_of(rng: &mut Splitmix) -> Limits {
    let millis = |low: usize, high: usize, rng: &mut Splitmix| Duration::from_millis(rng.between(low, high) as u64);
    Limits {
        max_connections: rng.pick(&[3, 10, 1_000]),
        max_connections_per_source: rng.pick(&[None, None, Some(1), Some(3)]),
        idle_timeout: rng.percent(50).then(|| millis(5, 40, rng)),
        half_closed_timeout: millis(5, 40, rng),
        connect_timeout: millis(2, 10, rng),
        linger_timeout: millis(2, 20, rng),
        refusal_timeout: millis(2, 20, rng),
        drain_timeout: millis(20, 200, rng),
        write_limit: rng.pick(&[1, 64, 1_000, 64 * 1024]),
        queue_limit: rng.pick(&[600, 6_000, 1024 * 1024]),
        read_budget: rng.pick(&[1, 100, 5_000, Limits::READ_MAX]),
        group: rng.pick(&[1, 2, 32]),
        datagram_rate: DatagramRate::Unlimited,
        busy_poll: rng.percent(40).then(|| Duration::from_micros(rng.between(1, 2_000) as u64)),
    }
}

impl Simulation {
    fn new(rng: &mut Splitmix, is_told: bool) -> Simulation {
        let limits = limits_of(rng);
        let mut world = World::new(Splitmix::new(rng.next()), limits.clone(), Trace::new(is_told));
        for _ in 0..rng.between(1, 4) {
            let count = rng.below(1_000);
            let roles = [
                Role::Echo,
                Role::Twice,
                Role::Fickle,
                Role::Bye(count),
                Role::HalfClose(count),
                Role::Source(4 * count),
            ];
            let role = rng.pick(&roles);
            world.backlogs.push(Backlog::new(role, rng.percent(60), rng.between(1, 20)));
        }
        world.mailboxes.extend((0..rng.below(3)).map(|_| Mailbox::default()));
        let (backlogs, mailboxes) = (world.backlogs.len(), world.mailboxes.len());
        let world = Rc::new(RefCell::new(world));
        let max_connections = limits.max_connections;
        let mut reactor = Reactor::with_kernel(SimulatedKernel(world.clone()), limits);
        for backlog in 0..backlogs {
            let listener = SimulatedListener { world: world.clone(), backlog };
            reactor.listen(listener, Tag::try_from(backlog).expect("a few")).expect("a listener can be added");
        }
        for mailbox in 0..mailboxes {
            let socket = SimulatedDatagram { world: world.clone(), mailbox };
            reactor
                .receive(socket, Tag::try_from(backlogs + mailbox).expect("a few"), Session::Mailbox(mailbox))
                .expect("a datagram socket can be added");
        }
        let connects = rng.pick(&[0, 20, 100]);
        if connects > 0 {
            // Whether it could be begun or not, the handler goes on from there.
            reactor.orders().connect(address_of(500).into(), CONNECTED);
        }
        let mut server = Server::new(world.clone(), Splitmix::new(rng.next()), connects);
        (server.sessions, server.mailboxes_given) = (mailboxes, mailboxes);
        world.borrow_mut().begin();
        Simulation { world, server, reactor, max_connections }
    }

    /// One turn, and what must hold after each.
    fn turn(&mut self) -> Turn {
        let turn = self.reactor.turn(&mut self.server).expect("the poll does not fail");
        assert!(self.reactor.keeps_the_invariant(), "a source off the ready list is ready for something that it wants");
        let (mut world, metrics) = (self.world.borrow_mut(), self.reactor.metrics().total());
        world.check_owed();
        world.check_kept();
        assert_eq!(
            (metrics.bytes_in, metrics.bytes_out),
            world.bytes(),
            "every byte that is read or written is counted"
        );
        assert_eq!(metrics.active(), world.open_files() as u64, "accepted and opened, without the closed ones");
        assert_eq!(metrics.dropped(Dropped::StaleEvent), world.stale_events, "stale events are dropped, and no others");
        assert_eq!(
            (metrics.accept_errors, metrics.datagram_errors),
            (world.accept_errors, world.receive_errors),
            "every call that fails is counted"
        );
        let (served, refused) = world.accepted_now();
        assert!(served <= self.max_connections, "{served} connections are served");
        if let Some(most) = world.limits.max_connections_per_source {
            assert!(world.served_for_one_source() <= most, "{most} connections of one source are served");
        }
        assert!(refused <= REFUSED_MAX, "{refused} newcomers are being refused");
        turn
    }

    /// The peers become well-behaved: everything must come to its end by itself.
    fn calm_down(&mut self) {
        self.world.borrow_mut().calm_down();
        self.server.connects_left = 0;
        for _ in 0..LAST_STEPS {
            if self.world.borrow().is_quiet() {
                return;
            }
            self.turn();
        }
        let open: Vec<_> = self.world.borrow().links.iter().filter(|link| link.is_open()).cloned().collect();
        panic!("the peers have ended, but the reactor goes on: {open:#?}");
    }

    fn until_stopped(&mut self, steps: usize) {
        for _ in 0..steps {
            if self.turn() == Turn::Stopped {
                return;
            }
        }
        panic!("the reactor does not stop");
    }

    fn end(&mut self, ending: Ending) {
        match ending {
            Ending::Calm => {
                self.calm_down();
                self.world.borrow_mut().drain_begins();
                self.reactor.drain();
                self.until_stopped(20);
            }
            Ending::Drain => {
                self.world.borrow_mut().drain_begins();
                self.reactor.drain();
                self.until_stopped(LAST_STEPS);
            }
            Ending::Abort => {
                self.world.borrow_mut().abort_begins();
                self.server.aborts = true;
                self.until_stopped(LAST_STEPS);
            }
        }
        let (world, metrics) = (self.world.borrow(), self.reactor.metrics().total());
        world.check_end();
        assert_eq!(metrics.active(), 0);
        assert_eq!(self.server.sessions, 0, "every session that was opened was closed");
        assert_eq!(self.server.faults, world.faults, "the handler is told of every fault of a datagram socket");
        assert_eq!(metrics.accepted, world.accepted);
        assert_eq!(metrics.messages_out, world.answers(), "answers that did not leave are none");
    }
}

/// What one seed has shown.
#[derive(Debug, PartialEq)]
struct Shown {
    /// The hash of its trace.
    hash: u64,
    /// What the reactor counted.
    metrics: Counts,
    /// Polls in which the reactor stayed awake although it had nothing to do.
    awake_polls: u64,
    /// Datagram sockets that the handler asked for and ended.
    mailboxes_ended: usize,
}

/// Runs one seed.
fn simulate(seed: u64, is_told: bool) -> Shown {
    let report = SeedReport(seed);
    let mut rng = Splitmix::new(seed);
    let ending = rng.pick(&[Ending::Calm, Ending::Calm, Ending::Calm, Ending::Drain, Ending::Drain, Ending::Abort]);
    let mut simulation = Simulation::new(&mut rng, is_told);
    for _ in 0..STEPS {
        simulation.turn();
    }
    simulation.end(ending);
    drop(report);
    let (world, metrics) = (simulation.world.borrow(), simulation.reactor.metrics().total());
    let mailboxes_ended = simulation.server.mailboxes_ended;
    Shown { hash: world.trace.hash(), metrics, awake_polls: world.awake_polls, mailboxes_ended }
}

/// Runs these seeds, or the one that the environment names if it is among them. Checks that they have met what they are
/// made to meet.
fn simulate_all(seeds: std::ops::Range<u64>) {
    if let Ok(seed) = std::env::var("SEED") {
        let seed = seed.parse().expect("SEED is a number");
        if seeds.contains(&seed) {
            simulate(seed, true);
        }
        return;
    }
    let began = Instant::now();
    let told = format!("seeds {seeds:?} x {STEPS} turns");
    let mut closed = [0; CloseReason::COUNT];
    let (mut accept_errors, mut stale_events, mut all_awake_polls, mut all_ended) = (0, 0, 0, 0);
    for seed in seeds {
        let Shown { metrics, awake_polls, mailboxes_ended, .. } = simulate(seed, false);
        all_awake_polls += awake_polls;
        all_ended += mailboxes_ended;
        for (sum, count) in closed.iter_mut().zip(metrics.closed) {
            *sum += count;
        }
        accept_errors += metrics.accept_errors;
        stale_events += metrics.dropped(Dropped::StaleEvent);
    }
    for reason in [
        CloseReason::PeerClosed,
        CloseReason::Ended,
        CloseReason::Drained,
        CloseReason::DrainTimeout,
        CloseReason::Reset,
        CloseReason::IdleTimeout,
        CloseReason::IncompleteTimeout,
        CloseReason::HalfClosedTimeout,
        CloseReason::QueueLimit,
        CloseReason::Refused,
        CloseReason::RefusedSource,
        CloseReason::ConnectRefused,
        CloseReason::ConnectTimeout,
        CloseReason::SelfConnect,
        CloseReason::Aborted,
    ] {
        assert!(closed[reason.index()] > 0, "no connection closed as {reason}: the simulation has become too tame");
    }
    let met = [accept_errors, stale_events, all_awake_polls, all_ended as u64];
    assert!(met.iter().all(|count| *count > 0), "the simulation has become too tame: {met:?}");
    let (connections, seconds) = (closed.iter().sum::<u64>(), began.elapsed().as_secs_f64());
    measured(
        "29",
        &format!("{told} and to the end, {connections} connections, no violated invariant, in {seconds:.1} s"),
    );
}

#[test]
fn the_first_seeds() {
    simulate_all(0..128);
}

#[test]
fn the_last_seeds() {
    simulate_all(128..256);
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    for seed in [3, 77] {
        assert_eq!(simulate(seed, false), simulate(seed, false), "seed {seed}");
    }
    assert_ne!(simulate(3, false).hash, simulate(4, false).hash);
    measured("29", "seeds 3 and 77 run twice: the same trace, counters and end");
}
