//! Goal: how bytes are cut on their way changes nothing that a client can see.
//!
//! Method: the server's handler is rehearsed without sockets. Random conversations are given whole and cut at random
//! places, and both must be answered alike: byte for byte where messages are framed, and character for character in
//! chunks.

use cooee::apps::rehearsal::Rehearsal;
use cooee::apps::server::Server;
use cooee::apps::server::service::Service;
use cooee::protocol::bye::Bye;
use cooee::protocol::charset::Charset;
use cooee::protocol::framing::{Framing, Rules};
use cooee::protocol::mode::Mode;
use cooee::protocol::mode::ack::Ack;
use cooee::reactor::close_reason::CloseReason;
use cooee::reactor::handler::Stop;
use cooee::reactor::tag::Tag;
use proptest::prelude::*;

const ENCODINGS: [&str; 6] = ["utf-8", "gbk", "gb18030", "big5", "shift_jis", "euc-kr"];

fn service(mode: Mode, framing: Framing, charset: Charset, bye: Bye) -> Server {
    let rules = Rules { framing, max_frame: 100, charset };
    Server::new(vec![Service { name: "test".to_owned(), mode, rules, bye, log_messages: false }])
}

fn ack(charset: Charset) -> Mode {
    Mode::Ack(Ack::new("<{}>", charset).expect("ASCII fits every encoding"))
}

/// What the server answers to `parts`, and why it ended the conversation.
fn converse<'a>(
    server: &mut Server,
    limit: usize,
    parts: impl IntoIterator<Item = &'a [u8]>,
) -> (Vec<u8>, Option<CloseReason>) {
    let mut rehearsal = Rehearsal::open(server, Tag(0), limit);
    for part in parts {
        rehearsal.receive(server, part);
    }
    rehearsal.finish(server);
    (rehearsal.sent().to_vec(), rehearsal.finished())
}

fn cut<'a>(bytes: &'a [u8], places: &[prop::sample::Index]) -> Vec<&'a [u8]> {
    let mut places: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    places.extend([0, bytes.len()]);
    places.sort_unstable();
    places.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect()
}

fn frame(framing: Framing, message: &[u8]) -> Vec<u8> {
    match framing {
        Framing::Chunk => message.to_vec(),
        Framing::Line => [message, b"\n"].concat(),
        Framing::Len32 => [&(message.len() as u32).to_be_bytes()[..], message].concat(),
    }
}

/// Messages, too long ones and `bye` among them.
fn messages() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let message = prop_oneof![
        8 => prop::collection::vec(any::<u8>(), 0..60),
        4 => "[a-z数据\\]]{0,20}".prop_map(String::into_bytes),
        1 => Just(b"bye".to_vec()),
        1 => prop::collection::vec(any::<u8>(), 100..104),
    ];
    prop::collection::vec(message, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn framed_conversations_are_answered_alike_however_they_are_cut(
        messages in messages(),
        line in any::<bool>(),
        echo in any::<bool>(),
        bye in prop_oneof![Just(Bye::Ignore), Just(Bye::Close)],
        limit in 1usize..300,
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let framing = if line { Framing::Line } else { Framing::Len32 };
        let mode = || if echo { Mode::Echo } else { ack(Charset::UTF_8) };
        let mut server = service(mode(), framing, Charset::UTF_8, bye);
        let bytes: Vec<u8> = messages.iter().flat_map(|message| frame(framing, message)).collect();
        let whole = converse(&mut server, usize::MAX, [&bytes[..]]);
        let in_parts = converse(&mut server, limit, cut(&bytes, &places));
        prop_assert_eq!(&in_parts, &whole);
        let bytewise = converse(&mut server, limit, bytes.chunks(1));
        prop_assert_eq!(&bytewise, &whole);
    }

    #[test]
    fn an_echo_is_what_was_sent_in_every_framing(bytes in prop::collection::vec(any::<u8>(), 0..3000)) {
        let mut server = service(Mode::Echo, Framing::Chunk, Charset::UTF_8, Bye::Close);
        let (sent, _) = converse(&mut server, 50, bytes.chunks(7));
        prop_assert_eq!(sent, bytes);
    }

    #[test]
    fn chunks_never_split_a_character(
        text in "[a-z数据收到了!\\]]{0,200}",
        encoding in prop::sample::select(&ENCODINGS[..]),
        places in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let charset = Charset::for_label(encoding).expect("a label");
        let Ok(bytes) = charset.encode(&text) else { return Ok(()) };
        let mut server = service(ack(charset), Framing::Chunk, charset, Bye::Ignore);
        let (sent, _) = converse(&mut server, usize::MAX, cut(&bytes, &places));
        let answer = charset.decode(&sent);
        prop_assert!(!answer.contains(char::REPLACEMENT_CHARACTER), "{encoding}: {answer}");
        prop_assert_eq!(answer.replace(['<', '>'], ""), text);
    }

    #[test]
    fn any_bytes_come_back_untouched_between_the_words(
        bytes in prop::collection::vec(any::<u8>(), 1..200),
        encoding in prop::sample::select(&ENCODINGS[..]),
    ) {
        let charset = Charset::for_label(encoding).expect("a label");
        let mut server = service(ack(charset), Framing::Chunk, charset, Bye::Ignore);
        let (sent, _) = converse(&mut server, usize::MAX, [&bytes[..]]);
        // An incomplete tail is a message of its own at the end, so there may be two.
        let unwrapped: Vec<u8> = sent
            .strip_prefix(b"<").and_then(|sent| sent.strip_suffix(b">")).expect("the words").to_vec();
        let joined = unwrapped == bytes || (1..bytes.len()).any(|at| {
            unwrapped == [&bytes[..at], b"><", &bytes[at..]].concat()
        });
        prop_assert!(joined, "{encoding}: {bytes:?} became {sent:?}");
    }

    #[test]
    fn a_datagram_is_one_message_whatever_is_in_it(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut server = service(ack(Charset::UTF_8), Framing::Len32, Charset::UTF_8, Bye::Close);
        let mut rehearsal = Rehearsal::open(&mut server, Tag(0), usize::MAX);
        let expected = if bytes == b"bye" { bytes.clone() } else { [b"<", &bytes[..], b">"].concat() };
        prop_assert_eq!(rehearsal.datagram(&mut server, &bytes), expected);
        let mut server = service(Mode::Echo, Framing::Len32, Charset::UTF_8, Bye::Close);
        let mut rehearsal = Rehearsal::open(&mut server, Tag(0), usize::MAX);
        prop_assert_eq!(rehearsal.datagram(&mut server, &bytes), bytes, "an echo is no byte more");
    }

    /// The source of a datagram may be forged: the answer goes to whoever it names, and may be no weapon.
    #[test]
    fn a_datagram_draws_no_more_than_its_own_bytes_and_the_words(
        bytes in prop_oneof![
            prop::collection::vec(any::<u8>(), 0..300),
            (0usize..=65_507).prop_map(|length| vec![b'x'; length]),
            "(bye|BYE|\n|\\{\\}|数据){0,4}".prop_map(String::into_bytes),
        ],
        words in ("[a-z]{0,100}", "[a-z]{0,100}"),
        mode in 0..3,
        encoding in prop::sample::select(&ENCODINGS),
        bye in prop_oneof![Just(Bye::Ignore), Just(Bye::Close), Just(Bye::Stop)],
    ) {
        let charset = Charset::for_label(encoding).expect("a known label");
        let acknowledgement = Ack::new(&format!("{}{{}}{}", words.0, words.1), charset).expect("ASCII fits every encoding");
        let (mode, most) = match mode {
            0 => (Mode::Echo, bytes.len()),
            1 => (Mode::Ack(acknowledgement), bytes.len() + words.0.len() + words.1.len()),
            _ => (Mode::Discard, if bytes == b"bye" { 3 } else { 0 }),
        };
        let mut server = service(mode, Framing::Chunk, charset, bye);
        let mut rehearsal = Rehearsal::open(&mut server, Tag(0), usize::MAX);
        let answer = rehearsal.datagram(&mut server, &bytes);
        prop_assert!(answer.len() <= most, "{} bytes drew {}, where {} are most", bytes.len(), answer.len(), most);
    }
}

