//! What is answered to a message, and where a message ends: pure, and without I/O.
//!
//! Nothing here names a socket, a reactor or a moment. A protocol is offered bytes and answers into a
//! [`Reply`](crate::reactor::reply::Reply).

pub mod bye;
pub mod charset;
pub mod escape;
pub mod frame;
pub mod framing;
pub mod mode;
pub mod refusal;
