//! What needs no binary: pure functions, one connection over scripted streams, the loop over a simulated kernel, and
//! the reactor inside another program. It builds without the features of the command line.

#[path = "../support"]
#[allow(dead_code, reason = "other test programs use the rest")]
mod support {
    pub mod full;
    pub mod service;
    pub mod simulated;
    pub mod skips;
    pub mod splitmix;
}

mod connection_decisions;
mod connection_schedules;
mod embedding;
mod framing_properties;
mod group_memory;
mod simulation;
