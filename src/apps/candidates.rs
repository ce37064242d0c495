//! A server's candidates: the addresses of its name, in order, and which of them has answered.
//!
//! A name such as `localhost` has several addresses, and the server may listen at only one of them. A client dials one
//! after the other until one answers, over any transport.
//!
//! ```text
//!   current --failed--> the next one --failed--> ... --failed--> none: nobody is there
//!      |
//!      +--answered--> settled: from now on this address is the server
//! ```

use crate::os::address::Address;

/// The addresses of one server, in the order in which the resolver gives them (RFC 6724).
///
/// They are tried one at a time, until one answers.
///
/// Once an address has answered, it stays. A server that comes back at another address of its name is not found again:
/// that would be another server.
#[derive(Clone, Debug)]
pub struct Candidates {
    addresses: Vec<Address>,
    current: usize,
    has_answered: bool,
}

impl Candidates {
    /// No address has answered yet. Without addresses none is ever current.
    pub fn new(addresses: Vec<Address>) -> Candidates {
        Candidates { addresses, current: 0, has_answered: false }
    }

    /// The address to dial now; `None` if there are no addresses.
    pub fn current(&self) -> Option<&Address> {
        self.addresses.get(self.current)
    }

    /// The current address has answered: a connection to it is established, or a datagram came from it.
    pub fn answered(&mut self) {
        self.has_answered = true;
    }

    /// Whether an address has answered.
    pub fn has_answered(&self) -> bool {
        self.has_answered
    }

    /// Whether a failure would lead to another address.
    pub fn is_searching(&self) -> bool {
        !self.has_answered && self.current + 1 < self.addresses.len()
    }

    /// The current address failed. Returns whether the next one is current now and has to be dialled; the last address,
    /// and one that has answered, stays.
    pub fn failed(&mut self) -> bool {
        let goes_on = self.is_searching();
        self.current += usize::from(goes_on);
        goes_on
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(count: u16) -> Candidates {
        Candidates::new((1..=count).map(|port| Address::Ip(([127, 0, 0, 1], port).into())).collect())
    }

    fn port(candidates: &Candidates) -> Option<u16> {
        match candidates.current() {
            Some(Address::Ip(address)) => Some(address.port()),
            _ => None,
        }
    }

    #[test]
    fn each_address_is_current_once_and_the_last_one_stays() {
        let mut three = candidates(3);
        assert_eq!((port(&three), three.is_searching()), (Some(1), true));
        assert!(three.failed());
        assert_eq!((port(&three), three.is_searching()), (Some(2), true));
        assert!(three.failed());
        assert_eq!((port(&three), three.is_searching()), (Some(3), false));
        assert!(!three.failed() && !three.failed());
        assert_eq!(port(&three), Some(3));
    }

    #[test]
    fn what_has_answered_stays_although_it_fails_later() {
        let mut three = candidates(3);
        assert!(three.failed());
        three.answered();
        assert!(three.has_answered() && !three.is_searching());
        assert!(!three.failed());
        assert_eq!(port(&three), Some(2));
    }

    #[test]
    fn one_address_is_never_searched_for() {
        let mut one = candidates(1);
        assert!(!one.is_searching() && !one.failed() && !one.has_answered());
        assert_eq!(port(&one), Some(1));
        assert_eq!(port(&candidates(0)), None);
    }
}
