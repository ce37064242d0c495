//! Goal: rounds are interleaved, each with a process of its own, beside connections that stay silent where that was
//! asked for; and whatever happens to the generator, servers are stopped.
//!
//! Method: the library's `compare::run` with a generator of the test's own, which notes where it was sent, and fails,
//! panics or is interrupted as it is told. The servers are the built one.

use std::cell::Cell;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::time::Duration;

use cooee::measure::compare;
use cooee::measure::compare::command::ServerCommand;
use cooee::measure::compare::comparison::Compared;
use cooee::measure::compare::listen_address::ListenKind;
use cooee::measure::compare::plan::Plan;
use cooee::measure::compare::repeats::Repeated;
use cooee::measure::load;
use cooee::measure::load::options::{End, Options};
use cooee::measure::load::outcome::Outcome;
use cooee::os::address::Address;

fn plan(names: &[&str], rounds: usize) -> Plan {
    let command = |name| format!("{name}='{}' -q serve tcp://127.0.0.1:{{port}}", env!("CARGO_BIN_EXE_cooee"));
    let servers = names.iter().map(|name| ServerCommand::parse(&command(name), ListenKind::Port).unwrap()).collect();
    let options = Options {
        end: End::Messages(20),
        warmup: Duration::ZERO,
        timeout: crate::support::PATIENCE,
        connect_timeout: crate::support::PATIENCE,
        ..Options::new(Vec::new())
    };
    let start_timeout = crate::support::PATIENCE;
    Plan {
        servers,
        rounds,
        options,
        idle_connections: 0,
        silent_connections: 0,
        start_timeout,
        binder: None,
        pinning: None,
    }
}

fn tcp(options: &Options) -> SocketAddr {
    match options.addresses[..] {
        [Address::Ip(address)] => address,
        _ => panic!("{:?}", options.addresses),
    }
}

fn is_stopped(address: SocketAddr) -> bool {
    TcpStream::connect(address).is_err_and(|error| error.kind() == io::ErrorKind::ConnectionRefused)
}

/// Connections of this machine to `server` that neither side has ended.
fn established_to(server: SocketAddr) -> usize {
    let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
    let to = format!(":{:04X}", server.port());
    let rows = table.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    rows.filter(|row| row[2].ends_with(&to) && row[3] == "01").count()
}

#[test]
fn silent_connections_are_there_while_load_runs_and_gone_after() {
    let mut seen = Vec::new();
    let compared = compare::run(
        &Plan { silent_connections: 20, ..plan(&["a"], 2) },
        &mut |options, _, watch| {
            let address = tcp(&options);
            let outcome = load::run(options, None, watch)?;
            seen.push((address, established_to(address)));
            Ok(outcome)
        },
        &mut || false,
    )
    .unwrap();
    assert_eq!(compared[0].rounds.len(), 2, "{:?}", compared[0].failure);
    for (address, count) in seen {
        assert!(count >= 20, "{count} connections");
        assert_eq!(established_to(address), 0);
    }
}

#[test]
fn a_server_that_ends_silent_connections_has_failed() {
    let mut plan = Plan { silent_connections: 20, ..plan(&["a"], 1) };
    let command = format!("a='{}' -q serve --idle-timeout=300ms tcp://127.0.0.1:{{port}}", env!("CARGO_BIN_EXE_cooee"));
    plan.servers = vec![ServerCommand::parse(&command, ListenKind::Port).unwrap()];
    let compared = compare::run(
        &plan,
        &mut |options, _, watch| {
            let address = tcp(&options);
            let outcome = load::run(options, None, watch)?;
            crate::support::wait_until("the silent ones are ended", || established_to(address) == 0);
            Ok(outcome)
        },
        &mut || false,
    )
    .unwrap();
    let failure = compared[0].failure.as_ref().unwrap();
    assert_eq!(failure.reason, "it did not leave 20 of 20 silent connections alone");
}

