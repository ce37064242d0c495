//! Goal: IPv6 serves like IPv4; `[::]` serves both, and a name serves on every address that it has, on one port.
//!
//! Method: the built binary on loopback, with plain sockets and `cooee send` as clients. On a machine without IPv6 the
//! tests say "skipped". A name with several addresses is made with a hosts file in a mount namespace of the test's own.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, TcpListener, ToSocketAddrs, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Client, FAR, FAR6, Hosts, Link, NEAR, Network, PATIENCE, Server, ask, close, cooee, got_nothing, measured, noise,
    receive, run, send, serve_in, skip, udp_client, udp_client_at, wait_until,
};
use socket2::{Domain, Socket, Type};

/// The longest UDP payload over IPv6: its length field counts 8 bytes of header, and no IP header (RFC 8200, 3).
const LONGEST: usize = 65_527;

fn has_ipv6() -> bool {
    let found = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_ok();
    if !found {
        skip("no IPv6 on this machine");
    }
    found
}

fn udp6_client() -> UdpSocket {
    udp_client_at((Ipv6Addr::LOCALHOST, 0).into())
}

#[test]
fn tcp_is_served_on_the_loopback_address() {
    if !has_ipv6() {
        return;
    }
    let server = Server::start(&["tcp://[::1]:0"]);
    let address = server.address();
    assert_eq!(server.url("tcp"), format!("tcp://[::1]:{}", address.port()));
    let message = noise(100_000, 6);
    let mut client = Client::connect(address);
    let mut writer = client.twin();
    thread::scope(|scope| {
        scope.spawn(|| writer.send(&message));
        client.expect(&message);
    });
    assert_eq!(client.finish(), b"");
    server.stop();
}

#[test]
fn udp_is_served_on_the_loopback_address() {
    if !has_ipv6() {
        return;
    }
    let server = Server::start(&["udp://[::1]:0"]);
    let (client, address) = (udp6_client(), server.address_of("udp"));
    for size in [0, 1, 1232, 1452, 1453, 65_507, 65_508, LONGEST] {
        let message = noise(size, size);
        assert!(ask(&client, address, &message) == message, "{size} bytes came back changed");
    }
    match UdpSocket::bind((Ipv6Addr::LOCALHOST, 1900)) {
        Ok(guarded) => {
            guarded.send_to(b"answer me", address).unwrap();
            server.wait_summary("the guarded reply", |summary| summary.get("guarded") == 1);
            assert!(got_nothing(&guarded));
        }
        Err(error) => skip(&format!("port 1900: {error}")),
    }
    server.stop();
}

#[test]
fn the_unspecified_address_serves_both_families() {
    if !has_ipv6() {
        return;
    }
    let server = Server::start(&["--log-messages", "[::]:0"]);
    let port = server.address().port();
    assert_eq!(server.address_of("udp").port(), port);
    for (ip, udp) in [(IpAddr::from(Ipv4Addr::LOCALHOST), udp_client()), (Ipv6Addr::LOCALHOST.into(), udp6_client())] {
        let address = SocketAddr::new(ip, port);
        let mut client = Client::connect(address);
        client.echo(b"stream");
        assert_eq!(ask(&udp, address, b"datagram"), b"datagram");
        // An IPv4 peer is told as what it is, and not as an address mapped into IPv6.
        for (own, message) in [(client.stream.local_addr(), "stream"), (udp.local_addr(), "datagram")] {
            let own = own.unwrap();
            let line = server.wait_log(&format!("from {own} "));
            assert!(line.ends_with(message), "{line}");
        }
    }
    server.stop();
}

#[test]
fn one_family_leaves_the_port_to_the_other() {
    if !has_ipv6() {
        return;
    }
    let first = Server::start(&["[::1]:0"]);
    let port = first.address().port();
    // Nobody else may have the port on 127.0.0.1 by chance.
    let (Ok(probe_tcp), Ok(probe_udp)) =
        (TcpListener::bind((Ipv4Addr::LOCALHOST, port)), UdpSocket::bind((Ipv4Addr::LOCALHOST, port)))
    else {
        return skip("the port is taken on 127.0.0.1");
    };
    close((probe_tcp, probe_udp));
    let second = Server::start(&[&format!("127.0.0.1:{port}")]);
    Client::connect(second.address()).echo(b"four");
    Client::connect(first.address()).echo(b"six");
    first.stop();
    second.stop();
}

