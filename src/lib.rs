//! # cooee
//!
//! A call shouted across the bush, and called back by those who hear it. This crate does that for bytes: a
//! single-threaded `mio` event loop that serves many TCP, UDP and Unix-socket clients, written to be read as the
//! reference reactor.
//!
//! A server of one's own is a [`Handler`], and one call of [`serve`]. Who has several listeners, limits or a way to
//! stop it registers them with a [`Reactor`]. All that such a program needs is named at the root of the crate; what
//! lies in its modules is for who reads or tests the reactor itself.
//!
//! ## The one idea
//!
//! Readiness is a **latch**: the kernel sets it, `WouldBlock` clears it, and a source runs while it is *ready* and
//! *wanting* and *within its budget*. A source that stops early goes on the ready list.
//!
//! ## The invariant
//!
//! A source that is off the ready list and holds no *retry* deadline has a cleared latch for every direction that it
//! wants; so the kernel owes it an edge. What changes the wants of a source puts it on the ready list. A source that
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
//! | [`apps`] | the server and the client: each is a [`Handler`], bytes in, bytes out |
//! | [`protocol`] | framing, modes, encodings: pure |
//! | [`reactor`] | [`Reactor::turn`] and what it drives: acceptors, connections, datagram sockets, deadlines |
//! | [`os`] | what the kernel is asked: readiness, sockets, the clock |

// What cannot be reached from outside is not public, so the face of the crate can be read off.
#![deny(unreachable_pub)]

pub mod apps;
#[cfg(feature = "cli")]
pub mod cli;
#[cfg(feature = "load")]
pub mod measure;
pub mod os;
pub mod protocol;
pub mod reactor;

use std::fmt::Display;
use std::io;
use std::net::ToSocketAddrs;

pub use crate::os::address::{Address, Peer};
pub use crate::os::bind::{SocketOptions, bind_udp, listen_tcp, listen_unix};
pub use crate::os::clock::Tick;
pub use crate::os::key::Key;
use crate::os::reason::{self, said};
pub use crate::reactor::close_reason::CloseReason;
pub use crate::reactor::handler::{Context, Handler, Orders, Stop};
pub use crate::reactor::limits::Limits;
pub use crate::reactor::metrics::{Dropped, Metrics};
pub use crate::reactor::reply::Reply;
pub use crate::reactor::tag::Tag;
pub use crate::reactor::{Reactor, StopHandle, Turn};

/// Serves TCP connections at `address` with `handler`, within the default [`Limits`], until the handler stops it
/// ([`Orders::stop`]). The listener's tag is `Tag(0)`.
///
/// Of a name with several addresses the first is taken that can be listened at, as [`std::net::TcpListener::bind`]
/// does. An error says which address it is about.
///
/// ```no_run
/// use cooee::{Context, Handler, Tag};
///
/// struct Shout;
///
/// impl Handler for Shout {
///     type Session = ();
///     fn open(&mut self, _tag: Tag, _cx: &mut Context<'_>) {}
///     fn receive(&mut self, _session: &mut (), bytes: &[u8], cx: &mut Context<'_>) -> usize {
///         cx.reply.send(&bytes.to_ascii_uppercase());
///         bytes.len()
///     }
/// }
///
/// fn main() -> std::io::Result<()> {
///     cooee::serve("127.0.0.1:9000", Shout)
/// }
/// ```
pub fn serve<H: Handler>(address: impl ToSocketAddrs + Display, mut handler: H) -> io::Result<()> {
    let because = |kind, reason: &str| said(kind, format!("cannot serve {address}: {reason}"));
    let failed = |error: io::Error| because(error.kind(), &reason::of(&error));
    let unknown = || because(io::ErrorKind::InvalidInput, "it is no address with a port, or a name without an address");
    let mut listening = Err(unknown());
    for address in address.to_socket_addrs().map_err(|_| unknown())? {
        listening = listen_tcp(address, &SocketOptions::default()).map_err(failed);
        if listening.is_ok() {
            break;
        }
    }
    let (listener, _) = listening?;
    let mut reactor = Reactor::new(Limits::default()).map_err(failed)?;
    reactor.listen(listener, Tag::default()).map_err(failed)?;
    reactor.run(&mut handler).map_err(failed)
}

// What the tests beside the code share with those in `tests/` names the crate as a stranger does.
#[cfg(test)]
extern crate self as cooee;

#[cfg(test)]
#[path = "../tests/support/skips.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "what the last of the test programs uses")]
mod skips;

/// The README's examples are compiled, so that they stay true.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct ReadmeExamples;
