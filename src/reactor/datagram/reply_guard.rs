//! Whether a datagram may be answered at all.
//!
//! If every datagram is answered, two echo servers talk without end (CERT VU#417980, CVE-2024-2169), and a forged
//! source turns a server against a third party. So some sources get no answer, every other outside loopback gets a
//! bounded rate, and no datagram is answered again and again.

use std::net::SocketAddr;

use crate::os::address::Address;
use crate::os::clock::Tick;
use crate::os::route::{Arrival, Route};
use crate::reactor::datagram::loop_guard::LoopGuard;
use crate::reactor::datagram::reply_rate::ReplyRate;
use crate::reactor::limits::DatagramRate;
use crate::reactor::metrics::Dropped;

/// Ports below this one belong to services (echo, chargen, dns, ntp, ...) that may answer our answer.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// SSDP: the one service above 1024 that is used most for reflection.
const SSDP_PORT: u16 = 1900;

/// Which datagrams the sockets of a reactor answer.
#[derive(Debug)]
pub struct ReplyGuard {
    /// Where these sockets are bound: what comes from there is an answer of our own.
    own: Vec<Address>,
    rate: ReplyRate,
    loops: LoopGuard,
}

/// A datagram that could be answered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Question<'a> {
    /// The bytes that came.
    pub bytes: &'a [u8],
    /// How they came.
    pub route: &'a Route,
    /// Where the socket is bound that received them; none where it is not known.
    pub here: Option<&'a Address>,
    /// Whether the answer ends the conversation.
    pub ends: bool,
}

impl ReplyGuard {
    /// The guard of a reactor without datagram sockets.
    pub(crate) fn new(rate: DatagramRate) -> ReplyGuard {
        ReplyGuard { own: Vec::new(), rate: ReplyRate::new(rate), loops: LoopGuard::default() }
    }

    /// A socket that is bound to `own` answers from now on.
    pub(crate) fn add(&mut self, own: Address) {
        self.own.push(own);
    }

    /// A socket that was bound to `own` was closed.
    pub(crate) fn remove(&mut self, own: &Address) {
        if let Some(place) = self.own.iter().position(|address| address == own) {
            self.own.swap_remove(place);
        }
    }

    /// Whether this may be answered at `now`; the answer is counted.
    pub(crate) fn admit(&mut self, question: &Question<'_>, now: Tick) -> Result<(), Dropped> {
        match question.route {
            // A socket with one peer is a client's: what it sends is no answer to a stranger.
            Route::Connected => return Ok(()),
            Route::Unknown => return Err(Dropped::Unnamed),
            Route::Unix(address) if address.is_unnamed() => return Err(Dropped::Unnamed),
            // A client chooses its own name, which can lead here; our answer then arrives from the name of our socket.
            Route::Unix(address) if self.own.iter().any(|own| own.is_named(address)) => return Err(Dropped::Guarded),
            Route::Unix(_) => {}
            Route::Ip { source, arrival } => {
                let port = source.port();
                let to_many = arrival.is_some_and(|arrival| arrival.to_many);
                if port < FIRST_UNPRIVILEGED_PORT
                    || port == SSDP_PORT
                    || to_many
                    || self.is_ours(*source, *arrival, question.here)
                {
                    return Err(Dropped::Guarded);
                }
                if !self.rate.admit(source.ip(), now) {
                    return Err(Dropped::OverRate);
                }
            }
        }
        if self.loops.admit(question.route, question.bytes, question.ends, now) {
            Ok(())
        } else {
            Err(Dropped::Repeated)
        }
    }

