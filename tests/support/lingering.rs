//! Descriptors whose last close takes its time, and messages that carry them to somebody else's socket.

use std::io::{IoSlice, Write};
use std::net::{TcpListener, TcpStream};
use std::os::fd::{AsFd, AsRawFd};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};
use socket2::SockRef;

/// Longer than an acknowledgement is held back (`TCP_DELACK_MAX`, 200 ms).
const ACKNOWLEDGED_WITHIN_MS: u16 = 400;

/// TCP sockets with a full send queue, whose peers never read.
pub struct Lingering {
    sockets: Vec<TcpStream>,
    /// As long as they live, nothing but time ends a close that lingers.
    peers: Vec<TcpStream>,
}

impl Lingering {
    /// So many of them; whoever closes the last copy of one waits for `time`, whether it blocks or not (`socket(7)`,
    /// SO_LINGER).
    pub fn new(count: usize, time: Duration) -> Lingering {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (mut sockets, mut peers) = (Vec::new(), Vec::new());
        for _ in 0..count {
            let socket = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
            peers.push(listener.accept().expect("a newcomer").0);
            SockRef::from(&socket).set_linger(Some(time)).expect("a time");
            socket.set_nonblocking(true).expect("a socket of ours");
            sockets.push(socket);
        }
        // A queue is full for good once no acknowledgement is on its way that would make room.
        let mut is_full = false;
        while !is_full {
            sockets.iter_mut().for_each(|socket| while socket.write(&[0; 64 * 1024]).is_ok() {});
            let mut asked: Vec<PollFd<'_>> =
                sockets.iter().map(|socket| PollFd::new(socket.as_fd(), PollFlags::POLLOUT)).collect();
            is_full = poll(&mut asked, ACKNOWLEDGED_WITHIN_MS).expect("sockets of ours") == 0;
        }
        Lingering { sockets, peers }
    }

    /// Sends `bytes` over a connected Unix socket with all of these, and closes them here: so whoever is to wait for
    /// them must not have taken the message yet. The peers are handed back: they have to live for as long as somebody
    /// is to wait.
    pub fn pass(self, over: &impl AsRawFd, bytes: &[u8]) -> (nix::Result<usize>, Vec<TcpStream>) {
        let descriptors: Vec<i32> = self.sockets.iter().map(AsRawFd::as_raw_fd).collect();
        let carried = [ControlMessage::ScmRights(&descriptors)];
        let sent = sendmsg::<()>(over.as_raw_fd(), &[IoSlice::new(bytes)], &carried, MsgFlags::empty(), None);
        if sent.is_err() {
            // Nobody else has them: this process would wait.
            for socket in &self.sockets {
                SockRef::from(socket).set_linger(None).expect("a socket of ours");
            }
        }
        (sent, self.peers)
    }
}