#[test]
fn both_families_leave_no_port_to_a_second_server() {
    if !has_ipv6() {
        return;
    }
    for scheme in ["tcp", "udp"] {
        let server = Server::start(&[&format!("{scheme}://[::]:0")]);
        let port = server.address_of(scheme).port();
        for other in ["127.0.0.1", "0.0.0.0", "[::1]", "[::]"] {
            let ended = run(cooee(&["serve"]).arg(format!("{scheme}://{other}:{port}")), b"");
            assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{scheme} {other}: {ended:?}");
            assert!(ended.stderr.contains("address in use"), "{ended:?}");
        }
        server.stop();
    }
}

#[test]
fn a_reply_leaves_from_the_address_that_was_asked() {
    if !has_ipv6() {
        return;
    }
    let interfaces = nix::ifaddrs::getifaddrs().unwrap();
    let addresses = interfaces.filter_map(|found| {
        let address = found.address.as_ref()?.as_sockaddr_in6()?;
        Some(SocketAddrV6::new(address.ip(), 0, 0, address.scope_id()))
    });
    let server = Server::start(&["udp://[::]:0"]);
    let port = server.address_of("udp").port();
    let client = udp_client_at((Ipv6Addr::UNSPECIFIED, 0).into());
    for mut asked in addresses {
        asked.set_port(port);
        if let Err(error) = client.send_to(b"from where?", asked) {
            skip(&format!("{asked}: {error}"));
            continue;
        }
        let (answer, source) = receive(&client);
        assert_eq!((answer.as_slice(), source.ip()), (&b"from where?"[..], IpAddr::from(*asked.ip())));
    }
    server.stop();
}

#[test]
fn a_link_local_address_is_served_with_its_zone() {
    let Ok(interfaces) = nix::ifaddrs::getifaddrs() else { return skip("no list of interfaces") };
    let link_local = interfaces.filter_map(|found| {
        let ip = found.address.as_ref()?.as_sockaddr_in6()?.ip();
        ip.is_unicast_link_local().then(|| format!("[{ip}%{}]", found.interface_name))
    });
    let Some(host) = link_local.into_iter().next() else { return skip("no link-local address on this machine") };
    let server = Server::start(&[&format!("{host}:0")]);
    for scheme in ["tcp", "udp"] {
        let ended = send(&[server.url(scheme).as_str(), "-m", "hello"], b"");
        assert_eq!((ended.code, ended.printed()), (Some(0), "hello\n"), "{scheme}: {ended:?}");
    }
    server.stop();
}

/// What a server has said that it listens on.
fn endpoints(server: &Server) -> HashSet<(String, SocketAddr)> {
    let urls = server.urls();
    let parts = urls.iter().map(|url| url.split_once("://").unwrap());
    parts.map(|(scheme, address)| (scheme.to_owned(), address.parse().unwrap())).collect()
}

/// Checks that each of `ips` is served on one port, with TCP and UDP, and nothing else is.
fn check_every_address(server: &Server, ips: &HashSet<IpAddr>) {
    let port = server.address().port();
    let expected: HashSet<_> = ["tcp", "udp"]
        .into_iter()
        .flat_map(|scheme| ips.iter().map(move |ip| (scheme.to_owned(), SocketAddr::new(*ip, port))))
        .collect();
    wait_until("a line for each endpoint", || endpoints(server).len() >= expected.len());
    assert_eq!(endpoints(server), expected);
    for (scheme, address) in expected {
        if scheme == "tcp" {
            Client::connect(address).echo(b"hello");
        } else {
            let client = if address.is_ipv6() { udp6_client() } else { udp_client() };
            assert_eq!(ask(&client, address, b"hello"), b"hello");
        }
    }
}

#[test]
fn localhost_is_served_on_every_address_that_it_has() {
    let ips: HashSet<IpAddr> = ("localhost", 0).to_socket_addrs().unwrap().map(|address| address.ip()).collect();
    if ips.iter().any(IpAddr::is_ipv6) && !has_ipv6() {
        return;
    }
    let server = Server::start(&["localhost:0"]);
    check_every_address(&server, &ips);
    server.stop();
}

