//! What should happen next with a source that was just driven: it decides, and only the reactor acts.

use crate::os::clock::Tick;
use crate::reactor::close_reason::CloseReason;

/// What should happen next with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Every direction that it wants has a cleared latch: the kernel owes it an edge.
    Idle,
    /// It stopped early, because its budget was used up: back to the ready list.
    More,
    /// It could do nothing for lack of something, and no edge will tell when there is more: try again then.
    RetryAt(Tick),
    /// It waits for something that all sources share.
    Wait(Condition),
    /// It is over.
    Done(CloseReason),
}

/// What several sources can wait for together. Each condition has a list, which moves to the ready list when it clears.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Condition {
    /// Fewer connections than the limit.
    ConnectionSlot,
    /// Fewer bytes owed to peers that do not read than the bound.
    QueueRoom,
}
