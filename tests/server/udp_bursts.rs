//! Goal: datagrams that wait together are served as if each had come alone: answered exactly, in order, to whom they
//! came from, and what becomes of one is nothing to those before and behind it.
//!
//! Method: the built server is held (SIGSTOP) while plain sockets send, so that it finds everything at once and takes
//! it in batches.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use crate::support::{PATIENCE, Server, ask, got_nothing, noise, receive, skip, udp_client, udp_client_at};
use nix::sys::signal::Signal;

/// The longest UDP payload over IPv4 (RFC 768: 65,535 less the two headers).
const LONGEST: usize = 65_507;

fn at_loopback(last: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), port).into()
}

/// What the server finds at once: each message with the number of its sender.
fn send_while_held(server: &Server, to: SocketAddr, clients: &[UdpSocket], messages: &[(usize, Vec<u8>)]) {
    server.signal(Signal::SIGSTOP);
    for (client, message) in messages {
        clients[*client].send_to(message, to).expect("loopback takes it");
    }
    server.signal(Signal::SIGCONT);
}

/// Every client gets what `answer` makes of its messages, from the server and in order.
fn expect_answers(
    server: SocketAddr,
    clients: &[UdpSocket],
    messages: &[(usize, Vec<u8>)],
    answer: impl Fn(&[u8]) -> Vec<u8>,
) {
    for (number, (client, message)) in messages.iter().enumerate() {
        let (got, source) = receive(&clients[*client]);
        assert_eq!(source, server);
        assert!(
            got == answer(message),
            "message {number}, of {} bytes, came back as {} bytes",
            message.len(),
            got.len()
        );
    }
}

fn acknowledged(message: &[u8]) -> Vec<u8> {
    ["数据[".as_bytes(), message, "]收到了!".as_bytes()].concat()
}

/// One of every size, three times, then the longest in the middle of a batch: what a socket's buffer holds beside two
/// of those.
fn mixed_messages(round: usize, clients: usize) -> Vec<(usize, Vec<u8>)> {
    let sizes = [0, 1, 64, 1472, 1473, 4096, 9000, 0, 1, 64, 500, 0, 0, 64, LONGEST - 18, 64, 2, 0, 1, 333];
    let message =
        |(number, size): (usize, &usize)| ((number * 7 + round) % clients, noise(*size, round * 100 + number));
    sizes.iter().enumerate().map(message).collect()
}

#[test]
fn a_burst_of_every_size_from_several_sources_comes_back_exactly() {
    for url in ["udp://127.0.0.1:0", "udp://127.0.0.1:0?mode=ack", "udp://0.0.0.0:0", "udp://[::1]:0"] {
        if url.contains("::1") && UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
            skip("no IPv6 on this machine");
            continue;
        }
        let server = Server::start(&["--rcvbuf", "1M", url]);
        let bound = server.address_of("udp");
        let to = if bound.ip().is_unspecified() { at_loopback(1, bound.port()) } else { bound };
        let clients: Vec<_> = (1..=4)
            .map(|last| if to.is_ipv4() { udp_client_at(at_loopback(last, 0)) } else { udp6_client() })
            .collect();
        let mut bytes = 0;
        for round in 0..8 {
            let messages = mixed_messages(round, clients.len());
            bytes += messages.iter().map(|(_, message)| message.len() as u64).sum::<u64>();
            send_while_held(&server, to, &clients, &messages);
            let answer = |message: &[u8]| if url.contains("ack") { acknowledged(message) } else { message.to_vec() };
            expect_answers(to, &clients, &messages, answer);
        }
        assert!(clients.iter().all(got_nothing), "{url} answered twice");
        let summary = server.drain();
        assert_eq!((summary.get("messages_in"), summary.get("bytes_in")), (8 * 20, bytes), "{url}");
        assert_eq!(summary.get("dropped"), 0, "{url}");
    }
}

fn udp6_client() -> UdpSocket {
    let socket = UdpSocket::bind((Ipv6Addr::LOCALHOST, 0)).expect("a free port");
    socket.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    socket
}

