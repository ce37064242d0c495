//! What a comparison has shown.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize, Serializer};

use crate::measure::compare::command::ServerCommand;
use crate::measure::compare::metric::Metric;
use crate::measure::compare::pinning::Placement;
use crate::measure::compare::repeats::{Repeat, Repeated};
use crate::measure::compare::round::Round;
use crate::measure::compare::summary::Summary;
use crate::measure::compare::verdict::Verdict;
use crate::measure::report::conditions::Conditions;
use crate::measure::report::human;

/// The part of a processor that others may use before it is told.
const OTHERS_MAX: f64 = 0.1;

/// What a comparison has shown, and under which conditions.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Comparison {
    /// Whether it was ended before its time.
    #[serde(rename = "interrupted")]
    pub is_interrupted: bool,
    /// Rounds that were to be measured.
    pub rounds: usize,
    /// What carried the messages: tcp, udp, unix or unixgram.
    pub transport: String,
    /// The processors of the server and of this program; `None` if they were not pinned.
    pub pinning: Option<Placement>,
    /// Connections with which the memory of an idle one was measured; 0 where it was not.
    pub idle_connections: usize,
    /// Connections that were open and silent while load ran.
    pub silent_connections: usize,
    /// The machine, the command line and the load.
    pub conditions: Conditions,
    /// What each server has shown. The first is the one that the others are compared with.
    #[serde(skip_serializing)]
    pub servers: Vec<Compared>,
}

/// What one server has shown.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Compared {
    /// Its name.
    pub name: String,
    /// Its command as it was given.
    pub command: String,
    /// Why it was not measured any more.
    pub failure: Option<Failure>,
    /// What each round has shown; one that failed or was interrupted is not among them.
    #[serde(skip_serializing)]
    pub rounds: Vec<Round>,
    /// What was done again of its rounds, in order, and why.
    pub repeats: Vec<Repeat>,
}

/// Why a server was not measured any more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// The round, counted from 1.
    pub round: usize,
    /// The reason in words.
    pub reason: String,
    /// The last lines of what it wrote, escaped.
    pub output: Vec<String>,
}

/// One figure of one server beside the first one's.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Standing {
    /// Over all its rounds; `None` if it was not measured.
    #[serde(flatten)]
    pub summary: Option<Summary>,
    /// Its value by the first server's, within each round that both have; none for the first server itself, and where
    /// there is none.
    pub ratio: Option<Summary>,
    /// What that shows; none for the first server itself.
    #[serde(serialize_with = "name_of_verdict")]
    pub verdict: Option<Verdict>,
}

fn name_of_verdict<S: Serializer>(verdict: &Option<Verdict>, sink: S) -> Result<S::Ok, S::Error> {
    verdict.map(Verdict::name).serialize(sink)
}

impl Compared {
    /// Nothing yet.
    pub fn new(server: &ServerCommand) -> Compared {
        Compared {
            name: server.name.clone(),
            command: server.text.clone(),
            failure: None,
            rounds: Vec::new(),
            repeats: Vec::new(),
        }
    }

    /// What the round of this number has shown.
    pub fn round(&self, number: usize) -> Option<&Round> {
        self.rounds.iter().find(|round| round.number == number)
    }

    /// Whether it has not failed.
    pub(crate) fn is_fit(&self) -> bool {
        self.failure.is_none()
    }

    /// A figure's values, round by round.
    pub fn values(&self, metric: Metric) -> Vec<f64> {
        self.rounds.iter().filter_map(|round| metric.of(round)).collect()
    }

    /// Whether some round tells of this program and not of the server.
    pub fn is_doubtful(&self) -> bool {
        self.rounds.iter().any(|round| !round.doubts.is_empty())
    }

    /// A figure of this server beside `first`'s; there is no `first` for the first server itself.
    pub fn standing(&self, metric: Metric, first: Option<&Compared>) -> Standing {
        let values = self.values(metric);
        let summary = Summary::of(&values);
        let Some(first) = first else { return Standing { summary, ratio: None, verdict: None } };
        let ratios: Vec<f64> = self
            .rounds
            .iter()
            .filter_map(|round| {
                let other = first.round(round.number)?;
                Some(metric.of(round)? / metric.of(other)?)
            })
            .collect();
        let doubtful = metric.is_under_load() && (self.is_doubtful() || first.is_doubtful());
        let verdict = match doubtful {
            true => Verdict::Doubtful,
            false => Verdict::on(&first.values(metric), &values, metric.higher_is_better()),
        };
        let verdict = Some(verdict).filter(|_| summary.is_some());
        Standing { summary, ratio: Summary::of(&ratios), verdict }
    }
}