#[test]
fn rounds_are_interleaved_and_one_server_runs_at_a_time() {
    let mut addresses: Vec<SocketAddr> = Vec::new();
    let compared = compare::run(
        &plan(&["a", "b"], 3),
        &mut |options, _, watch| {
            for before in &addresses {
                assert!(is_stopped(*before), "{before} still listens");
            }
            assert!(!is_stopped(tcp(&options)));
            addresses.push(tcp(&options));
            let mut outcome = load::run(options, None, watch)?;
            // So that each round is known by its figures: the n-th run takes n seconds.
            outcome.duration = Duration::from_secs(addresses.len() as u64);
            outcome.replies_in_time = 1000;
            Ok(outcome)
        },
        &mut || false,
    )
    .unwrap();
    let runs = |index: usize| {
        let rounds = compared[index].rounds.iter();
        rounds.map(|round| (round.number, 1000.0 / round.messages_per_s)).collect::<Vec<_>>()
    };
    assert_eq!(runs(0), [(1, 1.0), (2, 3.0), (3, 5.0)]);
    assert_eq!(runs(1), [(1, 2.0), (2, 4.0), (3, 6.0)]);
    assert!(addresses.into_iter().all(is_stopped));
}

/// Compares with a generator that changes what came of its n-th run, from 1 on. The n-th run takes n seconds, so that
/// rounds are known by their figures.
fn compare_with(plan: &Plan, change: impl Fn(usize, &mut Outcome)) -> Vec<Compared> {
    let mut runs = 0;
    let mut load = |options: Options, stop, watch: &mut dyn FnMut(&_)| {
        let mut outcome = load::run(options, stop, watch)?;
        runs += 1;
        outcome.duration = Duration::from_secs(runs as u64);
        outcome.replies_in_time = 1000;
        change(runs, &mut outcome);
        Ok(outcome)
    };
    compare::run(plan, &mut load, &mut || false).unwrap()
}

/// The numbers of a server's rounds, and of the runs that they come from.
fn rounds(server: &Compared) -> Vec<(usize, usize)> {
    server.rounds.iter().map(|round| (round.number, (1000.0 / round.messages_per_s).round() as usize)).collect()
}

fn late(outcome: &mut Outcome) {
    outcome.late = outcome.sent;
}

#[test]
fn a_doubtful_round_is_measured_again_with_every_server_in_turn() {
    // The second server of round 2 meets a busy moment.
    let compared = compare_with(&plan(&["a", "b"], 3), |run, outcome| {
        if run == 4 {
            late(outcome);
        }
    });
    assert_eq!(rounds(&compared[0]), [(1, 1), (2, 5), (3, 7)]);
    assert_eq!(rounds(&compared[1]), [(1, 2), (2, 6), (3, 8)]);
    assert!(!compared.iter().any(Compared::is_doubtful));
    assert_eq!(compared[0].repeats, [], "it gave no reason");
    let [repeat] = &compared[1].repeats[..] else { panic!("{:?}", compared[1].repeats) };
    assert_eq!((repeat.round, repeat.what, repeat.attempt), (2, Repeated::Round, Some(1)));
    assert_eq!(repeat.reason, "100.0 % of the messages left late");
}

#[test]
fn doubts_that_do_not_end_end_the_repeats_and_are_told() {
    let compared = compare_with(&plan(&["a", "b"], 4), |run, outcome| {
        if run.is_multiple_of(2) {
            late(outcome);
        }
    });
    // Round 1 three times, and then nobody hopes any more.
    assert_eq!(rounds(&compared[1]), [(1, 6), (2, 8), (3, 10), (4, 12)]);
    assert_eq!(compared[1].repeats.len(), 2, "{:?}", compared[1].repeats);
    assert!(compared[1].is_doubtful() && !compared[0].is_doubtful());
}

#[test]
fn an_interrupt_ends_the_repeats() {
    let caught = Rc::new(Cell::new(false));
    let flag = caught.clone();
    let mut runs = 0;
    let mut load = |options: Options, stop, watch: &mut dyn FnMut(&_)| {
        runs += 1;
        let mut outcome = load::run(options, stop, watch)?;
        late(&mut outcome);
        flag.set(runs == 2);
        Ok(outcome)
    };
    let compared = compare::run(&plan(&["a", "b"], 3), &mut load, &mut || caught.get()).unwrap();
    assert_eq!(runs, 2);
    assert_eq!(compared.iter().map(|server| server.rounds.len()).collect::<Vec<_>>(), [1, 1]);
    assert!(compared.iter().all(|server| server.failure.is_none() && server.repeats.is_empty()));
}

