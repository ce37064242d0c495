//! The simulated machine: its clock, its agenda, the edges that it owes, its descriptors, and what the peers do.
//!
//! It does what Linux promises and, where it may, no more: an edge comes once, when something has arrived or when there
//! is space again after a write that would block. Events come in any order, in batches that are cut short, with hints
//! or without.

use std::collections::{BTreeMap, VecDeque};

use cooee::os::key::Key;
use cooee::os::readiness::Readiness;
use cooee::reactor::limits::Limits;

use super::backlog::Backlog;
use super::link::{Connecting, Link, Role};
use super::mailbox::{Letter, Mailbox};
use super::trace::{Happening, Trace};
use crate::support::splitmix::Splitmix;

mod calls;
mod checks;
mod peers;

/// While so many things happen, some of them concern the reactor: else it waits for an edge that it has lost.
const ACTIONS_IN_ONE_POLL: usize = 10_000;

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
    /// Those that the handler has asked for and was not told of.
    pub newborn: VecDeque<usize>,
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
    /// Peers that live at once.
    peers: usize,
    /// The peers have stopped misbehaving.
    is_calm: bool,
    drained_at: Option<u64>,
    /// How many links there were when the drain began.
    pub links_at_drain: Option<usize>,

    // For the checks.
    pub accepted: u64,
    pub stale_events: u64,
    /// Newcomers that could not be accepted, or not be watched.
    pub accept_errors: u64,
    /// Errors of datagram sockets that the handler is told of.
    pub faults: u64,
    /// Those among them that came with a receive.
    pub receive_errors: u64,
    /// Connects that the handler has ordered and the reactor has not begun.
    connects_ordered: usize,
    turn: u64,
    /// Wakes that the handler has ordered, and in which turn: they are carried out at its end.
    wakes_ordered: Vec<(Key, u64)>,
    /// Whether the reactor has done anything since the last poll.
    pub has_worked: bool,
    idle_turns: usize,
    /// When the last event was told.
    told_at: Option<u64>,
    /// Polls in which the reactor stayed awake although it had nothing to do.
    pub awake_polls: u64,
}

impl World {
    /// A machine on which nothing has happened yet.
    pub fn new(mut rng: Splitmix, limits: Limits, trace: Trace) -> World {
        // Where every turn reads a few bytes, there should not be many.
        let capacity = if limits.read_budget < 64 || limits.write_limit < 64 { 16 } else { rng.pick(&[16, 200, 4096]) };
        let peers = rng.pick(&[20, 70]);
        World {
            rng,
            trace,
            limits,
            links: Vec::new(),
            backlogs: Vec::new(),
            mailboxes: Vec::new(),
            newborn: VecDeque::new(),
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
            peers,
            is_calm: false,
            drained_at: None,
            links_at_drain: None,
            accepted: 0,
            stale_events: 0,
            accept_errors: 0,
            faults: 0,
            receive_errors: 0,
            connects_ordered: 0,
            turn: 0,
            wakes_ordered: Vec::new(),
            has_worked: true,
            idle_turns: 0,
            told_at: None,
            awake_polls: 0,
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

    /// The reactor begins to drain: whatever has arrived at a stream that it holds must be answered, and whoever waits
    /// in a backlog must be accepted. Some arrive at the last moment, of whom the kernel has not told yet.
    pub fn drain_begins(&mut self) {
        self.trace.note(Happening::Drain);
        if !self.is_calm {
            (0..self.backlogs.len()).for_each(|backlog| self.arrive(backlog));
        }
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
        let mut actions = 0;
        while self.edges.is_empty() {
            actions += 1;
            assert!(actions < ACTIONS_IN_ONE_POLL, "the reactor sleeps, whatever happens");
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
        if !events.is_empty() {
            self.told_at = Some(self.now);
        }
        self.trace.note(Happening::Woke { now: self.now, events: events.len() });
    }

    /// A turn that was not waited for has to do something, or to come soon after an event where that is asked for: else
    /// the loop spins.
    fn check_turn(&mut self, timeout: Option<u64>) {
        assert!(self.connects_ordered == 0 || timeout == Some(0), "the reactor sleeps on orders");
        let busy_poll = self.limits.busy_poll.map_or(0, |time| time.as_micros() as u64);
        let is_awake = self.told_at.is_some_and(|moment| self.now < moment + busy_poll);
        assert!(!is_awake || timeout == Some(0), "it sleeps too soon after an event");
        let was_idle = timeout == Some(0) && !self.has_worked && !is_awake;
        self.awake_polls += u64::from(is_awake && !self.has_worked);
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
                Readiness::empty(),
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
        let mut level = Readiness::empty();
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
        if readiness.is_empty() {
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
        if alive < self.peers {
            let backlog = self.rng.below(self.backlogs.len());
            if self.backlogs[backlog].is_closed {
                // Nobody listens there any more.
                return;
            }
            self.arrive(backlog);
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

    /// A newcomer knocks at a listening socket.
    fn arrive(&mut self, backlog: usize) {
        let (role, is_tcp) = (self.backlogs[backlog].role, self.backlogs[backlog].is_tcp);
        let link = self.new_link(role, is_tcp);
        self.trace.note(Happening::Newcomer { link, role });
        self.backlogs[backlog].outside.push_back(link);
        self.fill_backlog(backlog);
        self.rouse(link);
    }

    /// Whoever finds room in the queue is established; each brings an edge where the queue was empty, and may bring one
    /// elsewhere.
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
        let hint = if link.connecting == Connecting::Refused { Readiness::READ_CLOSED } else { Readiness::empty() };
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
}
