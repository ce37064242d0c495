//! The way to the server: which of its addresses is dialled, and when.

use std::time::Duration;

use crate::apps::candidates::Candidates;
use crate::os::clock::Tick;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::Orders;
use crate::reactor::tag::Tag;

/// How long a connection waits that the server's backlog had no room for.
const RETRY: Duration = Duration::from_millis(20);

/// The tag of every order: there is one at a time.
const TAG: Tag = Tag(0);

/// The way to the server.
#[derive(Debug)]
pub(crate) struct ServerDialer {
    /// The server's addresses.
    pub candidates: Candidates,
    /// Whether messages are datagrams.
    pub datagrams: bool,
    timeout: Duration,
    /// The current address has a full backlog.
    busy: Option<Busy>,
}

/// A Unix server whose backlog is full refuses at once (`connect(2)`, EAGAIN), where TCP's kernel would try again by
/// itself.
#[derive(Clone, Copy, Debug)]
struct Busy {
    /// Since when, and when the next try is due: a timer, because retrying at once would spin the loop.
    times: Option<(Tick, Tick)>,
    /// Whether a try is under way.
    dialing: bool,
}

impl ServerDialer {
    /// Tries `candidates` in their order, each for `timeout`; with a datagram socket where messages are datagrams.
    pub(crate) fn new(candidates: Candidates, datagrams: bool, timeout: Duration) -> ServerDialer {
        ServerDialer { candidates, datagrams, timeout, busy: None }
    }

    /// Orders the connection, or the datagram socket, to the current address.
    pub(crate) fn dial(&self, orders: &mut Orders) {
        match self.candidates.current() {
            Some(address) if self.datagrams => orders.connect_datagram(None, address.clone(), TAG),
            Some(address) => orders.connect(address.clone(), TAG),
            None => {}
        }
    }

    /// The current address failed. Orders the next, or returns why there is none. After a full backlog,
    /// [`ServerDialer::look`] has to be called.
    pub(crate) fn failed(&mut self, reason: CloseReason, orders: &mut Orders) -> Result<(), CloseReason> {
        if reason == CloseReason::Failed(std::io::ErrorKind::WouldBlock) {
            let times = self.busy.and_then(|busy| busy.times);
            self.busy = Some(Busy { times, dialing: false });
            return Ok(());
        }
        self.busy = None;
        if !self.candidates.failed() {
            return Err(reason);
        }
        self.dial(orders);
        Ok(())
    }

    /// Tries a full backlog again where that is due. Returns when to look again, or why it is over.
    pub(crate) fn look(&mut self, now: Tick, orders: &mut Orders) -> Result<Option<Tick>, CloseReason> {
        let Some(busy) = &mut self.busy else { return Ok(None) };
        if busy.dialing {
            return Ok(None);
        }
        let (since, due) = busy.times.unwrap_or((now, now.after(RETRY)));
        if now < due {
            busy.times = Some((since, due));
            return Ok(Some(due));
        }
        if now.since(since) >= self.timeout {
            self.failed(CloseReason::ConnectTimeout, orders)?;
            return Ok(None);
        }
        *busy = Busy { times: Some((since, now.after(RETRY))), dialing: true };
        self.dial(orders);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;
    use crate::os::address::Address;

    const FULL: CloseReason = CloseReason::Failed(ErrorKind::WouldBlock);

    fn at(millis: u64) -> Tick {
        Tick::at(Duration::from_millis(millis))
    }

    fn dialer(paths: &[&str], datagrams: bool, timeout: u64) -> (ServerDialer, Orders) {
        let candidates = Candidates::new(paths.iter().map(|path| Address::Unix((*path).into())).collect());
        (ServerDialer::new(candidates, datagrams, Duration::from_millis(timeout)), Orders::default())
    }

    fn connects(orders: &mut Orders) -> Vec<(String, bool)> {
        let connects = std::mem::take(&mut orders.connects).into_iter();
        connects.map(|connect| (connect.to.to_string(), connect.datagrams)).collect()
    }

    #[test]
    fn each_address_is_tried_and_the_last_ones_reason_counts() {
        for datagrams in [false, true] {
            let (mut dialer, mut orders) = dialer(&["/a", "/b"], datagrams, 1_000);
            dialer.dial(&mut orders);
            assert_eq!(connects(&mut orders), [("/a".to_owned(), datagrams)]);
            assert!(dialer.candidates.is_searching());
            assert_eq!(dialer.failed(CloseReason::ConnectRefused, &mut orders), Ok(()));
            assert_eq!(connects(&mut orders), [("/b".to_owned(), datagrams)]);
            assert_eq!(dialer.failed(CloseReason::Reset, &mut orders), Err(CloseReason::Reset));
            assert!(connects(&mut orders).is_empty());
        }
    }

    #[test]
    fn what_has_answered_is_not_left() {
        let (mut dialer, mut orders) = dialer(&["/a", "/b"], true, 1_000);
        dialer.candidates.answered();
        assert!(!dialer.candidates.is_searching());
        assert_eq!(dialer.failed(CloseReason::ConnectRefused, &mut orders), Err(CloseReason::ConnectRefused));
    }

    #[test]
    fn a_full_backlog_is_tried_again_until_the_time_is_up() {
        let (mut dialer, mut orders) = dialer(&["/a"], false, 30);
        assert_eq!(dialer.look(at(0), &mut orders), Ok(None));
        assert_eq!(dialer.failed(FULL, &mut orders), Ok(()));
        assert_eq!(dialer.look(at(1), &mut orders), Ok(Some(at(21))));
        assert_eq!(dialer.look(at(5), &mut orders), Ok(Some(at(21))));
        assert!(connects(&mut orders).is_empty());
        assert_eq!(dialer.look(at(21), &mut orders), Ok(None));
        assert_eq!(connects(&mut orders).len(), 1);
        // While one try is under way there is no other.
        assert_eq!(dialer.look(at(90), &mut orders), Ok(None));
        assert_eq!(dialer.failed(FULL, &mut orders), Ok(()));
        assert_eq!(dialer.look(at(91), &mut orders), Err(CloseReason::ConnectTimeout));
        assert!(connects(&mut orders).is_empty());
    }

    #[test]
    fn a_backlog_that_stays_full_leads_to_the_next_address() {
        let (mut dialer, mut orders) = dialer(&["/a", "/b"], false, 30);
        assert_eq!(dialer.failed(FULL, &mut orders), Ok(()));
        assert_eq!(dialer.look(at(0), &mut orders), Ok(Some(at(20))));
        assert_eq!(dialer.look(at(90), &mut orders), Ok(None));
        assert_eq!(connects(&mut orders), [("/b".to_owned(), false)]);
    }
}
