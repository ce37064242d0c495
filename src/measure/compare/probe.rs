//! One message to a server, and the reply that it has to give: asked before load runs, so that a server that is not
//! ready or not right is known as such.

use std::io::{self, ErrorKind, Read};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use socket2::{Domain, SockAddr, Socket, Type};

use crate::measure::load::exchange::Exchange;
use crate::measure::load::options::{Body, Options};
use crate::os::address::Address;
use crate::os::reason;
use crate::os::unix_socket::unix_socket;
use crate::protocol::escape::Escaped;
use crate::reactor::reply::{Outgoing, Reply};

/// How long is waited at a time: then it is asked whether that still makes sense.
const SLICE: Duration = Duration::from_millis(20);

/// How many bytes of a reply are shown.
const SHOWN: usize = 60;

/// A message and what has to come back.
#[derive(Clone, Debug)]
pub struct Probe {
    is_datagram: bool,
    message: Vec<u8>,
    /// None: anything, but not nothing.
    reply: Option<Vec<u8>>,
}

/// Why a server has not answered a probe.
#[derive(Debug, PartialEq, Eq)]
pub enum Refusal {
    /// It may yet: it does not listen, or it did not reply.
    NotYet(String),
    /// The reply was wrong.
    Wrong(String),
    /// The caller has given up.
    GivenUp,
}

impl Refusal {
    /// The same, which says what was not answered, where there is a reason.
    pub(crate) fn of(self, what: impl FnOnce() -> String) -> Refusal {
        match self {
            Refusal::NotYet(reason) => Refusal::NotYet(format!("{}: {reason}", what())),
            other => other,
        }
    }
}

impl Probe {
    /// A message as load with these options sends it, but that it always says the same.
    pub fn of(options: &Options) -> Probe {
        let body = match &options.body {
            Body::Noise(length) => (b'a'..=b'z').cycle().take(*length).collect(),
            Body::Text(text) => text.clone(),
        };
        let exchange = Exchange::new(&Options { body: Body::Text(body), ..options.clone() });
        let (mut message, mut outgoing) = (Vec::new(), Outgoing::default());
        exchange.send(0, 0, &mut Reply::new(b"", None, &mut message, &mut outgoing, 0, usize::MAX));
        let reply = exchange.is_checked.then(|| exchange.expected(0, 0, 0, usize::MAX));
        Probe { is_datagram: options.datagrams, message, reply }
    }

