//! The server: a handler that serves several endpoints, each in its own way.

pub mod service;

use std::iter;

use log::Level;

use crate::apps::server::service::Service;
use crate::protocol::bye::{BYE, Bye};
use crate::protocol::frame::Parsed;
use crate::protocol::mode::Mode;
use crate::protocol::refusal::{AT_LIMIT, AT_SOURCE_LIMIT};
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Context, Handler, Stop};
use crate::reactor::log_limit::LogKind;
use crate::reactor::metrics::Metrics;
use crate::reactor::tag::Tag;

/// The target of the summary that SIGUSR1 asks for. It is logged at any general level.
pub const SUMMARY: &str = "cooee::apps::server::summary";

/// What the server remembers of one source.
#[derive(Clone, Copy, Debug)]
pub enum ServerSession {
    /// A connection whose bytes are echoed or discarded as they come, without looking for messages.
    Raw {
        /// Whether the bytes are echoed.
        echoes: bool,
    },
    /// Another connection to, or the datagram socket of, the service with this number.
    Client {
        /// Which service.
        service: u16,
        /// How much of an incomplete message has been looked at.
        scanned: u32,
    },
    /// A stream on which a byte says that signals are pending; the server asks [which](Server::at_signals).
    Signals,
}

/// What a server does at a signal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnSignal {
    /// Drain; at the second such signal, end at once.
    Ask,
    /// Drain, however often the signal comes: the system can send it several times.
    Drain,
    /// Log the summary.
    Summary,
    /// Go on, and log why.
    GoOn(&'static str),
}

/// Returns the next pending signal and what to do; `None` when there is none.
pub type SignalQueue = Box<dyn FnMut() -> Option<(i32, OnSignal)>>;

/// A handler that echoes, acknowledges or discards.
pub struct Server {
    services: Vec<Service>,
    signals: SignalQueue,
    is_asked_to_end: bool,
    killed_by: Option<i32>,
}

impl Server {
    /// Services at the most.
    pub const SERVICES_MAX: usize = 1 << 16;

    /// A server of these services. The tag of a listener, and that of a datagram socket's [`session`](Server::session),
    /// is the place of its service in the list.
    ///
    /// # Panics
    ///
    /// When a peer connects or sends to a socket whose service is not in the list.
    pub fn new(services: Vec<Service>) -> Server {
        Server { services, signals: Box::new(|| None), is_asked_to_end: false, killed_by: None }
    }

    /// What tells of signals, once a byte has come on the stream with [`ServerSession::Signals`].
    pub fn at_signals(&mut self, signals: SignalQueue) {
        self.signals = signals;
    }

    /// The session of a datagram socket of the service with this tag.
    ///
    /// # Panics
    ///
    /// When the tag is not below [`SERVICES_MAX`](Server::SERVICES_MAX).
    pub fn session(tag: Tag) -> ServerSession {
        let service = u16::try_from(tag.0).expect("a server has at most `SERVICES_MAX` services");
        ServerSession::Client { service, scanned: 0 }
    }

    /// The lines of the summary: the total and, where there are several services, one line for each.
    pub fn summary(&self, metrics: &Metrics) -> impl Iterator<Item = String> {
        let services = if self.services.len() > 1 { self.services.as_slice() } else { &[] };
        let row = |(tag, service): (Tag, &Service)| Some(format!("  {}: {}", service.name, metrics.of(tag)?));
        iter::once(metrics.total().to_string()).chain((0..).map(Tag).zip(services).filter_map(row))
    }

    /// The signal that ended the server before it had drained, if one did.
    pub fn killed_by(&self) -> Option<i32> {
        self.killed_by
    }

    fn signal(&mut self, signal: i32, action: OnSignal, cx: &mut Context<'_>) {
        match action {
            OnSignal::Summary => self.summary(cx.metrics).for_each(|line| log::info!(target: SUMMARY, "{line}")),
            OnSignal::GoOn(reason) => log::info!("signal {signal}: {reason}"),
            OnSignal::Ask if self.is_asked_to_end => {
                self.killed_by = Some(signal);
                cx.orders.stop(Stop::AtOnce);
            }
            OnSignal::Ask | OnSignal::Drain => {
                self.is_asked_to_end |= action == OnSignal::Ask;
                let hint = if action == OnSignal::Ask { "; a second one ends at once" } else { "" };
                log::info!("signal {signal}: draining{hint}");
                cx.orders.stop(Stop::Drain);
            }
        }
    }

