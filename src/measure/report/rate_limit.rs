//! Whether the course of a run looks as if the server answered so many datagrams a second and no more, because it was
//! told to.
//!
//! A limiter that counts lets the same number through in each stretch of time. A network that loses, or a server that
//! falls behind, does not: where chance decides which datagrams are answered, their numbers scatter, and it is known
//! how much. So a limit is told by counts that lie closer together than that ([`chance::shows_closeness`]), and not by
//! a known rate.
//!
//! What scatters depends on why a stretch of time ends. With room for whatever is lost, so many are sent in it, and
//! each is answered or not (binomial). Without, the run stops and goes: messages are answered until losses hold all
//! places, and go on when their time is up; so many *losses* end a stretch (negative binomial).
//!
//! A server whose core is full answers evenly too. Where its CPU time is not known, Little's law tells: on average, as
//! many messages are at the server as its rate times the time each takes. Where that is well below one, it mostly
//! waited.

use crate::measure::load::chance;
use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::interval::Interval;
use crate::measure::load::outcome::Outcome;
use crate::measure::report::{Loop, Report, words};

/// In how many parts a course without silences is cut. The first is left out: where a limit saves up for a while, it
/// begins with a burst.
const PARTS: usize = 20;

/// Where a run stops and goes, a part has to be longer than this number of time-outs, so that whole bursts are
/// compared.
const HOLDS: f64 = 2.0;

/// With fewer messages at the server than this on average, it mostly waited.
const AT_THE_SERVER: f64 = 0.5;

/// The part of all places from which on losses held them, so that a run stopped and went.
const HELD: f64 = 0.5;

/// What looks like a limit.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct RateLimit {
    /// Replies a second.
    pub rate: f64,
    /// Whether a server whose core was full would have looked the same.
    pub may_be_capacity: bool,
}

impl RateLimit {
    /// What looks like a limit in this run; `None` if nothing does, or where something else went wrong too.
    pub(crate) fn of(report: &Report) -> Option<RateLimit> {
        let lost = report.lost.filter(|lost| *lost > 0)?;
        let is_only_loss =
            report.mismatch.is_none() && report.errors.keys().all(|kind| *kind == ErrorKind::Unanswered.name());
        // A generator whose core is full drops replies itself, and evenly too. That it sent late says nothing of what
        // came back.
        let core = report.duration_s * report.conditions.len() as f64;
        let busy = (report.generator_cpu_s - report.generator_idle_polling_s.unwrap_or(0.0)) / core.max(1e-9);
        if !is_only_loss || busy > Outcome::CORE_MAX || report.messages == 0 || report.duration_s <= 0.0 {
            return None;
        }
        let server = report.server_cpu_s.map(|cpu| cpu / report.duration_s);
        if server.is_some_and(|share| share > Outcome::SERVER_CORE) {
            return None;
        }
        let (answered, lost) = (report.messages as f64, lost as f64);
        let (scatter, shortest) = match losses_held_places(report) {
            true => ((lost + answered) / lost, words::option_seconds(report, "timeout") * HOLDS),
            false => (lost / (lost + answered), 0.0),
        };
        let shows = |counts: &[u64]| {
            let mean = sum(counts) as f64 / counts.len().max(1) as f64;
            chance::shows_closeness(counts, (mean * scatter).sqrt())
        };
        let replies = course(report);
        let stretch = report.intervals.first().map_or(0.0, |first| first.length_s);
        let length = (replies.len() / PARTS).max((shortest / stretch).ceil() as usize).max(1);
        let parts = parts(&replies, length);
        // Where most parts have all that was due, the rate is this program's own, and what was lost was lost in the
        // others.
        let due = report.due as f64 / report.duration_s * stretch * length as f64;
        let is_less = median(&parts) + (median(&parts) * scatter).sqrt() < due;
        let is_held = shows(&bursts(&replies)) || (is_less && shows(&parts));
        if !is_held {
            return None;
        }
        let rate = report.messages_per_s;
        let at_the_server = rate * report.send_latency_us.p50.unwrap_or(0.0) / 1e6;
        Some(RateLimit { rate, may_be_capacity: server.is_none() && at_the_server > AT_THE_SERVER })
    }
}

