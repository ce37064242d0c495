//! The dialer: opens connections and datagram sockets, to one of the server's addresses, no faster than it may.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use crate::apps::candidates::Candidates;
use crate::measure::load::options::Options;
use crate::measure::load::own_waits::OwnWaits;
use crate::measure::load::stopwatch::Moment;
use crate::os::address::Address;
use crate::reactor::handler::Orders;
use crate::reactor::tag::Tag;

/// Connections that are being established at once. A server's queue of newcomers may be short, and one that overflows
/// makes the rest wait for a second. With churn there are as many as the user has asked for: there a message would wait
/// for its turn.
const UNDER_WAY_MAX: usize = 64;

/// Opens the connections of lanes, and remembers which are to be opened when.
#[derive(Debug)]
pub(crate) struct Dialer {
    candidates: Candidates,
    datagrams: bool,
    sources: Vec<SocketAddr>,
    source: usize,
    under_way_max: usize,
    spacing: Duration,
    /// The connect rate allows the next connection at this moment.
    next: Moment,
    /// When each lane is to be opened, and since when that is waited for by this program's own will.
    waiting: BTreeMap<(Moment, usize), Moment>,
    own_waits: OwnWaits,
    under_way: usize,
    /// No address has ever answered, and there is no other one: nothing is dialled any more.
    has_given_up: bool,
    /// Since when the server's queue of newcomers has been full.
    full_since: Option<Moment>,
}

/// The time between two of `rate` connections a second; a century stands for everything longer.
fn spacing(rate: f64) -> Duration {
    const LONGEST: Duration = Duration::from_secs(u32::MAX as u64);
    Duration::try_from_secs_f64(1.0 / rate).map_or(LONGEST, |spacing| spacing.min(LONGEST))
}

impl Dialer {
    /// A dialer with no lane to open. Addresses to which none of the sources can connect are left out.
    pub(crate) fn new(options: &Options) -> Dialer {
        let can_reach = |address: &Address| {
            options.sources.is_empty() || options.sources.iter().any(|source| address.is_of_family(source))
        };
        Dialer {
            candidates: Candidates::new(options.addresses.iter().filter(|to| can_reach(to)).cloned().collect()),
            datagrams: options.datagrams,
            sources: options.sources.clone(),
            source: 0,
            under_way_max: if options.churn { usize::MAX } else { UNDER_WAY_MAX },
            spacing: options.connect_rate.map_or(Duration::ZERO, spacing),
            next: Moment::default(),
            waiting: BTreeMap::new(),
            own_waits: OwnWaits::default(),
            under_way: 0,
            has_given_up: false,
            full_since: None,
        }
    }

    /// The connection of `lane` is to be opened as soon as it may from `moment` on; until then nothing waits for it.
    pub(crate) fn add(&mut self, lane: usize, moment: Moment) {
        self.add_after(lane, moment, Duration::ZERO);
    }

    /// The same after a pause, for which messages wait.
    pub(crate) fn add_after(&mut self, lane: usize, moment: Moment, pause: Duration) {
        self.waiting.insert((moment.after(pause), lane), moment);
        self.own_waits.begin(lane, moment);
    }

    /// The next lane whose turn it is now, and for how long it has waited for this program.
    pub(crate) fn take(&mut self, now: Moment) -> Option<(usize, Duration)> {
        let (moment, _) = *self.waiting.first_key_value()?.0;
        if moment > now || self.next > now || !self.has_room() {
            return None;
        }
        let ((_, lane), since) = self.waiting.pop_first()?;
        Some((lane, self.own_waits.end(lane, since, now)))
    }

    /// Orders the connection of `lane`.
    pub(crate) fn dial(&mut self, lane: usize, now: Moment, orders: &mut Orders) {
        // The rate is kept over all, where the loop was late for one.
        self.next = self.next.max(now.before(self.spacing)).after(self.spacing);
        self.under_way += 1;
        let Some(address) = self.candidates.current().cloned() else { return };
        let tag = Tag::try_from(lane).expect("there are at most `CONNECTIONS_MAX` lanes");
        match (self.next_source(&address), self.datagrams) {
            (source, true) => orders.connect_datagram(source, address, tag),
            (Some(source), false) => orders.connect_from(source, address, tag),
            (None, false) => orders.connect(address, tag),
        }
    }

    /// The sources take turns, those of the address's family.
    fn next_source(&mut self, address: &Address) -> Option<SocketAddr> {
        let turns = (self.source..self.source + self.sources.len()).map(|turn| turn % self.sources.len());
        let place = turns.into_iter().find(|place| address.is_of_family(&self.sources[*place]))?;
        self.source = place + 1;
        Some(self.sources[place])
    }

