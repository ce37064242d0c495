//! The receive step: reading what the latch and the budget allow.

use std::io;

use crate::os::clock::Tick;
use crate::os::reason::is_shortage;
use crate::os::stream::{ConnectProgress, Stream};
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::connection::state::Phase;
use crate::reactor::drive::Drive;
use crate::reactor::handler::Handler;
use crate::reactor::limits::Limits;
use crate::reactor::step::Step;

/// The least that a read costs of the budget, in bytes: many short reads take time too.
const READ_COST: usize = 4 * 1024;

impl<T: Stream, S> Connection<T, S> {
    /// Reads what the latch and the budget allow, and offers it to the handler. The answers are in the drive's
    /// `outgoing`.
    pub fn receive<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) {
        let key = drive.key;
        self.latch.try_again();
        // Nothing but the latch decides on the first read of a calm connection.
        let mut is_plain = self.is_calm() && !drive.shared.room.is_full();
        if !is_plain && !self.begin(drive) {
            return;
        }
        let mut budget = drive.shared.limits.read_budget;
        while budget > 0 && self.latch.readable() {
            let allowance = if std::mem::take(&mut is_plain) { Limits::READ_MAX } else { self.read_allowance(drive) };
            let space = drive.shared.arena.space(allowance.min(budget));
            let size = space.len();
            if size == 0 {
                break;
            }
            match self.stream.read(space) {
                // The latch stays set. From here on READ_ENDED makes `read_allowance` 0, and that ends the loop.
                Ok(0) => self.end_of_input(drive),
                Ok(count) => {
                    budget = budget.saturating_sub(count.max(READ_COST));
                    if count < size && self.stream.short_read_drains() {
                        self.latch.read_short();
                    }
                    drive.shared.tell(key, Step::Read(count, size, self.latch.readable()));
                    self.took_in(count, drive);
                }
                Err(error) => self.read_failed(&error, drive),
            }
        }
    }

    #[cold]
    fn read_failed<H>(&mut self, error: &io::Error, drive: &Drive<'_, H>) {
        match error.kind() {
            io::ErrorKind::WouldBlock => {
                drive.shared.tell(drive.key, Step::ReadWouldBlock);
                self.latch.read_would_block();
            }
            io::ErrorKind::Interrupted => {}
            _ if is_shortage(error) => self.latch.retry_later(),
            _ => self.set_over(CloseReason::of_error(error)),
        }
    }

    /// What comes before the first read of a connection that is not calm; false where there is none, because the
    /// connection is not established.
    #[cold]
    fn begin<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) -> bool {
        if matches!(self.phase, Phase::Connecting) {
            if !self.establish(drive.shared.now) {
                return false;
            }
            drive.shared.tell(drive.key, Step::Connected(self.peer()));
        }
        self.call_before_reading(drive);
        true
    }

    /// Asks whether the connection is established; true once it is.
    fn establish(&mut self, now: Tick) -> bool {
        if !self.latch.writable() {
            return false;
        }
        match self.stream.connect_progress() {
            Ok(ConnectProgress::Established(peer)) => {
                self.phase = Phase::Fresh;
                self.progress = now;
                self.peer = peer.or(self.peer);
            }
            Ok(ConnectProgress::Pending) => self.latch.write_would_block(),
            Ok(ConnectProgress::WithItself) => self.set_over(CloseReason::SelfConnect),
            Err(error) => self.set_over(CloseReason::of_connect_error(&error)),
        }
        matches!(self.phase, Phase::Fresh)
    }

    /// How much the next read may take: while bytes are owed, no more than is left to the write limit; little while a
    /// part of the room is full; nothing while the connection is not to be read. Answers of this turn, which were not
    /// written yet, count as owed.
    #[cold]
    fn read_allowance<H>(&self, drive: &Drive<'_, H>) -> usize {
        let owed = self.owed() + drive.outgoing.len();
        if !self.may_read(owed, drive.shared) {
            return 0;
        }
        let mut size = Limits::READ_MAX;
        if owed > 0 && self.owes_answers() {
            size = size.min(drive.shared.limits.write_limit - owed);
        }
        if drive.shared.room.is_full() {
            size = size.min(Limits::LEAN_READ);
        }
        size
    }

    #[inline]
    fn took_in<H: Handler<Session = S>>(&mut self, count: usize, drive: &mut Drive<'_, H>) {
        drive.counts().bytes_in += count as u64;
        if self.phase.offers() {
            // What a peer sends is no progress while it is owed bytes, or one byte now and then would hold them.
            if self.owed() == 0 || !self.owes_answers() {
                self.progress = drive.shared.now;
            }
            self.offer(count, drive);
        }
    }
}
