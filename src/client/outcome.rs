//! How a client's run ended, in plain words.

use std::fmt;

use crate::close_reason::CloseReason;

/// How a client's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Everything was sent, and what came back until the end was printed.
    Done,
    /// The connection was not established, or broke.
    Closed(CloseReason),
    /// A character of a message that the encoding cannot hold.
    Unencodable(char),
    /// A line of standard input that is longer than this limit in bytes.
    LineTooLong(usize),
    /// A reply that is not framed as agreed.
    BadReply,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::Closed(CloseReason::ConnectRefused) => f.write_str("refused: nobody listens there"),
            Outcome::Closed(CloseReason::ConnectTimeout) => {
                f.write_str("timed out: no answer while connecting (--connect-timeout)")
            }
            Outcome::Closed(CloseReason::Reset) => f.write_str("reset: the server dropped the connection"),
            Outcome::Closed(CloseReason::HalfClosedTimeout) => {
                f.write_str("timed out: the server does not read what it was sent (--wait)")
            }
            Outcome::Closed(CloseReason::SelfConnect) => {
                f.write_str("refused: nobody listens there (the connection met itself on an ephemeral port)")
            }
            Outcome::Closed(CloseReason::FrameTooLong) => f.write_str("too long: a message must fit into one datagram"),
            Outcome::Closed(CloseReason::Failed(kind)) => write!(f, "{kind}"),
            Outcome::Closed(reason) => write!(f, "{reason}"),
            Outcome::Unencodable(character) => {
                write!(f, "the encoding cannot hold '{}' (--encoding)", character.escape_debug())
            }
            Outcome::LineTooLong(max) => {
                write!(f, "a line has more than {max} bytes (--max-frame), and --raw sends any length")
            }
            Outcome::BadReply => f.write_str("a reply is not framed as agreed (--framing, --max-frame)"),
        }
    }
}
