//! Framing: where one message ends and the next begins, and how an answer is framed in turn.

pub mod chunk;
pub mod len32;
pub mod line;

use crate::protocol::charset::Charset;
use crate::protocol::frame::Parsed;
use crate::reactor::named::named;

named! {
    /// How messages lie in a stream of bytes.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
    pub enum Framing: "framings" {
        /// A message is what one read brings, at most [`chunk::MAX`] bytes.
        #[default]
        Chunk = "chunk",
        /// LF or CRLF ends a message.
        Line = "line",
        /// A 32-bit big-endian length stands before a message.
        Len32 = "len32",
    }
}

/// What framing needs to know beyond the bytes.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// How messages lie in the stream.
    pub framing: Framing,
    /// The longest message that is taken, in bytes.
    pub max_frame: usize,
    /// The encoding, whose characters a chunk does not split.
    pub charset: Charset,
}

impl Rules {
    /// Finds the first message in `bytes` from `start` on. `scanned` remembers, between offers of the same incomplete
    /// message, how much of it has been looked at: it is 0 before the first and set to 0 after the last. At the `end`
    /// of the peer's side a message that is ended by nothing else is taken as it is.
    pub fn next(&self, bytes: &[u8], start: usize, scanned: &mut u32, end: bool) -> Parsed {
        let rest = &bytes[start..];
        if rest.is_empty() {
            return Parsed::Incomplete;
        }
        let step = match self.framing {
            Framing::Chunk => chunk::next(rest, self.charset, end),
            Framing::Line => line::next(rest, self.max_frame, scanned, end),
            Framing::Len32 => len32::next(rest, self.max_frame, end),
        };
        match step {
            Parsed::Frame(frame) => Parsed::Frame(frame.behind(start)),
            other => other,
        }
    }

    /// Finds the end of a message of which nothing is kept, where `received` bytes of it were taken before `bytes`.
    /// `claimed` is 0 at its beginning, and remembers how long it says that it is. Returns how many bytes belong to the
    /// message, and whether it ends with them; `None` if it is longer than it may be.
    pub fn skip(&self, bytes: &[u8], received: usize, claimed: &mut usize) -> Option<(usize, bool)> {
        match self.framing {
            Framing::Chunk => Some((bytes.len(), true)),
            Framing::Line => line::skip(bytes, self.max_frame, received),
            Framing::Len32 => len32::skip(bytes, self.max_frame, received, claimed),
        }
    }
}

impl Framing {
    /// Hands `write` what stands before a message of `length` bytes.
    pub fn open(self, length: usize, write: impl FnOnce(&[u8])) {
        match self {
            Framing::Chunk | Framing::Line => {}
            Framing::Len32 => write(&len32::header(length)),
        }
    }

    /// What stands behind a message; an answer to a line takes that line's own ending.
    pub fn ending(self) -> &'static [u8] {
        match self {
            Framing::Chunk | Framing::Len32 => b"",
            Framing::Line => b"\n",
        }
    }

    /// A message with all that frames it.
    pub fn framed(self, message: &[u8]) -> Vec<u8> {
        let mut framed = Vec::with_capacity(message.len() + len32::HEADER);
        self.open(message.len(), |header| framed.extend_from_slice(header));
        framed.extend_from_slice(message);
        framed.extend_from_slice(self.ending());
        framed
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_that_answers_none_is_framed_like_any_other() {
        for (framing, framed) in
            [(Framing::Chunk, &b"full"[..]), (Framing::Line, b"full\n"), (Framing::Len32, b"\0\0\0\x04full")]
        {
            assert_eq!(framing.framed(b"full"), framed, "{framing}");
        }
    }
}
