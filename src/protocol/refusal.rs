//! What a newcomer over a limit is told in ack mode before it is closed. The client recognizes it.

use crate::protocol::framing::Framing;

/// What a newcomer over the connection limit is told.
pub const AT_LIMIT: &[u8] = b"too many connections, try again later";

/// What a newcomer is told whose source has all the connections that it may have.
pub const AT_SOURCE_LIMIT: &[u8] = b"too many connections from your address, close one first";

/// Whether `reply` is a refusal in any framing: the client's may differ from the server's.
pub fn is_refusal(reply: &[u8]) -> bool {
    let words = reply.trim_ascii_end();
    let is_one = |text: &[u8]| Framing::ALL.iter().any(|framing| words == framing.framed(text).trim_ascii_end());
    [AT_LIMIT, AT_SOURCE_LIMIT].into_iter().any(|text| words.ends_with(text) && is_one(text))
}

/// Whether `message` contains a refusal, which a server may have echoed.
pub fn holds_refusal(message: &[u8]) -> bool {
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
