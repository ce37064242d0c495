//! Stopping a reactor from outside: from another thread of a program that embeds it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use mio::Waker;

use crate::reactor::handler::Stop;

const RUN: u8 = 0;
const DRAIN: u8 = 1;
const AT_ONCE: u8 = 2;

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
        let value = match how {
            Stop::Drain => DRAIN,
            Stop::AtOnce => AT_ONCE,
        };
        self.flag.fetch_max(value, Ordering::Release);
        self.waker.wake()
    }
}

/// Whether a stop was asked for from outside.
pub(crate) fn is_asked(flag: &AtomicU8) -> bool {
    flag.load(Ordering::Relaxed) != RUN
}

/// The stop that was asked for from outside, once. It is rare, so a turn begins with a plain load.
pub(crate) fn take(flag: &AtomicU8) -> Option<Stop> {
    match if is_asked(flag) { flag.swap(RUN, Ordering::Acquire) } else { RUN } {
        AT_ONCE => Some(Stop::AtOnce),
        DRAIN => Some(Stop::Drain),
        _ => None,
    }
}
