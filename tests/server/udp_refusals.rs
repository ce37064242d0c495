//! Goal: a reply that cannot leave is dropped and counted, and never cut; whatever keeps it, the server serves again
//! when that is gone: a firewall, a network that carries little at a time, an interface that is down, an address that
//! has vanished. And what was sent to many, or by a service, gets no reply outside loopback either.
//!
//! Method: the server is at one end of a cable between two networks of the test's own, plain sockets at the other. It
//! is held (SIGSTOP) while they send, so that what it wants to answer has arrived before the way back is closed.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};

use crate::support::{
    Client, FAR, FAR6, Link, NEAR, NEAR6, PATIENCE, Server, ask, got_nothing, measured, noise, receive, udp_client_at,
};
use nix::sys::signal::Signal;

const PORT: u16 = 9000;

/// The longest UDP payload over IPv4, and over IPv6.
const LONGEST: usize = 65_507;
const LONGEST6: usize = 65_527;

/// Where the server is bound, and where it is asked.
const ENDPOINTS: [(&str, IpAddr); 5] = [
    ("udp://10.77.0.2:9000", FAR),
    ("udp://0.0.0.0:9000", FAR),
    ("udp://[fd77::2]:9000", FAR6),
    ("udp://[::]:9000", FAR6),
    ("udp://[::]:9000", FAR),
];

/// A client at the near end, of the same family.
fn client_of(link: &Link, asked: IpAddr) -> UdpSocket {
    let own = if asked.is_ipv4() { NEAR } else { NEAR6 };
    link.near.within(|| udp_client_at((own, 0).into()))
}

/// Sends so many datagrams that arrive, and returns before one of them is answered: the server has to be let go
/// (SIGCONT).
fn send_while_held(server: &Server, client: &UdpSocket, to: SocketAddr, count: usize) {
    server.signal(Signal::SIGSTOP);
    for number in 0..count {
        client.send_to(&noise(number * 40, number), to).expect("the cable carries it");
    }
}

/// Waits until all of the datagrams were received, and their replies dropped because they could not leave.
fn expect_dropped(server: &Server, client: &UdpSocket, before: &crate::support::Summary, count: u64, case: &str) {
    server.signal(Signal::SIGCONT);
    let failed = |summary: &crate::support::Summary| summary.get("send-failed") - before.get("send-failed");
    let summary = server.wait_summary(case, |summary| failed(summary) >= count);
    assert_eq!(summary.get("dropped") - before.get("dropped"), count, "{case}: {summary:?}");
    assert_eq!(summary.get("bytes_out"), before.get("bytes_out"), "{case}: {summary:?}");
    assert!(got_nothing(client), "{case}: something of a dropped reply came");
}

#[test]
fn what_a_firewall_refuses_is_dropped_alone_and_counted() {
    const SENT: usize = 20;
    let Some(link) = Link::start() else { return };
    if !link.far.has_filters() {
        return;
    }
    let mut cases = 0;
    for (endpoint, asked) in ENDPOINTS {
        let server = link.serve(&[endpoint]);
        let (client, other, to) = (client_of(&link, asked), client_of(&link, asked), SocketAddr::new(asked, PORT));
        let refused = client.local_addr().unwrap().port();
        // A drop of what the machine itself sends is EPERM; a refusal may be told in another way besides.
        for verdict in ["drop", "reject"] {
            let case = format!("{endpoint} asked at {asked}, {verdict}");
            let before = server.summary();
            link.far.sh(&format!(
                "nft 'table inet refused {{ chain leaving {{ type filter hook output priority 0; udp dport {refused} {verdict}; }}; }}'"
            ));
            send_while_held(&server, &client, to, SENT);
            other.send_to(b"and behind them", to).unwrap();
            server.signal(Signal::SIGCONT);
            // Who is not refused is answered, in the midst of it.
            assert_eq!(receive(&other).0, b"and behind them", "{case}");
            let summary =
                server.wait_summary(&case, |summary| summary.get("dropped") - before.get("dropped") >= SENT as u64);
            assert_eq!(summary.get("send-failed") - before.get("send-failed"), SENT as u64, "{case}: {summary:?}");
            assert_eq!(summary.get("bytes_out") - before.get("bytes_out"), 15, "{case}: {summary:?}");
            assert!(got_nothing(&client), "{case}: something of a dropped reply came");
            link.far.sh("nft delete table inet refused");
            assert_eq!(ask(&client, to, b"again"), b"again", "{case}");
            cases += 1;
        }
        server.stop();
    }
    measured(
        "20",
        &format!(
            "EPERM by nftables: {cases} x {SENT} replies dropped and counted, none cut, {cases} times served again (all)"
        ),
    );
}

