//! What the client sends: the messages that are queued, when the next may leave, and where they end.

use std::collections::VecDeque;
use std::time::Duration;

use crate::apps::client::outcome::SendOutcome;
use crate::apps::text_form::TextForm;
use crate::os::clock::Tick;
use crate::protocol::bye::{BYE, Bye};
use crate::protocol::charset::Charset;
use crate::protocol::framing::{Framing, Rules};
use crate::protocol::mode::ack;

/// How long the first datagram waits for an error or a reply while other addresses of the server are untried.
const ALONE: Duration = Duration::from_millis(200);

/// How long a reply in chunk framing has to be silent to count as complete, if it does not hold its message, and for
/// its line to end. It is longer than a delayed acknowledgement holds back the second half of a reply (40 ms).
pub(crate) const SETTLE: Duration = Duration::from_millis(50);

/// The most bytes that an acknowledgement has around its message; a longer reply is none.
const AROUND_MAX: usize = 4 * ack::FORMAT_MAX;

/// Time until a datagram is sent again that the server's queue had no room for. The queue is short, so the wait is too.
const RESEND: Duration = Duration::from_millis(20);

/// How messages are made and when they leave.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// How messages are encoded and framed.
    pub rules: Rules,
    /// What sending `bye` does; closing and stopping are the same here.
    pub bye: Bye,
    /// Bytes are streamed as they are.
    pub raw: bool,
    /// Each message is a datagram, and nothing is framed.
    pub datagrams: bool,
    /// Each message waits so long for the reply to the one before.
    pub pace: Option<Duration>,
}

/// The messages that are next.
///
/// ```text
///   bytes of standard input --> queue --> last --> the server
///                                 ^         |
///                                 +---------+ a datagram that did not leave
/// ```
///
/// Of standard input at most one read is taken ahead: nothing is taken while the queue holds something.
#[derive(Debug)]
pub struct Sender {
    manner: Manner,
    /// Encoded and framed messages.
    queue: VecDeque<Vec<u8>>,
    /// The last message that was sent, with its frame.
    pub last: Vec<u8>,
    /// The number of the datagram that did not leave at its first try, and when that was.
    unsent_since: Option<(u64, Tick)>,
    /// The text form of standard input; `None` while its first bytes do not tell.
    form: Option<TextForm>,
    /// Until when the next message waits.
    pub paced_until: Option<Tick>,
    /// Until when incoming bytes belong to the current reply.
    settled_at: Option<Tick>,
    /// Whether anything has come since the last message left.
    is_answered: bool,
    /// The bytes of the reply to the last message; `None` once the message was found in it, or it is longer than an
    /// acknowledgement.
    heard: Option<Vec<u8>>,
    /// No more messages will come.
    pub ended: bool,
    /// How many messages were sent.
    pub sent: u64,
    /// How many bytes those are.
    pub sent_bytes: u64,
}

impl Sender {
    /// Nothing is queued yet.
    pub fn new(manner: Manner) -> Sender {
        Sender {
            manner,
            queue: VecDeque::new(),
            last: Vec::new(),
            unsent_since: None,
            form: None,
            paced_until: None,
            settled_at: None,
            is_answered: true,
            heard: None,
            ended: false,
            sent: 0,
            sent_bytes: 0,
        }
    }

    /// No more messages will come.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// How many messages are queued that were never sent.
    pub(crate) fn unsent(&self) -> usize {
        self.queue.len()
    }

    /// Whether more of standard input may be taken.
    pub(crate) fn wants_more(&self) -> bool {
        !self.ended && self.queue.is_empty() && self.paced_until.is_none()
    }

    /// Until when incoming bytes belong to the current reply; `None` when its line may end.
    pub(crate) fn settles_at(&self, now: Tick) -> Option<Tick> {
        self.settled_at.filter(|moment| *moment > now)
    }

    /// Whether the last message got no reply in its time.
    pub(crate) fn has_waited_in_vain(&self, now: Tick) -> bool {
        !self.is_answered && self.paced_until.is_some_and(|until| until <= now)
    }

    /// Takes what `bytes` of standard input begin with: raw they are one message, otherwise their first line is.
    /// Returns how many bytes that takes, 0 while the line is incomplete, and what kept it from being queued.
    pub fn take(&mut self, bytes: &[u8]) -> (usize, Result<(), SendOutcome>) {
        if self.manner.raw {
            self.queue.push_back(bytes.to_vec());
            return (bytes.len(), Ok(()));
        }
        let Some((form, mark)) = self.form(bytes, false) else { return (0, Ok(())) };
        let text = &bytes[mark..];
        let (line, taken) = match form.first_line(text) {
            Some((line, end)) => (line, end),
            // The one character more may be the CR of an ending.
            None if text.len() <= form.unit() * (self.manner.rules.max_frame + 1) => return (0, Ok(())),
            None => (text, text.len()),
        };
        self.form = Some(form);
        (mark + taken, self.line(form, line))
    }

