//! What a search for the highest rate has to keep, and how a run is judged by it.

use std::fmt;
use std::time::Duration;

use crate::measure::load::outcome::Outcome;
use crate::reactor::named::named;

/// The part of the rate that has to be answered within the measured time, but for one message that is on its way when
/// that ends.
const KEPT_UP: f64 = 0.99;
const ON_ITS_WAY: u64 = 1;

/// With fewer messages than this a run says nothing of any percentile.
const MESSAGES_MIN: u64 = 10;

/// What is promised: this share of the messages is answered within this time.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Objective {
    /// The share of the messages, 0 to 1.
    pub quantile: f64,
    /// The longest latency, from the due time.
    pub latency: Duration,
}

impl Objective {
    const NAMES: [(&'static str, f64); 7] =
        [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99), ("p999", 0.999), ("p9999", 0.9999), ("max", 1.0)];

    /// The share that a name such as `p99` stands for.
    pub fn quantile(name: &str) -> Option<f64> {
        Objective::NAMES.iter().find(|(known, _)| *known == name).map(|(_, quantile)| *quantile)
    }

    /// The name of its share.
    pub fn name(&self) -> &'static str {
        Objective::NAMES.iter().find(|(_, quantile)| *quantile == self.quantile).map_or("p?", |(name, _)| name)
    }

    /// Judges a run at `rate` messages a second.
    pub fn judge(&self, rate: f64, outcome: &Outcome) -> Judgement {
        if outcome.surplus.is_some_and(|surplus| surplus.times > 0) {
            Judgement::Surplus
        } else if !outcome.doubts().is_empty() {
            Judgement::Doubtful
        } else if outcome.errors.values().any(|count| *count > 0) || outcome.lost.unwrap_or(0) > 0 {
            Judgement::Errors
        } else if answered(outcome) < rate * KEPT_UP {
            Judgement::FellBehind
        } else if u128::from(outcome.latency.value_at_quantile(self.quantile)) > self.latency.as_nanos() {
            Judgement::TooSlow
        } else if outcome.messages < MESSAGES_MIN {
            Judgement::TooFew
        } else {
            Judgement::Kept
        }
    }

    /// By how much a run at `rate` that ended with `verdict` missed the objective, so that two rates can be compared:
    /// of how much there is too much, as a part of what would be kept. 0 where there is no such figure.
    pub fn miss(&self, rate: f64, verdict: Judgement, outcome: &Outcome) -> f64 {
        match verdict {
            Judgement::TooSlow => {
                let latency = outcome.latency.value_at_quantile(self.quantile) as f64;
                latency / (self.latency.as_nanos() as f64).max(1.0) - 1.0
            }
            Judgement::FellBehind => 1.0 - answered(outcome) / rate,
            Judgement::Errors => {
                let wrong = outcome.errors.values().sum::<u64>() + outcome.lost.unwrap_or(0);
                wrong as f64 / outcome.due.max(1) as f64
            }
            Judgement::Kept | Judgement::TooFew | Judgement::Surplus | Judgement::Doubtful => 0.0,
        }
    }

    /// Whether a closed loop with so many messages in flight shows that no rate keeps the objective: one message alone,
    /// that waits for no other, takes too long already.
    pub(super) fn is_missed_alone(&self, closed: &Outcome, in_flight: usize) -> bool {
        let tells = in_flight == 1 && closed.messages >= MESSAGES_MIN && closed.doubts().is_empty();
        tells && u128::from(closed.latency.value_at_quantile(self.quantile)) > self.latency.as_nanos()
    }
}

/// Replies a second, as if those were among them that came right behind the end.
fn answered(outcome: &Outcome) -> f64 {
    (outcome.replies_in_time + ON_ITS_WAY) as f64 / outcome.duration.as_secs_f64().max(1e-9)
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {:?}", self.name(), self.latency)
    }
}

