//! What a connection holds beyond its slab entry, which an idle one does not.

use crate::os::clock::Tick;
use crate::reactor::buffer::Buffer;
use crate::reactor::room::{Room, Share};

#[derive(Debug, Default)]
struct Queues {
    /// An incomplete message, or bytes that the handler would not take yet.
    inbox: Buffer,
    /// Bytes that the socket refused.
    outbox: Buffer,
    /// Since when the first message in the inbox has been incomplete.
    incomplete_since: Option<Tick>,
    /// When the handler wants to be called even if nothing arrives.
    wake_at: Option<Tick>,
    /// What the kernel held for the peer at the first time-out; a second one ends the connection.
    last_seen: Option<u32>,
    /// What the room of all connections knows of this.
    accounted: Share,
}

impl Queues {
    fn bytes(&self) -> usize {
        if self.inbox.is_empty() && self.outbox.is_empty() {
            return 0;
        }
        size_of::<Queues>() + self.inbox.capacity() + self.outbox.capacity()
    }
}

/// What a connection holds: the bytes that it keeps and owes, and when its handler is to be woken.
///
/// Invariant: after [`account`](Held::account) with nothing of these, this is one empty word in the slab entry.
#[derive(Debug, Default)]
pub(super) struct Held(Option<Box<Queues>>);

