//! How many replies a second one source address gets: a fixed table of token buckets, however many sources there are.
//!
//! The source address of a datagram can be forged, so a reply may go to somebody who asked for nothing. The bucket bounds what
//! a forger can make this server send to one victim.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;

use crate::address::source_network;
use crate::clock::Tick;
use crate::limits::DatagramRate;

/// How many buckets there are. Sources that fall into one bucket share it: a table that grew with the number of forged
/// addresses would be the next thing to attack. 8,192 buckets take 128 KiB.
const BUCKETS: usize = 8192;

#[derive(Clone, Copy)]
struct Bucket {
    tokens: f32,
    filled: Tick,
}

/// Token buckets by source address: one table for all sockets of a reactor, so that more endpoints draw no more replies.
pub struct ReplyRate {
    /// None where replies are unlimited.
    per_second: Option<f32>,
    loopback_is_free: bool,
    /// Keyed at random, so that nobody can choose addresses that share a victim's bucket.
    hasher: RandomState,
    /// Made when the first source is counted: a server on loopback needs none.
    buckets: Vec<Bucket>,
}

impl ReplyRate {
    /// The table for `rate`; a full bucket holds one second's worth of replies, and at least one.
    pub fn new(rate: DatagramRate) -> ReplyRate {
        let (per_second, loopback_is_free) = match rate {
            DatagramRate::Outside(per_second) => (Some(per_second as f32), true),
            DatagramRate::Everyone(per_second) => (Some(per_second as f32), false),
            DatagramRate::Unlimited => (None, true),
        };
        ReplyRate { per_second, loopback_is_free, hasher: RandomState::new(), buckets: Vec::new() }
    }

    /// Whether `source` may be answered at `now`; the answer is counted.
    pub fn admit(&mut self, source: IpAddr, now: Tick) -> bool {
        let Some(per_second) = self.per_second else { return true };
        if self.loopback_is_free && source.to_canonical().is_loopback() {
            return true;
        }
        let capacity = per_second.max(1.0);
        if self.buckets.is_empty() {
            self.buckets = vec![Bucket { tokens: capacity, filled: now }; BUCKETS];
        }
        let index = self.hasher.hash_one(source_network(source)) as usize % BUCKETS;
        let bucket = &mut self.buckets[index];
        let refill = now.since(bucket.filled).as_secs_f32() * per_second;
        bucket.tokens = (bucket.tokens + refill).min(capacity);
        bucket.filled = now;
        if bucket.tokens < 1.0 {
            return false;
        }
        bucket.tokens -= 1.0;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn one_source_gets_its_rate_and_no_more() {
        let mut rate = ReplyRate::new(DatagramRate::Everyone(200));
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        let mut admitted = 0;
        for millis in 0..10_000 {
            for _ in 0..5 {
                admitted += u32::from(rate.admit(source, Tick::at(Duration::from_millis(millis))));
            }
        }
        assert!((2_190..=2_200).contains(&admitted), "{admitted} replies in 10 s at 200/s and one second's burst");
    }

    #[test]
    fn loopback_can_be_free_and_so_can_everyone() {
        let (near, far): (IpAddr, IpAddr) = ("::ffff:127.0.0.1".parse().unwrap(), "192.0.2.1".parse().unwrap());
        let mut outside = ReplyRate::new(DatagramRate::Outside(1));
        assert!((0..10).all(|_| outside.admit(near, Tick::START)));
        assert!(outside.admit(far, Tick::START) && !outside.admit(far, Tick::START));
        let mut everyone = ReplyRate::new(DatagramRate::Everyone(1));
        assert!(everyone.admit(near, Tick::START) && !everyone.admit(near, Tick::START));
        let mut unlimited = ReplyRate::new(DatagramRate::Unlimited);
        assert!((0..10).all(|_| unlimited.admit(far, Tick::START)));
    }

    #[test]
    fn a_bucket_fills_again_after_silence() {
        let mut rate = ReplyRate::new(DatagramRate::Everyone(2));
        let source: IpAddr = "192.0.2.1".parse().unwrap();
        assert!(rate.admit(source, Tick::START) && rate.admit(source, Tick::START));
        assert!(!rate.admit(source, Tick::START));
        assert!(!rate.admit(source, Tick::at(Duration::from_millis(400))));
        assert!(rate.admit(source, Tick::at(Duration::from_millis(600))));
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_share_a_bucket() {
        let mut rate = ReplyRate::new(DatagramRate::Everyone(1));
        assert!(rate.admit("2001:db8:0:1::1".parse().unwrap(), Tick::START));
        assert!(!rate.admit("2001:db8:0:1:ffff::2".parse().unwrap(), Tick::START));
    }

    #[test]
    fn the_table_does_not_grow_with_the_number_of_sources() {
        let mut rate = ReplyRate::new(DatagramRate::Everyone(1));
        for source in 0..100_000u32 {
            rate.admit(IpAddr::V4(source.into()), Tick::START);
        }
        assert_eq!(rate.buckets.len(), BUCKETS);
        assert_eq!(BUCKETS * size_of::<Bucket>(), 128 * 1024);
    }
}
