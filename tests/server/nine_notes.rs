//! Goal: each of the tutorial's nine notes on TCP is shown to be true, and what it means for this server.
//!
//! Method: one test a note, with the note as its first lines. The note itself is shown with plain sockets (`std::net`,
//! and `socket2` for the steps that `std` takes in one), what it means for us with the built binary.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use crate::support::{Client, Server, ask, close, cooee, noise, run, udp_client, wait_until};
use nix::sys::signal::Signal;
use socket2::{Domain, Protocol, SockAddr, Socket, Type};

fn tcp_socket() -> Socket {
    Socket::new(Domain::IPV4, Type::STREAM, Some(Protocol::TCP)).unwrap()
}

fn address_of(socket: &Socket) -> SocketAddr {
    socket.local_addr().unwrap().as_socket().unwrap()
}

fn any_port() -> SockAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()
}

fn refused(address: SocketAddr) -> bool {
    matches!(TcpStream::connect(address), Err(error) if error.kind() == ErrorKind::ConnectionRefused)
}

/// Note 1: a TCP server binds, for otherwise its clients cannot find it.
#[test]
fn note_1_a_server_binds_so_that_clients_find_it() {
    // Without bind, listen takes whatever port is free: nobody could know it beforehand.
    let (one, other) = (tcp_socket(), tcp_socket());
    one.listen(1).unwrap();
    other.listen(1).unwrap();
    assert!(address_of(&one).ip().is_unspecified());
    assert_ne!(address_of(&one).port(), address_of(&other).port());

    // Our server is where its endpoint says, also when it is started anew: that is what bind is for.
    let server = Server::start(&["tcp://127.0.0.1:0"]);
    let address = server.address();
    server.stop();
    assert!(refused(address));
    let server = Server::start(&[&format!("tcp://{address}")]);
    assert_eq!(server.address(), address);
    Client::connect(address).echo(b"found");
    // And one address has one server.
    let second = run(cooee(&["serve"]).arg(format!("tcp://{address}")), b"");
    assert!(second.code == Some(1) && second.stderr.contains("address in use"), "{second:?}");
    server.stop();
}

/// Note 2: a TCP client usually does not bind: it knows the server's address, and a port of its own may be any.
#[test]
fn note_2_a_client_needs_no_bind() {
    let server = Server::start(&["-v", "tcp://127.0.0.1:0"]);
    let address = server.address();
    let (first, second) = (Client::connect(address), Client::connect(address));
    let (one, other) = (first.stream.local_addr().unwrap(), second.stream.local_addr().unwrap());
    assert!(one.port() != 0 && one != other, "connect gives each client a port of its own");
    for own in [one, other] {
        // That is the address by which the server knows it (getpeername).
        server.wait_log(&format!("accepted {own}"));
    }

    // A client that wants to may bind.
    let choosy = tcp_socket();
    choosy.bind(&SocketAddr::from((Ipv4Addr::new(127, 0, 0, 8), 0)).into()).unwrap();
    choosy.connect(&address.into()).unwrap();
    server.wait_log(&format!("accepted {}", address_of(&choosy)));
    let mut choosy = Client::<TcpStream>::over(choosy.into());
    choosy.echo(b"bound");
    drop((first, second, choosy));
    server.stop();
}

