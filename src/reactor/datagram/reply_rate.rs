//! How many replies a second one source address gets, however many sources there are.
//!
//! The source address of a datagram can be forged. The rate bounds what a forger can make this server send to a victim.
//!
//! An IPv4 address is one source. An IPv6 host can use every address of its /64 (RFC 4291, 2.5.4), which its neighbours
//! share. By address, one host would have 2^64 rates; by /64, it would spend its neighbours' rate. So a rate has two
//! parts:
//!
//! ```text
//!   rate = pool + share      pool:   9/10, all addresses of a network together, first come, first served
//!                            share:  1/10, each address by itself, once the pool is empty
//!   all shares of a network together get no more than its reserve, 4 x rate
//! ```
//!
//! One address gets at most the rate, one /64 at most 4.9 times the rate (`pool + reserve`). Beside a greedy neighbour,
//! 39 others still have their shares. An IPv4 address is a network of one.

use std::net::IpAddr;

use crate::os::address::source_network;
use crate::os::clock::Tick;
use crate::reactor::datagram::buckets::Buckets;
use crate::reactor::limits::DatagramRate;

/// The part of the rate that one address has for itself, at least one reply a second: enough for a rare request.
const SHARE: u32 = 10;

/// The number of rates that all shares of a network get together. It bounds what a forger can have sent to one network
/// beyond its pool, and 40 greedy hosts spend it.
const RESERVE: u32 = 4;

/// Who may still be answered: one for all sockets of a reactor, so that more endpoints draw no more replies.
#[derive(Debug)]
pub(crate) struct ReplyRate {
    /// None where replies are unlimited.
    tables: Option<Tables>,
    loopback_is_free: bool,
}

/// Three tables; the last two are made when a pool is empty for the first time.
#[derive(Debug)]
struct Tables {
    /// By network.
    pools: Buckets,
    /// By address.
    shares: Buckets,
    /// By network.
    reserves: Buckets,
}

impl ReplyRate {
    /// Full buckets, each with the replies of one second.
    pub(crate) fn new(rate: DatagramRate) -> ReplyRate {
        let (per_second, loopback_is_free) = match rate {
            DatagramRate::Outside(per_second) => (Some(per_second), true),
            DatagramRate::Everyone(per_second) => (Some(per_second), false),
            DatagramRate::Unlimited => (None, true),
        };
        ReplyRate { tables: per_second.map(Tables::new), loopback_is_free }
    }

    /// Whether `source` may be answered at `now`; the answer is counted.
    pub(crate) fn admit(&mut self, source: IpAddr, now: Tick) -> bool {
        let Some(tables) = &mut self.tables else { return true };
        let source = source.to_canonical();
        (self.loopback_is_free && source.is_loopback()) || tables.admit(source, now)
    }
}

impl Tables {
    fn new(rate: u32) -> Tables {
        let share = (rate / SHARE).max(1);
        Tables {
            pools: Buckets::new(rate.saturating_sub(share)),
            shares: Buckets::new(share),
            reserves: Buckets::new(rate.saturating_mul(RESERVE)),
        }
    }

    fn admit(&mut self, source: IpAddr, now: Tick) -> bool {
        let network = source_network(source);
        if self.pools.of(network, now).take() {
            return true;
        }
        let share = self.shares.of(source, now);
        share.has_one() && self.reserves.of(network, now).take() && share.take()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;
    use std::time::Duration;

    use super::*;

    /// Number `host` of one /64.
    fn host(host: u16) -> IpAddr {
        Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, host, host).into()
    }

    /// What each of these gets who asks so many times a second for ten seconds: `(source, per second)`.
    fn ten_seconds(rate: u32, askers: &[(IpAddr, u64)]) -> Vec<u64> {
        let mut rate = ReplyRate::new(DatagramRate::Everyone(rate));
        let mut admitted = vec![0; askers.len()];
        for micros in (0..10_000_000).step_by(100) {
            let now = Tick::at(Duration::from_micros(micros));
            for (number, (source, per_second)) in askers.iter().enumerate() {
                // Each asks evenly, and none at the very moment of another.
                let asked = |micros: u64| (micros + 37 * number as u64) * per_second / 1_000_000;
                for _ in asked(micros)..asked(micros + 100) {
                    admitted[number] += u64::from(rate.admit(*source, now));
                }
            }
        }
        admitted
    }

    #[test]
    fn one_source_gets_its_rate_and_no_more() {
        for source in ["192.0.2.1".parse().unwrap(), host(1)] {
            let admitted = ten_seconds(200, &[(source, 5_000)])[0];
            assert!((2_190..=2_200).contains(&admitted), "{admitted} replies in 10 s at 200/s and one second's burst");
            for rate in [1, 5, 15] {
                let admitted = ten_seconds(rate, &[(source, 1_000)])[0];
                let most = 11 * u64::from(rate);
                assert!((most - 2..=most).contains(&admitted), "{admitted} replies in 10 s at {rate}/s");
            }
        }
    }

    #[test]
    fn a_greedy_neighbour_leaves_the_others_their_share() {
        let admitted = ten_seconds(200, &[(host(1), 400), (host(2), 6), (host(3), 20)]);
        assert_eq!(admitted[1..], [60, 200], "whoever asks within the share is answered");
        assert!((1_800..=2_200).contains(&admitted[0]), "{admitted:?}");
    }

    #[test]
    fn several_greedy_addresses_take_only_what_is_greedy() {
        let mut askers: Vec<_> = (1..=30).map(|number| (host(number), 400)).collect();
        askers.push((host(31), 6));
        let admitted = ten_seconds(200, &askers);
        assert_eq!(admitted[30], 60, "{admitted:?}");
    }

    #[test]
    fn all_addresses_of_a_network_together_are_bounded() {
        let askers: Vec<_> = (1..=100).map(|number| (host(number), 100)).collect();
        let admitted: u64 = ten_seconds(200, &askers).iter().sum();
        // Ten seconds, and what the buckets hold at first, of a pool of 180 and a reserve of 800.
        assert!((10_700..=10_780).contains(&admitted), "{admitted}");
    }

    #[test]
    fn another_network_has_a_rate_of_its_own() {
        let mut rate = ReplyRate::new(DatagramRate::Everyone(1));
        assert!(rate.admit(host(1), Tick::START) && !rate.admit(host(1), Tick::START));
        assert!(rate.admit("2001:db8:0:2::1".parse().unwrap(), Tick::START));
        assert!(rate.admit("192.0.2.1".parse().unwrap(), Tick::START));
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
    fn an_address_over_ipv4_is_the_same_where_it_is_mapped() {
        let mut rate = ReplyRate::new(DatagramRate::Everyone(1));
        assert!(rate.admit("192.0.2.1".parse().unwrap(), Tick::START));
        assert!(!rate.admit("::ffff:192.0.2.1".parse().unwrap(), Tick::START));
    }

    #[test]
    fn the_tables_have_a_fixed_size_and_a_server_on_loopback_has_none() {
        let mut rate = ReplyRate::new(DatagramRate::Outside(1));
        let bytes = |rate: &ReplyRate| {
            let tables = rate.tables.as_ref().unwrap();
            [&tables.pools, &tables.shares, &tables.reserves].map(Buckets::bytes)
        };
        rate.admit("127.0.0.1".parse().unwrap(), Tick::START);
        assert_eq!(bytes(&rate), [0; 3]);
        for source in 0..100_000u32 {
            rate.admit(Ipv6Addr::from_bits(u128::from(source) << 60 | 0x2001 << 112).into(), Tick::START);
        }
        assert_eq!(bytes(&rate), [128 * 1024; 3]);
    }
}