    /// Answers every message in `bytes` that is complete, as long as the peer may be owed more. Returns how many bytes
    /// were taken.
    fn converse(service: &Service, scanned: &mut u32, bytes: &[u8], end: bool, cx: &mut Context<'_>) -> usize {
        let mut taken = 0;
        while !cx.reply.wait_if_full() {
            let frame = match service.rules.next(bytes, taken, scanned, end) {
                Parsed::Frame(frame) => frame,
                Parsed::Incomplete => break,
                Parsed::TooLong => return break_off(CloseReason::FrameTooLong, service, bytes, cx),
                Parsed::Truncated => return break_off(CloseReason::FrameTruncated, service, bytes, cx),
            };
            let message = &bytes[frame.body.clone()];
            service.log(message, cx);
            service.mode.answer(&frame, service.rules.framing, &mut cx.reply);
            count(service.mode != Mode::Discard, cx);
            taken = frame.end;
            if says_bye(service, message, cx) {
                cx.finish(CloseReason::Ended);
                return bytes.len();
            }
        }
        taken
    }
}

impl Handler for Server {
    type Session = ServerSession;

    fn open(&mut self, tag: Tag, _cx: &mut Context<'_>) -> ServerSession {
        match &self.services[tag.index()] {
            service if service.is_raw() => ServerSession::Raw { echoes: service.mode == Mode::Echo },
            _ => Server::session(tag),
        }
    }

    #[inline(always)]
    fn receive(&mut self, session: &mut ServerSession, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        match session {
            ServerSession::Raw { echoes } => {
                if *echoes {
                    cx.reply.echo(0..bytes.len());
                }
                count(*echoes, cx);
            }
            ServerSession::Client { service, scanned } => {
                return Server::converse(&self.services[usize::from(*service)], scanned, bytes, false, cx);
            }
            ServerSession::Signals => {
                while let Some((signal, action)) = (self.signals)() {
                    self.signal(signal, action, cx);
                }
            }
        }
        bytes.len()
    }

    fn end_of_stream(&mut self, session: &mut ServerSession, rest: &[u8], cx: &mut Context<'_>) {
        if let ServerSession::Client { service, scanned } = session {
            Server::converse(&self.services[usize::from(*service)], scanned, rest, true, cx);
        }
        cx.finish(CloseReason::PeerClosed);
    }

    fn datagram(&mut self, session: &mut ServerSession, bytes: &[u8], cx: &mut Context<'_>) {
        let ServerSession::Client { service, .. } = session else { return };
        let service = &self.services[usize::from(*service)];
        service.log(bytes, cx);
        // The datagram socket decides which answers leave, and counts them.
        count(false, cx);
        // A `bye` is answered in discard mode too.
        if says_bye(service, bytes, cx) {
            cx.reply.send(BYE);
            cx.finish(CloseReason::Ended);
        } else {
            service.mode.answer_datagram(bytes.len(), &mut cx.reply);
        }
    }

    fn refuse(&mut self, tag: Tag, reason: CloseReason, cx: &mut Context<'_>) {
        if let Some(Service { mode: Mode::Ack(_), rules, .. }) = self.services.get(tag.index()) {
            let text = if reason == CloseReason::RefusedSource { AT_SOURCE_LIMIT } else { AT_LIMIT };
            cx.reply.send(&rules.framing.framed(text));
        }
    }
}

fn count(answered: bool, cx: &mut Context<'_>) {
    let counts = cx.counts();
    counts.messages_in += 1;
    counts.messages_out += u64::from(answered);
}

/// Whether `message` ends the conversation. Where it ends the whole server, that is ordered here.
fn says_bye(service: &Service, message: &[u8], cx: &mut Context<'_>) -> bool {
    if service.bye == Bye::Ignore || message != BYE {
        return false;
    }
    if service.bye == Bye::Stop {
        let line = format_args!("{} said bye to {}: draining", cx.peer, service.name);
        cx.log_limit.log(LogKind::Bye, Level::Info, cx.now, line);
        cx.orders.stop(Stop::Drain);
    }
    true
}

/// Closes a conversation whose framing the peer broke: the rest cannot be parsed.
fn break_off(reason: CloseReason, service: &Service, bytes: &[u8], cx: &mut Context<'_>) -> usize {
    let max = service.rules.max_frame;
    let line = format_args!("{} closes {}: {reason} (the longest message is {max} bytes)", service.name, cx.peer);
    cx.log_limit.log(LogKind::BadFrame, Level::Warn, cx.now, line);
    cx.finish(reason);
    bytes.len()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::apps::rehearsal::Rehearsal;

    #[test]
    #[should_panic(expected = "index out of bounds")]
    fn a_listener_without_a_service_is_a_mistake_of_the_programmer() {
        Rehearsal::open(&mut Server::new(Vec::new()), Tag(0), 100);
    }
}
