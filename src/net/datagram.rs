//! A datagram socket in the reactor: receive, ask the handler, answer. Nothing is ever queued.

use std::io;
use std::net::SocketAddr;

use log::Level;

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, Wishes};
use crate::key::Key;
use crate::limits::Limits;
use crate::log_limit::LogKind;
use crate::metrics::Dropped;
use crate::net::acceptor::RETRY;
use crate::net::datagram_socket::{DatagramSocket, Route};
use crate::net::next::Next;
use crate::net::reply_guard::ReplyGuard;
use crate::net::shared::Shared;
use crate::readiness::{Latch, Readiness};
use crate::reply::{Outgoing, Reply};

/// How many datagrams one turn takes from one socket.
const BATCH: usize = 64;

/// How many errors one turn takes off one socket, before it is left alone until the retry deadline.
const ERRORS_MAX: u32 = 16;

/// A datagram socket with its handler's session `S`.
pub struct Datagram<D, S> {
    socket: D,
    session: S,
    latch: Latch,
    guard: ReplyGuard,
    ticking: bool,
    wake_at: Option<Tick>,
    /// As with an acceptor: until the retry deadline an event only merges into the latch.
    retrying: bool,
    draining: bool,
}

impl<D: DatagramSocket, S> Datagram<D, S> {
    /// A socket bound to `local` (none for a Unix socket).
    pub fn new(socket: D, local: Option<SocketAddr>, session: S) -> Self {
        Datagram {
            socket,
            session,
            latch: Latch::default(),
            guard: ReplyGuard::new(local),
            ticking: false,
            wake_at: None,
            retrying: false,
            draining: false,
        }
    }

    /// The socket, to register it.
    pub fn socket_mut(&mut self) -> &mut D {
        &mut self.socket
    }

    /// Ends it: the socket closes here, and the session is handed back.
    pub fn into_session(self) -> S {
        self.session
    }

    /// Merges an event; true where it should run now.
    pub fn latch(&mut self, readiness: Readiness) -> bool {
        self.latch.set(readiness);
        !self.retrying
    }

    /// Somebody woke it: the handler is called.
    pub fn wake(&mut self) {
        self.ticking = true;
    }

    /// The reactor drains: what has arrived is answered, whatever the latch says, then it closes.
    pub fn drain(&mut self) {
        self.draining = true;
        self.latch.set(Readiness::READABLE);
    }

    /// The moment that the handler asked for has come, or the retry deadline.
    pub fn deadline_passed(&mut self, now: Tick) {
        self.retrying = false;
        if self.wake_at.is_some_and(|moment| moment <= now) {
            self.wake_at = None;
            self.ticking = true;
        }
    }

    /// When the handler wants to be called even if nothing arrives.
    pub fn deadline(&self) -> Option<Tick> {
        self.wake_at
    }

    /// The invariant: off the ready list, either a retry is due or the kernel owes an edge.
    pub fn keeps_the_invariant(&self) -> bool {
        self.retrying || !(self.latch.readable() || self.ticking)
    }

