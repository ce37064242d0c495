//! Which of the server's addresses is next, and when.

use std::collections::VecDeque;
use std::time::Duration;

use crate::address::Address;
use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::handler::Orders;
use crate::key::Key;

/// How long a connection waits that the server's backlog had no room for.
const RETRY: Duration = Duration::from_millis(20);

/// The way to the server: addresses to connect to, or datagram sockets that are connected already, each tried in its turn.
#[derive(Debug)]
pub struct Dialer {
    addresses: Vec<Address>,
    /// Datagram sockets that were not tried yet.
    sockets: VecDeque<Key>,
    timeout: Duration,
    /// The address whose backlog is full.
    busy: Option<Busy>,
}

/// A Unix server whose backlog is full refuses at once (`connect(2)`, EAGAIN), where TCP's kernel would try again by itself.
#[derive(Clone, Copy, Debug)]
struct Busy {
    /// Which of the addresses.
    tag: usize,
    /// Since when, and when the next try is due: a timer's work, for to ask at once again would turn the loop without rest.
    times: Option<(Tick, Tick)>,
    /// Whether a try is under way.
    dialing: bool,
}

impl Dialer {
    /// Tries `addresses` in their order, each for `timeout`. There are none where messages are datagrams.
    pub fn new(addresses: Vec<Address>, timeout: Duration) -> Dialer {
        Dialer { addresses, sockets: VecDeque::new(), timeout, busy: None }
    }

    /// Whether messages are datagrams.
    pub fn has_sockets_only(&self) -> bool {
        self.addresses.is_empty()
    }

    /// Gives it the datagram sockets to try.
    pub fn add_sockets(&mut self, sockets: Vec<Key>) {
        self.sockets = sockets.into();
    }

    /// The next datagram socket to try.
    pub fn next_socket(&mut self) -> Option<Key> {
        self.sockets.pop_front()
    }

    /// Whether there is another datagram socket to try.
    pub fn has_sockets(&self) -> bool {
        !self.sockets.is_empty()
    }

    /// Orders the first connection.
    pub fn begin(&self, orders: &mut Orders) {
        if let Some(first) = self.addresses.first() {
            orders.connect(first.clone(), 0);
        }
    }

    /// The connection to the address `tag` failed. Orders the next, or returns why there is none. After a full backlog,
    /// [`Dialer::look`] has to be called.
    pub fn failed(&mut self, tag: usize, reason: CloseReason, orders: &mut Orders) -> Result<(), CloseReason> {
        if reason == CloseReason::Failed(std::io::ErrorKind::WouldBlock) {
            let times = self.busy.filter(|busy| busy.tag == tag).and_then(|busy| busy.times);
            self.busy = Some(Busy { tag, times, dialing: false });
            return Ok(());
        }
        self.busy = None;
        let next = self.addresses.get(tag + 1).ok_or(reason)?;
        orders.connect(next.clone(), tag + 1);
        Ok(())
    }

    /// Tries a full backlog again where that is due. Returns when to look again, or why it is over.
    pub fn look(&mut self, now: Tick, orders: &mut Orders) -> Result<Option<Tick>, CloseReason> {
        let Some(busy) = &mut self.busy else { return Ok(None) };
        if busy.dialing {
            return Ok(None);
        }
        let (since, due) = busy.times.unwrap_or((now, now.after(RETRY)));
        if now < due {
            busy.times = Some((since, due));
            return Ok(Some(due));
        }
        let tag = busy.tag;
        if now.since(since) >= self.timeout {
            self.failed(tag, CloseReason::ConnectTimeout, orders)?;
            return Ok(None);
        }
        *busy = Busy { tag, times: Some((since, now.after(RETRY))), dialing: true };
        orders.connect(self.addresses[tag].clone(), tag);
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use super::*;

    const FULL: CloseReason = CloseReason::Failed(ErrorKind::WouldBlock);

    fn at(millis: u64) -> Tick {
        Tick::at(Duration::from_millis(millis))
    }

    fn connects(orders: &mut Orders) -> Vec<usize> {
        std::mem::take(&mut orders.connects).into_iter().map(|connect| connect.tag).collect()
    }

    #[test]
    fn each_address_is_tried_and_the_last_ones_reason_counts() {
        let addresses = ["/a", "/b"].map(|path| Address::Unix(path.into())).to_vec();
        let (mut dialer, mut orders) = (Dialer::new(addresses, Duration::from_secs(1)), Orders::default());
        dialer.begin(&mut orders);
        assert_eq!(connects(&mut orders), [0]);
        assert_eq!(dialer.failed(0, CloseReason::ConnectRefused, &mut orders), Ok(()));
        assert_eq!(connects(&mut orders), [1]);
        assert_eq!(dialer.failed(1, CloseReason::Reset, &mut orders), Err(CloseReason::Reset));
        assert!(connects(&mut orders).is_empty());
    }

    #[test]
    fn a_full_backlog_is_tried_again_until_the_time_is_up() {
        let addresses = vec![Address::Unix("/a".into())];
        let (mut dialer, mut orders) = (Dialer::new(addresses, Duration::from_millis(30)), Orders::default());
        assert_eq!(dialer.look(at(0), &mut orders), Ok(None));
        assert_eq!(dialer.failed(0, FULL, &mut orders), Ok(()));
        assert_eq!(dialer.look(at(1), &mut orders), Ok(Some(at(21))));
        assert_eq!(dialer.look(at(5), &mut orders), Ok(Some(at(21))));
        assert!(connects(&mut orders).is_empty());
        assert_eq!(dialer.look(at(21), &mut orders), Ok(None));
        assert_eq!(connects(&mut orders), [0]);
        // While one try is under way there is no other.
        assert_eq!(dialer.look(at(90), &mut orders), Ok(None));
        assert_eq!(dialer.failed(0, FULL, &mut orders), Ok(()));
        assert_eq!(dialer.look(at(91), &mut orders), Err(CloseReason::ConnectTimeout));
        assert!(connects(&mut orders).is_empty());
    }

    #[test]
    fn datagram_sockets_are_tried_in_turn() {
        let mut dialer = Dialer::new(Vec::new(), Duration::ZERO);
        assert!(dialer.has_sockets_only());
        dialer.add_sockets(vec![Key::new(1, 0), Key::new(2, 0)]);
        assert_eq!(dialer.next_socket(), Some(Key::new(1, 0)));
        assert!(dialer.has_sockets());
        assert_eq!(dialer.next_socket(), Some(Key::new(2, 0)));
        assert!(!dialer.has_sockets());
    }
}
