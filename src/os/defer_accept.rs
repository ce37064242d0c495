//! TCP_DEFER_ACCEPT: the kernel keeps a connection to itself until the client has said something (`tcp(7)`, Linux).

use std::io;
use std::time::Duration;

use socket2::Socket;

/// Has the kernel hold connections to `listener` back until their first bytes have come, or about `wait` has passed.
#[cfg(target_os = "linux")]
pub(super) fn defer_accept(listener: &Socket, wait: Duration) -> io::Result<()> {
    use nix::libc::{self, IPPROTO_TCP, TCP_DEFER_ACCEPT, c_int};
    use nix::sys::socket::sockopt::SetStruct;

    /// A number of seconds. nix leaves the option to its users.
    #[derive(Clone, Copy, Debug)]
    struct TcpDeferAccept;

    nix::setsockopt_impl!(TcpDeferAccept, IPPROTO_TCP, TCP_DEFER_ACCEPT, c_int, SetStruct<'_, c_int>);

    let seconds = i32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
    Ok(nix::sys::socket::setsockopt(listener, TcpDeferAccept, &seconds)?)
}

/// Other systems have filters of their own for this.
#[cfg(not(target_os = "linux"))]
pub(super) fn defer_accept(_listener: &Socket, _wait: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
