//! What a newcomer over a limit is told in ack mode before it is closed.

/// What a newcomer over the connection limit is told.
pub(crate) const AT_LIMIT: &[u8] = b"too many connections, try again later";

/// What a newcomer is told whose source has all the connections that it may have.
pub(crate) const AT_SOURCE_LIMIT: &[u8] = b"too many connections from your address, close one first";
