//! A datagram socket in the reactor: receive, ask the handler, answer. Nothing is ever queued.

use std::io;
use std::ops::Range;

use log::Level;

use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler};
use crate::limits::Limits;
use crate::log_limit::LogKind;
use crate::metrics::Dropped;
use crate::net::acceptor::RETRY;
use crate::net::datagram_socket::DatagramSocket;
use crate::net::drive::{Drive, Offered};
use crate::net::next::Next;
use crate::net::reply_guard::ReplyGuard;
use crate::net::route::Route;
use crate::net::shared::Shared;
use crate::readiness::{Latch, Readiness};
use crate::reply::Outgoing;

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
    /// A socket with its session.
    pub fn new(socket: D, session: S) -> Self {
        let guard = ReplyGuard::new(socket.local());
        Datagram {
            socket,
            session,
            latch: Latch::default(),
            guard,
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
    pub fn drive<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) -> Next {
        if std::mem::take(&mut self.ticking) {
            self.call(&Route::Connected, 0..0, drive, |handler, session, _, cx| handler.tick(session, cx));
        }
        let mut errors = 0;
        for _ in 0..BATCH {
            if !self.latch.readable() {
                break;
            }
            match self.socket.receive(drive.shared.arena.space(Limits::READ_MAX)) {
                Ok((length, route)) => self.took_in(length, &route, drive),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        log::trace!("{} receive would block: the kernel owes an edge", drive.key);
                        self.latch.read_would_block();
                    }
                    io::ErrorKind::Interrupted => {}
                    kind => {
                        drive.shared.metrics.datagram_errors += 1;
                        self.tell_fault(CloseReason::of_error(&error), drive);
                        // An ICMP message about an earlier reply is taken off the socket by telling it. Lack of memory is not, and
                        // neither is what comes again and again.
                        errors += 1;
                        let lasts = errors == ERRORS_MAX || kind == io::ErrorKind::OutOfMemory;
                        if lasts || is_lack_of_buffers(&error) {
                            self.retrying = true;
                            return Next::RetryAt(drive.shared.now.after(RETRY));
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

    fn took_in<H: Handler<Session = S>>(&mut self, length: usize, route: &Route, drive: &mut Drive<'_, H>) {
        drive.shared.metrics.bytes_in += length as u64;
        log::trace!("{} received a datagram of {length} bytes from {}", drive.key, route.peer());
        if length == Limits::READ_MAX {
            // It may have been cut, and a cut message is never answered.
            drive.shared.metrics.count_drop(Dropped::TooLong);
            return;
        }
        let start = drive.shared.arena.keep(length);
        let received = start..start + length;
        self.call(route, received, drive, |handler, session, bytes, cx| handler.datagram(session, bytes, cx));
        drive.shared.arena.release_from(start);
    }

    fn tell_fault<H: Handler<Session = S>>(&mut self, reason: CloseReason, drive: &mut Drive<'_, H>) {
        // What a handler would send in answer to a failed send could fail again: only its other wishes count.
        self.ask(&Route::Connected, 0..0, drive, |handler, session, _, cx| handler.fault(session, reason, cx));
        drive.shared.arena.composed.truncate(drive.outgoing.composed.start);
    }

    /// Calls the handler, and sends what it answered along `route`.
    fn call<H: Handler<Session = S>>(
        &mut self,
        route: &Route,
        received: Range<usize>,
        drive: &mut Drive<'_, H>,
        ask: impl FnOnce(&mut H, &mut S, &[u8], &mut Context<'_>),
    ) {
        self.ask(route, received, drive, ask);
        let sent = if drive.outgoing.answered { self.answer(route, drive) } else { Ok(()) };
        drive.shared.arena.composed.truncate(drive.outgoing.composed.start);
        if let Err(reason) = sent {
            self.tell_fault(reason, drive);
        }
    }

    /// Calls the handler; what it answers is left in the drive.
    fn ask<H: Handler<Session = S>>(
        &mut self,
        route: &Route,
        received: Range<usize>,
        drive: &mut Drive<'_, H>,
        ask: impl FnOnce(&mut H, &mut S, &[u8], &mut Context<'_>),
    ) {
        *drive.outgoing = Outgoing::starting_at(drive.shared.arena.composed.len());
        let ((), wishes) = drive.call(route.peer(), 0, Offered::Arena(received), |handler, bytes, cx| {
            ask(handler, &mut self.session, bytes, cx);
        });
        if wishes.wake_at.is_some() {
            self.wake_at = wishes.wake_at;
        }
    }

    /// Sends what the handler answered as one datagram. An error is what the system reported of it.
    fn answer<H>(&mut self, route: &Route, drive: &mut Drive<'_, H>) -> Result<(), CloseReason> {
        let Shared { arena, reply_rate, metrics, log_limit, now, .. } = &mut *drive.shared;
        let (bytes, composed) = arena.parts();
        let echoed = &bytes[drive.outgoing.echoed.clone()];
        let start = drive.outgoing.composed.start;
        if composed.len() > start {
            // One datagram leaves: what is echoed before composed bytes is made one with them.
            composed.splice(start..start, echoed.iter().copied());
        }
        let out = if composed.len() > start { &composed[start..] } else { echoed };
        let mut sent = Ok(());
        let admitted = self.guard.admit(route, reply_rate, *now);
        match admitted.and_then(|()| transmit(&mut self.socket, out, route, &mut sent)) {
            Ok(()) => metrics.bytes_out += out.len() as u64,
            Err(kind) => {
                metrics.count_drop(kind);
                let (key, length) = (drive.key, out.len());
                let line = format_args!("{key} did not answer {} with {length} bytes: {kind}", route.peer());
                log_limit.log(LogKind::Datagram, Level::Debug, *now, line);
            }
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
