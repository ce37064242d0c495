//! A relay: every client gets a connection of its own to another server, and bytes go both ways.
//! `cargo run --example relay -- 127.0.0.1:9001 127.0.0.1:9000` relays clients of the first address to the second.
//!
//! A handler sends on the connection that it is called for. What is for the other end of a pair waits in that end's
//! queue, and that end is woken: its `tick` sends it. An end is not read while the other's queue is full.

use std::net::SocketAddr;
use std::{env, io, mem};

use cooee::{Address, CloseReason, Context, Handler, Key, Limits, Orders, Reactor, SocketOptions, Tag, listen_tcp};
use slab::Slab;

/// Bytes that wait for one end, at the most; and the most that one read brings.
const QUEUE_MAX: usize = 64 * 1024;

/// Ends at the most, two for each client. They count until both have ended.
const ENDS_MAX: usize = 2000;

/// The tag of the listener. Every other tag is the number of an end.
const LISTENER: Tag = Tag(u32::MAX);

/// One end of a pair: a client's connection, or the connection to the server that was opened for it.
#[derive(Default)]
struct End {
    /// The number of the other end.
    other: usize,
    /// The connection, once there is one.
    key: Option<Key>,
    /// What the other end's peer has sent.
    queue: Vec<u8>,
    /// This end's peer sends nothing more.
    has_ended: bool,
    /// The connection has ended, or was not established.
    is_gone: bool,
}

struct Relay {
    server: Address,
    ends: Slab<End>,
}

impl Relay {
    /// The end with this number, and the other end of its pair.
    fn pair(&mut self, number: usize) -> (&mut End, &mut End) {
        let other = self.ends[number].other;
        self.ends.get2_mut(number, other).expect("both stay until both are gone")
    }

    /// Sends what is queued for this end, where there is room, and ends its sending where nothing will follow.
    fn send(&mut self, number: usize, cx: &mut Context<'_>) {
        let (this, other) = self.pair(number);
        if !this.queue.is_empty() && !cx.reply.wait_if_full() {
            // Where the queue was full, the other end is paused.
            cx.orders.wake(other.key.filter(|_| this.queue.len() == QUEUE_MAX));
            cx.reply.send(&mem::take(&mut this.queue));
        }
        if other.has_ended && this.queue.is_empty() {
            match this.has_ended {
                true => cx.finish(CloseReason::PeerClosed),
                false => cx.half_close(),
            }
        }
        // Whatever this end was woken for, it is read only where there is room for what comes.
        if other.queue.len() == QUEUE_MAX {
            cx.pause();
        }
    }

    /// The connection of this end has ended, or was not established: the other end sends what is left, and ends.
    fn end(&mut self, number: usize, orders: &mut Orders) {
        let (this, other) = self.pair(number);
        *this = End { other: this.other, has_ended: true, is_gone: true, ..End::default() };
        other.has_ended = true;
        orders.wake(other.key);
        if other.is_gone {
            let other = self.ends.remove(number).other;
            self.ends.remove(other);
        }
    }
}

impl Handler for Relay {
    /// The number of an end; none of a client that is refused.
    type Session = Option<usize>;

    fn open(&mut self, tag: Tag, cx: &mut Context<'_>) -> Option<usize> {
        let mut number = tag.index();
        if tag == LISTENER {
            if self.ends.len() == ENDS_MAX {
                cx.finish(CloseReason::Refused);
                return None;
            }
            number = self.ends.insert(End::default());
            let server = self.ends.insert(End { other: number, ..End::default() });
            self.ends[number].other = server;
            // A client may send although it does not read.
            cx.full_duplex();
            cx.orders.connect(self.server.clone(), Tag::try_from(server).expect("it is below `ENDS_MAX`"));
        }
        self.ends[number].key = Some(cx.key);
        self.send(number, cx);
        Some(number)
    }

    fn receive(&mut self, session: &mut Option<usize>, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let Some(number) = *session else { return bytes.len() };
        let (_, other) = self.pair(number);
        let taken = bytes.len().min(QUEUE_MAX - other.queue.len());
        other.queue.extend_from_slice(&bytes[..taken]);
        cx.orders.wake(other.key);
        if other.queue.len() == QUEUE_MAX {
            cx.pause();
        }
        taken
    }

    fn end_of_stream(&mut self, session: &mut Option<usize>, _rest: &[u8], cx: &mut Context<'_>) {
        // There is no rest: an end that has left bytes is paused, and not read any further.
        let Some(number) = *session else { return };
        let (this, other) = self.pair(number);
        this.has_ended = true;
        cx.orders.wake(other.key);
        self.send(number, cx);
    }

    fn tick(&mut self, session: &mut Option<usize>, cx: &mut Context<'_>) {
        session.iter().for_each(|number| self.send(*number, cx));
    }

    fn close(&mut self, session: Option<usize>, _reason: CloseReason, orders: &mut Orders) {
        session.into_iter().for_each(|number| self.end(number, orders));
    }

    fn connect_failed(&mut self, tag: Tag, _reason: CloseReason, orders: &mut Orders) {
        self.end(tag.index(), orders);
    }
}

fn main() -> io::Result<()> {
    let addresses: Vec<SocketAddr> = env::args().skip(1).flat_map(|text| text.parse()).collect();
    let &[listen, server] = addresses.as_slice() else {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "usage: relay ADDRESS:PORT SERVER-ADDRESS:PORT"));
    };
    let (listener, address) = listen_tcp(listen, &SocketOptions::default())?;
    println!("relaying {address} to {server}");
    let mut reactor = Reactor::new(Limits { read_budget: QUEUE_MAX, ..Limits::default() })?;
    reactor.listen(listener, LISTENER)?;
    reactor.run(&mut Relay { server: server.into(), ends: Slab::new() })
}
