//! The comparison as JSON, for programs.
//!
//! | field | what it is |
//! |---|---|
//! | `version` | 1; it grows when a field changes its meaning or goes away, not when one is added |
//! | `kind` | `"comparison"` |
//! | `interrupted` | whether it was ended before its time |
//! | `rounds` | rounds that were to be measured |
//! | `repeated_rounds` | how often a round was measured that does not count: it told of the generator, and was measured again |
//! | `transport` | `"tcp"`, `"udp"`, `"unix"` or `"unixgram"` |
//! | `pinning` | `{"server": [0], "generator": [1]}`: processors; null where nothing was pinned |
//! | `idle_connections` | connections with which memory was measured; 0 where it was not |
//! | `silent_connections` | connections that were open and silent while load ran |
//! | `latency_until` | `"whole-reply"`, or `"first-bytes"` where nothing says when a reply is whole |
//! | `conditions` | the machine, the command line and the load, as in a run's JSON |
//! | `servers` | in order; the first is the one that the others are compared with |
//!
//! A server has `name`, `command`, `failure` (null, or `{"round": 2, "reason": "...", "output": ["its last lines"]}`),
//! and:
//!
//! - `rounds`: for each `round` (a number from 1) `messages`, `messages_per_s`, `due`, `in_vain` and
//!   `in_vain_longest_us` (of the messages that were due, those never answered, and how long one waited),
//!   `percentiles_up_to` (the highest percentile that so many messages tell), `latency_us {p50 p95 p99 p999}`,
//!   `cpu_us_per_message` (the server's), `server_core` and `generator_core` (the share of a core that each used),
//!   `generator_idle_polling_core` (the part of it for which the generator polled for nothing; null where it sleeps),
//!   `others_on_server_core` and `others_on_generator_core` (what other processes, and other guests of the machine,
//!   used of them), `memory_per_idle_connection` (bytes), `doubts` (sentences; where there are any, the round tells of
//!   the generator and not of the server), `errors {kind: count}` and `lost`.
//! - `repeats`: what was done again, in order: `{"round": 3, "what": "round", "attempt": 1, "reason": "..."}`, where
//!   this server gave the reason to measure the round again, of every server, after so many attempts; `"what":
//!   "start"`, where its process was started again.
//! - `summary`: for each of `messages_per_s`, `p50_us`, `p99_us`, `p999_us`, `cpu_us_per_message` and
//!   `memory_per_idle_connection` the `median`, `min` and `max` over the rounds; `ratio {median min max}` to the first
//!   server, within each round; and the `verdict`: `"better"`, `"worse"`, `"no difference shown"`, `"too few rounds"`
//!   or `"doubtful"`.
//!
//! What was not measured or cannot be known is null.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::measure::compare::comparison::{Compared, Comparison, Repeat, Repeated, Standing};
use crate::measure::compare::metric::Metric;
use crate::measure::compare::round::Round;
use crate::measure::compare::summary::Summary;
use crate::measure::report::Until;
use crate::measure::report::conditions::Conditions;
use crate::measure::report::latencies::highest_told;

/// The version of the schema.
pub const VERSION: u32 = 1;

/// What tells its JSON from that of a run.
pub const KIND: &str = "comparison";

