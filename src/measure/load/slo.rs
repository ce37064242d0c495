//! The search for the highest rate that keeps a service level objective.
//!
//! A closed loop tells how much the server does at all; between nothing and that the rate is halved in on, with short
//! steps; and what was found is confirmed by a run of full length, for a short one may have been lucky.

use std::fmt;
use std::time::Duration;

use crate::measure::load::outcome::Outcome;

/// Steps down to a rate that is kept, at the most, and to which part of the last one each goes.
const DOWN_MAX: u32 = 8;
const DOWN: f64 = 0.25;

/// Steps from there, at the most: each halves what is left.
const HALVINGS_MAX: u32 = 5;

/// The search ends when the rate that was kept and the one that was not are this close.
const CLOSE_ENOUGH: f64 = 1.03;

/// How often a rate is tried again at which this program was too slow: once it was bad luck, as on a machine that
/// others use too.
const DOUBTS_MAX: u32 = 2;

/// How often a rate that was not confirmed is lowered, and to which part of it.
const CONFIRMATIONS_MAX: u32 = 4;
const LOWER: f64 = 0.9;

/// The part of the rate that has to be answered within the measured time, but for one message that is on its way when
/// that ends.
const KEPT_UP: f64 = 0.99;
const ON_ITS_WAY: u64 = 1;

/// A lower rate is no better where it misses the objective by this part of what the higher one did, or more.
const NO_BETTER: f64 = 0.9;

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
        } else if answered(outcome) < rate * KEPT_UP {
            Verdict::FellBehind
        } else if u128::from(outcome.latency.value_at_quantile(self.quantile)) > self.latency.as_nanos() {
            Verdict::TooSlow
        } else if outcome.messages < MESSAGES_MIN {
            Verdict::TooFew
        } else {
            Verdict::Kept
        }
    }

    /// By how much a run at `rate` that ended with `verdict` missed the objective, so that two rates can be compared:
    /// of how much there is too much, as a part of what would be kept. 0 where there is no such figure.
    pub fn miss(&self, rate: f64, verdict: Verdict, outcome: &Outcome) -> f64 {
        match verdict {
            Verdict::TooSlow => {
                let latency = outcome.latency.value_at_quantile(self.quantile) as f64;
                latency / (self.latency.as_nanos() as f64).max(1.0) - 1.0
            }
            Verdict::FellBehind => 1.0 - answered(outcome) / rate,
            Verdict::Errors => {
                let wrong = outcome.errors.values().sum::<u64>() + outcome.lost.unwrap_or(0);
                wrong as f64 / outcome.due.max(1) as f64
            }
            Verdict::Kept | Verdict::TooFew | Verdict::Surplus | Verdict::Doubtful => 0.0,
        }
    }

    /// Whether a closed loop with so many messages in flight shows that no rate keeps the objective: one message alone,
    /// that waits for no other, takes too long already.
    fn is_missed_alone(&self, closed: &Outcome, in_flight: usize) -> bool {
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

/// What a run says about a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The objective was kept.
    Kept,
    /// Replies took too long.
    TooSlow,
    /// Fewer messages were answered than were due.
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
            Verdict::FellBehind => "fewer were answered than were due",
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
    /// No rate is kept.
    NotFound(Why),
}

/// Why a search ended without a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// One message in flight at a time takes too long already.
    OneAlone,
    /// A far lower rate was no better.
    NoBetter,
    /// There are too few messages at a rate that might be kept.
    TooFew,
    /// The server sends more than it is asked for, at any rate.
    Surplus,
    /// The lowest rate that was tried was not kept either.
    Lowest,
    /// What short runs kept, runs of full length did not.
    NotConfirmed,
}

impl fmt::Display for Why {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Why::OneAlone => "One message in flight at a time takes longer already: no rate keeps it.",
            Why::NoBetter => "A quarter of the rate was no better: what is missed does not come from the rate.",
            Why::TooFew => {
                "At a rate that may be kept there are too few messages to tell: it needs a longer --duration."
            }
            Why::Surplus => "More came than was asked for, so replies cannot be told apart, at any rate.",
            Why::Lowest => "The lowest rate that was tried did not keep it either.",
            Why::NotConfirmed => "What short runs kept, runs of full length did not.",
        })
    }
}

