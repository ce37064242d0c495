//! Goal: the tutorial's four programs and cooee understand each other, in both directions, down to `bye`; and the
//! mistakes that the tutorial's programs make are shown beside a server that does not make them.
//!
//! Method: the four programs, written again in Python (`tests/tutorial/`), run against `cooee serve` and `cooee send`.
//! Without Python 3 the tests say "skipped".

use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::Command;

use crate::support::{Client, Server, ask, can_forge, run, send, udp_client};

/// Python with one of the tutorial's programs; none where there is no Python.
fn python(program: &str, arguments: &[&str]) -> Option<Command> {
    let mut command = crate::support::python(&format!("tutorial/{program}"))?;
    command.args(arguments);
    Some(command)
}

/// Starts one of the tutorial's servers; its first line says its port.
fn python_server(program: &str, arguments: &[&str]) -> Option<(Server, SocketAddr)> {
    let server = Server::start_command(&mut python(program, arguments)?, 1);
    let port: u16 = server.urls()[0].parse().unwrap();
    Some((server, (Ipv4Addr::LOCALHOST, port).into()))
}

fn gbk(text: &str) -> Vec<u8> {
    encoding_rs::GBK.encode(text).0.into_owned()
}

/// What the tutorial's server answers to `text`.
fn acknowledged(text: &str) -> Vec<u8> {
    gbk(&format!("数据[{text}]收到了!"))
}

#[test]
fn the_tcp_client_of_the_tutorial_is_served_by_cooee() {
    let server = Server::start(&["tcp://127.0.0.1:0?mode=ack&encoding=gbk"]);
    let port = server.address().port().to_string();
    let Some(mut client) = python("tcp_client.py", &["127.0.0.1", &port]) else { return };
    let ended = run(&mut client, "你好\nhello, 世界\nbye\nnever sent\n".as_bytes());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.printed(), "数据[你好]收到了!\n数据[hello, 世界]收到了!\n数据[bye]收到了!\nended\n");
    let summary = server.drain();
    assert_eq!((summary.get("messages_in"), summary.get("ended")), (3, 1));
}

#[test]
fn the_tcp_client_of_the_tutorial_is_served_in_utf_8_too() {
    let server = Server::start(&["--mode", "ack", "tcp://127.0.0.1:0"]);
    let port = server.address().port().to_string();
    let Some(mut client) = python("tcp_client.py", &["127.0.0.1", &port, "utf-8"]) else { return };
    let ended = run(&mut client, "你好\nbye\n".as_bytes());
    assert_eq!((ended.code, ended.printed()), (Some(0), "数据[你好]收到了!\n数据[bye]收到了!\nended\n"));
    server.stop();
}

#[test]
fn cooee_talks_to_the_tcp_server_of_the_tutorial() {
    let Some((server, address)) = python_server("tcp_server.py", &[]) else { return };
    let arguments = [format!("tcp://{address}"), "--encoding".into(), "gbk".into()];
    let ended = send(&arguments, "你好\nhello\nbye\nnever sent\n".as_bytes());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.printed(), "数据[你好]收到了!\n数据[hello]收到了!\n数据[bye]收到了!\n");
    for text in [": 你好", ": hello", ": bye"] {
        server.wait_printed(text);
    }
}

#[test]
fn the_udp_sender_of_the_tutorial_is_received_by_cooee() {
    let mut server = Server::start(&["--mode", "discard", "--bye", "stop", "--log-messages", "udp://127.0.0.1:0"]);
    let port = server.address_of("udp").port().to_string();
    let Some(mut sender) = python("udp_sender.py", &["127.0.0.1", &port]) else { return };
    let ended = run(&mut sender, "一\ntwo\nbye\nnever sent\n".as_bytes());
    assert_eq!((ended.code, ended.printed()), (Some(0), "bye from the server\n"), "{ended:?}");
    assert_eq!(server.last_summary().get("messages_in"), 3);
    for text in [": 一", ": two", ": bye"] {
        let line = server.wait_log(text);
        assert!(line.contains("message from 127.0.0.1:"), "{line}");
    }
}

