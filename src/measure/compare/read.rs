//! A comparison, read back from its JSON: a file that anybody may have written.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::measure::compare::comparison::{Compared, Comparison, Failure, Repeat, Repeated};
use crate::measure::compare::json::{Again, Document, KIND, Measured, Server, VERSION};
use crate::measure::compare::round::Round;
use crate::measure::report::conditions::Conditions;
use crate::measure::report::visible::{shortened, visible};

/// The longest name, in characters: it heads a column.
const NAME_MAX: usize = 20;

/// Tables and pictures are made for people: a comparison with more servers, or more of anything of one of them, is
/// none.
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
    let document: Document = serde_json::from_slice(bytes).map_err(|error| format!("is no comparison: {error}"))?;
    if document.kind != KIND {
        return Err(format!("is no comparison, but a {}", document.kind));
    }
    if document.version != VERSION {
        return Err(format!("is a comparison of version {}: this program knows version {VERSION}", document.version));
    }
    comparison(document).map_err(|reason| format!("is no comparison that can be true: {reason}"))
}

fn comparison(document: Document) -> Result<Comparison, String> {
    let rounds = document.rounds;
    if rounds > LIST_MAX || !(1..=SERVERS_MAX).contains(&document.servers.len()) {
        return Err(format!("it has {rounds} rounds of {} servers", document.servers.len()));
    }
    let pinning = document.pinning.map(|pinned| (pinned.server, pinned.generator));
    check_list("pinning", pinning.as_ref().map_or(0, |(server, generator)| server.len().max(generator.len())))?;
    Ok(Comparison {
        conditions: conditions(document.conditions),
        transport: visible(&document.transport),
        pinning,
        rounds,
        idle_connections: document.idle_connections,
        silent_connections: document.silent_connections,
        is_interrupted: document.interrupted,
        servers: document.servers.into_iter().map(|shown| server(shown, rounds)).collect::<Result<_, _>>()?,
    })
}

fn conditions(told: Conditions) -> Conditions {
    let options = told.options.iter().map(|(flag, value)| (visible(flag), visible(value)));
    Conditions {
        command: visible(&told.command),
        program: visible(&told.program),
        host: visible(&told.host),
        kernel: visible(&told.kernel),
        cpu: told.cpu.as_deref().map(visible),
        began: visible(&told.began),
        options: options.collect(),
        ..told
    }
}

fn server(shown: Server, rounds: usize) -> Result<Compared, String> {
    check_list("rounds", shown.rounds.len())?;
    check_list("repeats", shown.repeats.len())?;
    let failure = shown.failure.map(|failure| {
        check_list("output", failure.output.len())?;
        let output = failure.output.iter().map(|line| visible(line)).collect();
        Ok::<_, String>(Failure { round: failure.round, reason: visible(&failure.reason), output })
    });
    let mut measured: Vec<Round> = Vec::new();
    for told in shown.rounds {
        let round = round(told)?;
        let is_next = measured.last().is_none_or(|last| last.number < round.number);
        if !is_next || !(1..=rounds).contains(&round.number) {
            return Err(format!("there is a round {} of {rounds}, or it is not in order", round.number));
        }
        measured.push(round);
    }
    Ok(Compared {
        name: shortened(&shown.name, NAME_MAX),
        command: visible(&shown.command),
        rounds: measured,
        repeats: repeats(&shown.repeats)?,
        failure: failure.transpose()?,
    })
}

fn repeats(told: &[Again]) -> Result<Vec<Repeat>, String> {
    let mut rounds: BTreeMap<usize, usize> = BTreeMap::new();
    let mut repeat = |again: &Again| {
        let what = match again.what.as_str() {
            "start" => Repeated::Start,
            "round" => {
                // Older files do not tell which attempt it was.
                let before = rounds.entry(again.round).or_default();
                *before += 1;
                Repeated::Round { attempt: again.attempt.unwrap_or(*before) }
            }
            other => return Err(format!("'{other}' was repeated")),
        };
        Ok(Repeat { round: again.round, what, reason: visible(&again.reason) })
    };
    told.iter().map(&mut repeat).collect()
}

