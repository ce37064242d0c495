//! A TCP server that misbehaves, as each test tells it to: a thread for every connection.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::{self, JoinHandle};

use super::PATIENCE;

/// A server that misbehaves.
pub struct FaultyServer {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    is_over: Arc<AtomicBool>,
    acceptor: Option<JoinHandle<()>>,
}

impl FaultyServer {
    /// Has every connection served by `serve`, which is told its number, from 0. An error ends that connection: clients
    /// go when they like.
    pub fn start(serve: impl Fn(usize, &mut TcpStream) -> io::Result<()> + Send + Sync + 'static) -> FaultyServer {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, is_over) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicBool::new(false)));
        let (counter, over, serve) = (accepted.clone(), is_over.clone(), Arc::new(serve));
        let acceptor = thread::spawn(move || {
            while let Ok((mut stream, _)) = listener.accept() {
                if over.load(Ordering::SeqCst) {
                    break;
                }
                let number = counter.fetch_add(1, Ordering::SeqCst);
                let serve = serve.clone();
                stream.set_nodelay(true).unwrap();
                stream.set_read_timeout(Some(PATIENCE)).unwrap();
                stream.set_write_timeout(Some(PATIENCE)).unwrap();
                thread::spawn(move || serve(number, &mut stream));
            }
        });
        FaultyServer { address, accepted, is_over, acceptor: Some(acceptor) }
    }

    /// Takes messages of `length` bytes and writes what `reply` makes of each: it is told the connection's number, the
    /// message's on that connection, both from 0, and the message.
    pub fn answering(
        length: usize,
        reply: impl Fn(usize, usize, Vec<u8>) -> Vec<u8> + Send + Sync + 'static,
    ) -> FaultyServer {
        FaultyServer::start(move |connection, stream| {
            for number in 0.. {
                let message = take(stream, length)?;
                stream.write_all(&reply(connection, number, message))?;
            }
            Ok(())
        })
    }

    pub fn url(&self) -> String {
        format!("tcp://{}", self.address)
    }

    /// Connections that were accepted until now.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        // The acceptor waits for a last one.
        let _ = TcpStream::connect(self.address);
        if let Some(acceptor) = self.acceptor.take() {
            let _ = acceptor.join();
        }
    }
}

/// Reads a message of `length` bytes.
pub fn take(stream: &mut TcpStream, length: usize) -> io::Result<Vec<u8>> {
    let mut message = vec![0; length];
    stream.read_exact(&mut message)?;
    Ok(message)
}
