//! Streams: opening connections, sending messages, checking replies.

use std::io;
use std::time::Duration;

use crate::measure::load::LINGER;
use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::exchange::Checked;
use crate::measure::load::generator::Generator;
use crate::measure::load::lane::State;
use crate::measure::load::outcome::LATE;
use crate::measure::load::progress::Stage;
use crate::measure::load::stopwatch::Moment;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Context, Orders};

/// How long to wait before a Unix server with a full backlog is asked again: it answers `EAGAIN` and no edge will tell.
/// What is waited for is the server, and this program adds no more to it than makes a message late.
const AGAIN_AFTER: Duration = LATE;

/// So many connections that took too long, one after the other, show that the server has no room for more: waiting for
/// the rest, a few at a time, could take all day.
const CONNECT_TIMEOUTS_MAX: usize = 64;

/// So many connections for which this machine had no port, no descriptor or no memory, one after the other, show that
/// it has none for the rest either. Each costs the kernel a search through all ports, which takes milliseconds; and
/// where there are several sources (`--source`), one of them may still have ports.
const OWN_LIMITS_MAX: usize = 64;

/// So many failures in a row, and no reply between them, mean that the server is down. Then connections are tried so
/// far apart: thousands of lanes that all knock ten times a second would take all of this process's time, and its
/// figures with it.
const DOWN: u32 = 64;
const TRY_AFTER: Duration = Duration::from_millis(1);

/// Checking a reply of more bytes than this takes so long that the next message's time is asked for anew.
const LONG: usize = 4 * 1024;

impl Generator {
    /// Opens the connections whose turn it is.
    pub(super) fn dial(&mut self, now: Moment, orders: &mut Orders) {
        if self.stage == Stage::Listening {
            return;
        }
        while let Some((lane, rested)) = self.dialer.take(now) {
            // With churn a connection is opened when its one message is due. One that is dialled again has its message
            // already.
            if self.options.churn && self.lanes[lane].in_flight() == 0 {
                if !self.has_ticket_for_connect(lane, now) {
                    continue;
                }
                if let Some(ticket) = self.lanes[lane].reserved.take() {
                    self.note_sent(lane, ticket, now);
                }
            }
            self.lanes[lane].state = State::Dialing;
            self.lanes[lane].rested = rested;
            self.dialer.dial(lane, now, orders);
            if self.failures >= DOWN && self.stage != Stage::Connecting {
                self.dialer.hold(now.after(TRY_AFTER));
            }
        }
    }

    fn has_ticket_for_connect(&mut self, lane: usize, now: Moment) -> bool {
        if self.lanes[lane].reserved.is_none() {
            self.lanes[lane].reserved = self.take_ticket(now);
        }
        match self.lanes[lane].reserved {
            None => false,
            Some(ticket) if ticket.due > now => {
                self.dialer.add(lane, ticket.due);
                false
            }
            Some(_) => true,
        }
    }

    /// The connection of `lane` is established, or its datagram socket is there.
    pub(super) fn opened(&mut self, lane: usize, cx: &mut Context<'_>) {
        let now = self.now();
        self.open += 1;
        let place = &mut self.lanes[lane];
        place.open(cx.key);
        if !self.options.churn {
            place.free_since = now;
        }
        if (self.pacer.measures_from()..self.pacer.stops_at).contains(&now) {
            self.recorder.outcome.rested += place.rested;
        }
        if self.options.datagrams && self.dialer.is_searching() {
            // That the socket is there tells nothing of the server.
            return self.ask_address(lane, now, cx);
        }
        self.dialer.connected();
        (self.connect_timeouts, self.own_limits) = (0, 0);
        // There may be room for the next connection, and after the last one the run begins.
        self.dial(now, cx.orders);
        if self.stage == Stage::Connecting || self.options.churn {
            cx.orders.wake(self.control);
        }
        if self.options.churn {
            let number = self.lanes[lane].next_number() - 1;
            self.exchange.send(lane, number, &mut cx.reply);
        } else if !self.options.datagrams {
            self.fill(lane, now, cx);
        }
    }