#[test]
fn a_network_that_carries_little_at_a_time_carries_the_longest_datagram_whole() {
    let Some(link) = Link::start() else { return };
    // The least that IPv6 may have (RFC 8200, 5), then the least that every host of IPv4 takes in one piece (RFC 791).
    for (mtu, endpoints) in [(1280, &ENDPOINTS[..]), (576, &ENDPOINTS[..2])] {
        for network in [&link.near, &link.far] {
            network.sh(&format!("ip link set cable mtu {mtu}"));
        }
        for (endpoint, asked) in endpoints {
            let server = link.serve(&["--rcvbuf", "1M", endpoint]);
            let (client, to) = (client_of(&link, *asked), SocketAddr::new(*asked, PORT));
            let longest = if asked.is_ipv4() { LONGEST } else { LONGEST6 };
            for size in [0, 1, 549, mtu - 28, mtu - 27, mtu, 4096, longest - 1, longest] {
                let message = noise(size, size);
                assert!(ask(&client, to, &message) == message, "{endpoint} at {mtu}: {size} bytes came back changed");
            }
            assert_eq!(server.drain().get("dropped"), 0, "{endpoint} at {mtu}");
        }
    }
    measured("20", "an MTU of 576 (IPv4) and of 1,280: 0 to 65,507 and 65,527 bytes come back in fragments, exact");
}

#[test]
fn a_path_that_turns_out_to_be_narrow_cuts_nothing() {
    let Some(link) = Link::start() else { return };
    // The route back knows that it is narrower than the interface, and locked: nothing larger may be offered to it in
    // one piece.
    link.far.sh("ip route add 10.77.0.1/32 dev cable mtu lock 552");
    let server = link.serve(&["udp://10.77.0.2:9000"]);
    let (client, to) = (client_of(&link, FAR), SocketAddr::new(FAR, PORT));
    for size in [500, 600, 5_000, LONGEST] {
        let message = noise(size, size);
        assert!(ask(&client, to, &message) == message, "{size} bytes came back changed");
    }
    assert_eq!(server.drain().get("dropped"), 0);
}

#[test]
fn replies_without_a_way_back_are_dropped_until_there_is_one_again() {
    const SENT: usize = 20;
    /// What happens at the server's end, while it is bound there.
    const FAULTS: [&str; 2] = ["ip link set cable down", "ip addr flush dev cable"];
    let Some(link) = Link::start() else { return };
    let mut cases = 0;
    for (endpoint, asked) in ENDPOINTS {
        let server = link.serve(&[endpoint]);
        let (client, to) = (client_of(&link, asked), SocketAddr::new(asked, PORT));
        for fault in FAULTS {
            let case = format!("{endpoint} asked at {asked}, {fault}");
            assert_eq!(ask(&client, to, b"before"), b"before", "{case}");
            let before = server.summary();
            send_while_held(&server, &client, to, SENT);
            link.far.sh(fault);
            expect_dropped(&server, &client, &before, SENT as u64, &case);
            link.connect();
            assert_eq!(ask_until_answered(&client, to), b"after", "{case}");
            cases += 1;
        }
        server.stop();
    }
    measured(
        "20",
        &format!(
            "interface down or address gone: {cases} x {SENT} replies dropped and counted, {cases} times served again (all)"
        ),
    );
}

/// Asks again and again: what is sent while neighbours are still to be found may be lost.
fn ask_until_answered(client: &UdpSocket, to: SocketAddr) -> Vec<u8> {
    client.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    let mut buffer = [0; 100];
    let mut length = None;
    crate::support::wait_until("the server to answer again", || {
        let _ = client.send_to(b"after", to);
        length = client.recv_from(&mut buffer).ok().map(|(length, _)| length);
        length.is_some()
    });
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    // Answers to what was sent before are equal, and the next question must not meet them.
    while !got_nothing(client) {}
    buffer[..length.unwrap()].to_vec()
}

