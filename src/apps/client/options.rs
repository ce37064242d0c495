//! What a client is asked to do.

use std::time::Duration;

use crate::apps::candidates::Candidates;
use crate::apps::client::replies::Replies;
use crate::protocol::bye::Bye;
use crate::protocol::framing::Rules;

/// What a client does.
#[derive(Clone, Debug)]
pub struct SendOptions {
    /// The server's addresses.
    pub candidates: Candidates,
    /// Whether messages are datagrams (UDP, or Unix datagrams).
    pub datagrams: bool,
    /// How long a server whose backlog is full is tried.
    pub connect_timeout: Duration,
    /// Messages to send instead of standard input's lines.
    pub messages: Option<Vec<String>>,
    /// Bytes are streamed as they are.
    pub raw: bool,
    /// How messages are encoded and framed.
    pub rules: Rules,
    /// What sending `bye` does; closing and stopping are the same here.
    pub bye: Bye,
    /// Which replies are expected.
    pub replies: Replies,
    /// How long a server that is owed something may take nothing of it, how long to wait for replies after the last
    /// message, and then for standard output to take what was printed.
    pub wait: Duration,
    /// How long a message waits for the reply to the one before, where it does.
    pub pace: Duration,
    /// Whether replies are escaped, because a terminal shows them.
    pub escape: bool,
    /// Whether to ask for each line, because a person types them.
    pub prompt: bool,
}
