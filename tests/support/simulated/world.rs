//! The simulated machine: its clock, its agenda, the edges that it owes, its descriptors, and what the peers do.
//!
//! It does what Linux promises and, where it may, no more: an edge comes once, when something has arrived or when there is space
//! again after a write that would block. Events come in any order, in batches that are cut short, with hints or without.

use std::collections::{BTreeMap, VecDeque};
use std::io;

use cooee::close_reason::CloseReason;
use cooee::key::Key;
use cooee::limits::Limits;
use cooee::net::acceptor::RETRY;
use cooee::readiness::Readiness;

use super::backlog::Backlog;
use super::link::{Connecting, Link, Role};
use super::mailbox::{Letter, Mailbox};
use super::trace::{Happening, Trace};
use crate::support::service::{Service, byte_at};
use crate::support::splitmix::Splitmix;

/// Peers that live at once.
const PEERS: usize = 24;

/// Something that will happen by itself.
#[derive(Clone, Copy, Debug)]
enum Action {
    /// A client begins to connect.
    Newcomer,
    /// A peer reads, sends, or ends.
    Peer(usize),
    /// A connect of this side comes to its end.
    Establish(usize),
    /// Descriptors run out, or are free again.
    Files,
    /// A datagram arrives.
    Letter(usize),
}

/// What a key names.
#[derive(Clone, Copy, Debug)]
enum Place {
    Link(usize),
    Backlog(usize),
    Mailbox(usize),
}

/// The machine.
pub struct World {
    pub rng: Splitmix,
    pub trace: Trace,
    pub limits: Limits,
    pub links: Vec<Link>,
    pub backlogs: Vec<Backlog>,
    pub mailboxes: Vec<Mailbox>,
    now: u64,
    agenda: BTreeMap<(u64, u64), Action>,
    planned: u64,
    edges: VecDeque<(Key, Readiness)>,
    places: BTreeMap<Key, Place>,
    dead_keys: Vec<Key>,
    open_files: usize,
    file_limit: usize,
    letters: usize,
    capacity: usize,
    /// The peers have stopped misbehaving.
    is_calm: bool,
    drained_at: Option<u64>,
    /// How many links there were when the drain began.
    pub links_at_drain: Option<usize>,

    // For the checks.
    pub accepted: u64,
    pub stale_events: u64,
    pub accept_errors: u64,
    /// Connects that the handler has ordered and the reactor has not begun.
    connects_ordered: usize,
    turn: u64,
    /// Wakes that the handler has ordered, and in which turn: they are carried out at its end.
    wakes_ordered: Vec<(Key, u64)>,
    /// Whether the reactor has done anything since the last poll.
    pub has_worked: bool,
    idle_turns: usize,
}

impl World {
    /// A machine on which nothing has happened yet.
    pub fn new(mut rng: Splitmix, limits: Limits, trace: Trace) -> World {
        // Where every turn reads a few bytes, there should not be many.
        let capacity = if limits.read_budget < 64 || limits.write_limit < 64 { 16 } else { rng.pick(&[16, 200, 4096]) };
        World {
            rng,
            trace,
            limits,
            links: Vec::new(),
            backlogs: Vec::new(),
            mailboxes: Vec::new(),
            now: 0,
            agenda: BTreeMap::new(),
            planned: 0,
            edges: VecDeque::new(),
            places: BTreeMap::new(),
            dead_keys: Vec::new(),
            open_files: 0,
            file_limit: usize::MAX,
            letters: 0,
            capacity,
            is_calm: false,
            drained_at: None,
            links_at_drain: None,
            accepted: 0,
            stale_events: 0,
            accept_errors: 0,
            connects_ordered: 0,
            turn: 0,
            wakes_ordered: Vec::new(),
            has_worked: true,
            idle_turns: 0,
        }
    }

    /// This moment, in microseconds.
    pub fn now(&self) -> u64 {
        self.now
    }

    /// Streams that the reactor holds.
    pub fn open_files(&self) -> usize {
        self.open_files
    }

    /// Begins the agenda.
    pub fn begin(&mut self) {
        self.plan(0, Action::Newcomer);
        self.plan(20_000, Action::Files);
        for mailbox in 0..self.mailboxes.len() {
            self.plan(100, Action::Letter(mailbox));
        }
    }

    fn plan(&mut self, wait: usize, action: Action) {
        self.planned += 1;
        self.agenda.insert((self.now + wait as u64, self.planned), action);
    }

    // Two ways in which a simulation ends.

    /// The peers stop misbehaving: they send the rest, read everything, and end. There is enough of everything.
    pub fn calm_down(&mut self) {
        self.trace.note(Happening::Calm);
        self.is_calm = true;
        self.file_limit = usize::MAX;
        for link in 0..self.links.len() {
            self.links[link].is_deaf = false;
            self.links[link].is_mute = false;
            self.rouse(link);
        }
    }

