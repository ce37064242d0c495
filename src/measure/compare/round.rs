//! What one round has shown of one server.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::outcome::{Doubt, Mismatch, Outcome};
use crate::measure::processes::usage::CpuUse;
use crate::measure::report::advice;
use crate::protocol::escape::Escaped;

/// The share of its processors from which on a server counts as busy: then it was the bottleneck, whatever this program
/// was.
const BUSY: f64 = Outcome::SERVER_CORE;

/// What was metered while load ran.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Metered {
    /// What the server used while load was measured; `None` if nothing is known of it.
    pub cpu: Option<CpuUse>,
    /// How many of the server's processors and of this program's were busy, with any process; `None` if nothing is
    /// pinned.
    pub busy: Option<(f64, f64)>,
}

/// What one round has shown of one server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Round {
    /// Which round it was, counted from 1.
    #[serde(rename = "round")]
    pub number: usize,
    /// Messages that were measured.
    pub messages: u64,
    /// Messages that were due in the measured time: those that were not answered are in no latency.
    pub due: u64,
    /// How long the one of those waited that waited longest; `None` if all were answered, or it is not known.
    pub in_vain_longest_us: Option<f64>,
    /// Replies a second.
    pub messages_per_s: f64,
    /// Percentiles of the latencies.
    pub latency_us: Percentiles,
    /// The server's CPU time a message; `None` if it is not known.
    pub cpu_us_per_message: Option<f64>,
    /// How much of a core the server used, more than 1 where it used several.
    pub server_core: Option<f64>,
    /// How much of a core this program used, 0 to 1.
    pub generator_core: f64,
    /// How much of a core this program polled for nothing, 0 to 1; `None` if it sleeps.
    pub generator_idle_polling_core: Option<f64>,
    /// How much of the server's processors others used, in cores; `None` if nothing was pinned.
    pub others_on_server_core: Option<f64>,
    /// How much of this program's processors others used, in cores; `None` if nothing was pinned.
    pub others_on_generator_core: Option<f64>,
    /// The server's memory an idle connection in bytes; `None` if it was not measured.
    pub memory_per_idle_connection: Option<f64>,
    /// Why the figures may tell of this program and not of the server, in words.
    pub doubts: Vec<String>,
    /// What went wrong, by the name of its kind; datagrams that were lost are told apart.
    pub errors: BTreeMap<String, u64>,
    /// Datagrams whose reply did not come in time.
    pub lost: u64,
}