    /// A connection is established, or a datagram socket is there and no address is searched for.
    pub(crate) fn connected(&mut self) {
        self.under_way -= 1;
        self.candidates.answered();
        self.full_since = None;
    }

    /// A connection that was dialled is under way no longer: [`Dialer::failed`] or [`Dialer::queue_full`] is told why.
    pub(crate) fn ended(&mut self) {
        self.under_way -= 1;
    }

    /// The server's queue of newcomers is full, again. Tells for how long it has been: since then no connection was
    /// established.
    pub(crate) fn queue_full(&mut self, now: Moment) -> Duration {
        self.own_waits.failed(now);
        now.since(*self.full_since.get_or_insert(now))
    }

    /// Opens no connection before `moment`.
    pub(crate) fn hold(&mut self, moment: Moment) {
        self.next = self.next.max(moment);
    }

    /// A connection was not established. True if no address has ever answered and there is another one, which is tried
    /// from now on.
    pub(crate) fn failed(&mut self, now: Moment) -> bool {
        self.full_since = None;
        self.own_waits.failed(now);
        self.candidates.failed()
    }

    /// Whether an address has answered.
    pub(crate) fn has_connected(&self) -> bool {
        self.candidates.has_answered()
    }

    /// Whether a failure would lead to another of the server's addresses.
    pub(crate) fn is_searching(&self) -> bool {
        self.candidates.is_searching()
    }

    /// Whether no address has answered, and none is tried any more.
    pub(crate) fn has_given_up(&self) -> bool {
        self.has_given_up && !self.has_connected() && self.under_way == 0
    }

    /// Whether it has nothing to do.
    pub(crate) fn is_idle(&self) -> bool {
        self.waiting.is_empty() && self.under_way == 0
    }

    /// When the next lane is to be opened; `None` if there is none, or connections under way have to end first.
    pub(crate) fn due(&self) -> Option<Moment> {
        let ((moment, _), _) = self.waiting.first_key_value()?;
        self.has_room().then_some((*moment).max(self.next))
    }

    /// The very first connection goes alone: it finds the address at which the server lives, or that there is none.
    fn has_room(&self) -> bool {
        self.under_way < if self.has_connected() { self.under_way_max } else { 1 }
    }

    /// How much of its wait a message has waited for this program: see [`OwnWaits::share`].
    pub(crate) fn own_share(&self, due: Moment, now: Moment) -> Option<Duration> {
        self.own_waits.share(due, now)
    }