named! {
    /// What a run says about a rate.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Judgement {
        /// The objective was kept.
        Kept = "kept",
        /// Replies took too long.
        TooSlow = "too slow",
        /// Fewer messages were answered than were due.
        FellBehind = "fewer were answered than were due",
        /// Something went wrong, or was lost.
        Errors = "errors",
        /// Too few messages were due to say.
        TooFew = "too few messages to tell: it needs a longer --duration",
        /// More came than was asked for, so nothing is known of when a message was answered.
        Surplus = "more came than was asked for: replies cannot be told apart",
        /// The run is not valid: this program was too slow for the rate.
        Doubtful = "this program was too slow to tell",
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use crate::measure::load::error_kind::ErrorKind;

    /// A run of a second in which so many messages took so many milliseconds each.
    pub(in crate::measure::load) fn outcome(messages: u64, millis: u64) -> Outcome {
        let mut outcome = crate::measure::load::outcome::tests::outcome();
        outcome.latency.reset();
        outcome.latency.record_n(millis * 1_000_000, messages).unwrap();
        (outcome.messages, outcome.replies_in_time, outcome.due, outcome.sent) =
            (messages, messages, messages, messages);
        (outcome.duration, outcome.generator_cpu) = (Duration::from_secs(1), Duration::from_millis(1));
        outcome
    }

    pub(in crate::measure::load) const FAST: Objective = Objective { quantile: 0.5, latency: Duration::from_millis(4) };

    #[test]
    fn a_run_is_judged_by_what_was_answered_and_how_soon() {
        let judged = |rate, outcome: &Outcome| {
            let verdict = FAST.judge(rate, outcome);
            (verdict, FAST.miss(rate, verdict, outcome))
        };
        assert_eq!(judged(20.0, &outcome(20, 3)), (Judgement::Kept, 0.0));
        assert_eq!(judged(20.0, &outcome(19, 3)), (Judgement::Kept, 0.0), "the last one was on its way");
        assert_eq!(judged(20.0, &outcome(18, 3)).0, Judgement::FellBehind);
        let (verdict, miss) = judged(20.0, &outcome(20, 12));
        assert!(verdict == Judgement::TooSlow && (miss - 2.0).abs() < 0.01, "{miss}");
        let lossy = Outcome { lost: Some(5), ..outcome(20, 3) };
        assert_eq!(judged(20.0, &lossy), (Judgement::Errors, 0.25));
        assert_eq!(judged(9.0, &outcome(9, 3)).0, Judgement::TooFew);
        let late = |late| Outcome { late, ..outcome(20, 3) };
        assert_eq!(judged(20.0, &late(1)).0, Judgement::Kept, "one late message of twenty is chance");
        assert_eq!(judged(20.0, &late(3)).0, Judgement::Doubtful);
    }

    #[test]
    fn objectives_have_the_names_of_percentiles() {
        let objective = Objective { quantile: Objective::quantile("p999").unwrap(), latency: Duration::from_millis(2) };
        assert_eq!(objective.to_string(), "p999 within 2ms");
        assert_eq!(Objective::quantile("p95"), Some(0.95));
        assert_eq!(Objective::quantile("p98"), None);
    }

    #[test]
    fn a_run_is_judged_by_what_went_wrong_then_by_its_rate_and_then_by_its_latency() {
        let objective = Objective { quantile: 0.99, latency: Duration::from_nanos(500) };
        let run = |messages: u64, latency: u64| {
            let mut run = crate::measure::load::outcome::tests::outcome();
            (run.messages, run.replies_in_time) = (messages, messages);
            run.latency.reset();
            run.latency.record_n(latency, messages).unwrap();
            run
        };
        // Within ten seconds.
        let verdict = |rate: f64, run: Outcome| objective.judge(rate, &run);
        assert_eq!(verdict(100.0, run(1_000, 500)), Judgement::Kept);
        assert_eq!(verdict(100.0, run(1_000, 501)), Judgement::TooSlow);
        assert_eq!(verdict(100.0, run(990, 500)), Judgement::Kept, "the last ones are on their way");
        assert_eq!(verdict(100.0, run(988, 501)), Judgement::FellBehind);
        assert_eq!((verdict(1.0, run(10, 500)), verdict(0.9, run(9, 500))), (Judgement::Kept, Judgement::TooFew));
        assert_eq!(verdict(100.0, Outcome { lost: Some(1), ..run(1_000, 500) }), Judgement::Errors);
        let errors = |count| [(ErrorKind::Reset, count)].into();
        assert_eq!(verdict(100.0, Outcome { errors: errors(0), ..run(1_000, 500) }), Judgement::Kept);
        assert_eq!(verdict(100.0, Outcome { errors: errors(1), ..run(1_000, 500) }), Judgement::Errors);
        assert_eq!(verdict(100.0, Outcome { late: 999, lost: Some(1), ..run(1_000, 500) }), Judgement::Doubtful);
    }
}
