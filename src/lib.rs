//! # cooee
//!
//! A call shouted across the bush; whoever hears it calls it back. This crate does that for bytes: a single-threaded
//! `mio` event loop that serves many TCP, UDP and Unix-socket clients, written to be read as the reference reactor.
//!
//! ## The one idea
//!
//! Readiness is a **latch**: the kernel sets it, `WouldBlock` clears it, and a source runs while it is *ready* and
//! *wanting* and *within its budget*. Whoever stops early goes on the ready list.
//!
//! ## The invariant
//!
//! A source that is off the ready list and holds no *retry* deadline has a cleared latch for every direction that it
//! wants; so the kernel owes it an edge. Whoever changes what a source wants puts it on the ready list. A source that
//! is paused by a shared condition (the connection limit, the bound on queued bytes) waits on that condition's list,
//! which moves to the ready list when the condition clears. Idle, drain and linger deadlines do not count.
//!
//! ## The layers
//!
//! Imports only point down:
//!
//! | layer | what it knows |
//! |---|---|
//! | `cli` | arguments, endpoint URLs, terminals, signals. Feature `cli` |
//! | `measure` | the load generator (feature `load`), its reports, servers beside each other under the same load (feature `cli`) |
//! | [`apps`] | the server and the client: each is a [`Handler`](reactor::handler::Handler), bytes in, bytes out |
//! | [`protocol`] | framing, modes, encodings: pure |
//! | [`reactor`] | [`Reactor::turn`](reactor::Reactor::turn) and what it drives: acceptors, connections, datagram sockets, deadlines |
//! | [`os`] | what the kernel is asked: readiness, sockets, the clock |

pub mod apps;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "load")]
pub mod measure;
pub mod os;
pub mod protocol;
pub mod reactor;

// What the tests beside the code share with those in `tests/` names the crate as a stranger does.
#[cfg(test)]
extern crate self as cooee;

#[cfg(test)]
#[path = "../tests/support/skips.rs"]
#[allow(dead_code, missing_docs, reason = "what the last of the test programs uses")]
mod skips;

/// The README's examples are compiled, so that they stay true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