    /// Forgets the lanes that were still to be opened, and returns them.
    pub(crate) fn give_up(&mut self) -> impl Iterator<Item = usize> + use<> {
        self.has_given_up = true;
        self.own_waits = OwnWaits::default();
        std::mem::take(&mut self.waiting).into_keys().map(|(_, lane)| lane)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::load::options::tests::options;

    fn dialer(change: impl FnOnce(&mut Options)) -> (Dialer, Orders) {
        let mut options = options();
        change(&mut options);
        (Dialer::new(&options), Orders::default())
    }

    fn dial(dialer: &mut Dialer, now: Moment, orders: &mut Orders) -> usize {
        std::iter::from_fn(|| dialer.take(now).map(|(lane, _)| dialer.dial(lane, now, orders))).count()
    }

    #[test]
    fn the_first_connection_finds_the_address_and_the_others_follow() {
        let both = [([127, 0, 0, 1], 1), ([127, 0, 0, 1], 2)].map(|address| Address::Ip(address.into()));
        let (mut dialer, mut orders) = dialer(|options| options.addresses = both.to_vec());
        (0..200).for_each(|lane| dialer.add(lane, Moment::default()));
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), 1);
        dialer.ended();
        assert!(dialer.failed(Moment(1)), "there is a second address");
        dialer.add(0, Moment(1));
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), 1);
        dialer.connected();
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), UNDER_WAY_MAX);
        assert_eq!(dialer.due(), None, "it waits for one of them");
        dialer.ended();
        assert!(!dialer.failed(Moment(1)), "the address is known");
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
        let sources = ["127.0.0.2", "127.0.0.3"].map(|source| SocketAddr::new(source.parse().unwrap(), 0));
        let (mut dialer, mut orders) = dialer(|options| options.sources = sources.to_vec());
        (0..4).for_each(|lane| dialer.add(lane, Moment::default()));
        dial(&mut dialer, Moment(1), &mut orders);
        dialer.connected();
        dial(&mut dialer, Moment(1), &mut orders);
        let from: Vec<Option<SocketAddr>> = orders.connects.iter().map(|connect| connect.from).collect();
        assert_eq!(from, [sources[0], sources[1], sources[0], sources[1]].map(Some));
    }

    #[test]
    fn only_sources_of_the_addresss_family_are_taken_and_only_addresses_that_one_can_reach() {
        let [four, six] = ["127.0.0.1", "::1"].map(|ip| Address::Ip(SocketAddr::new(ip.parse().unwrap(), 1)));
        let source = |text: &str| SocketAddr::new(text.parse().unwrap(), 0);
        let (mut both, mut orders) = dialer(|options| {
            options.addresses = vec![six.clone(), four.clone()];
            options.sources = ["127.0.0.2", "::1", "127.0.0.3"].map(source).to_vec();
        });
        for _ in 0..2 {
            both.add(0, Moment::default());
            assert_eq!(dial(&mut both, Moment(1), &mut orders), 1);
            both.ended();
            both.failed(Moment(1));
        }
        both.add(0, Moment::default());
        assert_eq!(dial(&mut both, Moment(1), &mut orders), 1);
        let ways: Vec<_> = orders.connects.drain(..).map(|connect| (connect.to, connect.from.unwrap())).collect();
        let expected = [(&six, "::1"), (&four, "127.0.0.3"), (&four, "127.0.0.2")];
        assert_eq!(ways, expected.map(|(to, from)| (to.clone(), source(from))));
        let (mut one, mut orders) = dialer(|options| {
            options.addresses = vec![six, four.clone()];
            options.sources = vec![source("127.0.0.2")];
            options.datagrams = true;
        });
        one.add(0, Moment::default());
        dial(&mut one, Moment(1), &mut orders);
        assert_eq!((&orders.connects[0].to, orders.connects[0].datagrams), (&four, true));
        assert!(!one.failed(Moment(1)), "nobody can leave for the other one");
    }

    #[test]
    fn a_pause_and_a_rate_are_waits_of_this_program_and_the_schedule_is_none() {
        let (mut dialer, mut orders) = dialer(|options| options.connect_rate = Some(10.0));
        let ms = |millis| Moment::default().after(Duration::from_millis(millis));
        for lane in [0, 3] {
            dialer.add(lane, ms(1_000));
            assert_eq!(dial(&mut dialer, ms(1_000), &mut orders), 1);
            dialer.connected();
        }
        dialer.add_after(1, ms(1_000), Duration::from_millis(50));
        assert_eq!(dialer.take(ms(1_050)), None, "the rate");
        assert_eq!(dialer.own_share(ms(1_010), ms(1_060)), Some(Duration::from_millis(50)));
        assert_eq!(dialer.take(ms(1_100)), Some((1, Duration::from_millis(100))));
        dialer.add(2, ms(1_500));
        assert_eq!(dialer.own_share(ms(1_200), ms(1_400)), None);
        assert_eq!(dialer.take(ms(1_503)), Some((2, Duration::from_millis(3))));
    }

    #[test]
    fn with_churn_as_many_are_opened_at_once_as_are_due() {
        let (mut dialer, mut orders) = dialer(|options| options.churn = true);
        (0..200).for_each(|lane| dialer.add(lane, Moment::default()));
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), 1);
        dialer.connected();
        assert_eq!(dial(&mut dialer, Moment(1), &mut orders), 199);
    }

    #[test]
    fn a_connection_waits_for_its_moment_and_while_all_are_held() {
        let (mut dialer, _) = dialer(|_| {});
        let ms = |millis| Moment::default().after(Duration::from_millis(millis));
        assert!(dialer.is_idle());
        dialer.add(7, ms(10));
        assert!(!dialer.is_idle());
        assert_eq!((dialer.take(ms(9)), dialer.due()), (None, Some(ms(10))));
        dialer.hold(ms(20));
        assert_eq!((dialer.take(ms(19)), dialer.due()), (None, Some(ms(20))));
        let lane = |taken: Option<(usize, Duration)>| taken.map(|(lane, _)| lane);
        assert_eq!(lane(dialer.take(ms(20))), Some(7));
        dialer.add(8, ms(20));
        assert_eq!(lane(dialer.take(ms(20))), Some(8), "at its moment");
        assert_eq!((dialer.queue_full(ms(30)), dialer.queue_full(ms(33))), (Duration::ZERO, Duration::from_millis(3)));
    }
}
