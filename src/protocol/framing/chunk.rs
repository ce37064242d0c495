//! Chunk framing: a message is what one read brings, as in the tutorial's `recv(1024)`. TCP keeps no boundaries, so two
//! messages may come as one and one as two; but a character is never split.

use crate::protocol::charset::Charset;
use crate::protocol::frame::{Frame, Parsed};

/// The longest chunk, in bytes: the tutorial's `recv(1024)`.
pub const MAX: usize = 1024;

/// The first chunk of `bytes`: all of them, up to [`MAX`] and without the beginning of a character whose end has not
/// come yet.
pub fn next(bytes: &[u8], charset: Charset, end: bool) -> Parsed {
    let chunk = &bytes[..bytes.len().min(MAX)];
    let whole = if end && chunk.len() == bytes.len() { chunk.len() } else { charset.whole_characters(chunk) };
    // A full chunk of a stateful encoding that never comes back to ASCII is no text, and waits for nothing.
    let whole = if whole == 0 && chunk.len() == MAX { MAX } else { whole };
    if whole == 0 { Parsed::Incomplete } else { Parsed::Frame(Frame::new(0..whole, whole)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chunks(mut bytes: &[u8], end: bool) -> Vec<usize> {
        let mut lengths = Vec::new();
        while let Parsed::Frame(frame) = next(bytes, Charset::UTF_8, end) {
            lengths.push(frame.end);
            bytes = &bytes[frame.end..];
            if bytes.is_empty() {
                break;
            }
        }
        lengths
    }

    #[test]
    fn a_long_read_is_cut_at_the_last_whole_character() {
        assert_eq!(chunks(&[b'a'; 2500], false), [1024, 1024, 452]);
        let chinese = "数".repeat(500);
        assert_eq!(chunks(chinese.as_bytes(), false), [1023, 477]);
    }

    #[test]
    fn the_beginning_of_a_character_waits_for_its_end_or_for_the_end() {
        let bytes = &"a数".as_bytes()[..3];
        assert_eq!(chunks(bytes, false), [1]);
        assert_eq!(next(&bytes[1..], Charset::UTF_8, false), Parsed::Incomplete);
        assert_eq!(chunks(bytes, true), [3]);
    }
}
