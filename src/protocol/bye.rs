//! What a message that is exactly `bye` does.

use crate::reactor::named::named;

/// The message that says good-bye, in every encoding that is served.
pub const BYE: &[u8] = b"bye";

named! {
    /// What a message that is exactly `bye` does.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Bye: "values" {
        /// It is a message like any other.
        Ignore = "ignore",
        /// It is answered, then that conversation ends: the tutorial's TCP server.
        Close = "close",
        /// It is answered, then the whole server drains and ends: the tutorial's UDP receiver. One forged datagram can
        /// do that.
        Stop = "stop",
    }
}
