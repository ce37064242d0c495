//! What a connection costs that is in the middle of a message, and how it makes room for others.

use log::Level;

use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::os::stream::Stream;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::connection::state::{Flags, Origin};
use crate::reactor::log_limit::LogKind;
use crate::reactor::room::Share;
use crate::reactor::shared::Shared;

impl<T: Stream, S> Connection<T, S> {
    /// Whether what it keeps is a client's incomplete message. What the handler holds back waits until the peer reads:
    /// then it is owed, as are the answers. (Connections of this side's own are not closed for the bytes that they wait
    /// for, and one that failed is about to end.)
    pub(super) fn can_be_closed_for_room(&self) -> bool {
        matches!(self.origin, Origin::Accepted | Origin::Refused(_))
            && !self.flags.contains(Flags::HELD_BACK)
            && !self.phase.is_broken()
    }

    /// What its incomplete message has cost until now: memory, times how long. None where it has no share in the room
    /// of messages.
    ///
    /// A message cannot wait for room: those that all wait for each other's would wait for ever. So some are closed,
    /// and by this measure it is neither the newcomer who will be done soon, nor the one whose few bytes are old.
    pub fn rent(&self, now: Tick) -> Option<u64> {
        match self.share() {
            Share::Kept(bytes) => {
                let age = self.held.incomplete_since().map_or(0, |since| now.since(since).as_millis() as u64);
                Some((bytes as u64).saturating_mul(age.saturating_add(1)))
            }
            _ => None,
        }
    }

    /// Gives back memory that is reserved for bytes that have not come.
    pub fn squeeze(&mut self, shared: &mut Shared) {
        self.held.squeeze();
        self.account(shared);
    }

    /// Gives its incomplete message up, and ends this side.
    pub fn make_room(&mut self, key: Key, shared: &mut Shared) {
        shared.log_limit.log(
            LogKind::QueueLimit,
            Level::Warn,
            shared.now,
            format_args!(
                "{key} is closed: its message is incomplete, and with {} bytes of others the room for such is full",
                shared.room.kept()
            ),
        );
        self.start_flush(CloseReason::QueueLimit, shared.now);
        self.account(shared);
    }
}
