//! The client: sends lines or raw bytes to one server, and prints what comes back.
//!
//! It is a handler of three sources on the same reactor as the server's: standard input, the server, and standard output.
//! Each holds up the one before it by its own back-pressure, so neither a fast sender nor a stopped terminal grows a queue.

pub mod outcome;

use std::collections::VecDeque;
use std::io::ErrorKind;
use std::io::{self, Write};
use std::time::Duration;

use crate::address::Address;
use crate::clock::Tick;
use crate::close_reason::CloseReason;
use crate::handler::{Context, Handler, Orders, Stop};
use crate::key::Key;
use crate::net::standard_stream::stderr_is_ready;
use crate::protocol::bye::{BYE, Bye};
use crate::protocol::escape::Escaped;
use crate::protocol::frame::Step;
use crate::protocol::framing::{Framing, Rules};
use crate::reply::Reply;

use outcome::Outcome;

/// How long the next message waits for a reply in chunk framing, so that the server does not read two as one.
const PACE: Duration = Duration::from_millis(200);

/// How long a datagram waits that the server's queue had no room for. Its queue is short, so the wait is too.
const RESEND: Duration = Duration::from_millis(20);

/// Printed text that standard output has not taken, in bytes, at which the server is not read any more.
const PRINT_LIMIT: usize = 64 * 1024;

/// What a client does.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's addresses, tried in this order. For datagrams it is empty: the socket is connected already.
    pub addresses: Vec<Address>,
    /// Messages to send instead of standard input's lines.
    pub messages: Option<Vec<String>>,
    /// Bytes are streamed as they are.
    pub raw: bool,
    /// How messages are encoded and framed.
    pub rules: Rules,
    /// What sending `bye` does; closing and stopping are the same here.
    pub bye: Bye,
    /// How long to wait for what is owed, after the last message.
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
    options: Options,
    input: Option<Key>,
    server: Option<Key>,
    output: Option<Key>,
    /// Encoded and framed messages that are next. Of standard input at most one read is taken ahead.
    outgoing: VecDeque<Vec<u8>>,
    /// The last datagram, in case that it did not leave.
    last: Vec<u8>,
    /// Which datagram did not leave at its first try, and when that was.
    refused: Option<(u64, Tick)>,
    /// Standard input may give the next line; otherwise it is paused.
    asked: bool,
    /// No more messages will come.
    input_ended: bool,
    /// Until when the next message waits for a reply to the last.
    paced_until: Option<Tick>,
    /// The last message has left: until when replies are waited for.
    deadline: Option<Tick>,
    scanned: u32,
    sent: u64,
    received: u64,
    printed: Vec<u8>,
    prompt_due: bool,
    server_paused: bool,
    server_gone: bool,
    outcome: Outcome,
}

impl Client {
    /// A client that has done nothing yet.
    pub fn new(options: Options) -> Client {
        let mut client = Client {
            input: None,
            server: None,
            output: None,
            outgoing: VecDeque::new(),
            last: Vec::new(),
            refused: None,
            asked: false,
            input_ended: options.messages.is_some(),
            paced_until: None,
            deadline: None,
            scanned: 0,
            sent: 0,
            received: 0,
            printed: Vec::new(),
            prompt_due: false,
            server_paused: false,
            server_gone: false,
            outcome: Outcome::Done,
            options,
        };
        for message in client.options.messages.take().unwrap_or_default() {
            client.enqueue(&message);
        }
        client
    }

    /// Tells the names of the sources, once they are registered. A datagram socket is there from the start.
    pub fn attach(&mut self, input: Option<Key>, output: Key, datagram: Option<Key>) {
        self.input = input;
        self.output = Some(output);
        self.server = datagram;
    }

    /// Orders the first step: the connection to the first address, or the first datagram.
    pub fn begin(&self, orders: &mut Orders) {
        match (self.options.addresses.first(), self.server) {
            (Some(address), _) => orders.connect(address.clone(), 0),
            (None, Some(socket)) => orders.wake(socket),
            (None, None) => orders.stop(Stop::AtOnce),
        }
    }