/// Whether most of the room for messages was held by those that were lost, each for as long as the time-out, so that
/// others waited.
pub(super) fn losses_held_places(report: &Report) -> bool {
    let waited = report.pace == Loop::Closed || report.sent < report.due;
    let held = report.lost.unwrap_or(0) as f64 * words::option_seconds(report, "timeout");
    waited && held > HELD * words::places(report) as f64 * report.duration_s
}

/// Replies of each stretch of the measured time. Stretches are equally long; one that is not, as the last, is not among
/// them.
fn course(report: &Report) -> Vec<u64> {
    let length = report.intervals.first().map_or(0.0, |first| first.length_s);
    let is_whole = |interval: &&Interval| {
        let ends = interval.start_s + interval.length_s;
        (interval.length_s - length).abs() <= length * 0.01 && ends <= report.duration_s + length * 0.01
    };
    report.intervals.iter().filter(is_whole).map(|interval| interval.replies).collect()
}

/// Replies between one silence and the next; one that the beginning or the end of the run has cut is not among them.
fn bursts(replies: &[u64]) -> Vec<u64> {
    let whole = replies.iter().position(|count| *count == 0).unwrap_or(replies.len());
    let end = replies.iter().rposition(|count| *count == 0).map_or(whole, |last| last + 1).max(whole);
    let bursts = replies[whole..end].split(|count| *count == 0).map(sum);
    bursts.filter(|count| *count > 0).collect()
}

/// Replies of parts of `length` stretches each, without the first part.
fn parts(replies: &[u64], length: usize) -> Vec<u64> {
    replies.chunks_exact(length).skip(1).map(sum).collect()
}

/// The count in the middle; 0 where there is none.
fn median(counts: &[u64]) -> f64 {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    sorted.get(counts.len() / 2).map_or(0.0, |count| *count as f64)
}