#[test]
fn an_answer_that_cannot_leave_is_dropped_alone_wherever_it_stands() {
    let server = Server::start(&["--rcvbuf", "1M", "udp://127.0.0.1:0?mode=ack"]);
    let to = server.address_of("udp");
    let clients = [udp_client(), udp_client()];
    // Two are received alone before the batches begin; then the places of a batch of eight, one after another.
    for place in 0..12 {
        let mut messages: Vec<_> = (0..12).map(|number| (number % 2, noise(number * 3, place * 12 + number))).collect();
        messages[place].1 = noise(LONGEST, place);
        send_while_held(&server, to, &clients, &messages);
        messages.remove(place);
        expect_answers(to, &clients, &messages, acknowledged);
    }
    assert!(clients.iter().all(got_nothing), "a reply was cut instead of dropped");
    let summary = server.drain();
    assert_eq!((summary.get("messages_in"), summary.get("too-long"), summary.get("dropped")), (144, 12, 12));
}

#[test]
fn sources_that_get_no_answer_are_passed_over_in_the_middle_of_a_batch() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let to = server.address_of("udp");
    // SSDP, from an address of its own, so that no daemon of this machine is in the way.
    let Ok(service) = UdpSocket::bind(at_loopback(54, 1900)) else { return skip("port 1900 is taken") };
    let clients = [udp_client(), service, udp_client()];
    let messages: Vec<_> = (0..60).map(|number| (number % 3, noise(number, number))).collect();
    send_while_held(&server, to, &clients, &messages);
    let answered: Vec<_> = messages.into_iter().filter(|(client, _)| *client != 1).collect();
    expect_answers(to, &clients, &answered, <[u8]>::to_vec);
    assert!(clients.iter().all(got_nothing), "a service got an answer");
    let summary = server.drain();
    assert_eq!((summary.get("messages_in"), summary.get("guarded"), summary.get("dropped")), (60, 20, 20));
}

#[test]
fn a_rate_is_kept_within_a_batch() {
    const SENT: usize = 48;
    let server = Server::start(&["--udp-rate", "1", "udp://127.0.0.1:0"]);
    let to = server.address_of("udp");
    let clients = [udp_client_at(at_loopback(21, 0)), udp_client_at(at_loopback(22, 0))];
    let messages: Vec<_> = (0..SENT).map(|number| (number % 2, vec![number as u8])).collect();
    send_while_held(&server, to, &clients, &messages);
    // They are taken within one turn, which is one moment: each source has its one reply.
    for (number, client) in clients.iter().enumerate() {
        assert_eq!(receive(client).0, [number as u8]);
    }
    let summary = server.wait_summary("all of it", |summary| summary.get("messages_in") == SENT as u64);
    assert_eq!((summary.get("over-rate"), summary.get("bytes_out")), (SENT as u64 - 2, 2));
    assert!(clients.iter().all(got_nothing), "more replies came than the server counted");
    server.stop();
}

#[test]
fn peers_that_are_gone_in_the_middle_of_a_batch_harm_nobody() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let to = server.address_of("udp");
    let here = [udp_client(), udp_client()];
    for round in 0..5 {
        // Addresses of their own: their ports are free again at once, and the replies must not meet another test's.
        let gone: Vec<_> = (0..4).map(|number| udp_client_at(at_loopback(80 + number, 0))).collect();
        server.signal(Signal::SIGSTOP);
        let mut expected = Vec::new();
        for number in 0..40 {
            let message = noise(number * 5, round * 40 + number);
            let client = if number % 3 == 0 { &gone[number % 4] } else { &here[number % 2] };
            client.send_to(&message, to).expect("loopback takes it");
            if number % 3 != 0 {
                expected.push((number % 2, message));
            }
        }
        // Each answer to them is met by an ICMP message, "port unreachable".
        drop(gone);
        server.signal(Signal::SIGCONT);
        expect_answers(to, &here, &expected, <[u8]>::to_vec);
    }
    assert_eq!(ask(&here[0], to, b"still there?"), b"still there?");
    assert!(here.iter().all(got_nothing));
    assert_eq!(server.drain().get("messages_in"), 201);
}
