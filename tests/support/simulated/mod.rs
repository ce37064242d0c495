//! A simulated machine under the reactor: an edge-triggered kernel that does no more than it promises, peers that
//! behave as badly as real ones, and a handler that uses all of its interface. Everything follows from one seed.
//!
//! | file | what it is |
//! |---|---|
//! | `world` | the machine: clock, agenda, owed edges, descriptors; its peers, its system calls, and the checks |
//! | `link` | one stream with both its ends |
//! | `backlog`, `mailbox` | a listening socket, a datagram socket |
//! | `kernel` | the reactor's seams over the world |
//! | `server` | the handler |
//! | `trace` | what happened, as a hash or in words |

pub mod backlog;
pub mod kernel;
pub mod link;
pub mod mailbox;
pub mod server;
pub mod trace;
pub mod world;
