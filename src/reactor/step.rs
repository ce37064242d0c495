//! What the loop does, step by step.
//!
//! Each step is one small value, which is told by [`Shared::tell`](crate::reactor::shared::Shared::tell) where it
//! happens. `serve -v` shows the steps in a connection's life, `-vv` shows all.

use std::fmt;
use std::time::Duration;

use log::Level;

use crate::os::address::Peer;
use crate::os::readiness::Readiness;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::next::{Condition, Next};

/// One step of the loop; most are those of one source. Its `Display` is its line in the log, behind the source's key.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// The poll returned with so many events. Behind it: the time until the next deadline, if there is one.
    Woke(usize, Option<Duration>),
    /// An event was merged into the latch.
    Event(Readiness),
    /// An event came for a source that is gone.
    Stale,
    /// A deadline has come, and the source is to be driven.
    Deadline,
    /// A listener accepted the connection.
    Accepted(Peer<'a>),
    /// The connection that this side opened is established.
    Connected(Peer<'a>),
    /// A read gave so many bytes, of at most so many. Behind them: whether the latch is still set.
    Read(usize, usize, bool),
    /// A read gave nothing: the latch is cleared.
    ReadWouldBlock,
    /// The peer has ended its side.
    EndOfStream,
    /// A datagram was received, of so many bytes.
    Received(usize, Peer<'a>),
    /// A call has received the last datagram: the latch is cleared.
    QueueEmpty,
    /// A receive gave nothing: the latch is cleared.
    ReceiveWouldBlock,
    /// The socket takes no more: its write latch is cleared, and so many bytes are owed.
    WriteWouldBlock(usize),
    /// The socket took so many bytes, and so many are owed.
    Wrote(usize, usize),
    /// The write side was shut, and the connection lingers.
    Fin,
    /// Nothing is left to do or to decide before the next event.
    AtRest,
    /// The source was driven, and this was decided.
    Driven(Next),
    /// The source waits for a condition that all sources share.
    HeldBack(Condition),
    /// The connection is closed.
    Closed(Peer<'a>, CloseReason),
    /// The listener is closed.
    ListenerClosed,
    /// The drain has begun, with so many connections.
    Draining(usize),
}

impl Step<'_> {
    /// The level of the step's line.
    #[inline]
    pub(crate) fn level(&self) -> Level {
        match self {
            Step::Accepted(_) | Step::Connected(_) | Step::Closed(..) | Step::ListenerClosed | Step::Draining(_) => {
                Level::Debug
            }
            _ => Level::Trace,
        }
    }

    /// The target of the step's line, as `RUST_LOG` names it: the part of the reactor that tells the step.
    pub(crate) fn target(&self) -> &'static str {
        match self {
            Step::Woke(..) | Step::Event(_) | Step::Stale | Step::Deadline => "cooee::reactor",
            Step::Closed(..) | Step::ListenerClosed => "cooee::reactor",
            Step::Accepted(_) => "cooee::reactor::accept",
            Step::Connected(_) | Step::Read(..) | Step::ReadWouldBlock => "cooee::reactor::connection::receive",
            Step::EndOfStream | Step::Fin => "cooee::reactor::connection::end",
            Step::WriteWouldBlock(_) | Step::Wrote(..) => "cooee::reactor::connection::send",
            Step::Received(..) | Step::QueueEmpty | Step::ReceiveWouldBlock => "cooee::reactor::datagram",
            Step::AtRest | Step::Driven(_) | Step::HeldBack(_) => "cooee::reactor::run",
            Step::Draining(_) => "cooee::reactor::lifecycle",
        }
    }
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Woke(events, Some(time)) => write!(f, "woke with {events} events (it would wait {time:?})"),
            Step::Woke(events, None) => write!(f, "woke with {events} events (it would wait for ever)"),
            Step::Event(readiness) => write!(f, "is {readiness:?}"),
            Step::Stale => f.write_str("is gone: its event is stale"),
            Step::Deadline => f.write_str("has reached its deadline"),
            Step::Accepted(peer) => write!(f, "accepted {peer}"),
            Step::Connected(peer) => write!(f, "is connected to {peer}"),
            Step::Read(bytes, room, is_readable) => {
                let outlook = if *is_readable { "perhaps more waits" } else { "the kernel owes an edge" };
                write!(f, "read {bytes} bytes of at most {room}: {outlook}")
            }
            Step::ReadWouldBlock => f.write_str("read would block: the kernel owes an edge"),
            Step::EndOfStream => f.write_str("read 0: the peer has ended its side"),
            Step::Received(bytes, peer) => write!(f, "received a datagram of {bytes} bytes from {peer}"),
            Step::QueueEmpty => f.write_str("has no more datagrams: the kernel owes an edge"),
            Step::ReceiveWouldBlock => f.write_str("receive would block: the kernel owes an edge"),
            Step::WriteWouldBlock(owed) => {
                write!(f, "write would block: it owes {owed} bytes, and the kernel owes an edge")
            }
            Step::Wrote(bytes, owed) => write!(f, "wrote {bytes} bytes, owes {owed}"),
            Step::Fin => f.write_str("the last byte has left: now FIN, and what still comes is dropped"),
            Step::AtRest => f.write_str("is at rest"),
            Step::Driven(next) => write!(f, "is driven: {next:?}"),
            Step::HeldBack(condition) => write!(f, "waits for {condition:?}, with others"),
            Step::Closed(peer, reason) => write!(f, "closed {peer}: {reason}"),
            Step::ListenerClosed => f.write_str("listens no more"),
            Step::Draining(connections) => write!(f, "draining {connections} connections"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_small() {
        assert!(size_of::<Step<'_>>() <= 32, "{} bytes", size_of::<Step<'_>>());
    }

    #[test]
    fn each_step_has_its_line() {
        let address = "[::ffff:127.0.0.1]:9000".parse().unwrap();
        let peer = Peer::Ip(&address);
        let lines = [
            (Step::Woke(2, Some(Duration::from_micros(299_999_571))), "woke with 2 events (it would wait 299.999571s)"),
            (Step::Woke(0, None), "woke with 0 events (it would wait for ever)"),
            (Step::Event(Readiness::READABLE | Readiness::READ_CLOSED), "is readable+read-closed"),
            (Step::Stale, "is gone: its event is stale"),
            (Step::Deadline, "has reached its deadline"),
            (Step::Accepted(peer), "accepted 127.0.0.1:9000"),
            (Step::Connected(Peer::Unix(None)), "is connected to unix"),
            (Step::Read(5, 262_144, false), "read 5 bytes of at most 262144: the kernel owes an edge"),
            (Step::Read(5, 5, true), "read 5 bytes of at most 5: perhaps more waits"),
            (Step::ReadWouldBlock, "read would block: the kernel owes an edge"),
            (Step::EndOfStream, "read 0: the peer has ended its side"),
            (Step::Received(3, peer), "received a datagram of 3 bytes from 127.0.0.1:9000"),
            (Step::QueueEmpty, "has no more datagrams: the kernel owes an edge"),
            (Step::ReceiveWouldBlock, "receive would block: the kernel owes an edge"),
            (Step::WriteWouldBlock(7), "write would block: it owes 7 bytes, and the kernel owes an edge"),
            (Step::Wrote(5, 0), "wrote 5 bytes, owes 0"),
            (Step::Fin, "the last byte has left: now FIN, and what still comes is dropped"),
            (Step::AtRest, "is at rest"),
            (Step::Driven(Next::Done(CloseReason::PeerClosed)), "is driven: Done(PeerClosed)"),
            (Step::HeldBack(Condition::QueueRoom), "waits for QueueRoom, with others"),
            (Step::Closed(peer, CloseReason::PeerClosed), "closed 127.0.0.1:9000: peer-closed"),
            (Step::ListenerClosed, "listens no more"),
            (Step::Draining(3), "draining 3 connections"),
        ];
        for (step, line) in lines {
            assert_eq!(step.to_string(), line);
        }
    }
}