#[test]
fn a_conversation_outlives_an_interface_that_goes_down_and_an_address_that_vanishes() {
    let Some(link) = Link::start() else { return };
    for (endpoint, asked) in [("tcp://10.77.0.2:9000", FAR), ("tcp://[::]:9000", FAR), ("tcp://[::]:9000", FAR6)] {
        let server = link.serve(&[endpoint]);
        let connect = || link.near.within(|| Client::connect((asked, PORT).into()));
        let mut client = connect();
        client.echo(b"before");
        for fault in ["ip link set cable down", "ip addr flush dev cable"] {
            server.signal(Signal::SIGSTOP);
            client.send(b"meanwhile");
            link.far.sh(fault);
            server.signal(Signal::SIGCONT);
            server.wait_summary(fault, |summary| summary.get("bytes_in") >= 9);
            link.connect();
            client.expect(b"meanwhile");
            client.echo(b"after");
        }
        connect().echo(b"and a newcomer");
        let summary = server.drain();
        assert_eq!((summary.get("accepted"), summary.get("reset")), (2, 0), "{endpoint} asked at {asked}");
    }
}

#[test]
fn neither_services_nor_what_was_sent_to_many_are_answered_over_a_cable() {
    const SERVICES: [u16; 6] = [7, 19, 53, 123, 1023, 1900];
    let Some(link) = Link::start() else { return };
    let mut silent = 0;
    for endpoint in ["udp://0.0.0.0:9000", "udp://[::]:9000"] {
        let server = link.serve(&[endpoint]);
        let client = client_of(&link, FAR);
        client.set_broadcast(true).unwrap();
        // 255.255.255.255 and the group of all hosts need a route.
        link.near.sh("ip route replace default dev cable");
        let mut many = vec![[10, 77, 0, 255], [255, 255, 255, 255]];
        // The kernel gives a socket of IPv6 no group of IPv4 that it has not joined.
        if endpoint.contains("0.0.0.0") {
            many.push([224, 0, 0, 1]);
        }
        let mut sent = 0;
        for to in many {
            client.send_to(b"everybody!", (Ipv4Addr::from(to), PORT)).unwrap();
            sent += 1;
        }
        let mut clients = vec![client];
        let mut destinations = vec![FAR];
        if endpoint.contains("::") {
            destinations.push(FAR6);
            let client6 = client_of(&link, FAR6);
            let index = link.near.within(|| nix::net::if_::if_nametoindex("cable")).unwrap();
            // All nodes of the link (RFC 4291, 2.7.1).
            let all = std::net::SocketAddrV6::new("ff02::1".parse().unwrap(), PORT, 0, index);
            client6.send_to(b"everybody!", all).unwrap();
            sent += 1;
            clients.push(client6);
        }
        for to in destinations {
            let own = if to.is_ipv4() { NEAR } else { NEAR6 };
            for port in SERVICES {
                let service = link.near.within(|| udp_client_at((own, port).into()));
                service.send_to(b"answer me", (to, PORT)).unwrap();
                sent += 1;
                clients.push(service);
            }
        }
        server.wait_summary("all of it", |summary| summary.get("guarded") == sent);
        assert!(clients.iter().all(got_nothing), "{endpoint} has answered");
        // Nobody but its own host has its port for the guard: at another host it is a port like any other.
        let namesake = link.near.within(|| udp_client_at((NEAR, PORT).into()));
        assert_eq!(ask(&namesake, (FAR, PORT).into(), b"your port, not you"), b"your port, not you", "{endpoint}");
        let summary = server.drain();
        assert_eq!((summary.get("guarded"), summary.get("bytes_out")), (sent, 18), "{endpoint}");
        silent += sent;
    }
    measured(
        "18",
        &format!(
            "{silent} datagrams from ports of services and to broadcast and multicast addresses over a cable: 0 replies, {silent} counted (all)"
        ),
    );
}
