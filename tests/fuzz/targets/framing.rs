//! However a conversation is cut on its way, the server answers what the plainest reading of the whole input says: the
//! same bytes, and the same reason to close. What it keeps of an incomplete message is bounded by the longest one.
#![no_main]

use arbitrary::Arbitrary;
use cooee::apps::rehearsal::Rehearsal;
use cooee::apps::server::Server;
use cooee::apps::server::service::Service;
use cooee::protocol::bye::Bye;
use cooee::protocol::charset::Charset;
use cooee::protocol::frame::Parsed;
use cooee::protocol::framing::chunk;
use cooee::protocol::framing::{Framing, Rules};
use cooee::protocol::mode::Mode;
use cooee::protocol::mode::ack::Ack;
use cooee::reactor::close_reason::CloseReason;
use cooee::reactor::tag::Tag;
use cooee_fuzz::cuts::Cuts;
use libfuzzer_sys::fuzz_target;

/// What stands around an acknowledged message.
const BEFORE: &[u8] = b"<";
const AFTER: &[u8] = b">";

/// The longest header, or the longest ending: they are kept beside a message.
const AROUND: usize = 4;

#[derive(Arbitrary, Debug)]
struct Conversation<'a> {
    framing: u8,
    mode: u8,
    bye: u8,
    /// One less than the longest message.
    max_frame: u8,
    /// One less than what may be owed at a time.
    limit: u8,
    cuts: Cuts,
    bytes: &'a [u8],
}

fuzz_target!(|conversation: Conversation| {
    let Conversation { framing, mode, bye, max_frame, limit, cuts, bytes } = conversation;
    let framing = [Framing::Chunk, Framing::Line, Framing::Len32][usize::from(framing) % 3];
    let ack = Ack::new("<{}>", Charset::UTF_8).expect("a format");
    let mode = [Mode::Echo, Mode::Ack(ack), Mode::Discard][usize::from(mode) % 3].clone();
    let bye = [Bye::Ignore, Bye::Close, Bye::Stop][usize::from(bye) % 3];
    let rules = Rules { framing, max_frame: usize::from(max_frame) + 1, charset: Charset::UTF_8 };
    frames_lie_side_by_side(&rules, bytes);

    let service = Service { name: "fuzz".to_owned(), mode, rules, bye, log_messages: false };
    let mut server = Server::new(vec![service.clone()]);
    let mut rehearsal = Rehearsal::open(&mut server, Tag(0), usize::from(limit) + 1);
    for part in cuts.parts(bytes) {
        rehearsal.receive(&mut server, part);
        let kept_max = if framing == Framing::Chunk { chunk::MAX } else { rules.max_frame + AROUND };
        assert!(rehearsal.finished().is_some() || rehearsal.kept() < kept_max, "{} bytes are kept", rehearsal.kept());
    }
    rehearsal.finish(&mut server);

    match framing {
        Framing::Chunk => check_chunks(&service, bytes, &rehearsal),
        Framing::Line | Framing::Len32 => {
            let (answer, reason) = answer(&service, bytes);
            assert_eq!(rehearsal.sent().escape_ascii().to_string(), answer.escape_ascii().to_string());
            assert_eq!(rehearsal.finished(), Some(reason));
        }
    }
});

/// Every frame begins where the one before it ends, makes progress and holds its message, which is not too long.
fn frames_lie_side_by_side(rules: &Rules, bytes: &[u8]) {
    let (mut at, mut scanned) = (0, 0);
    let longest = if rules.framing == Framing::Chunk { chunk::MAX } else { rules.max_frame };
    while let Parsed::Frame(frame) = rules.next(bytes, at, &mut scanned, true) {
        assert!(frame.start == at && frame.end > at && frame.end <= bytes.len(), "{frame:?} at {at}");
        assert!(frame.start <= frame.body.start && frame.body.end <= frame.end, "{frame:?}");
        assert!(frame.body.len() <= longest && scanned == 0, "{frame:?}, scanned {scanned}");
        at = frame.end;
    }
}

/// Where a chunk ends depends on how it came, but its bytes do not.
fn check_chunks(service: &Service, bytes: &[u8], rehearsal: &Rehearsal<Server>) {
    let (sent, messages) = (rehearsal.sent(), rehearsal.metrics().total().messages_in as usize);
    let ended = rehearsal.finished() == Some(CloseReason::Ended);
    assert!(ended || rehearsal.finished() == Some(CloseReason::PeerClosed));
    assert!(!ended || service.bye != Bye::Ignore);
    match &service.mode {
        Mode::Discard => assert!(sent.is_empty()),
        Mode::Echo if ended => assert!(bytes.starts_with(sent) && sent.ends_with(b"bye")),
        Mode::Echo => assert_eq!(sent.escape_ascii().to_string(), bytes.escape_ascii().to_string()),
        Mode::Ack(_) if ended => assert!(sent.ends_with(b"<bye>")),
        Mode::Ack(_) => {
            assert_eq!(sent.len(), bytes.len() + messages * (BEFORE.len() + AFTER.len()));
            let mut bytes = bytes.iter();
            let mut sent = sent.iter();
            // Without the words, every byte is there and in order.
            assert!(bytes.all(|byte| sent.any(|sent| sent == byte)));
        }
    }
}

/// What has to be answered to the whole input, and why the conversation ends.
fn answer(service: &Service, mut rest: &[u8]) -> (Vec<u8>, CloseReason) {
    let mut answer = Vec::new();
    while !rest.is_empty() {
        let (header, message, ending) = match parse(&service.rules, rest) {
            Ok(parts) => parts,
            Err(reason) => return (answer, reason),
        };
        rest = &rest[header.len() + message.len() + ending.len()..];
        match &service.mode {
            Mode::Discard => {}
            Mode::Echo => answer.extend([header, message, ending].concat()),
            Mode::Ack(_) => {
                if service.rules.framing == Framing::Len32 {
                    answer.extend(((BEFORE.len() + message.len() + AFTER.len()) as u32).to_be_bytes());
                }
                answer.extend([BEFORE, message, AFTER, ending].concat());
            }
        }
        if message == b"bye" && service.bye != Bye::Ignore {
            return (answer, CloseReason::Ended);
        }
    }
    (answer, CloseReason::PeerClosed)
}

/// The first message of `rest`, with what stands before and behind it.
fn parse<'a>(rules: &Rules, rest: &'a [u8]) -> Result<(&'a [u8], &'a [u8], &'a [u8]), CloseReason> {
    let (header, message, ending) = match rules.framing {
        Framing::Line => {
            let line = rest.split_inclusive(|byte| *byte == b'\n').next().unwrap_or(rest);
            let message = line.strip_suffix(b"\r\n").or(line.strip_suffix(b"\n")).unwrap_or(line);
            (&rest[..0], message, &line[message.len()..])
        }
        _ => {
            let (header, behind) = rest.split_first_chunk::<4>().ok_or(CloseReason::FrameTruncated)?;
            let length = u32::from_be_bytes(*header) as usize;
            if length > rules.max_frame {
                return Err(CloseReason::FrameTooLong);
            }
            (&header[..], behind.get(..length).ok_or(CloseReason::FrameTruncated)?, &rest[..0])
        }
    };
    if message.len() > rules.max_frame { Err(CloseReason::FrameTooLong) } else { Ok((header, message, ending)) }
}
