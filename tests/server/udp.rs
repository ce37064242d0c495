//! Goal: over UDP every datagram is one message, answered exactly, from the address that was asked, or dropped and
//! counted: and nothing that a sender does ends the server or turns it against somebody else.
//!
//! Method: the built binary serves on loopback; plain sockets are its clients. That something is *not* answered is
//! never waited for: the server counts the drop first, and then nothing can be on its way any more. Senders that need a
//! privilege (ports below 1024, forged addresses) say "skipped" where the test has none.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Instant;

use crate::support::{
    Client, PATIENCE, Server, ask, can_forge, got_nothing, measured, noise, receive, send, skip, udp_client,
    udp_client_at, wait_until,
};
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, Socket, Type};

/// The longest UDP payload over IPv4 (RFC 768: 65,535 less the two headers).
const LONGEST: usize = 65_507;

/// The words that an acknowledgement adds: `数据[` and `]收到了!` in UTF-8.
const ACK_WORDS: usize = 6 + 1 + 1 + 9 + 1;

fn loopback(last: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, last), port).into()
}

#[test]
fn datagrams_of_every_size_are_echoed_exactly() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let client = udp_client();
    let sizes = [
        0, 1, 2, 3, 4, 63, 64, 65, 511, 512, 1023, 1024, 1025, 1471, 1472, 1473, 4095, 4096, 4097, 8192, 9000, 16_384,
        32_767, 32_768, 65_000, 65_505, 65_506, LONGEST,
    ];
    let address = server.address_of("udp");
    for size in sizes {
        let message = noise(size, size);
        assert!(ask(&client, address, &message) == message, "{size} bytes came back changed");
    }
    let total = sizes.iter().sum::<usize>() as u64;
    let summary = server.drain();
    assert_eq!(summary.get("messages_in"), sizes.len() as u64);
    assert_eq!((summary.get("bytes_in"), summary.get("bytes_out")), (total, total));
    assert_eq!(summary.get("dropped"), 0);
    measured("20", &format!("{} sizes from 0 to {LONGEST} bytes come back exact (all), 0 dropped (0)", sizes.len()));
}

#[test]
fn an_acknowledgement_that_no_datagram_can_hold_is_dropped_and_counted() {
    let server = Server::start(&["udp://127.0.0.1:0?mode=ack"]);
    let (client, address) = (udp_client(), server.address_of("udp"));
    assert_eq!(ask(&client, address, "你好".as_bytes()), "数据[你好]收到了!".as_bytes());
    assert_eq!(ask(&client, address, b""), "数据[]收到了!".as_bytes());

    let fits = noise(LONGEST - ACK_WORDS, 1);
    let answer = ask(&client, address, &fits);
    assert_eq!(answer.len(), LONGEST);
    assert!(answer[7..7 + fits.len()] == fits);

    for excess in [1, ACK_WORDS] {
        client.send_to(&noise(LONGEST - ACK_WORDS + excess, 2), address).unwrap();
    }
    server.wait_summary("two replies that are too long", |summary| summary.get("too-long") == 2);
    assert!(got_nothing(&client), "a reply was cut instead of dropped");
    assert_eq!(ask(&client, address, b"still there?"), "数据[still there?]收到了!".as_bytes());
    assert_eq!(server.drain().get("dropped"), 2);
    measured("20", "EMSGSIZE: 2 of 2 replies that no datagram can hold dropped and counted, none cut (all)");
}

#[test]
fn acknowledgements_leave_in_the_encoding_of_the_endpoint_and_bytes_untouched() {
    let server = Server::start(&["udp://127.0.0.1:0?mode=ack&encoding=gbk"]);
    let (client, address) = (udp_client(), server.address_of("udp"));
    let gbk = |text: &str| encoding_rs::GBK.encode(text).0.into_owned();
    assert_eq!(ask(&client, address, &gbk("数据")), gbk("数据[数据]收到了!"));
    // Half a character is a message too: a datagram is never continued by the next.
    let half = &gbk("数")[..1];
    assert_eq!(ask(&client, address, half), [&gbk("数据["), half, &gbk("]收到了!")].concat());
    server.stop();
}

