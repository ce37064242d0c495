//! Running the ready list: in groups, and each group in phases.
//!
//! A group is as many sources as the arena has room for. First all of its connections read, then all write, then each is asked what
//! should happen next. So the kernel's receive path and its send path each stay in the instruction cache, and what one read brought,
//! one write answers.

use log::Level;

use crate::handler::Handler;
use crate::key::Key;
use crate::log_limit::LogKind;
use crate::net::acceptor::{self, Accepted};
use crate::net::connection::Connection;
use crate::net::next::{Condition, Next};
use crate::reactor::Reactor;
use crate::reactor::kernel::Kernel;
use crate::reactor::source::{Kind, Source};
use crate::reply::Outgoing;

/// Newcomers over the connection limit that are told so at once. Their descriptors come out of the reserve that the limit leaves.
pub(super) const REFUSED_MAX: usize = 32;

/// How many sources one group has at most: more would outgrow the first-level caches between the phases.
const GROUP_MAX: usize = 32;

/// A connection of the group that has read, and what it is about to send.
struct Member {
    key: Key,
    outgoing: Outgoing,
    held_before: usize,
}

/// The connections of the group that have read.
#[derive(Default)]
pub(super) struct Group {
    members: Vec<Member>,
}

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// Runs everybody on the ready list once.
    pub(super) fn run_ready(&mut self, handler: &mut H) {
        let list = self.ready.take();
        let mut waiting = list.iter();
        loop {
            self.receive_phase(&mut waiting, handler);
            self.send_phase();
            self.settle_phase(handler);
            self.shared.arena.reset();
            if waiting.len() == 0 {
                break;
            }
        }
        self.ready.recycle(list);
    }

    /// Lets sources read, until the group or the arena is full.
    fn receive_phase(&mut self, waiting: &mut std::slice::Iter<'_, Key>, handler: &mut H) {
        while self.group.members.len() < GROUP_MAX && self.shared.arena.has_room() {
            let Some(&key) = waiting.next() else { return };
            let Some(source) = self.sources.get_mut(key) else { continue };
            source.listed = false;
            match &mut source.kind {
                Kind::Connection(connection) => {
                    let held_before = connection.held_bytes();
                    let mut outgoing = Outgoing::starting_at(self.shared.arena.composed.len());
                    connection.receive(key, handler, &mut self.shared, &mut outgoing);
                    self.group.members.push(Member { key, outgoing, held_before });
                }
                Kind::Datagram(datagram) => {
                    let next = datagram.drive(key, handler, &mut self.shared);
                    let deadline = datagram.deadline();
                    source.armed = self.timers.arm(key, source.armed, deadline);
                    self.act(key, next, handler);
                }
                Kind::Acceptor(_) => {
                    let next = self.accept_batch(key);
                    self.act(key, next, handler);
                }
            }
        }
    }

    /// Lets every connection of the group write.
    fn send_phase(&mut self) {
        for member in &self.group.members {
            if let Some(Source { kind: Kind::Connection(connection), .. }) = self.sources.get_mut(member.key) {
                connection.send(member.key, &member.outgoing, &mut self.shared);
            }
        }
    }

    /// Asks every connection of the group what should happen next, and does it.
    fn settle_phase(&mut self, handler: &mut H) {
        let mut members = std::mem::take(&mut self.group.members);
        for Member { key, held_before, .. } in members.drain(..) {
            let Some(source) = self.sources.get_mut(key) else { continue };
            let Kind::Connection(connection) = &mut source.kind else { continue };
            self.shared.queued = self.shared.queued + connection.held_bytes() - held_before;
            let next = connection.settle(&self.shared);
            let deadline = connection.deadline(&self.shared.limits);
            source.armed = self.timers.arm(key, source.armed, deadline);
            self.act(key, next, handler);
        }
        self.group.members = members;
        if !self.awaiting_room.is_empty() {
            self.wake_waiting();
        }
    }

    /// Does what a source decided.
    fn act(&mut self, key: Key, next: Next, handler: &mut H) {
        log::trace!("{key} is driven: {next:?}");
        match next {
            Next::Idle => {}
            Next::Done(reason) => self.close(key, reason, handler),
            Next::More => self.list(key),
            Next::RetryAt(moment) => {
                if let Some(source) = self.sources.get_mut(key) {
                    source.armed = self.timers.arm(key, source.armed, Some(moment));
                }
            }
            Next::Wait(condition) => self.wait_for(key, condition),
        }
    }

    fn wait_for(&mut self, key: Key, condition: Condition) {
        let Some(source) = self.sources.get_mut(key) else { return };
        if !source.waiting {
            source.waiting = true;
            log::trace!("{key} waits for {condition:?}, with others");
            match condition {
                Condition::ConnectionSlot => drop(self.awaiting_slot.insert(key)),
                Condition::QueueRoom => {
                    self.awaiting_room.insert(key);
                    let queued = self.shared.queued;
                    self.shared.log_limit.log(
                        LogKind::QueueLimit,
                        Level::Warn,
                        self.shared.now,
                        format_args!(
                            "{queued} bytes are owed to clients that do not read: they are not read from until they do"
                        ),
                    );
                }
            }
        }
    }

    /// Accepts what waits at one listener, a batch at the most.
    fn accept_batch(&mut self, key: Key) -> Next {
        let now = self.shared.now;
        for _ in 0..acceptor::BATCH {
            let at_limit = self.connections >= self.shared.limits.max_connections;
            let Some(Source { kind: Kind::Acceptor(acceptor), .. }) = self.sources.get_mut(key) else {
                return Next::Idle;
            };
            if at_limit && self.refused >= REFUSED_MAX && acceptor.is_ready() {
                return Next::Wait(Condition::ConnectionSlot);
            }
            let (tag, draining) = (acceptor.tag(), acceptor.is_draining());
            match acceptor.accept() {
                Accepted::Connection(stream, peer) => {
                    let mut connection = Connection::accepted(stream, peer, tag, at_limit, now);
                    if draining {
                        connection.drain();
                    }
                    self.admit(connection, at_limit);
                }
                Accepted::Again => {}
                Accepted::Drained if draining => {
                    return Next::Done(crate::close_reason::CloseReason::Drained);
                }
                Accepted::Drained => return Next::Idle,
                Accepted::Failed(error) => {
                    acceptor.set_retrying(true);
                    self.shared.metrics.accept_errors += 1;
                    self.shared.log_limit.log(
                        LogKind::AcceptFailed,
                        Level::Warn,
                        now,
                        format_args!("cannot accept: {error}; trying again every {:?}", acceptor::RETRY),
                    );
                    return Next::RetryAt(now.after(acceptor::RETRY));
                }
            }
        }
        Next::More
    }

    /// Takes a newcomer in. It runs in the next turn, like everybody who was not on the list when this one began.
    fn admit(&mut self, connection: Connection<K::Stream, H::Session>, at_limit: bool) {
        let key = self.sources.insert(Source::new(Kind::Connection(connection)));
        self.shared.metrics.accepted += 1;
        if at_limit {
            self.refused += 1;
            let limit = self.shared.limits.max_connections;
            self.shared.log_limit.log(
                LogKind::Refused,
                Level::Warn,
                self.shared.now,
                format_args!("the limit of {limit} connections is reached: newcomers are refused"),
            );
        } else {
            self.connections += 1;
        }
        match self.register(key) {
            Ok(key) => {
                if let Some(Source { kind: Kind::Connection(connection), .. }) = self.sources.get_mut(key) {
                    log::debug!("{key} accepted {}", connection.peer());
                }
                self.list(key);
            }
            Err(error) => self.forget(at_limit, &error),
        }
    }

    /// The kernel would not watch a newcomer (ENOMEM, ENOSPC): it is gone already, and no handler has heard of it.
    fn forget(&mut self, at_limit: bool, error: &std::io::Error) {
        let reason = crate::close_reason::CloseReason::of_error(error);
        self.shared.metrics.count_close(reason);
        self.shared.metrics.accept_errors += 1;
        if at_limit {
            self.refused -= 1;
        } else {
            self.connections -= 1;
        }
        self.shared.log_limit.log(
            LogKind::AcceptFailed,
            Level::Warn,
            self.shared.now,
            format_args!("cannot watch an accepted connection: {error}"),
        );
    }
}
