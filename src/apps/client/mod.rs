//! The client: sends lines or raw bytes to one server, and prints what comes back.
//!
//! It is a handler of three sources on the same reactor as the server's: standard input, the server, and standard
//! output. Each holds up the one before it by its own back-pressure, so neither a fast sender nor a stopped terminal
//! grows a queue.
//!
//! ```text
//!   standard input --> Sender --> the server (found by ServerDialer) --> Printer --> standard output
//! ```
//!
//! The parts decide and hold no keys; [`Client`] wires them.

mod conversation;
pub mod delivery;
pub mod dialer;
pub mod options;
pub mod outcome;
pub mod printer;
mod refusal;
pub mod replies;
pub mod sender;

use std::io::ErrorKind;
use std::time::Duration;

use crate::apps::client::delivery::Delivery;
use crate::apps::client::dialer::ServerDialer;
use crate::apps::client::options::SendOptions;
use crate::apps::client::outcome::SendOutcome;
use crate::apps::client::printer::{Flush, Printer};
use crate::apps::client::replies::Replies;
use crate::apps::client::sender::{Manner, Sender};
use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Context, Handler, Orders, Stop};
use crate::reactor::tag::Tag;

/// The shortest time in which the server has to take what it is owed: an acknowledgement takes a round trip, however
/// short the wait for replies.
const DELIVERY_MIN: Duration = Duration::from_secs(1);

/// What the client remembers of one source: which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientSession {
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
    dialer: ServerDialer,
    delivery: Delivery,
    replies: Replies,
    wait: Duration,
    pace: Duration,
    prompt: bool,
    /// Messages are a stream of bytes: what comes back cannot be counted.
    is_stream: bool,
    input: Option<Key>,
    /// The connection, or the datagram socket, once there is one; none while the next address is dialled.
    server: Option<Key>,
    output: Option<Key>,
    /// Whether standard input may give the next line; otherwise it is paused.
    asked: bool,
    /// Standard output takes too little: the server is not read until it does.
    server_paused: bool,
    /// When something came last.
    heard_at: Option<Tick>,
    /// The server has ended its side, and since then it was sent nothing.
    ended_since: Option<Tick>,
    /// How many messages were sent when the server ended its side.
    sent_before_end: Option<u64>,
    /// A person was told how long a line waits for its reply.
    told_of_pace: bool,
    /// This side has ended towards the server.
    half_closed: bool,
    /// Nothing more is sent or waited for: what is printed is flushed, then the program ends.
    leaving: bool,
    outcome: SendOutcome,
}

impl Client {
    /// A client that has done nothing yet.
    pub fn new(options: SendOptions) -> Client {
        let SendOptions { rules, raw, escape, prompt, replies, wait, pace, bye, datagrams, .. } = options;
        let dialer = ServerDialer::new(options.candidates, datagrams, options.connect_timeout);
        let is_paced = Manner::is_paced(rules.framing, raw, prompt && replies.expects_some());
        let mut client = Client {
            sender: Sender::new(Manner { rules, bye, raw, datagrams, pace: is_paced.then_some(pace) }),
            printer: Printer::new(rules, raw, escape),
            dialer,
            delivery: Delivery::new(wait.max(DELIVERY_MIN), if replies.expects_some() { wait } else { Duration::ZERO }),
            replies,
            wait,
            pace,
            prompt,
            is_stream: raw && !datagrams,
            input: None,
            server: None,
            output: None,
            asked: false,
            server_paused: false,
            heard_at: None,
            ended_since: None,
            sent_before_end: None,
            told_of_pace: false,
            half_closed: false,
            leaving: false,
            outcome: SendOutcome::Done,
        };
        if let Some(messages) = options.messages {
            let queued = messages.iter().try_for_each(|message| client.sender.text(message));
            client.note(queued);
            client.sender.end();
        }
        client
    }

    /// Takes the keys of the registered standard streams, and orders the first connection or datagram socket.
    pub fn start(&mut self, input: Option<Key>, output: Key, orders: &mut Orders) {
        self.input = input;
        self.output = Some(output);
        self.dialer.dial(orders);
    }