    /// The reactor has begun to drain: whatever has arrived at a stream that it holds must be answered.
    pub fn drain_begins(&mut self) {
        self.trace.note(Happening::Drain);
        self.drained_at = Some(self.now);
        self.links_at_drain = Some(self.links.len());
        self.connects_ordered = 0;
        for link in &mut self.links {
            if link.key.is_some() && link.closed_at.is_none() {
                link.drain_target = Some(link.sent);
            }
        }
    }

    /// The reactor was stopped at once.
    pub fn abort_begins(&mut self) {
        self.trace.note(Happening::Abort);
        self.drained_at = Some(self.now);
    }

    /// Whether every peer has ended and every stream is closed.
    pub fn is_quiet(&self) -> bool {
        self.open_files == 0
            && self.connects_ordered == 0
            && self.backlogs.iter().all(|backlog| backlog.queue.is_empty() && backlog.outside.is_empty())
            && self.mailboxes.iter().all(|mailbox| mailbox.queue.is_empty())
    }

    // The poll.

    /// Waits: time passes until an edge is there, or the timeout has passed. Then tells some of the edges.
    pub fn poll(&mut self, timeout: Option<u64>, events: &mut Vec<(Key, Readiness)>) {
        self.check_turn(timeout);
        let deadline = timeout.map(|timeout| self.now + timeout);
        // The turn before has taken some time.
        self.now += self.rng.below(20) as u64;
        self.run_agenda();
        while self.edges.is_empty() {
            let next = self.agenda.first_key_value().map(|((moment, _), _)| *moment);
            match (next, deadline) {
                (Some(next), Some(deadline)) if next > deadline => {
                    self.now = self.now.max(deadline);
                    break;
                }
                (Some(next), _) => {
                    self.now = self.now.max(next);
                    self.run_agenda();
                }
                (None, Some(deadline)) => {
                    self.now = self.now.max(deadline);
                    break;
                }
                (None, None) => {
                    let open: Vec<_> = self.links.iter().filter(|link| link.is_open()).collect();
                    panic!("the reactor sleeps for ever with {} streams open: {open:#?}", self.open_files)
                }
            }
        }
        // A signal interrupts it now and then (EINTR).
        if !self.rng.percent(2) {
            self.tell_edges(events);
            self.tell_rubbish(events);
        }
        self.trace.note(Happening::Woke { now: self.now, events: events.len() });
    }

    /// A turn that was not waited for has to do something: else the loop spins.
    fn check_turn(&mut self, timeout: Option<u64>) {
        assert!(self.connects_ordered == 0 || timeout == Some(0), "the reactor sleeps on orders");
        let was_idle = timeout == Some(0) && !self.has_worked;
        self.idle_turns = if was_idle { self.idle_turns + 1 } else { 0 };
        assert!(self.idle_turns < 4, "the loop spins");
        self.has_worked = false;
        self.turn += 1;
    }

    /// The handler orders a connect, which a reactor that drains does not begin.
    pub fn connect_ordered(&mut self) {
        if self.links_at_drain.is_none() {
            self.connects_ordered += 1;
        }
    }

    /// The handler orders a wake.
    pub fn wake_ordered(&mut self, key: Key) {
        if self.places.contains_key(&key) {
            self.wakes_ordered.push((key, self.turn));
        }
    }

    /// The handler asks for a tick of this connection.
    pub fn tick_ordered(&mut self, position: usize, wait: usize) {
        self.links[position].tick_at = Some(self.now + wait as u64);
    }

    /// Its tick is called: whether a wake was carried out since the last one.
    pub fn takes_wake(&mut self, key: Key, position: usize) -> bool {
        let turn = self.turn;
        if self.links[position].tick_at.is_some_and(|moment| moment <= self.now) {
            self.links[position].tick_at = None;
            self.has_worked = true;
        }
        let is_woken = self.wakes_ordered.iter().any(|(woken, ordered)| *woken == key && *ordered < turn);
        self.has_worked |= is_woken;
        self.wakes_ordered.retain(|(woken, ordered)| *woken != key || *ordered == turn);
        is_woken
    }

    fn tell_edges(&mut self, events: &mut Vec<(Key, Readiness)>) {
        let count = if self.rng.percent(70) { self.edges.len() } else { self.rng.below(self.edges.len() + 1) };
        for _ in 0..count {
            let position = self.rng.below(self.edges.len());
            let Some((key, mut readiness)) = self.edges.swap_remove_back(position) else { break };
            // Linux tells all that is ready at the moment, and not the edge alone.
            if self.rng.percent(30) {
                readiness |= self.level(key);
            }
            self.tell(key, readiness, events);
        }
    }