#[test]
fn a_name_is_served_on_all_of_its_addresses_on_one_port() {
    if !has_ipv6() {
        return;
    }
    let lines = "::1 many.test\n127.0.0.1 many.test\n127.0.0.7 many.test\n127.0.0.1 many.test\n";
    let Some(hosts) = Hosts::of(lines) else { return };
    let ips = ["::1", "127.0.0.1", "127.0.0.7"].map(|ip| ip.parse().unwrap());
    let server = Server::start_command(&mut hosts.enter(&cooee(&["serve", "many.test:0"])), 2 * ips.len());
    check_every_address(&server, &HashSet::from(ips));
    server.stop();
}

#[test]
fn the_client_tries_the_addresses_of_a_name_in_turn() {
    if !has_ipv6() {
        return;
    }
    // The resolver gives the IPv6 address first (RFC 6724); nobody listens there.
    let server = Server::start(&["127.0.0.7:0"]);
    let Some(hosts) = Hosts::of("::1 many.test\n127.0.0.6 many.test\n127.0.0.7 many.test\n") else { return };
    for (scheme, framing) in [("tcp", "line"), ("udp", "chunk"), ("udp", "line")] {
        let url = format!("{scheme}://many.test:{}", server.address_of(scheme).port());
        let args = ["send", &url, "--framing", framing, "-m", "anybody?", "-m", "there?"];
        let ended = run(&mut hosts.enter(&cooee(&args)), b"");
        assert_eq!((ended.code, ended.printed()), (Some(0), "anybody?\nthere?\n"), "{scheme} {ended:?}");
    }
    server.stop();
}

/// Clients at the near end, each with an address of its own in one /64.
fn neighbours(link: &Link, count: u16) -> Vec<UdpSocket> {
    let own = (0x10..0x10 + count).map(|last| Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, last, last).into());
    let clients = own.map(|ip: IpAddr| {
        link.near.sh(&format!("ip -6 addr add {ip}/64 dev cable nodad"));
        link.near.within(|| udp_client_at((ip, 0).into()))
    });
    clients.collect()
}

#[test]
fn the_addresses_of_one_network_share_one_rate_but_for_a_share_of_each() {
    const PORTION: u64 = 50;
    // The rate of 200 is a pool of 180, which the first four clients use up, and a share of 20, which is each client's
    // own.
    const AT_LEAST: u64 = 180 + 5 * 20;
    const AT_MOST: f64 = 180.0 + 8.0 * 20.0;
    let Some(link) = Link::start() else { return };
    let server = link.serve(&["--rcvbuf", "1M", "udp://[::]:9000"]);
    let clients = neighbours(&link, 8);
    let began = Instant::now();
    for (number, client) in (1..).zip(&clients) {
        for _ in 0..PORTION {
            client.send_to(b"x", (FAR6, 9000)).unwrap();
        }
        server.wait_summary("a portion", |summary| summary.get("messages_in") == number * PORTION);
    }
    let summary = server.summary();
    let (sent, most) = (PORTION * clients.len() as u64, AT_MOST * (1.0 + began.elapsed().as_secs_f64()));
    let replied = summary.get("bytes_out");
    assert_eq!(replied + summary.get("over-rate"), sent);
    assert!(replied >= AT_LEAST && replied as f64 <= most, "{replied} replies, where {AT_LEAST} to {most} are due");
    let client4 = link.near.within(|| udp_client_at((NEAR, 0).into()));
    assert_eq!(ask(&client4, (FAR, 9000).into(), b"me too"), b"me too");
    server.stop();
    measured("17", &format!("8 addresses of one /64: {replied} replies to {sent} datagrams at once (<= {most:.0})"));
}