/// The sum of counts from a file, which may be any.
fn sum(counts: &[u64]) -> u64 {
    counts.iter().fold(0, |sum, count| sum.saturating_add(*count))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    /// An open loop over UDP with these replies in each tenth of a second, so many messages lost, and one or a few
    /// places.
    fn run(replies: &[u64], lost: u64, places: u64) -> Report {
        let mut report = runs::datagrams(replies);
        (report.lost, report.connections) = (Some(lost), places);
        report.sent = report.due.min(report.messages + lost);
        report
    }

    /// The limit that is seen, as its rate.
    fn seen(report: &Report) -> Option<f64> {
        RateLimit::of(report).map(|limit| limit.rate)
    }

    /// Counts of which each is decided by `chance` for each of `of` messages, the same at each call.
    fn by_chance(of: u64, chance: f64, stretches: usize, seed: u64) -> Vec<u64> {
        let mut state = seed;
        let mut next = || {
            // splitmix64
            state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let mut mixed = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
            (mixed ^ mixed >> 31) as f64 / u64::MAX as f64
        };
        (0..stretches).map(|_| (0..of).filter(|_| next() < chance).count() as u64).collect()
    }

    /// `burst` in the first tenth of each second and a little.
    fn stop_and_go(bursts: &[u64]) -> Vec<u64> {
        bursts.iter().flat_map(|burst| [&[0][..], &[*burst], &[0; 9]].concat()).collect()
    }

    #[test]
    fn a_constant_rate_while_more_was_sent_is_a_limit() {
        // Measured against --udp-rate 200, at 2,000 a second: with room, and with a burst at the beginning.
        assert_eq!(seen(&run(&[20; 50], 9_000, 4_000)), Some(200.0));
        let mut saved_up = vec![200, 36];
        saved_up.extend([20; 22]);
        saved_up.extend([
            19, 21, 19, 20, 21, 20, 20, 20, 17, 23, 20, 20, 18, 22, 20, 20, 20, 20, 20, 19, 21, 20, 20, 20, 20, 20,
        ]);
        assert!(seen(&run(&saved_up, 8_800, 4_000)).is_some());
        // The same with one place, ten, and a hundred: each loss holds one for a second.
        for (bursts, lost, places) in [
            ([201, 200, 200, 200, 201], 6, 1),
            ([200, 203, 201, 200, 200], 60, 10),
            ([205, 210, 209, 202, 203], 600, 100),
        ] {
            assert!(seen(&run(&stop_and_go(&bursts), lost, places)).is_some(), "{places} places");
        }
        // A stretch of a long run holds bursts and silences; and this program may have stood still for a while.
        let mut long = run(&[&[200][..], &[400, 200, 200, 200, 400, 200, 200].repeat(14)].concat(), 600, 10);
        (long.duration_s, long.due) = (10.0 * long.duration_s, 10 * long.due);
        long.intervals
            .iter_mut()
            .for_each(|interval| (interval.start_s, interval.length_s) = (interval.start_s * 10.0, 1.0));
        assert!(seen(&long).is_some());
        let mut paused = vec![20; 50];
        (paused[20], paused[21], paused[22]) = (0, 0, 60);
        assert!(seen(&run(&paused, 9_000, 4_000)).is_some());
        let closed = Report { pace: Loop::Closed, ..run(&stop_and_go(&[201, 200, 200, 200, 201]), 6, 1) };
        assert!(seen(&closed).is_some(), "in a closed loop too");
    }

    #[test]
    fn what_chance_loses_is_no_limit() {
        for seed in 0..20 {
            for (sent, chance) in [(200, 0.1), (200, 0.9), (100, 0.5)] {
                let replies = by_chance(sent, chance, 100, seed);
                let lost = 100 * sent - replies.iter().sum::<u64>();
                assert_eq!(seen(&run(&replies, lost, 4_000)), None, "{sent} at {chance}, seed {seed}");
            }
        }
        // With a few places, and each message lost with a chance of one in 200.
        assert_eq!(seen(&run(&stop_and_go(&[12, 340, 95, 410, 143]), 6, 1)), None);
        assert_eq!(seen(&run(&stop_and_go(&[150, 260, 190, 340, 120]), 60, 10)), None);
    }

    #[test]
    fn a_server_that_falls_behind_erratically_has_no_limit() {
        let replies = [180, 20, 0, 130, 95, 160, 0, 0, 40, 200].repeat(5);
        assert_eq!(seen(&run(&replies, 5_800, 4_000)), None);
        // It stands still twice; else all is answered that was sent, and that is the same number each time.
        let mut stopped = [200; 50];
        stopped[10..14].fill(0);
        stopped[30..33].fill(30);
        assert_eq!(seen(&run(&stopped, 1_310, 4_000)), None);
        let slower: Vec<u64> = (0..50).map(|stretch| 200 - 2 * stretch).collect();
        assert_eq!(seen(&run(&slower, 2_450, 4_000)), None);
    }

    #[test]
    fn a_server_whose_core_is_full_has_no_limit_or_may_have_none() {
        // 40,000 a second, evenly, and 300 wait in its queue: 7.5 ms each.
        let mut full = run(&[4_000, 4_003, 3_998, 4_001, 3_999].repeat(10), 60_000, 40_000);
        (full.due, full.sent) = (260_000, 260_000);
        full.send_latency_us.p50 = Some(7_500.0);
        assert_eq!(RateLimit::of(&full).map(|limit| limit.may_be_capacity), Some(true), "it runs elsewhere");
        full.server_cpu_s = Some(4.9);
        assert_eq!(RateLimit::of(&full), None);
        full.server_cpu_s = Some(1.0);
        assert_eq!(RateLimit::of(&full).map(|limit| limit.may_be_capacity), Some(false));
        // Nobody who takes 50 µs for each of 200 a second is busy.
        let mut idle = run(&[20; 50], 9_000, 4_000);
        idle.send_latency_us.p50 = Some(50.0);
        assert_eq!(RateLimit::of(&idle).map(|limit| limit.may_be_capacity), Some(false));
    }

    #[test]
    fn where_anything_else_went_wrong_nothing_is_claimed() {
        let limited = || run(&[20; 50], 9_000, 4_000);
        let changes: [fn(&mut Report); 5] = [
            |run| run.lost = Some(0),
            |run| run.lost = None,
            |run| run.generator_cpu_s = run.duration_s,
            |run| run.errors = [("refused".to_owned(), 1)].into(),
            |run| run.intervals.truncate(2),
        ];
        for change in changes {
            let mut changed = limited();
            change(&mut changed);
            assert_eq!(seen(&changed), None);
        }
        let mut unanswered = limited();
        unanswered.errors.insert("unanswered".to_owned(), 500);
        assert!(seen(&unanswered).is_some(), "they follow from the losses");
        assert_eq!(RateLimit::of(&runs::nothing()), None);
    }
}
