//! The first sentence on a run, whether it was good or bad: what was done of what was asked for, and whether its
//! figures can be trusted.

use crate::measure::report::objective::Found;
use crate::measure::report::visible::shortened;
use crate::measure::report::{Loop, Report, human, shortfall, words};

/// What was done, what went wrong in it, and whether the figures can be trusted, in one sentence.
pub(super) fn sentence(report: &Report) -> String {
    let mut parts = vec![done(report)];
    if report.pace == Loop::Open && report.sent > 0 {
        parts.push(format!("{} late", human::count(report.late)));
    }
    let lost = report.lost.unwrap_or(0);
    if lost > 0 {
        parts.push(format!("{} lost", human::count(lost)));
    }
    match report.error_count() {
        0 => {}
        1 => parts.push("1 error".to_owned()),
        errors => parts.push(format!("{} errors", human::count(errors))),
    }
    if report.interrupted {
        parts.push(format!("interrupted after {}", human::seconds(report.duration_s)));
    }
    if report.mismatch.is_some() {
        parts.push("WRONG REPLY".to_owned());
    }
    match (is_valid(report), report.mismatch.is_some()) {
        (false, _) => parts.push("INVALID".to_owned()),
        // That the figures tell of the server does not make it a good one.
        (true, true) => {}
        (true, false) if words::untold(report).is_empty() => parts.push("valid".to_owned()),
        (true, false) => parts.push("valid as far as so small a run tells".to_owned()),
    }
    parts.join(", ") + "."
}

/// Whether the figures tell of the server. Older reports do not say that there are none.
pub(super) fn is_valid(report: &Report) -> bool {
    report.valid && report.messages > 0
}

fn done(report: &Report) -> String {
    if let Some(found) = &report.objective {
        return searched(report, found);
    }
    if report.messages == 0 {
        return "Nothing was answered".to_owned();
    }
    let answered = human::rate(report.messages_per_s);
    match shortfall::asked(report) {
        Some((due, true)) => format!("{answered} of {} messages/s as asked", human::rate(due)),
        Some((due, false)) => format!("{answered} of {} messages/s answered in time", human::rate(due)),
        None => format!("{answered} messages/s"),
    }
}

/// What a search for the highest rate has come to.
fn searched(report: &Report, found: &Found) -> String {
    let limit = human::micros(found.limit_us);
    let of = if report.ends_with_first_bytes() { " of the time to first bytes" } else { "" };
    let percentile = format!("{}{of}", shortened(&found.percentile, 20));
    match found.rate {
        Some(rate) => format!("Highest rate that keeps {percentile} within {limit}: {} messages/s", human::rate(rate)),
        None => format!("No rate was found that keeps {percentile} within {limit}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    /// An open loop of 10 s at 1,000 messages a second that was answered in time.
    fn good() -> Report {
        Report { messages_per_s: 1_000.0, ..runs::stopped_server() }
    }

    #[test]
    fn a_good_run_says_so() {
        assert_eq!(sentence(&good()), "1,000 of 1,000 messages/s as asked, 0 late, valid.");
        let closed = Report { messages_per_s: 139_787.0, ..runs::closed() };
        assert_eq!(sentence(&closed), "139,787 messages/s, valid.");
        assert_eq!(sentence(&Report { late: 27, ..good() }), "1,000 of 1,000 messages/s as asked, 27 late, valid.");
    }

    #[test]
    fn what_was_not_done_is_told() {
        let behind = Report { messages_per_s: 900.0, ..good() };
        assert_eq!(sentence(&behind), "900 of 1,000 messages/s answered in time, 0 late, valid.");
        // Loss is no delay, so nobody fell behind; as asked it is not.
        let lossy = Report { lost: Some(9_000), messages_per_s: 100.0, ..good() };
        assert_eq!(sentence(&lossy), "100 of 1,000 messages/s answered in time, 0 late, 9,000 lost, valid.");
        let broken = |count| Report { errors: [("reset".to_owned(), count)].into(), ..good() };
        assert_eq!(sentence(&broken(1)), "1,000 of 1,000 messages/s as asked, 0 late, 1 error, valid.");
        assert_eq!(sentence(&broken(2_000)), "1,000 of 1,000 messages/s as asked, 0 late, 2,000 errors, valid.");
        assert_eq!(sentence(&Report { errors: [].into(), ..runs::nothing() }), "Nothing was answered, INVALID.");
        let old = Report { valid: true, doubts: Vec::new(), errors: [].into(), ..runs::nothing() };
        assert_eq!(sentence(&old), "Nothing was answered, INVALID.", "older reports called it valid");
    }

    #[test]
    fn what_is_not_to_be_trusted_is_told() {
        let late = Report { valid: false, late: 4_000, ..good() };
        assert_eq!(sentence(&late), "1,000 of 1,000 messages/s as asked, 4,000 late, INVALID.");
        let ended = Report { interrupted: true, duration_s: 4.2, ..good() };
        assert_eq!(sentence(&ended), "1,000 messages/s, 0 late, interrupted after 4.20 s, valid.");
        let wrong = Report { mismatch: runs::troubled().mismatch, ..good() };
        assert_eq!(sentence(&wrong), "1,000 of 1,000 messages/s as asked, 0 late, WRONG REPLY.");
        assert_eq!(sentence(&Report { valid: false, ..wrong }).split(", ").last(), Some("INVALID."));
        let few = Report { due: 50, sent: 50, messages: 50, messages_per_s: 5.0, ..good() };
        assert_eq!(sentence(&few), "5.00 of 5.00 messages/s as asked, 0 late, valid as far as so small a run tells.");
    }

    #[test]
    fn a_search_says_what_it_has_found_and_that_it_found_none() {
        let found = |rate| {
            let mut found = runs::troubled().objective.unwrap();
            found.rate = rate;
            Report { objective: Some(found), ..good() }
        };
        assert_eq!(
            sentence(&found(Some(53_454.0))),
            "Highest rate that keeps p99 within 2.00 ms: 53,454 messages/s, 0 late, valid."
        );
        assert_eq!(sentence(&found(None)), "No rate was found that keeps p99 within 2.00 ms, 0 late, valid.");
        let ended = Report { interrupted: true, duration_s: 2.0, ..found(None) };
        assert_eq!(
            sentence(&ended),
            "No rate was found that keeps p99 within 2.00 ms, 0 late, interrupted after 2.00 s, valid."
        );
    }
}
