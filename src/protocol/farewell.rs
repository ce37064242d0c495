//! What a newcomer over a limit is told in ack mode, before it is closed: the server says it, and the client knows it for what it is.

/// What a newcomer over the connection limit is told.
pub const AT_LIMIT: &[u8] = b"too many connections, try again later";

/// What a newcomer is told whose source has all the connections that it may have.
pub const AT_SOURCE_LIMIT: &[u8] = b"too many connections from your address, close one first";

/// Whether `reply` is one of them.
pub fn is_farewell(reply: &[u8]) -> bool {
    [AT_LIMIT, AT_SOURCE_LIMIT].contains(&reply)
}

/// Whether one of them is within `message`, so that a server that echoes may have said it.
pub fn holds_farewell(message: &[u8]) -> bool {
    [AT_LIMIT, AT_SOURCE_LIMIT].iter().any(|words| memchr::memmem::find(message, words).is_some())
}