#[test]
fn many_clients_at_once_each_get_their_own_answers() {
    const CLIENTS: usize = 16;
    const MESSAGES: usize = 100;
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let address = server.address_of("udp");
    thread::scope(|scope| {
        for number in 0..CLIENTS {
            scope.spawn(move || {
                let client = udp_client();
                for count in 0..MESSAGES {
                    let message = noise(1 + (number * 131 + count * 17) % 3000, number * MESSAGES + count);
                    assert!(ask(&client, address, &message) == message, "client {number}, message {count}");
                }
            });
        }
    });
    assert_eq!(server.drain().get("messages_in"), (CLIENTS * MESSAGES) as u64);
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    let addresses = [loopback(1, 0), loopback(2, 0), loopback(77, 0)];
    let mut right = 0;
    for wildcard in ["udp://0.0.0.0:0", "udp://[::]:0"] {
        if wildcard.contains("::") && UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).is_err() {
            skip("no IPv6 on this machine");
            continue;
        }
        let server = Server::start(&[wildcard]);
        let port = server.address_of("udp").port();
        let client = udp_client();
        for asked in addresses {
            let asked = SocketAddr::new(asked.ip(), port);
            // `ask` compares the source of the answer with the address that was asked.
            assert_eq!(ask(&client, asked, b"from where?"), b"from where?", "{wildcard}");
            assert_eq!(ask(&client, asked, b""), b"", "{wildcard}");
            right += 2;
        }
        server.wait_log("udp://");
        assert!(server.log().lines().any(|line| line.contains("WARN") && line.contains("open to every network")));
        server.stop();
    }
    measured(
        "19",
        &format!("{right} of {right} replies leave from the address that was asked: 127.0.0.1, .2, .77 (all)"),
    );
}

#[test]
fn source_ports_of_services_get_no_reply() {
    let mut silenced = 0;
    for endpoint in ["udp://127.0.0.1:0", "udp://0.0.0.0:0"] {
        let server = Server::start(&[endpoint]);
        let address = SocketAddr::new(loopback(1, 0).ip(), server.address_of("udp").port());
        let mut guarded = 0;
        let mut silent = Vec::new();
        for port in [7, 19, 53, 123, 1023, 1900] {
            // An address of its own, so that no daemon of this machine is in the way.
            match UdpSocket::bind(loopback(53, port)) {
                Ok(client) => {
                    client.send_to(b"answer me", address).unwrap();
                    guarded += 1;
                    silent.push(client);
                }
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                    skip(&format!("port {port} needs a privilege to bind"));
                }
                Err(error) => skip(&format!("port {port}: {error}")),
            }
        }
        assert_eq!(ask(&udp_client(), address, b"an ordinary port"), b"an ordinary port");
        server.wait_summary("the guarded replies", |summary| summary.get("guarded") == guarded);
        assert!(silent.iter().all(got_nothing), "{endpoint} answered a service");
        let summary = server.drain();
        assert_eq!((summary.get("messages_in"), summary.get("bytes_out")), (guarded + 1, 16));
        assert_eq!(summary.get("messages_out"), 1, "what did not leave is no message");
        silenced += guarded;
    }
    measured(
        "18",
        &format!("{silenced} datagrams from ports below 1024 and from 1900: 0 replies, {silenced} counted (all)"),
    );
}

#[test]
fn a_server_does_not_answer_itself() {
    let (one, wildcard) = ("udp://127.0.0.1:0", "udp://0.0.0.0:0");
    let near =
        [(one, 1), (wildcard, 1), (wildcard, 9)].map(|(endpoint, last)| (endpoint, Ipv4Addr::new(127, 0, 0, last)));
    // From an address that only the way over loopback shows to be this machine's.
    let far = address_outside_loopback().map(|ip| (wildcard, ip));
    let cases: Vec<(&str, Ipv4Addr)> = near.into_iter().chain(far).collect();
    for &(endpoint, source) in &cases {
        let server = Server::start(&[endpoint]);
        let port = server.address_of("udp").port();
        if !can_forge(SocketAddr::from((source, port)), loopback(1, port), b"whoami") {
            return;
        }
        server.wait_summary("the one guarded reply", |summary| summary.get("guarded") == 1);
        let summary = server.drain();
        assert_eq!((summary.get("messages_in"), summary.get("bytes_out")), (1, 0), "{endpoint} talked to itself");
    }
    measured("18", &format!("{0} of {0} datagrams from the server's own port: no reply, counted (all)", cases.len()));
}

