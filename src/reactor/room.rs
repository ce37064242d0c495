//! The room that the queues of all connections share, and how it is divided.
//!
//! ```text
//!   --queue-limit
//!   |<------------- two thirds: owed ------------->|<-- one third: kept -->|
//!   | peers that do not take what they are owed:   | peers in the middle   |
//!   | at the bound they are not read               | of a message: at the  |
//!   |                                              | bound some are closed |
//! ```
//!
//! So peers that do not read cannot take the room of incomplete messages. Each part has a low-water mark at three
//! quarters of it, so that one freed byte does not wake all, and one search makes room for many messages.

/// What a connection's queues count as. A connection counts with one part: with bytes owed, all of it counts as owed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Share {
    /// No memory.
    #[default]
    Nothing,
    /// In bytes: answers that wait for the peer to read, and messages that wait for that. What this side keeps for
    /// connections of its own counts here too.
    Owed(usize),
    /// In bytes: an incomplete message of a client that is owed nothing.
    Kept(usize),
}

/// The memory of all queues, by part, in bytes.
///
/// Invariant: each sum is that of the [`Share`]s that were moved into it, and `is_full` says whether one of them is at
/// its limit.
#[derive(Clone, Debug)]
pub struct Room {
    owed: usize,
    kept: usize,
    is_full: bool,
    owed_limit: usize,
    kept_limit: usize,
    kept_low_water: usize,
}

impl Room {
    /// The low-water mark of incomplete messages: a message that fits into this fits beside the rest.
    pub(crate) const fn for_one_message(queue_limit: usize) -> usize {
        queue_limit / 4
    }

    /// Empty room of `queue_limit` bytes.
    pub fn new(queue_limit: usize) -> Room {
        let kept_limit = queue_limit / 3;
        let mut room = Room {
            owed: 0,
            kept: 0,
            is_full: false,
            owed_limit: queue_limit - kept_limit,
            kept_limit,
            kept_low_water: Room::for_one_message(queue_limit),
        };
        room.is_full = room.owes_too_much();
        room
    }

    /// A connection's share was `before` and is `now`.
    pub fn exchange(&mut self, before: Share, now: Share) {
        match before {
            Share::Nothing => {}
            Share::Owed(bytes) => self.owed -= bytes,
            Share::Kept(bytes) => self.kept -= bytes,
        }
        match now {
            Share::Nothing => {}
            Share::Owed(bytes) => self.owed += bytes,
            Share::Kept(bytes) => self.kept += bytes,
        }
        self.is_full = self.owes_too_much() || self.keeps_too_much();
    }

    /// The memory of peers that do not read, in bytes.
    pub fn owed(&self) -> usize {
        self.owed
    }

    /// The memory of incomplete messages, in bytes.
    pub fn kept(&self) -> usize {
        self.kept
    }

    /// Whether a part is full: then all connections are read in small pieces. It is asked for every message.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// Whether the part of owed bytes is full: then connections that owe are not read.
    #[inline]
    pub(crate) fn owes_too_much(&self) -> bool {
        self.owed >= self.owed_limit
    }

    /// Whether connections that owe may be read again.
    pub(crate) fn owes_little(&self) -> bool {
        self.owed <= self.owed_limit / 4 * 3
    }

    /// Whether so much is kept that a connection has to be closed.
    #[inline]
    pub(crate) fn keeps_too_much(&self) -> bool {
        self.kept > self.kept_limit
    }

    /// Whether enough was closed.
    pub(crate) fn keeps_little(&self) -> bool {
        self.kept <= self.kept_low_water
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_part_leaves_the_other_alone() {
        let mut room = Room::new(1200);
        room.exchange(Share::Nothing, Share::Owed(799));
        assert!(!room.owes_too_much() && !room.is_full());
        room.exchange(Share::Owed(799), Share::Owed(800));
        assert!(room.owes_too_much() && room.is_full() && !room.keeps_too_much());
        room.exchange(Share::Nothing, Share::Kept(400));
        assert!(!room.keeps_too_much(), "the third that is for messages is not touched by what is owed");
        room.exchange(Share::Kept(400), Share::Kept(401));
        assert!(room.keeps_too_much());
        room.exchange(Share::Owed(800), Share::Nothing);
        assert!(!room.owes_too_much() && room.is_full());
        assert_eq!((room.owed(), room.kept()), (0, 401));
    }

    #[test]
    fn low_water_is_three_quarters_of_a_part() {
        let mut room = Room::new(1200);
        room.exchange(Share::Nothing, Share::Owed(601));
        room.exchange(Share::Nothing, Share::Kept(301));
        assert!(!room.owes_little() && !room.keeps_little());
        room.exchange(Share::Owed(601), Share::Owed(600));
        room.exchange(Share::Kept(301), Share::Kept(300));
        assert!(room.owes_little() && room.keeps_little());
        assert_eq!(Room::for_one_message(1200), 300);
    }

    #[test]
    fn the_smallest_room_asks_nobody_to_go_for_nothing() {
        let none = Room::new(0);
        assert!(none.is_full() && !none.keeps_too_much() && none.keeps_little());
    }
}
