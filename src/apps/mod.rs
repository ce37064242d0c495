//! Applications of the reactor: each is a handler, called with bytes and never with a socket.

pub mod candidates;
pub mod client;
pub mod rehearsal;
pub mod server;
pub mod text_form;
