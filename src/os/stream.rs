//! The stream seam: what a connection needs of a byte stream, and the real streams.
//!
//! Every stream is non-blocking: a call that cannot be served at once answers `WouldBlock`. Tests script a stream.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use mio::event::Source as _;
use mio::net::{TcpStream, UnixStream};
use mio::{Interest, Registry, Token};
use socket2::SockRef;

use crate::os::send_queue;
use crate::os::standard_stream::{self, StandardInput, StandardOutput};

/// How far the establishment of a connection has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectProgress {
    /// Not yet: the event was early or meant something else.
    Pending,
    /// Established, with the peer's address where it has one.
    Established(Option<SocketAddr>),
    /// Connected to itself: on loopback, a client whose ephemeral port is the one that it connects to meets its own SYN
    /// (simultaneous open, RFC 9293, 3.5).
    WithItself,
}

/// A non-blocking byte stream.
pub trait Stream {
    /// Reads what is there, at most a buffer full. 0 is the end of the peer's side (`read(2)`).
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize>;

    /// Writes what the kernel takes of `bytes` (`write(2)`).
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize>;

    /// Ends this side: the peer reads 0 after the last byte (`shutdown(2)`, a FIN on TCP).
    fn shutdown_write(&mut self) -> io::Result<()>;

    /// The progress of a connect that was begun.
    fn connect_progress(&mut self) -> io::Result<ConnectProgress>;

    /// The kernel's memory, in bytes, for what was written, or shut, and the peer has not acknowledged. 0 where the
    /// system does not tell, or nothing is acknowledged.
    fn held_by_kernel(&self) -> u32;

    /// Makes closing drop what the peer has not taken, and send a RST (SO_LINGER of 0, `socket(7)`). Otherwise the
    /// kernel goes on offering it for minutes, without an owner (FIN-WAIT-1, `tcp_orphan_retries` in `tcp(7)`).
    fn abort(&mut self);

    /// Whether a read shorter than its buffer proves that nothing more is there.
    ///
    /// True on TCP alone: ancillary data splits the reads of a Unix stream, and a terminal gives a line at a time.
    fn short_read_drains(&self) -> bool;
}

/// A real stream.
#[derive(Debug)]
pub enum Socket {
    /// TCP.
    Tcp(TcpStream),
    /// A Unix stream.
    Unix(UnixStream),
    /// Standard input: only reads.
    Input(StandardInput),
    /// Standard output: only writes.
    Output(StandardOutput),
}

impl Stream for Socket {
    #[inline(always)]
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.read(buffer),
            Socket::Unix(stream) => stream.read(buffer),
            Socket::Input(input) => input.read(buffer),
            Socket::Output(_) => Ok(0),
        }
    }

    #[inline(always)]
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Socket::Tcp(stream) => stream.write(bytes),
            Socket::Unix(stream) => stream.write(bytes),
            Socket::Input(_) => Err(io::ErrorKind::Unsupported.into()),
            Socket::Output(output) => output.write(bytes),
        }
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        match self {
            Socket::Tcp(stream) => stream.shutdown(Shutdown::Write),
            Socket::Unix(stream) => stream.shutdown(Shutdown::Write),
            Socket::Input(_) | Socket::Output(_) => Ok(()),
        }
    }

    fn connect_progress(&mut self) -> io::Result<ConnectProgress> {
        let error = match self {
            Socket::Tcp(stream) => stream.take_error()?,
            Socket::Unix(stream) => stream.take_error()?,
            Socket::Input(_) | Socket::Output(_) => None,
        };
        if let Some(error) = error {
            return Err(error);
        }
        let Socket::Tcp(stream) = self else { return Ok(ConnectProgress::Established(None)) };
        match stream.peer_addr() {
            Ok(peer) if peer == stream.local_addr()? => Ok(ConnectProgress::WithItself),
            Ok(peer) => Ok(ConnectProgress::Established(Some(peer))),
            Err(error) if error.kind() == io::ErrorKind::NotConnected => Ok(ConnectProgress::Pending),
            Err(error) => Err(error),
        }
    }

    fn held_by_kernel(&self) -> u32 {
        match self {
            Socket::Tcp(stream) => send_queue::held_by_kernel(stream),
            // What was written lies with the peer already.
            Socket::Unix(_) | Socket::Input(_) | Socket::Output(_) => 0,
        }
    }

    fn abort(&mut self) {
        if let Socket::Tcp(stream) = self {
            // It fails where the socket has no peer any more (EINVAL).
            let _ = SockRef::from(&*stream).set_linger(Some(Duration::ZERO));
        }
    }

    fn short_read_drains(&self) -> bool {
        matches!(self, Socket::Tcp(_))
    }
}

impl Socket {
    /// Registers the stream, edge-triggered, once: an edge for a direction that is not wanted costs nothing on TCP.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        let both = Interest::READABLE | Interest::WRITABLE;
        match self {
            #[cfg(any(target_os = "linux", target_os = "android"))]
            Socket::Tcp(stream) => stream.register(registry, token, both | Interest::PRIORITY),
            #[cfg(not(any(target_os = "linux", target_os = "android")))]
            Socket::Tcp(stream) => stream.register(registry, token, both),
            Socket::Unix(stream) => stream.register(registry, token, both),
            Socket::Input(input) => standard_stream::register(input, registry, token, Interest::READABLE),
            Socket::Output(output) => standard_stream::register(output, registry, token, Interest::WRITABLE),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::OwnedFd;

    use super::*;

    /// Each connection's place has room for any of them, so the rarest must not be larger than what thousands are.
    /// (mio's are larger with debug assertions, hence the two that are ours are asked by themselves.)
    #[test]
    fn the_rare_sockets_are_not_larger_than_the_usual_ones() {
        assert!(size_of::<StandardInput>().max(size_of::<StandardOutput>()) <= size_of::<OwnedFd>());
        assert_eq!(size_of::<Socket>(), size_of::<TcpStream>() + align_of::<TcpStream>());
    }
}