/// Percentiles of latencies: 50, 95, 99 and 99.9, in microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[allow(missing_docs, reason = "their names say it")]
pub struct Percentiles {
    pub p50: f64,
    pub p95: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Round {
    /// The figures of a run against a server that could use this number of `processors`, and what was metered
    /// meanwhile. An error says why they count for nothing: a reply was wrong, or there was none.
    pub fn of(number: usize, outcome: &Outcome, metered: &Metered, processors: usize) -> Result<Round, String> {
        if let Some(mismatch) = &outcome.mismatch {
            let shown = |bytes: &[u8]| Escaped(&String::from_utf8_lossy(&bytes[..bytes.len().min(40)])).to_string();
            let Mismatch { connection, message, offset, .. } = mismatch;
            let (got, expected) = (shown(&mismatch.got), shown(&mismatch.expected));
            let place = format!("message {message} on connection {connection}, from byte {offset} on");
            return Err(format!("a reply was wrong: {place}: '{got}' came, and not '{expected}'"));
        }
        if outcome.corrupt.is_some_and(|count| count > 0) {
            return Err("replies were wrong".to_owned());
        }
        let rate = outcome.messages_per_second();
        if outcome.messages == 0 || rate == 0.0 {
            return Err(match errors_in_words(&named(&outcome.errors)) {
                words if words.is_empty() => "no message was answered in the measured time".to_owned(),
                words if outcome.errors.keys().all(|kind| kind.is_own_limit()) => {
                    format!("not the server's fault, but this program's, which could not connect: {words}")
                }
                words => format!("no message was answered in the measured time: {words}"),
            });
        }
        let server_core = metered.cpu.map(|used| used.share());
        let is_busy = server_core.is_some_and(|share| share >= BUSY * processors.max(1) as f64);
        let mut doubts = outcome.doubts();
        doubts.retain(|doubt| !(is_busy && matches!(doubt, Doubt::Saturated(_))));
        let others_of = |busy: f64, own: f64| (busy - own).max(0.0);
        let at = |quantile| outcome.latency.value_at_quantile(quantile) as f64 / 1e3;
        Ok(Round {
            number,
            messages: outcome.messages,
            due: outcome.due,
            in_vain_longest_us: outcome.longest_in_vain.map(|time| time.as_secs_f64() * 1e6),
            messages_per_s: rate,
            latency_us: Percentiles { p50: at(0.5), p95: at(0.95), p99: at(0.99), p999: at(0.999) },
            // Rates, not sums: the time between the readings is not quite the measured time (see `meter.rs`).
            cpu_us_per_message: server_core.map(|share| share * 1e6 / rate),
            server_core,
            generator_core: outcome.core_share(),
            generator_idle_polling_core: outcome.idle_polling_share(),
            others_on_server_core: metered.busy.map(|(server, _)| others_of(server, server_core.unwrap_or(0.0))),
            others_on_generator_core: metered.busy.map(|(_, generator)| others_of(generator, outcome.core_share())),
            memory_per_idle_connection: None,
            doubts: doubts.into_iter().map(doubt_in_words).collect(),
            errors: named(&outcome.errors),
            lost: outcome.lost.unwrap_or(0),
        })
    }

    /// How much others used of a processor, of the server's or of this program's: the larger share.
    pub fn others(&self) -> Option<f64> {
        Some(self.others_on_server_core?.max(self.others_on_generator_core?))
    }

    /// Messages that were due and never answered.
    pub fn in_vain(&self) -> u64 {
        self.due.saturating_sub(self.messages)
    }

    /// What speaks against the figures, and what went wrong, in words; `None` if nothing does.
    pub fn remark(&self) -> Option<String> {
        let mut words = self.doubts.clone();
        if self.in_vain() > 0 {
            let waited = self.in_vain_longest_us.map(|us| Duration::from_secs_f64(us / 1e6));
            let waited = waited.map_or(String::new(), |longest| format!(", for up to {longest:.2?}"));
            words.push(format!(
                "latencies are of {} of {} messages: the others waited in vain{waited}",
                self.messages, self.due
            ));
        }
        if self.lost > 0 {
            words.push(format!("{} datagrams were lost", self.lost));
        }
        if !self.errors.is_empty() {
            words.push(format!("errors: {}", errors_in_words(&self.errors)));
        }
        if words.is_empty() { None } else { Some(words.join("; ")) }
    }
}

/// A doubt in words.
pub(crate) fn doubt_in_words(doubt: Doubt) -> String {
    match doubt {
        Doubt::LateSends(share) => format!("{:.1} % of the messages left late", share * 100.0),
        Doubt::HeldBack(share) => {
            let percent = share * 100.0;
            format!("{percent:.1} % of the messages waited for connections that the generator opens after a pause")
        }
        Doubt::Saturated(share) => {
            format!("the generator used {:.0} % of its core and the server was not seen to be busy", share * 100.0)
        }
        Doubt::Unopened { missing, asked } => format!("{missing} of {asked} connections were not there"),
        Doubt::OwnLimit(count) => format!("{count} sockets could not be opened because of a limit of this machine"),
        Doubt::Surplus(surplus) => {
            format!("{} bytes came that no message waited for, so latencies are too short", surplus.bytes)
        }
    }
}

fn named(errors: &BTreeMap<ErrorKind, u64>) -> BTreeMap<String, u64> {
    errors.iter().map(|(kind, count)| (kind.reported(), *count)).collect()
}

/// Errors in words, in the order in which a run's are told.
fn errors_in_words(errors: &BTreeMap<String, u64>) -> String {
    let mut errors: Vec<_> = errors.iter().collect();
    errors.sort_by_key(|(name, _)| advice::rank(name));
    errors.iter().map(|(name, count)| format!("{name} {count}")).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
pub(super) mod tests {
    use hdrhistogram::Histogram;

    use super::*;

    /// A run of two seconds in which every message took 50 µs.
    pub(in crate::measure::compare) fn outcome(messages: u64) -> Outcome {
        let mut latency = Histogram::new(3).unwrap();
        latency.record_n(50_000, messages).unwrap();
        Outcome {
            duration: Duration::from_secs(2),
            connections: 1,
            unopened: 0,
            messages,
            replies_in_time: messages,
            reply_bytes_in_time: 64 * messages,
            send_latency: latency.clone(),
            latency,
            corrupt: Some(0),
            due: messages,
            sent: messages,
            generator_cpu: Duration::from_millis(500),
            ..Outcome::nothing(false)
        }
    }

    fn used(cpu_ms: u64, wall_ms: u64) -> Metered {
        let cpu = CpuUse { cpu: Duration::from_millis(cpu_ms), wall: Duration::from_millis(wall_ms) };
        Metered { cpu: Some(cpu), busy: None }
    }

    const UNKNOWN: Metered = Metered { cpu: None, busy: None };

    #[test]
    fn cpu_time_a_message_is_a_quotient_of_rates() {
        // 10,000 messages a second, and half a core.
        let figure = |metered| Round::of(1, &outcome(20_000), &metered, 1).unwrap().cpu_us_per_message;
        assert_eq!(figure(used(1000, 2000)), Some(50.0));
        assert_eq!(figure(used(1050, 2100)), Some(50.0), "wherever the readings were made");
        assert_eq!(figure(UNKNOWN), None);
        let round = Round::of(1, &outcome(20_000), &used(1000, 2000), 1).unwrap();
        assert_eq!((round.messages_per_s, round.generator_core), (10_000.0, 0.25));
        assert!((round.latency_us.p50 - 50.0).abs() < 0.1 && (round.latency_us.p999 - 50.0).abs() < 0.1);
        assert_eq!(round.remark(), None);
    }

    #[test]
    fn of_how_many_messages_the_figures_are_is_remarked_where_it_is_not_all() {
        let lossy = Outcome { due: 20_020, longest_in_vain: Some(Duration::from_millis(1_250)), ..outcome(20_000) };
        let round = Round::of(1, &lossy, &UNKNOWN, 1).unwrap();
        assert_eq!(
            round.remark().unwrap(),
            "latencies are of 20000 of 20020 messages: the others waited in vain, for up to 1.25s"
        );
        assert_eq!((round.in_vain(), Round::of(1, &outcome(5), &UNKNOWN, 1).unwrap().in_vain()), (20, 0));
    }

    #[test]
    fn what_is_neither_the_servers_nor_this_programs_is_others() {
        let others = |server, generator| {
            let metered = Metered { busy: Some((server, generator)), ..used(1000, 2000) };
            let round = Round::of(1, &outcome(20_000), &metered, 1).unwrap();
            round.others_on_server_core.zip(round.others_on_generator_core)
        };
        assert_eq!(others(0.75, 1.0), Some((0.25, 0.75)));
        assert_eq!(others(0.4, 0.2), Some((0.0, 0.0)), "ticks are coarse");
    }

    #[test]
    fn a_saturated_generator_is_a_doubt_unless_the_server_was_busy_too() {
        let mut saturated = outcome(20_000);
        saturated.generator_cpu = Duration::from_millis(1990);
        let doubts = |metered, processors| Round::of(1, &saturated, &metered, processors).unwrap().doubts.len();
        assert_eq!(doubts(used(1000, 2000), 1), 1);
        assert_eq!(doubts(used(1950, 2000), 1), 0);
        assert_eq!(doubts(used(1950, 2000), 2), 1, "it had another processor");
        assert_eq!(doubts(UNKNOWN, 1), 1);
        let polling = Outcome { idle_polling: Some(Duration::from_secs(1)), ..saturated };
        let round = Round::of(1, &polling, &Metered { busy: Some((0.5, 1.0)), ..used(1000, 2000) }, 1).unwrap();
        assert_eq!(
            (round.doubts.len(), round.generator_idle_polling_core),
            (0, Some(0.5)),
            "it waited half of the time"
        );
        assert!(round.others_on_generator_core.unwrap() < 0.01, "what it polled for nothing is not others' work");
        let mut late = outcome(20_000);
        late.late = 1000;
        let round = Round::of(1, &late, &used(1990, 2000), 1).unwrap();
        assert_eq!(round.remark().unwrap(), "5.0 % of the messages left late");
    }

    #[test]
    fn a_wrong_reply_or_none_counts_for_nothing() {
        let mut none = outcome(0);
        none.errors.insert(ErrorKind::Reset, 3);
        assert_eq!(
            Round::of(1, &none, &UNKNOWN, 1).unwrap_err(),
            "no message was answered in the measured time: reset 3"
        );
        none.errors = [(ErrorKind::NoPort, 20)].into();
        let reason = Round::of(1, &none, &UNKNOWN, 1).unwrap_err();
        assert!(reason.contains("not the server's fault") && reason.ends_with("no-port 20"), "{reason}");
        let mut wrong = outcome(20_000);
        wrong.mismatch = Some(Mismatch {
            connection: 2,
            message: 7,
            offset: 3,
            expected: b"abc".to_vec(),
            got: b"\x1b[2J".to_vec(),
        });
        let reason = Round::of(1, &wrong, &UNKNOWN, 1).unwrap_err();
        assert!(
            reason.contains("message 7 on connection 2, from byte 3 on: '\\u{1b}[2J' came, and not 'abc'"),
            "{reason}"
        );
        let mut corrupt = outcome(20_000);
        corrupt.corrupt = Some(1);
        assert!(Round::of(1, &corrupt, &UNKNOWN, 1).is_err());
    }
    #[test]
    fn replies_that_all_came_too_late_are_no_figures() {
        let late = Outcome { replies_in_time: 0, ..outcome(5) };
        let reason = Round::of(1, &late, &UNKNOWN, 1).unwrap_err();
        assert_eq!(reason, "no message was answered in the measured time");
    }

    #[test]
    fn what_was_lost_and_what_went_wrong_is_remarked() {
        let mut bad = Outcome { lost: Some(3), ..outcome(20_000) };
        bad.errors.insert(ErrorKind::Reset, 2);
        let round = Round::of(1, &bad, &UNKNOWN, 1).unwrap();
        assert_eq!(round.remark().unwrap(), "3 datagrams were lost; errors: reset 2");
    }
}
