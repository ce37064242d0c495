//! What the client prints: replies as lines of text, as fast as standard output takes them.

use std::io::{self, Write};
use std::time::Duration;

use crate::apps::client::farewell::is_farewell;
use crate::apps::client::outcome::Outcome;
use crate::os::clock::Tick;
use crate::os::standard_stream::stderr_is_ready;
use crate::protocol::escape::Escaped;
use crate::protocol::frame::Step;
use crate::protocol::framing::{Framing, Rules};
use crate::reactor::reply::Reply;

/// Printed text that standard output has not taken, in bytes, at which the server is not read any more. Over that limit
/// a datagram is dropped: a socket that is not read drops it too, and says so to nobody.
const PRINT_LIMIT: usize = 64 * 1024;

/// How replies become text.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// How replies are framed and encoded.
    pub rules: Rules,
    /// Bytes are printed as they are.
    pub raw: bool,
    /// Replies are escaped, because a terminal shows them.
    pub escape: bool,
}

/// The text that standard output is to take next.
#[derive(Debug)]
pub struct Printer {
    style: Style,
    /// How much of an incomplete reply was looked at.
    scanned: u32,
    text: Vec<u8>,
    /// A reply is printed whose end is not known yet, so nothing ends its line.
    is_open: bool,
    received: u64,
    dropped: u64,
    /// The last reply was a farewell, from a server at its limit.
    is_farewell: bool,
    prompt: Prompt,
    /// Until when standard output is waited for, once nothing more will be printed.
    last_call: Option<Tick>,
}

/// The question for the next line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Prompt {
    /// Nobody is asked now.
    None,
    /// A person is to be asked, after what is printed.
    Due,
    /// It stands on the terminal, and behind it is what a person types.
    Stands,
}

/// Whether all that was printed has left.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flush {
    /// It has.
    Done,
    /// Not yet: it is to be asked again at once, or not later than then.
    Pending(Option<Tick>),
    /// Not in time.
    Late,
}

impl Printer {
    /// Nothing is printed yet.
    pub fn new(style: Style) -> Printer {
        Printer {
            style,
            scanned: 0,
            text: Vec::new(),
            is_open: false,
            received: 0,
            dropped: 0,
            is_farewell: false,
            prompt: Prompt::None,
            last_call: None,
        }
    }

    /// Whether nothing came but the farewell of a server at its limit.
    pub fn has_farewell_alone(&self) -> bool {
        self.is_farewell && self.received == 1
    }

    /// How many replies came. Raw bytes of a stream are one.
    pub fn received(&self) -> u64 {
        self.received
    }

    /// How many of them were dropped, because standard output took nothing.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Whether so much waits for standard output that nothing more should be read.
    pub fn is_full(&self) -> bool {
        self.text.len() >= PRINT_LIMIT
    }

    /// Whether nothing waits for standard output.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// Prints the replies in `bytes` that are complete, or all at the `end`; returns how many bytes they took. In chunk
    /// framing nobody says where a reply ends, and a read may bring a part of one: all is printed, and
    /// [`end_reply`](Printer::end_reply) ends its line.
    pub fn stream(&mut self, bytes: &[u8], end: bool) -> Result<usize, Outcome> {
        let rules = self.style.rules;
        if self.style.raw {
            if !bytes.is_empty() {
                self.is_farewell = self.received == 0 && is_farewell(bytes);
                self.received = 1;
            }
            self.text.extend_from_slice(bytes);
            return Ok(bytes.len());
        }
        if rules.framing == Framing::Chunk {
            let whole = if end { bytes.len() } else { rules.charset.whole_characters(bytes) };
            if whole > 0 {
                self.is_farewell = !self.is_open && is_farewell(&bytes[..whole]);
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
                Step::Frame(frame) => {
                    self.line(&bytes[frame.body]);
                    taken = frame.end;
                }
                Step::Incomplete => return Ok(taken),
                Step::TooLong | Step::Truncated => return Err(Outcome::BadReply),
            }
        }
    }

    /// Prints a datagram, or drops it where too much waits already: a pause would not make its sender wait.
    pub fn datagram(&mut self, bytes: &[u8]) {
        if self.is_full() {
            self.received += 1;
            self.dropped += 1;
        } else if self.style.raw {
            self.received += 1;
            self.text.extend_from_slice(bytes);
        } else {
            self.line(bytes);
        }
    }

    /// What comes next belongs to another reply, or to none: the line of the one that is printed ends, if one is.
    pub fn end_reply(&mut self) {
        if std::mem::take(&mut self.is_open) {
            self.text.push(b'\n');
        }
    }

    fn line(&mut self, reply: &[u8]) {
        self.received += 1;
        self.is_farewell = is_farewell(reply);
        self.print(reply);
        self.text.push(b'\n');
    }

    fn print(&mut self, part: &[u8]) {
        self.leave_prompt();
        let text = self.style.rules.charset.decode(part);
        if self.style.escape {
            self.text.extend_from_slice(Escaped(&text).to_string().as_bytes());
        } else {
            self.text.extend_from_slice(text.as_bytes());
        }
    }

    /// A person is to be asked for a line, after what is printed, where they are not asked already.
    pub fn ask(&mut self) {
        self.end_reply();
        if self.prompt == Prompt::None {
            self.prompt = Prompt::Due;
        }
    }

    /// A person has typed a line, and its ending with it.
    pub fn typed(&mut self) {
        self.prompt = Prompt::None;
    }

