//! Framing: where one message ends and the next begins, and how an answer is framed in turn.

use crate::protocol::charset::Charset;
use crate::protocol::frame::{Frame, Step};
use crate::protocol::{chunk, len32, line};
use crate::reactor::reply::Reply;

/// How messages lie in a stream of bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Framing {
    /// A message is what one read brings, at most [`chunk::MAX`] bytes.
    #[default]
    Chunk,
    /// LF or CRLF ends a message.
    Line,
    /// A 32-bit big-endian length stands before a message.
    Len32,
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
    pub fn next(&self, bytes: &[u8], start: usize, scanned: &mut u32, end: bool) -> Step {
        let rest = &bytes[start..];
        if rest.is_empty() {
            return Step::Incomplete;
        }
        let step = match self.framing {
            Framing::Chunk => chunk::next(rest, self.charset, end),
            Framing::Line => line::next(rest, self.max_frame, scanned, end),
            Framing::Len32 => len32::next(rest, self.max_frame, end),
        };
        match step {
            Step::Frame(frame) => Step::Frame(frame.behind(start)),
            other => other,
        }
    }
}

impl Framing {
    /// Writes what stands before an answer of `length` bytes.
    pub fn open(self, length: usize, reply: &mut Reply<'_>) {
        if self == Framing::Len32 {
            reply.send(&len32::header(length));
        }
    }

    /// Writes what stands behind an answer to `frame`: a line gets the ending that it came with.
    pub fn close(self, frame: &Frame, reply: &mut Reply<'_>) {
        if self == Framing::Line {
            reply.echo(frame.body.end..frame.end);
        }
    }

    /// Writes a message that answers none.
    pub fn whole(self, message: &[u8], reply: &mut Reply<'_>) {
        self.open(message.len(), reply);
        reply.send(message);
        if self == Framing::Line {
            reply.send(b"\n");
        }
    }
}

names!(Framing, "valid framings are chunk, line and len32", Chunk = "chunk", Line = "line", Len32 = "len32");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::reply::Outgoing;

    #[test]
    fn names_read_back() {
        for (name, framing) in [("chunk", Framing::Chunk), ("line", Framing::Line), ("len32", Framing::Len32)] {
            assert_eq!(name.parse(), Ok(framing));
            assert_eq!(framing.to_string(), name);
        }
        assert!("json".parse::<Framing>().unwrap_err().contains("chunk, line and len32"));
    }

    #[test]
    fn a_message_that_answers_none_is_framed_like_any_other() {
        for (framing, framed) in
            [(Framing::Chunk, &b"full"[..]), (Framing::Line, b"full\n"), (Framing::Len32, b"\0\0\0\x04full")]
        {
            let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
            framing.whole(b"full", &mut Reply::new(b"", None, &mut composed, &mut outgoing, 0, 100));
            assert_eq!(composed, framed, "{framing}");
        }
    }
}
