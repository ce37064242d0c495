//! The lifecycle of a reactor: it serves, it drains, it has stopped.

use crate::os::clock::Tick;
use crate::os::kernel::Kernel;
use crate::os::key::Key;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::{Connection, Origin};
use crate::reactor::handler::{Handler, Stop};
use crate::reactor::step::Step;
use crate::reactor::{Reactor, Turn, stop};

/// How far a reactor is on its way to the end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifecycle {
    Serving,
    /// Until the deadline.
    Draining(Tick),
    Stopped,
}

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// Begins or ends a stop, where one was asked for.
    pub(super) fn advance_lifecycle(&mut self, handler: &mut H) -> Turn {
        let outside = stop::take(&self.stop);
        for how in [outside, self.shared.orders.stop.take()].into_iter().flatten() {
            match (how, self.lifecycle) {
                (Stop::Drain, Lifecycle::Serving) => self.drain(),
                (Stop::AtOnce, _) => self.close_all(handler, CloseReason::Aborted),
                _ => {}
            }
        }
        if let Lifecycle::Draining(deadline) = self.lifecycle {
            if self.only_attached_left() {
                self.close_all(handler, CloseReason::Drained);
            } else if deadline <= self.shared.now {
                self.close_all(handler, CloseReason::DrainTimeout);
            }
        }
        if self.lifecycle == Lifecycle::Stopped { Turn::Stopped } else { Turn::Running }
    }

    /// Begins to drain: what waits in the backlogs is accepted, what has arrived is answered unless the handler has
    /// paused. Then each connection flushes, sends its FIN, and lingers until the peer ends too, the linger time-out
    /// comes, or the drain's deadline.
    pub fn drain(&mut self) {
        let deadline = self.shared.now.after(self.shared.limits.drain_timeout);
        self.lifecycle = Lifecycle::Draining(deadline);
        for (key, place) in self.sources.iter_mut() {
            place.source.drain();
            self.ready.push(key, &mut place.listed);
        }
        self.shared.tell(None, Step::Draining(self.census.served));
    }

    fn only_attached_left(&self) -> bool {
        let is_attached = |connection: &Connection<_, _>| connection.origin() == Origin::Attached;
        self.sources.iter().all(|(_, place)| place.source.connection().is_some_and(is_attached))
    }

    fn close_all(&mut self, handler: &mut H, reason: CloseReason) {
        let keys: Vec<Key> = self.sources.iter().map(|(key, _)| key).collect();
        for key in keys {
            self.close(key, reason, handler);
        }
        self.shared.log_limit.report_all();
        self.lifecycle = Lifecycle::Stopped;
    }
}
