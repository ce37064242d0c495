//! The exchange: what is sent, and what has to come back for it.
//!
//! A message is letters and digits, cut from one table at a place that depends on its connection and its number:
//! neighbours differ, so a lost, repeated, swapped or changed byte does not go unnoticed, and nothing has to be made
//! for a message. There are no small letters in it, so no message is ever `bye`, and no line break.

pub use crate::measure::load::noise::NUMBER_LENGTH;
use crate::measure::load::noise::{Digits, noise};
use crate::measure::load::options::{Body, Expect, Options};
use crate::protocol::framing::{Framing, Rules};
use crate::reactor::reply::Reply;

/// How many places there are to cut messages from: a prime, so that no step through the table repeats early; small, so
/// that it stays in the first-level cache.
const PLACES: usize = 8_191;

/// A step for the next message of a connection, and one for the next connection.
const MESSAGE_STEP: u64 = 31;
const CONNECTION_STEP: u64 = 1_031;

/// What is sent, and what has to come back.
#[derive(Debug)]
pub struct Exchange {
    table: Vec<u8>,
    length: usize,
    varies: bool,
    /// Each message begins with its number.
    numbered: bool,
    request: Around,
    reply: Around,
    /// Replies are compared with what had to come.
    pub is_checked: bool,
    rules: Rules,
    datagrams: bool,
}

/// What stands before and behind a message.
#[derive(Debug, Default)]
struct Around {
    before: Vec<u8>,
    after: Vec<u8>,
}

/// What a stream's bytes amount to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Checked {
    /// This number of bytes belong to the reply, which is not complete.
    Part(usize),
    /// The reply is complete with this number of bytes.
    Whole(usize),
    /// It differs from what had to come, after this number of bytes.
    Wrong(usize),
    /// It is longer than a reply of unknown text may be.
    TooLong,
}

impl Exchange {
    /// The exchange that `options` ask for.
    pub fn new(options: &Options) -> Exchange {
        let (table, length, varies) = match &options.body {
            Body::Noise(length) => (noise(PLACES + length), *length, true),
            Body::Text(text) => (text.clone(), text.len(), false),
        };
        let (mut request, mut reply) = (Around::default(), Around::default());
        if let Expect::Ack(ack) = &options.expect {
            reply = Around { before: ack.before.clone(), after: ack.after.clone() };
        }
        if !options.datagrams {
            let answer = reply.before.len() + length + reply.after.len();
            request.frame(options.rules.framing, length);
            reply.frame(options.rules.framing, answer);
        }
        Exchange {
            table,
            length,
            varies,
            numbered: options.datagrams && varies && length >= NUMBER_LENGTH,
            request,
            reply,
            is_checked: options.expect != Expect::Any,
            rules: options.rules,
            datagrams: options.datagrams,
        }
    }

    /// Whether a datagram tells by itself which message it answers.
    pub fn is_numbered(&self) -> bool {
        self.numbered && self.is_checked
    }

    /// Whether a message ends its wait with whatever comes first, because nothing says when a reply is whole.
    pub(crate) fn ends_with_first_bytes(&self) -> bool {
        !self.is_checked && !self.datagrams && self.rules.framing == Framing::Chunk
    }

    /// Whether each reply shows which message it answers: by its own bytes, or by its number. Where it does not, one
    /// reply too many is taken for the next one, and only what is left over at the end tells.
    pub(crate) fn tells_apart(&self) -> bool {
        self.is_checked && self.varies && (self.numbered || !self.datagrams)
    }

    /// Whether bytes that no message waits for are no error of their own: where they come as whole replies, or nothing
    /// is known of replies.
    pub(crate) fn counts_surplus(&self) -> bool {
        !self.is_checked || (self.datagrams && !self.is_numbered())
    }

    /// Sends message `number` of `connection`.
    pub fn send(&self, connection: usize, number: u64, reply: &mut Reply<'_>) {
        let digits = self.digits(number);
        for part in [&self.request.before[..], digits.as_slice(), self.body(connection, number), &self.request.after] {
            if !part.is_empty() {
                reply.send(part);
            }
        }
        if self.datagrams && self.length == 0 {
            // An empty datagram is a message too.
            reply.send(b"");
        }
    }