impl Held {
    /// Whether the connection holds nothing.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// The memory of the queues, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.0.as_ref().map_or(0, |queues| queues.bytes())
    }

    /// What the memory counts as: owed, or an incomplete message for which the connection `can_be_closed`.
    pub(super) fn share(&self, can_be_closed: bool) -> Share {
        match self.bytes() {
            0 => Share::Nothing,
            bytes if !can_be_closed || self.owed() > 0 => Share::Owed(bytes),
            bytes => Share::Kept(bytes),
        }
    }

    /// Brings `room` up to date, and gives memory back that nothing needs.
    pub(super) fn account(&mut self, can_be_closed: bool, room: &mut Room) {
        let share = self.share(can_be_closed);
        let Some(queues) = &mut self.0 else { return };
        room.exchange(queues.accounted, share);
        queues.accounted = share;
        if share == Share::Nothing && queues.wake_at.is_none() && queues.last_seen.is_none() {
            self.0 = None;
        }
    }

    /// Gives back what the inbox does not need.
    pub(super) fn squeeze(&mut self) {
        if let Some(queues) = &mut self.0 {
            queues.inbox.squeeze();
        }
    }

    /// When the handler wants to be called even if nothing arrives.
    pub(super) fn wake_at(&self) -> Option<Tick> {
        self.0.as_ref().and_then(|queues| queues.wake_at)
    }

    /// The handler wants to be called at `moment`, or not any more.
    pub(super) fn set_wake_at(&mut self, moment: Option<Tick>) {
        if moment.is_some() || self.0.is_some() {
            self.0.get_or_insert_default().wake_at = moment;
        }
    }

    /// What the kernel held for the peer at the first time-out, in bytes.
    pub(super) fn last_seen(&self) -> Option<u32> {
        self.0.as_ref().and_then(|queues| queues.last_seen)
    }

    /// At the first time-out, the kernel holds `bytes` for the peer.
    pub(super) fn set_last_seen(&mut self, bytes: u32) {
        self.0.get_or_insert_default().last_seen = Some(bytes);
    }

    /// How many bytes the peer is owed.
    pub(super) fn owed(&self) -> usize {
        self.0.as_ref().map_or(0, |queues| queues.outbox.len())
    }

    /// How many bytes are kept that the handler has not taken.
    pub(super) fn kept(&self) -> usize {
        self.0.as_ref().map_or(0, |queues| queues.inbox.len())
    }

    /// Takes the outbox out: the owed bytes.
    pub(super) fn take_outbox(&mut self) -> Buffer {
        self.0.as_mut().map_or_else(Buffer::default, |queues| std::mem::take(&mut queues.outbox))
    }

    /// Puts the outbox back, of which the socket took `count` bytes.
    pub(super) fn put_back(&mut self, mut outbox: Buffer, count: usize) {
        outbox.consume(count);
        if let Some(queues) = &mut self.0 {
            queues.outbox = outbox;
        }
    }

    /// Owes the peer `bytes` more.
    pub(super) fn owe(&mut self, bytes: &[u8]) {
        if !bytes.is_empty() {
            self.0.get_or_insert_default().outbox.push(bytes);
        }
    }

    /// Takes the inbox out: what the handler has not taken.
    pub(super) fn take_inbox(&mut self) -> Buffer {
        let Some(queues) = &mut self.0 else { return Buffer::default() };
        queues.incomplete_since = None;
        std::mem::take(&mut queues.inbox)
    }

    /// Keeps what the handler did not take. The message has been incomplete since `since`.
    pub(super) fn keep_inbox(&mut self, inbox: Buffer, since: Tick) {
        if !inbox.is_empty() {
            let queues = self.0.get_or_insert_default();
            queues.inbox = inbox;
            queues.incomplete_since = Some(since);
        }
    }

    /// Since when the first message in the inbox has been incomplete.
    pub(super) fn incomplete_since(&self) -> Option<Tick> {
        self.0.as_ref().and_then(|queues| queues.incomplete_since)
    }

    /// The peer could not go on until `now`, and has its whole time again.
    pub(super) fn restart_incomplete(&mut self, now: Tick) {
        if let Some(since) = self.0.as_mut().and_then(|queues| queues.incomplete_since.as_mut()) {
            *since = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn with_nothing_kept_and_nothing_owed_it_is_one_empty_word() {
        assert_eq!(size_of::<Held>(), 8);
        let mut held = Held::default();
        held.owe(b"owed");
        let one = held.bytes() - size_of::<Queues>();
        assert!((4..1024).contains(&one), "one queue counts without the other: {one}");
        let mut inbox = Buffer::default();
        inbox.push(b"kept");
        held.keep_inbox(inbox, Tick::START);
        assert_eq!(held.bytes(), size_of::<Queues>() + 2 * one);
        let mut room = Room::new(1_000_000);
        held.account(true, &mut room);
        assert_eq!((room.owed(), room.kept()), (held.bytes(), 0), "who owes has no claim on the room of messages");
        let outbox = held.take_outbox();
        assert_eq!(outbox.pending(), b"owed");
        held.put_back(outbox, 4);
        assert_eq!((held.owed(), held.incomplete_since()), (0, Some(Tick::START)));
        held.account(false, &mut room);
        assert_eq!((room.owed(), room.kept()), (held.bytes(), 0), "what is held back waits for the peer to read");
        held.account(true, &mut room);
        assert_eq!((room.owed(), room.kept()), (0, held.bytes()));
        assert_eq!(held.take_inbox().pending(), b"kept");
        assert_eq!((held.bytes(), held.incomplete_since()), (0, None));
        held.account(true, &mut room);
        assert_eq!((room.owed(), room.kept()), (0, 0));
        assert!(held.is_empty());
    }

    #[test]
    fn a_wake_up_keeps_its_place_and_counts_as_no_bytes() {
        let (mut held, mut room) = (Held::default(), Room::new(1_000));
        held.set_wake_at(None);
        assert!(held.is_empty());
        held.set_wake_at(Some(Tick::START));
        held.account(true, &mut room);
        assert_eq!((held.wake_at(), room.owed() + room.kept()), (Some(Tick::START), 0));
        held.set_wake_at(None);
        held.account(true, &mut room);
        assert!(held.is_empty());
    }

    #[test]
    fn what_is_discarded_leaves_the_inbox_alone() {
        let mut held = Held::default();
        held.owe(b"owed");
        let mut inbox = Buffer::default();
        inbox.push(b"kept");
        held.keep_inbox(inbox, Tick::START);
        held.restart_incomplete(Tick::at(Duration::from_secs(1)));
        held.take_outbox();
        assert_eq!(held.owed(), 0);
        assert_eq!(held.incomplete_since(), Some(Tick::at(Duration::from_secs(1))));
    }
}
