//! A datagram as a socket hands it over, and what the call has learned beside it.

use std::ops::Range;

use crate::os::route::Route;

/// What a call that received has learned of the socket's queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Queue {
    /// It was found empty, as by `WouldBlock`: the kernel owes an edge.
    Empty,
    /// More may wait.
    Unknown,
}

/// A datagram that was received.
#[derive(Debug)]
pub struct Received {
    /// Where it lies in the buffer that was received into.
    pub range: Range<usize>,
    /// Where it came from.
    pub route: Route,
    /// Whether it may have been longer than its room. A cut message is never answered.
    pub is_cut: bool,
}
