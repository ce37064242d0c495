//! The client: sends lines or raw bytes to one server, and prints what comes back.
//!
//! It is a handler of three sources on the same reactor as the server's: standard input, the server, and standard output.
//! Each holds up the one before it by its own back-pressure, so neither a fast sender nor a stopped terminal grows a queue.
//!
//! ```text
//!   standard input --> Sender --> the server (found by Dialer) --> Printer --> standard output
//! ```
//!
//! The parts decide and hold no keys; [`Client`] wires them.

pub mod dialer;
pub mod last_wait;
pub mod outcome;
pub mod printer;
pub mod sender;

use std::io::ErrorKind;
use std::time::Duration;

use crate::candidates::Candidates;
use crate::client::dialer::Dialer;
use crate::client::last_wait::{LOOK_EVERY, LastWait, Waiting};
use crate::client::outcome::Outcome;
use crate::client::printer::{Flush, Printer, Style};
use crate::client::sender::{Manner, Sender};
use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, Orders, Stop};
use crate::key::Key;
use crate::protocol::bye::Bye;
use crate::protocol::framing::Rules;

/// What a client does.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's addresses.
    pub candidates: Candidates,
    /// Whether messages are datagrams (UDP, or Unix datagrams).
    pub datagrams: bool,
    /// How long a server whose backlog is full is tried.
    pub connect_timeout: Duration,
    /// Messages to send instead of standard input's lines.
    pub messages: Option<Vec<String>>,
    /// Bytes are streamed as they are.
    pub raw: bool,
    /// How messages are encoded and framed.
    pub rules: Rules,
    /// What sending `bye` does; closing and stopping are the same here.
    pub bye: Bye,
    /// How long to wait for what is owed, after the last message; and then for standard output to take what was printed.
    pub wait: Duration,
    /// Whether replies are escaped, because a terminal shows them.
    pub escape: bool,
    /// Whether to ask for each line, because a person types them.
    pub prompt: bool,
}

/// What the client remembers of one source: which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Session {
    /// Standard input.
    Input,
    /// The server.
    Server,
    /// Standard output.
    Output,
}

/// A handler that relays between the standard streams and a server.
pub struct Client {
    sender: Sender,
    printer: Printer,
    dialer: Dialer,
    last_wait: LastWait,
    wait: Duration,
    prompt: bool,
    input: Option<Key>,
    /// The connection, or the datagram socket, once there is one; none while the next address is dialled.
    server: Option<Key>,
    output: Option<Key>,
    /// Standard input may give the next line; otherwise it is paused.
    asked: bool,
    /// Standard output takes too little: the server is not read until it does.
    server_paused: bool,
    /// Nothing more is sent or waited for: what is printed is flushed, then the program ends.
    leaving: bool,
    outcome: Outcome,
}

impl Client {
    /// A client that has done nothing yet.
    pub fn new(options: Options) -> Client {
        let Options { rules, raw, escape, prompt, wait, bye, datagrams, .. } = options;
        let dialer = Dialer::new(options.candidates, datagrams, options.connect_timeout);
        let paced = Manner::is_paced(rules.framing, raw, prompt);
        let mut client = Client {
            sender: Sender::new(Manner { rules, bye, raw, datagrams, paced }),
            printer: Printer::new(Style { rules, raw, escape }),
            dialer,
            last_wait: LastWait::new(wait),
            wait,
            prompt,
            input: None,
            server: None,
            output: None,
            asked: false,
            server_paused: false,
            leaving: false,
            outcome: Outcome::Done,
        };
        if let Some(messages) = options.messages {
            let queued = messages.iter().try_for_each(|message| client.sender.text(message));
            client.note(queued);
            client.sender.end();
        }
        client
    }

    /// Tells the names of the sources, once they are registered.
    pub fn attach(&mut self, input: Option<Key>, output: Key) {
        self.input = input;
        self.output = Some(output);
    }

    /// Orders the first step: the connection, or the datagram socket, to the first address.
    pub fn begin(&self, orders: &mut Orders) {
        self.dialer.dial(orders);
    }

    /// How it went.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// How many replies were dropped, because standard output took nothing.
    pub fn dropped(&self) -> u64 {
        self.printer.dropped()
    }