#[test]
fn the_port_of_the_server_on_another_address_of_the_machine_is_its_own_where_it_has_them_all() {
    let server = Server::start(&["--reuse-port", "udp://0.0.0.0:0"]);
    let port = server.address_of("udp").port();
    let socket = Socket::new(Domain::IPV4, Type::DGRAM, Some(Protocol::UDP)).unwrap();
    socket.set_reuse_port(true).unwrap();
    socket.bind(&loopback(5, port).into()).unwrap();
    let client = UdpSocket::from(socket);
    client.send_to(b"from your own port", loopback(1, port)).unwrap();
    server.wait_summary("the guarded reply", |summary| summary.get("guarded") == 1);
    assert!(got_nothing(&client));
    server.stop();
}

/// A client that may send to a broadcast address, and whose multicasts leave over loopback.
fn client_to_many() -> UdpSocket {
    let client = udp_client();
    client.set_broadcast(true).unwrap();
    let socket = socket2::SockRef::from(&client);
    socket.set_multicast_if_v4(&Ipv4Addr::LOCALHOST).unwrap();
    client
}

#[test]
fn what_was_sent_to_a_broadcast_or_multicast_address_gets_no_reply() {
    const GROUP: Ipv4Addr = Ipv4Addr::new(239, 1, 2, 3);
    // The kernel hands a multicast to a wildcard socket once anybody on the machine has joined the group there.
    let member = udp_client();
    member.join_multicast_v4(&GROUP, &Ipv4Addr::LOCALHOST).unwrap();
    let server = Server::start(&["udp://0.0.0.0:0"]);
    let port = server.address_of("udp").port();
    let client = client_to_many();
    client.send_to(b"everybody!", (Ipv4Addr::new(127, 255, 255, 255), port)).unwrap();
    server.wait_summary("the broadcast", |summary| summary.get("guarded") == 1);
    client.send_to(b"all of the group!", (GROUP, port)).unwrap();
    server.wait_summary("the multicast", |summary| summary.get("guarded") == 2);
    assert!(got_nothing(&client), "a datagram to many was answered");
    assert_eq!(ask(&client, loopback(1, port), b"only you"), b"only you");
    assert_eq!(server.drain().get("dropped"), 2);
    measured("18", "a broadcast and a multicast: 0 replies, 2 counted (all)");
}

#[test]
fn what_was_sent_to_many_gets_no_reply_from_an_endpoint_of_both_families() {
    // All nodes of this interface (RFC 4291, 2.7.1): everybody with IPv6 has joined it, and it never leaves the
    // machine.
    const ALL_NODES: Ipv6Addr = Ipv6Addr::new(0xff01, 0, 0, 0, 0, 0, 0, 1);
    let Ok(client) = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)) else { return skip("no IPv6 on this machine") };
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let server = Server::start(&["udp://[::]:0"]);
    let port = server.address_of("udp").port();
    let client4 = client_to_many();
    client4.send_to(b"everybody!", (Ipv4Addr::new(127, 255, 255, 255), port)).unwrap();
    server.wait_summary("the broadcast", |summary| summary.get("guarded") == 1);

    let send_over = |interface: &nix::net::if_::Interface| {
        let index = interface.index();
        socket2::SockRef::from(&client).set_multicast_if_v6(index).unwrap();
        client.send_to(b"all nodes!", std::net::SocketAddrV6::new(ALL_NODES, port, 0, index)).is_ok()
    };
    if nix::net::if_::if_nameindex().unwrap().iter().any(send_over) {
        server.wait_summary("the multicast", |summary| summary.get("guarded") == 2);
    } else {
        skip("no interface has a route for IPv6 multicast");
    }
    assert!(got_nothing(&client) && got_nothing(&client4), "a datagram to many was answered");
    assert_eq!(ask(&client, (Ipv6Addr::LOCALHOST, port).into(), b"only you"), b"only you");
    server.stop();
}

