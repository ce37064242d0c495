//! Tests that measure time take turns.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Waits until no other test of this program runs that has asked for the same. Programs of tests run one after the
/// other, so nothing of ours runs beside it then.
pub fn alone() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has nothing in it that the next could find broken.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}
