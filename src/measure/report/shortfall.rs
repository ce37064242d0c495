//! Why messages were not answered in time, in words: as far as the figures tell, and no further.
//!
//! A server that is too slow is one reason among several. Others are a rate limit, and this program's own limits: fewer
//! connections than it was asked for, places that lost datagrams hold, too few places for the way to the server and
//! back. So the server is named only where its own CPU time tells.

use crate::measure::load::outcome::Outcome;
use crate::measure::report::rate_limit::{RateLimit, losses_held_places};
use crate::measure::report::{Loop, Report, human, words};

/// The part of an open loop's messages that a server answers in time if it keeps up: the last ones are still on their
/// way at the end.
const KEPT_UP: f64 = 0.98;

/// A heading in capitals, and sentences; `None` if messages were answered as they were due.
pub(super) fn warning(report: &Report) -> Option<(&'static str, Vec<String>)> {
    // That nothing was measured is said by itself.
    if report.messages == 0 {
        return None;
    }
    let due = due_per_second(report);
    let behind = due.filter(|due| is_behind(report, *due, report.lost.unwrap_or(0)));
    if let Some(limit) = RateLimit::of(report) {
        return Some(("RATE LIMIT: replies came at a constant rate, whatever was sent.", limited(report, &limit, due)));
    }
    let due = behind?;
    let (due_rate, rate) = (human::rate(due), human::rate(report.messages_per_s));
    let figures = format!("{due_rate} messages/s were due and {rate} were answered in time.");
    let waited = "The others waited, so the latencies say for how long this went on and not how fast the server is.";
    let is_saturated = report.server_cpu_s.is_some_and(|cpu| cpu > Outcome::SERVER_CORE * report.duration_s);
    Some(match is_saturated {
        true => ("FELL BEHIND: the server did not keep up with the rate.", vec![format!("{figures} {waited}")]),
        false => (
            "FELL BEHIND: fewer messages were answered than were due.",
            vec![format!("{figures} {waited}"), why(report, due)],
        ),
    })
}

/// How many messages of an open loop were due a second.
fn due_per_second(report: &Report) -> Option<f64> {
    let whole = report.pace == Loop::Open && !report.interrupted && report.duration_s > 0.0;
    whole.then(|| report.due as f64 / report.duration_s)
}

/// How many messages were due a second, and whether all of them were answered in time, as far as one can tell; none in
/// a closed loop, and where the run was ended before its time.
pub(super) fn asked(report: &Report) -> Option<(f64, bool)> {
    let due = due_per_second(report)?;
    Some((due, !is_behind(report, due, 0)))
}

/// Whether fewer were answered in time than were due, without those that were `lost` (they did not wait) or on their
/// way.
fn is_behind(report: &Report, due: f64, lost: u64) -> bool {
    let lost = lost as f64;
    // Replies to the warm-up's last messages come in the measured time, and make up for those on their way at its end.
    let way = report.send_latency_us.p50.unwrap_or(0.0) / 1e6;
    let on_their_way = 1.0 + due * (way - words::option_seconds(report, "warmup")).max(0.0);
    report.messages_per_s * report.duration_s + lost + on_their_way < due * report.duration_s * KEPT_UP
}

fn limited(report: &Report, limit: &RateLimit, due: Option<f64>) -> Vec<String> {
    let rate = human::rate(limit.rate);
    let due = due.map_or(String::new(), |due| format!("{} messages/s were due. ", human::rate(due)));
    let looks = match limit.may_be_capacity {
        false => "That looks like a limit for one source, not like a server that is too slow.",
        true => "That looks like a limit for one source; but a server whose core is full looks the same from here.",
    };
    let remedy = match report.endpoint.starts_with("udp") {
        true => format!(
            "cooee serve has one for whoever is not on its own machine (--udp-rate): start it with --udp-rate 0 to measure the server, \
             or send less than {rate} a second (-R)."
        ),
        false => format!("Lift it at the server, or send less than {rate} a second (-R)."),
    };
    let mut sentences =
        vec![format!("{due}About {rate} a second were answered all the time, and others were lost. {looks}"), remedy];
    if losses_held_places(report) {
        sentences.push(format!(
            "Each message that was lost held its place for {} (--timeout), and others waited for it: latencies from the due time say \
             that, and nothing of the server. More places (-c, --pipeline) keep them apart.",
            human::seconds(words::option_seconds(report, "timeout"))
        ));
    }
    sentences
}

