//! What the client prints: replies as lines of text, as fast as standard output takes them.

use std::io::{self, Write};
use std::time::Duration;

use crate::apps::client::delivery::LOOK_EVERY;
use crate::apps::client::outcome::SendOutcome;
use crate::apps::client::refusal::is_refusal;
use crate::os::clock::Tick;
use crate::os::standard_stream::stderr_is_ready;
use crate::protocol::escape::Escaped;
use crate::protocol::frame::Parsed;
use crate::protocol::framing::{Framing, Rules};
use crate::reactor::reply::Reply;

/// Bytes of printed text waiting for standard output at which the server is not read any more. Over that limit a
/// datagram is dropped: an unread socket would drop it too, without a count.
const PRINT_LIMIT: usize = 64 * 1024;

/// The text that standard output is to take next.
#[derive(Debug)]
pub(crate) struct Printer {
    /// How replies are framed and encoded.
    rules: Rules,
    /// Bytes are printed as they are.
    raw: bool,
    /// Replies are escaped, because a terminal shows them.
    escape: bool,
    /// How much of an incomplete reply was looked at.
    scanned: u32,
    text: Vec<u8>,
    /// A reply was printed whose end is not known yet, so its line is open.
    is_open: bool,
    /// How many replies came. Raw bytes of a stream are one.
    pub received: u64,
    /// How many of them were dropped, because standard output took nothing.
    pub dropped: u64,
    /// The last reply was a refusal, from a server at its limit.
    is_refusal: bool,
    prompt: Prompt,
    /// Until when standard output is waited for, once nothing more will be printed.
    last_call: Option<Tick>,
}

/// The question for the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompt {
    /// No prompt.
    None,
    /// The prompt is to be written after what is printed.
    Due,
    /// The prompt is on the terminal; typed text follows it.
    Stands,
}

/// Whether all that was printed has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flush {
    /// All has left.
    Done,
    /// Not yet: ask again at once, or at this moment at the latest.
    Pending(Option<Tick>),
    /// It did not leave in time.
    Late,
}

impl Printer {
    /// Nothing is printed yet.
    pub(crate) fn new(rules: Rules, raw: bool, escape: bool) -> Printer {
        Printer {
            rules,
            raw,
            escape,
            scanned: 0,
            text: Vec::new(),
            is_open: false,
            received: 0,
            dropped: 0,
            is_refusal: false,
            prompt: Prompt::None,
            last_call: None,
        }
    }

    /// Whether nothing came but the refusal of a server at its limit.
    pub(crate) fn has_refusal_alone(&self) -> bool {
        self.is_refusal && self.received == 1
    }

    /// Whether so much waits for standard output that nothing more should be read.
    pub(crate) fn is_full(&self) -> bool {
        self.text.len() >= PRINT_LIMIT
    }

    /// Prints the replies in `bytes` that are complete, or all at the `end`; returns how many bytes they took. Chunk
    /// framing does not mark the end of a reply, and a read may bring a part of one: all is printed, and
    /// [`end_reply`](Printer::end_reply) ends its line.
    pub(crate) fn stream(&mut self, bytes: &[u8], end: bool) -> Result<usize, SendOutcome> {
        let rules = self.rules;
        if self.raw {
            if !bytes.is_empty() {
                self.is_refusal = self.received == 0 && is_refusal(bytes);
                self.received = 1;
            }
            self.text.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        if rules.framing == Framing::Chunk {
            let whole = if end { bytes.len() } else { rules.charset.whole_characters(bytes) };
            if whole > 0 {
                self.is_refusal = !self.is_open && is_refusal(&bytes[..whole]);
                self.received += u64::from(!self.is_open);
                self.is_open = true;
                self.print(&bytes[..whole]);
            }
            if end {
                self.end_reply();
            }
            return Ok(whole);
        }
        let mut taken = 0;
        loop {
            match rules.next(bytes, taken, &mut self.scanned, end) {
                Parsed::Frame(frame) => {
                    self.line(&bytes[frame.body]);
                    taken = frame.end;
                }
                Parsed::Incomplete => return Ok(taken),
                Parsed::TooLong | Parsed::Truncated => return Err(SendOutcome::BadReply),
            }
        }
    }

    /// Prints a datagram, or drops it where too much waits already: a pause would not make its sender wait.
    pub(crate) fn datagram(&mut self, bytes: &[u8]) {
        if self.is_full() {
            self.received += 1;
            self.dropped += 1;
        } else if self.raw {
            self.received += 1;
            self.text.extend_from_slice(bytes);
        } else {
            self.line(bytes);
        }
    }

    /// Ends the line of the current reply, if it is open.
    pub(crate) fn end_reply(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.text.push(b'\n');
        }
    }

