//! A frame: one message, with what marks its beginning and its end in the stream.

use std::ops::Range;

/// One message within the bytes that were offered, with what frames it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Frame {
    /// Where its frame begins.
    pub start: usize,
    /// The message.
    pub body: Range<usize>,
    /// Where its frame ends.
    pub end: usize,
}

impl Frame {
    /// A frame at the very beginning.
    pub fn new(body: Range<usize>, end: usize) -> Frame {
        Frame { start: 0, body, end }
    }

    /// The same frame behind `count` more bytes.
    pub fn behind(self, count: usize) -> Frame {
        let body = self.body.start + count..self.body.end + count;
        Frame { start: self.start + count, body, end: self.end + count }
    }
}

/// What the offered bytes begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Parsed {
    /// A message.
    Frame(Frame),
    /// Less than a message.
    Incomplete,
    /// A message that is longer than the limit allows.
    TooLong,
    /// The peer's side ended within a message that had announced its length.
    Truncated,
}