    /// Connects to `address`, asks, and waits for the reply until `deadline`, as long as `goes_on` says so. Returns the
    /// connection.
    pub fn ask(
        &self,
        address: &Address,
        deadline: Instant,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<Socket, Refusal> {
        let not_yet = |error: io::Error| Refusal::NotYet(reason::of(&error));
        let socket = self.connect(address).map_err(not_yet)?;
        let mut is_connected = false;
        let mut sent = 0;
        let mut got = Vec::new();
        let mut has_looked = false;
        loop {
            if !goes_on() {
                return Err(Refusal::GivenUp);
            }
            // It is looked at once however late it is, so that a refusal is told as what it is.
            if has_looked && Instant::now() >= deadline {
                let what = if is_connected { "it does not reply" } else { "the connection is not established" };
                return Err(Refusal::NotYet(what.to_owned()));
            }
            has_looked = true;
            let wants_write = if sent < self.message.len() { PollFlags::POLLOUT } else { PollFlags::empty() };
            let mut polled = [PollFd::new(socket.as_fd(), PollFlags::POLLIN | wants_write)];
            let slice = PollTimeout::try_from(SLICE).unwrap_or(PollTimeout::ZERO);
            // A signal ends the wait: whether it matters, `goes_on` knows.
            if nix::poll::poll(&mut polled, slice).unwrap_or(0) == 0 {
                continue;
            }
            if !is_connected {
                check_connected(&socket).map_err(not_yet)?;
                is_connected = true;
            }
            if sent < self.message.len() {
                sent += some(socket.send(&self.message[sent..])).map_err(not_yet)?.unwrap_or(0);
            }
            let mut bytes = [0; 16 * 1024];
            match some((&socket).read(&mut bytes)).map_err(not_yet)? {
                None => continue,
                Some(0) if !self.is_datagram => {
                    return Err(Refusal::NotYet("it closes the connection without a reply".to_owned()));
                }
                Some(count) => got.extend_from_slice(&bytes[..count]),
            }
            if self.judge(&got)? {
                return Ok(socket);
            }
        }
    }

    /// Whether `got` is the whole reply; an error where it cannot become it.
    fn judge(&self, got: &[u8]) -> Result<bool, Refusal> {
        // Its first bytes show that it answers; when they are all is of no matter here, for nothing is measured.
        let Some(reply) = &self.reply else { return Ok(true) };
        let is_whole = got.len() >= reply.len() || self.is_datagram;
        if (is_whole && got != reply) || !reply.starts_with(got) {
            let (expected, got) = (shown(reply), shown(got));
            return Err(Refusal::Wrong(format!("it answers wrong: '{got}' came, and not '{expected}'")));
        }
        Ok(is_whole)
    }

    /// A non-blocking socket that is connected or about to be.
    fn connect(&self, address: &Address) -> io::Result<Socket> {
        let kind = if self.is_datagram { Type::DGRAM } else { Type::STREAM };
        let (socket, peer) = match address {
            Address::Ip(address) => {
                (Socket::new(Domain::for_address(*address), kind.nonblocking(), None)?, SockAddr::from(*address))
            }
            Address::Unix(name) => (unix_socket(kind)?, name.socket_address()?),
        };
        if peer.is_unix() && self.is_datagram {
            // A name, so that it can be answered (`unix(7)`, autobind).
            socket.bind(&SockAddr::unix("")?)?;
        }
        match socket.connect(&peer) {
            Err(error) if error.raw_os_error() == Some(Errno::EINPROGRESS as i32) => Ok(socket),
            Err(error) => Err(error),
            Ok(()) => Ok(socket),
        }
    }
}

/// An error where the connection was not established, or leads from the socket to itself: then there is no listener.
fn check_connected(socket: &Socket) -> io::Result<()> {
    if let Some(error) = socket.take_error()? {
        return Err(error);
    }
    let (local, peer) = (socket.local_addr()?.as_socket(), socket.peer_addr()?.as_socket());
    if local.is_some() && local == peer {
        return Err(ErrorKind::ConnectionRefused.into());
    }
    Ok(())
}

/// The result of a read or a write; `None` if it has to wait.
fn some(result: io::Result<usize>) -> io::Result<Option<usize>> {
    match result {
        Ok(count) => Ok(Some(count)),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Bytes of a reply, for a message to a person.
fn shown(bytes: &[u8]) -> String {
    let cut = if bytes.len() > SHOWN { "..." } else { "" };
    format!("{}{cut}", Escaped(&String::from_utf8_lossy(&bytes[..bytes.len().min(SHOWN)])))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::compare::samples::options;

    fn probe(message: &str, is_datagram: bool) -> Probe {
        let options = Options { body: Body::Text(message.into()), datagrams: is_datagram, ..options() };
        Probe::of(&options)
    }

    #[test]
    fn a_reply_may_come_in_pieces_and_a_datagrams_may_not() {
        let stream = probe("hello", false);
        assert_eq!((stream.judge(b""), stream.judge(b"hel"), stream.judge(b"hello")), (Ok(false), Ok(false), Ok(true)));
        let datagram = probe("hello", true);
        assert_eq!(datagram.judge(b"hello"), Ok(true));
        for (probe, wrong) in [(&stream, "help"), (&stream, "hello?"), (&datagram, "hel"), (&datagram, "")] {
            let Err(Refusal::Wrong(reason)) = probe.judge(wrong.as_bytes()) else { panic!("{wrong} is taken") };
            assert_eq!(reason, format!("it answers wrong: '{wrong}' came, and not 'hello'"));
        }
    }

    #[test]
    fn what_is_shown_of_a_reply_is_short() {
        assert_eq!(shown(&[b'x'; 60]), "x".repeat(60));
        assert_eq!(shown(&[b'x'; 61]), "x".repeat(60) + "...");
    }
}
