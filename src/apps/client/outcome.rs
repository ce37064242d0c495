//! How a client's run ended, in plain words.

use std::fmt;
use std::io::ErrorKind;

use crate::apps::client::replies::Replies;
use crate::os::reason;
use crate::protocol::charset::Charset;
use crate::reactor::close_reason::CloseReason;

/// How a client's run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendOutcome {
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
    /// The server ended its side, and dropped what came after that; so many messages were not even sent.
    EndedEarly(usize),
    /// The server ended its side, and standard input, which has not ended, gave nothing more.
    EndedBeforeInput,
    /// The server ended its side while a person was asked for a line.
    EndedAtPrompt,
    /// Replies did not come that were expected.
    Unanswered(Shortfall),
    /// Replies still came when their time was up.
    CutOff,
    /// All that came were the words of a server at its limit.
    AtLimit,
    /// A line of standard input that is no UTF-16, although its mark said so.
    NotUtf16,
    /// Standard input could not be read.
    InputFailed(CloseReason),
    /// Standard output could not be written, for another reason than a closed pipe.
    OutputFailed(CloseReason),
    /// Standard output is closed.
    OutputClosed,
    /// Standard output did not take what was printed in time.
    OutputStalled,
}

/// What was sent, and what came back of it: not enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shortfall {
    /// How many messages were sent.
    pub sent: u64,
    /// How many replies came.
    pub received: u64,
    /// How many were expected.
    pub expected: Replies,
    /// Whether messages cannot be told apart: they are a stream of bytes.
    pub is_stream: bool,
    /// Whether messages are datagrams.
    pub datagrams: bool,
    /// Whether the server ended its side.
    pub has_ended: bool,
}

impl fmt::Display for Shortfall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Shortfall { sent, received, expected, .. } = *self;
        match expected {
            Replies::Exactly(count) => {
                write!(f, "{received} of {count} replies came for {sent} {}", words(sent, "message", "messages"))?;
            }
            _ if self.is_stream => f.write_str("nothing came back for what was sent")?,
            _ => {
                write!(f, "{received} of {sent} {} answered", words(sent, "message was", "messages were"))?;
            }
        }
        f.write_str(match self {
            Shortfall { has_ended: true, .. } => ": the server ended its side",
            Shortfall { datagrams: true, .. } => {
                " in time (--wait): the server is silent, stopped or at a limit, or a datagram was lost"
            }
            _ => " in time (--wait): the server is silent, stopped or at its limit",
        })?;
        f.write_str(" (--replies 0 expects none)")
    }
}

fn words(count: u64, one: &'static str, several: &'static str) -> &'static str {
    if count == 1 { one } else { several }
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

/// What the end of the connection means to a client; `None` if the reason itself says it.
fn meaning(reason: CloseReason) -> Option<&'static str> {
    Some(match reason {
        CloseReason::ConnectRefused => "refused: nobody listens there",
        CloseReason::ConnectTimeout => "timed out: no answer while connecting (--connect-timeout)",
        CloseReason::Failed(ErrorKind::OutOfMemory) => "the system has no memory for a socket",
        CloseReason::Failed(ErrorKind::NotFound) => {
            "no such socket: the file does not exist (is the server running, and is this its path?)"
        }
        CloseReason::Failed(ErrorKind::AddrNotAvailable) => {
            "no local port is left towards this server (net.ipv4.ip_local_port_range)"
        }
        CloseReason::Failed(ErrorKind::PermissionDenied) => {
            "permission denied: a Unix socket is for users who may write to its file and enter its folders (the server's file-mode, \
             file-owner and file-group say who); a packet filter can refuse too"
        }
        CloseReason::Reset => "reset: the server dropped the connection",
        CloseReason::HalfClosedTimeout => "timed out: the server does not read what it was sent (--wait)",
        CloseReason::SelfConnect => "refused: nobody listens there (the connection met itself on an ephemeral port)",
        CloseReason::FrameTooLong => "too long: a message must fit into one datagram",
        _ => return None,
    })
}

