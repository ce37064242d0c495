//! The conversation with the server: what is sent when, what is waited for, and how it ends.

use crate::apps::client::Client;
use crate::apps::client::delivery::{DeliveryState, LOOK_EVERY};
use crate::apps::client::outcome::{SendOutcome, Shortfall};
use crate::apps::client::refusal::holds_refusal;
use crate::apps::client::sender::SETTLE;
use crate::os::clock::Tick;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Context, Orders};

impl Client {
    /// Sends what may be sent now, and ends the sending after the last message.
    pub(super) fn send_next(&mut self, cx: &mut Context<'_>) {
        if self.leaving {
            return;
        }
        self.tell_of_pace(cx.now);
        // Only a single datagram can be sent again to another address.
        let alone = self.dialer.datagrams && self.dialer.candidates.is_searching();
        let sent = self.sender.sent;
        while !cx.reply.wait_if_full() {
            let Some(message) = self.sender.next(cx.now, alone) else { break };
            cx.reply.send(message);
            if self.dialer.datagrams {
                // One call sends one datagram.
                cx.orders.wake(cx.key);
                break;
            }
        }
        if self.sender.sent > sent {
            // What comes now may answer this message.
            self.printer.end_reply();
            cx.orders.wake(self.output);
            self.ended_since = self.ended_since.map(|_| cx.now);
        }
        // A datagram is never queued: it left or was dropped.
        let owed = if self.dialer.datagrams { 0 } else { cx.reply.owed() + cx.unacknowledged };
        let mut delivery = self.delivery.look(cx.now, self.sender.sent_bytes, owed);
        if self.server_paused && delivery == DeliveryState::Stuck {
            // The server may read nothing because its own output is not read.
            self.delivery.restart();
            delivery = self.delivery.look(cx.now, self.sender.sent_bytes, owed);
        }
        if self.sender.ended && self.sender.unsent() == 0 {
            self.wait_for_the_rest(delivery, cx);
        } else if delivery == DeliveryState::Stuck {
            self.fail(SendOutcome::Closed(CloseReason::HalfClosedTimeout), cx.orders);
        } else {
            let judged = if let DeliveryState::Owed(moment) = delivery { Some(moment) } else { None };
            let next = self.go_on(cx);
            if let Some(moment) = [judged, next].into_iter().flatten().min() {
                cx.wake_at(moment);
            }
        }
    }

