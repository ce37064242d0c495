//! One endpoint's service: what it answers, and how messages lie in its streams.

use crate::protocol::bye::Bye;
use crate::protocol::escape::Escaped;
use crate::protocol::framing::{Framing, Rules};
use crate::protocol::mode::Mode;
use crate::reactor::handler::Context;

/// The target of logged messages. They are logged at any general level.
pub const MESSAGES: &str = "cooee::apps::server::service";

/// What one endpoint serves.
#[derive(Clone, Debug)]
pub struct Service {
    /// The endpoint, as logs tell it.
    pub name: String,
    /// What is answered.
    pub mode: Mode,
    /// Where messages begin and end.
    pub rules: Rules,
    /// What `bye` does.
    pub bye: Bye,
    /// Whether each message is logged.
    pub log_messages: bool,
}

impl Service {
    /// Whether bytes are echoed or discarded as they come, so that messages need not be found.
    pub fn is_raw(&self) -> bool {
        let answers_bytes = matches!(self.mode, Mode::Echo | Mode::Discard);
        answers_bytes && self.rules.framing == Framing::Chunk && self.bye == Bye::Ignore && !self.log_messages
    }

    /// Logs a message if the service logs messages: decoded, on one line, escaped.
    pub fn log(&self, message: &[u8], cx: &Context<'_>) {
        if self.log_messages {
            let text = self.rules.charset.decode(message);
            log::info!(target: MESSAGES, "message from {} to {}: {}", cx.peer, self.name, Escaped(&text));
        }
    }
}
