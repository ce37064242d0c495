//! What a source is driven with, and what its handler is called with.

use std::ops::Range;

use crate::os::address::Peer;
use crate::os::key::Key;
use crate::reactor::handler::{Context, Handler, Wishes};
use crate::reactor::metrics::{Counts, Row};
use crate::reactor::reply::{Outgoing, Reply};
use crate::reactor::shared::Shared;

/// What one source is driven with, for one turn.
pub struct Drive<'a, H> {
    /// The source's name.
    pub key: Key,
    /// The endpoint that the source belongs to.
    pub row: Row,
    /// The handler that is served.
    pub handler: &'a mut H,
    /// What it shares with all others.
    pub shared: &'a mut Shared,
    /// What the handler has answered so far.
    pub outgoing: &'a mut Outgoing,
}

/// The bytes that a handler is offered.
pub(super) enum Offered<'a> {
    /// A range of the arena, of which an echo is not copied.
    Arena(Range<usize>),
    /// Bytes that lie elsewhere.
    Kept(&'a [u8]),
}

impl<'a, H: Handler> Drive<'a, H> {
    /// The handler's answers go to `outgoing`, where nothing is answered yet.
    pub fn new(
        key: Key,
        row: Row,
        handler: &'a mut H,
        shared: &'a mut Shared,
        outgoing: &'a mut Outgoing,
    ) -> Drive<'a, H> {
        *outgoing = Outgoing::starting_at(shared.arena.composed.len());
        Drive { key, row, handler, shared, outgoing }
    }

    /// The counters of the source's endpoint.
    #[inline]
    pub(super) fn counts(&mut self) -> &mut Counts {
        self.shared.metrics.row_mut(self.row)
    }

    /// What the handler is called with: the bytes that it is `offered`, and a context in which `owed` bytes wait for
    /// `peer`, which is known to have ended its side or not, and has not `unacknowledged` so much.
    #[inline(always)]
    pub(super) fn context<'b>(
        &'b mut self,
        (peer, peer_ends, unacknowledged): (Peer<'b>, bool, usize),
        owed: usize,
        offered: Offered<'b>,
    ) -> (&'b mut H, &'b [u8], Context<'b>) {
        let Shared { arena, orders, metrics, log_limit, limits, now, .. } = &mut *self.shared;
        let (bytes, composed) = arena.parts();
        let (offered, arena_start) = match offered {
            Offered::Arena(range) => (&bytes[range.clone()], Some(range.start)),
            Offered::Kept(bytes) => (bytes, None),
        };
        let context = Context {
            now: *now,
            key: self.key,
            row: self.row,
            peer,
            peer_ends,
            unacknowledged,
            reply: Reply::new(offered, arena_start, composed, self.outgoing, owed, limits.write_limit),
            orders,
            metrics,
            log_limit,
            wishes: Wishes::default(),
        };
        (self.handler, offered, context)
    }
}
