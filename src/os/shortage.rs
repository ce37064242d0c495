//! Lack of memory: a call that the kernel could not serve, and that nothing tells of when it could.

use std::io;

use nix::errno::Errno;

/// Whether the kernel lacked memory for a call (`ENOMEM`), or buffers (`ENOBUFS`): nothing is wrong with the socket,
/// and no edge will come, so the call is made again after a while ([`RETRY`](crate::reactor::acceptor::RETRY)).
///
/// A Unix stream answers a write so (`unix(7)`), a datagram socket either call (`send(2)`, `recv(2)`); other systems
/// also TCP.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOMEM | Errno::ENOBUFS))
}