    /// Sends whatever is due on `lane` and finds room.
    pub(super) fn send_messages(&mut self, lane: usize, cx: &mut Context<'_>) {
        match self.lanes[lane].state {
            State::Open if !self.options.churn => self.fill(lane, self.now(), cx),
            // Nothing more came for long enough.
            State::Answered | State::Ending => cx.finish(CloseReason::Ended),
            _ => {}
        }
    }

    fn fill(&mut self, lane: usize, now: Moment, cx: &mut Context<'_>) {
        // What came with the last answer is its end: a message now would be lost, and be counted as one that the server
        // owes.
        if cx.peer_ends {
            return;
        }
        while let Some(ticket) = self.next_due(lane, now, cx) {
            self.exchange.send(lane, self.lanes[lane].next_number(), &mut cx.reply);
            self.note_sent(lane, ticket, now);
        }
    }

    /// Bytes came on the connection of `lane`.
    pub(super) fn received(&mut self, lane: usize, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let now = self.now();
        match self.lanes[lane].state {
            State::Open => {}
            State::Answered => {
                self.note_surplus(bytes.len());
                return bytes.len();
            }
            _ => return bytes.len(),
        }
        let was_full = self.lanes[lane].in_flight() >= self.options.pipeline;
        let mut taken = 0;
        while taken < bytes.len() {
            let rest = &bytes[taken..];
            let Some(oldest) = self.lanes[lane].oldest() else {
                if self.exchange.counts_surplus() {
                    self.note_surplus(rest.len());
                    taken = bytes.len();
                    break;
                }
                self.note_wrong(lane, self.lanes[lane].next_number(), 0, rest);
                self.break_off(lane, ErrorKind::Unexpected, now, cx);
                return bytes.len();
            };
            let number = oldest.number;
            let place = &mut self.lanes[lane];
            let checked = match self.exchange.is_checked {
                true => self.exchange.check(lane, number, place.received, rest),
                false => self.exchange.skip(rest, place.received, &mut place.claimed),
            };
            match checked {
                Checked::Whole(count) => {
                    taken += count;
                    let length = place.received + count;
                    if let Some(flight) = place.answer_oldest() {
                        self.note_reply(&flight, length, now);
                        self.settle(now, cx.orders);
                    }
                }
                // What is not known is left, and comes again with more behind it.
                Checked::Part(0) => break,
                Checked::Part(count) => {
                    place.received += count;
                    taken += count;
                }
                Checked::Wrong(at) => {
                    let offset = place.received + at;
                    self.note_wrong(lane, number, offset, &rest[at..]);
                    self.break_off(lane, ErrorKind::WrongReply, now, cx);
                    return bytes.len();
                }
                Checked::TooLong => {
                    self.break_off(lane, ErrorKind::ReplyTooLong, now, cx);
                    return bytes.len();
                }
            }
        }
        if self.options.churn {
            if self.lanes[lane].in_flight() == 0 {
                self.end_churned(lane, cx);
            }
            return taken;
        }
        let now = if bytes.len() > LONG { self.now() } else { now };
        if was_full && self.lanes[lane].in_flight() < self.options.pipeline {
            self.lanes[lane].free_since = now;
        }
        self.fill(lane, now, cx);
        taken
    }

    /// The one message of this connection has its reply. Where nothing has checked that it is the reply, this side ends
    /// and goes on receiving: a server that answers only now had sent something else before. One that is done ends its
    /// side too, as without that.
    fn end_churned(&mut self, lane: usize, cx: &mut Context<'_>) {
        if self.exchange.is_checked {
            self.lanes[lane].state = State::Ending;
            cx.finish(CloseReason::Ended);
        } else {
            self.lanes[lane].state = State::Answered;
            cx.half_close();
            cx.wake_after(LINGER);
        }
    }

    /// Gives a connection up on which nothing can be understood any more.
    fn break_off(&mut self, lane: usize, kind: ErrorKind, now: Moment, cx: &mut Context<'_>) {
        self.recorder.error(kind, 1, now);
        self.lanes[lane].state = State::Ending;
        self.abandon(lane, now, cx.orders);
        cx.finish(CloseReason::Ended);
    }

