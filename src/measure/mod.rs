//! Measuring: load, what it has measured, and servers beside each other under the same load.

#[cfg(all(feature = "cli", target_os = "linux"))]
pub mod compare;
pub mod load;
#[cfg(all(feature = "cli", target_os = "linux"))]
pub mod processes;
#[cfg(feature = "cli")]
pub mod report;
