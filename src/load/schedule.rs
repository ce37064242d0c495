//! The schedule of an open loop: when message number k is due, whatever the server does.

use std::time::Duration;

/// Rates in messages a second: `from` at the beginning, rising or falling evenly to `to` within `ramp`, and `to` ever after.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    /// The rate at the beginning.
    pub from: f64,
    /// The rate in the end.
    pub to: f64,
    /// How long the way from the one to the other takes.
    pub ramp: Duration,
}