fn round(told: Measured) -> Result<Round, String> {
    check_list("doubts", told.doubts.len().max(told.errors.len()))?;
    for count in [told.messages, told.due, told.lost].into_iter().chain(told.errors.values().copied()) {
        if count > COUNT_MAX {
            return Err(format!("it has counted up to {count}: nobody has"));
        }
    }
    let nanoseconds = |name, us: f64| within(name, us, &TIME_US).map(|us| (us * 1e3).round() as u64);
    let optional = |name, value: Option<f64>, bounds| value.map(|value| within(name, value, bounds)).transpose();
    let latency = told.latency_us;
    let longest = optional("in_vain_longest_us", told.in_vain_longest_us, &TIME_US)?;
    let others_on_server = optional("others_on_server_core", told.others_on_server_core, &CORES)?;
    let others_on_generator = optional("others_on_generator_core", told.others_on_generator_core, &CORES)?;
    Ok(Round {
        number: told.round,
        messages: told.messages,
        due: told.due,
        longest_in_vain: longest.map(|us| Duration::from_secs_f64(us / 1e6)),
        messages_per_second: within("messages_per_s", told.messages_per_s, &RATE)?,
        p50: nanoseconds("p50", latency.p50)?,
        p95: nanoseconds("p95", latency.p95)?,
        p99: nanoseconds("p99", latency.p99)?,
        p999: nanoseconds("p999", latency.p999)?,
        cpu_per_message: optional("cpu_us_per_message", told.cpu_us_per_message, &TIME_US)?.map(|us| us * 1e3),
        server_share: optional("server_core", told.server_core, &CORES)?,
        generator_share: within("generator_core", told.generator_core, &CORES)?,
        idle_polling_share: optional("generator_idle_polling_core", told.generator_idle_polling_core, &CORES)?,
        others: others_on_server.zip(others_on_generator),
        idle_memory: optional("memory_per_idle_connection", told.memory_per_idle_connection, &MEMORY)?,
        doubts: told.doubts.iter().map(|doubt| visible(doubt)).collect(),
        errors: told.errors.iter().map(|(name, count)| (visible(name), *count)).collect(),
        lost: told.lost,
    })
}

fn within(name: &str, value: f64, bounds: &RangeInclusive<f64>) -> Result<f64, String> {
    let is_minus_nothing = value == 0.0 && value.is_sign_negative();
    if bounds.contains(&value) && !is_minus_nothing { Ok(value) } else { Err(format!("{name} is {value}")) }
}

fn check_list(name: &str, length: usize) -> Result<(), String> {
    if length <= LIST_MAX { Ok(()) } else { Err(format!("{name} has {length} entries")) }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::measure::compare::round::doubt_in_words;
    use crate::measure::compare::samples::{comparison, server};
    use crate::measure::compare::{html, json, table};
    use crate::measure::load::outcome::Doubt;

    fn all() -> Comparison {
        let rates = [100.0, 110.3, 105.0, 102.0, 103.7];
        let mut doubtful = server("doubtful", &rates);
        doubtful.rounds[1].doubts.push(doubt_in_words(Doubt::Saturated(0.99)));
        let repeat = |what| Repeat { round: 2, what, reason: "of that".to_owned() };
        doubtful.repeats = vec![
            repeat(Repeated::Round { attempt: 1 }),
            repeat(Repeated::Start),
            repeat(Repeated::Round { attempt: 3 }),
        ];
        let mut troubled = server("troubled", &[231.0, 222.0, 213.0, 204.0]);
        troubled.rounds[0].errors = [("reset".to_owned(), 3), ("connect-timeout".to_owned(), 2)].into();
        troubled.rounds[1].lost = 4;
        troubled.rounds[2].longest_in_vain = Some(Duration::from_millis(1_250));
        troubled.rounds[2].due += 7;
        troubled.rounds[3].others = Some((0.5, 0.0));
        troubled.rounds[3].idle_memory = None;
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
            ("/servers/1/repeats/0/what", json!("nothing"), "'nothing' was repeated"),
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