    fn line(&mut self, reply: &[u8]) {
        self.received += 1;
        self.is_refusal = is_refusal(reply);
        self.print(reply);
        self.text.push(b'\n');
    }

    fn print(&mut self, part: &[u8]) {
        self.leave_prompt();
        let text = self.rules.charset.decode(part);
        if self.escape {
            self.text.extend_from_slice(Escaped(&text).to_string().as_bytes());
        } else {
            self.text.extend_from_slice(text.as_bytes());
        }
    }

    /// Asks for a line after what is printed, unless the prompt is there already.
    pub(crate) fn ask(&mut self) {
        self.end_reply();
        if self.prompt == Prompt::None {
            self.prompt = Prompt::Due;
        }
    }

    /// A person has typed a line, and its ending with it.
    pub(crate) fn typed(&mut self) {
        self.prompt = Prompt::None;
    }

    /// Starts a new line if the prompt stands: no typed line follows.
    pub(crate) fn leave_prompt(&mut self) {
        if std::mem::replace(&mut self.prompt, Prompt::None) == Prompt::Stands {
            tell("\n");
        }
    }

    /// Writes a remark about what was typed to standard error.
    pub(crate) fn remark(&mut self, remark: &str) {
        self.leave_prompt();
        tell(&format!("cooee: {}\n", Escaped(remark)));
    }

    /// Gives standard output what is printed, then the prompt. Returns whether to call again in the next turn.
    pub(crate) fn hand_over(&mut self, reply: &mut Reply<'_>) -> bool {
        if self.text.is_empty() {
            if self.prompt == Prompt::Due {
                self.prompt = Prompt::Stands;
                tell("> ");
            }
            return false;
        }
        if reply.wait_if_full() {
            // The handler is called again when there is room.
            return false;
        }
        reply.send(&self.text);
        self.text.clear();
        self.prompt == Prompt::Due
    }

    /// Whether all printed text has left, once nothing more will be printed; `owed` bytes are with standard output. The
    /// first call starts the `wait`, which no progress extends.
    pub(crate) fn flush(&mut self, now: Tick, owed: usize, wait: Duration) -> Flush {
        if owed == 0 && self.text.is_empty() {
            return Flush::Done;
        }
        match self.last_call {
            // What was just handed over leaves in this turn, if it can.
            None => {
                self.last_call = Some(now.after(wait));
                Flush::Pending(None)
            }
            Some(until) if until <= now => Flush::Late,
            Some(until) => Flush::Pending(Some(now.after(LOOK_EVERY).min(until))),
        }
    }
}