#[test]
fn a_rate_bounds_the_replies_to_one_source_and_leaves_the_others_alone() {
    const SENT: u64 = 60;
    let server = Server::start(&["--udp-rate", "5", "udp://127.0.0.1:0"]);
    let address = server.address_of("udp");
    let (greedy, modest) = (udp_client(), udp_client_at(loopback(9, 0)));
    let began = Instant::now();
    for number in 0..SENT {
        greedy.send_to(&number.to_be_bytes(), address).unwrap();
    }
    let summary = server.wait_summary("all of it", |summary| summary.get("messages_in") == SENT);
    let dropped = summary.get("over-rate");
    let most = 5 + (5.0 * began.elapsed().as_secs_f64()).ceil() as u64;
    let replied = SENT - dropped;
    assert!((5..=most).contains(&replied), "{replied} replies where 5 to {most} are due");
    for _ in 0..replied {
        receive(&greedy);
    }
    assert!(got_nothing(&greedy), "more replies came than the server counted");
    assert_eq!(ask(&modest, address, b"me too"), b"me too");
    server.stop();
}

#[test]
fn loopback_is_unlimited_and_other_sources_are_not() {
    const SENT: u64 = 600;
    let Some(ip) = address_outside_loopback() else { return skip("no address outside loopback") };
    for (ip, limited) in [(ip, true), (Ipv4Addr::LOCALHOST, false)] {
        let server = Server::start(&["udp://0.0.0.0:0"]);
        let client = udp_client_at((ip, 0).into());
        let address = SocketAddr::new(ip.into(), server.address_of("udp").port());
        let began = Instant::now();
        // In portions, so that no queue of the kernel overflows.
        for portion in 1..=SENT / 50 {
            for _ in 0..50 {
                client.send_to(b"x", address).unwrap();
            }
            server.wait_summary("a portion", |summary| summary.get("messages_in") == portion * 50);
        }
        let summary = server.drain();
        let replied = SENT - summary.get("over-rate");
        let due = if limited { 200 + (200.0 * began.elapsed().as_secs_f64()).ceil() as u64 } else { SENT };
        assert_eq!(summary.get("bytes_out"), replied);
        assert!(replied <= due, "{ip} got {replied} replies where at most {due} are due");
        assert!(replied >= if limited { 200 } else { SENT }, "{ip} got only {replied} replies");
    }
}

fn address_outside_loopback() -> Option<Ipv4Addr> {
    let addresses = nix::ifaddrs::getifaddrs().ok()?;
    addresses.filter_map(|found| Some(found.address?.as_sockaddr_in()?.ip())).find(|ip| !ip.is_loopback())
}

#[test]
fn a_client_that_is_gone_before_its_reply_harms_nobody() {
    for endpoint in ["udp://127.0.0.1:0", "udp://0.0.0.0:0"] {
        let server = Server::start(&[endpoint]);
        let address = SocketAddr::new(loopback(1, 0).ip(), server.address_of("udp").port());
        // The server is held while they send and close; each reply is then answered by ICMP "port unreachable".
        server.signal(Signal::SIGSTOP);
        // One socket with an address of its own: the port is free again at once, and the replies must not meet another
        // test's.
        let gone = udp_client_at(loopback(77, 0));
        for _ in 0..100 {
            gone.send_to(b"and away", address).unwrap();
        }
        drop(gone);
        server.signal(Signal::SIGCONT);
        server.wait_summary("their datagrams", |summary| summary.get("messages_in") == 100);
        let client = udp_client();
        for _ in 0..10 {
            assert_eq!(ask(&client, address, b"here"), b"here");
        }
        assert_eq!(server.drain().get("messages_in"), 110);
    }
    measured("20", "ECONNREFUSED: 2 x 100 replies to a client that is gone, then 2 x 10 of 10 others answered (all)");
}