    /// Spurious events, and stale ones.
    fn tell_rubbish(&mut self, events: &mut Vec<(Key, Readiness)>) {
        if self.is_calm {
            return;
        }
        if self.rng.percent(3) && !self.places.is_empty() {
            let position = self.rng.below(self.places.len());
            let key = self.places.keys().nth(position).copied();
            let bits = [
                Readiness::READABLE,
                Readiness::WRITABLE,
                Readiness::READ_CLOSED,
                Readiness::PRIORITY,
                Readiness::NONE,
            ];
            let readiness = self.rng.pick(&bits) | self.rng.pick(&bits);
            self.tell(key.expect("it is below the length"), readiness, events);
        }
        if self.rng.percent(5) && !self.dead_keys.is_empty() {
            let key = self.rng.below(self.dead_keys.len());
            let readiness = Readiness::READABLE | Readiness::WRITABLE;
            self.tell(self.dead_keys[key], readiness, events);
        }
    }

    fn tell(&mut self, key: Key, readiness: Readiness, events: &mut Vec<(Key, Readiness)>) {
        self.has_worked = true;
        if self.places.contains_key(&key) {
            self.trace.note(Happening::Event(key, readiness));
        } else {
            self.stale_events += 1;
            self.trace.note(Happening::StaleEvent(key));
        }
        events.push((key, readiness));
    }

    /// What is ready now.
    fn level(&self, key: Key) -> Readiness {
        let mut level = Readiness::NONE;
        match self.places.get(&key) {
            Some(Place::Link(link)) => {
                let link = &self.links[*link];
                if link.is_readable() {
                    level |= Readiness::READABLE;
                }
                if link.is_writable() && link.connecting != Connecting::Pending {
                    level |= Readiness::WRITABLE;
                }
                if link.fin || link.reset {
                    level |= Readiness::READ_CLOSED;
                }
                if link.mark.is_some_and(|mark| mark >= link.received) {
                    level |= Readiness::PRIORITY;
                }
            }
            Some(Place::Backlog(backlog)) if !self.backlogs[*backlog].queue.is_empty() => level = Readiness::READABLE,
            Some(Place::Mailbox(mailbox)) if !self.mailboxes[*mailbox].queue.is_empty() => level = Readiness::READABLE,
            _ => {}
        }
        level
    }

    /// From now on the kernel owes this edge. Edges of one source that nobody was told of yet are one event.
    fn owe(&mut self, key: Option<Key>, readiness: Readiness) {
        let Some(key) = key else { return };
        if readiness == Readiness::NONE {
            return;
        }
        match self.edges.iter_mut().find(|(owed, _)| *owed == key) {
            Some((_, owed)) => *owed |= readiness,
            None => self.edges.push_back((key, readiness)),
        }
    }

    // The agenda.

    fn run_agenda(&mut self) {
        while let Some(entry) = self.agenda.first_entry() {
            if entry.key().0 > self.now {
                return;
            }
            match entry.remove() {
                Action::Newcomer => self.newcomer(),
                Action::Peer(link) => self.peer_acts(link),
                Action::Establish(link) => self.establish(link),
                Action::Files => self.change_files(),
                Action::Letter(mailbox) => self.letter_arrives(mailbox),
            }
        }
    }

    /// A stream with a peer whose plans follow from the seed.
    fn new_link(&mut self, role: Role, is_tcp: bool) -> usize {
        let name = self.links.len();
        let smallest = self.capacity.div_ceil(16);
        let capacities = (self.rng.between(smallest, self.capacity), self.rng.between(smallest, self.capacity));
        let mut link = Link::new(name, role, is_tcp, capacities);
        link.to_send = self.rng.below(10 * self.capacity);
        link.is_deaf = !self.is_calm && self.rng.percent(10);
        link.is_mute = !self.is_calm && self.rng.percent(10);
        self.links.push(link);
        name
    }

    fn newcomer(&mut self) {
        if self.is_calm {
            return;
        }
        let alive = self.links.iter().filter(|link| link.closed_at.is_none() && !link.gone && !link.reset).count();
        if alive < PEERS {
            let backlog = self.rng.below(self.backlogs.len());
            let (role, is_tcp) = (self.backlogs[backlog].role, self.backlogs[backlog].is_tcp);
            if self.backlogs[backlog].is_closed {
                // Nobody listens there any more.
                return;
            }
            let link = self.new_link(role, is_tcp);
            self.trace.note(Happening::Newcomer { link, role });
            self.backlogs[backlog].outside.push_back(link);
            self.fill_backlog(backlog);
            self.rouse(link);
        } else {
            // One of those that have fallen silent goes on.
            let link = self.rng.below(self.links.len());
            self.links[link].is_deaf = false;
            self.links[link].is_mute = false;
            self.rouse(link);
        }
        let wait = if self.rng.percent(20) { self.rng.below(8_000) } else { self.rng.below(300) };
        self.plan(wait, Action::Newcomer);
    }