    /// How it went.
    pub fn outcome(&self) -> SendOutcome {
        self.outcome
    }

    /// How many replies were dropped, because standard output took nothing.
    pub fn dropped(&self) -> u64 {
        self.printer.dropped
    }

    /// How many messages the server could not answer, because it had ended its side before they were sent, although
    /// replies were expected.
    pub fn sent_in_vain(&self) -> u64 {
        let before = self.sent_before_end.filter(|_| self.replies.expects_some());
        before.map_or(0, |before| self.sender.sent - before)
    }

    /// Notes what could not be sent. Nothing is sent after it, and what was sent before is still answered.
    fn note<T>(&mut self, result: Result<T, SendOutcome>) -> Option<T> {
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
    fn decide(&mut self, outcome: SendOutcome) {
        if self.outcome == SendOutcome::Done {
            self.outcome = outcome;
        }
    }

    fn fail(&mut self, outcome: SendOutcome, orders: &mut Orders) {
        self.decide(outcome);
        self.leave(orders);
    }

    /// Nothing more will come: what was printed is flushed, then the program ends.
    fn leave(&mut self, orders: &mut Orders) {
        self.leaving = true;
        self.printer.end_reply();
        self.printer.leave_prompt();
        orders.wake(self.output);
    }

    /// Lets standard input give the next lines. A prompt asks a person after the last reply has been printed.
    fn ask_for_more(&mut self, orders: &mut Orders) {
        let Some(input) = self.input else { return };
        if !std::mem::replace(&mut self.asked, true) {
            orders.wake(input);
        }
        if self.prompt {
            self.printer.ask();
            orders.wake(self.output);
        }
    }

    /// Takes lines, or raw bytes, for the server: one at a time if each waits for its reply.
    fn take_input(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        if self.sender.ended {
            return bytes.len();
        }
        if self.server.is_none() || !self.sender.wants_more() {
            self.hold_input(cx);
            return 0;
        }
        let (taken, queued) = self.sender.take(bytes);
        if taken == 0 {
            return 0;
        }
        self.hold_input(cx);
        cx.orders.wake(self.server);
        self.printer.typed();
        match queued {
            // A person can type it in another way.
            Err(outcome) if self.prompt => self.printer.remark(&outcome.to_string()),
            queued if self.note(queued).is_none() => return bytes.len(),
            _ => {}
        }
        taken
    }

    fn hold_input(&mut self, cx: &mut Context<'_>) {
        self.asked = false;
        cx.pause();
    }

    /// The tick of standard output: printing, the dialer's timer, and the end.
    fn serve_output(&mut self, cx: &mut Context<'_>) {
        match self.dialer.look(cx.now, cx.orders) {
            Ok(None) => {}
            Ok(Some(moment)) => cx.wake_at(moment),
            Err(reason) => self.fail(SendOutcome::Closed(reason), cx.orders),
        }
        if self.printer.hand_over(&mut cx.reply) {
            cx.orders.wake(cx.key);
        }
        if self.server_paused && !self.printer.is_full() {
            self.server_paused = false;
            cx.orders.wake(self.server);
        }
        if !self.leaving {
            return;
        }
        match self.printer.flush(cx.now, cx.reply.owed(), self.wait) {
            Flush::Done => cx.finish(CloseReason::Ended),
            Flush::Pending(None) => cx.orders.wake(cx.key),
            Flush::Pending(Some(moment)) => cx.wake_at(moment),
            Flush::Late => {
                self.decide(SendOutcome::OutputStalled);
                cx.orders.stop(Stop::AtOnce);
            }
        }
    }
}

impl Handler for Client {
    type Session = ClientSession;

    fn open(&mut self, _tag: Tag, cx: &mut Context<'_>) -> ClientSession {
        self.server = Some(cx.key);
        // A datagram socket opens whether the server is there or not.
        if !self.dialer.datagrams {
            self.dialer.candidates.answered();
        }
        self.send_next(cx);
        ClientSession::Server
    }

