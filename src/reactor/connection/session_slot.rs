//! Where a handler's session lies, from before the handler has made it.

use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Handler, Orders};
use crate::reactor::tag::Tag;

/// The place of a source's session.
#[derive(Debug)]
pub enum SessionSlot<S> {
    /// [`Handler::open`] was not called yet: the tag that it will be given.
    Unopened(Tag),
    /// The handler's session.
    Open(S),
}

impl<S> SessionSlot<S> {
    /// Tells the handler of the end of its session; or, where there is none yet and the source `is_ordered`, that it
    /// was not established.
    pub(in crate::reactor) fn close<H: Handler<Session = S>>(
        self,
        is_ordered: bool,
        reason: CloseReason,
        handler: &mut H,
        orders: &mut Orders,
    ) {
        match self {
            SessionSlot::Open(session) => handler.close(session, reason, orders),
            SessionSlot::Unopened(tag) if is_ordered => handler.connect_failed(tag, reason, orders),
            SessionSlot::Unopened(_) => {}
        }
    }
}
