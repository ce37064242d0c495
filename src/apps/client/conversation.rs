//! The conversation with the server: what is sent when, what is waited for, and how it ends.

use crate::apps::client::Client;
use crate::apps::client::delivery::Progress;
use crate::apps::client::farewell::holds_farewell;
use crate::apps::client::last_wait::Waiting;
use crate::apps::client::outcome::{Outcome, Shortfall};
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
        // Only one datagram at a time can be sent again elsewhere.
        let alone = self.dialer.is_datagram() && self.dialer.is_searching();
        let sent = self.sender.sent();
        while !cx.reply.wait_if_full() {
            let Some(message) = self.sender.next(cx.now, alone) else { break };
            cx.reply.send(message);
            if self.dialer.is_datagram() {
                // One call sends one datagram.
                cx.orders.wake(cx.key);
                break;
            }
        }
        if self.sender.sent() > sent {
            // What comes now may answer this message.
            self.printer.end_reply();
            self.wake_output(cx.orders);
            self.ended_since = self.ended_since.map(|_| cx.now);
        }
        // A datagram has left or it never will: none is queued.
        let owed = if self.dialer.is_datagram() { 0 } else { cx.reply.owed() + cx.unacknowledged };
        let mut delivery = self.delivery.look(cx.now, self.sender.sent_bytes(), owed);
        if self.server_paused && delivery == Progress::Stuck {
            // It may read nothing because nobody reads what it has written.
            self.delivery.restart();
            delivery = self.delivery.look(cx.now, self.sender.sent_bytes(), owed);
        }
        if self.sender.has_ended() && self.sender.unsent() == 0 {
            self.wait_for_the_rest(delivery, cx);
        } else if delivery == Progress::Stuck {
            self.fail(Outcome::Closed(CloseReason::HalfClosedTimeout), cx.orders);
        } else {
            let judged = if let Progress::Owed(moment) = delivery { Some(moment) } else { None };
            let next = self.go_on(cx);
            if let Some(moment) = [judged, next].into_iter().flatten().min() {
                cx.wake_at(moment);
            }
        }
    }

    /// More may be sent: asks for it as soon as it may leave. Returns when something is due by itself.
    fn go_on(&mut self, cx: &mut Context<'_>) -> Option<Tick> {
        if !self.sender.wants_more() {
            return self.sender.paced_until();
        }
        let settles_at = self.sender.settles_at(cx.now);
        if settles_at.is_none() {
            // The reply that came is whole, as far as can be known, and the next message may be long in coming.
            self.printer.end_reply();
            self.wake_output(cx.orders);
        }
        // A person is asked on a line of its own.
        if settles_at.is_none() || !self.prompt {
            self.ask_for_more(cx.orders);
        }
        let quiet_until = self.quiet_until();
        if quiet_until.is_some_and(|until| until <= cx.now) {
            self.fail(Outcome::EndedBeforeInput, cx.orders);
        }
        settles_at.or(quiet_until)
    }

    /// Until when standard input may give something, where the server has ended its side: whether it still reads, only
    /// sending to it tells.
    fn quiet_until(&self) -> Option<Tick> {
        self.ended_since.filter(|_| self.replies.expects_some()).map(|since| since.after(self.wait))
    }

    /// A person waits for a reply that does not come: once they are told for how long.
    fn tell_of_pace(&mut self, now: Tick) {
        if self.prompt && !self.told_of_pace && self.sender.has_waited_in_vain(now) {
            self.told_of_pace = true;
            self.printer.remark(&format!("no reply within {:?}; --pace waits longer for one", self.pace));
        }
    }

    /// A reply came, or this part of one: the next message need not wait for it any longer.
    pub(super) fn replied(&mut self, part: &[u8], cx: &mut Context<'_>) {
        self.wake_output(cx.orders);
        self.sender.replied(part, cx.now);
        self.heard_at = Some(cx.now);
        if self.sender.has_ended() && self.sender.unsent() == 0 {
            // What the kernel still holds is told in a tick.
            cx.orders.wake(cx.key);
        } else {
            self.send_next(cx);
        }
    }

    /// The server has ended its side: nothing more will come. Whether it reads on shows when it is sent something
    /// (`shutdown(2)`).
    pub(super) fn server_ended(&mut self, cx: &mut Context<'_>) {
        self.printer.end_reply();
        self.ended_since = Some(cx.now);
        self.sent_before_end = Some(self.sender.sent());
        self.wake_output(cx.orders);
        if self.prompt && self.replies.expects_some() && !self.sender.has_ended() {
            self.fail(Outcome::EndedAtPrompt, cx.orders);
        } else {
            self.send_next(cx);
        }
    }

    /// A datagram did not leave, for the server's queue is full.
    pub(super) fn send_again(&mut self, cx: &mut Context<'_>) {
        let since = self.sender.retry_last(cx.now);
        self.last_wait.restart();
        if cx.now.since(since) >= self.wait {
            self.fail(Outcome::Closed(CloseReason::HalfClosedTimeout), cx.orders);
        } else if let Some(until) = self.sender.paced_until() {
            cx.wake_at(until);
        }
    }

    /// The socket reported an error. Where it is about the very first datagram, the server may live at another of its
    /// addresses.
    pub(super) fn try_elsewhere(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
        let is_first = self.sender.sent() == 1 && reason != CloseReason::FrameTooLong;
        let next = if is_first { self.dialer.failed(reason, cx.orders) } else { Err(reason) };
        match next {
            Ok(()) => {
                self.server = None;
                self.sender.take_back();
                self.last_wait.restart();
                cx.finish(reason);
            }
            Err(reason) => self.fail(Outcome::Closed(reason), cx.orders),
        }
    }

    /// After the last message: ends when all is there, or when the time is up.
    fn wait_for_the_rest(&mut self, delivery: Progress, cx: &mut Context<'_>) {
        if !std::mem::replace(&mut self.half_closed, true) {
            cx.half_close();
            // What the kernel holds is known once this side has ended.
            cx.orders.wake(cx.key);
            return;
        }
        match self.last_wait.look(cx.now, delivery) {
            Waiting::Leaving(moment) => cx.wake_at(moment),
            // What cannot come is not waited for.
            Waiting::Replies(_) if self.ended_since.is_some() || self.has_enough() => self.conclude(cx.orders),
            Waiting::Replies(moment) => cx.wake_at(moment),
            Waiting::Stuck if self.server_paused => self.fail(Outcome::OutputStalled, cx.orders),
            Waiting::Stuck => self.fail(Outcome::Closed(CloseReason::HalfClosedTimeout), cx.orders),
            Waiting::Over => {
                self.note_what_is_cut_off(cx.now);
                self.conclude(cx.orders);
            }
        }
    }

    /// The time for replies is up: some may be missing that have come, or are about to.
    fn note_what_is_cut_off(&mut self, now: Tick) {
        if !self.replies.expects_some() || self.dialer.is_datagram() {
            return;
        }
        let silence = SETTLE.min(self.wait / 2);
        if self.heard_at.is_some_and(|at| now.since(at) < silence) {
            self.decide(Outcome::CutOff);
        } else if self.server_paused {
            self.decide(Outcome::OutputStalled);
        }
    }

    /// Whether nothing more is expected, once the last message has left.
    fn has_enough(&self) -> bool {
        let (sent, received) = (self.sender.sent(), self.printer.received());
        self.replies.expects_some() && self.replies.end_the_wait(sent, received, self.dialer.is_datagram())
    }

    /// Everything was sent, and nothing more is waited for: was it answered?
    fn conclude(&mut self, orders: &mut Orders) {
        let (sent, received) = (self.sender.sent(), self.printer.received());
        if self.replies.expects_some() && self.printer.has_farewell_alone() && !holds_farewell(self.sender.last()) {
            self.decide(Outcome::AtLimit);
        } else if !self.replies.are_enough(sent, received) {
            self.decide(Outcome::Unanswered(Shortfall {
                sent,
                received,
                expected: self.replies,
                is_stream: self.is_stream,
                datagrams: self.dialer.is_datagram(),
                has_ended: self.ended_since.is_some(),
            }));
        }
        self.leave(orders);
    }
}
