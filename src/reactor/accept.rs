//! Accepting: a listener's batch, the connection limit, and the newcomers.

use log::Level;

use crate::close_reason::CloseReason;
use crate::handler::Handler;
use crate::key::Key;
use crate::log_limit::LogKind;
use crate::net::acceptor::{self, Accepted};
use crate::net::connection::Connection;
use crate::net::next::{Condition, Next};
use crate::reactor::Reactor;
use crate::reactor::kernel::Kernel;
use crate::reactor::source::Source;
use crate::reactor::sources::Place;

/// Newcomers over the connection limit that are told so at once. Their descriptors come out of the reserve that the limit leaves.
pub(super) const REFUSED_MAX: usize = 32;

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// Accepts what waits at one listener, a batch at the most.
    pub(super) fn accept_batch(&mut self, key: Key) -> Next {
        let now = self.shared.now;
        for _ in 0..acceptor::BATCH {
            let at_limit = self.connections >= self.shared.limits.max_connections;
            let Some(Place { source: Source::Acceptor(acceptor), .. }) = self.sources.get_mut(key) else {
                return Next::Idle;
            };
            if at_limit && self.refused >= REFUSED_MAX && acceptor.is_ready() {
                return Next::Wait(Condition::ConnectionSlot);
            }
            let (tag, draining) = (acceptor.tag(), acceptor.is_draining());
            match acceptor.accept() {
                Accepted::Connection(stream, peer) => {
                    let mut connection = Connection::accepted(stream, peer, tag, at_limit, now);
                    if draining {
                        connection.drain();
                    }
                    self.admit(connection, at_limit);
                }
                Accepted::Again => {}
                Accepted::Drained if draining => {
                    return Next::Done(CloseReason::Drained);
                }
                Accepted::Drained => return Next::Idle,
                Accepted::Failed(error) => {
                    self.shared.metrics.accept_errors += 1;
                    self.shared.log_limit.log(
                        LogKind::AcceptFailed,
                        Level::Warn,
                        now,
                        format_args!("cannot accept: {error}; trying again every {:?}", acceptor::RETRY),
                    );
                    return Next::RetryAt(now.after(acceptor::RETRY));
                }
            }
        }
        Next::More
    }

    /// Takes a newcomer in. It runs in the next turn, like everybody who was not on the list when this one began.
    fn admit(&mut self, connection: Connection<K::Stream, H::Session>, at_limit: bool) {
        let key = self.sources.insert(Source::Connection(connection));
        self.shared.metrics.accepted += 1;
        if at_limit {
            self.refused += 1;
            let limit = self.shared.limits.max_connections;
            self.shared.log_limit.log(
                LogKind::Refused,
                Level::Warn,
                self.shared.now,
                format_args!("the limit of {limit} connections is reached: newcomers are refused"),
            );
        } else {
            self.connections += 1;
        }
        match self.register(key) {
            Ok(key) => {
                if let Some(Place { source: Source::Connection(connection), .. }) = self.sources.get_mut(key) {
                    log::debug!("{key} accepted {}", connection.peer());
                }
                self.list(key);
            }
            Err(error) => self.forget(at_limit, &error),
        }
    }

    /// The kernel would not watch a newcomer (ENOMEM, ENOSPC): it is gone already, and no handler has heard of it.
    fn forget(&mut self, at_limit: bool, error: &std::io::Error) {
        let reason = CloseReason::of_error(error);
        self.shared.metrics.count_close(reason);
        self.shared.metrics.accept_errors += 1;
        if at_limit {
            self.refused -= 1;
        } else {
            self.connections -= 1;
        }
        self.shared.log_limit.log(
            LogKind::AcceptFailed,
            Level::Warn,
            self.shared.now,
            format_args!("cannot watch an accepted connection: {error}"),
        );
    }
}