#[derive(Serialize, Deserialize)]
pub(super) struct Document {
    pub(super) version: u32,
    pub(super) kind: String,
    pub(super) interrupted: bool,
    pub(super) rounds: usize,
    #[serde(skip_deserializing)]
    repeated_rounds: usize,
    pub(super) transport: String,
    pub(super) pinning: Option<Pinned>,
    pub(super) idle_connections: usize,
    pub(super) silent_connections: usize,
    #[serde(skip_deserializing)]
    latency_until: Until,
    pub(super) conditions: Conditions,
    pub(super) servers: Vec<Server>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Pinned {
    pub(super) server: Vec<usize>,
    pub(super) generator: Vec<usize>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Server {
    pub(super) name: String,
    pub(super) command: String,
    pub(super) failure: Option<Failed>,
    pub(super) rounds: Vec<Measured>,
    pub(super) repeats: Vec<Again>,
    #[serde(skip_deserializing)]
    summary: BTreeMap<&'static str, Option<Stands>>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Failed {
    pub(super) round: usize,
    pub(super) reason: String,
    pub(super) output: Vec<String>,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Again {
    pub(super) round: usize,
    pub(super) what: String,
    pub(super) attempt: Option<usize>,
    pub(super) reason: String,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Measured {
    pub(super) round: usize,
    pub(super) messages: u64,
    pub(super) due: u64,
    #[serde(skip_deserializing)]
    in_vain: u64,
    pub(super) in_vain_longest_us: Option<f64>,
    pub(super) messages_per_s: f64,
    #[serde(skip_deserializing)]
    percentiles_up_to: Option<f64>,
    pub(super) latency_us: Latencies,
    pub(super) cpu_us_per_message: Option<f64>,
    pub(super) server_core: Option<f64>,
    pub(super) generator_core: f64,
    pub(super) generator_idle_polling_core: Option<f64>,
    pub(super) others_on_server_core: Option<f64>,
    pub(super) others_on_generator_core: Option<f64>,
    pub(super) memory_per_idle_connection: Option<f64>,
    pub(super) doubts: Vec<String>,
    pub(super) errors: BTreeMap<String, u64>,
    pub(super) lost: u64,
}

#[derive(Serialize, Deserialize)]
pub(super) struct Latencies {
    pub(super) p50: f64,
    pub(super) p95: f64,
    pub(super) p99: f64,
    pub(super) p999: f64,
}

#[derive(Serialize)]
struct Stands {
    #[serde(flatten)]
    range: Range,
    ratio: Option<Range>,
    verdict: Option<&'static str>,
}

#[derive(Serialize)]
struct Range {
    median: f64,
    min: f64,
    max: f64,
}

/// The comparison as one JSON object, with a line break at its end.
pub fn render(comparison: &Comparison) -> serde_json::Result<String> {
    let first = comparison.servers.first();
    let document = Document {
        version: VERSION,
        kind: KIND.to_owned(),
        interrupted: comparison.is_interrupted,
        rounds: comparison.rounds,
        repeated_rounds: comparison.repeated_rounds(),
        transport: comparison.transport.clone(),
        pinning: comparison.pinning.clone().map(|(server, generator)| Pinned { server, generator }),
        idle_connections: comparison.idle_connections,
        silent_connections: comparison.silent_connections,
        latency_until: if comparison.ends_with_first_bytes() { Until::FirstBytes } else { Until::WholeReply },
        conditions: comparison.conditions.clone(),
        servers: comparison
            .servers
            .iter()
            .enumerate()
            .map(|(index, compared)| server(compared, first.filter(|_| index > 0)))
            .collect(),
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

fn server(compared: &Compared, first: Option<&Compared>) -> Server {
    let summary = Metric::ALL.map(|metric| (name(metric), stands(metric, &compared.standing(metric, first))));
    Server {
        name: compared.name.clone(),
        command: compared.command.clone(),
        failure: compared.failure.clone().map(|failure| Failed {
            round: failure.round,
            reason: failure.reason,
            output: failure.output,
        }),
        rounds: compared.rounds.iter().map(measured).collect(),
        repeats: compared.repeats.iter().map(again).collect(),
        summary: summary.into_iter().collect(),
    }
}

fn again(repeat: &Repeat) -> Again {
    let attempt = match repeat.what {
        Repeated::Round { attempt } => Some(attempt),
        Repeated::Start => None,
    };
    Again { round: repeat.round, what: repeat.what.name().to_owned(), attempt, reason: repeat.reason.clone() }
}

fn measured(round: &Round) -> Measured {
    let us = |nanoseconds: u64| nanoseconds as f64 / 1e3;
    Measured {
        round: round.number,
        messages: round.messages,
        due: round.due,
        in_vain: round.in_vain(),
        in_vain_longest_us: round.longest_in_vain.map(|time| time.as_secs_f64() * 1e6),
        messages_per_s: round.messages_per_second,
        percentiles_up_to: highest_told(round.messages),
        latency_us: Latencies { p50: us(round.p50), p95: us(round.p95), p99: us(round.p99), p999: us(round.p999) },
        cpu_us_per_message: round.cpu_per_message.map(|time| time / 1e3),
        server_core: round.server_share,
        generator_core: round.generator_share,
        generator_idle_polling_core: round.idle_polling_share,
        others_on_server_core: round.others.map(|(server, _)| server),
        others_on_generator_core: round.others.map(|(_, generator)| generator),
        memory_per_idle_connection: round.idle_memory,
        doubts: round.doubts.clone(),
        errors: round.errors.clone(),
        lost: round.lost,
    }
}

fn stands(metric: Metric, standing: &Standing) -> Option<Stands> {
    // Times are nanoseconds inside and microseconds here.
    let scale = match metric {
        Metric::MessagesPerSecond | Metric::IdleMemory => 1.0,
        Metric::P50 | Metric::P99 | Metric::P999 | Metric::CpuPerMessage => 1e-3,
    };
    let range = |summary: Summary, scale: f64| Range {
        median: summary.median * scale,
        min: summary.min * scale,
        max: summary.max * scale,
    };
    Some(Stands {
        range: range(standing.summary?, scale),
        ratio: standing.ratio.map(|ratio| range(ratio, 1.0)),
        verdict: standing.verdict.map(|verdict| verdict.name()),
    })
}

fn name(metric: Metric) -> &'static str {
    match metric {
        Metric::MessagesPerSecond => "messages_per_s",
        Metric::P50 => "p50_us",
        Metric::P99 => "p99_us",
        Metric::P999 => "p999_us",
        Metric::CpuPerMessage => "cpu_us_per_message",
        Metric::IdleMemory => "memory_per_idle_connection",
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::measure::compare::comparison::Failure;
    use crate::measure::compare::samples::{comparison, server};

    #[test]
    fn the_fields_are_those_that_are_documented() {
        let rates = [100.0, 110.0, 105.0, 102.0, 103.0];
        let mut failed = server("failed", &[200.0]);
        let output = vec!["oh no".to_owned()];
        failed.failure = Some(Failure { round: 2, reason: "it ended".to_owned(), output });
        let mut one = server("one", &rates);
        let repeat = |what, reason: &str| Repeat { round: 2, what, reason: reason.to_owned() };
        one.repeats =
            vec![repeat(Repeated::Start, "it was slow"), repeat(Repeated::Round { attempt: 1 }, "it was late")];
        let servers = vec![one, server("other", &rates), failed];
        let text = render(&comparison(servers)).unwrap();
        let value: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(value["version"], VERSION);
        assert_eq!(value["kind"], "comparison");
        assert_eq!(value["pinning"], json!({"server": [0], "generator": [1]}));
        assert_eq!(value["conditions"]["options"]["connections"], "50");
        let [one, other, failed] = [0, 1, 2].map(|index| &value["servers"][index]);
        assert_eq!(one["failure"], Value::Null);
        let start = json!({"round": 2, "what": "start", "attempt": null, "reason": "it was slow"});
        assert_eq!(
            one["repeats"],
            json!([start, {"round": 2, "what": "round", "attempt": 1, "reason": "it was late"}])
        );
        assert_eq!((&value["repeated_rounds"], &other["repeats"]), (&json!(1), &json!([])));
        assert_eq!(one["rounds"][1]["messages_per_s"], 110.0);
        assert_eq!(one["rounds"][0]["latency_us"], json!({"p50": 5e5, "p95": 7.5e5, "p99": 1e6, "p999": 2e6}));
        assert_eq!(one["rounds"][0]["percentiles_up_to"], 99.9);
        assert_eq!((&one["rounds"][0]["due"], &one["rounds"][0]["in_vain"]), (&json!(5_000), &json!(0)));
        assert_eq!(one["rounds"][0]["cpu_us_per_message"], 1e4);
        assert_eq!(one["rounds"][0]["generator_idle_polling_core"], Value::Null, "it slept");
        assert_eq!(one["summary"]["messages_per_s"]["ratio"], Value::Null);
        let expected = json!({
            "median": 103.0, "min": 100.0, "max": 110.0,
            "ratio": {"median": 1.0, "min": 1.0, "max": 1.0}, "verdict": "no difference shown",
        });
        assert_eq!(other["summary"]["messages_per_s"], expected);
        assert_eq!(failed["failure"], json!({"round": 2, "reason": "it ended", "output": ["oh no"]}));
        assert_eq!(failed["summary"]["p50_us"]["verdict"], "too few rounds");
        let documented = include_str!("json.rs");
        for field in value
            .as_object()
            .unwrap()
            .keys()
            .chain(one.as_object().unwrap().keys())
            .chain(one["rounds"][0].as_object().unwrap().keys())
        {
            let is_told = [format!("`{field}`"), format!("`{field} {{")].iter().any(|name| documented.contains(name));
            assert!(is_told, "{field}");
        }
    }
    #[test]
    fn times_are_microseconds_and_memory_is_bytes() {
        let value: Value =
            serde_json::from_str(&render(&comparison(vec![server("one", &[100.0, 200.0])])).unwrap()).unwrap();
        let summary = &value["servers"][0]["summary"];
        for (figure, min, max) in [("p50_us", 250e3, 500e3), ("cpu_us_per_message", 5e3, 10e3)] {
            let near =
                |field: &str, expected: f64| (summary[figure][field].as_f64().unwrap() / expected - 1.0).abs() < 1e-9;
            assert!(near("min", min) && near("max", max) && near("median", (min + max) / 2.0), "{}", summary[figure]);
        }
        assert_eq!(summary["memory_per_idle_connection"]["median"], 130.0);
    }
}
