//! The tutorial's UDP server: one blocking socket, one datagram at a time, the standard library alone.
//!
//! It leaves out everything that a server on a public address needs: whose address it is that is answered, and how
//! often.
//!
//!     cargo build --release --examples && target/release/examples/datagrams ADDRESS

use std::net::UdpSocket;
use std::{env, io};

fn main() -> io::Result<()> {
    let socket = UdpSocket::bind(env::args().nth(1).expect("datagrams ADDRESS"))?;
    let mut buffer = vec![0; 64 * 1024];
    loop {
        let (count, peer) = socket.recv_from(&mut buffer)?;
        // A reply that cannot be sent is lost, as any datagram may be.
        let _ = socket.send_to(&buffer[..count], peer);
    }
}
