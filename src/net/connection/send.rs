//! The send step: writing what is owed and what was answered.

use std::io;

use crate::close_reason::CloseReason;
use crate::key::Key;
use crate::net::connection::Connection;
use crate::net::connection::phase::{Origin, Phase};
use crate::net::shared::Shared;
use crate::net::stream::Stream;
use crate::readiness::{Latch, Readiness};
use crate::reply::Outgoing;

impl<T: Stream, S> Connection<T, S> {
    /// Writes what is owed: what the socket refused earlier first, then this turn's answers. What it refuses now is kept.
    pub fn send(&mut self, key: Key, outgoing: &Outgoing, shared: &mut Shared) {
        if self.over.is_some() || self.broken.is_some() || self.phase == Phase::Connecting {
            return;
        }
        let echoed = &shared.arena.bytes()[outgoing.echoed.clone()];
        let composed = &shared.arena.composed[outgoing.composed.clone()];
        // It waits for a tick, even where the socket takes everything at once.
        self.full |= outgoing.told_full;
        let mut written = 0;
        let mut result = Ok(());
        if self.owed() > 0 {
            self.held.owe(echoed);
            self.held.owe(composed);
            (written, result) = write_out(&mut self.stream, &mut self.latch, self.held.outbox());
            self.held.paid(written);
        } else {
            for part in [echoed, composed].into_iter().filter(|part| !part.is_empty()) {
                let mut count = 0;
                if result.is_ok() && self.owed() == 0 {
                    (count, result) = write_out(&mut self.stream, &mut self.latch, part);
                    written += count;
                }
                self.held.owe(&part[count..]);
            }
        }
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

    /// A write failed. The error has taken the place of what a read would say, so it is remembered as the reason; the bytes that
    /// came before the RST can still be read, and are.
    fn break_off(&mut self, reason: CloseReason) {
        self.broken = Some(reason);
        self.held.forgive();
        self.latch.set(Readiness::READ_CLOSED);
    }
}

/// Writes until everything is out or the kernel takes no more; a short write is followed by another, since only `WouldBlock`
/// promises an edge. Returns how many bytes went, and what went wrong.
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
