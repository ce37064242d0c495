//! Readiness, and the latch that remembers it.
//!
//! `mio` is edge-triggered: the kernel says *once* that a socket became ready, and nothing more until it has answered
//! `WouldBlock`. So readiness is a latch. The kernel sets it, and `WouldBlock` clears it, or the proof that a
//! `WouldBlock` would come next (a short read on TCP, a short batch of datagrams).

use std::fmt;

use bitflags::bitflags;

bitflags! {
    /// What one event says of one source: a set of directions and hints.
    #[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
    pub struct Readiness: u8 {
        /// A read (or an accept, or a receive) would give something.
        const READABLE = 1;
        /// A write would take something.
        const WRITABLE = 1 << 1;
        /// The peer has shut its side down, or an error waits: read on until 0, `WouldBlock` or the error.
        const READ_CLOSED = 1 << 2;
        /// TCP urgent data went by: a read stops short at the mark, so a short read proves nothing.
        const PRIORITY = 1 << 3;
    }
}

impl fmt::Debug for Readiness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        let names: Vec<String> = self.iter_names().map(|(name, _)| name.to_lowercase().replace('_', "-")).collect();
        f.write_str(&names.join("+"))
    }
}

/// The bit of a latch that no event sets: a call failed for lack of memory or descriptors, and is to be retried.
const RETRY: Readiness = Readiness::from_bits_retain(1 << 7);

/// The readiness that one source remembers.
///
/// ```text
///            event                     event
///   cleared -------> set(readable)    -------> set(readable), sticky(read-closed | priority)
///      ^                  |                         |
///      +--- WouldBlock ---+                         +--- WouldBlock clears readable; a short read does not
///      +-- a short read --+
///
///       a call that fails for lack of memory or descriptors
///   set ---------------------------------------------------> set, retrying ---- the next drive ----> set
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latch(Readiness);

impl Latch {
    /// A latch with `readiness` set from the start.
    pub fn new(readiness: Readiness) -> Latch {
        Latch(readiness)
    }

    /// Merges an event: bits are only ever added by events.
    pub fn set(&mut self, readiness: Readiness) {
        self.0 |= readiness;
        if readiness.intersects(Readiness::READ_CLOSED | Readiness::PRIORITY) {
            self.0 |= Readiness::READABLE;
        }
    }

    /// Whether a read may give something.
    pub fn readable(self) -> bool {
        self.0.contains(Readiness::READABLE)
    }

    /// Whether a write may take something.
    pub fn writable(self) -> bool {
        self.0.contains(Readiness::WRITABLE)
    }

    /// Whether the peer is known to have shut its side down, or an error to wait.
    pub(crate) fn peer_ends(self) -> bool {
        self.0.contains(Readiness::READ_CLOSED)
    }

    /// Whether reading must go on to `WouldBlock` or 0, however short a read was: a FIN that arrived with the data
    /// gives no second edge, and neither do bytes behind TCP urgent data.
    pub(crate) fn sticky(self) -> bool {
        self.0.intersects(Readiness::READ_CLOSED | Readiness::PRIORITY)
    }

    /// A read answered `WouldBlock`: the kernel owes an edge. The urgent mark has passed; a shut peer stays shut.
    pub(crate) fn read_would_block(&mut self) {
        self.0.remove(Readiness::READABLE | Readiness::PRIORITY);
    }

    /// A read was so short that the kernel's queue is empty. It clears nothing while the latch is
    /// [sticky](Latch::sticky).
    pub fn read_short(&mut self) {
        if !self.sticky() {
            self.0.remove(Readiness::READABLE);
        }
    }

    /// A call failed for lack of memory or descriptors, and no edge will tell when there is more: a retry is due.
    pub(crate) fn retry_later(&mut self) {
        self.0.insert(RETRY);
    }

    /// The source is driven. Every drive is a fresh try; a new failure arms the retry again.
    #[inline]
    pub(crate) fn try_again(&mut self) {
        self.0.remove(RETRY);
    }

    /// Whether the last drive ended with a call that has to be retried.
    #[inline]
    pub(crate) fn is_retrying(self) -> bool {
        self.0.contains(RETRY)
    }

    /// A write answered `WouldBlock`: the kernel owes an edge.
    pub(crate) fn write_would_block(&mut self) {
        self.0.remove(Readiness::WRITABLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_read_clears_the_latch_unless_something_sticks() {
        let mut latch = Latch::new(Readiness::READABLE);
        latch.read_short();
        assert!(!latch.readable());

        for sticky in [Readiness::READ_CLOSED, Readiness::PRIORITY] {
            let mut latch = Latch::default();
            latch.set(sticky);
            latch.read_short();
            assert!(latch.readable(), "{sticky:?} must keep the source reading");
            latch.read_would_block();
            assert!(!latch.readable());
        }
    }

    #[test]
    fn a_shut_peer_stays_shut_and_an_urgent_mark_passes() {
        let mut latch = Latch::default();
        latch.set(Readiness::READ_CLOSED | Readiness::PRIORITY);
        latch.read_would_block();
        assert!(latch.sticky());

        let mut latch = Latch::default();
        latch.set(Readiness::PRIORITY);
        latch.read_would_block();
        assert!(!latch.sticky());
    }

    #[test]
    fn directions_are_independent() {
        let mut latch = Latch::new(Readiness::READABLE | Readiness::WRITABLE);
        latch.write_would_block();
        assert!(latch.readable() && !latch.writable());
        latch.set(Readiness::WRITABLE);
        latch.read_would_block();
        assert!(!latch.readable() && latch.writable());
    }

    #[test]
    fn readiness_is_told_in_words() {
        assert_eq!(format!("{:?}", Readiness::empty()), "none");
        assert_eq!(format!("{:?}", Readiness::READABLE | Readiness::PRIORITY), "readable+priority");
    }
}
