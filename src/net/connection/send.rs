//! The send step: writing what is owed and what was answered.

use std::io;

use crate::close_reason::CloseReason;
use crate::key::Key;
use crate::net::connection::Connection;
use crate::net::connection::flags::Flags;
use crate::net::connection::phase::{Origin, Phase};
use crate::net::shared::Shared;
use crate::net::stream::Stream;
use crate::readiness::{Latch, Readiness};
use crate::reply::Outgoing;

impl<T: Stream, S> Connection<T, S> {
    /// Writes what is owed: what the socket refused earlier first, then this turn's answers. What it refuses now is kept.
    pub fn send(&mut self, key: Key, outgoing: &Outgoing, shared: &mut Shared) {
        if self.flags.intersects(Flags::OVER | Flags::BROKEN) || self.phase == Phase::Connecting {
            return;
        }
        if outgoing.told_full {
            // It waits for a tick, even where the socket takes everything at once.
            self.flags.insert(Flags::FULL);
        }
        let (echoed, composed) = (outgoing.echoed.clone(), outgoing.composed.clone());
        let (written, result) = if self.owed() > 0 || (!echoed.is_empty() && !composed.is_empty()) {
            self.held.owe(&shared.arena.bytes()[echoed]);
            self.held.owe(&shared.arena.composed[composed]);
            self.write_owed()
        } else {
            // Either of them leaves from where it lies.
            let bytes =
                if composed.is_empty() { &shared.arena.bytes()[echoed] } else { &shared.arena.composed[composed] };
            self.write_or_owe(bytes)
        };
        if !self.latch.writable() {
            log::trace!("{key} write would block: it owes {} bytes, and the kernel owes an edge", self.owed());
        }
        if written > 0 {
            self.progress = shared.now;
            log::trace!("{key} wrote {written} bytes, owes {}", self.owed());
            if self.origin != Origin::Attached {
                shared.metrics.bytes_out += written as u64;
            }
        }
        if let Err(reason) = result {
            self.break_off(reason);
        }
    }

    /// Writes `bytes` where they lie; what the socket refuses is owed.
    #[inline]
    fn write_or_owe(&mut self, bytes: &[u8]) -> (usize, Result<(), CloseReason>) {
        let (written, result) = write_out(&mut self.stream, &mut self.latch, bytes);
        if written < bytes.len() {
            self.held.owe(&bytes[written..]);
        }
        (written, result)
    }

    /// Writes what is owed, once more.
    #[cold]
    fn write_owed(&mut self) -> (usize, Result<(), CloseReason>) {
        let (written, result) = write_out(&mut self.stream, &mut self.latch, self.held.outbox());
        self.held.paid(written);
        (written, result)
    }

    /// A write failed. The error has taken the place of what a read would say, so it is remembered as the reason; the bytes that
    /// came before the RST can still be read, and are.
    #[cold]
    fn break_off(&mut self, reason: CloseReason) {
        self.reason = Some(reason);
        self.flags.insert(Flags::BROKEN);
        self.held.forgive();
        self.latch.set(Readiness::READ_CLOSED);
    }
}

/// Writes until everything is out or the kernel takes no more; a short write is followed by another, since only `WouldBlock`
/// promises an edge. Returns how many bytes went, and what went wrong.
#[inline(always)]
fn write_out<T: Stream>(stream: &mut T, latch: &mut Latch, bytes: &[u8]) -> (usize, Result<(), CloseReason>) {
    let mut written = 0;
    while written < bytes.len() && latch.writable() {
        match stream.write(&bytes[written..]) {
            Ok(0) => return (written, Err(CloseReason::Failed(io::ErrorKind::WriteZero))),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => latch.write_would_block(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Err(CloseReason::of_error(&error))),
        }
    }
    (written, Ok(()))
}
