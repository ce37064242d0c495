//! A handler's rehearsal: call it without a reactor and without sockets, and look at what it sent.
//!
//! It does for one session what a connection does: it keeps what the handler did not take, and offers it again.

use crate::os::address::Peer;
use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Context, Handler, Orders, Stop, Wishes};
use crate::reactor::log_limit::LogLimit;
use crate::reactor::metrics::{Metrics, Row};
use crate::reactor::reply::{Outgoing, Reply};
use crate::reactor::tag::Tag;

/// One session of a handler, driven by hand.
pub struct Rehearsal<H: Handler> {
    session: Option<H::Session>,
    kept: Vec<u8>,
    sent: Vec<u8>,
    limit: usize,
    now: Tick,
    finished: Option<CloseReason>,
    orders: Orders,
    metrics: Metrics,
    log_limit: LogLimit,
}

impl<H: Handler> Rehearsal<H> {
    /// Opens a session at the listener `tag`; `limit` bytes may be owed to it at a time.
    pub fn open(handler: &mut H, tag: Tag, limit: usize) -> Rehearsal<H> {
        let mut rehearsal = Rehearsal {
            session: None,
            kept: Vec::new(),
            sent: Vec::new(),
            limit,
            now: Tick::START,
            finished: None,
            orders: Orders::default(),
            metrics: Metrics::default(),
            log_limit: LogLimit::default(),
        };
        rehearsal.session = Some(rehearsal.call(b"", |cx| handler.open(tag, cx)));
        rehearsal
    }

    /// Offers `bytes` behind what is kept, again and again until the handler takes no more. What it sends is taken by
    /// the peer at once.
    pub fn receive(&mut self, handler: &mut H, bytes: &[u8]) {
        self.kept.extend_from_slice(bytes);
        while self.finished.is_none() && !self.kept.is_empty() {
            let kept = std::mem::take(&mut self.kept);
            let taken = self.with_session(&kept, |session, cx| handler.receive(session, &kept, cx));
            self.kept = kept[taken.min(kept.len())..].to_vec();
            if taken == 0 {
                break;
            }
        }
    }

    /// Ends the peer's side.
    pub fn finish(&mut self, handler: &mut H) {
        if self.finished.is_none() {
            let rest = std::mem::take(&mut self.kept);
            self.with_session(&rest, |session, cx| handler.end_of_stream(session, &rest, cx));
        }
    }

    /// Gives one datagram; returns what is sent in answer.
    pub fn datagram(&mut self, handler: &mut H, bytes: &[u8]) -> Vec<u8> {
        let before = self.sent.len();
        self.with_session(bytes, |session, cx| handler.datagram(session, bytes, cx));
        self.sent.split_off(before)
    }

    /// Everything that was sent.
    pub fn sent(&self) -> &[u8] {
        &self.sent
    }

    /// How many bytes were offered and not taken.
    pub fn kept(&self) -> usize {
        self.kept.len()
    }

    /// Why the handler ended the conversation, if it did.
    pub fn finished(&self) -> Option<CloseReason> {
        self.finished
    }

    /// Whether the handler ordered the reactor to stop.
    pub fn ordered_stop(&self) -> Option<Stop> {
        self.orders.stop
    }

    /// What the handler counted.
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn with_session<R>(&mut self, offered: &[u8], ask: impl FnOnce(&mut H::Session, &mut Context<'_>) -> R) -> R {
        let mut session = self.session.take().expect("the session is only away while the handler has it");
        let result = self.call(offered, |cx| ask(&mut session, cx));
        self.session = Some(session);
        result
    }

    fn call<R>(&mut self, offered: &[u8], ask: impl FnOnce(&mut Context<'_>) -> R) -> R {
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        let reply = Reply::new(offered, Some(0), &mut composed, &mut outgoing, 0, self.limit);
        let mut cx = Context {
            now: self.now,
            key: Key::new(0, 0),
            peer: Peer::Unix(None),
            peer_ends: false,
            unacknowledged: 0,
            reply,
            orders: &mut self.orders,
            metrics: &mut self.metrics,
            log_limit: &mut self.log_limit,
            row: Row::NONE,
            wishes: Wishes::default(),
        };
        let result = ask(&mut cx);
        let finish = cx.wishes.finish;
        self.sent.extend_from_slice(&offered[outgoing.echoed]);
        self.sent.extend_from_slice(&composed[outgoing.composed]);
        self.finished = self.finished.or(finish);
        result
    }
}