#[test]
fn bye_is_a_message_like_any_other_to_an_echo() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let (client, address) = (udp_client(), server.address_of("udp"));
    assert_eq!(ask(&client, address, b"bye"), b"bye");
    assert_eq!(ask(&client, address, b"again"), b"again");
    server.stop();
}

#[test]
fn bye_is_answered_with_bye_where_it_closes() {
    let server = Server::start(&["udp://127.0.0.1:0?mode=ack"]);
    let (client, address) = (udp_client(), server.address_of("udp"));
    assert_eq!(ask(&client, address, b"bye"), b"bye");
    // There is no conversation to close, and only the exact word is it.
    for not_quite in ["bye\n", "Bye", "bye bye", "by"] {
        let answer = ask(&client, address, not_quite.as_bytes());
        assert_eq!(String::from_utf8(answer).unwrap(), format!("数据[{not_quite}]收到了!"));
    }
    server.stop();

    let ignoring = Server::start(&["udp://127.0.0.1:0?mode=ack&bye=ignore"]);
    assert_eq!(ask(&client, ignoring.address_of("udp"), b"bye"), "数据[bye]收到了!".as_bytes());
    ignoring.stop();
}

#[test]
fn bye_stops_the_server_where_the_operator_asked_for_it_and_what_waits_is_answered() {
    for mode in ["echo", "ack", "discard"] {
        let mut server = Server::start(&[&format!("udp://127.0.0.1:0?mode={mode}&bye=stop")]);
        let (client, address) = (udp_client(), server.address_of("udp"));
        server.signal(Signal::SIGSTOP);
        for message in ["one", "two", "bye", "three"] {
            client.send_to(message.as_bytes(), address).unwrap();
        }
        server.signal(Signal::SIGCONT);
        let expected: &[&str] = match mode {
            "echo" => &["one", "two", "bye", "three"],
            "ack" => &["数据[one]收到了!", "数据[two]收到了!", "bye", "数据[three]收到了!"],
            _ => &["bye"],
        };
        for answer in expected {
            assert_eq!(String::from_utf8(receive(&client).0).unwrap(), *answer, "{mode}");
        }
        let summary = server.last_summary();
        assert!(got_nothing(&client));
        assert_eq!(summary.get("messages_in"), 4, "{mode}");
        assert_eq!(summary.get("messages_out"), expected.len() as u64, "{mode}");
    }
}

#[test]
fn discard_with_bye_and_a_log_is_the_receiver_of_the_tutorial() {
    let mut server = Server::start(&["--mode", "discard", "--bye", "stop", "--log-messages", "udp://127.0.0.1:0"]);
    let (client, address) = (udp_client(), server.address_of("udp"));
    let own = client.local_addr().unwrap();
    client.send_to("你好,\x1b[31m世界\n".as_bytes(), address).unwrap();
    client.send_to(b"bye", address).unwrap();
    assert_eq!(receive(&client), (b"bye".to_vec(), address));
    server.last_summary();
    let log = server.log();
    let messages: Vec<_> = log.lines().filter(|line| line.contains("message from ")).collect();
    assert_eq!(messages.len(), 2, "{messages:?}");
    assert!(messages[0].contains(&format!("from {own} to udp://{address}: 你好,\\u{{1b}}[31m世界\\n")), "{messages:?}");
    assert!(messages[1].ends_with(": bye"), "{messages:?}");
}

#[test]
fn a_drain_answers_the_datagrams_that_wait() {
    const SENT: u64 = 150;
    let mut server = Server::start(&["udp://127.0.0.1:0"]);
    let (client, address) = (udp_client(), server.address_of("udp"));
    server.signal(Signal::SIGSTOP);
    for number in 0..SENT {
        client.send_to(&number.to_be_bytes(), address).unwrap();
    }
    server.signal(Signal::SIGTERM);
    server.signal(Signal::SIGCONT);
    for number in 0..SENT {
        assert_eq!(receive(&client).0, number.to_be_bytes());
    }
    assert_eq!(server.last_summary().get("messages_in"), SENT);
}

