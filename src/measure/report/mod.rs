//! What a run of load has measured, told: to programs (JSON, CSV), to a person at a terminal, and as a page with
//! pictures.
//!
//! [`Report`] is all of it; [`json`] writes and reads it, [`text`], [`table`] and [`run_page`] show it, [`merge`] adds
//! several up.

pub mod advice;
pub mod axis;
pub mod bars;
pub mod chart;
mod check;
pub mod conditions;
mod distribution;
pub mod figures;
pub mod histogram;
pub mod human;
pub mod ink;
pub mod json;
pub mod latencies;
pub mod merge;
pub mod objective;
pub mod page;
mod pictures;
mod rate_limit;
pub mod report_error;
pub mod run_page;
#[cfg(test)]
#[path = "../../../tests/support/runs.rs"]
#[allow(unreachable_pub, reason = "the tests outside use it too")]
mod runs;
mod shortfall;
mod side_by_side;
pub mod table;
pub mod text;
mod verdict;
pub mod visible;
mod words;

use std::collections::BTreeMap;

use hdrhistogram::Histogram;
use serde::{Deserialize, Serialize};

use crate::measure::load::interval::Interval;
use crate::measure::load::outcome::Outcome;
use crate::measure::report::conditions::Conditions;
use crate::measure::report::latencies::Latencies;
use crate::measure::report::objective::Found;
use crate::reactor::named::named;

/// The version of the format: it rises when a field goes or means something else, not when one is added.
pub const VERSION: u64 = 1;

/// What a run, or several merged ones, has measured. `docs/report-format.md` tells what each field means.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// [`VERSION`].
    pub version: u64,
    /// The server, as it was given.
    pub endpoint: String,
    /// What decided when messages were sent.
    #[serde(rename = "loop")]
    pub pace: Loop,
    /// The measured time in seconds.
    pub duration_s: f64,
    /// Connections, or datagram sockets.
    pub connections: u64,
    /// Messages that became due in the measured time.
    pub due: u64,
    /// Those of them that were sent.
    pub sent: u64,
    /// Messages that became due in the measured time and were answered, then or later.
    pub messages: u64,
    /// Those that became due and were never answered; none in older reports until they are read.
    pub in_vain: Option<u64>,
    /// How long the one of them waited that waited longest, from when it was due; `None` if none did, or it is not
    /// known.
    pub in_vain_longest_us: Option<f64>,
    /// Replies that came within the measured time.
    pub replies: u64,
    /// Bytes of those replies.
    pub reply_bytes: u64,
    /// `replies` a second.
    pub messages_per_s: f64,
    /// `reply_bytes` a second.
    pub bytes_per_s: f64,
    /// What a latency ends with; a whole reply in older reports until they are read.
    #[serde(default)]
    pub latency_until: Until,
    /// The highest of the percentiles below that so many messages can tell, in percent; `None` if they can tell none.
    pub percentiles_up_to: Option<f64>,
    /// From when a message was due (in a closed loop: sent) until its reply was there.
    pub latency_us: Latencies,
    /// From when a message was sent until its reply was there.
    pub send_latency_us: Latencies,
    /// What went wrong, and how often.
    pub errors: BTreeMap<String, u64>,
    /// Datagrams without a reply; `None` if it is not known.
    pub lost: Option<u64>,
    /// Replies that came twice; `None` if it is not known.
    pub duplicated: Option<u64>,
    /// Replies that came after a later one; `None` if it is not known.
    pub reordered: Option<u64>,
    /// Wrong replies; `None` if nothing is checked.
    pub corrupt: Option<u64>,
    /// How often something came that no message waited for; `None` if every reply is told apart.
    pub surplus: Option<u64>,
    /// How many bytes that was.
    pub surplus_bytes: Option<u64>,
    /// Messages that left too late through this program's own fault.
    pub late: u64,
    /// Messages that were sent late because this program let a connection wait before it opened it; `None` if it is not
    /// known: in older reports.
    pub held: Option<u64>,
    /// How long those waited for it, together, in seconds.
    pub held_s: Option<f64>,
    /// For how long connections were not there in the measured time because this program let them wait, together, in
    /// seconds.
    pub rested_s: Option<f64>,
    /// Connections that the server ended after answers, and that were opened anew at once.
    pub ended: Option<u64>,
    /// Whether the figures tell of the server: there are no doubts.
    pub valid: bool,
    /// What speaks against that, in words.
    pub doubts: Vec<String>,
    /// Whether the run was ended before its time.
    pub interrupted: bool,
    /// The first wrong reply.
    pub mismatch: Option<WrongReply>,
    /// CPU time of this program in seconds, user and system.
    pub generator_cpu_s: f64,
    /// Time in seconds for which this program polled for nothing; `None` if it sleeps, and in reports from before it
    /// could poll.
    pub generator_idle_polling_s: Option<f64>,
    /// CPU time of the server's processes, where they ran on the same machine and could be seen.
    pub server_cpu_s: Option<f64>,
    /// What a search for the highest rate has found, where this run was its last.
    pub objective: Option<Found>,
    /// The course of the run.
    pub intervals: Vec<Interval>,
    /// The conditions of the run; of each of the runs that were merged.
    pub conditions: Vec<Conditions>,
    /// What `latency_us` is read off.
    #[serde(with = "histogram")]
    pub histogram: Histogram<u64>,
    /// What `send_latency_us` is read off.
    #[serde(with = "histogram")]
    pub send_histogram: Histogram<u64>,
}