    /// Remembers what could not be sent: it is the last thing that was tried, and what was sent before is still answered.
    fn note<T>(&mut self, result: Result<T, Outcome>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(outcome) => {
                self.sender.end();
                self.decide(outcome);
                None
            }
        }
    }

    /// The first thing that went wrong is the outcome.
    fn decide(&mut self, outcome: Outcome) {
        if self.outcome == Outcome::Done {
            self.outcome = outcome;
        }
    }

    fn fail(&mut self, outcome: Outcome, orders: &mut Orders) {
        self.decide(outcome);
        self.leave(orders);
    }

    /// Nothing more will come: what was printed is flushed, then the program ends.
    fn leave(&mut self, orders: &mut Orders) {
        self.leaving = true;
        self.printer.end_reply();
        self.wake_output(orders);
    }

    fn wake_server(&self, orders: &mut Orders) {
        if let Some(server) = self.server {
            orders.wake(server);
        }
    }

    fn wake_output(&self, orders: &mut Orders) {
        if let Some(output) = self.output {
            orders.wake(output);
        }
    }

    /// Lets standard input give the next lines. A person is asked for them, after the last reply has been printed.
    fn ask_for_more(&mut self, orders: &mut Orders) {
        if let (Some(input), false) = (self.input, self.asked) {
            self.asked = true;
            orders.wake(input);
            if self.prompt {
                self.printer.ask();
                self.wake_output(orders);
            }
        }
    }

    /// Takes lines, or raw bytes, for the server. One at a time where each waits for its reply.
    fn take_input(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        if self.sender.has_ended() {
            return bytes.len();
        }
        if self.server.is_none() || !self.sender.wants_more() {
            self.hold_input(cx);
            return 0;
        }
        let taken = self.sender.take(bytes);
        if taken == Ok(0) {
            return 0;
        }
        self.hold_input(cx);
        self.wake_server(cx.orders);
        self.note(taken).unwrap_or(bytes.len())
    }

    fn hold_input(&mut self, cx: &mut Context<'_>) {
        self.asked = false;
        cx.pause();
    }

    /// Sends what may be sent now, and ends the sending after the last message.
    fn send_next(&mut self, cx: &mut Context<'_>) {
        if self.leaving {
            return;
        }
        // Only one datagram at a time can be sent again elsewhere.
        let alone = self.dialer.is_datagram() && self.dialer.is_searching();
        let sent = self.sender.sent();
        while !cx.reply.is_full() {
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
        }
        if self.sender.has_ended() && self.sender.unsent() == 0 {
            self.wait_for_the_rest(cx);
        } else if let Some(until) = self.sender.paced_until() {
            cx.wake_at(until);
        } else if self.sender.wants_more() {
            // The reply that came is whole, as far as can be known, and the next message may be long in coming.
            self.printer.end_reply();
            self.wake_output(cx.orders);
            self.ask_for_more(cx.orders);
        }
    }

    /// After the last message: ends when all is there, or when the time is up.
    fn wait_for_the_rest(&mut self, cx: &mut Context<'_>) {
        cx.half_close();
        let is_datagram = self.dialer.is_datagram();
        // A datagram has left or it never will: none is queued.
        let owed = if is_datagram { 0 } else { cx.reply.owed() };
        match self.last_wait.look(cx.now, owed) {
            _ if is_datagram && self.printer.received() >= self.sender.sent() => self.leave(cx.orders),
            Waiting::Until(moment) => cx.wake_at(moment),
            Waiting::Stuck => self.fail(Outcome::Closed(CloseReason::HalfClosedTimeout), cx.orders),
            Waiting::Over => self.leave(cx.orders),
        }
    }

    /// A datagram did not leave, for the server's queue is full.
    fn send_again(&mut self, cx: &mut Context<'_>) {
        let since = self.sender.retry_last(cx.now);
        self.last_wait.restart();
        if self.sender.has_ended() && cx.now.since(since) >= self.wait {
            self.fail(Outcome::Closed(CloseReason::HalfClosedTimeout), cx.orders);
        } else if let Some(until) = self.sender.paced_until() {
            cx.wake_at(until);
        }
    }

    /// The socket reported an error. Where it is about the very first datagram, the server may live at another of its addresses.
    fn try_elsewhere(&mut self, reason: CloseReason, cx: &mut Context<'_>) {
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

    /// A reply came, or this part of one: the next message need not wait for it any longer.
    fn replied(&mut self, part: &[u8], cx: &mut Context<'_>) {
        self.wake_output(cx.orders);
        self.sender.replied(part, cx.now);
        self.send_next(cx);
    }

    /// What standard output's turn is for: printing, the timers that no other source can have, and the end.
    fn serve_output(&mut self, cx: &mut Context<'_>) {
        match self.dialer.look(cx.now, cx.orders) {
            Ok(None) => {}
            Ok(Some(moment)) => cx.wake_at(moment),
            Err(reason) => self.fail(Outcome::Closed(reason), cx.orders),
        }
        if self.printer.hand_over(&mut cx.reply) {
            cx.orders.wake(cx.key);
        }
        if self.server_paused && !self.printer.is_full() {
            self.server_paused = false;
            self.wake_server(cx.orders);
        }
        if !self.leaving {
            return;
        }
        match self.printer.flush(cx.now, cx.reply.owed(), self.wait, LOOK_EVERY) {
            Flush::Done => cx.finish(CloseReason::Ended),
            Flush::Pending(None) => cx.orders.wake(cx.key),
            Flush::Pending(Some(moment)) => cx.wake_at(moment),
            Flush::Late => {
                self.decide(Outcome::OutputStalled);
                cx.orders.stop(Stop::AtOnce);
            }
        }
    }
}