    /// Gives the connection of `lane` up, because a reply did not come in time.
    pub(super) fn give_up(&mut self, lane: usize, now: Moment, orders: &mut Orders) {
        self.recorder.error(ErrorKind::TimedOut, 1, now);
        self.lanes[lane].state = State::Ending;
        self.abandon(lane, now, orders);
        orders.wake(self.lanes[lane].key);
    }

    /// The connection of `lane` has ended.
    pub(super) fn closed(&mut self, lane: usize, reason: CloseReason, orders: &mut Orders) {
        // A socket towards an address that was given up: its lane has another.
        if reason == CloseReason::Aborted || self.options.datagrams {
            return;
        }
        let now = self.now();
        let place = &mut self.lanes[lane];
        let state = std::mem::replace(&mut place.state, State::Closed);
        place.key = None;
        place.free_since = now;
        self.open -= 1;
        if self.stage == Stage::Listening {
            return orders.wake(self.control);
        }
        let owes_nothing = place.has_answered && place.in_flight() == 0;
        let went_well = match state {
            State::Open if owes_nothing && reason == CloseReason::PeerClosed => {
                // The server was done with it, as servers may be after so many messages or so long a silence.
                self.recorder.outcome.ended += 1;
                true
            }
            State::Open => {
                self.recorder.error(ErrorKind::of(reason), 1, now);
                if place.in_flight() == 0 && !place.has_answered {
                    self.note_failure(now);
                }
                false
            }
            _ => owes_nothing && self.options.churn,
        };
        self.abandon(lane, now, orders);
        // While other connections are being opened, this one is not reopened before the run begins: a server that
        // closes each at once would delay the beginning without end.
        if self.stage != Stage::Connecting {
            self.reopen(lane, went_well, now);
        }
        self.dial(now, orders);
        orders.wake(self.control);
    }

    /// The connection of `lane` is to be opened anew: at once where the last one was of use and has left nothing
    /// undone. So each connection that is opened without a pause is paid for with an answer, and a server that gives
    /// none is not dialled in a loop.
    fn reopen(&mut self, lane: usize, went_well: bool, now: Moment) {
        let pause = if went_well { Duration::ZERO } else { self.lanes[lane].pause() };
        self.dialer.add_after(lane, now, pause);
    }

    /// The connection of `lane` could not be opened.
    pub(super) fn not_connected(&mut self, lane: usize, reason: CloseReason, orders: &mut Orders) {
        if reason == CloseReason::Aborted || self.stage == Stage::Listening {
            return;
        }
        let now = self.now();
        let ran_before = self.stage != Stage::Connecting;
        self.lanes[lane].state = State::Closed;
        self.dialer.ended();
        orders.wake(self.control);
        if is_full_queue(reason) && self.dialer.queue_full(now) < self.options.connect_timeout {
            self.dialer.add(lane, now.after(AGAIN_AFTER));
            // The other lanes would be refused in the same way.
            self.dialer.hold(now.after(AGAIN_AFTER));
        } else if self.dialer.failed(now) {
            self.dialer.add(lane, now);
        } else {
            // Where it found no room, it has waited for as long as a connection may take.
            let reason = if is_full_queue(reason) { CloseReason::ConnectTimeout } else { reason };
            let kind = ErrorKind::of(reason);
            self.recorder.error(kind, 1, now);
            self.note_failure(now);
            self.abandon(lane, now, orders);
            self.connect_timeouts += usize::from(reason == CloseReason::ConnectTimeout);
            self.own_limits += usize::from(kind.is_own_limit());
            let is_full = self.connect_timeouts >= CONNECT_TIMEOUTS_MAX || self.own_limits >= OWN_LIMITS_MAX;
            if !self.dialer.has_connected() || (!ran_before && is_full) {
                // The server is not there, or has no room: the other lanes do not try.
                for waiting in self.dialer.give_up() {
                    self.lanes[waiting].state = State::Failed;
                }
                self.lanes[lane].state = State::Failed;
            } else if ran_before {
                self.lanes[lane].free_since = now;
                self.reopen(lane, false, now);
            } else {
                self.lanes[lane].state = State::Failed;
            }
        }
    }
}

/// Whether a Unix server had no room for a newcomer.
fn is_full_queue(reason: CloseReason) -> bool {
    reason == CloseReason::Failed(io::ErrorKind::WouldBlock)
}
