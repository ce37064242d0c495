//! What a connection's handler knows it by.

/// What a connection's handler knows it by.
#[derive(Debug)]
pub enum Standing<S> {
    /// The number that its listener was registered with, or that it was asked for with: the handler has no session for it yet.
    Tagged(u32),
    /// The handler's session.
    Served(S),
}
