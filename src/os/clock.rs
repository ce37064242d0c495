//! The reactor's clock: a moment is a number of microseconds since the reactor began.
//!
//! Time is always an argument. Only [`Kernel::now`](crate::reactor::Kernel::now) asks the machine, after the poll for
//! the turn's moment, and before it for how long to wait. The answer comes from `CLOCK_MONOTONIC`: a jump of the wall
//! clock closes no connection.

use std::num::NonZeroU64;
use std::time::Duration;

/// A moment on the reactor's clock, in microseconds.
///
/// It is never zero, so that `Option<Tick>` takes eight bytes in a connection that has no deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tick(NonZeroU64);

impl Tick {
    /// The moment at which the reactor began.
    pub const START: Tick = Tick(NonZeroU64::MIN);

    /// The moment `elapsed` after the reactor began.
    pub fn at(elapsed: Duration) -> Tick {
        Tick::START.after(elapsed)
    }

    /// The moment `wait` after this one; far-off moments saturate instead of wrapping.
    pub fn after(self, wait: Duration) -> Tick {
        let micros = u64::try_from(wait.as_micros()).unwrap_or(u64::MAX);
        Tick(self.0.saturating_add(micros))
    }

    /// How much time has passed from `earlier` to this moment; zero where `earlier` is later.
    pub fn since(self, earlier: Tick) -> Duration {
        Duration::from_micros(self.0.get().saturating_sub(earlier.0.get()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_optional_moment_is_no_larger_than_a_moment() {
        assert_eq!(size_of::<Option<Tick>>(), 8);
    }

    #[test]
    fn arithmetic_saturates_at_both_ends() {
        let late = Tick::START.after(Duration::MAX);
        assert_eq!(late.after(Duration::from_secs(1)), late);
        assert_eq!(Tick::START.since(late), Duration::ZERO);
        assert_eq!(Tick::at(Duration::from_millis(7)).since(Tick::START), Duration::from_millis(7));
    }
}