    fn receive(&mut self, session: &mut ClientSession, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        match session {
            ClientSession::Input => self.take_input(bytes, cx),
            ClientSession::Output => bytes.len(),
            // What comes after the time is up is not printed, or a server that never stops would keep the client alive.
            ClientSession::Server if self.leaving => {
                cx.pause();
                0
            }
            ClientSession::Server if self.printer.is_full() => {
                self.server_paused = true;
                cx.pause();
                0
            }
            ClientSession::Server => match self.printer.stream(bytes, false) {
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

    fn end_of_stream(&mut self, session: &mut ClientSession, rest: &[u8], cx: &mut Context<'_>) {
        match session {
            ClientSession::Input => {
                if !rest.is_empty() && !self.sender.ended {
                    let queued = self.sender.take_last(rest);
                    self.note(queued);
                }
                self.sender.end();
                cx.orders.wake(self.server);
                cx.finish(CloseReason::Ended);
            }
            // Nothing is ever read from it.
            ClientSession::Output => {}
            ClientSession::Server => {
                if let Err(outcome) = self.printer.stream(rest, true) {
                    self.fail(outcome, cx.orders);
                }
                self.server_ended(cx);
            }
        }
    }

    fn datagram(&mut self, _session: &mut ClientSession, bytes: &[u8], cx: &mut Context<'_>) {
        self.dialer.candidates.answered();
        if !self.leaving {
            self.printer.datagram(bytes);
            self.replied(bytes, cx);
        }
    }

    fn datagram_error(&mut self, _session: &mut ClientSession, reason: CloseReason, cx: &mut Context<'_>) {
        // The socket was given up.
        if self.server != Some(cx.key) {
            return;
        }
        match reason {
            CloseReason::Failed(ErrorKind::WouldBlock) => self.send_again(cx),
            reason => self.try_elsewhere(reason, cx),
        }
    }

    fn tick(&mut self, session: &mut ClientSession, cx: &mut Context<'_>) {
        match session {
            ClientSession::Input => {}
            ClientSession::Server => self.send_next(cx),
            ClientSession::Output => self.serve_output(cx),
        }
    }

    fn close(&mut self, session: ClientSession, reason: CloseReason, orders: &mut Orders) {
        match (session, reason) {
            // The reactor stops, because this client said so.
            (_, CloseReason::Aborted) => {}
            // A datagram socket to an address that was given up.
            (ClientSession::Server, _) if self.server.is_none() => {}
            (ClientSession::Input, CloseReason::Ended | CloseReason::PeerClosed) => {}
            (ClientSession::Input, reason) => {
                // As after the end of it: what was read before is sent and answered.
                self.note::<()>(Err(SendOutcome::InputFailed(reason)));
                orders.wake(self.server);
            }
            // It closed what it refused before it had read all.
            (ClientSession::Server, CloseReason::Reset) if self.is_refused() => self.fail(SendOutcome::AtLimit, orders),
            (ClientSession::Server, CloseReason::Reset) if self.ended_since.is_some() => {
                self.fail(SendOutcome::EndedEarly(self.sender.unsent()), orders);
            }
            (ClientSession::Server, reason) => self.fail(SendOutcome::Closed(reason), orders),
            (ClientSession::Output, CloseReason::Ended) => orders.stop(Stop::AtOnce),
            (ClientSession::Output, CloseReason::Reset) => {
                self.decide(SendOutcome::OutputClosed);
                orders.stop(Stop::AtOnce);
            }
            (ClientSession::Output, reason) => {
                self.decide(SendOutcome::OutputFailed(reason));
                orders.stop(Stop::AtOnce);
            }
        }
    }

    fn connect_failed(&mut self, _tag: Tag, reason: CloseReason, orders: &mut Orders) {
        match self.dialer.failed(reason, orders) {
            // It may wait for a timer, and this source has none.
            Ok(()) => orders.wake(self.output),
            Err(reason) => self.fail(SendOutcome::Closed(reason), orders),
        }
    }
}