    /// Compares `bytes` with what has to come as the reply to message `number` of `connection`, of which `received`
    /// bytes have come.
    pub fn check(&self, connection: usize, number: u64, received: usize, bytes: &[u8]) -> Checked {
        let digits = self.digits(number);
        let mut at = 0;
        let mut skip = received;
        for part in [&self.reply.before[..], digits.as_slice(), self.body(connection, number), &self.reply.after] {
            if skip >= part.len() {
                skip -= part.len();
                continue;
            }
            let wanted = &part[skip..];
            let got = &bytes[at..];
            let common = wanted.len().min(got.len());
            if wanted[..common] != got[..common] {
                let differs = wanted.iter().zip(got).position(|(wanted, got)| wanted != got);
                return Checked::Wrong(at + differs.unwrap_or(0));
            }
            at += common;
            if common < wanted.len() {
                return Checked::Part(at);
            }
            skip = 0;
        }
        Checked::Whole(at)
    }

    /// Finds the end of a reply of which nothing is known but its framing, where `received` bytes of it have come.
    /// `claimed` is 0 at its beginning, and remembers how long it says that it is.
    ///
    /// Nothing of it is kept but an incomplete header, which is left to the connection: so a long reply takes no memory
    /// on any lane. It may have `max_frame` bytes without its frame; in line framing one more, which may be the CR of
    /// its ending.
    pub fn skip(&self, bytes: &[u8], received: usize, claimed: &mut usize) -> Checked {
        match self.rules.skip(bytes, received, claimed) {
            Some((taken, true)) => Checked::Whole(taken),
            Some((taken, false)) => Checked::Part(taken),
            None => Checked::TooLong,
        }
    }

    /// The number that a reply says it answers.
    pub fn number(&self, datagram: &[u8]) -> Option<u64> {
        let digits = datagram.get(self.reply.before.len()..)?.get(..NUMBER_LENGTH)?;
        if !digits.iter().all(|digit| digit.is_ascii_digit() || (b'A'..=b'F').contains(digit)) {
            return None;
        }
        u64::from_str_radix(str::from_utf8(digits).ok()?, 16).ok()
    }

    /// What has to come as the reply to message `number` of `connection`, `size` bytes of it from `offset` on at the
    /// most.
    pub fn expected(&self, connection: usize, number: u64, offset: usize, size: usize) -> Vec<u8> {
        let digits = self.digits(number);
        let parts = [&self.reply.before[..], digits.as_slice(), self.body(connection, number), &self.reply.after];
        let mut expected = Vec::new();
        let mut skip = offset;
        for part in parts {
            let rest = &part[skip.min(part.len())..];
            skip = skip.saturating_sub(part.len());
            expected.extend_from_slice(&rest[..rest.len().min(size - expected.len())]);
        }
        expected
    }

    /// What a message begins with.
    fn digits(&self, number: u64) -> Digits {
        if self.numbered { Digits::of(number) } else { Digits::default() }
    }

    fn number_length(&self) -> usize {
        if self.numbered { NUMBER_LENGTH } else { 0 }
    }

    /// The message behind its number.
    fn body(&self, connection: usize, number: u64) -> &[u8] {
        // Short datagrams have no number, so a reply can only be known by what all of a socket's have in common.
        let number = if self.datagrams && !self.numbered { 0 } else { number };
        let place = (connection as u64).wrapping_mul(CONNECTION_STEP).wrapping_add(number.wrapping_mul(MESSAGE_STEP));
        let start = if self.varies { (place % PLACES as u64) as usize } else { 0 };
        &self.table[start..start + self.length - self.number_length()]
    }
}