named! {
    /// What decides when messages are sent.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "lowercase")]
    pub enum Loop {
        /// The replies: the next message leaves when one has come.
        Closed = "closed",
        /// A schedule, whatever the server does.
        Open = "open",
    }
}

named! {
    /// What a latency ends with.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
    #[serde(rename_all = "kebab-case")]
    pub enum Until {
        /// The last byte of the reply.
        #[default]
        WholeReply = "whole-reply",
        /// The first bytes of the reply, because nothing says when it is whole.
        FirstBytes = "first-bytes",
    }
}

/// Where a reply was not what it had to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WrongReply {
    /// Which connection, counted from 0.
    pub connection: u64,
    /// Which of its messages, counted from 0.
    pub message: u64,
    /// Which byte of the reply, counted from 0.
    pub offset: u64,
    /// What had to come from there on, as a Rust byte string is escaped.
    pub expected: String,
    /// What came, escaped in the same way.
    pub got: String,
}

impl Report {
    /// The report of one run against `endpoint`.
    pub fn new(outcome: &Outcome, endpoint: &str, conditions: Conditions) -> Report {
        let mut errors = BTreeMap::new();
        for (kind, count) in &outcome.errors {
            *errors.entry(kind.reported()).or_default() += count;
        }
        let doubts: Vec<String> = outcome.doubts().into_iter().map(advice::doubt).collect();
        let mut report = Report {
            version: VERSION,
            endpoint: endpoint.to_owned(),
            pace: if outcome.open_loop { Loop::Open } else { Loop::Closed },
            duration_s: outcome.duration.as_secs_f64(),
            connections: outcome.connections as u64,
            due: outcome.due,
            sent: outcome.sent,
            messages: outcome.messages,
            in_vain: Some(outcome.due.saturating_sub(outcome.messages)),
            in_vain_longest_us: outcome.longest_in_vain.map(|time| time.as_secs_f64() * 1e6),
            replies: outcome.replies_in_time,
            reply_bytes: outcome.reply_bytes_in_time,
            messages_per_s: outcome.messages_per_second(),
            bytes_per_s: outcome.bytes_per_second(),
            latency_until: if outcome.first_bytes { Until::FirstBytes } else { Until::WholeReply },
            percentiles_up_to: latencies::highest_told(outcome.messages),
            latency_us: Latencies::of(&outcome.latency),
            send_latency_us: Latencies::of(&outcome.send_latency),
            errors,
            lost: outcome.lost,
            duplicated: outcome.duplicated,
            reordered: outcome.reordered,
            corrupt: outcome.corrupt,
            surplus: outcome.surplus.map(|surplus| surplus.times),
            surplus_bytes: outcome.surplus.map(|surplus| surplus.bytes),
            late: outcome.late,
            held: Some(outcome.held),
            held_s: Some(outcome.held_for.as_secs_f64()),
            rested_s: Some(outcome.rested.as_secs_f64()),
            ended: Some(outcome.ended),
            valid: doubts.is_empty(),
            doubts,
            interrupted: outcome.interrupted,
            mismatch: outcome.mismatch.as_ref().map(|mismatch| WrongReply {
                connection: mismatch.connection as u64,
                message: mismatch.message,
                offset: mismatch.offset as u64,
                expected: mismatch.expected.escape_ascii().to_string(),
                got: mismatch.got.escape_ascii().to_string(),
            }),
            generator_cpu_s: outcome.generator_cpu.as_secs_f64(),
            generator_idle_polling_s: outcome.idle_polling.map(|time| time.as_secs_f64()),
            server_cpu_s: outcome.server_cpu.map(|cpu| cpu.as_secs_f64()),
            objective: None,
            intervals: outcome.intervals.clone(),
            conditions: vec![conditions],
            histogram: outcome.latency.clone(),
            send_histogram: outcome.send_latency.clone(),
        };
        if let Some(reason) = report.nothing_because() {
            report.measured_nothing(&reason);
        }
        report
    }

