//! A datagram socket of the simulated machine.

use std::collections::VecDeque;

use cooee::os::key::Key;

/// A datagram that has arrived: its number and its length. Its bytes follow from its number.
#[derive(Clone, Copy, Debug)]
pub struct Letter {
    pub number: usize,
    pub length: usize,
}

/// The receive queue of a datagram socket.
#[derive(Debug, Default)]
pub struct Mailbox {
    pub key: Option<Key>,
    pub queue: VecDeque<Letter>,
    /// An ICMP message about an earlier reply waits to be told.
    pub refused: bool,
    /// Letters that arrived, not those that found the queue full.
    pub arrived: usize,
    /// Letters that were received, until the handler is given them.
    pub received: VecDeque<Letter>,
    /// Letters that the handler was given, until their answer leaves or is refused.
    pub unanswered: VecDeque<Letter>,
    /// The answer to this letter, which came later in a batch, will be refused.
    pub refuses: Option<usize>,
    /// Letters that the handler was given.
    pub told: usize,
    pub told_bytes: usize,
    pub answers: usize,
    pub answered_bytes: usize,
    pub failed_sends: usize,
    pub is_closed: bool,
}

impl Mailbox {
    /// Letters that wait at most; more are dropped, as UDP does.
    pub const CAPACITY: usize = 100;

    /// How many letters one call takes at most.
    pub const BATCH: usize = 6;

    /// Room for one letter of a batch.
    pub const SLOT: usize = 512;
}