    /// Asks for more input as soon as it may leave. Returns the next deadline.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Option<Tick> {
        if !self.sender.wants_more() {
            return self.sender.paced_until;
        }
        let settles_at = self.sender.settles_at(cx.now);
        if settles_at.is_none() {
            // The reply is complete, as far as can be known, and the next message may take long.
            self.printer.end_reply();
            cx.orders.wake(self.output);
        }
        // A person is asked on a line of its own.
        if settles_at.is_none() || !self.prompt {
            self.ask_for_more(cx.orders);
        }
        let quiet_until = self.quiet_until();
        if quiet_until.is_some_and(|until| until <= cx.now) {
            self.fail(SendOutcome::EndedBeforeInput, cx.orders);
        }
        settles_at.or(quiet_until)
    }

    /// Until when standard input is waited for after the server ended its side. Only sending shows whether the server
    /// still reads.
    fn quiet_until(&self) -> Option<Tick> {
        self.ended_since.filter(|_| self.replies.expects_some()).map(|since| since.after(self.wait))
    }

    /// Tells a person once how long a line waits for its reply.
    fn tell_of_pace(&mut self, now: Tick) {
        if self.prompt && !self.told_of_pace && self.sender.has_waited_in_vain(now) {
            self.told_of_pace = true;
            self.printer.remark(&format!("no reply within {:?}; --pace waits longer for one", self.pace));
        }
    }

    /// A reply came, or this part of one.
    pub(super) fn replied(&mut self, part: &[u8], cx: &mut Context<'_>) {
        cx.orders.wake(self.output);
        self.sender.replied(part, cx.now);
        self.heard_at = Some(cx.now);
        if self.sender.ended && self.sender.unsent() == 0 {
            // A tick looks at what the kernel still holds.
            cx.orders.wake(cx.key);
        } else {
            self.send_next(cx);
        }
    }

    /// The server ended its side. Whether it still reads shows when something is sent (`shutdown(2)`).
    pub(super) fn server_ended(&mut self, cx: &mut Context<'_>) {
        self.printer.end_reply();
        self.ended_since = Some(cx.now);
        self.sent_before_end = Some(self.sender.sent);
        cx.orders.wake(self.output);
        if self.prompt && self.replies.expects_some() && !self.sender.ended {
            self.fail(SendOutcome::EndedAtPrompt, cx.orders);
        } else {
            self.send_next(cx);
        }
    }

    /// A datagram did not leave, because the server's queue is full.
    pub(super) fn send_again(&mut self, cx: &mut Context<'_>) {
        let since = self.sender.retry_last(cx.now);
        self.delivery.restart();
        if cx.now.since(since) >= self.wait {
            self.fail(SendOutcome::Closed(CloseReason::HalfClosedTimeout), cx.orders);
        } else if let Some(until) = self.sender.paced_until {
            cx.wake_at(until);
        }
    }

    /// The socket reported an error. If it is about the first datagram, the next address of the server is tried.
    pub(super) fn try_elsewhere(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        let is_first = self.sender.sent == 1 && reason != CloseReason::FrameTooLong;
        let next = if is_first { self.dialer.failed(reason, cx.orders) } else { Err(reason) };
        match next {
            Ok(()) => {
                self.server = None;
                self.sender.take_back();
                self.delivery.restart();
                cx.finish(reason);
            }
            Err(reason) => self.fail(SendOutcome::Closed(reason), cx.orders),
        }
    }

    /// After the last message: ends when all replies are there, or when the time is up.
    fn wait_for_the_rest(&mut self, delivery: DeliveryState, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.half_closed, true) {
            cx.half_close();
            // What the kernel holds is known once this side has ended.
            cx.orders.wake(cx.key);
            return;
        }
        match delivery {
            DeliveryState::Stuck if self.server_paused => self.fail(SendOutcome::OutputStalled, cx.orders),
            DeliveryState::Stuck => self.fail(SendOutcome::Closed(CloseReason::HalfClosedTimeout), cx.orders),
            DeliveryState::Owed(moment) => cx.wake_at(cx.now.after(LOOK_EVERY).min(moment)),
            DeliveryState::Left => match self.delivery.wait_for_replies(cx.now) {
                // What cannot come is not waited for.
                Some(_) if self.ended_since.is_some() || self.has_enough() => self.conclude(cx.orders),
                Some(moment) => cx.wake_at(moment),
                None => {
                    self.note_what_is_cut_off(cx.now);
                    self.conclude(cx.orders);
                }
            },
        }
    }

    /// The time for replies is up: notes if more were still coming.
    fn note_what_is_cut_off(&mut self, now: Tick) {
        if !self.replies.expects_some() || self.dialer.datagrams {
            return;
        }
        let silence = SETTLE.min(self.wait / 2);
        if self.heard_at.is_some_and(|at| now.since(at) < silence) {
            self.decide(SendOutcome::CutOff);
        } else if self.server_paused {
            self.decide(SendOutcome::OutputStalled);
        }
    }

    /// Whether nothing more is expected, once the last message has left.
    fn has_enough(&self) -> bool {
        let (sent, received) = (self.sender.sent, self.printer.received);
        self.replies.expects_some() && self.replies.end_the_wait(sent, received, self.dialer.datagrams)
    }

    /// Whether all that came is the refusal of a server at its limit.
    pub(super) fn is_refused(&self) -> bool {
        self.replies.expects_some() && self.printer.has_refusal_alone() && !holds_refusal(&self.sender.last)
    }

    /// Everything was sent and nothing more is waited for: decides the outcome.
    fn conclude(&mut self, orders: &mut Orders) {
        let (sent, received) = (self.sender.sent, self.printer.received);
        if self.is_refused() {
            self.decide(SendOutcome::AtLimit);
        } else if !self.replies.are_enough(sent, received) {
            self.decide(SendOutcome::Unanswered(Shortfall {
                sent,
                received,
                expected: self.replies,
                is_stream: self.is_stream,
                datagrams: self.dialer.datagrams,
                has_ended: self.ended_since.is_some(),
            }));
        }
        self.leave(orders);
    }
}
