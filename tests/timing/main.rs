//! What is judged by the time that it takes. One test at a time: whatever runs beside it would be measured too.
#![cfg(feature = "cli")]

#[path = "../support/mod.rs"]
mod support;

mod busy_poll;
mod cost;
mod fairness;
mod load_omission;
mod soak;
mod stuck_readers;
#[cfg(target_os = "linux")]
mod system_calls;
