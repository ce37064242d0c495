//! Goal: an acknowledgement is right to the byte in every encoding, wherever the network cuts the text; and `bye` is
//! exactly `bye`.
//!
//! Method: a text is sent in two writes, cut at every byte; and in as many writes as it has bytes; in full also in
//! three, cut at every two bytes. Between them the server's trace tells that it has read the first. The expected bytes
//! are computed with `encoding_rs`; the tutorial's own reply is spelled out in GBK by hand.

use crate::support::{Client, Noise, Server, acknowledged, is_full, len32, measured};
use encoding_rs::Encoding;

/// Encodings with a text whose characters have one to four bytes, some of them ending in the byte of `]` or of a
/// backslash.
const TEXTS: [(&str, &str); 5] = [
    ("utf-8", "a数é𐍈]ü"),
    ("gbk", "a数据]誡b乚"),
    ("gb18030", "a数𐍈é]b誡"),
    ("big5", "a數據]功包b"),
    ("shift_jis", "aデータ]ソゾb"),
];

fn encode(label: &str, text: &str) -> Vec<u8> {
    let (bytes, _, unmappable) = Encoding::for_label(label.as_bytes()).expect("a label").encode(text);
    assert!(!unmappable, "{text} is not in {label}");
    bytes.into_owned()
}

/// An endpoint in `label` whose words are in every encoding of the table.
fn endpoint(label: &str, framing: &str) -> String {
    format!("tcp://127.0.0.1:0?mode=ack&encoding={label}&framing={framing}&ack-format=[{{}}]%21")
}

fn ack(message: &[u8]) -> Vec<u8> {
    [b"[", message, b"]!"].concat()
}

/// A server that traces, and how many times it has read.
struct Traced {
    server: Server,
    reads: usize,
}

impl Traced {
    fn start(endpoints: &[&str]) -> Traced {
        Traced { server: Server::start(&[&["-vv"], endpoints].concat()), reads: 0 }
    }

    /// Sends `bytes` in pieces that end at the cuts.
    #[track_caller]
    fn send_cut(&mut self, client: &mut Client, bytes: &[u8], cuts: &[usize]) {
        let mut start = 0;
        for end in cuts.iter().copied().chain([bytes.len()]) {
            self.send(client, &bytes[start..end]);
            start = end;
        }
    }

    /// Sends `bytes` and waits until the server has read them, so that they are not read with what is sent next. All
    /// that a server of this kind is sent has to come from here, or the reads are miscounted.
    #[track_caller]
    fn send(&mut self, client: &mut Client, bytes: &[u8]) {
        client.send(bytes);
        self.reads += 1;
        self.server.wait_logged(" bytes of at most ", self.reads);
    }
}

/// Where to cut so many bytes: everywhere at once, at each byte, and in full at every two.
fn cuts(length: usize) -> Vec<Vec<usize>> {
    let mut cuts: Vec<Vec<usize>> = (1..length).map(|cut| vec![cut]).collect();
    cuts.push((1..length).collect());
    if is_full() {
        cuts.extend((1..length).flat_map(|first| (first + 1..length).map(move |second| vec![first, second])));
    }
    cuts
}

#[test]
fn a_chunk_never_splits_a_character() {
    let mut splits = 0;
    for (label, text) in TEXTS {
        let mut traced = Traced::start(&[&endpoint(label, "chunk")]);
        let bytes = encode(label, text);
        let ends: Vec<usize> = text.char_indices().map(|(at, _)| encode(label, &text[..at]).len()).collect();
        for cuts in cuts(bytes.len()) {
            let mut client = traced.server.connect();
            traced.send_cut(&mut client, &bytes, &cuts);
            // What is whole is acknowledged at once, and the beginning of a character waits for its end.
            let mut wholes: Vec<usize> =
                cuts.iter().map(|cut| *ends.iter().rfind(|end| *end <= cut).unwrap()).chain([0, bytes.len()]).collect();
            wholes.sort();
            wholes.dedup();
            let expected: Vec<Vec<u8>> = wholes.windows(2).map(|whole| ack(&bytes[whole[0]..whole[1]])).collect();
            client.expect(&expected.concat());
            assert_eq!(client.finish(), b"", "{label}, cut at {cuts:?}");
            splits += 1;
        }
        traced.server.stop();
    }
    measured("25", &format!("chunks: {splits} splits of texts in {} encodings, every character whole", TEXTS.len()));
}

#[test]
fn frames_are_the_same_wherever_they_are_cut() {
    let mut splits = 0;
    for (label, text) in TEXTS {
        let mut traced = Traced::start(&[&endpoint(label, "line"), &endpoint(label, "len32")]);
        let addresses = traced.server.addresses();
        let message = encode(label, text);
        let line = |message: &[u8]| [message, b"\r\n"].concat();
        let exchanges = [(line(&message), line(&ack(&message))), (len32(&message), len32(&ack(&message)))];
        for (address, (request, reply)) in addresses.into_iter().zip(exchanges) {
            let mut client = Client::connect(address);
            for cuts in cuts(request.len()) {
                traced.send_cut(&mut client, &request, &cuts);
                client.expect(&reply);
                splits += 1;
            }
            assert_eq!(client.finish(), b"", "{label}");
        }
        traced.server.stop();
    }
    let encodings = TEXTS.len();
    measured(
        "25",
        &format!("line and len32: {splits} splits of texts in {encodings} encodings, each answered as if unsplit"),
    );
}

