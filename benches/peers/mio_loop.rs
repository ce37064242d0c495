//! The hand-written limit in Rust: a mio loop that does nothing but echo, the twin of `epoll.c`. Edge-triggered,
//! registered once, one read and one write a message (a read shorter than the buffer proves that nothing is left), one
//! buffer for all, a listener whose options newcomers inherit.
//!
//! It leaves out all safety: limits, time-outs, fairness, back-pressure (it spins on a reader that is slow), events
//! that come late for a connection whose place somebody else has, an end of input that came together with bytes.
//!
//!     cargo build --release --examples && target/release/examples/mio_loop ADDRESS [BUFFER_BYTES]

use std::io::{self, ErrorKind::WouldBlock, Read, Write};
use std::{env, net::SocketAddr};

use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use slab::Slab;
use socket2::{Domain, Socket, Type};

const LISTENER: Token = Token(usize::MAX - 1);

fn main() -> io::Result<()> {
    let mut arguments = env::args().skip(1);
    let address = arguments.next().and_then(|text| text.parse().ok()).expect("mio_loop ADDRESS [BUFFER_BYTES]");
    let size = arguments.next().map_or(64 * 1024, |text| text.parse().expect("a number of bytes"));
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;

    let mut buffer = vec![0; size];
    let mut listener = listen(address)?;
    let mut connections: Slab<TcpStream> = Slab::new();
    let (mut poll, mut events) = (Poll::new()?, Events::with_capacity(1024));
    poll.registry().register(&mut listener, LISTENER, Interest::READABLE)?;
    loop {
        match poll.poll(&mut events, None) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
            _ => {}
        }
        for event in &events {
            if event.token() == LISTENER {
                while let Ok((stream, _)) = listener.accept() {
                    let key = connections.insert(stream);
                    poll.registry().register(&mut connections[key], Token(key), Interest::READABLE)?;
                }
            } else if connections.get_mut(event.token().0).is_some_and(|stream| echo(stream, &mut buffer).is_err()) {
                connections.remove(event.token().0);
            }
        }
    }
}

/// Echoes what there is. An error means that the connection is over.
fn echo(stream: &mut TcpStream, buffer: &mut [u8]) -> io::Result<()> {
    loop {
        let count = match stream.read(buffer) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut rest = &buffer[..count];
        while !rest.is_empty() {
            match stream.write(rest) {
                Ok(written) => rest = &rest[written..],
                Err(error) if error.kind() == WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
        if count < buffer.len() {
            return Ok(());
        }
    }
}

fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    // Linux hands it on to the connections.
    socket.set_tcp_nodelay(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(4096)?;
    Ok(TcpListener::from_std(socket.into()))
}
