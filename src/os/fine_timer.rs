//! A timer that ends a wait on the microsecond. `epoll_wait(2)` counts in milliseconds, and `mio` rounds up.

pub(super) use system::FineTimer;

#[cfg(any(target_os = "linux", target_os = "android"))]
mod system {
    use std::io;
    use std::os::fd::{AsFd, AsRawFd};
    use std::time::Duration;

    use mio::unix::SourceFd;
    use mio::{Interest, Registry};
    use nix::sys::time::TimeSpec;
    use nix::sys::timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags};

    use crate::os::key::Key;

    /// How far from what is asked the armed wake-up may be without being moved: a busy loop asks before every poll for
    /// the same moment, which it works out anew each time, to the microsecond. Whoever is woken too early asks again.
    const NEAR: Duration = Duration::from_micros(2);

    /// A `timerfd_create(2)` in the selector. It is never read: each expiry after it was set is an edge.
    pub(in crate::os) struct FineTimer {
        timer: TimerFd,
        armed: Option<Duration>,
    }

    impl FineTimer {
        pub(in crate::os) fn new(registry: &Registry) -> io::Result<Option<FineTimer>> {
            let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::TFD_NONBLOCK | TimerFlags::TFD_CLOEXEC)?;
            let fd = timer.as_fd().as_raw_fd();
            registry.register(&mut SourceFd(&fd), Key::TIMER.into(), Interest::READABLE)?;
            Ok(Some(FineTimer { timer, armed: None }))
        }

        /// Wakes the selector at `moment` of the reactor's clock, which is `wait` from now.
        pub(in crate::os) fn set(&mut self, moment: Duration, wait: Duration) -> io::Result<()> {
            if self.armed.is_some_and(|armed| armed.abs_diff(moment) <= NEAR) {
                return Ok(());
            }
            self.timer.set(Expiration::OneShot(TimeSpec::from_duration(wait)), TimerSetTimeFlags::empty())?;
            self.armed = Some(moment);
            Ok(())
        }

        /// It has woken the selector: it is not armed any more.
        pub(in crate::os) fn fired(&mut self) {
            self.armed = None;
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
mod system {
    use std::io;
    use std::time::Duration;

    use mio::Registry;

    /// There is none here: waits stay rounded up to milliseconds.
    pub(in crate::os) enum FineTimer {}

    impl FineTimer {
        pub(in crate::os) fn new(_registry: &Registry) -> io::Result<Option<FineTimer>> {
            Ok(None)
        }

        pub(in crate::os) fn set(&mut self, _moment: Duration, _wait: Duration) -> io::Result<()> {
            match *self {}
        }

        pub(in crate::os) fn fired(&mut self) {
            match *self {}
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::time::Duration;

    use mio::{Events, Poll};

    use super::*;

    #[test]
    fn a_moment_that_has_fired_can_be_asked_for_again() {
        let (mut poll, mut events) = (Poll::new().unwrap(), Events::with_capacity(8));
        let mut timer = FineTimer::new(poll.registry()).unwrap().unwrap();
        for _ in 0..2 {
            timer.set(Duration::from_secs(1), Duration::from_millis(1)).unwrap();
            poll.poll(&mut events, Some(Duration::from_secs(30))).unwrap();
            assert!(!events.is_empty());
            timer.fired();
        }
    }
}