    /// Whether the answer would come back to one of our sockets.
    ///
    /// A socket that is bound to every address has all of this machine's. A datagram from its port was sent by it if it
    /// came over the loopback interface, or if it names its own destination as its source.
    fn is_ours(&self, source: SocketAddr, arrival: Option<Arrival>, here: Option<&Address>) -> bool {
        let ip = source.ip().to_canonical();
        let bound = || here.and_then(Address::ip).map(|here| here.ip()).filter(|here| !here.is_unspecified());
        let is_on_this_machine = || {
            let destination = arrival.map(|arrival| arrival.destination).or_else(bound);
            ip.is_loopback()
                || arrival.is_some_and(|arrival| arrival.over_loopback)
                || destination.is_none_or(|destination| destination.to_canonical() == ip)
        };
        self.own
            .iter()
            .filter_map(Address::ip)
            .filter(|own| own.port() == source.port())
            .any(|own| if own.ip().is_unspecified() { is_on_this_machine() } else { own.ip().to_canonical() == ip })
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::SocketAddr as UnixAddress;

    use super::*;

    fn from(source: &str) -> Route {
        Route::Ip { source: source.parse().unwrap(), arrival: None }
    }

    fn arriving(source: &str, destination: &str, to_many: bool, over_loopback: bool) -> Route {
        let arrival = Arrival { destination: destination.parse().unwrap(), to_many, over_loopback };
        Route::Ip { source: source.parse().unwrap(), arrival: Some(arrival) }
    }

    fn ip(address: &str) -> Address {
        Address::Ip(address.parse().unwrap())
    }

    fn question<'a>(route: &'a Route, here: &'a Address) -> Question<'a> {
        Question { bytes: b"ping", route, here: Some(here), ends: false }
    }

    /// What the first of some sockets does with a datagram.
    fn admit_at(own: &[Address], route: &Route) -> Result<(), Dropped> {
        let mut guard = ReplyGuard::new(DatagramRate::Unlimited);
        for own in own {
            guard.add(own.clone());
        }
        guard.admit(&question(route, &own[0]), Tick::START)
    }

    fn admit(local: &str, route: &Route) -> Result<(), Dropped> {
        admit_at(&[ip(local)], route)
    }

    #[test]
    fn services_get_no_answer() {
        let guard = "127.0.0.1:9000";
        for port in [0, 7, 19, 53, 1023, 1900] {
            let route = Route::Ip { source: SocketAddr::from(([127, 0, 0, 1], port)), arrival: None };
            assert_eq!(admit(guard, &route), Err(Dropped::Guarded), "port {port}");
        }
        assert_eq!(admit(guard, &from("127.0.0.1:1024")), Ok(()));
    }

    #[test]
    fn nobody_is_answered_whose_address_was_not_told() {
        assert_eq!(admit("0.0.0.0:9000", &Route::Unknown), Err(Dropped::Unnamed));
    }

    #[test]
    fn we_do_not_answer_ourselves() {
        let specific = "127.0.0.1:9000";
        assert_eq!(admit(specific, &from("127.0.0.1:9000")), Err(Dropped::Guarded));
        assert_eq!(admit(specific, &from("127.0.0.2:9000")), Ok(()));

        let wildcard = "0.0.0.0:9000";
        let ours = arriving("10.0.0.1:9000", "10.0.0.2", false, true);
        assert_eq!(admit(wildcard, &ours), Err(Dropped::Guarded));
        let mapped = arriving("[::ffff:127.0.0.1]:9000", "::ffff:127.0.0.2", false, true);
        assert_eq!(admit(wildcard, &mapped), Err(Dropped::Guarded));
        let another_host = arriving("192.0.2.1:9000", "10.0.0.2", false, false);
        assert_eq!(admit(wildcard, &another_host), Ok(()));
        assert_eq!(admit(wildcard, &from("10.0.0.1:9000")), Err(Dropped::Guarded), "nobody told where it was sent to");
    }

    #[test]
    fn we_do_not_answer_our_other_sockets() {
        let both = [ip("10.0.0.1:9000"), ip("10.0.0.1:9001"), ip("[::]:9002")];
        for ours in ["10.0.0.1:9001", "10.0.0.1:9002", "127.0.0.1:9002", "[::1]:9002"] {
            assert_eq!(admit_at(&both, &from(ours)), Err(Dropped::Guarded), "{ours}");
        }
        for others in ["10.0.0.1:9003", "10.0.0.2:9001", "10.0.0.2:9002"] {
            assert_eq!(admit_at(&both, &from(others)), Ok(()), "{others}");
        }
    }

    #[test]
    fn we_do_not_answer_our_own_names() {
        let named = |name: &str| Route::Unix(UnixAddress::from_pathname(name).unwrap());
        let own = ["/run/a", "/run/b"].map(|path| Address::Unix(path.into()));
        assert_eq!(admit_at(&own, &named("/run/a")), Err(Dropped::Guarded));
        assert_eq!(admit_at(&own, &named("/run/b")), Err(Dropped::Guarded));
        // The kernel gives the name as it was bound, so another spelling is another's.
        for other in ["/run/c", "/run//a", "/run/a/", "/run/./a"] {
            assert_eq!(admit_at(&own, &named(other)), Ok(()), "{other}");
        }
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn we_do_not_answer_our_own_abstract_names() {
        use std::os::linux::net::SocketAddrExt;
        let named = |name: &str| Route::Unix(UnixAddress::from_abstract_name(name).unwrap());
        let own = [Address::Unix(crate::os::unix_name::UnixName::Abstract(b"a".to_vec()))];
        assert_eq!(admit_at(&own, &named("a")), Err(Dropped::Guarded));
        assert_eq!(admit_at(&own, &named("b")), Ok(()));
        assert_eq!(admit_at(&own, &Route::Unix(UnixAddress::from_pathname("a").unwrap())), Ok(()));
    }

    #[test]
    fn whoever_is_gone_is_a_stranger() {
        let (here, gone) = (ip("127.0.0.1:9000"), ip("127.0.0.1:9001"));
        let mut guard = ReplyGuard::new(DatagramRate::Unlimited);
        // Two sockets can share an address (SO_REUSEPORT).
        for own in [&gone, &here, &gone] {
            guard.add(own.clone());
        }
        let route = from("127.0.0.1:9001");
        for admitted in [Err(Dropped::Guarded), Err(Dropped::Guarded), Ok(())] {
            assert_eq!(guard.admit(&question(&route, &here), Tick::START), admitted);
            guard.remove(&gone);
        }
        assert_eq!(guard.own, [here]);
    }

    #[test]
    fn what_was_sent_to_many_gets_no_answer() {
        let guard = "0.0.0.0:9000";
        let broadcast = arriving("192.0.2.1:5000", "192.0.2.255", true, false);
        assert_eq!(admit(guard, &broadcast), Err(Dropped::Guarded));
    }

    #[test]
    fn what_is_left_is_answered_at_its_rate() {
        let here = ip("0.0.0.0:9000");
        let mut guard = ReplyGuard::new(DatagramRate::Outside(1));
        guard.add(here.clone());
        let far = arriving("192.0.2.1:5000", "192.0.2.9", false, false);
        assert_eq!(guard.admit(&question(&far, &here), Tick::START), Ok(()));
        assert_eq!(guard.admit(&question(&far, &here), Tick::START), Err(Dropped::OverRate));
    }

    #[test]
    fn what_comes_again_and_again_is_not_answered_for_ever() {
        let here = ip("127.0.0.1:9000");
        let mut guard = ReplyGuard::new(DatagramRate::Unlimited);
        let route = from("127.0.0.1:9001");
        for ends in [false, true] {
            let asked = Question { ends, ..question(&route, &here) };
            let refused = (0..20_000).find_map(|_| guard.admit(&asked, Tick::START).err());
            assert_eq!(refused, Some(Dropped::Repeated));
        }
    }
}