    /// Takes the last line of standard input, which nothing ends.
    pub(crate) fn take_last(&mut self, bytes: &[u8]) -> Result<(), SendOutcome> {
        match self.form(bytes, true) {
            // A mark alone is no line.
            Some((_, mark)) if mark == bytes.len() => Ok(()),
            Some((form, mark)) => self.line(form, &bytes[mark..]),
            None => Ok(()),
        }
    }

    /// The text form of standard input, and the length of its byte order mark; `None` while that cannot be known.
    fn form(&self, bytes: &[u8], end: bool) -> Option<(TextForm, usize)> {
        self.form.map(|form| (form, 0)).or_else(|| TextForm::of(bytes, end))
    }

    /// Queues a line, which may still carry the CR of its ending. UTF-8 is passed through unchanged, valid or not;
    /// another encoding needs text.
    fn line(&mut self, form: TextForm, line: &[u8]) -> Result<(), SendOutcome> {
        let line = form.to_utf8(line).ok_or(SendOutcome::NotUtf16)?;
        let line = line.strip_suffix(b"\r").unwrap_or(&line);
        let Rules { max_frame, charset, .. } = self.manner.rules;
        if line.len() > max_frame {
            return Err(SendOutcome::LineTooLong(max_frame));
        }
        if charset == Charset::UTF_8 {
            self.body(line);
            return Ok(());
        }
        let text = str::from_utf8(line).map_err(|_| SendOutcome::NotText(charset))?;
        self.text(text)
    }

    /// Encodes, frames and queues a message. A character that the encoding cannot hold is an error.
    pub fn text(&mut self, text: &str) -> Result<(), SendOutcome> {
        let body = self.manner.rules.charset.encode(text).map_err(SendOutcome::Unencodable)?;
        self.body(&body);
        Ok(())
    }

    /// Frames and queues an encoded message; `bye` is the last. An empty one without a frame is nothing to send.
    fn body(&mut self, body: &[u8]) {
        if body.is_empty() && !self.manner.datagrams && self.manner.rules.framing == Framing::Chunk {
            return;
        }
        let framing = self.manner.rules.framing;
        self.queue.push_back(if self.manner.datagrams { body.to_vec() } else { framing.framed(body) });
        self.ended |= *body == *BYE && self.manner.bye != Bye::Ignore;
    }

    /// The next message, if one may leave now. With `alone` the one after it waits in any framing.
    pub fn next(&mut self, now: Tick, alone: bool) -> Option<&[u8]> {
        if self.paced_until.is_some_and(|until| until <= now) {
            self.paced_until = None;
        }
        if self.paced_until.is_some() {
            return None;
        }
        self.last = self.queue.pop_front()?;
        self.heard = Some(Vec::new());
        self.sent += 1;
        self.sent_bytes += self.last.len() as u64;
        self.settled_at = None;
        self.is_answered = false;
        let pace = if alone { Some(self.manner.pace.unwrap_or_default().max(ALONE)) } else { self.manner.pace };
        self.paced_until = pace.map(|pace| now.after(pace));
        Some(&self.last)
    }

    /// A reply came, or this part of one: the next message waits only until it is complete.
    ///
    /// Chunk framing does not mark the end. A reply that holds the message and little more is an echo or an
    /// acknowledgement, and complete. For any other reply the next message waits a little, or the second half would
    /// count as its reply.
    pub fn replied(&mut self, part: &[u8], now: Tick) {
        let says_its_end = self.manner.datagrams || self.manner.raw || self.manner.rules.framing != Framing::Chunk;
        let is_whole = says_its_end || self.holds_last(part);
        self.is_answered = true;
        self.settled_at = (!says_its_end).then(|| now.after(SETTLE));
        self.paced_until = (!is_whole).then(|| now.after(SETTLE));
    }

    /// Whether with this part the reply holds the last message, and little more.
    fn holds_last(&mut self, part: &[u8]) -> bool {
        let Some(mut heard) = self.heard.take() else { return false };
        heard.extend_from_slice(part);
        if heard.len() > self.last.len() + AROUND_MAX {
            return false;
        }
        let is_found = memchr::memmem::find(&heard, &self.last).is_some();
        self.heard = Some(heard).filter(|_| !is_found);
        is_found
    }

