//! A comparison, read back from its JSON: a file that anybody may have written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Deserialize;

use crate::measure::compare::comparison::Comparison;
use crate::measure::compare::json::{KIND, VERSION};
use crate::measure::compare::repeats::{Repeat, Repeated};
use crate::measure::compare::round::{Percentiles, Round};
use crate::measure::report::conditions::Conditions;
use crate::measure::report::visible::{shortened, visible};

/// The longest name, in characters: it heads a column.
const NAME_MAX: usize = 20;

/// Tables and pictures are made for people: a comparison with more servers, or longer lists, is refused.
const SERVERS_MAX: usize = 100;
const LIST_MAX: usize = 100_000;

/// Counts above it are not exact in JSON.
const COUNT_MAX: u64 = 1 << 53;

/// Bounds of figures, far beyond what was ever measured, within which all that is derived from them is a number.
const RATE: RangeInclusive<f64> = 1e-9..=1e15;
const TIME_US: RangeInclusive<f64> = 0.0..=1e15;
const CORES: RangeInclusive<f64> = 0.0..=1e6;
const MEMORY: RangeInclusive<f64> = -1e18..=1e18;

/// Reads what [`render`](crate::measure::compare::json::render) has written. The error says why it is no comparison; it
/// may hold words of the file, so escape it. What the comparison holds is escaped already.
pub fn read(bytes: &[u8]) -> Result<Comparison, String> {
    let no_comparison = |error: serde_json::Error| format!("is no comparison: {error}");
    let header: Preamble = serde_json::from_slice(bytes).map_err(no_comparison)?;
    if header.kind != KIND {
        return Err(format!("is no comparison, but a {}", header.kind));
    }
    if header.version != VERSION {
        return Err(format!("is a comparison of version {}: this program knows version {VERSION}", header.version));
    }
    let mut comparison: Comparison = serde_json::from_slice(bytes).map_err(no_comparison)?;
    check(&comparison).map_err(|reason| format!("is no comparison that can be true: {reason}"))?;
    escape(&mut comparison);
    comparison.servers.iter_mut().for_each(|server| complete(&mut server.repeats));
    Ok(comparison)
}

#[derive(Deserialize)]
struct Preamble {
    version: u64,
    kind: String,
}

/// Whether its figures can be true, and can all be shown.
fn check(comparison: &Comparison) -> Result<(), String> {
    let rounds = comparison.rounds;
    if rounds > LIST_MAX || !(1..=SERVERS_MAX).contains(&comparison.servers.len()) {
        return Err(format!("it has {rounds} rounds of {} servers", comparison.servers.len()));
    }
    let processors = comparison.pinning.as_ref().map_or(0, |both| both.server.len().max(both.generator.len()));
    check_list("pinning", processors)?;
    for server in &comparison.servers {
        check_list("rounds", server.rounds.len())?;
        check_list("repeats", server.repeats.len())?;
        check_list("output", server.failure.as_ref().map_or(0, |failure| failure.output.len()))?;
        let mut last = 0;
        for round in &server.rounds {
            check_round(round)?;
            if !(last + 1..=rounds).contains(&round.number) {
                return Err(format!("there is a round {} of {rounds}, or it is not in order", round.number));
            }
            last = round.number;
        }
    }
    Ok(())
}

fn check_round(round: &Round) -> Result<(), String> {
    check_list("doubts", round.doubts.len().max(round.errors.len()))?;
    let counts = [round.messages, round.due, round.lost].into_iter().chain(round.errors.values().copied());
    if let Some(count) = counts.into_iter().find(|count| *count > COUNT_MAX) {
        return Err(format!("it has counted up to {count}: nobody has"));
    }
    let Percentiles { p50, p95, p99, p999 } = round.latency_us;
    for (name, value, bounds) in [
        ("in_vain_longest_us", round.in_vain_longest_us, TIME_US),
        ("others_on_server_core", round.others_on_server_core, CORES),
        ("others_on_generator_core", round.others_on_generator_core, CORES),
        ("messages_per_s", Some(round.messages_per_s), RATE),
        ("p50", Some(p50), TIME_US),
        ("p95", Some(p95), TIME_US),
        ("p99", Some(p99), TIME_US),
        ("p999", Some(p999), TIME_US),
        ("cpu_us_per_message", round.cpu_us_per_message, TIME_US),
        ("server_core", round.server_core, CORES),
        ("generator_core", Some(round.generator_core), CORES),
        ("generator_idle_polling_core", round.generator_idle_polling_core, CORES),
        ("memory_per_idle_connection", round.memory_per_idle_connection, MEMORY),
    ] {
        let is_wrong = |value: &f64| !bounds.contains(value) || (*value == 0.0 && value.is_sign_negative());
        if let Some(value) = value.filter(is_wrong) {
            return Err(format!("{name} is {value}"));
        }
    }
    Ok(())
}

