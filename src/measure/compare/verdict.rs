//! Whether one server is better than another: said only where the measurements show it.
//!
//! A difference is called where the two ranges do not overlap: the worst round of the one is better than the best of
//! the other. Between two equal servers, with n rounds each, that happens by chance in 2 (n!)² / (2n)! of all cases:
//! one in three with 2 rounds, one in ten with 3, one in 35 with 4, one in 126 with 5. So fewer than four rounds call
//! nothing.

use crate::measure::compare::summary::Summary;
use crate::reactor::named::named;

/// How many rounds each server must have before a difference is called.
pub(crate) const ROUNDS_MIN: usize = 4;

named! {
    /// What the measurements show.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum Verdict {
        /// Every round was better than every round of the first server.
        Better = "better",
        /// Every round was worse than every round of the first server.
        Worse = "worse",
        /// The ranges overlap.
        NoDifference = "no difference shown",
        /// There are too few rounds to tell.
        TooFewRounds = "too few rounds",
        /// Some rounds tell of this program and not of the server.
        Doubtful = "doubtful",
    }
}

impl Verdict {
    /// What `other` shows beside `first`.
    pub fn on(first: &[f64], other: &[f64], higher_is_better: bool) -> Verdict {
        let (Some(a), Some(b)) = (Summary::of(first), Summary::of(other)) else { return Verdict::TooFewRounds };
        if first.len().min(other.len()) < ROUNDS_MIN {
            Verdict::TooFewRounds
        } else if a.overlaps(&b) {
            Verdict::NoDifference
        } else if (b.min > a.max) == higher_is_better {
            Verdict::Better
        } else {
            Verdict::Worse
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_winner_is_called_where_the_ranges_are_apart() {
        let (low, high) = ([1.0, 2.0, 1.5, 1.2], [2.1, 3.0, 2.5, 2.2]);
        assert_eq!(Verdict::on(&low, &high, true), Verdict::Better);
        assert_eq!(Verdict::on(&low, &high, false), Verdict::Worse);
        assert_eq!(Verdict::on(&high, &low, true), Verdict::Worse);
        assert_eq!(Verdict::on(&high, &low, false), Verdict::Better);
    }

    #[test]
    fn none_is_called_where_they_overlap() {
        // One round of five is enough.
        let (low, high) = ([1.0, 1.0, 1.0, 1.0, 2.2], [2.1, 3.0, 2.5, 2.2, 9.0]);
        assert_eq!(Verdict::on(&low, &high, true), Verdict::NoDifference);
        assert_eq!(Verdict::on(&low, &low, true), Verdict::NoDifference);
        assert_eq!(Verdict::on(&[0.0; 5], &[0.0; 5], true), Verdict::NoDifference);
    }

    #[test]
    fn nor_where_there_are_too_few() {
        assert_eq!(Verdict::on(&[1.0; 3], &[2.0; 5], true), Verdict::TooFewRounds);
        assert_eq!(Verdict::on(&[1.0; 5], &[2.0; 3], true), Verdict::TooFewRounds);
        assert_eq!(Verdict::on(&[], &[2.0; 5], true), Verdict::TooFewRounds);
    }

    /// Of all ways to deal 2n ranks to two equal servers, so many are called different.
    #[test]
    fn the_chance_of_a_false_call_is_the_one_that_is_told() {
        for (rounds, one_in) in [(4, 35), (5, 126)] {
            let deals: Vec<u32> = (0..1u32 << (2 * rounds)).filter(|deal| deal.count_ones() == rounds).collect();
            let called = deals.iter().filter(|deal| {
                let (a, b): (Vec<u32>, Vec<u32>) = (0..2 * rounds).partition(|rank| *deal >> rank & 1 == 1);
                let as_f64 = |ranks: Vec<u32>| ranks.into_iter().map(f64::from).collect::<Vec<f64>>();
                matches!(Verdict::on(&as_f64(a), &as_f64(b), true), Verdict::Better | Verdict::Worse)
            });
            assert_eq!(deals.len() / called.count(), one_in);
        }
    }
}
