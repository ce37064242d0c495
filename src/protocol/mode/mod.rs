//! The modes of a server: what it answers to a message.

pub mod ack;

use crate::protocol::charset::Charset;
use crate::protocol::frame::Frame;
use crate::protocol::framing::Framing;
use crate::protocol::mode::ack::{Ack, AckError};
use crate::reactor::named::named;
use crate::reactor::reply::Reply;

/// What is answered to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    /// The message itself (RFC 862).
    Echo,
    /// The message between words.
    Ack(Ack),
    /// Nothing (RFC 863).
    Discard,
}

impl Mode {
    /// The mode of this name. An acknowledgement has the words of `ack_format` in this encoding.
    pub fn new(name: ModeName, ack_format: &str, charset: Charset) -> Result<Mode, AckError> {
        Ok(match name {
            ModeName::Echo => Mode::Echo,
            ModeName::Ack => Mode::Ack(Ack::new(ack_format, charset)?),
            ModeName::Discard => Mode::Discard,
        })
    }

    /// Answers the message of `frame` in the framing that it came in.
    pub fn answer(&self, frame: &Frame, framing: Framing, reply: &mut Reply<'_>) {
        match self {
            // The frame is its own echo, ending and length included.
            Mode::Echo => reply.echo(frame.start..frame.end),
            Mode::Ack(ack) => ack.answer(frame, framing, reply),
            Mode::Discard => {}
        }
    }

    /// Answers a datagram of `length` bytes, which is always one message.
    pub fn answer_datagram(&self, length: usize, reply: &mut Reply<'_>) {
        match self {
            Mode::Echo => reply.echo(0..length),
            Mode::Ack(ack) => ack.answer_datagram(length, reply),
            Mode::Discard => {}
        }
    }

    /// The mode's name.
    pub fn name(&self) -> ModeName {
        match self {
            Mode::Echo => ModeName::Echo,
            Mode::Ack(_) => ModeName::Ack,
            Mode::Discard => ModeName::Discard,
        }
    }
}

named! {
    /// The name of a mode.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum ModeName: "modes" {
        /// [`Mode::Echo`].
        #[default]
        Echo = "echo",
        /// [`Mode::Ack`].
        Ack = "ack",
        /// [`Mode::Discard`].
        Discard = "discard",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for name in ModeName::ALL {
            assert_eq!(Mode::new(name, "{}", Charset::UTF_8).unwrap().name(), name);
        }
    }
}
