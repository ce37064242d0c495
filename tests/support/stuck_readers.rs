//! Clients that send and never read.

use std::io::{ErrorKind, Write};
use std::net::SocketAddr;

use socket2::SockRef;

use super::{Client, wait_until};

/// Clients that have sent until the server took no more, and have read nothing. Their buffers are small, so what lies
/// in the kernel lies on the server's side.
pub struct StuckReaders(Vec<Client>);

impl StuckReaders {
    /// Connects so many to `server`, and has them send in small pieces until none can any more.
    #[track_caller]
    pub fn fill(server: SocketAddr, count: usize) -> StuckReaders {
        let mut clients: Vec<Client> = (0..count).map(|_| connect(server)).collect();
        let piece = [b'x'; 4096];
        let mut quiet = 0;
        wait_until("nobody takes any more", || {
            let taken: usize = clients.iter_mut().map(|client| send_all(client, &piece)).sum();
            quiet = if taken == 0 { quiet + 1 } else { 0 };
            quiet == 50
        });
        StuckReaders(clients)
    }
}

#[track_caller]
fn connect(server: SocketAddr) -> Client {
    let client = Client::connect_with_small_buffer(server);
    SockRef::from(&client.stream).set_send_buffer_size(4096).unwrap();
    client.stream.set_nonblocking(true).unwrap();
    client
}

/// Sends `piece` again and again until that would wait; how many bytes were taken.
fn send_all(client: &mut Client, piece: &[u8]) -> usize {
    let mut taken = 0;
    loop {
        match client.stream.write(piece) {
            Ok(count) => taken += count,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return taken,
            Err(error) => panic!("a client cannot send: {error}"),
        }
    }
}
