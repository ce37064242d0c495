//! The load generator's judge of replies: of any bytes, in any parts, it says exactly where they differ from what has
//! to come, and takes nothing for a reply that is none.
#![no_main]

use arbitrary::Arbitrary;
use cooee::measure::load::exchange::{Checked, Exchange, NUMBER_LENGTH};
use cooee::measure::load::options::{Body, Expect, Options};
use cooee::protocol::charset::Charset;
use cooee::protocol::framing::{Framing, Rules};
use cooee::protocol::mode::ack::Ack;
use cooee::reactor::reply::{Outgoing, Reply};
use cooee_fuzz::cuts::Cuts;
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    framing: u8,
    datagrams: bool,
    acknowledged: bool,
    connection: u16,
    number: u64,
    length: u8,
    cuts: Cuts,
    /// What came, as its difference from what has to come: so that the fuzzer need not guess that.
    difference: &'a [u8],
}

fuzz_target!(|input: Input| {
    let Input { framing, datagrams, acknowledged, connection, number, length, cuts, difference } = input;
    let framing = [Framing::Chunk, Framing::Line, Framing::Len32][usize::from(framing) % 3];
    let (connection, length) = (usize::from(connection), usize::from(length) + 1);
    let ack = Ack::new("数据[{}]收到了!", Charset::UTF_8).expect("a format");
    let rules = Rules { framing, max_frame: 2 * (length + 100), charset: Charset::UTF_8 };
    let options = |expect| Options { datagrams, body: Body::Noise(length), expect, rules, ..Options::new(Vec::new()) };
    let exchange = Exchange::new(&options(if acknowledged { Expect::Ack(ack) } else { Expect::Echo }));
    let wanted = exchange.expected(connection, number, 0, usize::MAX);
    if !acknowledged {
        assert_eq!(sent(&exchange, connection, number), wanted, "an echo is what was sent");
    }
    let came: Vec<u8> = difference
        .iter()
        .enumerate()
        .map(|(at, difference)| wanted.get(at).copied().unwrap_or_default() ^ difference)
        .collect();

    let common = wanted.iter().zip(&came).take_while(|(wanted, came)| wanted == came).count();
    let verdict = match common {
        _ if common == wanted.len() => Checked::Whole(common),
        _ if common == came.len() => Checked::Part(common),
        _ => Checked::Wrong(common),
    };
    assert_eq!(exchange.check(connection, number, 0, &came), verdict);
    assert_eq!(in_parts(&exchange, connection, number, cuts, &came), verdict, "the same in parts");
    if exchange.is_numbered() {
        let right = came.starts_with(&wanted[..wanted.len().min(NUMBER_LENGTH)]);
        let told = exchange.number(&came);
        assert!(acknowledged || right == (told == Some(number)), "{told:?} was told of {number}");
    }

    let any = Exchange::new(&options(Expect::Any));
    let whole = ends(&any, [&came[..]].into_iter());
    if framing != Framing::Chunk {
        assert_eq!(ends(&any, cuts.parts(&came)), whole, "the same replies of unknown text in parts");
    }
});

/// Where replies of which nothing is known end in bytes that come in parts, and whether one was too long. What was not
/// taken comes again.
fn ends<'a>(any: &Exchange, parts: impl Iterator<Item = &'a [u8]>) -> (Vec<usize>, bool) {
    let (mut ends, mut taken) = (Vec::new(), 0);
    let (mut received, mut claimed, mut kept) = (0, 0, Vec::new());
    for part in parts {
        kept.extend_from_slice(part);
        let mut at = 0;
        while at < kept.len() {
            match any.skip(&kept[at..], received, &mut claimed) {
                Checked::Whole(length) => {
                    assert!((1..=kept.len() - at).contains(&length), "a reply of {length} bytes at {at}");
                    at += length;
                    ends.push(taken + at);
                    (received, claimed) = (0, 0);
                }
                Checked::Part(0) => {
                    assert!(kept.len() - at < 4, "more than a header is kept");
                    break;
                }
                Checked::Part(length) => {
                    assert_eq!(length, kept.len() - at, "all of it belongs to the reply");
                    at += length;
                    received += length;
                }
                Checked::TooLong => return (ends, true),
                Checked::Wrong(at) => panic!("{at} is wrong of a reply that nothing is known of"),
            }
        }
        kept.drain(..at);
        taken += at;
    }
    (ends, false)
}

/// What is said of bytes that come in parts.
fn in_parts(exchange: &Exchange, connection: usize, number: u64, cuts: Cuts, came: &[u8]) -> Checked {
    let mut received = 0;
    for part in cuts.parts(came) {
        match exchange.check(connection, number, received, part) {
            Checked::Part(length) => {
                assert_eq!(length, part.len(), "all of a part belongs to the reply");
                received += length;
            }
            Checked::Whole(length) => return Checked::Whole(received + length),
            Checked::Wrong(at) => return Checked::Wrong(received + at),
            Checked::TooLong => panic!("a reply whose text is known has its length"),
        }
    }
    Checked::Part(received)
}

fn sent(exchange: &Exchange, connection: usize, number: u64) -> Vec<u8> {
    let (mut composed, mut outgoing) = (Vec::new(), Outgoing::default());
    exchange.send(connection, number, &mut Reply::new(b"", None, &mut composed, &mut outgoing, 0, usize::MAX));
    composed
}
