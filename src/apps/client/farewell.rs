//! Whether a server says that a limit of connections is reached: a client takes those words for what they are.

use crate::protocol::farewell::{AT_LIMIT, AT_SOURCE_LIMIT};
use crate::protocol::len32;

/// Whether `reply` is one of them, however the server frames it: a client may take another framing, or none.
pub fn is_farewell(reply: &[u8]) -> bool {
    let words = reply.trim_ascii_end();
    [AT_LIMIT, AT_SOURCE_LIMIT].iter().any(|farewell| {
        let framed = |length: &[u8]| *length == len32::header(farewell.len());
        words.strip_suffix(*farewell).is_some_and(|before| before.is_empty() || framed(before))
    })
}

/// Whether one of them is within `message`, so that a server that echoes may have said it.
pub fn holds_farewell(message: &[u8]) -> bool {
    [AT_LIMIT, AT_SOURCE_LIMIT].iter().any(|words| memchr::memmem::find(message, words).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_known_in_every_framing_and_nothing_else_is() {
        let framed = [&len32::header(AT_LIMIT.len())[..], AT_LIMIT].concat();
        let line = [AT_SOURCE_LIMIT, b"\n"].concat();
        for farewell in [AT_LIMIT, AT_SOURCE_LIMIT, &framed, &line] {
            assert!(is_farewell(farewell) && holds_farewell(farewell));
        }
        let quoted = [b"he said: ", AT_LIMIT].concat();
        assert!(!is_farewell(&quoted) && holds_farewell(&quoted));
        assert!(!is_farewell(b"") && !is_farewell(b"too many connections"));
    }
}
