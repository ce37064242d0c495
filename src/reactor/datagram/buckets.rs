//! Token buckets: a fixed table of them, however many have one.

use std::hash::{BuildHasher, Hash, RandomState};

use crate::os::clock::Tick;

/// The number of buckets in a table; sources that fall into one share it. A table that grew with forged addresses could
/// be attacked itself.
const BUCKETS: usize = 8192;

/// The tokens that a source may still take: they come at a rate, and are saved up for one second.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Bucket {
    tokens: f32,
    filled: Tick,
}

impl Bucket {
    /// Whether there is a whole token.
    pub(crate) fn has_one(&self) -> bool {
        self.tokens >= 1.0
    }

    /// Takes one; false where there is none.
    pub(crate) fn take(&mut self) -> bool {
        let has_one = self.has_one();
        if has_one {
            self.tokens -= 1.0;
        }
        has_one
    }
}

/// A table of buckets that all fill at one rate. It takes 128 KiB, once the first bucket is asked for.
#[derive(Debug)]
pub(crate) struct Buckets {
    per_second: f32,
    /// Keyed at random, so that no client can choose a key in a victim's bucket.
    hasher: RandomState,
    buckets: Vec<Bucket>,
}

impl Buckets {
    /// Buckets that gain so many tokens a second, and hold as many.
    pub(crate) fn new(per_second: u32) -> Buckets {
        Buckets { per_second: per_second as f32, hasher: RandomState::new(), buckets: Vec::new() }
    }

    /// The bucket that `key` has, filled up to `now`.
    pub(crate) fn of(&mut self, key: impl Hash, now: Tick) -> &mut Bucket {
        if self.buckets.is_empty() {
            self.buckets = vec![Bucket { tokens: self.per_second, filled: now }; BUCKETS];
        }
        let index = self.hasher.hash_one(key) as usize % BUCKETS;
        let bucket = &mut self.buckets[index];
        let refill = now.since(bucket.filled).as_secs_f32() * self.per_second;
        bucket.tokens = (bucket.tokens + refill).min(self.per_second);
        bucket.filled = now;
        bucket
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    impl Buckets {
        /// How many bytes the table takes.
        pub(crate) fn bytes(&self) -> usize {
            self.buckets.capacity() * size_of::<Bucket>()
        }
    }

    #[test]
    fn a_bucket_fills_again_and_no_further_than_to_one_second() {
        let mut buckets = Buckets::new(2);
        let mut take = |millis| buckets.of(7, Tick::at(Duration::from_millis(millis))).take();
        assert_eq!([0, 0, 0, 400, 600].map(&mut take), [true, true, false, false, true]);
        assert_eq!([100_000, 100_000, 100_000].map(take), [true, true, false]);
    }

    #[test]
    fn whoever_may_have_nothing_gets_nothing() {
        let mut buckets = Buckets::new(0);
        assert!(!buckets.of(7, Tick::START).take());
        assert!(!buckets.of(7, Tick::at(Duration::from_secs(3600))).has_one());
    }

    #[test]
    fn the_table_does_not_grow_with_the_number_of_keys() {
        let mut buckets = Buckets::new(1);
        assert_eq!(buckets.bytes(), 0, "nobody has been counted");
        for key in 0..100_000u32 {
            buckets.of(key, Tick::START);
        }
        assert_eq!(buckets.bytes(), 128 * 1024);
    }
}
