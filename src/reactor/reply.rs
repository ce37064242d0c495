//! What a handler sends in answer to what it was offered.
//!
//! An echo needs no copy: it is a range of the arena that the bytes were read into. Everything else is composed in one
//! buffer that all connections of a turn share. A turn's replies to one connection leave together.

use std::ops::Range;

/// What one source sends in this turn: first the echoed range of the arena, then the composed bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// A range of the arena.
    pub echoed: Range<usize>,
    /// A range of the shared buffer of composed bytes.
    pub composed: Range<usize>,
    /// Whether a reply was given, even an empty one: an empty datagram is an answer too.
    pub answered: bool,
    /// Whether the handler was told that the reply is full: then it waits for a tick.
    pub told_full: bool,
}

impl Outgoing {
    /// Nothing yet; composed bytes will begin where the shared buffer ends now.
    pub fn starting_at(composed: usize) -> Outgoing {
        Outgoing { echoed: 0..0, composed: composed..composed, ..Outgoing::default() }
    }

    /// How many bytes leave.
    pub fn len(&self) -> usize {
        self.echoed.len() + self.composed.len()
    }

    /// Whether nothing leaves.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// The writing end that a handler is given with the bytes it is offered.
pub struct Reply<'a> {
    offered: &'a [u8],
    /// Where `offered` lies in the arena; none where it lies elsewhere and an echo has to be copied.
    arena_start: Option<usize>,
    composed: &'a mut Vec<u8>,
    outgoing: &'a mut Outgoing,
    /// How many bytes the peer is owed already, before this turn's.
    owed: usize,
    /// The write limit: with so many owed, no more should be read from this peer.
    limit: usize,
}

impl<'a> Reply<'a> {
    /// A reply to `offered`, which lies at `arena_start`; `owed` bytes wait already and `limit` is where reading stops.
    pub fn new(
        offered: &'a [u8],
        arena_start: Option<usize>,
        composed: &'a mut Vec<u8>,
        outgoing: &'a mut Outgoing,
        owed: usize,
        limit: usize,
    ) -> Reply<'a> {
        debug_assert_eq!(outgoing.composed.end, composed.len(), "two sources compose at once");
        Reply { offered, arena_start, composed, outgoing, owed, limit }
    }

    /// Sends `bytes`, which are copied.
    pub fn send(&mut self, bytes: &[u8]) {
        self.outgoing.answered = true;
        self.composed.extend_from_slice(bytes);
        self.outgoing.composed.end = self.composed.len();
    }

    /// Sends a range of the offered bytes back. Nothing is copied while the turn's echoes lie side by side in the
    /// arena.
    #[inline(always)]
    pub fn echo(&mut self, range: Range<usize>) {
        self.outgoing.answered = true;
        if let Some(arena_start) = self.arena_start
            && self.outgoing.composed.is_empty()
        {
            let start = arena_start + range.start;
            if self.outgoing.echoed.is_empty() {
                self.outgoing.echoed = start..start;
            }
            if self.outgoing.echoed.end == start {
                self.outgoing.echoed.end = arena_start + range.end;
                return;
            }
        }
        let offered = self.offered;
        self.send(&offered[range]);
    }

    /// How many bytes the peer will be owed if the socket takes none.
    pub fn owed(&self) -> usize {
        self.owed + self.outgoing.len()
    }

    /// Whether the write limit is reached. Then the handler stops taking what it is offered, and is called again later.
    pub fn wait_if_full(&mut self) -> bool {
        let full = self.owed() >= self.limit;
        self.outgoing.told_full |= full;
        full
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gather(arena: &[u8], composed: &[u8], outgoing: &Outgoing) -> Vec<u8> {
        [&arena[outgoing.echoed.clone()], &composed[outgoing.composed.clone()]].concat()
    }

    #[test]
    fn neighbouring_echoes_are_one_range_of_the_arena() {
        let arena = b"..hello world..";
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        let mut reply = Reply::new(&arena[2..13], Some(2), &mut composed, &mut outgoing, 0, 100);
        reply.echo(0..6);
        reply.echo(6..11);
        assert_eq!(outgoing, Outgoing { echoed: 2..13, answered: true, ..Outgoing::default() });
        assert!(composed.is_empty());
    }

    #[test]
    fn order_is_kept_when_echoes_and_composed_bytes_mix() {
        let arena = b"hello world";
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        let mut reply = Reply::new(arena, Some(0), &mut composed, &mut outgoing, 0, 100);
        reply.echo(0..5);
        reply.echo(6..11);
        reply.send(b"!");
        reply.echo(5..6);
        assert_eq!(gather(arena, &composed, &outgoing), b"helloworld! ");
    }

    #[test]
    fn bytes_from_outside_the_arena_are_copied() {
        let (mut composed, mut outgoing) = (b"another's".to_vec(), Outgoing::starting_at(9));
        Reply::new(b"kept", None, &mut composed, &mut outgoing, 0, 100).echo(1..3);
        assert_eq!(gather(b"", &composed, &outgoing), b"ep");
    }

    #[test]
    fn the_limit_counts_what_was_owed_before() {
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        let mut reply = Reply::new(b"", None, &mut composed, &mut outgoing, 6, 10);
        assert!(!reply.wait_if_full());
        reply.send(b"four");
        assert!(reply.wait_if_full());
        assert_eq!(reply.owed(), 10);
    }
}