#[test]
fn cooee_sends_to_the_udp_receiver_of_the_tutorial() {
    let Some((mut receiver, address)) = python_server("udp_receiver.py", &[]) else { return };
    let ended = send(&[format!("udp://{address}")], "一\ntwo\nbye\nnever sent\n".as_bytes());
    assert_eq!((ended.code, ended.printed()), (Some(0), "bye\n"), "{ended:?}");
    assert_eq!(receiver.exit_code(), Some(0));
    let printed = receiver.stdout();
    let texts: Vec<_> = printed.lines().skip(1).map(|line| line.rsplit(": ").next().unwrap()).collect();
    assert_eq!(texts, ["一", "two", "bye"]);
}

/// Whether `stream` has nothing to read now.
fn is_silent(client: &Client) -> bool {
    let mut stream = &client.stream;
    stream.set_nonblocking(true).unwrap();
    let read = stream.read(&mut [0; 16]);
    stream.set_nonblocking(false).unwrap();
    matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// Sends `text` and checks the acknowledgement.
fn acknowledges(client: &mut Client, text: &str) {
    client.ask(&gbk(text), &acknowledged(text));
}

#[test]
fn a_thread_that_is_none_serves_one_client_at_a_time() {
    let Some((_server, address)) = python_server("tcp_server.py", &["--as-in-the-tutorial"]) else { return };
    let mut first = Client::connect(address);
    acknowledges(&mut first, "first");
    let mut second = Client::connect(address);
    second.send(&gbk("second"));
    // The first is answered again and again, so the server is awake and has its chances.
    for _ in 0..50 {
        acknowledges(&mut first, "again");
        assert!(is_silent(&second), "then the handler ran in a thread after all");
    }
    // Its turn comes when the first has said bye.
    acknowledges(&mut first, "bye");
    second.expect(&acknowledged("second"));
}

#[test]
fn real_threads_serve_two_clients_at_once_and_so_does_one_loop() {
    let both_are_answered = |address| {
        let (mut first, mut second) = (Client::connect(address), Client::connect(address));
        acknowledges(&mut first, "一");
        acknowledges(&mut second, "二");
        acknowledges(&mut first, "三");
    };
    let cooee = Server::start(&["tcp://127.0.0.1:0?mode=ack&encoding=gbk"]);
    both_are_answered(cooee.address());
    cooee.stop();
    let Some((_server, address)) = python_server("tcp_server.py", &[]) else { return };
    both_are_answered(address);
}

#[test]
fn a_character_split_between_two_reads_is_whole_again() {
    let server = Server::start(&["tcp://127.0.0.1:0?mode=ack&encoding=gbk"]);
    let mut client = Client::connect(server.address());
    let (character, answer) = (gbk("数"), acknowledged("数"));
    client.send(&character[..1]);
    // The server has read the first byte alone before the second leaves.
    server.wait_summary("half a character", |summary| summary.get("bytes_in") == 1);
    assert!(is_silent(&client), "half a character is no message");
    client.ask(&character[1..], &answer);
    assert_eq!(server.summary().get("messages_in"), 1);
    // At the end half a character is a message as it is.
    client.send(&character[..1]);
    client.shutdown();
    assert_eq!(client.rest(), [&gbk("数据["), &character[..1], &gbk("]收到了!")].concat());
    server.stop();

    let Some((server, address)) = python_server("tcp_server.py", &["--as-in-the-tutorial"]) else { return };
    let mut client = Client::connect(address);
    client.send(&character[..1]);
    server.wait_printed("failed: UnicodeDecodeError");
}

#[test]
fn one_forged_bye_stops_the_receiver_of_the_tutorial_and_not_cooee() {
    // A stranger's address: whoever is there never sent anything.
    let stranger: SocketAddr = (Ipv4Addr::new(127, 0, 0, 66), 6666).into();
    let server = Server::start(&["udp://127.0.0.1:0?mode=ack"]);
    if !can_forge(stranger, server.address_of("udp"), b"bye") {
        return;
    }
    server.wait_summary("the forged bye", |summary| summary.get("messages_in") == 1);
    let answer = ask(&udp_client(), server.address_of("udp"), b"still there?");
    assert_eq!(answer, "数据[still there?]收到了!".as_bytes());
    server.stop();

    let Some((mut receiver, address)) = python_server("udp_receiver.py", &[]) else { return };
    assert!(can_forge(stranger, address, b"bye"));
    assert_eq!(receiver.exit_code(), Some(0), "the receiver believes whatever address is on a datagram");
    receiver.wait_printed("from 127.0.0.66:6666: bye");
}
