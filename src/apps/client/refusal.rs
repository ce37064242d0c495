//! Whether a server says that a limit of connections is reached: the client recognizes the words.

use crate::protocol::framing::Framing;
use crate::protocol::refusal::{AT_LIMIT, AT_SOURCE_LIMIT};

/// Whether `reply` is a refusal in any framing: the client's may differ from the server's.
pub(crate) fn is_refusal(reply: &[u8]) -> bool {
    let words = reply.trim_ascii_end();
    let is_one = |text: &[u8]| Framing::ALL.iter().any(|framing| words == framing.framed(text).trim_ascii_end());
    [AT_LIMIT, AT_SOURCE_LIMIT].into_iter().any(|text| words.ends_with(text) && is_one(text))
}

/// Whether `message` contains a refusal, which a server may have echoed.
pub(crate) fn holds_refusal(message: &[u8]) -> bool {
    [AT_LIMIT, AT_SOURCE_LIMIT].iter().any(|words| memchr::memmem::find(message, words).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::framing::len32;

    #[test]
    fn it_is_known_in_every_framing_and_nothing_else_is() {
        let framed = [&len32::header(AT_LIMIT.len())[..], AT_LIMIT].concat();
        let line = [AT_SOURCE_LIMIT, b"\n"].concat();
        for refusal in [AT_LIMIT, AT_SOURCE_LIMIT, &framed, &line] {
            assert!(is_refusal(refusal) && holds_refusal(refusal));
        }
        let quoted = [b"he said: ", AT_LIMIT].concat();
        assert!(!is_refusal(&quoted) && holds_refusal(&quoted));
        assert!(!is_refusal(b"") && !is_refusal(b"too many connections"));
    }
}