#[test]
fn one_forged_datagram_between_two_servers_dies_at_the_rate() {
    for (mode, same_port) in [("echo", false), ("ack", false), ("echo", true)] {
        let start = |url: &str| Server::start(&["--udp-rate", "5", "--mode", mode, url]);
        let one = start("udp://127.0.0.1:0");
        let port = if same_port { one.address_of("udp").port() } else { 0 };
        let other = start(&format!("udp://127.0.0.2:{port}"));
        if !can_forge(one.address_of("udp"), other.address_of("udp"), b"ping") {
            return;
        }
        // The ball goes to and fro until one of them drops it, and then nobody has it.
        wait_until("the ball to be dropped", || {
            let dropped = one.summary().get("over-rate") + other.summary().get("over-rate");
            dropped > 0
        });
        let (one, other) = (one.drain(), other.drain());
        let replies = one.get("messages_in") + other.get("messages_in") - 1;
        assert_eq!(one.get("dropped") + other.get("dropped"), 1, "there was more than one ball");
        // A full bucket each, and what the buckets gain while the ball flies: on a slow machine a few more.
        assert!((10..100).contains(&replies), "{replies} replies between two {mode} servers");
    }
}

#[test]
fn one_port_serves_tcp_and_udp() {
    let server = Server::start(&["127.0.0.1:0"]);
    assert_eq!(server.address(), server.address_of("udp"));
    assert_eq!(ask(&udp_client(), server.address_of("udp"), b"datagram"), b"datagram");
    Client::connect(server.address()).echo(b"stream");
    assert_eq!(server.urls().len(), 2, "one line an endpoint");
    server.stop();
}

#[test]
fn the_client_sends_lines_as_datagrams_and_prints_the_answers() {
    let server = Server::start(&["udp://127.0.0.1:0?mode=ack&encoding=gbk"]);
    let url = server.url("udp");
    let ended = send(&[url.as_str(), "--encoding", "gbk"], "一\n\nthree\nbye\nnever sent\n".as_bytes());
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert_eq!(ended.printed(), "数据[一]收到了!\n数据[]收到了!\n数据[three]收到了!\nbye\n");
    assert_eq!(server.drain().get("messages_in"), 4);
}

#[test]
fn the_client_says_that_nobody_listens() {
    // A socket that is connected to somebody else keeps the port and takes nothing from anybody: the kernel refuses.
    let occupied = udp_client();
    occupied.connect(loopback(99, 9)).unwrap();
    let address = occupied.local_addr().unwrap();
    let ended = send(&[format!("udp://{address}"), "-m".into(), "hello".into()], b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("refused"), "{ended:?}");
    assert_eq!(ended.printed(), "");
}

#[test]
fn the_client_says_that_a_message_is_too_long_for_a_datagram() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let url = server.url("udp");
    let fits = "x".repeat(LONGEST);
    let ended = send(&[url.as_str(), "-m", &fits], b"");
    assert_eq!((ended.code, ended.printed().trim_end() == fits), (Some(0), true), "{:?}", ended.stderr);

    let ended = send(&[url.as_str(), "-m", &"x".repeat(LONGEST + 1)], b"");
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("too long"), "{ended:?}");

    let ended = send(&[url.as_str(), "--raw"], &vec![b'x'; LONGEST + 1]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    server.stop();
}

#[test]
fn the_client_waits_no_longer_than_it_was_told() {
    let server = Server::start(&["udp://127.0.0.1:0?mode=discard"]);
    let began = Instant::now();
    let ended = send(&[server.url("udp").as_str(), "-m", "anybody?", "--wait", "150ms"], b"");
    assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("0 of 1 message was answered") && ended.stderr.contains("was lost"), "{ended:?}");
    assert!(began.elapsed().as_millis() >= 150);
    assert_eq!(server.drain().get("messages_in"), 1);
}
