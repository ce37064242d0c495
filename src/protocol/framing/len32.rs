//! Length framing: a 32-bit big-endian length, then so many bytes.
//!
//! The length is a claim, and nothing is reserved for it: memory grows with the bytes that really came.

use crate::protocol::frame::{Frame, Parsed};

/// How many bytes the length takes.
pub(crate) const HEADER: usize = 4;

/// The first message of `bytes`, at most `max` bytes long.
pub fn next(bytes: &[u8], max: usize, end: bool) -> Parsed {
    let incomplete = if end { Parsed::Truncated } else { Parsed::Incomplete };
    let Some(length) = length(bytes) else { return incomplete };
    if length > max {
        return Parsed::TooLong;
    }
    let frame_end = HEADER + length;
    if bytes.len() < frame_end { incomplete } else { Parsed::Frame(Frame::new(HEADER..frame_end, frame_end)) }
}

/// How many of `bytes` belong to a message of which `received` bytes came before them, and whether it ends with them;
/// `None` if it claims more than `max`. What is `claimed` with the header is remembered. An incomplete header is left.
pub fn skip(bytes: &[u8], max: usize, received: usize, claimed: &mut usize) -> Option<(usize, bool)> {
    if *claimed == 0 {
        match length(bytes) {
            None => return Some((0, false)),
            Some(length) if length > max => return None,
            Some(length) => *claimed = HEADER + length,
        }
    }
    let rest = *claimed - received;
    Some((rest.min(bytes.len()), rest <= bytes.len()))
}

/// The length that stands at the beginning of `bytes`; none while it is incomplete.
fn length(bytes: &[u8]) -> Option<usize> {
    bytes.first_chunk::<HEADER>().map(|header| u32::from_be_bytes(*header) as usize)
}

/// What stands before a message of `length` bytes. Longer ones than 32 bits can say are never made: a message is
/// bounded.
pub fn header(length: usize) -> [u8; HEADER] {
    debug_assert!(u32::try_from(length).is_ok(), "a message is bounded far below 4 GiB");
    (length as u32).to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_complete_with_its_last_byte() {
        let bytes = b"\0\0\0\x03abcd";
        for length in 1..7 {
            assert_eq!(next(&bytes[..length], 10, false), Parsed::Incomplete, "{length} bytes");
            assert_eq!(next(&bytes[..length], 10, true), Parsed::Truncated, "{length} bytes");
        }
        assert_eq!(next(bytes, 10, false), Parsed::Frame(Frame::new(4..7, 7)));
        assert_eq!(next(b"\0\0\0\0", 10, false), Parsed::Frame(Frame::new(4..4, 4)));
    }

    #[test]
    fn a_false_claim_is_known_from_the_header_alone() {
        assert_eq!(next(b"\0\0\0\x0b", 10, false), Parsed::TooLong);
        assert_eq!(next(b"\xff\xff\xff\xff", 10, false), Parsed::TooLong);
        assert_eq!(next(b"\0\0\0\x0a", 10, false), Parsed::Incomplete);
    }

    #[test]
    fn a_header_reads_back_as_its_length() {
        let framed = [&header(300)[..], &[7; 300]].concat();
        assert_eq!(next(&framed, 300, false), Parsed::Frame(Frame::new(4..304, 304)));
    }
}
