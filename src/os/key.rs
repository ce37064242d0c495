//! The name of one source: where it lies in the slab, and which occupant of that place is meant.
//!
//! A slab hands the last freed index out first. So a connection that is accepted gets the place of one that died in the
//! same batch of events, and would be taken for it. The generation tells them apart: a key with another generation than
//! the occupant's is *stale*, and its events are counted and dropped.

use std::fmt;

use mio::Token;

/// Half of a token's bits hold the index, the other half the generation.
const INDEX_BITS: u32 = usize::BITS / 2;

/// The largest value that either half of a token holds.
const HALF_MAX: u32 = (usize::MAX >> INDEX_BITS) as u32;

/// The name of a source in the reactor: (index, generation).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    index: u32,
    generation: u32,
}

impl Key {
    /// The key of the waker, which lies in no slab: the last index is never given out.
    pub(crate) const WAKER: Key = Key { index: HALF_MAX, generation: HALF_MAX };

    /// The key of the timer that ends a wait on the microsecond; it lies in no slab either.
    pub(crate) const TIMER: Key = Key { index: HALF_MAX, generation: HALF_MAX - 1 };

    /// Names the occupant `generation` of the place `index`. Generations wrap at half a token's width.
    pub fn new(index: usize, generation: u32) -> Key {
        debug_assert!(index < HALF_MAX as usize, "the slab is larger than a token can name");
        Key { index: index as u32, generation: generation & HALF_MAX }
    }

    /// The place in the slab.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// Which occupant of the place is meant.
    pub fn generation(self) -> u32 {
        self.generation
    }
}

impl From<Key> for Token {
    fn from(key: Key) -> Token {
        Token((key.generation as usize) << INDEX_BITS | key.index as usize)
    }
}

impl From<Token> for Key {
    fn from(Token(bits): Token) -> Key {
        Key { index: (bits & HALF_MAX as usize) as u32, generation: (bits >> INDEX_BITS) as u32 }
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "#{}.{}", self.index, self.generation)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_the_way_through_a_token() {
        for key in [Key::new(0, 0), Key::new(19_000, 7), Key::new(1, u32::MAX), Key::WAKER, Key::TIMER] {
            assert_eq!(Key::from(Token::from(key)), key);
        }
    }

    #[test]
    fn occupants_of_one_place_have_different_keys() {
        assert_ne!(Key::new(3, 1), Key::new(3, 2));
        assert_ne!(Token::from(Key::new(3, 1)), Token::from(Key::new(3, 2)));
    }
}