    /// Receives a batch of datagrams and answers each.
    pub fn drive<H: Handler<Session = S>>(&mut self, key: Key, handler: &mut H, shared: &mut Shared) -> Next {
        if std::mem::take(&mut self.ticking) {
            let sent = self.ask(key, &Route::Connected, None, shared, |session, _, cx| handler.tick(session, cx));
            self.tell_fault(sent, key, handler, shared);
        }
        let mut errors = 0;
        for _ in 0..BATCH {
            if !self.latch.readable() {
                break;
            }
            match self.socket.receive(shared.arena.space(Limits::READ_MAX)) {
                Ok((length, route)) => self.took_in(length, &route, key, handler, shared),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        log::trace!("{key} receive would block: the kernel owes an edge");
                        self.latch.read_would_block();
                    }
                    io::ErrorKind::Interrupted => {}
                    kind => {
                        shared.metrics.datagram_errors += 1;
                        self.tell_fault(Err(CloseReason::of_error(&error)), key, handler, shared);
                        // An ICMP message about an earlier reply is taken off the socket by telling it. Lack of memory is not, and
                        // neither is what comes again and again.
                        errors += 1;
                        let lasts = errors == ERRORS_MAX || kind == io::ErrorKind::OutOfMemory;
                        if lasts || is_lack_of_buffers(&error) {
                            self.retrying = true;
                            return Next::RetryAt(shared.now.after(RETRY));
                        }
                    }
                },
            }
        }
        if self.draining && !self.latch.readable() {
            Next::Done(CloseReason::Drained)
        } else if self.latch.readable() || self.ticking {
            Next::More
        } else {
            Next::Idle
        }
    }

    fn took_in<H: Handler<Session = S>>(
        &mut self,
        length: usize,
        route: &Route,
        key: Key,
        handler: &mut H,
        shared: &mut Shared,
    ) {
        shared.metrics.bytes_in += length as u64;
        log::trace!("{key} received a datagram of {length} bytes from {}", route.peer());
        if length == Limits::READ_MAX {
            // It may have been cut, and a cut message is never answered.
            shared.metrics.count_drop(Dropped::TooLong);
            return;
        }
        let sent = self.ask(key, route, Some(length), shared, |session, bytes, cx| {
            handler.datagram(session, bytes, cx);
        });
        self.tell_fault(sent, key, handler, shared);
    }

    fn tell_fault<H: Handler<Session = S>>(
        &mut self,
        sent: Result<(), CloseReason>,
        key: Key,
        handler: &mut H,
        shared: &mut Shared,
    ) {
        if let Err(reason) = sent {
            // What a handler would send in answer to a failed send is not sent on; it cannot fail again.
            let _ = self.ask(key, &Route::Connected, None, shared, |session, _, cx| {
                handler.fault(session, reason, cx);
            });
        }
    }

    /// Calls the handler, and sends what it answered along `route`. An error is one that the system reported.
    fn ask(
        &mut self,
        key: Key,
        route: &Route,
        received: Option<usize>,
        shared: &mut Shared,
        ask: impl FnOnce(&mut S, &[u8], &mut Context<'_>),
    ) -> Result<(), CloseReason> {
        let Shared { arena, reply_rate, orders, metrics, log_limit, limits, now, .. } = shared;
        let start = arena.keep(received.unwrap_or(0));
        let mut outgoing = Outgoing::starting_at(arena.composed.len());
        let composed_start = arena.composed.len();
        let mut wishes = Wishes::default();
        let (bytes, composed) = arena.parts();
        let offered = &bytes[start..start + received.unwrap_or(0)];
        let reply = Reply::new(offered, Some(start), composed, &mut outgoing, 0, limits.write_limit);
        let mut cx =
            Context { now: *now, key, peer: route.peer(), reply, orders, metrics, log_limit, wishes: &mut wishes };
        ask(&mut self.session, offered, &mut cx);
        let mut sent = Ok(());
        if cx.reply.has_answer() {
            // One datagram leaves: an echoed range and composed bytes together are made one.
            if !outgoing.composed.is_empty() && !outgoing.echoed.is_empty() {
                let echoed = bytes[outgoing.echoed.clone()].to_vec();
                composed.splice(composed_start..composed_start, echoed);
                outgoing = Outgoing { composed: composed_start..composed.len(), ..Outgoing::default() };
            }
            let out = if outgoing.composed.is_empty() { &bytes[outgoing.echoed] } else { &composed[outgoing.composed] };
            let admitted = self.guard.admit(route, reply_rate, *now);
            match admitted.and_then(|()| transmit(&mut self.socket, out, route, &mut sent)) {
                Ok(()) => metrics.bytes_out += out.len() as u64,
                Err(kind) => {
                    metrics.count_drop(kind);
                    log_limit.log(
                        LogKind::Datagram,
                        Level::Debug,
                        *now,
                        format_args!("{key} did not answer {} with {} bytes: {kind}", route.peer(), out.len()),
                    );
                }
            }
        }
        composed.truncate(composed_start);
        arena.release_from(start);
        if wishes.wake_at.is_some() {
            self.wake_at = wishes.wake_at;
        }
        sent
    }
}

/// Sends one datagram, or says why it was dropped: a reply is never queued and never waited for, or one peer that does not
/// read would hold up the others. `fault` keeps what the system reported, for a handler that has only one peer.
fn transmit<D: DatagramSocket>(
    socket: &mut D,
    bytes: &[u8],
    route: &Route,
    fault: &mut Result<(), CloseReason>,
) -> Result<(), Dropped> {
    loop {
        return match socket.send(bytes, route) {
            Ok(()) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                *fault = Err(CloseReason::of_error(&error));
                Err(Dropped::WouldBlock)
            }
            Err(error) if is_too_long(&error) => {
                *fault = Err(CloseReason::FrameTooLong);
                Err(Dropped::TooLong)
            }
            Err(error) => {
                *fault = Err(CloseReason::of_error(&error));
                Err(Dropped::SendFailed)
            }
        };
    }
}

fn is_too_long(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32)
}

fn is_lack_of_buffers(error: &io::Error) -> bool {
    error.raw_os_error() == Some(nix::errno::Errno::ENOBUFS as i32)
}
