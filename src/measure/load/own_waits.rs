//! What this program made messages wait for by itself, and not the server.
//!
//! A connection that is to be opened may have to wait: for a pause after the last one broke, for the rate of
//! connections, for others that are under way. Messages that become due meanwhile pay for it in their latency. So each
//! of these waits is noted, and a message that was sent late is asked for how much of its wait was this program's.

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use crate::measure::load::outcome::LATE;
use crate::measure::load::stopwatch::Moment;

/// So many past waits are remembered apart. Where there are more, the two oldest are taken for one with what lies
/// between them: that tells too much of this program and not too little.
const PERIODS_MAX: usize = 64;

/// The part of a message's wait that may be this program's. Less than that changes its latency by less.
const PART_MAX: u32 = 10;

/// The waits of this program, of all connections together.
///
/// Invariant: `periods` are in order, do not touch, and all begin behind `failed_at`.
#[derive(Debug, Default)]
pub(crate) struct OwnWaits {
    /// The connections that wait, and since when; it may lie ahead.
    waiting: BTreeSet<(Moment, usize)>,
    /// When any connection waited.
    periods: VecDeque<(Moment, Moment)>,
    /// When a connection could not be opened the last time. What was waited before that has cost nothing: the server
    /// was not there.
    failed_at: Moment,
}

impl OwnWaits {
    /// The connection of `lane` waits from `since` on.
    pub(crate) fn begin(&mut self, lane: usize, since: Moment) {
        self.waiting.insert((since, lane));
    }

    /// The connection of `lane`, which has waited from `since` on, is dialled. Returns for how long it has waited, as
    /// far as the server is known to have been there.
    pub(crate) fn end(&mut self, lane: usize, since: Moment, now: Moment) -> Duration {
        self.waiting.remove(&(since, lane));
        let since = since.max(self.failed_at);
        if since < now {
            self.note(since, now);
        }
        now.since(since)
    }

    /// A connection could not be opened: an earlier attempt would have failed too.
    pub(crate) fn failed(&mut self, now: Moment) {
        self.failed_at = now;
        self.periods.clear();
    }

    /// How much of its wait a message that was `due` and leaves at `now` has waited for this program; `None` if that
    /// hardly changes its latency.
    pub(crate) fn share(&self, due: Moment, now: Moment) -> Option<Duration> {
        let waited = now.since(due);
        if waited <= LATE {
            return None;
        }
        let own = self.between(due, now);
        (own > LATE && own.saturating_mul(PART_MAX) > waited).then_some(own)
    }

    /// For how long any connection has waited between two moments.
    fn between(&self, from: Moment, until: Moment) -> Duration {
        let ongoing = self.waiting.first().map_or(until, |(since, _)| (*since).max(self.failed_at));
        let past = self.periods.iter().rev().take_while(|(_, end)| *end > from);
        let past = past.map(|(begin, end)| (*end).min(ongoing).since((*begin).max(from)));
        past.sum::<Duration>() + until.since(ongoing.max(from))
    }

    /// Notes a wait, together with those that it touches.
    fn note(&mut self, mut from: Moment, mut until: Moment) {
        // A wait ends now, so no period ends later.
        while let Some(&(begin, end)) = self.periods.back()
            && end >= from
        {
            (from, until) = (from.min(begin), until.max(end));
            self.periods.pop_back();
        }
        self.periods.push_back((from, until));
        if self.periods.len() > PERIODS_MAX
            && let Some((begin, _)) = self.periods.pop_front()
            && let Some(second) = self.periods.front_mut()
        {
            second.0 = begin;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(millis: u64) -> Moment {
        Moment::default().after(Duration::from_millis(millis))
    }

    fn millis(millis: u64) -> Option<Duration> {
        Some(Duration::from_millis(millis))
    }

    #[test]
    fn a_message_that_became_due_in_a_wait_has_waited_for_the_rest_of_it() {
        let mut waits = OwnWaits::default();
        waits.begin(0, ms(100));
        assert_eq!(waits.share(ms(120), ms(150)), millis(30), "another connection sends it meanwhile");
        assert_eq!(waits.end(0, ms(100), ms(200)), Duration::from_millis(100));
        assert_eq!(waits.share(ms(120), ms(210)), millis(80));
        assert_eq!(waits.share(ms(50), ms(210)), millis(100));
        assert_eq!(waits.share(ms(205), ms(220)), None, "it became due after it");
        assert_eq!(waits.share(ms(199), ms(260)), None, "a millisecond is allowed");
        assert_eq!(waits.share(ms(180), ms(600)), None, "20 ms of 420 are not what makes it late");
    }

    #[test]
    fn waits_at_the_same_time_count_once() {
        let mut waits = OwnWaits::default();
        waits.begin(0, ms(100));
        waits.begin(1, ms(150));
        waits.end(0, ms(100), ms(200));
        assert_eq!(waits.share(ms(0), ms(240)), millis(140));
        waits.end(1, ms(150), ms(250));
        assert_eq!(waits.share(ms(0), ms(260)), millis(150));
        waits.begin(2, ms(300));
        waits.end(2, ms(300), ms(310));
        assert_eq!(waits.share(ms(0), ms(400)), millis(160), "and those apart add up");
    }

    #[test]
    fn what_was_waited_while_the_server_was_away_is_not_this_programs() {
        let mut waits = OwnWaits::default();
        waits.begin(0, ms(0));
        waits.end(0, ms(0), ms(100));
        waits.begin(1, ms(10));
        waits.failed(ms(101));
        assert_eq!(waits.share(ms(0), ms(101)), None);
        assert_eq!(waits.end(1, ms(10), ms(121)), Duration::from_millis(20));
        assert_eq!(waits.share(ms(0), ms(125)), millis(20));
    }

    #[test]
    fn a_wait_that_lies_ahead_is_none_yet() {
        let mut waits = OwnWaits::default();
        waits.begin(0, ms(500));
        assert_eq!(waits.share(ms(100), ms(200)), None);
        assert_eq!(waits.end(0, ms(500), ms(400)), Duration::ZERO);
    }

    #[test]
    fn it_does_not_grow() {
        let mut waits = OwnWaits::default();
        for number in 0..1_000 {
            waits.begin(0, ms(10 * number));
            waits.end(0, ms(10 * number), ms(10 * number + 5));
        }
        assert_eq!(waits.periods.len(), PERIODS_MAX);
        assert_eq!(waits.share(ms(9_990), ms(10_000)), millis(5), "the latest are known exactly");
    }
}