/// What may be the reason, and what tells.
fn why(report: &Report, due: f64) -> String {
    let places = words::places(report);
    let room = human::count(places);
    let wanted = words::wanted_connections(report);
    if report.connections < wanted {
        let (there, wanted) = (human::count(report.connections), human::count(wanted));
        return format!("Only {there} of {wanted} connections were there: the errors below say why.");
    }
    if losses_held_places(report) {
        let timeout = words::option_seconds(report, "timeout");
        return format!(
            "Datagrams that were lost held their places for {} each (--timeout), and there are {room} (-c × --pipeline): with {} of \
             them this shows what the server does. A limit at the server may be what loses them (cooee serve: --udp-rate).",
            human::seconds(timeout),
            human::count((due * timeout).ceil() as u64)
        );
    }
    // Where messages were answered, as here, the histogram has them. It counts in nanoseconds, so less than one is a
    // rounding.
    let mean = report.send_histogram.mean().max(1.0);
    format!(
        "All {room} places (-c × --pipeline) were taken, each for {} until its reply was there: so they carry {} messages/s. Either \
         the server is slow, or they are too few for the way to it and back: more places tell.",
        human::latency(mean),
        human::rate(places as f64 * 1e9 / mean)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    fn said(report: &Report) -> String {
        warning(report).map_or(String::new(), |(heading, sentences)| format!("{heading} {}", sentences.join(" ")))
    }

    #[track_caller]
    fn check(report: &Report, words: &[&str], not: &[&str]) {
        let said = said(report);
        assert!(words.iter().all(|words| said.contains(words)), "{words:?}: {said}");
        assert!(!not.iter().any(|words| said.contains(words)), "{not:?}: {said}");
    }

    /// Half of what was due was answered.
    fn behind() -> Report {
        let mut report = runs::datagrams(&[100; 50]);
        (report.lost, report.connections, report.sent) = (Some(0), 50, report.messages);
        report
    }

    #[test]
    fn a_limit_is_named_and_the_server_not_blamed() {
        let mut report = runs::datagrams(&[20; 50]);
        (report.lost, report.connections) = (Some(9_000), 4_000);
        check(
            &report,
            &["RATE LIMIT", "2,000 messages/s", "About 200 a second", "--udp-rate 0", "-R"],
            &["FELL BEHIND", "keep up"],
        );
        report.endpoint = "unixgram:///run/echo".to_owned();
        check(&report, &["Lift it at the server"], &["--udp-rate"]);
        report.send_latency_us.p50 = Some(1e6);
        check(&report, &["looks the same from here"], &["not like a server"]);
        let mut held = runs::datagrams(&[0, 201, 0, 0, 0, 0, 0, 0, 0, 0, 0].repeat(5));
        (held.lost, held.connections) = (Some(6), 1);
        check(&held, &["RATE LIMIT", "held its place for 1.00 s", "nothing of the server"], &["FELL BEHIND"]);
    }

    #[test]
    fn a_server_is_blamed_only_where_its_cpu_time_tells() {
        check(
            &behind(),
            &["fewer messages were answered", "All 50 places", "each for 40.0 µs", "carry 1,249,", "more places tell"],
            &["the server did not keep up"],
        );
        let full = Report { server_cpu_s: Some(4.9), ..behind() };
        check(&full, &["the server did not keep up", "1,000 were answered in time"], &["places"]);
    }

    #[test]
    fn what_this_program_lacks_is_told() {
        check(
            &Report { connections: 47, ..behind() },
            &["Only 47 of 50 connections", "errors below"],
            &["server is slow"],
        );
        let mut held = runs::datagrams(&[400, 0, 10, 0, 90, 0, 0, 300, 100].repeat(6));
        (held.lost, held.connections) = (Some(250), 50);
        check(
            &held,
            &["held their places for 1.00 s", "there are 50", "with 2,000 of them", "--udp-rate"],
            &["server is slow"],
        );
    }

    #[test]
    fn what_is_on_its_way_at_the_end_has_not_been_missed() {
        let mut report = runs::datagrams(&[1; 10]);
        (report.lost, report.connections, report.due) = (Some(0), 50, 11);
        check(&report, &[], &["FELL"]);
        // 2,000 a second without a warm-up, each on its way for a fifth of a second.
        let mut far = runs::datagrams(&[&[0, 0][..], &[200; 8]].concat());
        (far.lost, far.connections) = (Some(0), 1_000);
        far.conditions[0].options.insert("warmup".to_owned(), "0s".to_owned());
        check(&far, &["FELL"], &[]);
        far.send_latency_us.p50 = Some(2e5);
        check(&far, &[], &["FELL"]);
        assert_eq!(said(&runs::closed()), "");
    }
}