    /// The server's queue is full (`unix(7)`): the kernel refuses the datagram, and no event tells when there is room.
    /// So it is sent again after a moment. Returns since when it has been tried.
    pub(crate) fn retry_last(&mut self, now: Tick) -> Tick {
        self.take_back();
        self.paced_until = Some(now.after(RESEND));
        let since = self.unsent_since.filter(|(number, _)| *number == self.sent).map_or(now, |(_, since)| since);
        self.unsent_since = Some((self.sent, since));
        since
    }

    /// The last message did not leave: it is the next again.
    pub(crate) fn take_back(&mut self) {
        self.sent -= 1;
        self.sent_bytes -= self.last.len() as u64;
        self.queue.push_front(std::mem::take(&mut self.last));
        self.paced_until = None;
    }
}

impl Manner {
    /// Whether each message waits for the reply to the one before. In chunk framing the server could read two as one;
    /// at a prompt, the reply is shown before the next prompt in any framing.
    pub(crate) fn is_paced(framing: Framing, raw: bool, expects_at_prompt: bool) -> bool {
        expects_at_prompt || (framing == Framing::Chunk && !raw)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Duration = Duration::from_millis(200);

    fn sender(framing: Framing, label: &str) -> Sender {
        let charset = Charset::for_label(label).unwrap();
        let rules = Rules { framing, max_frame: 10, charset };
        let pace = Manner::is_paced(framing, false, false).then_some(PACE);
        Sender::new(Manner { rules, bye: Bye::Close, raw: false, datagrams: false, pace })
    }

    fn line(sender: &mut Sender, line: &[u8]) -> Result<(), SendOutcome> {
        sender.line(TextForm::Bytes, line)
    }

    fn now(millis: u64) -> Tick {
        Tick::at(Duration::from_millis(millis))
    }

    #[test]
    fn one_line_is_taken_at_a_time() {
        let mut sender = sender(Framing::Line, "utf-8");
        assert_eq!(sender.take(b"incompl"), (0, Ok(())));
        assert_eq!(sender.take(b"one\r\ntwo\n"), (5, Ok(())));
        assert!(!sender.wants_more());
        assert_eq!(sender.next(now(0), false), Some(&b"one\n"[..]));
        assert!(sender.wants_more());
        assert_eq!(sender.next(now(0), false), None);
    }

    #[test]
    fn utf_8_passes_through_whatever_it_holds_and_another_encoding_needs_text() {
        let mut utf_8 = sender(Framing::Chunk, "utf-8");
        line(&mut utf_8, b"a\xff\xfe").unwrap();
        assert_eq!(utf_8.next(now(0), false), Some(&b"a\xff\xfe"[..]));
        let mut gbk = sender(Framing::Chunk, "gbk");
        line(&mut gbk, "数".as_bytes()).unwrap();
        assert_eq!(gbk.next(now(0), false), Some(&b"\xca\xfd"[..]));
        assert_eq!(line(&mut gbk, b"a\xff\xfe"), Err(SendOutcome::NotText(Charset::for_label("gbk").unwrap())));
    }

    #[test]
    fn a_line_may_be_as_long_as_agreed_with_its_ending_besides() {
        let mut sender = sender(Framing::Line, "utf-8");
        assert_eq!(sender.take(b"1234567890\r"), (0, Ok(())));
        assert_eq!(sender.take(b"1234567890\r\n"), (12, Ok(())));
        assert_eq!(sender.take(b"12345678901\n"), (12, Err(SendOutcome::LineTooLong(10))));
        assert_eq!(sender.take(b"123456789012"), (12, Err(SendOutcome::LineTooLong(10))));
    }

    #[test]
    fn in_chunk_framing_the_next_message_waits_for_a_reply_or_a_while() {
        let mut sender = sender(Framing::Chunk, "utf-8");
        for text in ["one", "two", "three"] {
            sender.text(text).unwrap();
        }
        assert_eq!(sender.next(now(0), false), Some(&b"one"[..]));
        assert_eq!(sender.next(now(199), false), None);
        assert_eq!(sender.next(now(200), false), Some(&b"two"[..]));
        assert_eq!(sender.next(now(201), false), None);
        sender.replied(b"[two]", now(201));
        assert_eq!(sender.next(now(201), false), Some(&b"three"[..]));
        assert_eq!((sender.sent, sender.unsent()), (3, 0));
    }

    #[test]
    fn a_reply_in_chunk_framing_is_whole_when_it_holds_its_message_or_is_silent() {
        let mut sender = sender(Framing::Chunk, "utf-8");
        for text in ["one", "two", "three"] {
            sender.text(text).unwrap();
        }
        assert!(sender.next(now(0), false).is_some());
        sender.replied(b"[o", now(10));
        assert_eq!(sender.next(now(11), false), None, "a part of it");
        sender.replied(b"ne]", now(12));
        assert_eq!(sender.next(now(12), false), Some(&b"two"[..]));
        sender.replied(b"OK", now(20));
        assert_eq!(sender.next(now(69), false), None);
        assert!(!sender.wants_more());
        sender.replied(b", done", now(60));
        assert_eq!(sender.paced_until, Some(now(110)), "each part has its time");
        assert_eq!(sender.next(now(110), false), Some(&b"three"[..]));
        sender.replied(&[b'x'; 100_000], now(120));
        sender.replied(b"three", now(130));
        assert_eq!(
            (sender.paced_until, &sender.heard),
            (Some(now(180)), &None),
            "it is too long to be an answer of that"
        );
        assert_eq!(sender.next(now(180), false), None);
        sender.replied(b"news", now(500));
        assert_eq!(sender.paced_until, Some(now(550)), "what nobody asked for has its time too");

        let mut line = self::sender(Framing::Line, "utf-8");
        line.manner.pace = Some(PACE);
        line.text("one").unwrap();
        assert!(line.next(now(0), false).is_some());
        line.replied(b"any\n", now(1));
        assert_eq!(line.paced_until, None, "a line says where it ends");
    }

    #[test]
    fn an_empty_line_is_a_message_where_it_has_bytes_or_is_a_datagram() {
        for (framing, datagrams, count) in
            [(Framing::Chunk, false, 0), (Framing::Line, false, 1), (Framing::Chunk, true, 1)]
        {
            let mut sender = sender(framing, "utf-8");
            sender.manner.datagrams = datagrams;
            assert_eq!(sender.take(b"\r\n"), (2, Ok(())));
            assert_eq!(sender.unsent(), count, "{framing} {datagrams}");
        }
    }

    #[test]
    fn a_reply_settles_although_the_next_message_may_leave() {
        let mut sender = sender(Framing::Chunk, "utf-8");
        sender.text("one").unwrap();
        assert!(sender.next(now(0), false).is_some());
        assert!(!sender.has_waited_in_vain(now(199)) && sender.has_waited_in_vain(now(200)));
        sender.replied(b"[one]", now(10));
        assert_eq!((sender.paced_until, sender.settles_at(now(59))), (None, Some(now(60))));
        assert_eq!(sender.settles_at(now(60)), None);
        assert!(!sender.has_waited_in_vain(now(300)));
    }

    #[test]
    fn lines_of_windows_editors_are_lines_of_utf_8() {
        let utf_16 = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        let mut sender = sender(Framing::Line, "gbk");
        assert_eq!(sender.take(b"\xff"), (0, Ok(())), "the mark has another byte");
        let text = utf_16("\u{feff}数\r\nb");
        assert_eq!(sender.take(&text), (8, Ok(())));
        assert_eq!(sender.next(now(0), false), Some(&b"\xca\xfd\n"[..]));
        assert_eq!(sender.take(&text[8..]), (0, Ok(())));
        assert_eq!(sender.take_last(&text[8..]), Ok(()));
        assert_eq!(sender.next(now(0), false), Some(&b"b\n"[..]));
        assert_eq!(sender.take_last(b"\0\xd8"), Err(SendOutcome::NotUtf16), "half of a pair");
        assert_eq!(sender.take(&utf_16("12345678901\n")).1, Err(SendOutcome::LineTooLong(10)));
    }

    #[test]
    fn bye_is_the_last_unless_it_is_ignored() {
        let mut sender = sender(Framing::Line, "utf-8");
        line(&mut sender, b"bye-bye").unwrap();
        assert!(!sender.ended);
        line(&mut sender, b"bye\r").unwrap();
        assert!(sender.ended);
        let manner = Manner { bye: Bye::Ignore, ..sender.manner };
        let mut sender = Sender::new(manner);
        line(&mut sender, b"bye").unwrap();
        assert!(!sender.ended);
    }

    #[test]
    fn a_datagram_that_did_not_leave_is_the_next_again() {
        let mut sender = sender(Framing::Line, "utf-8");
        sender.text("one").unwrap();
        sender.text("two").unwrap();
        assert!(sender.next(now(0), false).is_some());
        assert_eq!(sender.retry_last(now(5)), now(5));
        assert_eq!((sender.sent, sender.unsent()), (0, 2));
        assert_eq!(sender.next(now(24), false), None);
        assert_eq!(sender.next(now(25), false), Some(&b"one\n"[..]));
        // It is told since when, as long as it is the same one.
        assert_eq!(sender.retry_last(now(26)), now(5));
        assert!(sender.next(now(50), false).is_some());
        assert!(sender.next(now(50), false).is_some());
        assert_eq!(sender.retry_last(now(60)), now(60));
    }
}