/// Note 3: listen turns the active socket that `socket` made into a passive one; a TCP server must call it.
#[test]
fn note_3_listen_makes_a_socket_passive() {
    let socket = tcp_socket();
    socket.bind(&any_port()).unwrap();
    let address = address_of(&socket);
    assert!(!socket.is_listener().unwrap());
    assert!(refused(address), "a bound socket takes no connections");
    assert!(socket.accept().is_err_and(|error| error.kind() == ErrorKind::InvalidInput));

    socket.listen(1).unwrap();
    assert!(socket.is_listener().unwrap());
    let client = TcpStream::connect(address).unwrap();
    // It is passive: it neither connects nor carries bytes itself.
    assert!(socket.connect(&client.local_addr().unwrap().into()).is_err());
    assert!(socket.send(b"to whom?").is_err());

    // The kernel lists the sockets of our server: the one it announced listens (state 0A), and is bound to that port.
    #[cfg(target_os = "linux")]
    {
        let server = Server::start(&["tcp://127.0.0.1:0"]);
        let local = format!(" 0100007F:{:04X} 00000000:0000 0A ", server.address().port());
        let table = std::fs::read_to_string("/proc/net/tcp").unwrap();
        assert!(table.contains(&local), "{local} is not in\n{table}");
        server.stop();
    }
}

/// Note 4: a TCP client connects before it talks; UDP needs no connection and just sends.
#[test]
fn note_4_tcp_connects_before_it_talks_and_udp_does_not() {
    let server = Server::start(&["127.0.0.1:0"]);
    let hasty = tcp_socket();
    let error = hasty.send(b"hello").unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::NotConnected | ErrorKind::BrokenPipe), "{error}");
    // Once it is connected the same socket talks.
    let connected = tcp_socket();
    connected.connect(&server.address().into()).unwrap();
    Client::<TcpStream>::over(connected.into()).echo(b"hello");

    // One UDP socket talks to two servers, and was connected to neither.
    let another = Server::start(&["udp://127.0.0.1:0"]);
    let client = udp_client();
    assert_eq!(ask(&client, server.address_of("udp"), b"hello"), b"hello");
    assert_eq!(ask(&client, another.address_of("udp"), b"hello again"), b"hello again");
    assert_eq!(another.drain().get("accepted"), 0);
    assert_eq!(server.drain().get("accepted"), 1);
}

/// Note 5: for each client that connects the server gets a new socket, which stands for that client and serves it
/// alone.
#[test]
fn note_5_each_client_gets_a_socket_of_its_own() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let clients = [TcpStream::connect(address).unwrap(), TcpStream::connect(address).unwrap()];
    let sockets = [listener.accept().unwrap(), listener.accept().unwrap()];
    for ((socket, peer), client) in sockets.iter().zip(&clients) {
        // Both sockets have the listener's address; the peer's address tells them apart.
        assert_eq!(socket.local_addr().unwrap(), address);
        assert_eq!(*peer, client.local_addr().unwrap());
    }

    let server = Server::start(&["tcp://127.0.0.1:0"]);
    // Where the system tells.
    let idle = cfg!(target_os = "linux").then(|| server.descriptors());
    let mut clients: Vec<_> = (0..10).map(|_| Client::connect(server.address())).collect();
    for (number, client) in clients.iter_mut().enumerate() {
        client.send(&[number as u8; 100]);
    }
    for (number, client) in clients.iter_mut().enumerate().rev() {
        assert_eq!(client.take(100), [number as u8; 100], "one client got another's bytes");
    }
    assert_eq!(server.summary().get("active"), 10);
    if let Some(idle) = idle {
        assert_eq!(server.descriptors(), idle + 10, "one descriptor a client");
    }
    drop(clients);
    server.stop();
}

/// Note 6: the listening socket takes new connections; the sockets that accept returns carry them.
#[test]
fn note_6_the_listener_accepts_while_the_accepted_are_served() {
    let server = Server::start(&["tcp://127.0.0.1:0?mode=ack&framing=line"]);
    let address = server.address();
    let mut first = Client::connect(address);
    first.send(b"the beginning of a mess");
    server.wait_summary("the beginning", |summary| summary.get("bytes_in") == 23);
    // In the middle of the first client's message a second one is accepted and served from beginning to end.
    let mut second = Client::connect(address);
    second.send(b"bye\n");
    assert_eq!(second.rest(), "数据[bye]收到了!\n".as_bytes());
    let expected = "数据[the beginning of a message]收到了!\n";
    first.ask(b"age\n", expected.as_bytes());
    drop((first, second));
    assert_eq!(server.drain().get("accepted"), 2);
}

