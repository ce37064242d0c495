//! Which rounds are measured again: those in which this program was late or the bottleneck, as long as that may be bad
//! luck.
//!
//! One doubtful round voids what its server is compared by, and the more rounds there are, the likelier one is. So such
//! a round is measured again, whole: every server in turn, so that a round's figures are still of the same minutes.
//! What is repeated is decided by doubts about this program, never by the figures of a server.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

/// Something that was done again, because what came of it the first time may have been bad luck.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repeat {
    /// The round, counted from 1.
    pub round: usize,
    /// What was repeated.
    pub what: Repeated,
    /// Of a round, which measurement of it does not count, from 1 on.
    pub attempt: Option<usize>,
    /// Why, in words.
    pub reason: String,
}

/// What can be done again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Repeated {
    /// The whole round, of every server.
    Round,
    /// The start of a process of this server.
    Start,
}

impl Repeat {
    /// What was done again and why, for a person.
    pub(crate) fn in_words(&self) -> String {
        match self.what {
            Repeated::Round => format!("measured again, because {}", self.reason),
            Repeated::Start => format!("started again, because {}", self.reason),
        }
    }
}

/// How often one round is measured at the most. If chance makes one in ten doubtful, three in a row are one in a
/// thousand: a doubt that stays is no chance.
const TRIES: usize = 3;

/// How many repeats there may still be.
#[derive(Clone, Debug)]
pub(crate) struct Repeats {
    left: usize,
    /// Servers whose doubts do not go away: nothing will be called of them, so they are no reason to measure again.
    given_up: BTreeSet<usize>,
}

impl Repeats {
    /// As many repeats in all as rounds that were asked for: a comparison takes twice its time at the most.
    pub(crate) fn for_rounds(rounds: usize) -> Repeats {
        Repeats { left: rounds, given_up: BTreeSet::new() }
    }

    /// Whether a round is measured again that was measured `tries` times, the last time with these `doubtful` servers,
    /// by their number.
    pub(crate) fn again(&mut self, tries: usize, doubtful: &[usize]) -> bool {
        if tries >= TRIES {
            self.given_up.extend(doubtful);
        }
        // Where the first one is in doubt, so is every comparison with it.
        let is_of_use = !self.given_up.contains(&0) && doubtful.iter().any(|server| !self.given_up.contains(server));
        if !is_of_use || self.left == 0 {
            return false;
        }
        self.left -= 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_doubtful_round_is_measured_again_and_a_good_one_not() {
        let mut repeats = Repeats::for_rounds(15);
        assert!(!repeats.again(1, &[]));
        assert!(repeats.again(1, &[1]) && repeats.again(2, &[0]));
        assert!(!repeats.again(3, &[]), "it came right at last");
        assert!(repeats.again(1, &[0]), "so nobody was given up");
    }

    #[test]
    fn doubts_that_stay_are_no_reason_any_more() {
        let mut repeats = Repeats::for_rounds(15);
        assert!(repeats.again(1, &[2]) && repeats.again(2, &[2]) && !repeats.again(3, &[2]));
        assert!(!repeats.again(1, &[2]));
        assert!(repeats.again(1, &[2, 1]), "but the others are");
        assert!(repeats.again(1, &[0]) && repeats.again(2, &[0]) && !repeats.again(3, &[0]));
        assert!(!repeats.again(1, &[1]), "there is nothing left to compare with");
    }

    #[test]
    fn there_are_no_more_repeats_than_rounds() {
        let mut repeats = Repeats::for_rounds(2);
        assert!(repeats.again(1, &[1]) && repeats.again(1, &[1]) && !repeats.again(1, &[1]));
    }
}