    /// Whoever finds room in the queue is established; each brings an edge where the queue was empty, and may bring one elsewhere.
    fn fill_backlog(&mut self, position: usize) {
        let backlog = &mut self.backlogs[position];
        let mut brings_edge = false;
        while backlog.queue.len() < backlog.capacity {
            let Some(link) = backlog.outside.pop_front() else { break };
            brings_edge |= backlog.queue.is_empty() || self.rng.percent(50);
            backlog.queue.push_back(link);
        }
        let key = backlog.key;
        if brings_edge {
            self.owe(key, Readiness::READABLE);
        }
    }

    fn change_files(&mut self) {
        if self.is_calm {
            return;
        }
        // At the limit there is none left; and nobody is told when there are some again.
        self.file_limit = if self.file_limit == usize::MAX { self.open_files } else { usize::MAX };
        self.trace.note(Happening::FileLimit(self.file_limit));
        let wait = self.rng.below(60_000);
        self.plan(wait, Action::Files);
    }

    fn establish(&mut self, position: usize) {
        let link = &mut self.links[position];
        link.connecting = match self.rng.below(10) {
            0 => Connecting::Refused,
            1 if !self.is_calm => Connecting::WithItself,
            _ => Connecting::Established,
        };
        let hint = if link.connecting == Connecting::Refused { Readiness::READ_CLOSED } else { Readiness::NONE };
        let key = link.key;
        self.owe(key, Readiness::WRITABLE | hint);
        self.rouse(position);
    }

    fn letter_arrives(&mut self, position: usize) {
        if self.is_calm || self.mailboxes[position].is_closed {
            return;
        }
        let mailbox = &mut self.mailboxes[position];
        let was_empty = mailbox.queue.is_empty();
        let mut brings_edge = was_empty || self.rng.percent(50);
        if mailbox.queue.len() < Mailbox::CAPACITY {
            let length = if self.rng.percent(10) { 0 } else { self.rng.below(300) };
            mailbox.queue.push_back(Letter { number: self.letters, length });
            mailbox.arrived += 1;
            self.letters += 1;
        }
        if self.rng.percent(5) {
            mailbox.refused = true;
            brings_edge = true;
        }
        let key = mailbox.key;
        if brings_edge {
            self.owe(key, Readiness::READABLE);
        }
        let wait = if self.rng.percent(80) { 0 } else { self.rng.below(5_000) };
        self.plan(wait + 50, Action::Letter(position));
    }

    // The peers.

    /// Something happened that the peer may react to.
    fn rouse(&mut self, position: usize) {
        let link = &mut self.links[position];
        if !link.scheduled && !link.gone && !link.reset {
            link.scheduled = true;
            let is_slow = !self.is_calm && self.rng.percent(4);
            let wait = if is_slow { self.rng.below(60_000) } else { self.rng.below(400) };
            self.plan(wait, Action::Peer(position));
        }
    }

    /// The peer reads, sends and ends, as it likes; whatever it does to the server's end brings its edge.
    fn peer_acts(&mut self, position: usize) {
        let is_calm = self.is_calm;
        let (rng, link) = (&mut self.rng, &mut self.links[position]);
        link.scheduled = false;
        if link.gone || link.reset || link.connecting != Connecting::Established {
            return;
        }
        if !is_calm && rng.percent(1) {
            // Closing with unread input is a RST too.
            let resets = link.under_way() > 0 || rng.percent(50);
            return if resets { self.peer_resets(position) } else { self.peer_vanishes(position) };
        }
        let mut edge = Readiness::NONE;
        let under_way = link.under_way();
        if under_way > 0 && !link.is_deaf && !link.destroyed {
            let count = if is_calm { under_way } else { rng.between(1, under_way) };
            link.delivered += count;
            self.trace.note(Happening::PeerGot { link: position, count });
            // The kernel waits until a third of the buffer is free (tcp(7): so that writers are not woken for every byte).
            let space = link.outbound_capacity - link.under_way();
            if link.write_blocked && space * 3 >= link.outbound_capacity {
                link.write_blocked = false;
                edge |= Readiness::WRITABLE;
            }
        }
        let space = link.inbound_capacity - link.unread();
        let left = link.goal() - link.sent;
        if left > 0 && space > 0 && !link.fin && !link.is_mute && link.closed_at.is_none() {
            let count = rng.between(1, left.min(space));
            let was_empty = link.unread() == 0;
            if link.is_tcp && !is_calm && link.mark.is_none() && rng.percent(4) {
                link.mark = Some(link.sent + rng.below(count));
                edge |= Readiness::READABLE | Readiness::PRIORITY;
            }
            link.sent += count;
            self.trace.note(Happening::PeerSent { link: position, count });
            if was_empty || rng.percent(50) {
                edge |= Readiness::READABLE;
            }
        }
        let is_client = matches!(link.role, Role::Client(_));
        let has_sent_all = link.sent == link.goal() && (!is_client || link.peer_sees_end());
        let gives_up = link.peer_sees_end() && (is_calm || rng.percent(50));
        if !link.fin && (has_sent_all || gives_up) && !link.is_mute {
            // The FIN comes with the last bytes, or after them.
            if is_calm || rng.percent(50) {
                link.fin = true;
                edge |= Readiness::READABLE | Readiness::READ_CLOSED;
                self.trace.note(Happening::PeerEnded { link: position });
            }
        }
        let (key, goes_on) = (link.key, self.peer_goes_on(position));
        self.owe(key, edge);
        if goes_on {
            self.rouse(position);
        }
    }