impl Handler for Client {
    type Session = Session;

    fn open(&mut self, _tag: usize, cx: &mut Context<'_>) -> Session {
        self.server = Some(cx.key);
        // That a datagram socket is there tells nothing of the server.
        if !self.dialer.is_datagram() {
            self.dialer.answered();
        }
        self.send_next(cx);
        Session::Server
    }

    fn receive(&mut self, session: &mut Session, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        match session {
            Session::Input => self.take_input(bytes, cx),
            Session::Output => bytes.len(),
            // What comes after the time is up is not printed, or a server that never stops would keep the client for ever.
            Session::Server if self.leaving => {
                cx.pause();
                0
            }
            Session::Server if self.printer.is_full() => {
                self.server_paused = true;
                cx.pause();
                0
            }
            Session::Server => match self.printer.stream(bytes, false) {
                Ok(0) => 0,
                Ok(taken) => {
                    self.replied(&bytes[..taken], cx);
                    taken
                }
                Err(outcome) => {
                    self.fail(outcome, cx.orders);
                    bytes.len()
                }
            },
        }
    }

    fn finish(&mut self, session: &mut Session, rest: &[u8], cx: &mut Context<'_>) {
        match session {
            Session::Input => {
                if !rest.is_empty() && !self.sender.has_ended() {
                    let queued = self.sender.line(rest);
                    self.note(queued);
                }
                self.sender.end();
                self.wake_server(cx.orders);
                cx.finish(CloseReason::Ended);
            }
            // Nothing is ever read from it.
            Session::Output => {}
            Session::Server => {
                if let Err(outcome) = self.printer.stream(rest, true) {
                    self.fail(outcome, cx.orders);
                }
                self.wake_output(cx.orders);
                cx.finish(CloseReason::PeerClosed);
            }
        }
    }

    fn datagram(&mut self, _session: &mut Session, bytes: &[u8], cx: &mut Context<'_>) {
        self.dialer.answered();
        if !self.leaving {
            self.printer.datagram(bytes);
            self.replied(bytes, cx);
        }
    }

    fn fault(&mut self, _session: &mut Session, reason: CloseReason, cx: &mut Context<'_>) {
        // A socket that was given up has no more to say.
        if self.server != Some(cx.key) {
            return;
        }
        match reason {
            CloseReason::Failed(ErrorKind::WouldBlock) => self.send_again(cx),
            reason => self.try_elsewhere(reason, cx),
        }
    }

    fn tick(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        match session {
            Session::Input => {}
            Session::Server => self.send_next(cx),
            Session::Output => self.serve_output(cx),
        }
    }

    fn close(&mut self, session: Session, reason: CloseReason, orders: &mut Orders) {
        match (session, reason) {
            // The reactor stops, because this client said so.
            (_, CloseReason::Aborted) => {}
            // A datagram socket towards an address that was given up.
            (Session::Server, _) if self.server.is_none() => {}
            (Session::Input, CloseReason::Ended | CloseReason::PeerClosed) => {}
            (Session::Input, reason) => {
                // As after the end of it: what was read before is sent and answered.
                self.note::<()>(Err(Outcome::InputFailed(reason)));
                self.wake_server(orders);
            }
            (Session::Server, CloseReason::PeerClosed | CloseReason::Ended) => match self.sender.unsent() {
                0 => self.leave(orders),
                unsent => self.fail(Outcome::EndedEarly(unsent), orders),
            },
            (Session::Server, reason) => self.fail(Outcome::Closed(reason), orders),
            // Flushed, or closed by whoever read it: nobody is left to print for.
            (Session::Output, CloseReason::Ended | CloseReason::Reset) => orders.stop(Stop::AtOnce),
            (Session::Output, reason) => {
                self.decide(Outcome::OutputFailed(reason));
                orders.stop(Stop::AtOnce);
            }
        }
    }

    fn connect_failed(&mut self, _tag: usize, reason: CloseReason, orders: &mut Orders) {
        match self.dialer.failed(reason, orders) {
            // It may wait for a timer, and this source has none.
            Ok(()) => self.wake_output(orders),
            Err(reason) => self.fail(Outcome::Closed(reason), orders),
        }
    }
}
