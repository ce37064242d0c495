//! Whether a datagram may be answered at all.
//!
//! Answering every datagram is how two echo servers talk to each other for ever (CERT VU#417980, CVE-2024-2169) and how a
//! forged source address turns a server against a third party. So some sources get no answer, and every other gets a bounded rate.

use std::net::{IpAddr, SocketAddr};

use crate::clock::Tick;
use crate::limits::DatagramRate;
use crate::metrics::Drop;
use crate::net::datagram_socket::Route;
use crate::net::reply_rate::ReplyRate;

/// Ports below this one belong to services (echo, chargen, dns, ntp, ...) that may answer our answer.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// SSDP: the one service above 1024 that is used most for reflection.
const SSDP_PORT: u16 = 1900;

/// Which datagrams one socket answers.
pub struct ReplyGuard {
    local: Option<SocketAddr>,
    rate: Option<ReplyRate>,
    loopback_is_free: bool,
}

impl ReplyGuard {
    /// The guard of a socket that is bound to `local` (none for a Unix socket).
    pub fn new(local: Option<SocketAddr>, rate: DatagramRate) -> ReplyGuard {
        let (per_second, loopback_is_free) = match rate {
            DatagramRate::Outside(per_second) => (Some(per_second), true),
            DatagramRate::Everyone(per_second) => (Some(per_second), false),
            DatagramRate::Unlimited => (None, true),
        };
        ReplyGuard { local, rate: per_second.map(ReplyRate::new), loopback_is_free }
    }

    /// Whether a datagram that came along `route` may be answered at `now`; an answer is counted against its source's rate.
    pub fn admit(&mut self, route: &Route, now: Tick) -> Result<(), Drop> {
        match route {
            Route::Connected => Ok(()),
            Route::Unix(address) if address.is_unnamed() => Err(Drop::Unnamed),
            Route::Unix(_) => Ok(()),
            Route::Ip { source, arrival } => {
                let port = source.port();
                let to_many = arrival.is_some_and(|arrival| arrival.to_many);
                if port < FIRST_UNPRIVILEGED_PORT || port == SSDP_PORT || to_many || self.is_ourselves(route) {
                    return Err(Drop::Guarded);
                }
                let ip = source.ip().to_canonical();
                match &mut self.rate {
                    Some(rate) if !(self.loopback_is_free && ip.is_loopback()) => {
                        if rate.admit(ip, now) {
                            Ok(())
                        } else {
                            Err(Drop::OverRate)
                        }
                    }
                    _ => Ok(()),
                }
            }
        }
    }

    /// Whether the answer would come back to this very socket.
    ///
    /// A socket that is bound to every address is at home on all of this machine's: a datagram from our own port that came over
    /// the loopback interface was sent from one of them, whichever it names.
    fn is_ourselves(&self, route: &Route) -> bool {
        let (Some(local), Route::Ip { source, arrival }) = (self.local, route) else { return false };
        if source.port() != local.port() {
            return false;
        }
        let ip = source.ip().to_canonical();
        if !local.ip().is_unspecified() {
            return ip == local.ip().to_canonical();
        }
        let same = |destination: IpAddr| destination.to_canonical() == ip;
        ip.is_loopback() || arrival.is_none_or(|arrival| arrival.over_loopback || same(arrival.destination))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::datagram_socket::Arrival;

    fn from(source: &str) -> Route {
        Route::Ip { source: source.parse().unwrap(), arrival: None }
    }

    fn arriving(source: &str, destination: &str, to_many: bool, over_loopback: bool) -> Route {
        let arrival = Arrival { destination: destination.parse().unwrap(), to_many, over_loopback };
        Route::Ip { source: source.parse().unwrap(), arrival: Some(arrival) }
    }

    fn guard(local: &str, rate: DatagramRate) -> ReplyGuard {
        ReplyGuard::new(Some(local.parse().unwrap()), rate)
    }

    #[test]
    fn services_get_no_answer() {
        let mut guard = guard("127.0.0.1:9000", DatagramRate::Unlimited);
        for port in [0, 7, 19, 53, 1023, 1900] {
            let route = Route::Ip { source: SocketAddr::from(([127, 0, 0, 1], port)), arrival: None };
            assert_eq!(guard.admit(&route, Tick::START), Err(Drop::Guarded), "port {port}");
        }
        assert_eq!(guard.admit(&from("127.0.0.1:1024"), Tick::START), Ok(()));
    }

    #[test]
    fn we_do_not_answer_ourselves() {
        let mut specific = guard("127.0.0.1:9000", DatagramRate::Unlimited);
        assert_eq!(specific.admit(&from("127.0.0.1:9000"), Tick::START), Err(Drop::Guarded));
        assert_eq!(specific.admit(&from("127.0.0.2:9000"), Tick::START), Ok(()));

        let mut wildcard = guard("0.0.0.0:9000", DatagramRate::Unlimited);
        let ours = arriving("10.0.0.1:9000", "10.0.0.2", false, true);
        assert_eq!(wildcard.admit(&ours, Tick::START), Err(Drop::Guarded));
        let mapped = arriving("[::ffff:127.0.0.1]:9000", "::ffff:127.0.0.2", false, true);
        assert_eq!(wildcard.admit(&mapped, Tick::START), Err(Drop::Guarded));
        let another_host = arriving("192.0.2.1:9000", "10.0.0.2", false, false);
        assert_eq!(wildcard.admit(&another_host, Tick::START), Ok(()));
    }

    #[test]
    fn what_was_sent_to_many_gets_no_answer() {
        let mut guard = guard("0.0.0.0:9000", DatagramRate::Unlimited);
        let broadcast = arriving("192.0.2.1:5000", "192.0.2.255", true, false);
        assert_eq!(guard.admit(&broadcast, Tick::START), Err(Drop::Guarded));
    }

    #[test]
    fn the_rate_holds_outside_loopback_or_for_everyone() {
        let mut outside = guard("0.0.0.0:9000", DatagramRate::Outside(1));
        let near = arriving("127.0.0.1:5000", "127.0.0.1", false, true);
        let far = arriving("192.0.2.1:5000", "192.0.2.9", false, false);
        for _ in 0..10 {
            assert_eq!(outside.admit(&near, Tick::START), Ok(()));
        }
        assert_eq!(outside.admit(&far, Tick::START), Ok(()));
        assert_eq!(outside.admit(&far, Tick::START), Err(Drop::OverRate));

        let mut everyone = guard("0.0.0.0:9000", DatagramRate::Everyone(1));
        assert_eq!(everyone.admit(&near, Tick::START), Ok(()));
        assert_eq!(everyone.admit(&near, Tick::START), Err(Drop::OverRate));
    }
}