    /// The report of a run that did not begin, for this reason.
    pub fn of_no_run(reason: &str, open_loop: bool, endpoint: &str, conditions: Conditions) -> Report {
        let mut report = Report::new(&Outcome::nothing(open_loop), endpoint, conditions);
        report.doubts.clear();
        report.measured_nothing(reason);
        report
    }

    fn measured_nothing(&mut self, reason: &str) {
        self.doubts.push(format!("Nothing was measured: {reason}"));
        self.valid = false;
    }

    /// Why nothing was measured; `None` if something was.
    pub fn nothing_because(&self) -> Option<String> {
        match (self.messages, self.interrupted, self.causes()) {
            (1.., ..) => None,
            (0, true, _) => Some("it was interrupted before.".to_owned()),
            (0, false, Some(causes)) => Some(causes),
            (0, false, None) => Some("no reply came in time (--timeout).".to_owned()),
        }
    }

    /// What older reports do not tell, and follows from what they do.
    fn complete(&mut self) {
        self.in_vain.get_or_insert(self.due.saturating_sub(self.messages));
        self.percentiles_up_to = latencies::highest_told(self.messages);
        self.latency_us.p95 = Latencies::of(&self.histogram).p95;
        self.send_latency_us.p95 = Latencies::of(&self.send_histogram).p95;
        if self.conditions.first().is_some_and(Conditions::ends_with_first_bytes) {
            self.latency_until = Until::FirstBytes;
        }
    }

    /// Whether latencies end with the first bytes of a reply.
    pub fn ends_with_first_bytes(&self) -> bool {
        self.latency_until == Until::FirstBytes
    }

    /// How often something went wrong, of any kind.
    pub fn error_count(&self) -> u64 {
        self.errors.values().fold(0, |sum, count| sum.saturating_add(*count))
    }

    /// Why nothing, or not everything, was answered, in a line: the kinds of errors, and what to do about the first.
    pub fn causes(&self) -> Option<String> {
        let errors = words::errors(self);
        let (first, _) = errors.first()?;
        let kinds: Vec<String> =
            errors.iter().map(|(kind, count)| format!("{} {kind}", human::count(*count))).collect();
        Some(format!("{}. {}", kinds.join(", "), advice::error(first)))
    }

    /// CPU time of this program a message in nanoseconds, without what it polled for nothing; `None` if there was no
    /// message.
    pub fn generator_cpu_per_message(&self) -> Option<f64> {
        let busy = (self.generator_cpu_s - self.generator_idle_polling_s.unwrap_or(0.0)).max(0.0);
        (self.replies > 0).then(|| busy * 1e9 / self.replies as f64)
    }

    /// CPU time of the server a message in nanoseconds; `None` if it is not known, or there was no message.
    pub fn server_cpu_per_message(&self) -> Option<f64> {
        self.server_cpu_s.filter(|_| self.replies > 0).map(|cpu| cpu * 1e9 / self.replies as f64)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_latency_has_the_name_that_json_has() {
        for (until, name) in [(Until::WholeReply, "whole-reply"), (Until::FirstBytes, "first-bytes")] {
            assert_eq!(until.name(), name);
            assert_eq!(serde_json::to_value(until).unwrap(), name);
        }
    }

    #[test]
    fn the_servers_cpu_time_is_divided_by_the_replies() {
        let with = |server_cpu_s, replies| Report { server_cpu_s, replies, ..runs::closed() }.server_cpu_per_message();
        assert_eq!(with(Some(0.5), 1_000), Some(500_000.0));
        assert_eq!((with(None, 1_000), with(Some(0.5), 0)), (None, None));
    }
}
