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

use serde::Serialize;

use crate::measure::compare::comparison::{Compared, Comparison, Standing};
use crate::measure::compare::metric::Metric;
use crate::measure::compare::round::Round;
use crate::measure::report::Until;
use crate::measure::report::latencies::highest_told;

/// The version of the schema.
pub(crate) const VERSION: u64 = 1;

/// What tells its JSON from that of a run.
pub const KIND: &str = "comparison";

/// A comparison with all that follows from it.
#[derive(Serialize)]
struct Document<'a> {
    version: u64,
    kind: &'static str,
    #[serde(flatten)]
    comparison: &'a Comparison,
    repeated_rounds: usize,
    latency_until: Until,
    servers: Vec<ToldServer<'a>>,
}

#[derive(Serialize)]
struct ToldServer<'a> {
    #[serde(flatten)]
    server: &'a Compared,
    rounds: Vec<ToldRound<'a>>,
    summary: BTreeMap<&'static str, Option<Standing>>,
}

#[derive(Serialize)]
struct ToldRound<'a> {
    #[serde(flatten)]
    round: &'a Round,
    in_vain: u64,
    percentiles_up_to: Option<f64>,
}

/// The comparison as one JSON object, with a line break at its end.
pub fn render(comparison: &Comparison) -> serde_json::Result<String> {
    let round = |round| ToldRound { round, in_vain: round.in_vain(), percentiles_up_to: highest_told(round.messages) };
    let mut servers: Vec<ToldServer> = comparison
        .servers
        .iter()
        .map(|server| ToldServer {
            server,
            rounds: server.rounds.iter().map(round).collect(),
            summary: BTreeMap::new(),
        })
        .collect();
    for metric in Metric::ALL {
        for (server, standing) in servers.iter_mut().zip(comparison.standings(metric)) {
            server.summary.insert(metric.name(), Some(standing).filter(|standing| standing.summary.is_some()));
        }
    }
    let document = Document {
        version: VERSION,
        kind: KIND,
        comparison,
        repeated_rounds: comparison.repeated_rounds(),
        latency_until: if comparison.ends_with_first_bytes() { Until::FirstBytes } else { Until::WholeReply },
        servers,
    };
    Ok(serde_json::to_string_pretty(&document)? + "\n")
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::measure::compare::comparison::Failure;
    use crate::measure::compare::repeats::{Repeat, Repeated};
    use crate::measure::compare::samples::{comparison, server};

    #[test]
    fn the_fields_are_those_that_are_documented() {
        let rates = [100.0, 110.0, 105.0, 102.0, 103.0];
        let mut failed = server("failed", &[200.0]);
        let output = vec!["oh no".to_owned()];
        failed.failure = Some(Failure { round: 2, reason: "it ended".to_owned(), output });
        let mut one = server("one", &rates);
        let repeat = |what, attempt, reason: &str| Repeat { round: 2, what, attempt, reason: reason.to_owned() };
        one.repeats =
            vec![repeat(Repeated::Start, None, "it was slow"), repeat(Repeated::Round, Some(1), "it was late")];
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