/// A tiny write limit cuts the answers into many turns, and changes none of them.
#[test]
fn back_pressure_loses_no_message() {
    let mut server = service(ack(Charset::UTF_8), Framing::Line, Charset::UTF_8, Bye::Ignore);
    let bytes = "\n".repeat(10_000);
    let (sent, reason) = converse(&mut server, 1, [bytes.as_bytes()]);
    assert_eq!(sent, "<>\n".repeat(10_000).as_bytes());
    assert_eq!(reason, Some(CloseReason::PeerClosed));
}

#[test]
fn bye_ends_the_conversation_only_where_it_stands_alone() {
    let mut server = service(ack(Charset::UTF_8), Framing::Line, Charset::UTF_8, Bye::Close);
    let (sent, reason) = converse(&mut server, usize::MAX, [&b"bye!\ngood bye\nbye\r\nafter\n"[..]]);
    assert_eq!(sent, b"<bye!>\n<good bye>\n<bye>\r\n");
    assert_eq!(reason, Some(CloseReason::Ended));
}

#[test]
fn bye_stops_the_server_only_where_that_was_asked_for() {
    for (bye, stop) in [(Bye::Ignore, None), (Bye::Close, None), (Bye::Stop, Some(Stop::Drain))] {
        let mut server = service(Mode::Discard, Framing::Line, Charset::UTF_8, bye);
        let mut rehearsal = Rehearsal::open(&mut server, Tag(0), usize::MAX);
        rehearsal.receive(&mut server, b"bye\n");
        assert_eq!(rehearsal.ordered_stop(), stop, "{bye}");
    }
}

#[test]
fn a_broken_frame_says_what_is_wrong() {
    let cases: [(Framing, &[u8], CloseReason); 4] = [
        (Framing::Len32, b"\0\0\0\x65", CloseReason::FrameTooLong),
        (Framing::Len32, b"\xff\xff\xff\xff", CloseReason::FrameTooLong),
        (Framing::Len32, b"\0\0\0\x05abc", CloseReason::FrameTruncated),
        (Framing::Line, &[b'x'; 101], CloseReason::FrameTooLong),
    ];
    for (framing, bytes, reason) in cases {
        let mut server = service(Mode::Echo, framing, Charset::UTF_8, Bye::Ignore);
        assert_eq!(converse(&mut server, usize::MAX, [bytes]), (Vec::new(), Some(reason)), "{framing} {bytes:?}");
    }
}
