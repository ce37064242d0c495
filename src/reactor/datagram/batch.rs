//! Datagrams that were received together, and the answers that leave together.

use crate::os::received::Received;
use crate::reactor::arena::Arena;
use crate::reactor::reply::Outgoing;

/// What answers one of them.
#[derive(Debug)]
pub(super) struct Answer {
    /// The place among the received ones.
    pub(super) to: usize,
    outgoing: Outgoing,
}

impl Answer {
    /// What was `outgoing` in answer to number `to`, as one datagram. Nothing was composed after it yet.
    pub(super) fn new(to: usize, mut outgoing: Outgoing, arena: &mut Arena) -> Answer {
        let (bytes, composed) = arena.parts();
        let start = outgoing.composed.start;
        if composed.len() > start {
            // What is echoed before composed bytes is made one with them.
            composed.splice(start..start, bytes[outgoing.echoed.clone()].iter().copied());
            outgoing.composed.end = composed.len();
        }
        Answer { to, outgoing }
    }

    /// Its bytes, in the arena where they were echoed or composed.
    pub(super) fn bytes<'a>(&self, arena: &'a Arena) -> &'a [u8] {
        if self.outgoing.composed.is_empty() {
            &arena.bytes()[self.outgoing.echoed.clone()]
        } else {
            &arena.composed[self.outgoing.composed.clone()]
        }
    }
}

/// The datagrams of one batch. It is empty between two; its memory is kept, for all sockets.
#[derive(Debug, Default)]
pub struct DatagramBatch {
    pub(super) received: Vec<Received>,
    pub(super) answers: Vec<Answer>,
}

impl DatagramBatch {
    pub(super) fn clear(&mut self) {
        self.received.clear();
        self.answers.clear();
    }
}
