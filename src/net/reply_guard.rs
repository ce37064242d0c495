//! Whether a datagram may be answered at all.
//!
//! Answering every datagram is how two echo servers talk to each other for ever (CERT VU#417980, CVE-2024-2169) and how a
//! forged source address turns a server against a third party. So some sources get no answer, and every other gets a bounded rate.

use std::net::{IpAddr, SocketAddr};

use crate::clock::Tick;
use crate::metrics::Dropped;
use crate::net::reply_rate::ReplyRate;
use crate::net::route::Route;

/// Ports below this one belong to services (echo, chargen, dns, ntp, ...) that may answer our answer.
const FIRST_UNPRIVILEGED_PORT: u16 = 1024;

/// SSDP: the one service above 1024 that is used most for reflection.
const SSDP_PORT: u16 = 1900;

/// Which datagrams one socket answers.
pub struct ReplyGuard {
    local: Option<SocketAddr>,
}

impl ReplyGuard {
    /// The guard of a socket that is bound to `local` (none for a Unix socket).
    pub fn new(local: Option<SocketAddr>) -> ReplyGuard {
        ReplyGuard { local }
    }

    /// Whether a datagram that came along `route` may be answered at `now`; an answer is counted against its source's rate.
    pub fn admit(&self, route: &Route, rate: &mut ReplyRate, now: Tick) -> Result<(), Dropped> {
        match route {
            Route::Connected => Ok(()),
            Route::Unix(address) if address.is_unnamed() => Err(Dropped::Unnamed),
            Route::Unix(_) => Ok(()),
            Route::Unknown => Err(Dropped::Unnamed),
            Route::Ip { source, arrival } => {
                let port = source.port();
                let to_many = arrival.is_some_and(|arrival| arrival.to_many);
                if port < FIRST_UNPRIVILEGED_PORT || port == SSDP_PORT || to_many || self.is_ourselves(route) {
                    return Err(Dropped::Guarded);
                }
                if rate.admit(source.ip(), now) { Ok(()) } else { Err(Dropped::OverRate) }
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
    use crate::limits::DatagramRate;
    use crate::net::route::Arrival;

    fn from(source: &str) -> Route {
        Route::Ip { source: source.parse().unwrap(), arrival: None }
    }

    fn arriving(source: &str, destination: &str, to_many: bool, over_loopback: bool) -> Route {
        let arrival = Arrival { destination: destination.parse().unwrap(), to_many, over_loopback };
        Route::Ip { source: source.parse().unwrap(), arrival: Some(arrival) }
    }

    fn admit(local: &str, route: &Route) -> Result<(), Dropped> {
        let guard = ReplyGuard::new(Some(local.parse().unwrap()));
        guard.admit(route, &mut ReplyRate::new(DatagramRate::Unlimited), Tick::START)
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
    }

    #[test]
    fn what_was_sent_to_many_gets_no_answer() {
        let guard = "0.0.0.0:9000";
        let broadcast = arriving("192.0.2.1:5000", "192.0.2.255", true, false);
        assert_eq!(admit(guard, &broadcast), Err(Dropped::Guarded));
    }

    #[test]
    fn what_is_left_is_answered_at_its_rate() {
        let guard = ReplyGuard::new(Some("0.0.0.0:9000".parse().unwrap()));
        let mut rate = ReplyRate::new(DatagramRate::Outside(1));
        let far = arriving("192.0.2.1:5000", "192.0.2.9", false, false);
        assert_eq!(guard.admit(&far, &mut rate, Tick::START), Ok(()));
        assert_eq!(guard.admit(&far, &mut rate, Tick::START), Err(Dropped::OverRate));
    }
}