    /// Whether the peer has something to do that waits for nobody.
    fn peer_goes_on(&self, position: usize) -> bool {
        let link = &self.links[position];
        let gets = link.under_way() > 0 && !link.is_deaf && !link.destroyed;
        let left = link.goal() - link.sent;
        let sends = left > 0 && link.unread() < link.inbound_capacity && link.closed_at.is_none();
        let is_client = matches!(link.role, Role::Client(_));
        let ends = link.peer_sees_end() || (left == 0 && !is_client);
        gets || (!link.fin && !link.is_mute && (sends || ends))
    }

    /// A RST arrives: what was unread stays readable, what is under way to the peer is lost.
    fn peer_resets(&mut self, position: usize) {
        self.trace.note(Happening::PeerReset { link: position });
        let link = &mut self.links[position];
        link.reset = true;
        link.error_pending = true;
        let key = link.key;
        self.owe(key, Readiness::READABLE | Readiness::WRITABLE | Readiness::READ_CLOSED);
    }

    /// The peer closes its socket: a FIN, and a RST in answer to what still comes.
    fn peer_vanishes(&mut self, position: usize) {
        self.trace.note(Happening::PeerVanished { link: position });
        let link = &mut self.links[position];
        link.gone = true;
        link.fin = true;
        let key = link.key;
        self.owe(key, Readiness::READABLE | Readiness::READ_CLOSED);
    }

    // What the reactor asks of the kernel.

    /// Watches a source, and tells at once what is ready there.
    fn watch(&mut self, key: Key, place: Place) {
        self.has_worked = true;
        self.places.insert(key, place);
        let level = self.level(key);
        // A newcomer is known to be writable; the kernel may tell it all the same.
        let is_told = if self.rng.percent(50) { level } else { level.without(Readiness::WRITABLE) };
        self.owe(Some(key), is_told);
    }