#[test]
fn the_tutorials_reply_is_right_to_the_byte() {
    let server = Server::start(&["--mode=ack", "--encoding=gbk"]);
    let mut client = server.connect();
    // 你好, as Python's encode("gbk") gives it, between 数据[ and ]收到了!
    client.ask(b"\xc4\xe3\xba\xc3", b"\xca\xfd\xbe\xdd[\xc4\xe3\xba\xc3]\xca\xd5\xb5\xbd\xc1\xcb!");
    // 誡 ends in 0x5D, the byte of the bracket that closes the message.
    assert_eq!(encode("gbk", "誡").last(), Some(&b']'));
    client.ask(&encode("gbk", "誡"), &encode("gbk", "数据[誡]收到了!"));
    client.ask(b"bye", b"\xca\xfd\xbe\xdd[bye]\xca\xd5\xb5\xbd\xc1\xcb!");
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_long_read_is_acknowledged_in_chunks_of_whole_characters() {
    let server = Server::start(&["--mode=ack", "--encoding=gbk", "--ack-format={}|"]);
    let text = encode("gbk", &"数a据".repeat(2000));
    let mut client = server.connect();
    client.send(&text);
    let replies = client.finish();
    let messages: Vec<&[u8]> = replies.split(|byte| *byte == b'|').collect();
    assert_eq!(messages.concat(), text);
    for message in messages {
        assert!(message.len() <= 1024, "a chunk has at most 1,024 bytes, this one {}", message.len());
        let (_, _, malformed) = Encoding::for_label(b"gbk").unwrap().decode(message);
        assert!(!malformed, "a character was split: {}", message.escape_ascii());
    }
}

#[test]
fn bytes_that_are_no_text_come_back_untouched() {
    for label in ["utf-8", "gbk", "gb18030", "big5", "shift_jis", "euc-kr", "iso-2022-jp", "windows-1252"] {
        let server = Server::start(&[&endpoint(label, "len32"), &endpoint(label, "chunk"), "--log-messages"]);
        let addresses = server.addresses();
        let mut framed = Client::connect(addresses[0]);
        let all: Vec<u8> = (0..=255).collect();
        framed.ask(&len32(&all), &len32(&ack(&all)));
        let mut noise = Noise::new(4);
        for _ in 0..50 {
            let size = noise.below(200);
            let message = noise.bytes(size);
            framed.ask(&len32(&message), &len32(&ack(&message)));
        }
        // In chunks the words around a message are taken off again, so it must not hold them.
        let mut message = noise.bytes(3000);
        message.retain(|byte| !b"[]!".contains(byte));
        let mut chunked = Client::connect(addresses[1]);
        chunked.send(&message);
        let mut replies = chunked.finish();
        replies.retain(|byte| !b"[]!".contains(byte));
        assert!(replies == message, "{label}");
        assert_eq!(framed.finish(), b"");
        server.stop();
    }
}

#[test]
fn the_words_can_be_set_for_all_and_for_one_endpoint() {
    let server = Server::start(&[
        "--mode=ack",
        "--ack-format=<{}>",
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:0?ack-format=%E6%94%B6%E5%88%B0%20{}&encoding=gbk",
        "tcp://127.0.0.1:0?ack-format={}",
        "tcp://127.0.0.1:0?mode=echo",
    ]);
    let replies = [b"<hi>".to_vec(), encode("gbk", "收到 hi"), b"hi".to_vec(), b"hi".to_vec()];
    for (address, reply) in server.addresses().into_iter().zip(replies) {
        let mut client = Client::connect(address);
        client.ask(b"hi", &reply);
        assert_eq!(client.finish(), b"");
    }
}

/// What a client sends, in one write each; the messages that are acknowledged; and whether the conversation is over
/// then.
struct Farewell {
    writes: &'static [&'static [u8]],
    messages: &'static [&'static [u8]],
    ends: bool,
}

const fn farewell(writes: &'static [&'static [u8]], messages: &'static [&'static [u8]], ends: bool) -> Farewell {
    Farewell { writes, messages, ends }
}

/// Checks that every case ends or goes on as it should, with `frame` around the replies.
fn check_farewells(
    traced: &mut Traced,
    address: std::net::SocketAddr,
    frame: fn(&[u8]) -> Vec<u8>,
    cases: &[Farewell],
) {
    for Farewell { writes, messages, ends } in cases {
        let told = writes.iter().map(|bytes| bytes.escape_ascii().to_string()).collect::<Vec<_>>().join(" | ");
        let mut client = Client::connect(address);
        for bytes in *writes {
            traced.send(&mut client, bytes);
        }
        for message in *messages {
            client.expect(&frame(&ack(message)));
        }
        if *ends {
            assert_eq!(client.rest(), b"", "after {told}");
        } else {
            // It goes on: another message is answered.
            traced.send(&mut client, &frame(b"more"));
            client.expect(&frame(&ack(b"more")));
            assert_eq!(client.finish(), b"", "after {told}");
        }
    }
}

