//! The cost of a connection with an incomplete message, and how it makes room for others.

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
    /// Whether the kept bytes are a client's incomplete message. What the handler holds back counts as owed, like the
    /// answers. (This side's own connections are not closed for such bytes, and a broken one is about to end.)
    pub(super) fn can_be_closed_for_room(&self) -> bool {
        matches!(self.origin, Origin::Accepted | Origin::Refused(_))
            && !self.flags.contains(Flags::HELD_BACK)
            && !self.phase.is_broken()
    }

    /// The cost of the incomplete message until now, memory × age; none where there is none. If messages waited for
    /// room, all could wait for each other. So some connections are closed, and by this measure neither a newcomer that
    /// will be done soon, nor one whose few bytes are old.
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

    /// Drops the incomplete message, and ends this side.
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