    /// Whether messages are datagrams.
    fn is_datagram(&self) -> bool {
        self.options.addresses.is_empty()
    }

    /// How it went.
    pub fn outcome(&self) -> Outcome {
        self.outcome
    }

    /// Encodes and frames one message. A character that the encoding cannot hold is an error: nothing else would say so.
    fn enqueue(&mut self, text: &str) {
        let Rules { framing, charset, .. } = self.options.rules;
        let body = match charset.encode(text) {
            Ok(body) => body,
            Err(character) => {
                self.outcome = Outcome::Unencodable(character);
                self.input_ended = true;
                return;
            }
        };
        let mut message = Vec::with_capacity(body.len() + 4);
        let is_bye = *body == *BYE && self.options.bye != Bye::Ignore;
        if self.is_datagram() {
            message.extend_from_slice(&body);
        } else {
            let mut outgoing = crate::reply::Outgoing::default();
            framing.whole(&body, &mut Reply::new(&[], None, &mut message, &mut outgoing, 0, usize::MAX));
        }
        self.outgoing.push_back(message);
        self.input_ended |= is_bye;
    }

    /// Lets standard input give the next lines. A person is asked for them, after the last reply has been printed.
    fn ask_for_more(&mut self, orders: &mut Orders) {
        if self.asked || self.input_ended {
            return;
        }
        if let (Some(input), Some(output)) = (self.input, self.output) {
            self.asked = true;
            orders.wake(input);
            if self.options.prompt {
                self.prompt_due = true;
                orders.wake(output);
            }
        }
    }

    /// Takes lines, or raw bytes, for the server. One at a time where each waits for its reply.
    fn take_input(&mut self, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        if self.input_ended {
            return bytes.len();
        }
        if self.server.is_none() || !self.outgoing.is_empty() || self.paced_until.is_some() {
            self.hold_input(cx);
            return 0;
        }
        let taken = if self.options.raw {
            self.outgoing.push_back(bytes.to_vec());
            bytes.len()
        } else {
            let end = match memchr::memchr(b'\n', bytes) {
                Some(end) => end,
                // The one byte more may be the CR of an ending.
                None if bytes.len() <= self.options.rules.max_frame + 1 => return 0,
                None => bytes.len(),
            };
            self.enqueue_line(&bytes[..end]);
            bytes.len().min(end + 1)
        };
        self.hold_input(cx);
        self.wake_server(cx.orders);
        taken
    }

    fn hold_input(&mut self, cx: &mut Context<'_>) {
        self.asked = false;
        cx.pause();
    }

    fn enqueue_line(&mut self, line: &[u8]) {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let max = self.options.rules.max_frame;
        if line.len() > max {
            self.outcome = Outcome::LineTooLong(max);
            self.input_ended = true;
            return;
        }
        self.enqueue(&String::from_utf8_lossy(line));
    }

    fn wake_server(&self, orders: &mut Orders) {
        if let Some(server) = self.server {
            orders.wake(server);
        }
    }

    /// Sends what may be sent now, and ends the sending after the last message.
    fn send_next(&mut self, cx: &mut Context<'_>) {
        if self.paced_until.is_some_and(|until| until <= cx.now) {
            self.paced_until = None;
        }
        // A person sees the reply before the next prompt, however messages are framed.
        let paces = self.options.prompt || (self.options.rules.framing == Framing::Chunk && !self.options.raw);
        while self.paced_until.is_none() && !cx.reply.is_full() {
            let Some(message) = self.outgoing.pop_front() else { break };
            cx.reply.send(&message);
            self.sent += 1;
            self.last = message;
            if paces {
                let until = cx.now.after(PACE);
                self.paced_until = Some(until);
                cx.wake_at(until);
            } else if self.is_datagram() {
                // One call sends one datagram.
                cx.orders.wake(cx.key);
                break;
            }
        }
        if !self.outgoing.is_empty() {
            return;
        }
        if !self.input_ended {
            if self.paced_until.is_none() {
                self.ask_for_more(cx.orders);
            }
            return;
        }
        self.wait_for_the_rest(cx);
    }