/// Takes the power over a terminal from all words of others.
fn escape(comparison: &mut Comparison) {
    let conditions = &mut comparison.conditions;
    let Conditions { command, program, host, kernel, began, .. } = conditions;
    for text in [command, program, host, kernel, began].into_iter().chain(&mut conditions.cpu) {
        *text = visible(text);
    }
    conditions.options = conditions.options.iter().map(|(flag, value)| (visible(flag), visible(value))).collect();
    comparison.transport = visible(&comparison.transport);
    for server in &mut comparison.servers {
        server.name = shortened(&server.name, NAME_MAX);
        let failed =
            server.failure.iter_mut().flat_map(|failure| failure.output.iter_mut().chain([&mut failure.reason]));
        let repeats = server.repeats.iter_mut().map(|repeat| &mut repeat.reason);
        let doubts = server.rounds.iter_mut().flat_map(|round| &mut round.doubts);
        for text in failed.chain(repeats).chain(doubts).chain([&mut server.command]) {
            *text = visible(text);
        }
        for round in &mut server.rounds {
            round.errors = round.errors.iter().map(|(name, count)| (visible(name), *count)).collect();
        }
    }
}

/// Older files do not tell which attempt it was.
fn complete(repeats: &mut [Repeat]) {
    let mut rounds: BTreeMap<usize, usize> = BTreeMap::new();
    for repeat in repeats.iter_mut().filter(|repeat| repeat.what == Repeated::Round) {
        let attempts = rounds.entry(repeat.round).or_default();
        *attempts += 1;
        repeat.attempt.get_or_insert(*attempts);
    }
}