#[test]
fn bye_is_a_message_that_is_exactly_bye() {
    let mut traced = Traced::start(&[&endpoint("gbk", "chunk"), &endpoint("gbk", "line"), &endpoint("gbk", "len32")]);
    let addresses = traced.server.addresses();
    check_farewells(
        &mut traced,
        addresses[0],
        |message| message.to_vec(),
        &[
            farewell(&[b"bye"], &[b"bye"], true),
            farewell(&[b"hi", b"bye"], &[b"hi", b"bye"], true),
            farewell(&[b"b", b"ye"], &[b"b", b"ye"], false),
            farewell(&[b"byebye"], &[b"byebye"], false),
            farewell(&[b"bye\n"], &[b"bye\n"], false),
            farewell(&[b"BYE"], &[b"BYE"], false),
        ],
    );
    check_farewells(
        &mut traced,
        addresses[1],
        |message| [message, b"\n"].concat(),
        &[
            farewell(&[b"bye\n"], &[b"bye"], true),
            farewell(&[b"b", b"ye", b"\n"], &[b"bye"], true),
            farewell(&[b"hi\nbye\nlost\n"], &[b"hi", b"bye"], true),
            farewell(&[b"byebye\n"], &[b"byebye"], false),
            farewell(&[b" bye\n"], &[b" bye"], false),
            farewell(&[b"bye \nBye\n"], &[b"bye ", b"Bye"], false),
        ],
    );
    check_farewells(
        &mut traced,
        addresses[2],
        len32,
        &[
            farewell(&[b"\0\0\0\x03bye"], &[b"bye"], true),
            farewell(&[b"\0\0\0", b"\x03b", b"ye"], &[b"bye"], true),
            farewell(&[b"\0\0\0\x02hi\0\0\0\x03bye\0\0\0\x04lost"], &[b"hi", b"bye"], true),
            farewell(&[b"\0\0\0\x04bye\n\0\0\0\x06byebye"], &[b"bye\n", b"byebye"], false),
        ],
    );
    // A line ending of its own comes back with the last reply too.
    let mut client = Client::connect(addresses[1]);
    client.send(b"bye\r\n");
    assert_eq!(client.rest(), b"[bye]!\r\n");
    measured(
        "25",
        "bye split, glued, longer or spelled otherwise: 16 of 16 conversations end, or go on, as they should",
    );
}

#[test]
fn bye_can_be_ignored_or_close_in_every_mode() {
    let server = Server::start(&[
        "--framing=line",
        "tcp://127.0.0.1:0?mode=ack&bye=ignore",
        "tcp://127.0.0.1:0?mode=echo",
        "tcp://127.0.0.1:0?mode=discard",
        "tcp://127.0.0.1:0?mode=echo&bye=close",
        "tcp://127.0.0.1:0?mode=discard&bye=close",
    ]);
    let addresses = server.addresses();
    let acknowledged_line = |message: &[u8]| [&acknowledged(message)[..], b"\n"].concat();

    let mut client = Client::connect(addresses[0]);
    client.ask(b"bye\n", &acknowledged_line(b"bye"));
    client.ask(b"hi\n", &acknowledged_line(b"hi"));
    let mut client = Client::connect(addresses[1]);
    client.echo(b"bye\n");
    client.echo(b"hi\n");
    let mut client = Client::connect(addresses[2]);
    client.send(b"bye\nhi\n");
    assert_eq!(client.finish(), b"");

    let mut client = Client::connect(addresses[3]);
    client.echo(b"hi\n");
    client.send(b"bye\nlost\n");
    assert_eq!(client.rest(), b"bye\n");
    let mut client = Client::connect(addresses[4]);
    client.send(b"hi\nbye\n");
    assert_eq!(client.rest(), b"");
}

#[test]
fn bye_stops_the_whole_server_only_where_that_was_asked_for() {
    for mode in ["echo", "ack", "discard"] {
        let mut server = Server::start(&[
            "--framing=line",
            &format!("--mode={mode}"),
            "tcp://127.0.0.1:0",
            "tcp://127.0.0.1:0?bye=stop",
        ]);
        let addresses = server.addresses();
        let mut bystander = Client::connect(addresses[0]);
        let reply = |message: &[u8]| match mode {
            "echo" => [message, b"\n"].concat(),
            "ack" => [&acknowledged(message)[..], b"\n"].concat(),
            _ => Vec::new(),
        };
        bystander.ask(b"hi\n", &reply(b"hi"));
        let mut client = Client::connect(addresses[1]);
        client.send(b"hi\nbye\n");
        assert_eq!(client.rest(), [reply(b"hi"), reply(b"bye")].concat(), "{mode}");
        assert_eq!(bystander.rest(), b"", "a drain ends with a FIN");
        drop((client, bystander));
        assert_eq!(server.exit_code(), Some(0), "{mode}: {}", server.log());
        server.wait_log("said bye to tcp://");
    }
}
