//! What the kernel is asked: waiting for readiness, sockets, the clock. Nothing here knows the reactor.

pub mod address;
pub mod aligned_bytes;
pub mod bind;
pub mod clock;
pub mod datagram_socket;
mod defer_accept;
pub mod file_access;
#[cfg(any(target_os = "linux", target_os = "android"))]
mod fine_timer;
pub mod kernel;
pub mod key;
pub mod listener;
pub mod readiness;
pub mod reason;
pub mod received;
pub mod route;
mod send_queue;
pub mod standard_stream;
pub mod stream;
#[cfg(target_os = "linux")]
mod udp_batch;
pub mod unix_name;
pub mod unix_path;
pub mod unix_socket;
#[cfg(target_os = "linux")]
mod wildcard_socket;