    /// The server's queue is full (`unix(7)`): its datagrams are not lost like those of UDP, but refused, and no edge of ours tells when
    /// there is room. So the last one is sent again, and its time is up when that of replies would be.
    fn send_again(&mut self, cx: &mut Context<'_>) {
        self.outgoing.push_front(std::mem::take(&mut self.last));
        self.sent -= 1;
        self.deadline = None;
        let since = self.refused.filter(|(number, _)| *number == self.sent).map_or(cx.now, |(_, since)| since);
        self.refused = Some((self.sent, since));
        if self.input_ended && cx.now.since(since) >= self.options.wait {
            self.fail(Outcome::Closed(CloseReason::HalfClosedTimeout), cx.orders);
        } else {
            let until = cx.now.after(RESEND);
            self.paced_until = Some(until);
            cx.wake_at(until);
        }
    }

    /// After the last message: ends when all is there, or when the time is up.
    fn wait_for_the_rest(&mut self, cx: &mut Context<'_>) {
        let is_late = self.deadline.is_some_and(|deadline| deadline <= cx.now);
        if self.deadline.is_none() {
            cx.half_close();
        }
        cx.wake_at(*self.deadline.get_or_insert(cx.now.after(self.options.wait)));
        let complete = self.is_datagram() && self.received >= self.sent;
        if is_late && cx.reply.owed() > 0 {
            // Not everything has left, so this is no success.
            self.fail(Outcome::Closed(CloseReason::HalfClosedTimeout), cx.orders);
        } else if complete || is_late {
            self.leave(cx.orders);
        }
    }

    /// Nothing more will come: what was printed is flushed, then the program ends.
    fn leave(&mut self, orders: &mut Orders) {
        self.server_gone = true;
        if let Some(output) = self.output {
            orders.wake(output);
        }
    }

    fn fail(&mut self, outcome: Outcome, orders: &mut Orders) {
        if self.outcome == Outcome::Done {
            self.outcome = outcome;
        }
        self.leave(orders);
    }

    /// Prints the replies in `bytes` that are complete; returns how many bytes they took.
    fn print_replies(&mut self, bytes: &[u8], end: bool, orders: &mut Orders) -> usize {
        if self.options.raw {
            self.printed.extend_from_slice(bytes);
            return bytes.len();
        }
        if self.options.rules.framing == Framing::Chunk {
            let whole = if end { bytes.len() } else { self.options.rules.charset.whole_characters(bytes) };
            if whole > 0 {
                self.print(&bytes[..whole]);
            }
            return whole;
        }
        let mut taken = 0;
        loop {
            let mut scanned = self.scanned;
            let step = self.options.rules.next(bytes, taken, &mut scanned, end);
            self.scanned = scanned;
            match step {
                Step::Frame(frame) => {
                    self.print(&bytes[frame.body]);
                    taken = frame.end;
                }
                Step::Incomplete => return taken,
                Step::TooLong | Step::Truncated => {
                    self.fail(Outcome::BadReply, orders);
                    return bytes.len();
                }
            }
        }
    }

    fn print(&mut self, reply: &[u8]) {
        self.received += 1;
        let text = self.options.rules.charset.decode(reply);
        if self.options.escape {
            self.printed.extend_from_slice(Escaped(&text).to_string().as_bytes());
        } else {
            self.printed.extend_from_slice(text.as_bytes());
        }
        self.printed.push(b'\n');
    }

    fn print_on(&mut self, orders: &mut Orders) {
        if let (Some(output), false) = (self.output, self.printed.is_empty()) {
            orders.wake(output);
        }
    }

