//! The search for the highest rate that keeps a service level objective.
//!
//! A closed loop tells how much the server does at all; between nothing and that the rate is halved in on, with short steps; and what
//! was found is confirmed by a run of full length, for a short one may have been lucky.

use std::fmt;
use std::time::Duration;

use crate::load::outcome::Outcome;

/// Steps down to a rate that is kept, at the most, and to which part of the last one each goes.
const DOWN_MAX: u32 = 8;
const DOWN: f64 = 0.25;

/// Steps from there, at the most: each halves what is left.
const HALVINGS_MAX: u32 = 5;

/// The search ends when the rate that was kept and the one that was not are this close.
const CLOSE_ENOUGH: f64 = 1.03;

/// How often a rate is tried again at which this program was too slow: once it was bad luck, as on a machine that others use too.
const DOUBTS_MAX: u32 = 2;

/// How often a rate that was not confirmed is lowered, and to which part of it.
const CONFIRMATIONS_MAX: u32 = 4;
const LOWER: f64 = 0.9;

/// The part of the rate that has to be answered within the measured time.
const KEPT_UP: f64 = 0.99;

/// With fewer messages than this a run says nothing of any percentile.
const MESSAGES_MIN: u64 = 10;

/// What is promised: so many of the messages are answered within this time.
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
    pub fn judge(&self, rate: f64, outcome: &Outcome) -> Verdict {
        if outcome.surplus.is_some_and(|surplus| surplus.times > 0) {
            Verdict::Surplus
        } else if !outcome.doubts().is_empty() {
            Verdict::Doubtful
        } else if outcome.errors.values().any(|count| *count > 0) || outcome.lost.unwrap_or(0) > 0 {
            Verdict::Errors
        } else if outcome.messages_per_second() < rate * KEPT_UP {
            Verdict::FellBehind
        } else if u128::from(outcome.latency.value_at_quantile(self.quantile)) > self.latency.as_nanos() {
            Verdict::TooSlow
        } else if outcome.messages < MESSAGES_MIN {
            Verdict::TooFew
        } else {
            Verdict::Kept
        }
    }
}

impl fmt::Display for Objective {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} within {:?}", self.name(), self.latency)
    }
}

/// What a run says about a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The objective was kept.
    Kept,
    /// Replies took too long.
    TooSlow,
    /// The server answered less than it was sent.
    FellBehind,
    /// Something went wrong, or was lost.
    Errors,
    /// Too few messages were due to say.
    TooFew,
    /// More came than was asked for, so nothing is known of when a message was answered.
    Surplus,
    /// The run is not valid: this program was too slow for the rate.
    Doubtful,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Verdict::Kept => "kept",
            Verdict::TooSlow => "too slow",
            Verdict::FellBehind => "the server fell behind",
            Verdict::Errors => "errors",
            Verdict::TooFew => "too few messages to tell: it needs a longer --duration",
            Verdict::Surplus => "more came than was asked for: replies cannot be told apart",
            Verdict::Doubtful => "this program was too slow to tell",
        })
    }
}

/// What to run next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Next {
    /// A short run at this rate.
    Step(f64),
    /// A run of full length at this rate.
    Confirm(f64),
    /// This rate was confirmed.
    Found(f64),
    /// No rate that was tried was kept.
    NotFound,
}

/// The state of a search.
#[derive(Clone, Debug)]
pub struct Search {
    /// The highest rate that was kept; 0 before there is one.
    kept: f64,
    /// The lowest rate that was not kept, or the server's capacity.
    failed: f64,
    /// Steps down, or, once a rate was kept, halvings.
    steps: u32,
    /// Runs in a row that tell nothing of the rate.
    doubts: u32,
    confirmations: u32,
    confirmed: Option<bool>,
}

impl Search {
    /// A search below `capacity`, in messages a second.
    pub fn new(capacity: f64) -> Search {
        Search { kept: 0.0, failed: capacity, steps: 0, doubts: 0, confirmations: 0, confirmed: None }
    }

    /// What to run next.
    pub fn next(&self) -> Next {
        match self.confirmed {
            Some(true) => return Next::Found(self.kept),
            Some(false) if self.confirmations >= CONFIRMATIONS_MAX => return Next::NotFound,
            Some(false) => return Next::Confirm(self.kept),
            None => {}
        }
        if self.kept == 0.0 {
            return match self.steps {
                0 => Next::Step(self.failed / 2.0),
                1..DOWN_MAX => Next::Step(self.failed * DOWN),
                _ => Next::NotFound,
            };
        }
        if self.steps >= HALVINGS_MAX || self.failed / self.kept <= CLOSE_ENOUGH {
            return Next::Confirm(self.kept);
        }
        Next::Step((self.kept + self.failed) / 2.0)
    }

