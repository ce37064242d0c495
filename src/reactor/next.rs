//! What should happen next with a source that was driven: the source decides, and only the reactor acts.

use crate::os::clock::Tick;
use crate::reactor::close_reason::CloseReason;

/// What should happen next with a source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Every direction that the source wants has a cleared latch, so the kernel owes it an edge; or its handler has
    /// paused it, and will wake it.
    Idle,
    /// The source stopped early, because its budget was used up: back to the ready list.
    More,
    /// A call failed for lack of something, and no edge will tell when there is more: it is tried again then.
    RetryAt(Tick),
    /// The source waits for a condition that all sources share.
    Wait(Condition),
    /// The source is over.
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
