//! Comparisons for tests.
#![allow(dead_code, reason = "each test file uses its own part of this")]

use std::time::SystemTime;

use cooee::measure::compare::comparison::{Compared, Comparison};
use cooee::measure::compare::pinning::Placement;
use cooee::measure::compare::round::{Percentiles, Round};
use cooee::measure::load::options::{End, Options};
use cooee::measure::report::conditions::Conditions;

/// A closed loop of 64 bytes over TCP.
pub(super) fn options() -> Options {
    let seconds = std::time::Duration::from_secs;
    Options { connections: 50, end: End::After(seconds(5)), interval: seconds(1), ..Options::new(Vec::new()) }
}

/// A round at so many messages a second, whose other figures follow from that.
pub(super) fn round(number: usize, messages_per_second: f64) -> Round {
    let latency = (5e10 / messages_per_second).floor() / 1e3;
    Round {
        number,
        messages: messages_per_second as u64 * 50,
        due: messages_per_second as u64 * 50,
        in_vain_longest_us: None,
        messages_per_s: messages_per_second,
        latency_us: Percentiles { p50: latency, p95: latency * 1.5, p99: latency * 2.0, p999: latency * 4.0 },
        cpu_us_per_message: Some(1e6 / messages_per_second),
        server_core: Some(1.0),
        generator_core: 0.5,
        generator_idle_polling_core: None,
        others_on_server_core: Some(0.0),
        others_on_generator_core: Some(0.01),
        memory_per_idle_connection: Some(130.0),
        doubts: Vec::new(),
        errors: Default::default(),
        lost: 0,
    }
}

/// A server with one round for each rate.
pub(super) fn server(name: &str, rates: &[f64]) -> Compared {
    let rounds = rates.iter().enumerate().map(|(index, rate)| round(index + 1, *rate)).collect();
    let (name, command) = (name.to_owned(), format!("{name} {{port}}"));
    Compared { name, command, rounds, repeats: Vec::new(), failure: None }
}

/// A comparison of five rounds of these servers.
pub(super) fn comparison(servers: Vec<Compared>) -> Comparison {
    let command = ["cooee", "compare"].map(str::to_owned);
    Comparison {
        conditions: Conditions::here(command, &options(), SystemTime::UNIX_EPOCH),
        transport: "tcp".to_owned(),
        pinning: Some(Placement { server: vec![0], generator: vec![1] }),
        rounds: 5,
        idle_connections: 1000,
        silent_connections: 0,
        is_interrupted: false,
        servers,
    }
}
