//! The send step: writing what is owed and what was answered.

use std::io;

use crate::os::key::Key;
use crate::os::reason::is_shortage;
use crate::os::stream::Stream;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::connection::state::{Flags, Phase};
use crate::reactor::metrics::Row;
use crate::reactor::reply::Outgoing;
use crate::reactor::shared::Shared;
use crate::reactor::step::Step;

impl<T: Stream, S> Connection<T, S> {
    /// Writes what was owed before, then this turn's answers. What the socket refuses is owed.
    pub fn send(&mut self, key: Key, row: Row, outgoing: &Outgoing, shared: &mut Shared) {
        if self.phase.is_broken() || matches!(self.phase, Phase::Connecting | Phase::Over(_)) {
            return;
        }
        if outgoing.told_full {
            // The handler waits for a tick, even where the socket takes everything at once.
            self.flags.insert(Flags::FULL);
        }
        let (echoed, composed) = (outgoing.echoed.clone(), outgoing.composed.clone());
        let written = if self.owed() == 0 && composed.is_empty() {
            self.write_or_owe(&shared.arena.bytes()[echoed])
        } else if self.owed() == 0 && echoed.is_empty() {
            self.write_or_owe(&shared.arena.composed[composed])
        } else {
            self.held.owe(&shared.arena.bytes()[echoed]);
            self.held.owe(&shared.arena.composed[composed]);
            self.write_owed()
        };
        if !self.latch.writable() {
            shared.tell(key, Step::WriteWouldBlock(self.owed()));
        }
        if written > 0 {
            self.progress = shared.now;
            shared.tell(key, Step::Wrote(written, self.owed()));
            shared.metrics.row_mut(row).bytes_out += written as u64;
        }
    }

    /// Writes `bytes` from where they lie; what the socket refuses is owed.
    #[inline(always)]
    fn write_or_owe(&mut self, bytes: &[u8]) -> usize {
        let written = self.write(bytes);
        if written < bytes.len() {
            self.owe_rest(&bytes[written..]);
        }
        written
    }

    #[cold]
    fn owe_rest(&mut self, rest: &[u8]) {
        if !self.phase.is_broken() {
            self.held.owe(rest);
        }
    }

    /// Writes what is owed, once more.
    #[cold]
    fn write_owed(&mut self) -> usize {
        let outbox = self.held.take_outbox();
        let written = self.write(outbox.pending());
        if !self.phase.is_broken() {
            self.held.put_back(outbox, written);
        }
        written
    }

    /// Writes until everything is out or the kernel takes no more. A short write is followed by another, because only
    /// `WouldBlock` promises an edge. Returns the number of bytes written.
    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() && self.latch.writable() && !self.latch.is_retrying() {
            match self.stream.write(&bytes[written..]) {
                Ok(count) if count > 0 => written += count,
                outcome => {
                    self.write_failed(outcome);
                    if self.phase.is_broken() {
                        break;
                    }
                }
            }
        }
        written
    }

    #[cold]
    fn write_failed(&mut self, outcome: io::Result<usize>) {
        match outcome {
            Ok(_) => self.set_broken(CloseReason::Failed(io::ErrorKind::WriteZero)),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock => self.latch.write_would_block(),
                io::ErrorKind::Interrupted => {}
                _ if is_shortage(&error) => self.latch.retry_later(),
                _ => self.set_broken(CloseReason::of_error(&error)),
            },
        }
    }
}
