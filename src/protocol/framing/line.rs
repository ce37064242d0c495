//! Line framing: LF or CRLF ends a message, and belongs to the frame but not to the message.

use crate::protocol::frame::{Frame, Parsed};

/// The first line of `bytes`, at most `max` bytes long without its ending. Bytes before `scanned` are known to hold no
/// LF: a message that comes a byte at a time is looked at once, not once a byte.
pub fn next(bytes: &[u8], max: usize, scanned: &mut u32, end: bool) -> Parsed {
    let from = (*scanned as usize).min(bytes.len());
    match memchr::memchr(b'\n', &bytes[from..]) {
        Some(at) => {
            *scanned = 0;
            let ending = from + at;
            let body = if ending > 0 && bytes[ending - 1] == b'\r' { ending - 1 } else { ending };
            if body > max { Parsed::TooLong } else { Parsed::Frame(Frame::new(0..body, ending + 1)) }
        }
        // The one more byte may be the CR of an ending.
        None if bytes.len() > max + 1 || (bytes.len() == max + 1 && bytes[max] != b'\r') => Parsed::TooLong,
        None if end && bytes.len() > max => Parsed::TooLong,
        None if end => Parsed::Frame(Frame::new(0..bytes.len(), bytes.len())),
        None => {
            *scanned = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            Parsed::Incomplete
        }
    }
}

/// How many of `bytes` belong to a line of which `received` bytes came before them, and whether it ends with them; none
/// where it has more than `max` bytes, not counting its ending: one more may be the CR of that.
pub fn skip(bytes: &[u8], max: usize, received: usize) -> Option<(usize, bool)> {
    let end = memchr::memchr(b'\n', bytes);
    let fits = received + end.unwrap_or(bytes.len()) <= max.saturating_add(1);
    fits.then_some(end.map_or((bytes.len(), false), |end| (end + 1, true)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn first(bytes: &[u8], max: usize, end: bool) -> Parsed {
        next(bytes, max, &mut 0, end)
    }

    fn frame(body: usize, end: usize) -> Parsed {
        Parsed::Frame(Frame::new(0..body, end))
    }

    #[test]
    fn either_ending_ends_a_line_and_a_lone_cr_does_not() {
        assert_eq!(first(b"ab\ncd", 10, false), frame(2, 3));
        assert_eq!(first(b"ab\r\ncd", 10, false), frame(2, 4));
        assert_eq!(first(b"a\rb\n", 10, false), frame(3, 4));
        assert_eq!(first(b"\n", 10, false), frame(0, 1));
        assert_eq!(first(b"\r\n", 10, false), frame(0, 2));
        assert_eq!(first(b"ab\r", 10, false), Parsed::Incomplete);
    }

    #[test]
    fn the_limit_counts_the_message_without_its_ending() {
        assert_eq!(first(b"abc\r\n", 3, false), frame(3, 5));
        assert_eq!(first(b"abc\r", 3, false), Parsed::Incomplete);
        assert_eq!(first(b"abcd", 3, false), Parsed::TooLong);
        assert_eq!(first(b"abcd\n", 3, false), Parsed::TooLong);
        assert_eq!(first(b"abc\rx", 3, false), Parsed::TooLong);
        assert_eq!(first(b"abc\r", 3, true), Parsed::TooLong);
        assert_eq!(first(b"abc", 3, true), frame(3, 3));
    }

    #[test]
    fn what_was_looked_at_is_not_looked_at_again() {
        let mut scanned = 0;
        assert_eq!(next(b"abc", 10, &mut scanned, false), Parsed::Incomplete);
        assert_eq!(scanned, 3);
        assert_eq!(next(b"abcd\n", 10, &mut scanned, false), frame(4, 5));
        assert_eq!(scanned, 0);
    }

    #[test]
    fn a_last_line_without_an_ending_is_a_message() {
        assert_eq!(first(b"abc", 10, true), frame(3, 3));
    }
}
