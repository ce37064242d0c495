//! Running the ready list: in groups, and each group in phases.
//!
//! A group is as many connections as its limit allows and the arena has room for. First all of them read; then each
//! writes, and decides what should happen next. So the kernel's receive path and its send path each stay in the
//! instruction cache, and one write answers what one read brought.

use log::Level;

use crate::os::kernel::Kernel;
use crate::os::key::Key;
use crate::reactor::Reactor;
use crate::reactor::drive::Drive;
use crate::reactor::handler::Handler;
use crate::reactor::log_limit::LogKind;
use crate::reactor::next::{Condition, Next};
use crate::reactor::reply::Outgoing;
use crate::reactor::source::Source;
use crate::reactor::step::Step;

/// A connection of the group that has read, and what it is about to send.
struct Member {
    key: Key,
    outgoing: Outgoing,
}

/// The connections of the group that have read.
#[derive(Default)]
pub(super) struct Group {
    members: Vec<Member>,
}

impl Group {
    fn enter(&mut self, key: Key) -> &mut Member {
        let last = self.members.len();
        self.members.push(Member { key, outgoing: Outgoing::default() });
        &mut self.members[last]
    }
}

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// Runs each source on the ready list once.
    pub(super) fn run_ready(&mut self, handler: &mut H) {
        let list = self.ready.take();
        let mut waiting = list.iter();
        loop {
            self.receive_phase(&mut waiting, handler);
            self.send_phase(handler);
            self.shared.arena.reset();
            if waiting.len() == 0 {
                break;
            }
        }
        self.ready.recycle(list);
    }

    /// Lets sources read, until the group or the arena is full.
    fn receive_phase(&mut self, waiting: &mut std::slice::Iter<'_, Key>, handler: &mut H) {
        while self.group.members.len() < self.shared.limits.group && self.shared.arena.has_room() {
            let Some(&key) = waiting.next() else { return };
            let Some(place) = self.sources.get_mut(key) else { continue };
            place.listed = false;
            let row = place.row;
            self.shared.arena.begin_source();
            match &mut place.source {
                Source::Connection(connection) => {
                    let member = self.group.enter(key);
                    connection.receive(&mut Drive::new(key, row, handler, &mut self.shared, &mut member.outgoing));
                }
                Source::Datagram(datagram) => {
                    let next =
                        datagram.drive(&mut Drive::new(key, row, handler, &mut self.shared, &mut Outgoing::default()));
                    let deadline = datagram.deadline();
                    place.armed = self.timers.arm(key, place.armed, deadline);
                    self.act(key, next, handler);
                }
                Source::Acceptor(_) => {
                    let next = self.accept_batch(key);
                    self.act(key, next, handler);
                }
            }
        }
    }

    /// Lets every connection of the group write and decide what should happen next.
    fn send_phase(&mut self, handler: &mut H) {
        let mut members = std::mem::take(&mut self.group.members);
        for Member { key, outgoing } in &members {
            let key = *key;
            let Some(place) = self.sources.get_mut(key) else { continue };
            let Some(connection) = place.source.connection_mut() else { continue };
            connection.send(key, place.row, outgoing, &mut self.shared);
            if connection.is_at_rest() {
                self.shared.tell(key, Step::AtRest);
                continue;
            }
            let next = connection.settle(&mut self.shared);
            let deadline = connection.deadline(&self.shared.limits);
            place.armed = self.timers.arm(key, place.armed, deadline);
            self.act(key, next, handler);
        }
        members.clear();
        self.group.members = members;
        if self.shared.room.keeps_too_much() {
            self.make_room();
        }
        if !self.awaiting_room.is_empty() {
            self.wake_waiting();
        }
    }

    /// Does what a source decided.
    fn act(&mut self, key: Key, next: Next, handler: &mut H) {
        self.shared.tell(key, Step::Driven(next));
        match next {
            Next::Idle => {}
            Next::Done(reason) => self.close(key, reason, handler),
            Next::More => self.list(key),
            Next::RetryAt(moment) => {
                if let Some(place) = self.sources.get_mut(key) {
                    place.armed = self.timers.arm(key, place.armed, Some(moment));
                }
            }
            Next::Wait(condition) => self.wait_for(key, condition),
        }
    }

    fn wait_for(&mut self, key: Key, condition: Condition) {
        let Some(place) = self.sources.get_mut(key) else { return };
        if std::mem::replace(&mut place.waiting, true) {
            return;
        }
        self.shared.tell(key, Step::HeldBack(condition));
        if condition == Condition::ConnectionSlot {
            self.awaiting_slot.insert(key);
            return;
        }
        self.awaiting_room.insert(key);
        let owed = self.shared.room.owed();
        let line =
            format_args!("{owed} bytes are owed to clients that do not read: they are not read from until they do");
        self.shared.log_limit.log(LogKind::QueueLimit, Level::Warn, self.shared.now, line);
    }
}