    /// A reply came: the next message need not wait any longer.
    fn replied(&mut self, cx: &mut Context<'_>) {
        self.print_on(cx.orders);
        self.paced_until = None;
        self.send_next(cx);
    }
}

impl Handler for Client {
    type Session = Session;

    fn open(&mut self, _tag: usize, cx: &mut Context<'_>) -> Session {
        self.server = Some(cx.key);
        self.send_next(cx);
        Session::Server
    }

    fn receive(&mut self, session: &mut Session, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        match session {
            Session::Input => self.take_input(bytes, cx),
            Session::Output => bytes.len(),
            Session::Server => {
                if self.printed.len() >= PRINT_LIMIT {
                    self.server_paused = true;
                    cx.pause();
                    return 0;
                }
                let taken = self.print_replies(bytes, false, cx.orders);
                if taken > 0 {
                    self.replied(cx);
                }
                taken
            }
        }
    }

    fn finish(&mut self, session: &mut Session, rest: &[u8], cx: &mut Context<'_>) {
        match session {
            Session::Input => {
                if !rest.is_empty() {
                    self.enqueue_line(rest);
                }
                self.input_ended = true;
                self.wake_server(cx.orders);
                cx.finish(CloseReason::Ended);
            }
            // Nothing is ever read from it.
            Session::Output => {}
            Session::Server => {
                self.print_replies(rest, true, cx.orders);
                self.print_on(cx.orders);
                cx.finish(CloseReason::PeerClosed);
            }
        }
    }

    fn datagram(&mut self, _session: &mut Session, bytes: &[u8], cx: &mut Context<'_>) {
        if self.options.raw {
            self.printed.extend_from_slice(bytes);
            self.received += 1;
        } else {
            self.print(bytes);
        }
        self.replied(cx);
    }

    fn fault(&mut self, _session: &mut Session, reason: CloseReason, cx: &mut Context<'_>) {
        match reason {
            CloseReason::Failed(ErrorKind::WouldBlock) => self.send_again(cx),
            reason => self.fail(Outcome::Closed(reason), cx.orders),
        }
    }

    fn tick(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        match session {
            Session::Input => {}
            Session::Server => self.send_next(cx),
            Session::Output => {
                if self.printed.is_empty() && std::mem::take(&mut self.prompt_due) {
                    // Where nobody reads the prompt, nobody misses it, and the loop does not wait for a terminal that is stopped.
                    if stderr_is_ready() {
                        let _ = write!(io::stderr(), "> ");
                    }
                }
                if !cx.reply.is_full() {
                    cx.reply.send(&self.printed);
                    self.printed.clear();
                }
                if self.prompt_due {
                    cx.orders.wake(cx.key);
                }
                if std::mem::take(&mut self.server_paused) {
                    self.wake_server(cx.orders);
                }
                if self.server_gone && self.printed.is_empty() {
                    cx.finish(CloseReason::Ended);
                }
            }
        }
    }

    fn close(&mut self, session: Session, reason: CloseReason, orders: &mut Orders) {
        match (session, reason) {
            (Session::Input, _) => {}
            (Session::Server, CloseReason::PeerClosed | CloseReason::Ended) => self.leave(orders),
            // The reactor stops, because this client said so.
            (Session::Server, CloseReason::Aborted) => {}
            (Session::Server, reason) => self.fail(Outcome::Closed(reason), orders),
            // Flushed, or closed by whoever read it: nobody is left to print for.
            (Session::Output, _) => orders.stop(Stop::AtOnce),
        }
    }

    fn connect_failed(&mut self, tag: usize, reason: CloseReason, orders: &mut Orders) {
        match self.options.addresses.get(tag + 1) {
            Some(next) => orders.connect(next.clone(), tag + 1),
            None => self.fail(Outcome::Closed(reason), orders),
        }
    }
}
