//! Ends every datagram that goes round: an answer of ours that is answered, and comes back for the next.
//!
//! A server that answers can be made to answer another one: by a forged source, or by a Unix name that leads there. On
//! the wire such a loop looks like a client that repeats itself. Only the number of equal datagrams from one source
//! tells, so one of 10,000 is not answered. A client loses that answer; a datagram that goes round ends.
//!
//! ```text
//!   hash(source, length, first and last bytes) -> set -> 4 places of (tag, when its count is back at zero)
//! ```
//!
//! A count is kept as the moment at which it is zero again: each answer adds one, and each second takes one off. A
//! client that repeats itself once a second loses nothing. A datagram without a place takes one that is at zero, or
//! now and then takes one off the lowest of the four. So other traffic needs no memory and leaves the highest count of
//! a set alone: that datagram comes to 10,000 and is dropped, then the next. However many go round, all of them end.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::net::IpAddr;
use std::num::NonZeroU32;

use crate::os::clock::Tick;
use crate::os::route::Route;
use crate::os::unix_name;

/// How many answers to the same datagram leave before one does not. Two servers on one machine give as many in a fifth
/// of a second.
const ANSWERS: u32 = 10_000;

/// What an answer that ends the conversation counts. Ten from one client are not expected.
const LAST_ANSWER: u32 = 1_000;

/// The number of sets. What goes round fits into two sockets' queues: some 256 short datagrams each by the kernel's
/// default (`net.core.rmem_default`), 10 over Unix sockets (`net.unix.max_dgram_qlen`). Nearly all have a place.
const SETS: usize = 1024;

/// How many places a set has.
const PLACES: usize = 4;

/// The average number of datagrams without a place that take one off the lowest count of their set. So a datagram that
/// is one of many in its set comes back before it has lost its place.
const PRESSURE: usize = 16;

/// The number of bytes at either end that identify a datagram. A longer one costs no more.
const END: usize = 64;

/// One datagram's count.
#[derive(Clone, Copy, Debug, Default)]
struct Place {
    tag: u32,
    /// The second at which the count is zero.
    zero_at: u32,
}

/// The counts of the datagrams that are answered most often: one table for all sockets of a reactor.
#[derive(Debug)]
pub(crate) struct LoopGuard {
    /// Keyed at random, so that no sender can aim at another's place.
    hasher: RandomState,
    /// Made when the first datagram is counted. It takes 32 KiB.
    sets: Vec<[Place; PLACES]>,
    dice: Dice,
}

impl Default for LoopGuard {
    fn default() -> LoopGuard {
        let hasher = RandomState::new();
        let dice = Dice(NonZeroU32::new(hasher.hash_one(0) as u32).unwrap_or(NonZeroU32::MIN));
        LoopGuard { hasher, sets: Vec::new(), dice }
    }
}

impl LoopGuard {
    /// Whether `datagram`, which came along `route`, is to be answered at `now`; the answer is counted. False for one
    /// in 10,000 that are the same, and for one in eleven whose answer ends the conversation.
    pub(crate) fn admit(&mut self, route: &Route, datagram: &[u8], ends: bool, now: Tick) -> bool {
        if self.sets.is_empty() {
            self.sets = vec![Default::default(); SETS];
        }
        let hash = self.hash(route, datagram);
        let set = &mut self.sets[hash as usize % SETS];
        // A u32 of seconds lasts for 136 years.
        let second = now.since(Tick::START).as_secs() as u32;
        count(set, (hash >> 32) as u32, if ends { LAST_ANSWER } else { 1 }, second, &mut self.dice)
    }

    /// A number for the sender and the datagram. Whole words, in few calls: the hasher is what a count costs.
    fn hash(&self, route: &Route, datagram: &[u8]) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        let length = datagram.len() as u64;
        match route {
            Route::Ip { source, .. } => {
                let ip = match source.ip().to_canonical() {
                    IpAddr::V4(ip) => u128::from(u32::from(ip)),
                    IpAddr::V6(ip) => u128::from(ip),
                };
                let words = [(ip >> 64) as u64, ip as u64, u64::from(source.port()) << 48 | length];
                hasher.write(words.map(u64::to_ne_bytes).as_flattened());
            }
            Route::Unix(address) => {
                // A path and an abstract name may have the same bytes: no client gains anything by taking the one for
                // the other.
                let name = unix_name::bytes(address);
                // No IP address begins like this.
                let words = [u64::MAX, name.len() as u64, length];
                hasher.write(words.map(u64::to_ne_bytes).as_flattened());
                hasher.write(name);
            }
            Route::Connected | Route::Unknown => hasher.write_u64(length),
        }
        match (datagram.first_chunk::<END>(), datagram.last_chunk::<END>()) {
            (Some(first), Some(last)) if datagram.len() > 2 * END => {
                hasher.write(first);
                hasher.write(last);
            }
            _ => hasher.write(datagram),
        }
        hasher.finish()
    }
}

/// Adds `weight` to the count of `tag` in `set`; false where that would be too much, and the count is zero then.
fn count(set: &mut [Place; PLACES], tag: u32, weight: u32, second: u32, dice: &mut Dice) -> bool {
    if let Some(place) = set.iter_mut().find(|place| place.tag == tag && place.zero_at > second) {
        place.zero_at += weight;
        let admitted = place.zero_at - second <= ANSWERS;
        if !admitted {
            place.zero_at = second;
        }
        return admitted;
    }
    // A random one of the lowest: in a fixed order, datagrams that go round together could displace each other without
    // end.
    let first = dice.roll(PLACES);
    let lowest = (0..PLACES).map(|step| (first + step) % PLACES).min_by_key(|place| set[*place].zero_at);
    let lowest = &mut set[lowest.unwrap_or(first)];
    if lowest.zero_at > second {
        if dice.roll(PRESSURE) > 0 {
            return true;
        }
        lowest.zero_at = lowest.zero_at.saturating_sub(weight);
    }
    if lowest.zero_at <= second {
        *lowest = Place { tag, zero_at: second + weight };
    }
    true
}

