//! What holds of a connection beside its phase.

use bitflags::bitflags;

bitflags! {
    /// What holds of a connection beside its phase: most often nothing, and that is asked in one comparison.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Flags: u16 {
        /// The peer's side has ended: nothing more will be read.
        const READ_ENDED = 1;
        /// The handler left bytes although they may be complete: they are offered again before anything is read.
        const HELD_BACK = 1 << 1;
        /// The handler wants to be woken before it is offered anything.
        const PAUSED = 1 << 2;
        /// The peer was to be sent so much that the write limit was reached; the handler is told when there is room again.
        const FULL = 1 << 3;
        /// What is owed is the last: then the write side is shut, and reading goes on.
        const HALF_CLOSING = 1 << 4;
        /// The handler's `tick` is due.
        const TICKING = 1 << 5;
        /// A deadline has passed: unless something moves in this turn, it is over.
        const EXPIRING = 1 << 6;
        /// The reactor drains: what has arrived is answered, then this side ends.
        const DRAINING = 1 << 7;
        /// It waits for room in the queues of all connections, and is not read.
        const AWAITING_ROOM = 1 << 8;
        /// The kernel lacked memory for a call: until the retry deadline, or an event, it wants nothing.
        const RETRYING = 1 << 9;
        /// Its time was up, and then the peer had a last while to take what the kernel held, and took nothing.
        const STUCK = 1 << 10;
        /// This side's FIN was sent, and reading goes on: what the kernel holds can only become less.
        const HALF_CLOSED = 1 << 11;
    }
}
