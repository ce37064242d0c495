//! Clients of stream sockets.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, OwnedFd};

use socket2::{Domain, SockRef, Socket, Type};

use super::{PATIENCE, tcp_row, wait_until};

/// A client whose every call has a time-out: of TCP, or of another kind of stream.
pub struct Client<S = TcpStream> {
    pub stream: S,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Client {
        Client::over(TcpStream::connect_timeout(&address, PATIENCE).expect("the server accepts"))
    }

    /// One with so small a receive buffer that the server soon owes it what it does not read.
    #[track_caller]
    pub fn connect_with_small_buffer(address: SocketAddr) -> Client {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, None).expect("a socket");
        // Before the window is told to the server.
        socket.set_recv_buffer_size(4096).unwrap();
        socket.connect_timeout(&address.into(), PATIENCE).expect("the server accepts");
        Client::over(socket.into())
    }

    /// Waits until everything that was sent lies in the peer's socket: nothing is left in this one's send queue.
    #[track_caller]
    pub fn wait_arrived(&self) {
        let (local, peer) = (self.stream.local_addr().unwrap(), self.stream.peer_addr().unwrap());
        wait_until("what was sent has arrived", || tcp_row(local, peer)[4].starts_with("00000000:"));
    }
}

impl<S: Read + Write + AsFd + From<OwnedFd>> Client<S> {
    pub fn over(stream: S) -> Client<S> {
        let socket = SockRef::from(&stream);
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        socket.set_write_timeout(Some(PATIENCE)).unwrap();
        // A Unix socket has no Nagle algorithm to switch off.
        let _ = socket.set_tcp_nodelay(true);
        Client { stream }
    }

    /// Another handle of the same connection, for another thread.
    pub fn twin(&self) -> Client<S> {
        Client { stream: self.stream.as_fd().try_clone_to_owned().unwrap().into() }
    }

    #[track_caller]
    pub fn send(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap_or_else(|error| panic!("cannot send {} bytes: {error}", bytes.len()));
    }

    /// Reads exactly so many bytes.
    #[track_caller]
    pub fn take(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = vec![0; count];
        if let Err(error) = self.stream.read_exact(&mut bytes) {
            panic!("cannot read {count} bytes: {error}");
        }
        bytes
    }

    /// Reads exactly these bytes.
    #[track_caller]
    pub fn expect(&mut self, bytes: &[u8]) {
        let got = self.take(bytes.len());
        assert!(
            got == bytes,
            "expected {} bytes, got others: '{}' is not '{}'",
            bytes.len(),
            shown(&got),
            shown(bytes)
        );
    }

    /// Sends `request` and reads exactly `reply`.
    #[track_caller]
    pub fn ask(&mut self, request: &[u8], reply: &[u8]) {
        self.send(request);
        self.expect(reply);
    }

    /// Sends `bytes` and reads them back.
    #[track_caller]
    pub fn echo(&mut self, bytes: &[u8]) {
        self.ask(bytes, bytes);
    }

    /// Ends this side.
    #[track_caller]
    pub fn shutdown(&self) {
        SockRef::from(&self.stream).shutdown(Shutdown::Write).expect("the write side can be shut");
    }

    /// Reads to the end, which has to be a FIN.
    #[track_caller]
    pub fn rest(&mut self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = self.stream.read_to_end(&mut bytes) {
            panic!("no clean end after {} bytes: {error}", bytes.len());
        }
        bytes
    }

    /// Ends this side and reads to the end, which has to be a FIN.
    #[track_caller]
    pub fn finish(mut self) -> Vec<u8> {
        self.shutdown();
        self.rest()
    }
}

/// The beginning of some bytes, for a message.
fn shown(bytes: &[u8]) -> String {
    bytes[..bytes.len().min(200)].escape_ascii().to_string()
}