impl Around {
    /// Puts the frame of a message of `length` bytes around.
    fn frame(&mut self, framing: Framing, length: usize) {
        framing.open(length, |header| drop(self.before.splice(0..0, header.iter().copied())));
        self.after.extend_from_slice(framing.ending());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::load::options::tests::options;
    use crate::protocol::charset::Charset;
    use crate::protocol::framing::len32;
    use crate::protocol::mode::ack::{Ack, DEFAULT_FORMAT};
    use crate::reactor::reply::Outgoing;

    fn sent(exchange: &Exchange, connection: usize, number: u64) -> Vec<u8> {
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        exchange.send(connection, number, &mut Reply::new(b"", None, &mut composed, &mut outgoing, 0, usize::MAX));
        composed
    }

    fn exchange(change: impl FnOnce(&mut Options)) -> Exchange {
        let mut options = options();
        change(&mut options);
        Exchange::new(&options)
    }

    #[test]
    fn an_echo_is_right_in_every_split_and_wrong_with_any_other_byte() {
        let exchange = exchange(|options| options.body = Body::Noise(20));
        let message = sent(&exchange, 3, 7);
        assert_eq!((message.len(), exchange.expected(3, 7, 0, 99).len()), (20, 20));
        for split in 0..20 {
            assert_eq!(exchange.check(3, 7, 0, &message[..split]), Checked::Part(split));
            assert_eq!(exchange.check(3, 7, split, &message[split..]), Checked::Whole(20 - split));
            let mut wrong = message.clone();
            wrong[split] ^= 1;
            assert_eq!(exchange.check(3, 7, 0, &wrong), Checked::Wrong(split));
        }
        let next = [message.clone(), b"more".to_vec()].concat();
        assert_eq!(exchange.check(3, 7, 0, &next), Checked::Whole(20));
        assert_ne!(sent(&exchange, 3, 8), message, "neighbours differ");
        assert_ne!(sent(&exchange, 4, 7), message);
    }

    #[test]
    fn an_acknowledgement_is_known_in_every_framing() {
        let gbk = Charset::for_label("gbk").unwrap();
        let ack = Ack::new(DEFAULT_FORMAT, gbk).unwrap();
        for framing in [Framing::Chunk, Framing::Line, Framing::Len32] {
            let exchange = exchange(|options| {
                options.body = Body::Text(b"hello".to_vec());
                options.expect = Expect::Ack(ack.clone());
                options.rules.framing = framing;
            });
            let words = gbk.encode("数据[hello]收到了!").unwrap().into_owned();
            let (request, reply) = match framing {
                Framing::Chunk => (b"hello".to_vec(), words),
                Framing::Line => (b"hello\n".to_vec(), [words, b"\n".to_vec()].concat()),
                Framing::Len32 => (b"\0\0\0\x05hello".to_vec(), [len32::header(words.len()).to_vec(), words].concat()),
            };
            assert_eq!(sent(&exchange, 0, 9), request, "{framing}");
            assert_eq!(exchange.check(0, 9, 0, &reply), Checked::Whole(reply.len()), "{framing}");
            assert_eq!(exchange.expected(0, 9, 0, 1_000), reply);
            assert_eq!(exchange.expected(0, 9, 3, 4), reply[3..7]);
        }
    }

    #[test]
    fn a_datagram_of_sixteen_bytes_tells_its_number() {
        for length in [16, 17, 64] {
            let exchange = exchange(|options| {
                options.datagrams = true;
                options.body = Body::Noise(length);
            });
            let message = sent(&exchange, 1, 0xab_cdef);
            assert_eq!(message.len(), length);
            assert!(message.starts_with(b"0000000000ABCDEF"));
            assert_eq!(exchange.number(&message), Some(0xab_cdef));
            assert_eq!(exchange.check(1, 0xab_cdef, 0, &message), Checked::Whole(length));
        }
        let short = exchange(|options| {
            options.datagrams = true;
            options.body = Body::Noise(15);
        });
        assert!(!short.is_numbered());
        assert_eq!(sent(&short, 1, 5), sent(&short, 1, 6));
        assert_eq!(short.number(b"+00000000000000F"), None);
        assert_eq!(short.number(b"short"), None);
    }

    #[test]
    fn replies_of_unknown_text_end_where_their_frame_does() {
        let line = exchange(|options| {
            options.expect = Expect::Any;
            options.rules.framing = Framing::Line;
        });
        assert_eq!(line.skip(b"yes\nand", 0, &mut 0), Checked::Whole(4));
        assert_eq!(line.skip(b"yes", 0, &mut 0), Checked::Part(3));
        assert_eq!(line.skip(b"\r\n", 3, &mut 0), Checked::Whole(2));
        let chunk = exchange(|options| options.expect = Expect::Any);
        assert_eq!(chunk.skip(b"yes", 0, &mut 0), Checked::Whole(3));
    }

    #[test]
    fn a_reply_of_unknown_text_is_found_in_every_split_and_none_of_it_is_kept() {
        for (framing, reply) in [(Framing::Line, &b"0123456789\r\n"[..]), (Framing::Len32, b"\0\0\0\x0a0123456789")] {
            let exchange = exchange(|options| {
                (options.expect, options.rules.framing, options.rules.max_frame) = (Expect::Any, framing, 10);
            });
            for split in 1..reply.len() {
                let mut claimed = 0;
                let kept = match exchange.skip(&reply[..split], 0, &mut claimed) {
                    Checked::Part(taken) => taken,
                    other => panic!("{framing}, {split}: {other:?}"),
                };
                assert!(kept == split || (kept == 0 && split < len32::HEADER), "{framing}, {split}: {kept}");
                let rest = &[&reply[kept..], b"next"].concat();
                assert_eq!(exchange.skip(rest, kept, &mut claimed), Checked::Whole(reply.len() - kept), "{framing}");
            }
        }
    }

    #[test]
    fn a_reply_of_unknown_text_has_a_bound_of_its_own() {
        let skip = |framing, bytes: &[u8], received| {
            let exchange = exchange(|options| {
                (options.expect, options.body) = (Expect::Any, Body::Noise(1));
                (options.rules.framing, options.rules.max_frame) = (framing, 10);
            });
            exchange.skip(bytes, received, &mut 0)
        };
        assert_eq!(skip(Framing::Line, b"0123456789\n", 0), Checked::Whole(11), "longer than its message");
        assert_eq!(skip(Framing::Line, b"0123456789ab", 0), Checked::TooLong);
        assert_eq!(skip(Framing::Line, b"ab\n", 10), Checked::TooLong);
        assert_eq!(skip(Framing::Line, b"ab", 10), Checked::TooLong);
        assert_eq!(skip(Framing::Len32, b"\0\0\0\x0b", 0), Checked::TooLong, "its header alone says so");
    }

    #[test]
    fn an_acknowledgement_is_known_in_every_split() {
        let ack = Ack::new(DEFAULT_FORMAT, Charset::UTF_8).unwrap();
        let exchange = exchange(|options| (options.expect, options.body) = (Expect::Ack(ack), Body::Noise(20)));
        let reply = exchange.expected(3, 7, 0, 1_000);
        for split in 0..reply.len() {
            assert_eq!(exchange.check(3, 7, split, &reply[split..]), Checked::Whole(reply.len() - split), "{split}");
        }
    }

    #[test]
    fn there_is_a_message_at_every_place_of_the_table() {
        let exchange = exchange(|options| options.body = Body::Noise(100));
        assert!((0..PLACES as u64).all(|number| sent(&exchange, 5, number).len() == 100));
    }

    #[test]
    fn a_text_has_no_number_and_an_empty_datagram_is_sent() {
        let of = |text: &str| exchange(|options| (options.datagrams, options.body) = (true, Body::Text(text.into())));
        assert!(!of("twenty letters of it").is_numbered() && of("a").is_checked);
        assert_eq!(sent(&of("twenty letters of it"), 1, 5), b"twenty letters of it");
        let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
        of("").send(0, 0, &mut Reply::new(b"", None, &mut composed, &mut outgoing, 0, usize::MAX));
        assert!(outgoing.answered && composed.is_empty());
        assert!(exchange(|options| options.datagrams = true).is_numbered(), "64 bytes of noise do");
        assert!(!exchange(|options| options.expect = Expect::Any).is_checked);
    }
}
