//! The sentences of a report, which the text and the page have in common.

use std::collections::BTreeMap;

use crate::measure::load::chance;
use crate::measure::load::outcome::Outcome;
use crate::measure::report::latencies::{self, NAMES, PERCENTILES};
use crate::measure::report::visible::shortened;
use crate::measure::report::{Loop, Report, advice, human, shortfall};

/// How many bytes of a wrong reply are told.
const REPLY_MAX: usize = 120;

/// How many messages there were. Most often all that were due were sent.
pub(super) fn messages(report: &Report) -> String {
    let due = if report.due > report.sent { format!("{} due, ", human::count(report.due)) } else { String::new() };
    format!("{due}{} sent, {} answered", human::count(report.sent), human::count(report.messages))
}

/// What a run was asked to do by this flag.
fn option<'a>(report: &'a Report, flag: &str) -> Option<&'a String> {
    report.conditions.first()?.options.get(flag)
}

/// What a flag says that is a time, in seconds; 0 where it says nothing.
pub(super) fn option_seconds(report: &Report, flag: &str) -> f64 {
    let time = option(report, flag).and_then(|text| humantime::parse_duration(text).ok());
    time.map_or(0.0, |time| time.as_secs_f64())
}

/// Room for messages in flight on all connections together.
pub(super) fn places(report: &Report) -> u64 {
    let pipeline = option(report, "pipeline").and_then(|text| text.parse().ok()).unwrap_or(1);
    report.connections.saturating_mul(pipeline)
}

/// Connections that a run was asked for.
pub(super) fn wanted_connections(report: &Report) -> u64 {
    let wanted = |flags: &BTreeMap<String, String>| flags.get("connections").and_then(|text| text.parse().ok());
    report.conditions.iter().filter_map(|conditions| wanted(&conditions.options)).fold(0, u64::saturating_add)
}

/// What a run was, in a line.
pub(super) fn headline(report: &Report) -> String {
    let connections = match report.connections {
        1 => "1 connection".to_owned(),
        count => format!("{} connections", human::count(count)),
    };
    let runs = match report.conditions.len() {
        0 | 1 => String::new(),
        count => format!(", merged from {count} runs"),
    };
    let renewed = if option(report, "churn").is_some() { ", a new one for each message" } else { "" };
    let awake =
        option(report, "busy-poll").map_or(String::new(), |time| format!(", busy poll {}", shortened(time, 20)));
    let until = if report.ends_with_first_bytes() { ", time to first bytes" } else { "" };
    let duration = human::seconds(report.duration_s);
    let (endpoint, pace) = (shortened(&report.endpoint, 200), report.pace.name());
    format!("{endpoint}: {pace} loop, {connections}{renewed}{awake}{until}, {duration}{runs}")
}

/// What has to be known before any figure is read: a heading in capitals, and sentences. Words of others are in them
/// unescaped.
pub(super) fn warnings(report: &Report) -> Vec<(&'static str, Vec<String>)> {
    let mut warnings = Vec::new();
    if report.messages == 0 {
        let reasons = match (report.doubts.is_empty(), report.nothing_because()) {
            (true, Some(reason)) => vec![reason],
            _ => report.doubts.clone(),
        };
        warnings.push(("INVALID: there are no figures.", reasons));
    } else if !report.valid {
        warnings.push(("INVALID: do not trust these figures.", report.doubts.clone()));
    }
    if let Some(mismatch) = &report.mismatch {
        let some = |reply: &str| match reply {
            "" => "nothing more".to_owned(),
            reply => format!("\"{}\"", shortened(reply, REPLY_MAX)),
        };
        warnings.push((
            "WRONG REPLY: the server did not answer what it had to.",
            vec![
                format!(
                    "The first one was on connection {}, to message {}, from byte {} of the reply on (each counted from 0).",
                    mismatch.connection, mismatch.message, mismatch.offset
                ),
                format!("Expected {}", some(&mismatch.expected)),
                format!("Got {}", some(&mismatch.got)),
            ],
        ));
    }
    // In an open loop what is due meanwhile waits, and is counted by itself.
    let rested = report.rested_s.unwrap_or(0.0) / (report.duration_s * report.connections.max(1) as f64).max(1e-9);
    if report.pace == Loop::Closed && rested > Outcome::LATE_MAX {
        let sentence = format!(
            "For {} of their time connections were not there because this program pauses before it opens one again that broke, or opens \
             none faster than --connect-rate: the server could have answered more messages/s.",
            human::share(rested.min(1.0))
        );
        warnings.push(("RESTED: the throughput is not the server's.", vec![sentence]));
    }
    warnings.extend(shortfall::warning(report));
    if report.interrupted {
        let time = human::seconds(report.duration_s);
        let sentence = format!("It ended after {time}, and these are the figures until then.");
        warnings.push(("INTERRUPTED: the run was ended before its time.", vec![sentence]));
    }
    warnings
}

/// How many messages waited for this program, where some did.
pub(super) fn held(report: &Report) -> Option<String> {
    let held = report.held.filter(|held| *held > 0)?;
    let time = human::seconds(report.held_s.unwrap_or(0.0));
    let (held, sent) = (human::count(held), human::count(report.sent));
    Some(format!("{held} of {sent} waited {time} for this program's connections"))
}

