//! Acknowledgement: each message comes back between words, as in the tutorial's `数据[MESSAGE]收到了!`.

use std::error::Error;
use std::fmt;

use crate::protocol::charset::Charset;
use crate::protocol::frame::Frame;
use crate::protocol::framing::Framing;
use crate::reactor::reply::Reply;

/// The tutorial's words: "data, the message, received!".
pub const DEFAULT_FORMAT: &str = "数据[{}]收到了!";

/// The longest format, in bytes: it is what one byte from a client can become.
pub const FORMAT_MAX: usize = 256;

/// The words around an acknowledged message, encoded.
///
/// The message's own bytes are not decoded: they come back untouched, valid or not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ack {
    /// The words before the message, encoded.
    pub before: Vec<u8>,
    /// The words behind the message, encoded.
    pub after: Vec<u8>,
}

/// Why a format is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AckError {
    /// It has so many bytes, more than [`FORMAT_MAX`].
    TooLong(usize),
    /// It has no place for the message, or several.
    NotOneMessage,
    /// The encoding has no such character.
    Unencodable(Charset, char),
}

impl fmt::Display for AckError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            AckError::TooLong(length) => write!(f, "it has {length} bytes, and at most {FORMAT_MAX} are allowed"),
            AckError::NotOneMessage => write!(f, "it must hold exactly one {{}}, for the message"),
            AckError::Unencodable(charset, character) => {
                write!(f, "{charset} cannot hold '{}'", character.escape_debug())
            }
        }
    }
}

impl Error for AckError {}

impl Ack {
    /// The words of `format`, whose one `{}` stands for the message.
    pub fn new(format: &str, charset: Charset) -> Result<Ack, AckError> {
        if format.len() > FORMAT_MAX {
            return Err(AckError::TooLong(format.len()));
        }
        let (before, after) = match format.split("{}").collect::<Vec<_>>()[..] {
            [before, after] => (before, after),
            _ => return Err(AckError::NotOneMessage),
        };
        let encode = |words: &str| match charset.encode(words) {
            Ok(bytes) => Ok(bytes.into_owned()),
            Err(character) => Err(AckError::Unencodable(charset, character)),
        };
        Ok(Ack { before: encode(before)?, after: encode(after)? })
    }

    /// Acknowledges the message of `frame` in the framing that it came in.
    pub fn answer(&self, frame: &Frame, framing: Framing, reply: &mut Reply<'_>) {
        framing.open(self.before.len() + frame.body.len() + self.after.len(), |header| reply.send(header));
        self.surround(frame.body.clone(), reply);
        if frame.body.end < frame.end {
            // A line gets the ending that it came with.
            reply.echo(frame.body.end..frame.end);
        }
    }

    /// Acknowledges a whole datagram of `length` bytes.
    pub fn answer_datagram(&self, length: usize, reply: &mut Reply<'_>) {
        self.surround(0..length, reply);
    }

    fn surround(&self, body: std::ops::Range<usize>, reply: &mut Reply<'_>) {
        reply.send(&self.before);
        reply.echo(body);
        reply.send(&self.after);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_format_holds_one_place_for_the_message() {
        assert!(Ack::new("{}", Charset::UTF_8).is_ok());
        for bad in ["", "no place", "{} twice {}"] {
            assert_eq!(Ack::new(bad, Charset::UTF_8), Err(AckError::NotOneMessage), "{bad}");
        }
        assert!(Ack::new(&"x".repeat(255), Charset::UTF_8).is_err());
        assert!(Ack::new(&format!("{{}}{}", "x".repeat(254)), Charset::UTF_8).is_ok());
        assert!(Ack::new(&format!("{{}}{}", "x".repeat(255)), Charset::UTF_8).unwrap_err().to_string().contains("256"));
    }

    #[test]
    fn the_words_are_those_around_the_place_in_their_encoding() {
        let ack = Ack::new("数据[{}]!", Charset::for_label("gbk").unwrap()).unwrap();
        assert_eq!((&ack.before[..], &ack.after[..]), (&b"\xca\xfd\xbe\xdd["[..], &b"]!"[..]));
        let bare = Ack::new("{}", Charset::UTF_8).unwrap();
        assert!(bare.before.is_empty() && bare.after.is_empty());
    }

    #[test]
    fn words_that_the_encoding_cannot_hold_are_an_error() {
        let latin = Charset::for_label("latin1").unwrap();
        assert!(Ack::new(DEFAULT_FORMAT, latin).unwrap_err().to_string().contains('数'));
        assert!(Ack::new("got [{}]", latin).is_ok());
    }
}