    /// A short run at `rate` ended so.
    pub fn step(&mut self, rate: f64, verdict: Verdict) {
        if self.tells_nothing(verdict) {
            return;
        }
        let is_first = self.kept == 0.0 && verdict == Verdict::Kept;
        self.steps = if is_first { 0 } else { self.steps + 1 };
        match verdict {
            Verdict::Kept => self.kept = self.kept.max(rate),
            // There are still fewer at a lower rate; and a server that sends too much does so at any.
            Verdict::TooFew | Verdict::Surplus => self.steps = DOWN_MAX,
            _ => self.failed = self.failed.min(rate),
        }
    }

    /// The run of full length at `rate` ended so.
    pub fn confirm(&mut self, rate: f64, verdict: Verdict) {
        if self.tells_nothing(verdict) {
            return;
        }
        self.confirmations += 1;
        self.confirmed = Some(verdict == Verdict::Kept);
        self.kept = if verdict == Verdict::Kept { rate } else { rate * LOWER };
    }
}

impl Search {
    /// Whether a run is made again, because this program was too slow in it.
    fn tells_nothing(&mut self, verdict: Verdict) -> bool {
        let again = verdict == Verdict::Doubtful && self.doubts < DOUBTS_MAX;
        self.doubts = if again { self.doubts + 1 } else { 0 };
        again
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Searches where every rate up to `limit` is kept, and a run of full length up to `confirmed`.
    fn search(capacity: f64, limit: f64, confirmed: f64) -> (Next, u32) {
        let mut search = Search::new(capacity);
        let verdict = |rate: f64, limit: f64| if rate <= limit { Verdict::Kept } else { Verdict::TooSlow };
        for runs in 0..100 {
            match search.next() {
                Next::Step(rate) => search.step(rate, verdict(rate, limit)),
                Next::Confirm(rate) => search.confirm(rate, verdict(rate, confirmed)),
                end => return (end, runs),
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn the_highest_rate_is_found_closely_and_in_few_runs() {
        for limit in [1_000.0, 37_000.0, 50_000.0, 99_000.0, 200_000.0] {
            let (end, runs) = search(100_000.0, limit, f64::MAX);
            let Next::Found(rate) = end else { panic!("{end:?}") };
            let best = limit.min(100_000.0);
            assert!(rate <= best && rate >= best * 0.9, "{rate} of {best}");
            assert!(runs <= DOWN_MAX + HALVINGS_MAX + CONFIRMATIONS_MAX);
        }
    }

    #[test]
    fn what_is_not_confirmed_is_lowered_and_in_the_end_not_found() {
        let (end, _) = search(100_000.0, 80_000.0, 70_000.0);
        let Next::Found(rate) = end else { panic!("{end:?}") };
        assert!(rate <= 70_000.0 && rate > 60_000.0);
        assert_eq!(search(100_000.0, 80_000.0, 0.0).0, Next::NotFound);
        assert_eq!(search(100_000.0, 0.0, 0.0).0, Next::NotFound);
    }

    #[test]
    fn a_rate_with_hardly_a_message_is_not_searched_for() {
        let mut search = Search::new(10.0);
        search.step(5.0, Verdict::TooFew);
        assert_eq!(search.next(), Next::NotFound);
    }

    #[test]
    fn a_server_that_sends_more_than_it_is_asked_for_is_not_searched() {
        let mut search = Search::new(1_000.0);
        search.step(500.0, Verdict::Surplus);
        assert_eq!(search.next(), Next::NotFound);
    }

    #[test]
    fn a_run_in_which_this_program_was_too_slow_is_made_again_and_not_for_ever() {
        let mut search = Search::new(1_000.0);
        for _ in 0..DOUBTS_MAX {
            assert_eq!(search.next(), Next::Step(500.0));
            search.step(500.0, Verdict::Doubtful);
        }
        assert_eq!(search.next(), Next::Step(500.0));
        search.step(500.0, Verdict::Kept);
        assert_eq!(search.next(), Next::Step(750.0));
        for _ in 0..=DOUBTS_MAX {
            search.step(750.0, Verdict::Doubtful);
        }
        assert_eq!(search.next(), Next::Step(625.0), "at some time it is taken for what it says");
    }

    #[test]
    fn objectives_have_the_names_of_percentiles() {
        let objective = Objective { quantile: Objective::quantile("p999").unwrap(), latency: Duration::from_millis(2) };
        assert_eq!(objective.to_string(), "p999 within 2ms");
        assert_eq!(Objective::quantile("p95"), Some(0.95));
        assert_eq!(Objective::quantile("p98"), None);
    }
}