#[test]
fn a_greedy_neighbour_in_the_same_network_costs_nobody_an_answer() {
    const ASKED: u64 = 60;
    let Some(link) = Link::start() else { return };
    let server = link.serve(&["--rcvbuf", "1M", "udp://[::]:9000"]);
    let [greedy, polite]: [UdpSocket; 2] = neighbours(&link, 2).try_into().unwrap();
    let done = AtomicBool::new(false);
    let (greedy_sent, time) = thread::scope(|scope| {
        let greed = scope.spawn(|| {
            let (began, mut sent) = (Instant::now(), 0);
            while !done.load(Ordering::Relaxed) {
                // 400 a second, whatever the machine does meanwhile.
                while sent < (began.elapsed().as_secs_f64() * 400.0) as u64 {
                    // Its own buffer is full of answers: as far as the server knows, it reads.
                    greedy.send_to(b"greedy", (FAR6, 9000)).unwrap();
                    sent += 1;
                }
                thread::sleep(Duration::from_millis(2));
            }
            (sent, began.elapsed().as_secs_f64())
        });
        server.wait_summary("the rate to be used up", |summary| summary.get("over-rate") > 0);
        for number in 0..ASKED {
            // Ten a second, by a clock of its own.
            thread::sleep(Duration::from_millis(100));
            assert_eq!(ask(&polite, (FAR6, 9000).into(), &number.to_be_bytes()), number.to_be_bytes());
        }
        done.store(true, Ordering::Relaxed);
        greed.join().unwrap()
    });
    let summary = server.drain();
    let replied = summary.get("messages_out") - ASKED;
    let unanswered = summary.get("messages_in") - ASKED - replied;
    assert_eq!(summary.get("dropped"), unanswered, "only the greedy one goes without");
    assert!(replied as f64 <= 200.0 * (1.0 + time) + 1.0, "{replied} replies to the greedy one in {time:.1} s");
    let found = format!(
        "a neighbour in the same /64 asks {:.0} times a second: {ASKED} of {ASKED} answered, the neighbour {:.0} a second (<= 200 and 200 at once)",
        greedy_sent as f64 / time,
        replied as f64 / time
    );
    measured("17", &found);
}

#[test]
fn the_client_talks_to_an_ipv6_server() {
    if !has_ipv6() {
        return;
    }
    let server = Server::start(&["--mode", "ack", "[::1]:0"]);
    for (scheme, last) in [("tcp", "数据[bye]收到了!"), ("udp", "bye")] {
        let ended = send(&[server.url(scheme)], "六\nbye\n".as_bytes());
        assert_eq!(
            (ended.code, ended.printed()),
            (Some(0), format!("数据[六]收到了!\n{last}\n").as_str()),
            "{}",
            ended.stderr
        );
    }
    server.stop();
}

#[test]
fn an_ipv6_socket_that_speaks_ipv4_is_answered_over_ipv4() {
    if !has_ipv6() {
        return;
    }
    // An IPv6 socket of the client's own that speaks IPv4: the server's side of it is plain IPv4.
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let client = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0)).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    let mapped = SocketAddr::new(Ipv4Addr::LOCALHOST.to_ipv6_mapped().into(), server.address_of("udp").port());
    assert_eq!(ask(&client, mapped, b"both"), b"both");
    server.stop();
}

/// One host can use every address of a /64.
#[test]
fn a_network_of_64_bits_is_one_source_of_connections() {
    if !has_ipv6() {
        return;
    }
    let Some(network) = Network::empty() else { return };
    let addresses = ["fd77::1", "fd77::2", "fd77:0:0:1::1"];
    for address in addresses {
        network.sh(&format!("ip -6 addr add {address}/64 dev lo nodad"));
    }
    let server = serve_in(&network, &["--max-connections-per-source=1", "tcp://[::]:0"]);
    let port = server.address().port();
    let connect = |source: &str| {
        let socket = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source.parse().unwrap(), 0).into()).unwrap();
        let to = SocketAddr::new(addresses[0].parse().unwrap(), port);
        socket.connect_timeout(&to.into(), PATIENCE).unwrap();
        Client::over(std::net::TcpStream::from(socket))
    };
    network.within(|| {
        let mut first = connect(addresses[0]);
        first.echo(b"served");
        assert_eq!(connect(addresses[1]).rest(), b"", "its neighbour in the same network");
        connect(addresses[2]).echo(b"another network");
        first.echo(b"still here");
    });
}
