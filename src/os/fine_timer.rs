//! A timer that ends a wait on the microsecond. `epoll_wait(2)` counts in milliseconds, and `mio` rounds up.

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry};
use nix::sys::time::TimeSpec;
use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

use crate::os::key::Key;

/// How far off an armed wake-up may be without being moved: a busy loop computes the same moment anew before each poll.
const NEAR: Duration = Duration::from_micros(2);

/// A `timerfd_create(2)` in the selector. It is never read: each expiry after it was set is an edge.
pub(super) struct FineTimer {
    timer: TimerFd,
    armed: Option<Duration>,
}

impl FineTimer {
    pub(super) fn new(registry: &Registry) -> io::Result<FineTimer> {
        let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
        let fd = timer.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&fd), Key::TIMER.into(), Interest::READABLE)?;
        Ok(FineTimer { timer, armed: None })
    }

    /// Wakes the selector at `moment` of the reactor's clock, which is `wait` from now.
    pub(super) fn set(&mut self, moment: Duration, wait: Duration) -> io::Result<()> {
        if self.armed.is_some_and(|armed| armed.abs_diff(moment) <= NEAR) {
            return Ok(());
        }
        self.timer.set(Expiration::OneShot(TimeSpec::from_duration(wait)), TimerSetTimeFlags::empty())?;
        self.armed = Some(moment);
        Ok(())
    }

    /// It has woken the selector: it is not armed any more.
    pub(super) fn fired(&mut self) {
        self.armed = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn a_moment_that_has_fired_can_be_asked_for_again() {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
        let mut timer = FineTimer::new(poll.registry()).unwrap();
        for _ in 0..2 {
            timer.set(Duration::from_secs(1), Duration::from_millis(1)).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
            assert!(!events.is_empty());
            timer.fired();
        }
    }
}