/// How many connections the server ended in order, where it did.
pub(super) fn ended(report: &Report) -> Option<String> {
    let ended = report.ended.filter(|ended| *ended > 0)?;
    Some(format!("{} ended by the server after answers, opened anew at once", human::count(ended)))
}

/// What a search for the highest rate has tried: a heading, and the steps. What it has found is the
/// [verdict](crate::measure::report::verdict).
pub(super) fn objective(report: &Report) -> Option<(&'static str, Vec<String>)> {
    let found = report.objective.as_ref()?;
    let mut sentences: Vec<String> = Vec::new();
    if found.rate.is_none() {
        sentences.extend(found.closed_loop.as_ref().map(ToString::to_string));
    }
    sentences.extend(found.steps.iter().map(|step| shortened(&step.to_string(), 200)));
    sentences.extend(found.reason.as_ref().map(|reason| shortened(reason, 200)));
    sentences.extend(found.generator_limit().map(human::rate).map(|rate| {
        format!(
            "At {rate} messages/s this program was too slow for its schedule, or its machine too busy: the server may do more."
        )
    }));
    Some(("What the search tried:", sentences))
}

/// The CPU time that the generator has used: in all, of a core, for nothing where it polls, and a message.
pub(super) fn cpu(report: &Report) -> String {
    cpu_time(report, report.generator_cpu_s, report.generator_idle_polling_s, report.generator_cpu_per_message())
}

/// The same of the server, where it is known.
pub(super) fn server_cpu(report: &Report) -> Option<String> {
    report.server_cpu_s.map(|seconds| cpu_time(report, seconds, None, report.server_cpu_per_message()))
}

fn cpu_time(report: &Report, seconds: f64, idle: Option<f64>, each: Option<f64>) -> String {
    let mut words = human::seconds(seconds);
    if let ([_], true) = (&report.conditions[..], report.duration_s > 0.0) {
        words.push_str(&format!(" ({} of a core)", human::share(seconds / report.duration_s)));
    }
    if let Some(idle) = idle {
        words.push_str(&format!(", {} of it idle", human::seconds(idle)));
    }
    if let Some(each) = each {
        words.push_str(&format!(", {} a message", human::latency(each)));
    }
    words
}

/// What latencies are called, where they begin a line.
pub(super) fn latency_title(report: &Report) -> &'static str {
    if report.ends_with_first_bytes() { "first bytes" } else { "latency" }
}

/// Of how many messages the latencies are, and what became of the others.
pub(super) fn of_how_many(report: &Report) -> String {
    let of = format!("of {} of {} messages", human::count(report.messages), human::count(report.due));
    match (report.in_vain, report.in_vain_longest_us) {
        (None | Some(0), _) => of,
        (Some(in_vain), None) => format!("{of}; {} waited in vain", human::count(in_vain)),
        (Some(1), Some(longest)) => format!("{of}; 1 waited in vain, for {}", human::micros(longest)),
        (Some(in_vain), Some(longest)) => {
            format!("{of}; {} waited in vain, for up to {}", human::count(in_vain), human::micros(longest))
        }
    }
}

/// What has to be known of the latencies.
pub(super) fn latency_notes(report: &Report) -> Vec<String> {
    let mut notes = Vec::new();
    if report.ends_with_first_bytes() {
        notes.push(
            "Each time ends with the first bytes of a reply: nothing says when it is whole (--expect any with chunk framing). \
             --framing line or len32 measures whole replies."
                .to_owned(),
        );
    }
    if report.pace == Loop::Open {
        notes.push(
            "From due time counts what a message waited for its turn while the server was busy with others, as a user would; from \
             the send does not, and looks better the worse the server stalls (coordinated omission)."
                .to_owned(),
        );
    }
    if let Some((name, needed)) = latencies::first_untold(report.messages) {
        let or_higher = if name == NAMES[PERCENTILES - 1] { "" } else { " or a higher percentile" };
        let needed = human::count(needed);
        notes.push(format!("Fewer than {needed} messages cannot tell {name}{or_higher}: max is the slowest of them."));
    }
    notes
}

/// What the run is too small to tell of this program itself. A doubt would be no more certain than the opposite.
pub(super) fn untold(report: &Report) -> Vec<String> {
    let mut untold = Vec::new();
    let is_shown = chance::shows_more(report.late, report.sent, Outcome::LATE_MAX);
    let allowed = report.sent as f64 * Outcome::LATE_MAX;
    if report.pace == Loop::Open && report.sent > 0 && !is_shown && (allowed < 1.0 || report.late as f64 > allowed) {
        let (sent, may) = (human::count(report.sent), human::share(Outcome::LATE_MAX));
        untold.push(format!(
            "{sent} messages are too few to tell whether this program kept its schedule (at most {may} may leave late): a longer \
             run does."
        ));
    }
    if report.sent > 0 && report.duration_s < Outcome::CORE_TELLS_FROM.as_secs_f64() {
        let time = human::seconds(report.duration_s);
        untold
            .push(format!("{time} are too short to tell whether this program was the bottleneck: a longer run does."));
    }
    untold
}

/// The errors that occurred, in the order in which they are told.
pub(super) fn errors(report: &Report) -> Vec<(&str, u64)> {
    let mut errors: Vec<(&str, u64)> = report.errors.iter().map(|(kind, count)| (kind.as_str(), *count)).collect();
    errors.retain(|(_, count)| *count > 0);
    errors.sort_by_key(|(kind, _)| advice::rank(kind));
    errors
}