/// Cheap random numbers (Marsaglia's xorshift).
#[derive(Debug)]
struct Dice(NonZeroU32);

impl Dice {
    /// A number below `sides`, which is a power of two.
    fn roll(&mut self, sides: usize) -> usize {
        let mut state = self.0.get();
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        // It comes to zero from zero alone.
        self.0 = NonZeroU32::new(state).unwrap_or(NonZeroU32::MIN);
        (state >> 16) as usize % sides
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::os::unix::net::SocketAddr as UnixAddress;
    use std::time::Duration;

    use super::*;

    fn from(port: u16) -> Route {
        Route::Ip { source: SocketAddr::from(([127, 0, 0, 1], port)), arrival: None }
    }

    fn named(name: &str) -> Route {
        Route::Unix(UnixAddress::from_pathname(name).unwrap())
    }

    fn at(seconds: u64) -> Tick {
        Tick::at(Duration::from_secs(seconds))
    }

    /// How many times the same is answered until it is not.
    fn answers(guard: &mut LoopGuard, route: &Route, datagram: &[u8], ends: bool) -> u32 {
        (0..).find(|_| !guard.admit(route, datagram, ends, Tick::START)).unwrap()
    }

    #[test]
    fn of_the_same_datagrams_one_in_so_many_is_not_answered() {
        let mut guard = LoopGuard::default();
        for route in [from(9000), named("/run/a"), named("/run/b")] {
            for datagram in [&b"ping"[..], b"", &[b'x'; 70_000]] {
                for _ in 0..2 {
                    assert_eq!(answers(&mut guard, &route, datagram, false), ANSWERS, "then the count begins anew");
                }
            }
            assert_eq!(answers(&mut guard, &route, b"bye", true), ANSWERS / LAST_ANSWER);
        }
    }

    #[test]
    fn whoever_differs_is_another() {
        let guard = LoopGuard::default();
        let long = |changed: usize| {
            let mut datagram = [b'x'; 200];
            datagram[changed] = b'y';
            datagram
        };
        let mut hashes = Vec::new();
        let mut routes = vec![from(9000), from(9001), named("/run/a"), named("/run/b")];
        #[cfg(target_os = "linux")]
        routes.extend(["a", "b"].map(|name| {
            use std::os::linux::net::SocketAddrExt;
            Route::Unix(UnixAddress::from_abstract_name(name).unwrap())
        }));
        for route in routes {
            for datagram in
                [&b""[..], b"x", b"xx", &[b'x'; 128], &[b'x'; 129], &long(0), &long(63), &long(136), &long(199)]
            {
                hashes.push(guard.hash(&route, datagram));
            }
        }
        let count = hashes.len();
        hashes.sort_unstable();
        hashes.dedup();
        assert_eq!(hashes.len(), count);
        assert_eq!(guard.hash(&from(1), &long(100)), guard.hash(&from(1), &long(101)), "the middle is not looked at");
        let mapped = Route::Ip { source: "[::ffff:127.0.0.1]:9000".parse().unwrap(), arrival: None };
        assert_eq!(guard.hash(&mapped, b"x"), guard.hash(&from(9000), b"x"));
    }

    #[test]
    fn a_million_different_datagrams_are_answered() {
        let mut guard = LoopGuard::default();
        let all = (0..1_000_000u32).all(|number| guard.admit(&from(9000), &number.to_be_bytes(), false, Tick::START));
        assert!(all);
        assert_eq!(guard.sets.capacity() * size_of::<[Place; PLACES]>(), 32 * 1024);
    }

    #[test]
    fn whoever_says_the_same_once_a_second_is_always_answered() {
        let mut guard = LoopGuard::default();
        assert!((0..50_000).all(|second| guard.admit(&from(9000), b"alive?", false, at(second))));
        // Twice a second is too often, in the long run.
        let second = (0..50_000).find(|second| {
            let twice = [0, 1].map(|_| guard.admit(&from(9001), b"alive?", false, at(*second)));
            twice != [true; 2]
        });
        assert_eq!(second, Some(u64::from(ANSWERS) - 1));
    }

    /// Lets so many datagrams go round through one set, and for each round so many others that come once. Returns how
    /// often these are answered until the last one is not.
    fn rounds(many: u32, others: u32) -> u64 {
        let (mut set, mut dice) = ([Place::default(); PLACES], Dice(NonZeroU32::new(17).unwrap()));
        let mut flying: Vec<u32> = (1..=many).collect();
        let (mut answers, mut other) = (0u64, many);
        while !flying.is_empty() {
            flying.retain(|tag| count(&mut set, *tag, 1, 0, &mut dice));
            answers += flying.len() as u64;
            for _ in 0..others {
                other += 1;
                assert!(count(&mut set, other, 1, 0, &mut dice));
            }
            assert!(
                answers <= u64::from(many * many * ANSWERS) + 5_000,
                "{} of {many} go round and round",
                flying.len()
            );
        }
        answers
    }

    #[test]
    fn other_traffic_makes_no_loop_forgotten() {
        for others in [1, 4, 16, 64] {
            let answers = rounds(1, others);
            assert!((ANSWERS..ANSWERS + 5_000).contains(&(answers as u32)), "{answers} answers among {others}");
        }
    }

    #[test]
    fn however_many_datagrams_share_a_set_they_all_end() {
        for many in [5, 12, 100] {
            let answers = rounds(many, 1);
            assert!(answers >= u64::from(many * ANSWERS), "{answers} answers to {many}");
        }
    }
}
