//! The modes of a server: what it answers to a message.

use crate::protocol::ack::Ack;
use crate::protocol::frame::Frame;
use crate::protocol::framing::Framing;
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

/// The name of a mode.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ModeName {
    /// [`Mode::Echo`].
    #[default]
    Echo,
    /// [`Mode::Ack`].
    Ack,
    /// [`Mode::Discard`].
    Discard,
}

names!(ModeName, "valid modes are echo, ack and discard", Echo = "echo", Ack = "ack", Discard = "discard");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::charset::Charset;

    #[test]
    fn names_read_back() {
        let ack = Mode::Ack(Ack::new("{}", Charset::UTF_8).unwrap());
        for (name, mode) in [("echo", Mode::Echo), ("ack", ack), ("discard", Mode::Discard)] {
            assert_eq!(name.parse(), Ok(mode.name()));
            assert_eq!(mode.name().to_string(), name);
        }
        assert!("shout".parse::<ModeName>().unwrap_err().contains("echo, ack and discard"));
    }
}
