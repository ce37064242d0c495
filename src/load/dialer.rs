//! The dialer: opens connections, one address after the other, no faster than it may.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;

use crate::address::Address;
use crate::handler::Orders;
use crate::load::options::Options;
use crate::load::stopwatch::Moment;

/// Connections that are being established at once. A server's queue of newcomers may be short, and one that overflows makes the rest
/// wait for a second.
const UNDER_WAY_MAX: usize = 64;

/// Opens the connections of lanes, and remembers which are to be opened when.
#[derive(Debug)]
pub struct Dialer {
    addresses: Vec<Address>,
    address: usize,
    sources: Vec<IpAddr>,
    source: usize,
    spacing: Duration,
    /// Not before this moment, for the sake of the rate.
    next: Moment,
    waiting: BTreeSet<(Moment, usize)>,
    under_way: usize,
    has_connected: bool,
    /// Since when the server's queue of newcomers has been full.
    full_since: Option<Moment>,
}

/// The time between two of `rate` connections a second; a century stands for everything longer.
fn spacing(rate: f64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
    Duration::try_from_secs_f64(1.0 / rate).map_or(LONGEST, |spacing| spacing.min(LONGEST))
}

impl Dialer {
    /// A dialer with nothing to do.
    pub fn new(options: &Options) -> Dialer {
        Dialer {
            addresses: options.addresses.clone(),
            address: 0,
            sources: options.sources.clone(),
            source: 0,
            spacing: options.connect_rate.map_or(Duration::ZERO, spacing),
            next: Moment::default(),
            waiting: BTreeSet::new(),
            under_way: 0,
            has_connected: false,
            full_since: None,
        }
    }

    /// The connection of `lane` is to be opened, not before `moment`.
    pub fn add(&mut self, lane: usize, moment: Moment) {
        self.waiting.insert((moment, lane));
    }

    /// The next lane whose turn it is now.
    pub fn take(&mut self, now: Moment) -> Option<usize> {
        let (moment, lane) = *self.waiting.first()?;
        if moment > now || self.next > now || !self.has_room() {
            return None;
        }
        self.waiting.pop_first();
        Some(lane)
    }

    /// Orders the connection of `lane`.
    pub fn dial(&mut self, lane: usize, now: Moment, orders: &mut Orders) {
        // The rate is kept over all, where the loop was late for one.
        self.next = self.next.max(now.before(self.spacing)).after(self.spacing);
        self.under_way += 1;
        let address = self.addresses[self.address].clone();
        match self.sources.get(self.source) {
            Some(source) => orders.connect_from(*source, address, lane),
            None => orders.connect(address, lane),
        }
        if !self.sources.is_empty() {
            self.source = (self.source + 1) % self.sources.len();
        }
    }

    /// A connection is established.
    pub fn connected(&mut self) {
        self.under_way -= 1;
        self.has_connected = true;
        self.full_since = None;
    }

    /// The server's queue of newcomers is full, again. Tells for how long it has been: since then nobody was connected.
    pub fn queue_full(&mut self, now: Moment) -> Duration {
        now.since(*self.full_since.get_or_insert(now))
    }

    /// Opens no connection before `moment`.
    pub fn hold(&mut self, moment: Moment) {
        self.next = self.next.max(moment);
    }

    /// A connection was not established. True where none ever was and the server may live at another of its addresses, which is tried
    /// from now on.
    pub fn failed(&mut self) -> bool {
        self.under_way -= 1;
        let elsewhere = !self.has_connected && self.address + 1 < self.addresses.len();
        self.address += usize::from(elsewhere);
        elsewhere
    }

    /// Whether a connection was ever established.
    pub fn has_connected(&self) -> bool {
        self.has_connected
    }

    /// Whether it has nothing to do.
    pub fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// When it has something to do, if no connection under way is in the way of it.
    pub fn due(&self) -> Option<Moment> {
        let (moment, _) = self.waiting.first()?;
        self.has_room().then_some((*moment).max(self.next))
    }

    /// The very first connection goes alone: it finds the address at which the server lives, or that there is none.
    fn has_room(&self) -> bool {
        self.under_way < if self.has_connected { UNDER_WAY_MAX } else { 1 }
    }

    /// Forgets whatever was still to be opened: the lanes that this is.
    pub fn stop(&mut self) -> impl Iterator<Item = usize> + use<> {
        std::mem::take(&mut self.waiting).into_iter().map(|(_, lane)| lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::load::options::tests::options;

    fn dialer(change: impl FnOnce(&mut Options)) -> (Dialer, Orders) {
        let mut options = options();
        change(&mut options);
        (Dialer::new(&options), Orders::default())
    }

    fn dial(dialer: &mut Dialer, now: Moment, orders: &mut Orders) -> usize {
        std::iter::from_fn(|| dialer.take(now).map(|lane| dialer.dial(lane, now, orders))).count()
    }

    #[test]
    fn the_first_connection_finds_the_address_and_the_others_follow() {
        let both = [([127, 0, 0, 1], 1), ([127, 0, 0, 1], 2)].map(|address| Address::Ip(address.into()));
        let (mut dialer, mut orders) = dialer(|options| options.addresses = both.to_vec());
        (0..200).for_each(|lane| dialer.add(lane, Moment::default()));
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), 1);
        assert!(dialer.failed(), "there is a second address");
        dialer.add(0, Moment(1));
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), 1);
        dialer.connected();
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), UNDER_WAY_MAX);
        assert_eq!(dialer.due(), None, "it waits for one of them");
        assert!(!dialer.failed(), "the address is known");
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), 1);
        let addresses = orders.connects.iter().map(|connect| &connect.to);
        assert_eq!(addresses.filter(|to| **to == both[0]).count(), 1);
    }

    #[test]
    fn a_rate_is_kept_and_a_late_loop_catches_up_by_one() {
        let (mut dialer, mut orders) = dialer(|options| options.connect_rate = Some(10.0));
        (0..10).for_each(|lane| dialer.add(lane, Moment::default()));
        let ms = |millis| Moment::default().after(Duration::from_millis(millis));
        assert_eq!(dial(&mut dialer, ms(1_000), &mut orders), 1);
        dialer.connected();
        assert_eq!(dialer.due(), Some(ms(1_000)));
        assert_eq!(dial(&mut dialer, ms(1_000), &mut orders), 1);
        assert_eq!(dialer.due(), Some(ms(1_100)));
        assert_eq!(dial(&mut dialer, ms(1_099), &mut orders), 0);
        assert_eq!(dial(&mut dialer, ms(1_100), &mut orders), 1);
    }

    #[test]
    fn sources_are_taken_in_turn() {
        let sources = ["127.0.0.2", "127.0.0.3"].map(|source| source.parse::<IpAddr>().unwrap());
        let (mut dialer, mut orders) = dialer(|options| options.sources = sources.to_vec());
        (0..4).for_each(|lane| dialer.add(lane, Moment::default()));
        dial(&mut dialer, Moment(1), &mut orders);
        dialer.connected();
        dial(&mut dialer, Moment(1), &mut orders);
        let from: Vec<Option<IpAddr>> = orders.connects.iter().map(|connect| connect.from).collect();
        assert_eq!(from, [sources[0], sources[1], sources[0], sources[1]].map(Some));
    }
}