    /// Watches a stream; now and then there is no memory to do so.
    pub fn add_link(&mut self, key: Key, link: usize) -> io::Result<()> {
        self.trace.note(Happening::Registered(key, link));
        if !self.is_calm && self.rng.below(300) == 0 {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.links[link].key = Some(key);
        self.watch(key, Place::Link(link));
        Ok(())
    }

    /// Watches a listening socket.
    pub fn add_backlog(&mut self, key: Key, backlog: usize) {
        self.backlogs[backlog].key = Some(key);
        self.watch(key, Place::Backlog(backlog));
    }

    /// Watches a datagram socket.
    pub fn add_mailbox(&mut self, key: Key, mailbox: usize) {
        self.mailboxes[mailbox].key = Some(key);
        self.watch(key, Place::Mailbox(mailbox));
    }

    /// A source is closed: its key is stale. An event of it may be on its way already.
    fn unwatch(&mut self, key: Option<Key>) {
        let Some(key) = key else { return };
        self.has_worked = true;
        self.places.remove(&key);
        self.dead_keys.push(key);
        if self.rng.percent(50) {
            self.edges.retain(|(owed, _)| *owed != key);
        }
    }

    /// Takes a connection off a backlog.
    pub fn accept(&mut self, position: usize) -> io::Result<usize> {
        self.has_worked = true;
        let backlog = &mut self.backlogs[position];
        if let Some(failed_at) = backlog.failed_at
            && self.drained_at.is_none()
        {
            assert!(
                self.now >= failed_at + RETRY.as_micros() as u64,
                "accept was tried again before the retry deadline"
            );
        }
        if self.rng.percent(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // At the limit it fails on an empty queue too.
        let errno = if self.open_files >= self.file_limit {
            Some(EMFILE)
        } else if !self.is_calm && self.rng.below(400) == 0 {
            Some(self.rng.pick(&[ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO]))
        } else {
            None
        };
        if let Some(errno) = errno {
            self.trace.note(Happening::AcceptFailed { backlog: position, errno });
            backlog.failed_at = Some(self.now);
            self.accept_errors += 1;
            return Err(io::Error::from_raw_os_error(errno));
        }
        backlog.failed_at = None;
        let Some(link) = backlog.queue.pop_front() else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.fill_backlog(position);
        if self.links[link].reset && self.rng.percent(50) {
            self.links[link].closed_at = Some(self.now);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.links[link].accepted_at = Some(self.now);
        self.open_files += 1;
        self.accepted += 1;
        self.trace.note(Happening::Accepted { backlog: position, link });
        Ok(link)
    }

    /// Begins to open a connection to a peer that sends back what it gets.
    pub fn connect(&mut self, role: Role) -> io::Result<usize> {
        self.has_worked = true;
        self.connects_ordered = self.connects_ordered.saturating_sub(1);
        if self.open_files >= self.file_limit {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if self.rng.percent(5) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let is_tcp = self.rng.percent(50);
        let position = self.new_link(role, is_tcp);
        self.trace.note(Happening::Connecting { link: position });
        self.open_files += 1;
        self.links[position].connecting = Connecting::Pending;
        // Some never come to an end.
        if self.is_calm || self.rng.percent(95) {
            let wait = self.rng.below(4_000);
            self.plan(wait, Action::Establish(position));
        }
        Ok(position)
    }

    /// How a connect has gone.
    pub fn connect_progress(&mut self, position: usize) -> io::Result<Connecting> {
        self.has_worked = true;
        match self.links[position].connecting {
            Connecting::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            progress => Ok(progress),
        }
    }

    /// Reads from a stream.
    pub fn read(&mut self, position: usize, buffer: &mut [u8]) -> io::Result<usize> {
        self.has_worked = true;
        let link = &mut self.links[position];
        assert!(link.read_ended_at.is_none(), "link {position}: read after the end");
        let ends = link.broken || link.finished_at.is_some() || link.shut_at.is_some() || self.drained_at.is_some();
        assert!(ends || !link.paused, "link {position}: read while its handler has paused");
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if link.unread() > 0 {
            let mut count = link.unread().min(buffer.len());
            match link.mark {
                Some(mark) if mark > link.received => count = count.min(mark - link.received),
                _ => link.mark = None,
            }
            // Ancillary data splits the reads of a Unix stream.
            if !link.is_tcp && self.rng.percent(20) {
                count = self.rng.between(1, count);
            }
            for (ahead, byte) in buffer[..count].iter_mut().enumerate() {
                *byte = byte_at(link.name, link.received + ahead);
            }
            link.received += count;
            link.read_at = self.now;
            link.largest_read = link.largest_read.max(count);
            self.trace.note(Happening::Read { link: position, count });
            self.rouse(position);
            return Ok(count);
        }
        let kind = if link.error_pending {
            link.error_pending = false;
            io::ErrorKind::ConnectionReset
        } else if link.fin || link.reset {
            link.read_ended_at = Some(self.now);
            self.trace.note(Happening::Read { link: position, count: 0 });
            return Ok(0);
        } else {
            io::ErrorKind::WouldBlock
        };
        if kind == io::ErrorKind::ConnectionReset {
            link.read_ended_at = Some(self.now);
        }
        self.trace.note(Happening::ReadFailed { link: position, kind });
        Err(kind.into())
    }

    /// Writes to a stream; every byte must be the right one.
    pub fn write(&mut self, position: usize, bytes: &[u8]) -> io::Result<usize> {
        self.has_worked = true;
        let link = &mut self.links[position];
        assert!(!link.broken, "link {position}: write after a write that failed");
        assert!(link.shut_at.is_none(), "link {position}: write after the write side was shut");
        assert!(!bytes.is_empty(), "a write of nothing is a system call for nothing");
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if link.reset {
            // The error that a read would have told is told here, and gone.
            link.broken = true;
            let kind = if link.error_pending { io::ErrorKind::ConnectionReset } else { io::ErrorKind::BrokenPipe };
            link.error_pending = false;
            self.trace.note(Happening::WriteFailed { link: position, kind });
            return Err(kind.into());
        }
        let space = link.outbound_capacity - link.under_way();
        if space == 0 {
            link.write_blocked = true;
            self.trace.note(Happening::WriteFailed { link: position, kind: io::ErrorKind::WouldBlock });
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut count = bytes.len().min(space);
        if self.rng.percent(10) {
            count = self.rng.between(1, count);
        }
        for (ahead, byte) in bytes[..count].iter().enumerate() {
            let at = link.written + ahead;
            assert_eq!(*byte, link.answer_at(at), "link {position}: byte {at} of the answer");
        }
        link.written += count;
        link.written_at = self.now;
        self.trace.note(Happening::Written { link: position, count });
        if link.gone {
            self.peer_resets(position);
        } else {
            self.rouse(position);
        }
        Ok(count)
    }

    /// Shuts the write side of a stream.
    pub fn shutdown_write(&mut self, position: usize) {
        self.has_worked = true;
        self.trace.note(Happening::Shut { link: position });
        let link = &mut self.links[position];
        if !link.broken {
            assert_eq!(link.owed(), 0, "link {position}: shut before the peer has got what it is owed");
        }
        link.shut_at = Some(self.now);
        self.rouse(position);
    }

    /// Closes a stream.
    pub fn close_link(&mut self, position: usize) {
        self.trace.note(Happening::Dropped { link: position });
        self.open_files -= 1;
        let link = &mut self.links[position];
        link.closed_at = Some(self.now);
        // Closing with unread input sends a RST, which destroys what is on its way.
        link.destroyed = link.unread() > 0;
        let key = link.key;
        self.unwatch(key);
        self.rouse(position);
        if let Some(refused_at) = self.links[position].refused_at
            && self.drained_at.is_none()
        {
            self.check_refused_close(position, refused_at);
        }
    }

    /// Closes a listening socket: whoever waits there is reset.
    pub fn close_backlog(&mut self, position: usize) {
        let key = self.backlogs[position].key;
        self.unwatch(key);
        let backlog = &mut self.backlogs[position];
        backlog.is_closed = true;
        for link in backlog.queue.drain(..).chain(backlog.outside.drain(..)) {
            self.links[link].closed_at = Some(self.now);
        }
    }

    /// Closes a datagram socket.
    pub fn close_mailbox(&mut self, position: usize) {
        let key = self.mailboxes[position].key;
        self.unwatch(key);
        self.mailboxes[position].is_closed = true;
    }

    /// Receives a datagram.
    pub fn receive_letter(&mut self, position: usize, buffer: &mut [u8]) -> io::Result<Letter> {
        self.has_worked = true;
        let mailbox = &mut self.mailboxes[position];
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if !self.is_calm && self.rng.below(400) == 0 {
            return Err(io::Error::from_raw_os_error(self.rng.pick(&[ENOBUFS, ENOMEM])));
        }
        if std::mem::take(&mut mailbox.refused) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let Some(letter) = mailbox.queue.pop_front() else { return Err(io::ErrorKind::WouldBlock.into()) };
        for (at, byte) in buffer[..letter.length].iter_mut().enumerate() {
            *byte = byte_at(letter.number, at);
        }
        mailbox.last = Some(letter);
        self.trace.note(Happening::LetterReceived { mailbox: position, length: letter.length });
        Ok(letter)
    }

    /// Sends a datagram; it must be the answer to the last.
    pub fn send_letter(&mut self, position: usize, bytes: &[u8], to: usize) -> io::Result<()> {
        self.has_worked = true;
        let mailbox = &mut self.mailboxes[position];
        let letter = mailbox.last.expect("an answer follows a letter");
        assert_eq!(to, letter.number, "the answer goes to who asked");
        assert_eq!(bytes.len(), letter.length, "the answer is as long as the letter");
        assert!(
            bytes.iter().enumerate().all(|(at, byte)| *byte == byte_at(letter.number, at)),
            "the answer is the letter"
        );
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.rng.percent(8) {
            mailbox.failed_sends += 1;
            return Err(match self.rng.below(4) {
                0 => io::ErrorKind::WouldBlock.into(),
                1 => io::ErrorKind::ConnectionRefused.into(),
                2 => io::Error::from_raw_os_error(EMSGSIZE),
                _ => io::Error::from_raw_os_error(EPERM),
            });
        }
        mailbox.answers += 1;
        mailbox.answered_bytes += letter.length;
        self.trace.note(Happening::LetterSent { mailbox: position, length: letter.length });
        Ok(())
    }

    // The checks.

    /// Connections that are served for peers, and newcomers over the limit.
    pub fn accepted_now(&self) -> (usize, usize) {
        let open =
            || self.links.iter().filter(|link| link.closed_at.is_none() && !matches!(link.role, Role::Client(_)));
        let served = open().filter(|link| link.opened_at.is_some()).count();
        (served, open().filter(|link| link.refused_at.is_some()).count())
    }

    /// Bytes that were read and that were written, of streams and datagrams.
    pub fn bytes(&self) -> (u64, u64) {
        let read = self.links.iter().map(|link| link.received).sum::<usize>();
        let written = self.links.iter().map(|link| link.written).sum::<usize>();
        let received = self.mailboxes.iter().map(|mailbox| mailbox.told_bytes).sum::<usize>();
        let sent = self.mailboxes.iter().map(|mailbox| mailbox.answered_bytes).sum::<usize>();
        ((read + received) as u64, (written + sent) as u64)
    }

    /// After each turn: what is owed to a peer is bounded, whether it reads or not.
    pub fn check_owed(&self) {
        // A handler looks at the limit before each answer, so its last may reach over it.
        const LAST_ANSWER: usize = 64;
        for link in self.links.iter().filter(|link| link.closed_at.is_none() && !link.broken) {
            if link.role == Role::Fickle {
                // It keeps as much as it likes, and then answers it all.
                continue;
            }
            let bound = self.limits.write_limit + link.largest_read + LAST_ANSWER;
            assert!(link.owed() <= bound, "link {}: {} bytes are owed", link.name, link.owed());
        }
    }

    /// A connection was closed, for this reason. Whoever loses bytes or patience here must have a cause for it.
    pub fn check_close(&mut self, position: usize, reason: CloseReason) {
        self.trace.note(Happening::Closed { link: position, reason });
        let link = &mut self.links[position];
        assert!(link.reason.replace(reason).is_none(), "link {position}: closed twice");
        assert!(link.closed_at.is_some(), "link {position}: the handler is told before the descriptor is free");
        let link = &self.links[position];
        let opened_at = link.accepted_at.or(link.opened_at).expect("it was opened");
        let patience = |since: u64, patience: std::time::Duration| {
            assert!(self.now >= since + patience.as_micros() as u64, "link {position}: {reason} too early");
        };
        match reason {
            CloseReason::PeerClosed => {
                assert!(link.read_ended_at.is_some(), "link {position}: the peer had not ended");
                let (length, is_whole) = match link.role {
                    Role::Twice => (Service::Twice.answer_length(link.sent), true),
                    Role::Echo | Role::Fickle => (link.sent, true),
                    _ => (0, false),
                };
                assert!(!is_whole || link.answered == length, "link {position}: something was not answered");
                self.check_graceful_close(position);
            }
            CloseReason::Ended => self.check_graceful_close(position),
            CloseReason::Drained => {
                let target = link.drain_target.unwrap_or(0);
                let is_echo = link.role == Role::Echo && !link.reset;
                assert!(!is_echo || link.answered >= target, "link {position}: drained before all was answered");
                self.check_graceful_close(position);
            }
            CloseReason::Reset => assert!(link.reset, "link {position}: nobody has reset it"),
            CloseReason::IdleTimeout => {
                patience(
                    opened_at.max(link.read_at).max(link.written_at),
                    self.limits.idle_timeout.expect("there is one"),
                );
                self.check_silence(position);
                let is_read = link.owed() == 0 && !link.paused && !link.broken;
                assert!(!(is_read && link.is_readable()), "link {position}: closed as idle with unread input");
            }
            CloseReason::IncompleteTimeout => {
                patience(opened_at, self.limits.idle_timeout.expect("there is one"));
                let kept = link.received - link.taken;
                assert!(kept > 0, "link {position}: nothing was incomplete");
                assert!(link.role != Role::Twice || kept < 3, "link {position}: a whole message was kept");
            }
            CloseReason::HalfClosedTimeout => {
                let ended_at = link.read_ended_at.into_iter().chain(link.finished_at).chain(self.drained_at).min();
                let began = ended_at.expect("one side has ended").max(link.written_at);
                patience(began, self.limits.half_closed_timeout);
                self.check_silence(position);
            }
            CloseReason::DrainTimeout => {
                patience(self.drained_at.expect("a drain began"), self.limits.drain_timeout);
            }
            CloseReason::Aborted => {}
            other => panic!("link {position}: closed as {other}"),
        }
    }

    /// While something is owed, a connection gives up on a peer only when there is no space.
    fn check_silence(&self, position: usize) {
        let link = &self.links[position];
        let could_write = link.owed() > 0 && !link.broken && link.is_writable();
        assert!(!could_write, "link {position}: closed although the peer would take what it is owed");
    }

    /// The handler is not told why a newcomer over the limit was closed: it got its farewell, or it did not take it in time.
    fn check_refused_close(&self, position: usize, refused_at: u64) {
        let link = &self.links[position];
        let has_waited = self.now - refused_at >= self.limits.half_closed_timeout.as_micros() as u64;
        if link.owed() > 0 && has_waited && !link.reset {
            self.check_silence(position);
        } else {
            self.check_graceful_close(position);
        }
    }

    /// A close without an error delivers everything first, and waits for the peer's end, so that no RST destroys it.
    fn check_graceful_close(&self, position: usize) {
        let link = &self.links[position];
        if link.reset {
            return;
        }
        assert_eq!(link.owed(), 0, "link {position}: closed before the peer has got what it is owed");
        if link.read_ended_at.is_none() {
            let shut_at = link.shut_at.expect("its side was ended");
            let lingered = self.now - shut_at;
            let has_lingered = lingered >= self.limits.linger_timeout.as_micros() as u64;
            assert!(has_lingered, "link {position}: closed without lingering: unread input would reset it");
        }
    }

    /// At the end: every surviving peer has got every byte that was for it, and what no timer ended has ended by itself.
    pub fn check_end(&self) {
        assert_eq!(self.open_files, 0, "a stream was leaked");
        for link in &self.links {
            let is_surviving = !link.reset && !link.gone && !link.destroyed;
            if is_surviving && matches!(link.reason, Some(CloseReason::PeerClosed | CloseReason::Ended)) {
                assert_eq!(link.written, link.answered, "link {}: bytes were not written", link.name);
            }
        }
        for mailbox in self.mailboxes.iter().filter(|_| self.is_calm) {
            assert_eq!(mailbox.told, mailbox.arrived, "a datagram was lost");
            assert_eq!(mailbox.answers + mailbox.failed_sends, mailbox.arrived, "a datagram was not answered");
        }
    }
}

const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EPROTO: i32 = 71;
const EMSGSIZE: i32 = 90;
const ENOBUFS: i32 = 105;
