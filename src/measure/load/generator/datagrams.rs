//! Datagrams: each of a socket's messages is answered by one, or lost.

use std::io;
use std::time::Duration;

use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::exchange::Checked;
use crate::measure::load::generator::{Generator, count};
use crate::measure::load::lane::{Flight, ReplyMatch, State};
use crate::measure::load::stopwatch::Moment;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Context, Orders};

/// How long to wait before a datagram is sent again that did not leave, for the queue was full.
const AGAIN_AFTER: Duration = Duration::from_millis(1);

impl Generator {
    /// Sends a message that does not count, to learn whether the server lives at this one of its addresses. Nothing
    /// else is sent before that is known.
    pub(super) fn ask_address(&mut self, lane: usize, now: Moment, cx: &mut Context<'_>) {
        let question = self.question(now);
        self.exchange.send(lane, self.lanes[lane].next_number(), &mut cx.reply);
        self.note_sent(lane, question, now);
    }

    /// The address is taken: a datagram came from it, or nothing came and nothing was refused. That is loss, and tells
    /// nothing of an address.
    fn address_is_found(&mut self, now: Moment, orders: &mut Orders) {
        self.dialer.connected();
        self.dial(now, orders);
        orders.wake(self.control);
    }

    /// The address is none of the server's: the lane goes on to the next one, with another socket.
    fn try_next_address(&mut self, lane: usize, reason: CloseReason, now: Moment, cx: &mut Context<'_>) {
        for _ in 0..self.lanes[lane].abandon().count() {
            self.settle(now, cx.orders);
        }
        self.lanes[lane].state = State::Closed;
        self.lanes[lane].key = None;
        self.open -= 1;
        self.dialer.ended();
        self.dialer.failed(now);
        self.dialer.add(lane, now);
        self.dial(now, cx.orders);
        cx.finish(reason);
    }

    /// Sends one datagram, if one is due and finds room: a call sends one, and asks to be called again for the next.
    pub(super) fn send_datagram(&mut self, lane: usize, cx: &mut Context<'_>) {
        let now = self.now();
        let held_until = self.lanes[lane].held_until;
        if now < held_until {
            cx.wake_at(held_until.tick());
            return;
        }
        let Some(ticket) = self.next_due(lane, now, cx) else { return };
        self.exchange.send(lane, self.lanes[lane].next_number(), &mut cx.reply);
        self.note_sent(lane, ticket, now);
        if self.lanes[lane].in_flight() < self.options.pipeline {
            cx.orders.wake(cx.key);
        }
    }

    /// A datagram came to the socket of `lane`.
    pub(super) fn received_datagram(&mut self, lane: usize, bytes: &[u8], cx: &mut Context<'_>) {
        let now = self.now();
        if self.dialer.is_searching() {
            self.address_is_found(now, cx.orders);
        }
        let was_full = self.lanes[lane].in_flight() >= self.options.pipeline;
        if let Some(flight) = self.match_datagram(lane, bytes, now) {
            self.note_reply(&flight, bytes.len(), now);
            self.settle(now, cx.orders);
            if was_full {
                self.lanes[lane].free_since = now;
            }
        }
        self.send_datagram(lane, cx);
    }

    /// The message that a datagram answers, if it answers one.
    fn match_datagram(&mut self, lane: usize, bytes: &[u8], now: Moment) -> Option<Flight> {
        if !self.exchange.is_checked {
            return self.answer_oldest(lane, bytes.len());
        }
        let oldest = self.lanes[lane].oldest().map_or(0, |oldest| oldest.number);
        let number = if self.exchange.is_numbered() { self.exchange.number(bytes) } else { Some(oldest) };
        let whole = Checked::Whole(bytes.len());
        let Some(number) = number.filter(|number| self.exchange.check(lane, *number, 0, bytes) == whole) else {
            self.wrong_datagram(lane, oldest, bytes);
            return None;
        };
        if !self.exchange.is_numbered() {
            return self.answer_oldest(lane, bytes.len());
        }
        match self.lanes[lane].arrive(number) {
            ReplyMatch::Answer { flight, reordered } => {
                count(&mut self.recorder.outcome.reordered, reordered && flight.ticket.measured);
                Some(flight)
            }
            ReplyMatch::Duplicate => {
                count(&mut self.recorder.outcome.duplicated, now >= self.pacer.measures_from());
                None
            }
            // It was counted as lost when its time was up.
            ReplyMatch::TooLate => None,
            ReplyMatch::Unknown => {
                self.wrong_datagram(lane, oldest, bytes);
                None
            }
        }
    }

    /// A datagram of `length` bytes without a number is taken for the answer to the oldest message, where there is one.
    fn answer_oldest(&mut self, lane: usize, length: usize) -> Option<Flight> {
        let flight = self.lanes[lane].answer_oldest();
        if flight.is_none() {
            self.note_surplus(length);
        }
        flight
    }

    fn wrong_datagram(&mut self, lane: usize, number: u64, bytes: &[u8]) {
        // Where it answers nothing that is known, it is told as the answer to the oldest message.
        let number = self.exchange.number(bytes).filter(|_| self.exchange.is_numbered()).unwrap_or(number);
        let offset = match self.exchange.check(lane, number, 0, bytes) {
            Checked::Whole(at) | Checked::Part(at) | Checked::Wrong(at) => at,
            Checked::TooLong => 0,
        };
        self.note_wrong(lane, number, offset, &bytes[offset.min(bytes.len())..]);
    }

    /// Counts the datagrams of `lane` whose time is up as lost; there is room for others then.
    pub(super) fn expire_datagrams(&mut self, lane: usize, before: Moment, now: Moment, orders: &mut Orders) {
        let was_full = self.lanes[lane].in_flight() >= self.options.pipeline;
        let mut lost = 0;
        while let Some(flight) = self.lanes[lane].expire(before) {
            lost += 1;
            self.recorder.gave_up(&flight, now);
            self.note_failure(now);
            count(&mut self.recorder.outcome.lost, flight.ticket.measured);
            self.settle(now, orders);
        }
        if lost > 0 {
            if self.dialer.is_searching() {
                self.address_is_found(now, orders);
            }
            if was_full {
                self.lanes[lane].free_since = now;
            }
            orders.wake(self.lanes[lane].key);
        }
    }

    /// The socket of `lane` reported an error.
    pub(super) fn socket_fault(&mut self, lane: usize, reason: CloseReason, cx: &mut Context<'_>) {
        let now = self.now();
        match reason {
            CloseReason::Failed(io::ErrorKind::WouldBlock) => {
                let again = now.after(AGAIN_AFTER);
                let place = &mut self.lanes[lane];
                if let Some(flight) = place.unsend() {
                    self.recorder.outcome.sent -= u64::from(flight.ticket.measured);
                    self.recorder.outcome.late -= u64::from(flight.late);
                    place.reserved = Some(flight.ticket);
                }
                // There was no room for it, so it is not late when it leaves as soon as it is tried again.
                (place.held_until, place.free_since) = (again, again);
                cx.wake_at(again.tick());
            }
            reason if self.dialer.is_searching() && reason != CloseReason::FrameTooLong => {
                self.try_next_address(lane, reason, now, cx);
            }
            reason => {
                self.recorder.error(ErrorKind::of(reason), 1, now);
                let never_answers = matches!(reason, CloseReason::ConnectRefused | CloseReason::FrameTooLong);
                if never_answers && self.recorder.replies == 0 && !self.lanes[lane].was_refused {
                    self.lanes[lane].was_refused = true;
                    self.refused_sockets += 1;
                    cx.orders.wake(self.control);
                }
            }
        }
    }
}
