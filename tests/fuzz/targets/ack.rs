//! A format of acknowledgements is taken where it has one place for the message and its words fit, and in no other
//! case. Then the server answers exactly these words around the untouched message, and the load generator takes exactly
//! that for right.
#![no_main]

use arbitrary::Arbitrary;
use cooee::apps::rehearsal::Rehearsal;
use cooee::apps::server::Server;
use cooee::apps::server::service::Service;
use cooee::measure::load::exchange::{Checked, Exchange};
use cooee::measure::load::options::{Body, Expect, Options};
use cooee::protocol::bye::Bye;
use cooee::protocol::charset::Charset;
use cooee::protocol::framing::{Framing, Rules};
use cooee::protocol::mode::Mode;
use cooee::protocol::mode::ack::{Ack, FORMAT_MAX};
use cooee::reactor::tag::Tag;
use cooee_fuzz::labels::label;
use libfuzzer_sys::fuzz_target;

/// The words of a format take at most so many times its bytes, whatever the encoding: a message's longest answer is
/// reckoned with it.
const GROWTH_MAX: usize = 4;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    label: u8,
    framing: u8,
    /// The format; behind a zero byte, the message.
    text: &'a [u8],
}

fuzz_target!(|input: Input| {
    let Ok(charset) = Charset::for_label(label(input.label)) else { return };
    let end = input.text.iter().position(|byte| *byte == 0).unwrap_or(input.text.len());
    let (format, message) = (String::from_utf8_lossy(&input.text[..end]), input.text.get(end + 1..).unwrap_or(b""));

    let words: Vec<&str> = format.split("{}").collect();
    let fits = words.iter().all(|words| charset.encode(words).is_ok());
    let ack = match Ack::new(&format, charset) {
        Ok(ack) => ack,
        Err(reason) => {
            assert!(words.len() != 2 || format.len() > FORMAT_MAX || !fits, "{format:?} was refused: {reason}");
            return;
        }
    };
    assert!(words.len() == 2 && format.len() <= FORMAT_MAX && fits, "{format:?} was taken");
    assert_eq!(charset.encode(words[0]).as_deref(), Ok(&ack.before[..]));
    assert_eq!(charset.encode(words[1]).as_deref(), Ok(&ack.after[..]));
    assert!(ack.before.len() + ack.after.len() <= GROWTH_MAX * FORMAT_MAX);

    let answer = [&ack.before[..], message, &ack.after].concat();
    // As for an endpoint, whose settings refuse it: the words would end their own line.
    let breaks_lines = answer.contains(&b'\n') || message.ends_with(b"\r");
    let (framing, is_datagram) = match input.framing % 3 {
        0 => (Framing::Chunk, true),
        1 if !breaks_lines => (Framing::Line, false),
        _ => (Framing::Len32, false),
    };
    let around = |text: &[u8]| match framing {
        Framing::Chunk => text.to_vec(),
        Framing::Line => [text, b"\n"].concat(),
        Framing::Len32 => [&(text.len() as u32).to_be_bytes()[..], text].concat(),
    };
    let rules = Rules { framing, max_frame: input.text.len().max(1), charset };
    let mode = Mode::Ack(ack.clone());
    let service = Service { name: "fuzz".to_owned(), mode, rules, bye: Bye::Ignore, log_messages: false };
    let mut server = Server::new(vec![service]);
    let mut rehearsal = Rehearsal::open(&mut server, Tag(0), 1);
    let sent = if is_datagram {
        rehearsal.datagram(&mut server, message)
    } else {
        rehearsal.receive(&mut server, &around(message));
        rehearsal.sent().to_vec()
    };
    assert_eq!(sent, around(&answer));

    let exchange = Exchange::new(&Options {
        datagrams: is_datagram,
        body: Body::Text(message.to_vec()),
        expect: Expect::Ack(ack),
        rules,
        ..Options::new(Vec::new())
    });
    assert_eq!(exchange.expected(0, 0, 0, usize::MAX).len(), sent.len());
    assert_eq!(exchange.check(0, 0, 0, &sent), Checked::Whole(sent.len()));
});
