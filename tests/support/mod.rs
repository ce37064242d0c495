//! What the end-to-end tests share: the built binary as a process, conditions with a deadline, and sockets with
//! time-outs.
//!
//! Servers are started on port 0, and their real addresses are read from their `listening` lines, so that tests run
//! side by side. Nothing here sleeps for luck: whatever takes time is waited for as a condition, and a condition that
//! does not come true within [`PATIENCE`] fails the test with what the server said. Every process is killed when its
//! test ends, however it ends.
#![allow(dead_code, unused_imports, reason = "each test file is a crate of its own, and uses its own part of this")]

mod alone;
mod attempt;
mod client;
mod failing_calls;
mod faulty_datagrams;
mod faulty_peer;
mod faulty_server;
mod full;
mod hosts;
mod lingering;
mod link;
mod load;
mod message;
mod network;
mod noise;
mod peer;
mod probe;
mod proc;
mod process;
mod python;
mod serve_one;
mod server;
mod skips;
mod splitmix;
mod stuck_readers;
mod trace;
mod udp;
mod wall_clock;

use std::thread;
use std::time::{Duration, Instant};

pub use alone::alone;
pub use attempt::{Missed, Shown, attempt, attempt_often, beside};
pub use client::Client;
pub use failing_calls::FailingCalls;
pub use faulty_datagrams::{Fate, Fates, FaultyDatagrams};
pub use faulty_peer::{faulty, is_gone, pids};
pub use faulty_server::{FaultyServer, take};
pub use full::{in_full, in_rhythm, is_full, measured};
pub use hosts::Hosts;
pub use lingering::Lingering;
pub use link::{Carried, FAR, FAR6, Link, NEAR, NEAR6, serve_in};
pub use load::{Loading, Measured, load, load_command};
pub use message::{acknowledged, len32};
pub use network::Network;
pub use noise::{Noise, noise};
pub use peer::Peer;
pub use probe::{Latencies, Probe, Probing};
pub use proc::{bound_ports, children, cpu_ticks, cpu_time, descriptors, is_read, resident_bytes, tcp_memory, tcp_row};
pub use process::{
    Collected, Process, Ran, close, cooee, finish, finish_within, on_core, raise_descriptor_limit, run, send, try_run,
};
pub use python::python;
pub use serve_one::{answers_in_parts, holds_in_one_of_five, serve_one};
pub use server::{Server, Summary};
pub use skips::skip;
pub use splitmix::Splitmix;
pub use stuck_readers::StuckReaders;
pub use trace::{Call, calls_of_loops, can_trace, read_trace, traced};
pub use udp::{ask, can_forge, got_nothing, receive, udp_client, udp_client_at};
pub use wall_clock::WallClock;

/// How long anything may take before the test fails. A loaded machine is slow; a server that hangs is slower.
pub const PATIENCE: Duration = Duration::from_secs(20);

/// How often a condition is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Waits until `condition` holds; false where it did not within `patience`.
pub fn holds_within(patience: Duration, mut condition: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if condition() {
            return true;
        }
        if start.elapsed() > patience {
            return false;
        }
        thread::sleep(LOOK_EVERY);
    }
}

/// Waits until `condition` holds, and fails with `what` where it never does.
#[track_caller]
pub fn wait_until(what: &str, condition: impl FnMut() -> bool) {
    assert!(holds_within(PATIENCE, condition), "not within {PATIENCE:?}: {what}");
}
