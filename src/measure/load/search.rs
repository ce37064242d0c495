//! The search for the highest rate that keeps a service level objective.
//!
//! A closed loop tells how much the server does at all; between nothing and that the rate is halved in on, with short
//! steps; and what was found is confirmed by a run of full length, for a short one may have been lucky.

use crate::measure::load::objective::{Judgement, Objective};
use crate::measure::load::outcome::Outcome;
use crate::reactor::named::named;

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

/// A lower rate is no better where it misses the objective by this part of what the higher one did, or more.
const NO_BETTER: f64 = 0.9;

/// What to run next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum NextRun {
    /// A short run at this rate.
    Step(f64),
    /// A run of full length at this rate.
    Confirm(f64),
    /// This rate was confirmed.
    Found(f64),
    /// No rate is kept.
    NotFound(Why),
}

named! {
    /// Why a search ended without a rate.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Why {
        /// One message in flight at a time takes too long already.
        OneAlone = "One message in flight at a time takes longer already: no rate keeps it.",
        /// A far lower rate was no better.
        NoBetter = "A quarter of the rate was no better: what is missed does not come from the rate.",
        /// There are too few messages at a rate that might be kept.
        TooFew = "At a rate that may be kept there are too few messages to tell: it needs a longer --duration.",
        /// The server sends more than it is asked for, at any rate.
        Surplus = "More came than was asked for, so replies cannot be told apart, at any rate.",
        /// The lowest rate that was tried was not kept either.
        Lowest = "The lowest rate that was tried did not keep it either.",
        /// What short runs kept, runs of full length did not.
        NotConfirmed = "What short runs kept, runs of full length did not.",
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
    missed: Option<(f64, Judgement, f64)>,
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
    pub fn next(&self) -> NextRun {
        if let Some(why) = self.hopeless {
            return NextRun::NotFound(why);
        }
        match self.confirmed {
            Some(true) => return NextRun::Found(self.kept),
            Some(false) if self.confirmations >= CONFIRMATIONS_MAX => return NextRun::NotFound(Why::NotConfirmed),
            Some(false) => return NextRun::Confirm(self.kept),
            None => {}
        }
        if self.kept == 0.0 {
            return match self.steps {
                0 => NextRun::Step(self.failed / 2.0),
                1..DOWN_MAX => NextRun::Step(self.failed * DOWN),
                _ => NextRun::NotFound(Why::Lowest),
            };
        }
        if self.steps >= HALVINGS_MAX || self.failed / self.kept <= CLOSE_ENOUGH {
            return NextRun::Confirm(self.kept);
        }
        NextRun::Step((self.kept + self.failed) / 2.0)
    }

    /// A short run at `rate` ended so, and missed the objective by so much: see [`Objective::miss`].
    pub fn step(&mut self, rate: f64, verdict: Judgement, miss: f64) {
        if self.tells_nothing(verdict) {
            return;
        }
        let is_first = self.kept == 0.0 && verdict == Judgement::Kept;
        self.steps = if is_first { 0 } else { self.steps + 1 };
        match verdict {
            Judgement::Kept => self.kept = self.kept.max(rate),
            // There are still fewer at a lower rate.
            Judgement::TooFew if self.kept == 0.0 => self.hopeless = Some(Why::TooFew),
            Judgement::Surplus => self.hopeless = Some(Why::Surplus),
            _ => self.failed = self.failed.min(rate),
        }
        if self.kept == 0.0 && verdict != Judgement::Doubtful {
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
    pub fn confirm(&mut self, rate: f64, verdict: Judgement) {
        if self.tells_nothing(verdict) {
            return;
        }
        self.confirmations += 1;
        self.confirmed = Some(verdict == Judgement::Kept);
        self.kept = if verdict == Judgement::Kept { rate } else { rate * LOWER };
    }

    /// Whether a run is made again, because this program was too slow in it.
    fn tells_nothing(&mut self, verdict: Judgement) -> bool {
        let again = verdict == Judgement::Doubtful && self.doubts < DOUBTS_MAX;
        self.doubts = if again { self.doubts + 1 } else { 0 };
        again
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::load::objective::tests::{FAST, outcome};

    /// Searches where every rate up to `limit` is kept, and a run of full length up to `confirmed`.
    fn search(capacity: f64, limit: f64, confirmed: f64) -> (NextRun, u32) {
        let mut search = Search::new(capacity);
        let verdict = |rate: f64, limit: f64| if rate <= limit { Judgement::Kept } else { Judgement::TooSlow };
        for runs in 0..100 {
            match search.next() {
                // The lower the rate, the less it misses.
                NextRun::Step(rate) => search.step(rate, verdict(rate, limit), rate),
                NextRun::Confirm(rate) => search.confirm(rate, verdict(rate, confirmed)),
                end => return (end, runs),
            }
        }
        panic!("it never ends");
    }

    #[test]
    fn the_highest_rate_is_found_closely_and_in_few_runs() {
        for limit in [1_000.0, 37_000.0, 50_000.0, 99_000.0, 200_000.0] {
            let (end, runs) = search(100_000.0, limit, f64::MAX);
            let NextRun::Found(rate) = end else { panic!("{end:?}") };
            let best = limit.min(100_000.0);
            assert!(rate <= best && rate >= best * 0.9, "{rate} of {best}");
            assert!(runs <= DOWN_MAX + HALVINGS_MAX + CONFIRMATIONS_MAX);
        }
    }

    #[test]
    fn what_is_not_confirmed_is_lowered_and_in_the_end_not_found() {
        let (end, _) = search(100_000.0, 80_000.0, 70_000.0);
        let NextRun::Found(rate) = end else { panic!("{end:?}") };
        assert!(rate <= 70_000.0 && rate > 60_000.0);
        assert_eq!(search(100_000.0, 80_000.0, 0.0).0, NextRun::NotFound(Why::NotConfirmed));
        assert_eq!(search(100_000.0, 0.0, 0.0), (NextRun::NotFound(Why::Lowest), DOWN_MAX));
    }

    /// The rates that come next where each run ends so, until it is no step any more.
    fn steps(search: &mut Search, verdict: Judgement) -> (Vec<f64>, NextRun) {
        let mut rates = Vec::new();
        loop {
            match search.next() {
                NextRun::Step(rate) if rates.len() < 20 => {
                    search.step(rate, verdict, rate);
                    rates.push(rate);
                }
                next => return (rates, next),
            }
        }
    }

    #[test]
    fn eight_rates_are_tried_on_the_way_down_each_a_quarter_of_the_last() {
        let (rates, end) = steps(&mut Search::new(131_072.0), Judgement::TooSlow);
        assert_eq!(rates, [65_536.0, 16_384.0, 4_096.0, 1_024.0, 256.0, 64.0, 16.0, 4.0]);
        assert_eq!(end, NextRun::NotFound(Why::Lowest));
    }

    #[test]
    fn five_halvings_follow_the_first_rate_that_is_kept() {
        let kept = |rate: f64| {
            let mut search = Search::new(100.0);
            search.step(rate, Judgement::Kept, 0.0);
            search
        };
        let (rates, end) = steps(&mut kept(4.0), Judgement::TooSlow);
        assert_eq!((rates, end), (vec![52.0, 28.0, 16.0, 10.0, 7.0], NextRun::Confirm(4.0)));
        // Closer than three in a hundred is close enough.
        let (rates, end) = steps(&mut kept(50.0), Judgement::Kept);
        assert_eq!((rates, end), (vec![75.0, 87.5, 93.75, 96.875, 98.4375], NextRun::Confirm(98.4375)));
        let between = |rate: f64, capacity: f64| {
            let mut search = Search::new(capacity);
            search.step(rate, Judgement::Kept, 0.0);
            search.next()
        };
        assert_eq!(between(100.0, 103.0), NextRun::Confirm(100.0));
        assert_eq!(between(100.0, 103.5), NextRun::Step(101.75));
    }

    #[test]
    fn four_runs_of_full_length_are_made_each_at_nine_tenths_of_the_last() {
        let mut search = Search::new(101.0);
        search.step(100.0, Judgement::Kept, 0.0);
        let mut rates = Vec::new();
        while let NextRun::Confirm(rate) = search.next() {
            search.confirm(rate, Judgement::TooSlow);
            rates.push((rate * 10.0).round() / 10.0);
        }
        assert_eq!((rates, search.next()), (vec![100.0, 90.0, 81.0, 72.9], NextRun::NotFound(Why::NotConfirmed)));
    }

    #[test]
    fn a_doubtful_run_is_made_twice_more_and_doubts_are_counted_anew_behind_a_good_one() {
        let mut search = Search::new(1_000.0);
        let mut step = |verdict| {
            let NextRun::Step(rate) = search.next() else { panic!("{:?}", search.next()) };
            search.step(rate, verdict, 0.0);
            rate
        };
        let (doubtful, slow) = (Judgement::Doubtful, Judgement::TooSlow);
        assert_eq!([doubtful, doubtful, doubtful].map(&mut step), [500.0, 500.0, 500.0]);
        assert_eq!([doubtful, slow].map(&mut step), [125.0, 125.0]);
        assert_eq!([doubtful, doubtful, slow].map(&mut step), [31.25, 31.25, 31.25]);
        let mut search = Search::new(101.0);
        search.step(100.0, Judgement::Kept, 0.0);
        for _ in 0..2 {
            search.confirm(100.0, Judgement::Doubtful);
            assert_eq!(search.next(), NextRun::Confirm(100.0), "it is made again");
        }
        search.confirm(100.0, Judgement::Doubtful);
        assert_eq!(search.next(), NextRun::Confirm(90.0));
    }

    #[test]
    fn a_lower_rate_is_no_better_from_nine_tenths_of_what_was_missed() {
        let slow = Judgement::TooSlow;
        assert_eq!(after((slow, 4.0), (slow, 3.6)), NextRun::NotFound(Why::NoBetter));
        assert_eq!(after((slow, 4.0), (slow, 3.59)), NextRun::Step(3_125.0));
        assert_eq!(after((slow, 0.11), (slow, 0.11)), NextRun::NotFound(Why::NoBetter));
        assert_eq!(after((slow, 0.09), (slow, 0.09)), NextRun::Step(3_125.0));
    }

    #[test]
    fn a_rate_is_kept_up_where_99_of_100_were_answered_and_one_more_may_be_on_its_way() {
        let verdict =
            |answered: u64| FAST.judge(10_000.0, &Outcome { replies_in_time: answered, ..outcome(10_000, 3) });
        assert_eq!((verdict(9_899), verdict(9_898)), (Judgement::Kept, Judgement::FellBehind));
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
        search.step(5.0, Judgement::TooFew, 0.0);
        assert_eq!(search.next(), NextRun::NotFound(Why::TooFew));
    }

    /// What comes after two steps down that ended so, each with what it missed the objective by.
    fn after(first: (Judgement, f64), second: (Judgement, f64)) -> NextRun {
        let mut search = Search::new(100_000.0);
        search.step(50_000.0, first.0, first.1);
        assert_eq!(search.next(), NextRun::Step(12_500.0));
        search.step(12_500.0, second.0, second.1);
        search.next()
    }

    #[test]
    fn where_a_far_lower_rate_is_no_better_the_search_ends() {
        let (slow, errors, behind) = (Judgement::TooSlow, Judgement::Errors, Judgement::FellBehind);
        let end = NextRun::NotFound(Why::NoBetter);
        assert_eq!(after((slow, 4.0), (slow, 4.1)), end);
        assert_eq!(after((slow, 4.0), (slow, 3.7)), end);
        assert_eq!(after((errors, 0.5), (errors, 0.5)), end);
        assert_eq!(after((behind, 0.3), (behind, 0.3)), end);
        let on = NextRun::Step(3_125.0);
        assert_eq!(after((slow, 4.0), (slow, 3.0)), on, "the rate matters");
        assert_eq!(after((slow, 0.1), (slow, 0.09)), on, "it is close enough for luck");
        assert_eq!(after((behind, 0.5), (slow, 4.0)), on, "the one was overload");
        assert_eq!(after((errors, 0.5), (slow, 4.0)), on);
        assert_eq!(after((slow, 4.0), (Judgement::Kept, 0.0)), NextRun::Step(31_250.0));
    }

    #[test]
    fn steps_up_end_no_search() {
        let mut search = Search::new(100_000.0);
        search.step(50_000.0, Judgement::Kept, 0.0);
        search.step(75_000.0, Judgement::TooSlow, 4.0);
        search.step(62_500.0, Judgement::TooSlow, 4.0);
        assert_eq!(search.next(), NextRun::Step(56_250.0));
        search.step(56_250.0, Judgement::TooFew, 0.0);
        assert!(matches!(search.next(), NextRun::Step(_)), "it is not kept, and no more");
    }

    #[test]
    fn one_message_that_takes_too_long_alone_ends_the_search_before_it_begins() {
        let next = |messages, millis, in_flight| Search::below(&outcome(messages, millis), in_flight, FAST).next();
        assert_eq!(next(200, 5, 1), NextRun::NotFound(Why::OneAlone));
        assert_eq!(next(200, 5, 2), NextRun::Step(100.0), "they wait for each other");
        assert_eq!(next(200, 3, 1), NextRun::Step(100.0));
        assert_eq!(next(9, 5, 1), NextRun::Step(4.5), "too few to tell");
    }

    #[test]
    fn a_server_that_sends_more_than_it_is_asked_for_is_not_searched() {
        let mut search = Search::new(1_000.0);
        search.step(500.0, Judgement::Surplus, 0.0);
        assert_eq!(search.next(), NextRun::NotFound(Why::Surplus));
    }

    #[test]
    fn a_run_in_which_this_program_was_too_slow_is_made_again_and_not_for_ever() {
        let mut search = Search::new(1_000.0);
        for _ in 0..DOUBTS_MAX {
            assert_eq!(search.next(), NextRun::Step(500.0));
            search.step(500.0, Judgement::Doubtful, 0.0);
        }
        assert_eq!(search.next(), NextRun::Step(500.0));
        search.step(500.0, Judgement::Kept, 0.0);
        assert_eq!(search.next(), NextRun::Step(750.0));
        for _ in 0..=DOUBTS_MAX {
            search.step(750.0, Judgement::Doubtful, 0.0);
        }
        assert_eq!(search.next(), NextRun::Step(625.0), "at some time it is taken for what it says");
    }
}