fn check_list(name: &str, length: usize) -> Result<(), String> {
    if length <= LIST_MAX { Ok(()) } else { Err(format!("{name} has {length} entries")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::measure::compare::comparison::Failure;
    use crate::measure::compare::round::doubt_in_words;
    use crate::measure::compare::samples::{comparison, server};
    use crate::measure::compare::{html, json, table};
    use crate::measure::load::outcome::Doubt;

    fn all() -> Comparison {
        let rates = [100.0, 110.3, 105.0, 102.0, 103.7];
        let mut doubtful = server("doubtful", &rates);
        doubtful.rounds[1].doubts.push(doubt_in_words(Doubt::Saturated(0.99)));
        let repeat = |what, attempt| Repeat { round: 2, what, attempt, reason: "of that".to_owned() };
        doubtful.repeats =
            vec![repeat(Repeated::Round, Some(1)), repeat(Repeated::Start, None), repeat(Repeated::Round, Some(3))];
        let mut troubled = server("troubled", &[231.0, 222.0, 213.0, 204.0]);
        troubled.rounds[0].errors = [("reset".to_owned(), 3), ("connect-timeout".to_owned(), 2)].into();
        troubled.rounds[1].lost = 4;
        troubled.rounds[2].in_vain_longest_us = Some(1_250_000.0);
        troubled.rounds[2].due += 7;
        troubled.rounds[3].others_on_server_core = Some(0.5);
        troubled.rounds[3].memory_per_idle_connection = None;
        let output = vec!["oh\\u{1b} no".to_owned()];
        troubled.failure = Some(Failure { round: 5, reason: "it ended".to_owned(), output });
        let mut comparison = comparison(vec![server("plain", &rates), doubtful, troubled]);
        (comparison.silent_connections, comparison.is_interrupted) = (9, true);
        comparison
    }

    fn written(comparison: &Comparison) -> Value {
        serde_json::from_str(&json::render(comparison).unwrap()).unwrap()
    }

    #[test]
    fn what_was_written_is_read_and_told_in_the_same_words() {
        let mut unpinned = all();
        (unpinned.pinning, unpinned.conditions.cpu) = (None, None);
        for before in [all(), unpinned, comparison(vec![server("one", &[100.0])])] {
            let after = read(json::render(&before).unwrap().as_bytes()).unwrap();
            assert_eq!(table::render(&after), table::render(&before));
            assert_eq!(html::render(&after), html::render(&before));
            // A figure may differ in its last bit, which nobody is shown.
            let again = read(json::render(&after).unwrap().as_bytes()).unwrap();
            assert_eq!(table::render(&again), table::render(&before));
        }
    }

    #[test]
    fn a_file_from_before_attempts_were_told_is_read() {
        let mut old = written(&all());
        for again in old["servers"][1]["repeats"].as_array_mut().unwrap() {
            again.as_object_mut().unwrap().remove("attempt");
        }
        assert_eq!(read(old.to_string().as_bytes()).unwrap().repeated_rounds(), 2);
    }

    #[test]
    fn what_cannot_be_true_is_refused_with_the_reason() {
        for (path, value, words) in [
            ("/version", json!(2), "version 2"),
            ("/kind", json!("run"), "but a run"),
            ("/servers", json!([]), "of 0 servers"),
            ("/rounds", json!(1_000_000), "1000000 rounds"),
            ("/rounds", json!(2), "a round 3 of 2"),
            ("/servers/0/rounds/1/round", json!(1), "not in order"),
            ("/servers/0/rounds/1/round", json!(0), "a round 0"),
            ("/servers/0/rounds/1/messages", json!(1u64 << 60), "nobody has"),
            ("/servers/0/rounds/1/messages_per_s", json!(0.0), "messages_per_s is 0"),
            ("/servers/0/rounds/1/latency_us/p99", json!(-1.0), "p99 is -1"),
            ("/servers/0/rounds/1/latency_us/p99", json!(-0.0), "p99 is -0"),
            ("/servers/0/rounds/1/memory_per_idle_connection", json!(1e300), "memory_per_idle_connection is"),
            ("/servers/1/repeats/0/what", json!("nothing"), "unknown variant `nothing`"),
            ("/conditions", json!(null), "is no comparison"),
        ] {
            let mut changed = written(&all());
            *changed.pointer_mut(path).unwrap() = value;
            let error = read(changed.to_string().as_bytes()).unwrap_err();
            assert!(error.contains(words), "{path}: {error}");
        }
    }

    /// The places of all values in a document.
    fn places(value: &Value, place: String, found: &mut Vec<String>) {
        let inner: Vec<(String, &Value)> = match value {
            Value::Object(fields) => fields.iter().map(|(name, inner)| (name.clone(), inner)).collect(),
            Value::Array(entries) => entries.iter().enumerate().map(|(at, inner)| (at.to_string(), inner)).collect(),
            _ => return found.push(place),
        };
        inner.into_iter().for_each(|(name, inner)| places(inner, format!("{place}/{name}"), found));
    }

    #[test]
    fn whatever_stands_in_a_place_it_is_refused_or_can_be_shown() {
        let mut few = all();
        few.servers.remove(0);
        few.servers.iter_mut().for_each(|server| server.rounds.drain(2..).for_each(drop));
        let document = written(&few);
        let mut found = Vec::new();
        places(&document, String::new(), &mut found);
        assert!(found.len() > 100, "{}", found.len());
        let odd =
            [json!(null), json!(0), json!(-1), json!(1e-300), json!(1e300), json!(u64::MAX), json!(""), json!([])];
        let mut shown = 0;
        for place in &found {
            for value in &odd {
                let mut changed = document.clone();
                *changed.pointer_mut(place).unwrap() = value.clone();
                let Ok(comparison) = read(changed.to_string().as_bytes()) else { continue };
                shown += 1;
                table::render(&comparison);
                json::render(&comparison).unwrap();
                // Pictures take their time.
                if shown % 40 == 0 {
                    html::render(&comparison);
                }
            }
        }
        assert!(shown > 100, "{shown}");
    }

    #[test]
    fn words_of_the_file_have_no_power_where_they_are_shown() {
        let mut hostile = written(&all());
        let evil = json!("\x1b[2J\u{202e}evil\n");
        for path in [
            "/transport",
            "/conditions/command",
            "/conditions/program",
            "/conditions/kernel",
            "/conditions/cpu",
            "/conditions/began",
            "/conditions/options/expect",
            "/servers/1/name",
            "/servers/1/command",
            "/servers/1/rounds/1/doubts/0",
            "/servers/1/repeats/0/reason",
            "/servers/2/failure/reason",
            "/servers/2/failure/output/0",
        ] {
            *hostile.pointer_mut(path).unwrap_or_else(|| panic!("there is no {path}")) = evil.clone();
        }
        hostile["servers"][2]["rounds"][0]["errors"] = json!({"\x1b[2J": 7});
        let comparison = read(hostile.to_string().as_bytes()).unwrap();
        for shown in [table::render(&comparison), html::render(&comparison)] {
            assert!(!shown.contains(['\x1b', '\u{202e}']), "{shown}");
        }
        assert_eq!(comparison.servers[1].name.chars().count(), NAME_MAX);
    }
}
