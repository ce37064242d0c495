//! The reactor: one thread, one loop, one place that blocks.
//!
//! [`Reactor::turn`] is all of it. It waits for events, merges them into the latches of their sources, runs the sources
//! on the ready list once, and lets deadlines fire. A turn is finite: a source that has more to do than its budget
//! allows goes on the ready list for the next.
//!
//! The invariant, which [`Reactor::keeps_the_invariant`] checks: a source that is off the ready list, waits on no
//! condition's list and holds no *retry* deadline has a cleared latch for every direction that it wants, so the kernel
//! owes it an edge.

mod accept;
pub mod acceptor;
pub mod arena;
pub mod buffer;
mod census;
pub mod close_reason;
pub mod connection;
pub mod datagram;
pub mod drive;
pub mod handler;
mod lifecycle;
pub mod limits;
pub mod log_limit;
mod make_room;
pub mod metrics;
pub mod named;
pub mod next;
pub mod ready_list;
pub mod reply;
pub mod room;
mod run;
pub mod shared;
mod source;
pub mod sources;
pub mod step;
mod stop;
pub mod tag;
pub mod timers;

use std::collections::BTreeSet;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU8;
use std::time::Duration;

pub use crate::os::kernel::{Kernel, Mio};
pub use stop::StopHandle;

use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::os::readiness::Readiness;
use crate::reactor::acceptor::Acceptor;
use crate::reactor::census::Census;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::{Connection, Origin};
use crate::reactor::datagram::Datagram;
use crate::reactor::handler::{Connect, Handler, Orders};
use crate::reactor::lifecycle::Lifecycle;
use crate::reactor::limits::Limits;
use crate::reactor::metrics::{Dropped, Metrics, Row};
use crate::reactor::ready_list::ReadyList;
use crate::reactor::room::Share;
use crate::reactor::run::Group;
use crate::reactor::shared::Shared;
use crate::reactor::source::Source;
use crate::reactor::sources::Sources;
use crate::reactor::step::Step;
use crate::reactor::tag::Tag;
use crate::reactor::timers::Timers;

/// Whether there will be another turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// There is more to come.
    Running,
    /// The reactor has drained, or was stopped: every source is closed.
    Stopped,
}

/// A single-threaded reactor that serves a [`Handler`].
pub struct Reactor<H: Handler, K: Kernel = Mio> {
    kernel: K,
    sources: Sources<Source<K, H::Session>>,
    ready: ReadyList,
    timers: Timers,
    shared: Shared,
    lifecycle: Lifecycle,
    census: Census,
    /// Listeners that wait for a connection slot.
    awaiting_slot: BTreeSet<Key>,
    /// Connections that wait for room in the queues.
    awaiting_room: BTreeSet<Key>,
    events: Vec<(Key, Readiness)>,
    /// Until when the reactor polls without sleeping (`--busy-poll`).
    awake_until: Option<Tick>,
    group: Group,
    stop: Arc<AtomicU8>,
}

impl<H: Handler> Reactor<H> {
    /// A reactor over the system's own selector.
    pub fn new(limits: Limits) -> io::Result<Reactor<H>> {
        Ok(Reactor::with_kernel(Mio::new()?, limits))
    }