/// The state of a search.
#[derive(Clone, Debug, Default)]
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
    /// The last rate that was not kept, before one was: the rate, how it ended, by how much it missed.
    missed: Option<(f64, Verdict, f64)>,
    hopeless: Option<Why>,
}

impl Search {
    /// A search below what a closed loop with so many messages in flight has shown.
    pub fn below(closed: &Outcome, in_flight: usize, objective: Objective) -> Search {
        let hopeless = objective.is_missed_alone(closed, in_flight).then_some(Why::OneAlone);
        Search { hopeless, ..Search::new(closed.messages_per_second()) }
    }

    /// A search below `capacity`, in messages a second.
    fn new(capacity: f64) -> Search {
        Search { failed: capacity, ..Search::default() }
    }

    /// What to run next.
    pub fn next(&self) -> Next {
        if let Some(why) = self.hopeless {
            return Next::NotFound(why);
        }
        match self.confirmed {
            Some(true) => return Next::Found(self.kept),
            Some(false) if self.confirmations >= CONFIRMATIONS_MAX => return Next::NotFound(Why::NotConfirmed),
            Some(false) => return Next::Confirm(self.kept),
            None => {}
        }
        if self.kept == 0.0 {
            return match self.steps {
                0 => Next::Step(self.failed / 2.0),
                1..DOWN_MAX => Next::Step(self.failed * DOWN),
                _ => Next::NotFound(Why::Lowest),
            };
        }
        if self.steps >= HALVINGS_MAX || self.failed / self.kept <= CLOSE_ENOUGH {
            return Next::Confirm(self.kept);
        }
        Next::Step((self.kept + self.failed) / 2.0)
    }

