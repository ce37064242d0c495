//! What the benches of servers share. They do not measure by themselves: servers are started, pinned, put under load,
//! metered and stopped by the code of `cooee compare`.
#![allow(dead_code, reason = "each bench is a crate of its own, and uses its own part of this")]

pub mod bench;
pub mod interrupt;
pub mod programs;
pub mod scenario;
pub mod servers;
pub mod table;
pub mod unit;