/// Note 7: closing the listening socket keeps new clients out; those that are connected go on as before.
#[test]
fn note_7_connected_clients_outlive_the_listener() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let mut client = TcpStream::connect(address).unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    close(listener);
    assert!(refused(address));
    client.write_all(b"still here").unwrap();
    let mut heard = [0; 10];
    socket.read_exact(&mut heard).unwrap();
    socket.write_all(&heard).unwrap();
    client.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"still here");

    // That is how our server drains: the listener is closed first, and who is owed something still gets all of it.
    const OWED: usize = 20_000_000;
    let mut server = Server::start(&["--write-limit", "64MiB", "tcp://127.0.0.1:0"]);
    let address = server.address();
    let mut client = Client::connect(address);
    let message = noise(OWED, 7);
    client.send(&message);
    server.wait_summary("all of it", |summary| summary.get("bytes_in") == OWED as u64);
    server.signal(Signal::SIGTERM);
    wait_until("a closed listener", || refused(address));
    assert!(server.is_alive(), "the server went although it owed bytes");
    assert!(client.rest() == message, "the drain lost bytes");
    drop(client);
    assert_eq!(server.last_summary().get("bytes_out"), OWED as u64);
}

/// Note 8: closing a socket that accept returned ends the service for that client, and for nobody else.
#[test]
fn note_8_closing_an_accepted_socket_ends_one_client() {
    let server = Server::start(&["tcp://127.0.0.1:0?mode=ack&framing=line"]);
    let address = server.address();
    let (mut leaving, mut staying) = (Client::connect(address), Client::connect(address));
    leaving.send(b"bye\n");
    assert_eq!(leaving.rest(), "数据[bye]收到了!\n".as_bytes());
    drop(leaving);
    server.wait_summary("one closed socket", |summary| summary.get("ended") == 1 && summary.get("active") == 1);
    let expected = "数据[still here]收到了!\n";
    staying.ask(b"still here\n", expected.as_bytes());
    // And whoever wants to comes back, with a new socket.
    let mut again = Client::connect(address);
    again.send(b"bye\n");
    assert_eq!(again.rest(), "数据[bye]收到了!\n".as_bytes());
    drop((again, staying));
    server.stop();
}

/// Note 9: when a client closes, the server's recv returns with length 0; that is how it learns that the client is
/// gone.
#[test]
fn note_9_a_read_of_nothing_tells_that_the_peer_has_closed() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
    let (mut socket, _) = listener.accept().unwrap();
    client.write_all(b"last words").unwrap();
    drop(client);
    let mut buffer = [0; 100];
    assert_eq!(socket.read(&mut buffer).unwrap(), 10, "what was sent before comes first");
    assert_eq!(socket.read(&mut buffer).unwrap(), 0);
    assert_eq!(socket.read(&mut buffer).unwrap(), 0, "and it stays so: a loop that does not look at it never ends");

    // Our server reads the same 0, sends what it owes, and closes its side, without being asked.
    let server = Server::start(&["-vv", "tcp://127.0.0.1:0"]);
    let mut client = Client::connect(server.address());
    client.send(b"last words");
    client.shutdown();
    assert_eq!(client.rest(), b"last words");
    server.wait_log("read 0: the peer has ended its side");
    server.wait_summary("the end", |summary| summary.get("peer-closed") == 1 && summary.get("active") == 0);

    // A datagram of length 0 is a message, and says nothing of the kind.
    let udp = Server::start(&["udp://127.0.0.1:0"]);
    let sender = udp_client();
    assert_eq!(ask(&sender, udp.address_of("udp"), b""), b"");
    assert_eq!(ask(&sender, udp.address_of("udp"), b"not closed"), b"not closed");
    udp.stop();
    server.stop();
}