    /// A short run at `rate` ended so, and missed the objective by so much: see [`Objective::miss`].
    pub fn step(&mut self, rate: f64, verdict: Verdict, miss: f64) {
        if self.tells_nothing(verdict) {
            return;
        }
        let is_first = self.kept == 0.0 && verdict == Verdict::Kept;
        self.steps = if is_first { 0 } else { self.steps + 1 };
        match verdict {
            Verdict::Kept => self.kept = self.kept.max(rate),
            // There are still fewer at a lower rate.
            Verdict::TooFew if self.kept == 0.0 => self.hopeless = Some(Why::TooFew),
            Verdict::Surplus => self.hopeless = Some(Why::Surplus),
            _ => self.failed = self.failed.min(rate),
        }
        if self.kept == 0.0 && verdict != Verdict::Doubtful {
            let before = self.missed.replace((rate, verdict, miss));
            let is_no_better = before.is_some_and(|(higher, ended, missed)| {
                // What another such step could win would not be enough.
                rate <= higher * DOWN && verdict == ended && miss >= missed * NO_BETTER && miss > 1.0 - NO_BETTER
            });
            if is_no_better {
                self.hopeless.get_or_insert(Why::NoBetter);
            }
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
    use crate::measure::load::outcome::ErrorKind;

    /// Searches where every rate up to `limit` is kept, and a run of full length up to `confirmed`.
    fn search(capacity: f64, limit: f64, confirmed: f64) -> (Next, u32) {
        let mut search = Search::new(capacity);
        let verdict = |rate: f64, limit: f64| if rate <= limit { Verdict::Kept } else { Verdict::TooSlow };
        for runs in 0..100 {
            match search.next() {
                // The lower the rate, the less it misses.
                Next::Step(rate) => search.step(rate, verdict(rate, limit), rate),
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
        assert_eq!(search(100_000.0, 80_000.0, 0.0).0, Next::NotFound(Why::NotConfirmed));
        assert_eq!(search(100_000.0, 0.0, 0.0), (Next::NotFound(Why::Lowest), DOWN_MAX));
    }

    /// The rates that come next where each run ends so, until it is no step any more.
    fn steps(search: &mut Search, verdict: Verdict) -> (Vec<f64>, Next) {
        let mut rates = Vec::new();
        loop {
            match search.next() {
                Next::Step(rate) if rates.len() < 20 => {
                    search.step(rate, verdict, rate);
                    rates.push(rate);
                }
                next => return (rates, next),
            }
        }
    }

    #[test]
    fn eight_rates_are_tried_on_the_way_down_each_a_quarter_of_the_last() {
        let (rates, end) = steps(&mut Search::new(131_072.0), Verdict::TooSlow);
        assert_eq!(rates, [65_536.0, 16_384.0, 4_096.0, 1_024.0, 256.0, 64.0, 16.0, 4.0]);
        assert_eq!(end, Next::NotFound(Why::Lowest));
    }

    #[test]
    fn five_halvings_follow_the_first_rate_that_is_kept() {
        let kept = |rate: f64| {
            let mut search = Search::new(100.0);
            search.step(rate, Verdict::Kept, 0.0);
            search
        };
        let (rates, end) = steps(&mut kept(4.0), Verdict::TooSlow);
        assert_eq!((rates, end), (vec![52.0, 28.0, 16.0, 10.0, 7.0], Next::Confirm(4.0)));
        // Closer than three in a hundred is close enough.
        let (rates, end) = steps(&mut kept(50.0), Verdict::Kept);
        assert_eq!((rates, end), (vec![75.0, 87.5, 93.75, 96.875, 98.4375], Next::Confirm(98.4375)));
        let between = |rate: f64, capacity: f64| {
            let mut search = Search::new(capacity);
            search.step(rate, Verdict::Kept, 0.0);
            search.next()
        };
        assert_eq!(between(100.0, 103.0), Next::Confirm(100.0));
        assert_eq!(between(100.0, 103.5), Next::Step(101.75));
    }

    #[test]
    fn four_runs_of_full_length_are_made_each_at_nine_tenths_of_the_last() {
        let mut search = Search::new(101.0);
        search.step(100.0, Verdict::Kept, 0.0);
        let mut rates = Vec::new();
        while let Next::Confirm(rate) = search.next() {
            search.confirm(rate, Verdict::TooSlow);
            rates.push((rate * 10.0).round() / 10.0);
        }
        assert_eq!((rates, search.next()), (vec![100.0, 90.0, 81.0, 72.9], Next::NotFound(Why::NotConfirmed)));
    }

    #[test]
    fn a_doubtful_run_is_made_twice_more_and_doubts_are_counted_anew_behind_a_good_one() {
        let mut search = Search::new(1_000.0);
        let mut step = |verdict| {
            let Next::Step(rate) = search.next() else { panic!("{:?}", search.next()) };
            search.step(rate, verdict, 0.0);
            rate
        };
        let (doubtful, slow) = (Verdict::Doubtful, Verdict::TooSlow);
        assert_eq!([doubtful, doubtful, doubtful].map(&mut step), [500.0, 500.0, 500.0]);
        assert_eq!([doubtful, slow].map(&mut step), [125.0, 125.0]);
        assert_eq!([doubtful, doubtful, slow].map(&mut step), [31.25, 31.25, 31.25]);
        let mut search = Search::new(101.0);
        search.step(100.0, Verdict::Kept, 0.0);
        for _ in 0..2 {
            search.confirm(100.0, Verdict::Doubtful);
            assert_eq!(search.next(), Next::Confirm(100.0), "it is made again");
        }
        search.confirm(100.0, Verdict::Doubtful);
        assert_eq!(search.next(), Next::Confirm(90.0));
    }

    #[test]
    fn a_lower_rate_is_no_better_from_nine_tenths_of_what_was_missed() {
        let slow = Verdict::TooSlow;
        assert_eq!(after((slow, 4.0), (slow, 3.6)), Next::NotFound(Why::NoBetter));
        assert_eq!(after((slow, 4.0), (slow, 3.59)), Next::Step(3_125.0));
        assert_eq!(after((slow, 0.11), (slow, 0.11)), Next::NotFound(Why::NoBetter));
        assert_eq!(after((slow, 0.09), (slow, 0.09)), Next::Step(3_125.0));
    }

    #[test]
    fn a_rate_is_kept_up_where_99_of_100_were_answered_and_one_more_may_be_on_its_way() {
        let verdict =
            |answered: u64| FAST.judge(10_000.0, &Outcome { replies_in_time: answered, ..outcome(10_000, 3) });
        assert_eq!((verdict(9_899), verdict(9_898)), (Verdict::Kept, Verdict::FellBehind));
        let missed = |messages, millis| Search::below(&outcome(messages, millis), 1, FAST).hopeless;
        assert_eq!((missed(10, 5), missed(9, 5)), (Some(Why::OneAlone), None));
        let exactly = Objective { latency: Duration::from_nanos(1_000), ..FAST };
        let alone = |nanoseconds: u64| {
            let mut closed = outcome(20, 3);
            closed.latency.reset();
            closed.latency.record_n(nanoseconds, 20).unwrap();
            Search::below(&closed, 1, exactly).hopeless
        };
        assert_eq!((alone(1_000), alone(1_001)), (None, Some(Why::OneAlone)), "within the time is kept");
    }

    #[test]
    fn a_rate_with_hardly_a_message_is_not_searched_for() {
        let mut search = Search::new(10.0);
        search.step(5.0, Verdict::TooFew, 0.0);
        assert_eq!(search.next(), Next::NotFound(Why::TooFew));
    }

    /// What comes after two steps down that ended so, each with what it missed the objective by.
    fn after(first: (Verdict, f64), second: (Verdict, f64)) -> Next {
        let mut search = Search::new(100_000.0);
        search.step(50_000.0, first.0, first.1);
        assert_eq!(search.next(), Next::Step(12_500.0));
        search.step(12_500.0, second.0, second.1);
        search.next()
    }

    #[test]
    fn where_a_far_lower_rate_is_no_better_the_search_ends() {
        let (slow, errors, behind) = (Verdict::TooSlow, Verdict::Errors, Verdict::FellBehind);
        let end = Next::NotFound(Why::NoBetter);
        assert_eq!(after((slow, 4.0), (slow, 4.1)), end);
        assert_eq!(after((slow, 4.0), (slow, 3.7)), end);
        assert_eq!(after((errors, 0.5), (errors, 0.5)), end);
        assert_eq!(after((behind, 0.3), (behind, 0.3)), end);
        let on = Next::Step(3_125.0);
        assert_eq!(after((slow, 4.0), (slow, 3.0)), on, "the rate matters");
        assert_eq!(after((slow, 0.1), (slow, 0.09)), on, "it is close enough for luck");
        assert_eq!(after((behind, 0.5), (slow, 4.0)), on, "the one was overload");
        assert_eq!(after((errors, 0.5), (slow, 4.0)), on);
        assert_eq!(after((slow, 4.0), (Verdict::Kept, 0.0)), Next::Step(31_250.0));
    }

    #[test]
    fn steps_up_end_no_search() {
        let mut search = Search::new(100_000.0);
        search.step(50_000.0, Verdict::Kept, 0.0);
        search.step(75_000.0, Verdict::TooSlow, 4.0);
        search.step(62_500.0, Verdict::TooSlow, 4.0);
        assert_eq!(search.next(), Next::Step(56_250.0));
        search.step(56_250.0, Verdict::TooFew, 0.0);
        assert!(matches!(search.next(), Next::Step(_)), "it is not kept, and no more");
    }

    /// A run of a second in which so many messages took so many milliseconds each.
    fn outcome(messages: u64, millis: u64) -> Outcome {
        let mut outcome = crate::measure::load::outcome::tests::outcome();
        outcome.latency.reset();
        outcome.latency.record_n(millis * 1_000_000, messages).unwrap();
        (outcome.messages, outcome.replies_in_time, outcome.due, outcome.sent) =
            (messages, messages, messages, messages);
        (outcome.duration, outcome.generator_cpu) = (Duration::from_secs(1), Duration::from_millis(1));
        outcome
    }

    const FAST: Objective = Objective { quantile: 0.5, latency: Duration::from_millis(4) };

    #[test]
    fn one_message_that_takes_too_long_alone_ends_the_search_before_it_begins() {
        let next = |messages, millis, in_flight| Search::below(&outcome(messages, millis), in_flight, FAST).next();
        assert_eq!(next(200, 5, 1), Next::NotFound(Why::OneAlone));
        assert_eq!(next(200, 5, 2), Next::Step(100.0), "they wait for each other");
        assert_eq!(next(200, 3, 1), Next::Step(100.0));
        assert_eq!(next(9, 5, 1), Next::Step(4.5), "too few to tell");
    }

    #[test]
    fn a_run_is_judged_by_what_was_answered_and_how_soon() {
        let judged = |rate, outcome: &Outcome| {
            let verdict = FAST.judge(rate, outcome);
            (verdict, FAST.miss(rate, verdict, outcome))
        };
        assert_eq!(judged(20.0, &outcome(20, 3)), (Verdict::Kept, 0.0));
        assert_eq!(judged(20.0, &outcome(19, 3)), (Verdict::Kept, 0.0), "the last one was on its way");
        assert_eq!(judged(20.0, &outcome(18, 3)).0, Verdict::FellBehind);
        let (verdict, miss) = judged(20.0, &outcome(20, 12));
        assert!(verdict == Verdict::TooSlow && (miss - 2.0).abs() < 0.01, "{miss}");
        let lossy = Outcome { lost: Some(5), ..outcome(20, 3) };
        assert_eq!(judged(20.0, &lossy), (Verdict::Errors, 0.25));
        assert_eq!(judged(9.0, &outcome(9, 3)).0, Verdict::TooFew);
        let late = |late| Outcome { late, ..outcome(20, 3) };
        assert_eq!(judged(20.0, &late(1)).0, Verdict::Kept, "one late message of twenty is chance");
        assert_eq!(judged(20.0, &late(3)).0, Verdict::Doubtful);
    }

    #[test]
    fn a_server_that_sends_more_than_it_is_asked_for_is_not_searched() {
        let mut search = Search::new(1_000.0);
        search.step(500.0, Verdict::Surplus, 0.0);
        assert_eq!(search.next(), Next::NotFound(Why::Surplus));
    }

    #[test]
    fn a_run_in_which_this_program_was_too_slow_is_made_again_and_not_for_ever() {
        let mut search = Search::new(1_000.0);
        for _ in 0..DOUBTS_MAX {
            assert_eq!(search.next(), Next::Step(500.0));
            search.step(500.0, Verdict::Doubtful, 0.0);
        }
        assert_eq!(search.next(), Next::Step(500.0));
        search.step(500.0, Verdict::Kept, 0.0);
        assert_eq!(search.next(), Next::Step(750.0));
        for _ in 0..=DOUBTS_MAX {
            search.step(750.0, Verdict::Doubtful, 0.0);
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
        assert_eq!(verdict(100.0, run(1_000, 500)), Verdict::Kept);
        assert_eq!(verdict(100.0, run(1_000, 501)), Verdict::TooSlow);
        assert_eq!(verdict(100.0, run(990, 500)), Verdict::Kept, "the last ones are on their way");
        assert_eq!(verdict(100.0, run(988, 501)), Verdict::FellBehind);
        assert_eq!((verdict(1.0, run(10, 500)), verdict(0.9, run(9, 500))), (Verdict::Kept, Verdict::TooFew));
        assert_eq!(verdict(100.0, Outcome { lost: Some(1), ..run(1_000, 500) }), Verdict::Errors);
        let errors = |count| [(ErrorKind::Reset, count)].into();
        assert_eq!(verdict(100.0, Outcome { errors: errors(0), ..run(1_000, 500) }), Verdict::Kept);
        assert_eq!(verdict(100.0, Outcome { errors: errors(1), ..run(1_000, 500) }), Verdict::Errors);
        assert_eq!(verdict(100.0, Outcome { late: 999, lost: Some(1), ..run(1_000, 500) }), Verdict::Doubtful);
    }
}