#[test]
fn a_server_that_does_not_start_at_once_is_started_again_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let started = folder.path().join("started");
    let mut plan = plan(&["a"], 2);
    // As where somebody else took its port meanwhile.
    let script = format!(
        "echo x >> {0}; test $(wc -l < {0}) != 2 || exit 3; exec {1} -q serve tcp://127.0.0.1:{{port}}",
        started.display(),
        env!("CARGO_BIN_EXE_cooee")
    );
    plan.servers = vec![ServerCommand::parse(&format!("a=sh -c '{script}'"), ListenKind::Port).unwrap()];
    let compared = compare_with(&plan, |_, _| {});
    assert_eq!(rounds(&compared[0]), [(1, 1), (2, 2)], "{:?}", compared[0].failure);
    let [repeat] = &compared[0].repeats[..] else { panic!("{:?}", compared[0].repeats) };
    assert_eq!((repeat.round, repeat.what), (2, Repeated::Start));
    assert_eq!(repeat.reason, "it ended with exit code 3");
    // One that never starts is not tried for ever.
    plan.servers = vec![ServerCommand::parse("a=false {port}", ListenKind::Port).unwrap()];
    let compared = compare_with(&plan, |_, _| {});
    assert_eq!(compared[0].failure.as_ref().unwrap().round, 1);
    assert_eq!(compared[0].repeats.len(), 1);
}

#[test]
fn an_error_or_a_panic_of_the_generator_stops_the_server() {
    let mut addresses = Vec::new();
    let error = compare::run(
        &plan(&["a"], 1),
        &mut |options, _, _| {
            addresses.push(tcp(&options));
            Err(io::Error::other("out of order"))
        },
        &mut || false,
    );
    assert_eq!(error.unwrap_err().to_string(), "out of order");
    let panicked = catch_unwind(AssertUnwindSafe(|| {
        compare::run(
            &plan(&["a"], 1),
            &mut |options, _, _| {
                addresses.push(tcp(&options));
                panic!("on purpose")
            },
            &mut || false,
        )
    }));
    assert!(panicked.is_err());
    assert_eq!(addresses.len(), 2);
    assert!(addresses.into_iter().all(is_stopped));
}

#[test]
fn after_an_interrupt_nothing_is_begun_and_whole_rounds_are_told() {
    let mut runs = 0;
    let caught = Rc::new(Cell::new(false));
    let flag = caught.clone();
    let compared = compare::run(
        &plan(&["a", "b"], 3),
        &mut |mut options, stop, watch| {
            runs += 1;
            if runs == 3 {
                options.end = End::Messages(u64::MAX);
                flag.set(true);
            }
            load::run(options, stop, watch)
        },
        &mut || caught.get(),
    )
    .unwrap();
    assert_eq!(runs, 3);
    assert_eq!(compared.iter().map(|server| server.rounds.len()).collect::<Vec<_>>(), [1, 1]);
    assert!(compared.iter().all(|server| server.failure.is_none()));
}

#[test]
fn a_server_with_a_wrong_reply_is_not_started_again() {
    let mut runs = 0;
    let compared = compare::run(
        &plan(&["a", "b"], 3),
        &mut |options, _, watch| {
            runs += 1;
            let mut outcome = load::run(options, None, watch)?;
            if runs == 3 {
                outcome.corrupt = Some(1);
            }
            Ok(outcome)
        },
        &mut || false,
    )
    .unwrap();
    assert_eq!(runs, 5);
    let failure = compared[0].failure.as_ref().unwrap();
    assert_eq!((failure.round, failure.reason.as_str()), (2, "replies were wrong"));
    assert_eq!(compared.iter().map(|server| server.rounds.len()).collect::<Vec<_>>(), [1, 3]);
}
