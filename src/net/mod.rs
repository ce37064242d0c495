//! Sockets, and what is driven through them. Nothing here knows the loop: driving something returns what should happen next.

pub mod acceptor;
pub mod arena;
pub mod bind;
pub mod buckets;
pub mod connection;
pub mod datagram;
pub mod datagram_batch;
pub mod datagram_socket;
mod defer_accept;
pub mod drive;
pub mod file_access;
#[cfg(target_os = "linux")]
mod ip_address;
pub mod listener;
pub mod loop_guard;
pub mod next;
pub mod received;
pub mod reply_guard;
pub mod reply_rate;
pub mod room;
pub mod route;
mod send_queue;
pub mod shared;
mod shortage;
pub mod standard_stream;
pub mod stream;
#[cfg(target_os = "linux")]
mod udp_batch;
pub mod unix_path;
pub mod unix_socket;
pub mod wildcard_socket;