impl Comparison {
    /// Whether latencies end with the first bytes of a reply, because nothing says when it is whole.
    pub(crate) fn ends_with_first_bytes(&self) -> bool {
        self.conditions.ends_with_first_bytes()
    }

    /// What a figure is called here.
    pub fn title(&self, metric: Metric) -> String {
        match metric.title().strip_prefix("latency") {
            Some(rest) if self.ends_with_first_bytes() => format!("time to first bytes{rest}"),
            _ => metric.title().to_owned(),
        }
    }

    /// A figure of every server, in their order.
    pub(crate) fn standings(&self, metric: Metric) -> Vec<Standing> {
        let first = self.servers.first();
        let standings = self.servers.iter().enumerate();
        standings.map(|(index, server)| server.standing(metric, first.filter(|_| index > 0))).collect()
    }

    /// Whether a figure was measured at all.
    pub fn has(&self, metric: Metric) -> bool {
        self.servers.iter().any(|server| !server.values(metric).is_empty())
    }

    /// The servers that failed, and why.
    pub fn failures(&self) -> impl Iterator<Item = (&Compared, &Failure)> {
        self.servers.iter().filter_map(|server| Some((server, server.failure.as_ref()?)))
    }

    /// Whether any round tells of this program and not of its server.
    pub fn is_doubtful(&self) -> bool {
        self.servers.iter().any(Compared::is_doubtful)
    }

    /// How often a round was measured that does not count, because it told of this program.
    pub(crate) fn repeated_rounds(&self) -> usize {
        let repeats = self.servers.iter().flat_map(|server| &server.repeats);
        let attempts =
            repeats.filter(|repeat| repeat.what == Repeated::Round).map(|repeat| (repeat.round, repeat.attempt));
        attempts.collect::<BTreeSet<_>>().len()
    }

    /// What other processes took of the processors, in words, where it is more than [`OTHERS_MAX`] in some round.
    pub(crate) fn disturbance(&self) -> Option<String> {
        let rounds = self.servers.iter().flat_map(|server| server.rounds.iter().map(move |round| (server, round)));
        let taken = rounds.filter_map(|(server, round)| Some((round.others()?, server, round)));
        let taken: Vec<_> = taken.filter(|(share, ..)| *share > OTHERS_MAX).collect();
        let (share, server, round) = taken.iter().max_by(|one, other| one.0.total_cmp(&other.0))?;
        let (count, most, much) = (taken.len(), human::share(*share), human::share(OTHERS_MAX));
        Some(format!(
            "the machine was not quiet: in {count} of the rounds others used more than {much} of a processor, up to {most} ({}, \
             round {}); that makes ranges wide and figures bad",
            server.name, round.number
        ))
    }

