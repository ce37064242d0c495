//! How a client's run ended, in plain words.

use std::fmt;
use std::io::ErrorKind;

use crate::close_reason::CloseReason;
use crate::protocol::charset::Charset;
use crate::reason;

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
    /// A line of standard input that is no text, so that it cannot be put into this encoding.
    NotText(Charset),
    /// A reply that is not framed as agreed.
    BadReply,
    /// The server ended the conversation while so many messages were queued.
    EndedEarly(usize),
    /// Standard input could not be read.
    InputFailed(CloseReason),
    /// Standard output could not be written, for another reason than that nobody reads it.
    OutputFailed(CloseReason),
    /// Standard output did not take what was printed in time.
    OutputStalled,
}

/// A reason of the system's, by the system's words for it.
struct Cause(CloseReason);

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            CloseReason::Failed(kind) => f.write_str(reason::of_kind(kind)),
            CloseReason::System(errno) => {
                f.write_str(&reason::of(&std::io::Error::from_raw_os_error(i32::from(errno))))
            }
            reason => reason.fmt(f),
        }
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Outcome::Done => f.write_str("done"),
            Outcome::Closed(CloseReason::ConnectRefused) => f.write_str("refused: nobody listens there"),
            Outcome::Closed(CloseReason::ConnectTimeout) => {
                f.write_str("timed out: no answer while connecting (--connect-timeout)")
            }
            Outcome::Closed(CloseReason::Failed(ErrorKind::OutOfMemory)) => {
                f.write_str("the system has no memory for a socket")
            }
            Outcome::Closed(CloseReason::Failed(ErrorKind::NotFound)) => {
                f.write_str("no such socket: the file does not exist (is the server running, and is this its path?)")
            }
            Outcome::Closed(CloseReason::Failed(ErrorKind::AddrNotAvailable)) => {
                f.write_str("no local port is left towards this server (net.ipv4.ip_local_port_range)")
            }
            Outcome::Closed(CloseReason::Failed(ErrorKind::PermissionDenied)) => f.write_str(
                "permission denied: a Unix socket is for users who may write to its file and enter its folders (the server's file-mode, \
                 file-owner and file-group say who); a packet filter can refuse too",
            ),
            Outcome::Closed(CloseReason::Reset) => f.write_str("reset: the server dropped the connection"),
            Outcome::Closed(CloseReason::HalfClosedTimeout) => {
                f.write_str("timed out: the server does not read what it was sent (--wait)")
            }
            Outcome::Closed(CloseReason::SelfConnect) => {
                f.write_str("refused: nobody listens there (the connection met itself on an ephemeral port)")
            }
            Outcome::Closed(CloseReason::FrameTooLong) => f.write_str("too long: a message must fit into one datagram"),
            Outcome::Closed(reason) => Cause(*reason).fmt(f),
            Outcome::Unencodable(character) => {
                write!(f, "the encoding cannot hold '{}' (--encoding)", character.escape_debug())
            }
            Outcome::LineTooLong(max) => {
                write!(f, "a line has more than {max} bytes (--max-frame), and --raw sends any length")
            }
            Outcome::NotText(charset) => {
                write!(f, "a line is not UTF-8, so it cannot be sent as {charset}; --raw sends bytes as they are")
            }
            Outcome::BadReply => f.write_str("a reply is not framed as agreed (--framing, --max-frame)"),
            Outcome::EndedEarly(unsent) => {
                let messages = if *unsent == 1 { "message was" } else { "messages were" };
                write!(f, "closed: the server ended the conversation before {unsent} {messages} sent")
            }
            Outcome::InputFailed(reason) => write!(f, "cannot read standard input: {}", Cause(*reason)),
            Outcome::OutputFailed(reason) => write!(f, "cannot write standard output: {}", Cause(*reason)),
            Outcome::OutputStalled => f.write_str("timed out: standard output takes nothing (--wait)"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_in_plain_words() {
        let told = |outcome: Outcome| outcome.to_string();
        let failed = CloseReason::Failed(ErrorKind::IsADirectory);
        assert_eq!(told(Outcome::InputFailed(failed)), "cannot read standard input: is a directory");
        assert_eq!(told(Outcome::EndedEarly(1)), "closed: the server ended the conversation before 1 message was sent");
        assert!(told(Outcome::EndedEarly(2)).ends_with("before 2 messages were sent"));
        assert!(told(Outcome::NotText(Charset::UTF_8)).contains("--raw"));
    }
}
