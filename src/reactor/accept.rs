//! Accepting: a listener's batch, the connection limit, and the newcomers.

use std::net::SocketAddr;

use log::Level;

use crate::os::address::{Peer, source_network};
use crate::os::kernel::Kernel;
use crate::os::key::Key;
use crate::os::reason;
use crate::reactor::Reactor;
use crate::reactor::acceptor::{self, Accepted};
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::Connection;
use crate::reactor::handler::Handler;
use crate::reactor::log_limit::LogKind;
use crate::reactor::metrics::Row;
use crate::reactor::next::{Condition, Next};
use crate::reactor::source::Source;
use crate::reactor::sources::Place;
use crate::reactor::step::Step;

/// The most newcomers over a limit that are being refused at a time. Their descriptors are among the 64 that the
/// default of `--max-connections` leaves below the descriptor limit.
pub(super) const REFUSED_MAX: usize = 32;

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// Accepts what waits at one listener, a batch at the most.
    pub(super) fn accept_batch(&mut self, key: Key) -> Next {
        let now = self.shared.now;
        for _ in 0..acceptor::BATCH {
            let has_slot = self.has_slot();
            let Some(Place { source: Source::Acceptor(acceptor), row, .. }) = self.sources.get_mut(key) else {
                return Next::Idle;
            };
            if !has_slot && acceptor.is_ready() {
                return Next::Wait(Condition::ConnectionSlot);
            }
            let (tag, row, draining) = (acceptor.tag, *row, acceptor.draining);
            match acceptor.accept() {
                Accepted::Connection(stream, peer) => {
                    let refused = self.refusal(peer);
                    let mut connection = Connection::accepted(stream, peer, tag, refused, now);
                    if draining {
                        connection.drain();
                    }
                    self.admit(connection, row, peer, refused);
                }
                Accepted::Again => {}
                Accepted::BacklogEmpty if draining => {
                    return Next::Done(CloseReason::Drained);
                }
                Accepted::BacklogEmpty => return Next::Idle,
                // EMFILE, most often. The latch stays set, and the kernel gives no second edge for connections that
                // wait in the backlog: only this deadline runs the listener again.
                Accepted::Failed(error) => {
                    self.shared.metrics.row_mut(row).accept_errors += 1;
                    self.shared.log_limit.log(
                        LogKind::AcceptFailed,
                        Level::Warn,
                        now,
                        format_args!("cannot accept: {}; trying again every {:?}", reason::of(&error), acceptor::RETRY),
                    );
                    return Next::RetryAt(now.after(acceptor::RETRY));
                }
            }
        }
        Next::More
    }

    /// Why a newcomer from `peer` is not served, if it is not.
    fn refusal(&mut self, peer: Option<SocketAddr>) -> Option<CloseReason> {
        let (now, limits) = (self.shared.now, &self.shared.limits);
        let limit = limits.max_connections;
        if self.census.served >= limit {
            let line = format_args!("the limit of {limit} connections is reached: newcomers are refused");
            self.shared.log_limit.log(LogKind::Refused, Level::Warn, now, line);
            return Some(CloseReason::Refused);
        }
        let (limit, source) = (limits.max_connections_per_source?, peer?.ip());
        if self.census.of_source(source_network(source)) >= limit {
            let line = format_args!(
                "the source of {} has {limit} connections: further ones are refused",
                source.to_canonical()
            );
            self.shared.log_limit.log(LogKind::RefusedSource, Level::Warn, now, line);
            return Some(CloseReason::RefusedSource);
        }
        None
    }

    /// Takes a newcomer in, which runs in the next turn.
    fn admit(
        &mut self,
        connection: Connection<K::Stream, H::Session>,
        row: Row,
        peer: Option<SocketAddr>,
        refused: Option<CloseReason>,
    ) {
        let counts = self.shared.metrics.row_mut(row);
        counts.accepted += 1;
        if let Some(reason) = refused
            && self.census.refused >= REFUSED_MAX
        {
            // The places for refused connections are taken, so this one is dropped without a word. If the listener
            // waited for a place, a source over its limit could hold up all others.
            counts.count_close(reason);
            return;
        }
        let (origin, source) = (connection.origin(), connection.source());
        match self.add(Source::Connection(connection), row) {
            Ok(key) => {
                self.census.enter(origin, source);
                self.shared.tell(key, Step::Accepted(Peer::of(peer.as_ref())));
                self.list(key);
            }
            Err(error) => {
                // The kernel would not watch it (ENOMEM, ENOSPC): it is dropped, and no handler has heard of it.
                let counts = self.shared.metrics.row_mut(row);
                counts.count_close(CloseReason::of_error(&error));
                counts.accept_errors += 1;
                self.shared.log_limit.log(
                    LogKind::AcceptFailed,
                    Level::Warn,
                    self.shared.now,
                    format_args!("cannot watch an accepted connection: {}", reason::of(&error)),
                );
            }
        }
    }
}