    /// Remarks on single rounds: the server's name, and the words.
    pub fn remarks(&self) -> Vec<(&str, String)> {
        let of_server = |server: &'_ Compared| {
            let repeats = server.repeats.iter().map(|repeat| (repeat.round, repeat.in_words()));
            let rounds = server.rounds.iter().filter_map(|round| Some((round.number, round.remark()?)));
            let mut remarks: Vec<(usize, String)> = repeats.chain(rounds).collect();
            remarks.sort_by_key(|(number, _)| *number);
            remarks.into_iter().map(|(number, remark)| format!("round {number}: {remark}")).collect::<Vec<_>>()
        };
        self.servers
            .iter()
            .flat_map(|server| of_server(server).into_iter().map(|remark| (server.name.as_str(), remark)))
            .collect()
    }

    /// Where and how it was measured, as pairs of words.
    pub(crate) fn facts(&self) -> Vec<(&str, String)> {
        let conditions = &self.conditions;
        let list = |cpus: &[usize]| cpus.iter().map(usize::to_string).collect::<Vec<_>>().join(",");
        let options = conditions.options.iter().map(|(flag, value)| format!("{flag} {value}"));
        let cpu = conditions.cpu.as_deref().unwrap_or("unknown processor");
        let pinned = match &self.pinning {
            Some(Placement { server, generator }) => {
                format!("server on processor {}, generator on {}", list(server), list(generator))
            }
            None => "nothing: server and generator share the one processor there is, and each waits for the other"
                .to_owned(),
        };
        let mut facts = vec![
            ("load", format!("{}, {}", self.transport, options.collect::<Vec<_>>().join(", "))),
            ("machine", format!("{cpu}, {} processors, {}", conditions.cores, conditions.kernel)),
            ("pinned", pinned),
        ];
        if self.silent_connections > 0 {
            let words = "connections that were open and silent while load ran";
            facts.push(("beside", format!("{} {words}", self.silent_connections)));
        }
        if self.idle_connections > 0 {
            facts.push(("memory", format!("of {} idle connections, without the kernel's", self.idle_connections)));
        }
        facts.push(("command", conditions.command.clone()));
        facts.push(("began", format!("{}, {}", conditions.began, conditions.program)));
        facts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::compare::round::doubt_in_words;
    use crate::measure::compare::samples::{comparison, server};
    use crate::measure::load::outcome::Doubt;

    const SLOW: [f64; 5] = [100.0, 110.0, 105.0, 102.0, 103.0];
    const FAST: [f64; 5] = [200.0, 220.0, 210.0, 204.0, 206.0];

    fn verdicts(metric: Metric, servers: Vec<Compared>) -> Vec<Option<Verdict>> {
        comparison(servers).standings(metric).into_iter().map(|standing| standing.verdict).collect()
    }

    #[test]
    fn the_others_are_compared_with_the_first() {
        let servers = || vec![server("slow", &SLOW), server("fast", &FAST), server("same", &SLOW)];
        let rate = Metric::MessagesPerSecond;
        let expected = [None, Some(Verdict::Better), Some(Verdict::NoDifference)];
        assert_eq!(verdicts(rate, servers()), expected);
        assert_eq!(verdicts(Metric::P99, servers()), expected, "less of it is better");
        assert_eq!(verdicts(Metric::IdleMemory, servers())[1], Some(Verdict::NoDifference));
        let standings = comparison(servers()).standings(rate);
        assert_eq!(standings[1].ratio, Summary::of(&[2.0]), "within each round");
        assert_eq!(standings[0].ratio, None);
    }

    #[test]
    fn the_time_to_the_first_bytes_is_called_that() {
        let mut comparison = comparison(vec![server("one", &SLOW)]);
        assert_eq!(comparison.title(Metric::P99), "latency, 99th percentile");
        comparison.conditions.options.insert("expect".to_owned(), "any".to_owned());
        assert_eq!(comparison.title(Metric::P99), "time to first bytes, 99th percentile");
        assert_eq!(comparison.title(Metric::MessagesPerSecond), "messages a second");
        comparison.conditions.options.insert("framing".to_owned(), "line".to_owned());
        assert_eq!(comparison.title(Metric::P50), "latency, median", "a line says where it ends");
    }

    #[test]
    fn a_percentile_of_few_messages_is_not_measured() {
        let mut few = server("few", &SLOW);
        few.rounds.iter_mut().for_each(|round| round.messages = 999);
        assert_eq!((few.values(Metric::P99).len(), few.values(Metric::P999).len()), (5, 0));
        few.rounds.iter_mut().for_each(|round| round.messages = 99);
        assert_eq!((few.values(Metric::P50).len(), few.values(Metric::P99).len()), (5, 0));
    }

    #[test]
    fn a_ratio_pairs_rounds_by_their_number() {
        let mut gone = server("gone", &FAST);
        gone.rounds.remove(0);
        let standing = gone.standing(Metric::MessagesPerSecond, Some(&server("slow", &SLOW)));
        assert_eq!(standing.ratio, Summary::of(&[2.0]));
    }

    #[test]
    fn nothing_is_called_from_doubtful_rounds() {
        let mut doubtful = server("fast", &FAST);
        doubtful.rounds[2].doubts.push(doubt_in_words(Doubt::Saturated(0.99)));
        let servers = || vec![server("slow", &SLOW), doubtful.clone()];
        assert_eq!(verdicts(Metric::P50, servers())[1], Some(Verdict::Doubtful));
        assert_eq!(verdicts(Metric::IdleMemory, servers())[1], Some(Verdict::NoDifference));
        let reversed = vec![doubtful.clone(), server("slow", &SLOW)];
        assert_eq!(verdicts(Metric::P50, reversed)[1], Some(Verdict::Doubtful));
        let comparison = comparison(servers());
        assert!(comparison.is_doubtful());
        let remark = "round 3: the generator used 99 % of its core and the server was not seen to be busy";
        assert_eq!(comparison.remarks(), [("fast", remark.to_owned())]);
    }

    #[test]
    fn what_was_done_again_is_told_and_counted_once() {
        let repeat = |round, what, attempt| Repeat { round, what, attempt, reason: "of that".to_owned() };
        let (mut one, mut other) = (server("one", &SLOW), server("other", &FAST));
        one.repeats = vec![repeat(1, Repeated::Start, None), repeat(4, Repeated::Round, Some(1))];
        other.repeats = vec![repeat(4, Repeated::Round, Some(1)), repeat(4, Repeated::Round, Some(2))];
        other.rounds[1].lost = 3;
        let comparison = comparison(vec![one, other]);
        assert_eq!(comparison.repeated_rounds(), 2, "round 4 was measured three times");
        let again = |name, round: usize, what| (name, format!("round {round}: {what} again, because of that"));
        let lost = ("other", "round 2: 3 datagrams were lost".to_owned());
        let expected = [
            again("one", 1, "started"),
            again("one", 4, "measured"),
            lost,
            again("other", 4, "measured"),
            again("other", 4, "measured"),
        ];
        assert_eq!(comparison.remarks(), expected);
        assert!(!comparison.is_doubtful());
    }

    #[test]
    fn others_are_told_where_they_take_much() {
        let mut disturbed = server("fast", &FAST);
        assert_eq!(comparison(vec![disturbed.clone()]).disturbance(), None);
        disturbed.rounds[1].others_on_server_core = Some(0.2);
        disturbed.rounds[3].others_on_generator_core = Some(0.45);
        let told = comparison(vec![server("slow", &SLOW), disturbed]).disturbance().unwrap();
        assert!(told.contains("in 2 of the rounds") && told.contains("up to 45.0 % (fast, round 4)"), "{told}");
    }

    #[test]
    fn what_was_not_measured_has_no_standing() {
        let servers = vec![server("none", &[]), server("fast", &FAST)];
        let standings = comparison(servers).standings(Metric::P50);
        assert_eq!(standings[0], Standing { summary: None, ratio: None, verdict: None });
        assert_eq!((standings[1].ratio, standings[1].verdict), (None, Some(Verdict::TooFewRounds)));
    }
    #[test]
    fn little_that_others_take_is_not_told() {
        let mut quiet = server("quiet", &FAST);
        quiet.rounds[1].others_on_server_core = Some(0.05);
        quiet.rounds[1].others_on_generator_core = Some(OTHERS_MAX);
        assert_eq!(comparison(vec![quiet]).disturbance(), None);
    }

    #[test]
    fn what_nobody_measured_is_not_there_and_what_nobody_doubts_is_no_doubt() {
        let comparison = comparison(vec![server("none", &[]), server("slow", &SLOW)]);
        assert!(comparison.has(Metric::P50) && !comparison.is_doubtful());
        assert!(!crate::measure::compare::samples::comparison(vec![server("none", &[])]).has(Metric::P50));
    }

    #[test]
    fn the_facts_tell_what_was_beside_the_load_where_something_was() {
        let mut comparison = comparison(vec![server("one", &SLOW)]);
        let names = |comparison: &Comparison| -> Vec<String> {
            comparison.facts().into_iter().map(|(name, _)| name.to_owned()).collect()
        };
        assert_eq!(names(&comparison), ["load", "machine", "pinned", "memory", "command", "began"]);
        (comparison.idle_connections, comparison.silent_connections) = (0, 7);
        assert_eq!(names(&comparison), ["load", "machine", "pinned", "beside", "command", "began"]);
        let facts = comparison.facts();
        let fact = |name: &str| facts.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str());
        assert_eq!(fact("pinned"), Some("server on processor 0, generator on 1"));
        assert_eq!(fact("beside"), Some("7 connections that were open and silent while load ran"));
        assert_eq!(fact("command"), Some("cooee compare"));
        assert!(fact("load").unwrap().starts_with("tcp, "));
    }
}
