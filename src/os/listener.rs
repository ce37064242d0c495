//! Listening sockets: the seam, and the real ones.

use std::io;
use std::net::SocketAddr;

use mio::event::Source as _;
use mio::net::{TcpListener, UnixListener};
use mio::{Interest, Registry, Token};

use crate::os::stream::{Socket, Stream};
use crate::os::unix_path::UnixPath;

/// A non-blocking listening socket.
pub trait Listener {
    /// What it accepts.
    type Stream: Stream;

    /// Takes the next established connection off the backlog (`accept4(2)`), with the peer's address where it has one:
    /// after a RST nothing else can tell it.
    fn accept(&mut self) -> io::Result<(Self::Stream, Option<SocketAddr>)>;
}

/// A real listening socket.
#[derive(Debug)]
pub enum ListeningSocket {
    /// TCP.
    Tcp(TcpListener),
    /// A Unix stream socket, with its path unless its name is abstract. The path goes first: while the socket lives its
    /// inode is not used again, so the file that is removed is surely ours.
    Unix(Option<UnixPath>, UnixListener),
}

impl Listener for ListeningSocket {
    type Stream = Socket;

    fn accept(&mut self) -> io::Result<(Socket, Option<SocketAddr>)> {
        match self {
            ListeningSocket::Tcp(listener) => {
                let (stream, peer) = listener.accept()?;
                Ok((Socket::Tcp(stream), Some(peer)))
            }
            ListeningSocket::Unix(_, listener) => Ok((Socket::Unix(listener.accept()?.0), None)),
        }
    }
}

impl ListeningSocket {
    /// Registers the socket, edge-triggered.
    pub fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            ListeningSocket::Tcp(listener) => listener.register(registry, token, Interest::READABLE),
            ListeningSocket::Unix(_, listener) => listener.register(registry, token, Interest::READABLE),
        }
    }
}