impl fmt::Display for SendOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            SendOutcome::Done => "done",
            SendOutcome::Closed(reason) => match meaning(*reason) {
                Some(words) => words,
                None => return Cause(*reason).fmt(f),
            },
            SendOutcome::Unencodable(character) => {
                return write!(f, "the encoding cannot hold '{}' (--encoding)", character.escape_debug());
            }
            SendOutcome::LineTooLong(max) => {
                return write!(f, "a line has more than {max} bytes (--max-frame), and --raw sends any length");
            }
            SendOutcome::NotText(charset) => {
                return write!(
                    f,
                    "a line is not UTF-8, so it cannot be sent as {charset}; --raw sends bytes as they are"
                );
            }
            SendOutcome::BadReply => "a reply is not framed as agreed (--framing, --max-frame)",
            SendOutcome::EndedEarly(0) => {
                "closed: the server ended the conversation, and the last of what was sent is lost"
            }
            SendOutcome::EndedEarly(unsent) => {
                let messages = words(*unsent as u64, "message was", "messages were");
                return write!(f, "closed: the server ended the conversation before {unsent} {messages} sent");
            }
            SendOutcome::EndedBeforeInput => {
                "closed: the server ended its side, and standard input, which has not ended, gave nothing more (--wait)"
            }
            SendOutcome::EndedAtPrompt => "closed: the server ended the conversation",
            SendOutcome::Unanswered(shortfall) => return write!(f, "unanswered: {shortfall}"),
            SendOutcome::CutOff => "cut off: the server still answered when its time was up (--wait)",
            SendOutcome::AtLimit => "refused: the server has too many connections, and read nothing",
            SendOutcome::NotUtf16 => {
                "a line is not UTF-16, as the input's first bytes say; --raw sends bytes as they are"
            }
            SendOutcome::InputFailed(reason) => return write!(f, "cannot read standard input: {}", Cause(*reason)),
            SendOutcome::OutputFailed(reason) => return write!(f, "cannot write standard output: {}", Cause(*reason)),
            SendOutcome::OutputClosed => "nobody reads standard output any more",
            SendOutcome::OutputStalled => "timed out: standard output takes nothing (--wait)",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_went_wrong_is_told_in_plain_words() {
        let told = |outcome: SendOutcome| outcome.to_string();
        let failed = CloseReason::Failed(ErrorKind::IsADirectory);
        assert_eq!(told(SendOutcome::InputFailed(failed)), "cannot read standard input: is a directory");
        assert_eq!(
            told(SendOutcome::EndedEarly(1)),
            "closed: the server ended the conversation before 1 message was sent"
        );
        assert!(told(SendOutcome::EndedEarly(2)).ends_with("before 2 messages were sent"));
        assert!(told(SendOutcome::NotText(Charset::UTF_8)).contains("--raw"));
    }

    #[test]
    fn a_shortfall_says_how_many_of_how_many_and_what_may_be_the_reason() {
        let stream = Shortfall {
            sent: 3,
            received: 0,
            expected: Replies::Any,
            is_stream: false,
            datagrams: false,
            has_ended: false,
        };
        let begins = |shortfall: Shortfall, words: &str| {
            let told = shortfall.to_string();
            assert!(told.starts_with(words) && told.contains("--replies"), "{told}");
        };
        begins(stream, "0 of 3 messages were answered in time (--wait): the server is silent, stopped or at its limit");
        begins(
            Shortfall { datagrams: true, sent: 1, ..stream },
            "0 of 1 message was answered in time (--wait): the server is silent",
        );
        begins(
            Shortfall { received: 2, expected: Replies::Exactly(5), ..stream },
            "2 of 5 replies came for 3 messages in time",
        );
        begins(
            Shortfall { received: 2, expected: Replies::All, has_ended: true, ..stream },
            "2 of 3 messages were answered: the server ended",
        );
        begins(Shortfall { is_stream: true, ..stream }, "nothing came back");
    }
}