    /// A handle that stops this reactor from another thread; there may be several.
    pub fn stop_handle(&mut self) -> io::Result<StopHandle> {
        Ok(StopHandle::new(self.kernel.waker()?, self.stop.clone()))
    }
}

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// A reactor over `kernel`.
    pub fn with_kernel(kernel: K, limits: Limits) -> Reactor<H, K> {
        Reactor {
            kernel,
            sources: Sources::default(),
            ready: ReadyList::default(),
            timers: Timers::default(),
            census: Census::new(limits.max_connections_per_source.is_some()),
            shared: Shared::new(Limits { group: limits.group.max(1), ..limits }),
            lifecycle: Lifecycle::Serving,
            awaiting_slot: BTreeSet::new(),
            awaiting_room: BTreeSet::new(),
            events: Vec::new(),
            awake_until: None,
            group: Group::default(),
            stop: Arc::default(),
        }
    }

    /// Accepts connections from `listener`; the handler knows them by `tag`.
    pub fn listen(&mut self, listener: K::Listener, tag: Tag) -> io::Result<Key> {
        let row = self.shared.metrics.row_of(tag);
        self.add(Source::Acceptor(Box::new(Acceptor::new(listener, tag))), row)
    }

    /// Receives datagrams from `socket`, with its session; they are counted by `tag`.
    pub fn receive(&mut self, socket: K::Datagram, tag: Tag, session: H::Session) -> io::Result<Key> {
        let datagram = Datagram::new(socket, session);
        let own = datagram.own.clone();
        let row = self.shared.metrics.row_of(tag);
        let key = self.add(Source::Datagram(Box::new(datagram)), row)?;
        own.into_iter().for_each(|own| self.shared.reply_guard.add(own));
        Ok(key)
    }

    /// Takes a stream over as it is, with its session. It counts for no limit, and a drain leaves it alone.
    pub fn attach(&mut self, stream: K::Stream, session: H::Session) -> io::Result<Key> {
        let connection = Connection::attached(stream, session, self.shared.now);
        let key = self.add(Source::Connection(connection), Row::ATTACHED)?;
        self.list(key);
        Ok(key)
    }

    /// Begins to open a connection that was ordered, or opens a datagram socket.
    fn connect(&mut self, connect: &Connect) -> io::Result<()> {
        let source = if connect.datagrams {
            let socket = self.kernel.connect_datagram(&connect.to, connect.from)?;
            Source::Datagram(Box::new(Datagram::connected(socket, connect.tag)))
        } else {
            let stream = self.kernel.connect(&connect.to, connect.from)?;
            Source::Connection(Connection::connecting(stream, connect.to.ip(), connect.tag, self.shared.now))
        };
        let key = self.add(source, Row::NONE)?;
        if !connect.datagrams {
            self.census.enter(Origin::Connected, None);
            self.shared.metrics.row_mut(Row::NONE).connected += 1;
        }
        self.list(key);
        Ok(())
    }

    /// Takes a new source in, and asks the kernel for its edges. A source that the kernel refuses is dropped.
    fn add(&mut self, source: Source<K, H::Session>, row: Row) -> io::Result<Key> {
        let key = self.sources.insert(source, row);
        let Some(place) = self.sources.get_mut(key) else { return Err(io::ErrorKind::NotFound.into()) };
        if let Err(error) = place.source.register(&mut self.kernel, key) {
            self.sources.remove(key);
            return Err(error);
        }
        Ok(key)
    }

    /// Orders from outside, carried out in the next turn like those that handlers give.
    pub fn orders(&mut self) -> &mut Orders {
        &mut self.shared.orders
    }

    fn wake(&mut self, key: Key) {
        if let Some(place) = self.sources.get_mut(key) {
            place.source.wake();
            self.ready.push(key, &mut place.listed);
        }
    }

    /// The reactor's counters.
    pub fn metrics(&self) -> &Metrics {
        &self.shared.metrics
    }

    /// This turn's moment.
    pub fn now(&self) -> Tick {
        self.shared.now
    }

    /// The kernel.
    pub fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Turns until the reactor has stopped.
    pub fn run(&mut self, handler: &mut H) -> io::Result<()> {
        while self.turn(handler)? == Turn::Running {}
        Ok(())
    }

    /// One turn of the loop.
    ///
    /// An error is one of the poll itself: then there is nothing left to wait for. What goes wrong with one source
    /// stays with it.
    pub fn turn(&mut self, handler: &mut H) -> io::Result<Turn> {
        self.wait()?;
        self.merge_events();
        self.run_ready(handler);
        self.fire_deadlines();
        self.follow_orders(handler);
        let turn = self.advance_lifecycle(handler);
        // Looking at every source costs too much in a large test.
        debug_assert!(self.census.served > 64 || self.keeps_the_invariant(), "a source was left without a wake-up");
        Ok(turn)
    }

    /// Waits for events. The poll is the only line that blocks; while the reactor stays awake it does not block either.
    fn wait(&mut self) -> io::Result<()> {
        let mut empty_at: Option<Tick> = None;
        let timeout = loop {
            let timeout = self.timeout();
            let asked = if self.stays_awake() { Some(Duration::ZERO) } else { timeout };
            self.kernel.poll(asked, &mut self.events)?;
            self.shared.now = self.kernel.now();
            if asked == timeout || !self.events.is_empty() {
                break timeout;
            }
            // Nothing can have happened, so the poll is asked again.
            if let Some(before) = empty_at.replace(self.shared.now) {
                self.shared.metrics.idle_polling += self.shared.now.since(before);
            }
        };
        self.shared.told = log::max_level();
        self.shared.tell(None, Step::Woke(self.events.len(), timeout));
        if !self.events.is_empty() {
            self.awake_until = self.shared.limits.busy_poll.map(|time| self.shared.now.after(time));
        }
        Ok(())
    }

    /// Whether the last event is so recent that the reactor does not sleep until the next.
    fn stays_awake(&self) -> bool {
        self.awake_until.is_some_and(|moment| self.shared.now < moment)
    }

    /// Time until the next deadline; `None` if there is none.
    fn timeout(&mut self) -> Option<Duration> {
        // A handler that is told of a failed connect may order the next one, for which no event will come.
        if !self.ready.is_empty() || !self.shared.orders.is_empty() || stop::is_asked(&self.stop) {
            return Some(Duration::ZERO);
        }
        let drain = match self.lifecycle {
            Lifecycle::Draining(deadline) => Some(deadline),
            _ => None,
        };
        let next = [self.timers.next(), drain, self.shared.log_limit.due()].into_iter().flatten().min()?;
        Some(next.since(self.kernel.now()))
    }

    /// Merges the events into the latches, and lists their sources.
    fn merge_events(&mut self) {
        for (key, readiness) in self.events.drain(..) {
            match self.sources.get_mut(key) {
                Some(place) => {
                    self.shared.tell(key, Step::Event(readiness));
                    if place.source.latch(readiness) {
                        self.ready.push(key, &mut place.listed);
                    }
                }
                None if key == Key::WAKER => {}
                None => {
                    self.shared.tell(key, Step::Stale);
                    self.shared.metrics.row_mut(Row::NONE).count_drop(Dropped::StaleEvent);
                }
            }
        }
    }

    fn list(&mut self, key: Key) {
        if let Some(place) = self.sources.get_mut(key) {
            self.ready.push(key, &mut place.listed);
        }
    }

    /// Puts the sources whose deadline has come on the ready list. They run in the next turn, and read what has arrived
    /// before they are judged.
    fn fire_deadlines(&mut self) {
        let now = self.shared.now;
        while let Some((moment, key)) = self.timers.pop_due(now) {
            let Some(place) = self.sources.get_mut(key).filter(|place| place.armed == Some(moment)) else {
                self.timers.popped_stale();
                continue;
            };
            let (left, is_due) = place.source.deadline_passed(now, &self.shared);
            place.armed = self.timers.arm(key, None, left);
            if is_due {
                self.shared.tell(key, Step::Deadline);
                self.ready.push(key, &mut place.listed);
            }
        }
        if self.timers.has_too_many_stale() {
            let sources = &self.sources;
            self.timers.clear_up(|key, moment| sources.get(key).is_some_and(|place| place.armed == Some(moment)));
        }
        self.shared.log_limit.report(now);
    }

    /// Carries out what handlers asked for.
    fn follow_orders(&mut self, handler: &mut H) {
        while let Some(key) = self.shared.orders.wakes.pop() {
            self.wake(key);
        }
        for connect in std::mem::take(&mut self.shared.orders.connects) {
            // A drain would wait for a connection that is not told to drain.
            let reason = if self.lifecycle == Lifecycle::Serving {
                self.connect(&connect).err().map(|error| CloseReason::of_connect_error(&error))
            } else {
                Some(CloseReason::Drained)
            };
            if let Some(reason) = reason {
                handler.connect_failed(connect.tag, reason, &mut self.shared.orders);
            }
        }
    }

    /// Closes a source that has lived. Nothing else closes one.
    fn close(&mut self, key: Key, reason: CloseReason, handler: &mut H) {
        let Some(place) = self.sources.remove(key) else { return };
        self.timers.disarm(place.armed);
        if place.waiting {
            self.awaiting_slot.remove(&key);
            self.awaiting_room.remove(&key);
        }
        place.source.close(key, place.row, reason, handler, &mut self.shared, &mut self.census);
        self.wake_waiting();
    }

    /// Whether a newcomer can be served, or at least refused.
    fn has_slot(&self) -> bool {
        self.census.served < self.shared.limits.max_connections || self.census.refused < accept::REFUSED_MAX
    }

    /// Moves the lists of the conditions that have cleared to the ready list.
    fn wake_waiting(&mut self) {
        let (slot_is_free, room) = (self.has_slot(), self.shared.room.owes_little());
        for (clear, list) in [(slot_is_free, &mut self.awaiting_slot), (room, &mut self.awaiting_room)] {
            if clear {
                for key in std::mem::take(list) {
                    if let Some(place) = self.sources.get_mut(key) {
                        place.waiting = false;
                        self.ready.push(key, &mut place.listed);
                    }
                }
            }
        }
    }

    /// Whether every source keeps the latch invariant (see the crate's documentation), and the counts of connections
    /// and of the bytes that they hold are true. Tests ask after every turn.
    pub fn keeps_the_invariant(&self) -> bool {
        let (mut owed, mut kept) = (0, 0);
        let mut census = Census::new(self.shared.limits.max_connections_per_source.is_some());
        for (_, place) in self.sources.iter() {
            if let Some(connection) = place.source.connection() {
                match connection.share() {
                    Share::Nothing => {}
                    Share::Owed(bytes) => owed += bytes,
                    Share::Kept(bytes) => kept += bytes,
                }
                census.enter(connection.origin(), connection.source());
            }
        }
        if census != self.census || (owed, kept) != (self.shared.room.owed(), self.shared.room.kept()) {
            return false;
        }
        // The bounds are repeated here, so that a fault of the room cannot hide itself.
        let limit = self.shared.limits.queue_limit;
        let (no_slot, no_room) = (!self.has_slot(), owed > (limit - limit / 3) / 4 * 3);
        let waits =
            |key: &Key| (no_slot && self.awaiting_slot.contains(key)) || (no_room && self.awaiting_room.contains(key));
        kept <= limit / 3
            && self.sources.iter().all(|(key, place)| {
                place.listed
                    || (place.waiting && waits(&key))
                    || place.source.keeps_the_invariant(place.armed, &self.shared)
            })
    }
}