    /// What comes next is no line that a person types: it begins on a line of its own.
    pub fn leave_prompt(&mut self) {
        if std::mem::replace(&mut self.prompt, Prompt::None) == Prompt::Stands {
            tell("\n");
        }
    }

    /// Tells a person something about what they typed, on a line of standard error.
    pub fn remark(&mut self, remark: &str) {
        self.leave_prompt();
        tell(&format!("cooee: {}\n", Escaped(remark)));
    }

    /// Hands standard output what is printed, then the prompt. Returns whether it has to be called again in the next
    /// turn.
    pub fn hand_over(&mut self, reply: &mut Reply<'_>) -> bool {
        if self.text.is_empty() {
            if self.prompt == Prompt::Due {
                self.prompt = Prompt::Stands;
                tell("> ");
            }
            return false;
        }
        if reply.wait_if_full() {
            // Whoever was told so is called when there is room.
            return false;
        }
        reply.send(&self.text);
        self.text.clear();
        self.prompt == Prompt::Due
    }

    /// Whether all has left, where nothing more will be printed and `owed` bytes are with standard output. From the
    /// first call on it is waited for so long at the most, however slowly it moves.
    pub fn flush(&mut self, now: Tick, owed: usize, wait: Duration, look_every: Duration) -> Flush {
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
            Some(until) => Flush::Pending(Some(now.after(look_every).min(until))),
        }
    }
}

/// Writes to the person at the terminal, on standard error. Where nobody reads it, nobody misses it; and the loop does
/// not wait for a terminal that is stopped.
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
        Printer::new(Style { rules, raw, escape })
    }

    #[test]
    fn a_reply_is_a_line_however_it_is_framed() {
        let mut chunk = printer(Framing::Chunk, false, false);
        assert_eq!(chunk.stream("a数".as_bytes(), false), Ok(4));
        assert_eq!(chunk.stream(b"", false), Ok(0));
        assert_eq!(chunk.stream(b"b\xe6", false), Ok(1));
        assert_eq!(chunk.stream(b"\xe6", true), Ok(1));
        assert_eq!(chunk.text, "a数b\u{fffd}\n".as_bytes(), "reads are no replies");
        assert_eq!(chunk.received(), 1);
        chunk.end_reply();
        assert_eq!(chunk.stream(b"next", false), Ok(4));
        chunk.end_reply();
        assert!(chunk.text.ends_with("\u{fffd}\nnext\n".as_bytes()) && chunk.received() == 2, "{chunk:?}");
        let mut line = printer(Framing::Line, false, false);
        assert_eq!(line.stream(b"one\r\ntwo\nthr", false), Ok(9));
        assert_eq!(line.stream(b"thr", true), Ok(3));
        assert_eq!(line.text, b"one\ntwo\nthr\n");
        assert_eq!(line.received(), 3);
        let mut len32 = printer(Framing::Len32, false, false);
        assert_eq!(len32.stream(b"\0\0\0\x02hi\0\0", false), Ok(6));
        assert_eq!(len32.stream(b"\0\0", true), Err(Outcome::BadReply));
        assert_eq!(len32.stream(b"\xff\0\0\0", false), Err(Outcome::BadReply));
    }

    #[test]
    fn raw_is_printed_as_it_is_and_a_terminal_is_spared() {
        let mut raw = printer(Framing::Line, true, false);
        assert_eq!(raw.stream(b"\xff\x1b", false), Ok(2));
        assert_eq!(raw.stream(b"\0", false), Ok(1));
        assert_eq!((&raw.text[..], raw.received()), (&b"\xff\x1b\0"[..], 1), "reads are no replies");
        raw.datagram(b"\x01");
        assert_eq!((&raw.text[3..], raw.received()), (&b"\x01"[..], 2));
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
        assert_eq!((printer.received(), printer.dropped()), (1000, 998));
        assert!(printer.text.len() < 2 * PRINT_LIMIT);
    }

    #[test]
    fn standard_output_is_handed_text_while_it_has_room() {
        let mut printer = printer(Framing::Chunk, false, false);
        printer.stream(b"hi", true).unwrap();
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        printer.hand_over(&mut Reply::new(&[], None, &mut composed, &mut outgoing, 10, 10));
        assert!(!printer.is_empty() && composed.is_empty());
        printer.hand_over(&mut Reply::new(&[], None, &mut composed, &mut outgoing, 9, 10));
        assert!(printer.is_empty());
        assert_eq!(composed, b"hi\n");
    }

    #[test]
    fn a_last_call_has_an_end() {
        let second = Duration::from_secs(1);
        let at = |seconds| Tick::at(second * seconds);
        let mut printer = printer(Framing::Chunk, false, false);
        assert_eq!(printer.flush(at(0), 5, 3 * second, 2 * second), Flush::Pending(None));
        assert_eq!(printer.flush(at(0), 5, 3 * second, 2 * second), Flush::Pending(Some(at(2))));
        assert_eq!(printer.flush(at(2), 4, 3 * second, 2 * second), Flush::Pending(Some(at(3))));
        assert_eq!(printer.flush(at(3), 3, 3 * second, 2 * second), Flush::Late);
        assert_eq!(printer.flush(at(3), 0, 3 * second, 2 * second), Flush::Done);
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
            printer.style.rules.max_frame = 100;
            assert!(!printer.has_farewell_alone());
            printer.stream(words, true).unwrap();
            assert!(printer.has_farewell_alone(), "{framing}");
            printer.stream(b"x", true).unwrap();
            assert!(!printer.has_farewell_alone(), "{framing}");
        }
    }
}
