//! Goal: the peers that the server is measured beside echo every byte. A program that does less than an echo would be
//! fast for nothing.
//!
//! Method: they are built as the benches build them, and each is started as a process of its own. A stream's peer gets
//! messages from one byte to 1 MiB, one after the other, on two connections by turns, written by a thread of its own
//! while the echo is read; a datagram's peer gets datagrams of up to the longest. Every byte is compared. Where there
//! is no C compiler, those in C are skipped.

#[path = "../../benches/support/programs.rs"]
mod programs;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::path::Path;
use std::thread;
use std::time::Duration;

use crate::support::{PATIENCE, holds_within, noise, skip};
use cooee::measure::compare::listen_address::{ListenAddress, ListenKind};
use cooee::measure::compare::process::ServerProcess;
use cooee::os::address::Address;

/// A peer that is told where to listen with `place`, at an address where `is_up` finds it listening.
fn start(program: &Path, place: &str, is_up: fn(SocketAddr) -> bool) -> (ServerProcess, SocketAddr) {
    // Another test may take the port that was free: then the peer ends, and gets another one.
    for _ in 0..3 {
        let listen = ListenAddress::take(ListenKind::Port, None, 0).expect("there is a free port");
        let Address::Ip(address) = listen.address else { unreachable!("a port was asked for") };
        let words = [program.to_str().expect("a path that is text").to_owned(), listen.fill(place)];
        let process = ServerProcess::start(&words, None).expect("it can be started");
        let mut is_there = false;
        holds_within(PATIENCE, || {
            is_there = is_up(address);
            is_there || process.ending().is_some()
        });
        if is_there && process.ending().is_none() {
            return (process, address);
        }
        eprintln!("{words:?}: {:?}, {:?}", process.ending(), process.output.last_lines());
    }
    panic!("{} does not listen", program.display());
}

fn echoes_streams(program: &Path, place: &str) {
    let (process, address) = start(program, place, |address| TcpStream::connect(address).is_ok());
    let mut streams = [0, 1].map(|_| TcpStream::connect(address).expect("it accepts"));
    for stream in &streams {
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        stream.set_write_timeout(Some(PATIENCE)).expect("a socket option");
    }
    // Around the sizes of buffers, where a read is just full.
    let sizes = [1, 2, 63, 1024, 1025, 65_535, 65_536, 65_537, 131_072, 262_144, 1 << 20];
    for (turn, size) in sizes.into_iter().flat_map(|size| [(0, size), (1, size)]) {
        let message = noise(size, turn);
        let mut echo = vec![0; size];
        let (mut reader, stream) = (streams[turn].try_clone().expect("a descriptor"), &mut streams[turn]);
        thread::scope(|scope| {
            let writer = scope.spawn(|| stream.write_all(&message));
            let read = reader.read_exact(&mut echo);
            assert!(read.is_ok(), "{}, {size} bytes: {read:?}: {:?}", program.display(), process.ending());
            writer.join().expect("it does not panic").expect("the peer reads");
        });
        assert!(echo == message, "{}: {size} bytes came back as others", program.display());
    }
}

fn datagrams(timeout: Duration) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").expect("there is a free port");
    socket.set_read_timeout(Some(timeout)).expect("a socket option");
    socket
}

/// Whether somebody answers datagrams there. One that came too early is lost, so it is not waited for for long.
fn answers(address: SocketAddr) -> bool {
    let socket = datagrams(Duration::from_millis(200));
    socket.connect(address).is_ok() && socket.send(b"?").is_ok() && socket.recv(&mut [0]).is_ok()
}

fn echoes_datagrams(program: &Path, place: &str) {
    let (_process, address) = start(program, place, answers);
    let sockets = [0, 1].map(|_| datagrams(PATIENCE));
    for (turn, size) in [1, 64, 1472, 9000, 65_507].into_iter().flat_map(|size| [(0, size), (1, size)]) {
        let (socket, message) = (&sockets[turn], noise(size, turn));
        socket.send_to(&message, address).expect("it fits into a datagram");
        let mut echo = vec![0; 65_536];
        let (count, from) = socket.recv_from(&mut echo).expect("it is echoed");
        assert!(from == address && echo[..count] == message, "{}: {size} bytes came back as others", program.display());
    }
}

#[test]
fn the_peers_in_rust_echo_every_byte() {
    let programs = programs::rust_peers();
    assert_eq!(programs.len(), 5, "{programs:?}");
    for program in &programs {
        match program.file_stem().and_then(|stem| stem.to_str()) {
            Some("datagrams") => echoes_datagrams(program, "127.0.0.1:{port}"),
            _ => echoes_streams(program, "127.0.0.1:{port}"),
        }
    }
}

#[test]
fn the_peers_in_c_echo_every_byte() {
    let programs = programs::c_peers();
    if programs.is_empty() {
        return skip("there is no C compiler");
    }
    let [epoll, mmsg] = &programs[..] else { panic!("{programs:?}") };
    echoes_streams(epoll, "{port}");
    echoes_datagrams(mmsg, "{port}");
}
