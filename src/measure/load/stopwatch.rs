//! The generator's clock.
//!
//! The reactor's own moment is read once a turn, which is what its deadlines want. The generator needs the time of each
//! send and of each reply, so it reads the clock itself. Both clocks begin at the same instant.

use std::time::{Duration, Instant};

use crate::os::clock::Tick;

/// A moment, in nanoseconds since the run began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Moment(pub u64);

impl Moment {
    /// A moment that never comes.
    pub(crate) const NEVER: Moment = Moment(u64::MAX);

    /// The moment `wait` after this one.
    pub(crate) fn after(self, wait: Duration) -> Moment {
        Moment(self.0.saturating_add(u64::try_from(wait.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// The moment `time` before this one; the beginning, where there is none.
    pub(crate) fn before(self, time: Duration) -> Moment {
        Moment(self.0.saturating_sub(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)))
    }

    /// Nanoseconds from `earlier` to this moment; 0 where `earlier` is later.
    pub(crate) fn nanos_since(self, earlier: Moment) -> u64 {
        self.0.saturating_sub(earlier.0)
    }

    /// Time from `earlier` to this moment; `None` if `earlier` is later.
    pub(crate) fn since(self, earlier: Moment) -> Duration {
        Duration::from_nanos(self.nanos_since(earlier))
    }

    /// The first tick of the reactor's clock that is not before this moment.
    pub(crate) fn tick(self) -> Tick {
        Tick::at(Duration::from_micros(self.0.div_ceil(1_000)))
    }
}

/// A clock that runs from the instant at which it was made (`CLOCK_MONOTONIC`).
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopwatch(Instant);

impl Stopwatch {
    /// A clock that begins at `began`, as the reactor's does.
    pub(crate) fn since(began: Instant) -> Stopwatch {
        Stopwatch(began)
    }

    /// This moment.
    pub(crate) fn now(&self) -> Moment {
        Moment::default().after(self.0.elapsed())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tick_is_never_before_its_moment() {
        assert_eq!(Moment(0).tick(), Tick::START);
        assert_eq!(Moment(1).tick(), Tick::at(Duration::from_micros(1)));
        assert_eq!(Moment(2_000).tick(), Tick::at(Duration::from_micros(2)));
        assert_eq!(Moment(2_001).tick(), Tick::at(Duration::from_micros(3)));
        assert!(Moment::NEVER.tick() > Tick::at(Duration::from_secs(1 << 33)));
    }
}
