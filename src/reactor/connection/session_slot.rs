//! Where a handler's session lies, from before the handler has made it.

/// The place of a connection's session.
#[derive(Debug)]
pub enum SessionSlot<S> {
    /// [`Handler::open`](crate::reactor::handler::Handler::open) was not called yet: the tag that it will be given.
    Unopened(u32),
    /// The handler's session.
    Open(S),
}
