//! What holds of a connection between two drives, a line each. Debug builds check it.

use crate::os::stream::Stream;
use crate::reactor::connection::state::{Flags, Origin, Phase};
use crate::reactor::connection::{Connection, SessionSlot};
use crate::reactor::shared::Shared;

impl<T: Stream, S> Connection<T, S> {
    /// Panics where a connection that has settled, and is not over, is in a state that it must not be in.
    pub(super) fn check(&self, shared: &Shared) {
        let (owed, kept) = (self.held.owed(), self.held.kept());
        let has = |flag: Flags| self.flags.contains(flag);
        let serves = matches!(self.slot, SessionSlot::Open(_));
        match self.phase {
            Phase::Connecting => {
                assert!(matches!(self.origin, Origin::Connected), "an accepted connection is being established");
                assert!(!serves, "nobody has a session for a connection that is not established");
                assert!(owed == 0, "a connection that is not established owes bytes");
                assert!(kept == 0, "a connection that is not established keeps bytes");
                assert!(!has(Flags::READ_ENDED), "nothing was read before the connection was established");
            }
            Phase::Fresh => panic!("the handler has not been told of a connection that was driven"),
            Phase::Open => {
                assert!(serves, "an open connection has its handler's session");
                assert!(!has(Flags::FIN_DUE) || owed > 0, "nothing is owed, and the FIN has not left");
                assert!(!has(Flags::HELD_BACK) || kept > 0, "bytes are held back, and there are none");
            }
            Phase::Flushing(_) => {
                assert!(owed > 0, "everything has left, and the FIN has not");
                assert!(kept == 0, "this side has ended, and keeps what it will not answer");
                assert!(!has(Flags::HELD_BACK), "nothing is offered any more");
            }
            Phase::Lingering(_) => {
                assert!(owed == 0, "the FIN has left before what was owed");
                assert!(kept == 0, "what this side does not answer any more is still kept");
                assert!(!has(Flags::READ_ENDED), "both sides have ended, and the connection lives");
            }
            Phase::Broken(_) | Phase::BrokenEnded(_) => {
                assert!(owed == 0, "what can never be written is still owed");
                assert!(self.latch.readable(), "a broken stream would block, and the connection lives");
                assert!(!has(Flags::READ_ENDED), "a broken stream was read to its end, and the connection lives");
            }
            Phase::Over(_) => panic!("a connection that is over lives"),
        }
        match self.origin {
            Origin::Refused(_) => {
                assert!(!matches!(self.phase, Phase::Open), "a refused connection is served");
                assert!(!serves, "a refused connection has a session");
            }
            Origin::Attached => assert!(!has(Flags::DRAINING), "a drain leaves an attached stream alone"),
            Origin::Accepted | Origin::Connected => {}
        }
        assert!(!has(Flags::EXPIRING), "a deadline has passed, and the connection was not judged");
        assert!(!has(Flags::STUCK), "a peer was found stuck, and the connection lives");
        assert!(!has(Flags::AWAITING_ROOM) || owed > 0, "a connection that owes nothing waits for room");
        assert!(!has(Flags::AWAITING_ROOM) || self.phase == Phase::Open, "a connection that ends waits for room");
        assert!(self.progress <= shared.now, "bytes have moved in the future");
        assert!(self.held.incomplete_since().is_none_or(|since| since <= shared.now), "a message began in the future");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::io;
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::time::Duration;

    use super::*;
    use crate::os::clock::Tick;
    use crate::os::readiness::{Latch, Readiness};
    use crate::os::stream::ConnectProgress;
    use crate::reactor::buffer::Buffer;
    use crate::reactor::close_reason::CloseReason;
    use crate::reactor::limits::Limits;
    use crate::reactor::tag::Tag;

    /// A stream that is not called.
    struct Unused;

    impl Stream for Unused {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            unreachable!()
        }
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            unreachable!()
        }
        fn shutdown_write(&mut self) -> io::Result<()> {
            unreachable!()
        }
        fn connect_progress(&mut self) -> io::Result<ConnectProgress> {
            unreachable!()
        }
        fn held_by_kernel(&self) -> u32 {
            unreachable!()
        }
        fn abort(&mut self) {}
        fn short_read_drains(&self) -> bool {
            unreachable!()
        }
    }

    type Checked = Connection<Unused, ()>;

    const REASON: CloseReason = CloseReason::Ended;

    fn later() -> Tick {
        Tick::START.after(Duration::from_secs(1))
    }

    fn keep(connection: &mut Checked, since: Tick) {
        let mut inbox = Buffer::default();
        inbox.push(b"begun");
        connection.held.keep_inbox(inbox, since);
    }

    fn open() -> Checked {
        Connection::attached(Unused, (), Tick::START)
    }

    fn connecting() -> Checked {
        Connection::connecting(Unused, None, Tag(0), Tick::START)
    }

    fn flushing() -> Checked {
        let mut connection = open();
        connection.phase = Phase::Flushing(REASON);
        connection.held.owe(b"owed");
        connection
    }

    fn lingering() -> Checked {
        Connection { phase: Phase::Lingering(REASON), ..open() }
    }

    fn broken() -> Checked {
        Connection { phase: Phase::Broken(REASON), ..open() }
    }

    fn refused() -> Checked {
        let new = Connection::accepted(Unused, None, Tag(0), Some(CloseReason::Refused), Tick::START);
        Connection { phase: Phase::Lingering(REASON), ..new }
    }

    #[test]
    fn what_is_legal_passes() {
        let shared = Shared::new(Limits::default());
        for legal in [open(), connecting(), flushing(), lingering(), broken(), refused()] {
            legal.check(&shared);
        }
    }

    #[test]
    fn each_line_fires() {
        type Change = fn(&mut Checked);
        let wrong: [(fn() -> Checked, Change); 28] = [
            (connecting, |wrong| wrong.origin = Origin::Accepted),
            (connecting, |wrong| wrong.slot = SessionSlot::Open(())),
            (connecting, |wrong| wrong.held.owe(b"owed")),
            (connecting, |wrong| keep(wrong, Tick::START)),
            (connecting, |wrong| wrong.flags.insert(Flags::READ_ENDED)),
            (open, |wrong| wrong.phase = Phase::Fresh),
            (open, |wrong| wrong.slot = SessionSlot::Unopened(Tag(0))),
            (open, |wrong| wrong.flags.insert(Flags::FIN_DUE)),
            (open, |wrong| wrong.flags.insert(Flags::HELD_BACK)),
            (flushing, |wrong| drop(wrong.held.take_outbox())),
            (flushing, |wrong| keep(wrong, Tick::START)),
            (flushing, |wrong| wrong.flags.insert(Flags::HELD_BACK)),
            (lingering, |wrong| wrong.held.owe(b"owed")),
            (lingering, |wrong| keep(wrong, Tick::START)),
            (lingering, |wrong| wrong.flags.insert(Flags::READ_ENDED)),
            (broken, |wrong| wrong.held.owe(b"owed")),
            (broken, |wrong| wrong.latch = Latch::new(Readiness::empty())),
            (broken, |wrong| wrong.flags.insert(Flags::READ_ENDED)),
            (open, |wrong| wrong.phase = Phase::Over(REASON)),
            (refused, |wrong| (wrong.phase, wrong.slot) = (Phase::Open, SessionSlot::Open(()))),
            (refused, |wrong| wrong.slot = SessionSlot::Open(())),
            (open, |wrong| wrong.flags.insert(Flags::DRAINING)),
            (open, |wrong| wrong.flags.insert(Flags::EXPIRING)),
            (open, |wrong| wrong.flags.insert(Flags::STUCK)),
            (open, |wrong| wrong.flags.insert(Flags::AWAITING_ROOM)),
            (flushing, |wrong| wrong.flags.insert(Flags::AWAITING_ROOM)),
            (open, |wrong| wrong.progress = later()),
            (open, |wrong| keep(wrong, later())),
        ];
        let shared = Shared::new(Limits::default());
        let mut told = BTreeSet::new();
        for (number, (legal, change)) in wrong.into_iter().enumerate() {
            let mut connection = legal();
            change(&mut connection);
            let fired = catch_unwind(AssertUnwindSafe(|| connection.check(&shared)));
            let message = fired.expect_err(&format!("number {number} passes"));
            told.insert(*message.downcast_ref::<&str>().expect("a line with its words alone"));
        }
        let code = include_str!("check.rs").split("#[cfg(test)]").next().unwrap();
        let lines = ["assert!(", "panic!("].map(|line| code.matches(line).count());
        assert_eq!(told.len(), lines.iter().sum::<usize>(), "{told:?}");
    }
}