/// Writes to the person at the terminal, on standard error. Errors are ignored, and a stopped terminal does not block
/// the loop.
fn tell(text: &str) {
    if stderr_is_ready() {
        let _ = io::stderr().write_all(text.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::charset::Charset;
    use crate::reactor::reply::Outgoing;

    fn printer(framing: Framing, raw: bool, escape: bool) -> Printer {
        let rules = Rules { framing, max_frame: 10, charset: Charset::UTF_8 };
        Printer::new(rules, raw, escape)
    }

    #[test]
    fn a_reply_is_a_line_however_it_is_framed() {
        let mut chunk = printer(Framing::Chunk, false, false);
        assert_eq!(chunk.stream("a数".as_bytes(), false), Ok(4));
        assert_eq!(chunk.stream(b"", false), Ok(0));
        assert_eq!(chunk.stream(b"b\xe6", false), Ok(1));
        assert_eq!(chunk.stream(b"\xe6", true), Ok(1));
        assert_eq!(chunk.text, "a数b\u{fffd}\n".as_bytes(), "reads are no replies");
        assert_eq!(chunk.received, 1);
        chunk.end_reply();
        assert_eq!(chunk.stream(b"next", false), Ok(4));
        chunk.end_reply();
        assert!(chunk.text.ends_with("\u{fffd}\nnext\n".as_bytes()) && chunk.received == 2, "{chunk:?}");
        let mut line = printer(Framing::Line, false, false);
        assert_eq!(line.stream(b"one\r\ntwo\nthr", false), Ok(9));
        assert_eq!(line.stream(b"thr", true), Ok(3));
        assert_eq!(line.text, b"one\ntwo\nthr\n");
        assert_eq!(line.received, 3);
        let mut len32 = printer(Framing::Len32, false, false);
        assert_eq!(len32.stream(b"\0\0\0\x02hi\0\0", false), Ok(6));
        assert_eq!(len32.stream(b"\0\0", true), Err(SendOutcome::BadReply));
        assert_eq!(len32.stream(b"\xff\0\0\0", false), Err(SendOutcome::BadReply));
    }

    #[test]
    fn raw_is_printed_as_it_is_and_a_terminal_is_spared() {
        let mut raw = printer(Framing::Line, true, false);
        assert_eq!(raw.stream(b"\xff\x1b", false), Ok(2));
        assert_eq!(raw.stream(b"\0", false), Ok(1));
        assert_eq!((&raw.text[..], raw.received), (&b"\xff\x1b\0"[..], 1), "reads are no replies");
        raw.datagram(b"\x01");
        assert_eq!((&raw.text[3..], raw.received), (&b"\x01"[..], 2));
        let mut escaped = printer(Framing::Chunk, false, true);
        assert_eq!(escaped.stream(b"\x1b[2J", false), Ok(4));
        escaped.end_reply();
        assert_eq!(escaped.text, b"\\u{1b}[2J\n");
    }

    #[test]
    fn datagrams_over_the_limit_are_counted_and_not_kept() {
        let mut printer = printer(Framing::Chunk, false, false);
        for _ in 0..1000 {
            printer.datagram(&[b'x'; 60_000]);
        }
        assert_eq!((printer.received, printer.dropped), (1000, 998));
        assert!(printer.text.len() < 2 * PRINT_LIMIT);
    }

    #[test]
    fn standard_output_is_handed_text_while_it_has_room() {
        let mut printer = printer(Framing::Chunk, false, false);
        printer.stream(b"hi", true).unwrap();
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        printer.hand_over(&mut Reply::new(&[], None, &mut composed, &mut outgoing, 10, 10));
        assert!(!printer.text.is_empty() && composed.is_empty());
        printer.hand_over(&mut Reply::new(&[], None, &mut composed, &mut outgoing, 9, 10));
        assert!(printer.text.is_empty());
        assert_eq!(composed, b"hi\n");
    }

    #[test]
    fn a_last_call_has_an_end() {
        let second = Duration::from_secs(1);
        let at = |seconds| Tick::at(second * seconds);
        let mut printer = printer(Framing::Chunk, false, false);
        assert_eq!(printer.flush(at(0), 5, 3 * second), Flush::Pending(None));
        assert_eq!(printer.flush(at(0), 5, 3 * second), Flush::Pending(Some(at(0).after(LOOK_EVERY))));
        assert_eq!(printer.flush(Tick::at(Duration::from_millis(2_990)), 4, 3 * second), Flush::Pending(Some(at(3))));
        assert_eq!(printer.flush(at(3), 3, 3 * second), Flush::Late);
        assert_eq!(printer.flush(at(3), 0, 3 * second), Flush::Done);
    }

    #[test]
    fn a_person_is_asked_once_what_was_printed_has_left() {
        let mut printer = printer(Framing::Chunk, false, false);
        let hand_over = |printer: &mut Printer| {
            printer.hand_over(&mut Reply::new(&[], None, &mut Vec::new(), &mut Outgoing::default(), 0, 10))
        };
        printer.stream(b"hi", false).unwrap();
        assert!(!hand_over(&mut printer));
        printer.stream(b"hi", false).unwrap();
        printer.ask();
        assert!(hand_over(&mut printer) && printer.prompt == Prompt::Due, "in the next turn");
        assert!(!hand_over(&mut printer) && printer.prompt == Prompt::Stands);
        printer.ask();
        assert_eq!(printer.prompt, Prompt::Stands, "once");
        printer.datagram(b"news");
        assert_eq!(printer.prompt, Prompt::None, "it is not the last line any more");
    }

    #[test]
    fn the_words_of_a_server_at_its_limit_are_known_where_nothing_else_came() {
        let words = b"too many connections, try again later";
        for framing in [Framing::Chunk, Framing::Line] {
            let mut printer = printer(framing, false, false);
            printer.rules.max_frame = 100;
            assert!(!printer.has_refusal_alone());
            printer.stream(words, true).unwrap();
            assert!(printer.has_refusal_alone(), "{framing}");
            printer.stream(b"x", true).unwrap();
            assert!(!printer.has_refusal_alone(), "{framing}");
        }
    }
}
