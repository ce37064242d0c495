//! A UDP echo server that loses, doubles, swaps and damages replies by a fixed pattern, and counts what it did.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// What happens to a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Delivered,
    Lost,
    Doubled,
    /// One bit of this byte is changed.
    Damaged(usize),
    /// It leaves behind the next reply.
    Overtaken,
}

/// How often each thing happened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    pub received: u64,
    pub lost: u64,
    pub doubled: u64,
    pub damaged: u64,
    pub overtaken: u64,
}

/// A server that does to replies what a network does.
pub struct FaultyDatagrams {
    address: SocketAddr,
    fates: Arc<Mutex<Fates>>,
    is_over: Arc<AtomicBool>,
    server: Option<JoinHandle<()>>,
}

impl FaultyDatagrams {
    /// Echoes datagrams: what happens to the reply to number 1, 2, 3, ... is what `fate` says.
    pub fn start(fate: impl Fn(u64) -> Fate + Send + 'static) -> FaultyDatagrams {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        socket.set_read_timeout(Some(Duration::from_millis(50))).unwrap();
        let address = socket.local_addr().unwrap();
        let (fates, is_over) = (Arc::new(Mutex::new(Fates::default())), Arc::new(AtomicBool::new(false)));
        let (counts, over) = (fates.clone(), is_over.clone());
        let server = thread::spawn(move || {
            let mut held = None;
            while !over.load(Ordering::SeqCst) {
                serve(&socket, &fate, &counts, &mut held);
            }
        });
        FaultyDatagrams { address, fates, is_over, server: Some(server) }
    }

    pub fn url(&self) -> String {
        format!("udp://{}", self.address)
    }

    /// What it has done until now.
    pub fn fates(&self) -> Fates {
        *self.fates.lock().unwrap()
    }
}

impl Drop for FaultyDatagrams {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::SeqCst);
        if let Some(server) = self.server.take() {
            let _ = server.join();
        }
    }
}

/// Serves until nothing has come for a while. `held` is the reply that the next one overtakes.
fn serve(
    socket: &UdpSocket,
    fate: &impl Fn(u64) -> Fate,
    counts: &Mutex<Fates>,
    held: &mut Option<(Vec<u8>, SocketAddr)>,
) {
    let mut buffer = vec![0; 70_000];
    while let Ok((length, client)) = socket.recv_from(&mut buffer) {
        let mut counts = counts.lock().unwrap();
        counts.received += 1;
        let fate = fate(counts.received);
        // Whoever does not read is no concern of this server.
        let send = |bytes: &[u8], client| drop(socket.send_to(bytes, client));
        let reply = &mut buffer[..length];
        match fate {
            Fate::Delivered => send(reply, client),
            Fate::Lost => {
                counts.lost += 1;
                continue;
            }
            Fate::Doubled => {
                counts.doubled += 1;
                send(reply, client);
                send(reply, client);
            }
            Fate::Damaged(byte) => {
                counts.damaged += 1;
                reply[byte] ^= 1;
                send(reply, client);
            }
            Fate::Overtaken if held.is_none() => {
                *held = Some((reply.to_vec(), client));
                continue;
            }
            Fate::Overtaken => send(reply, client),
        }
        if let Some((bytes, client)) = held.take() {
            counts.overtaken += 1;
            send(&bytes, client);
        }
    }
}
