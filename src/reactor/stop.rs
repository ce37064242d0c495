//! Stopping a reactor from outside: from another thread of a program that embeds it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mio::Waker;

use crate::reactor::handler::Stop;

/// No stop was asked for; else the flag is the [`Stop`] as a number.
const RUN: u8 = 0;

/// Stops a reactor from outside. It can be cloned and sent to other threads.
#[derive(Clone, Debug)]
pub struct StopHandle {
    waker: Arc<Waker>,
    flag: Arc<AtomicU8>,
}

impl StopHandle {
    pub(crate) fn new(waker: Arc<Waker>, flag: Arc<AtomicU8>) -> StopHandle {
        StopHandle { waker, flag }
    }

    /// Wakes the reactor and stops it; it acts within its next turn.
    pub fn stop(&self, how: Stop) -> io::Result<()> {
        self.flag.fetch_max(how as u8, Ordering::Release);
        self.waker.wake()
    }
}

/// Whether a stop was asked for from outside.
pub(crate) fn is_asked(flag: &AtomicU8) -> bool {
    flag.load(Ordering::Relaxed) != RUN
}

/// The stop that was asked for from outside, once. It is rare, so a turn begins with a plain load.
pub(crate) fn take(flag: &AtomicU8) -> Option<Stop> {
    let asked = if is_asked(flag) { flag.swap(RUN, Ordering::Acquire) } else { RUN };
    [Stop::Drain, Stop::AtOnce].into_iter().find(|how| *how as u8 == asked)
}
