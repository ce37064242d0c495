//! TCP_DEFER_ACCEPT: the kernel keeps a connection to itself until the client has said something (`tcp(7)`, Linux).

use std::io;
use std::time::Duration;

use socket2::Socket;

#[cfg(target_os = "linux")]
mod option {
    use nix::libc;
    use nix::sys::socket::sockopt::SetStruct;

    /// An `int`, in seconds.
    #[derive(Clone, Copy, Debug)]
    pub(super) struct TcpDeferAccept;

    // nix has its number, and leaves the option to whoever needs it.
    nix::setsockopt_impl!(
        TcpDeferAccept,
        libc::IPPROTO_TCP,
        libc::TCP_DEFER_ACCEPT,
        libc::c_int,
        SetStruct<'_, libc::c_int>
    );
}

/// Has the kernel hold connections to `listener` back until their first bytes have come, or about `wait` has passed. It
/// counts in seconds, of which it makes a number of SYN-ACKs that it repeats.
#[cfg(target_os = "linux")]
pub(super) fn defer_accept(listener: &Socket, wait: Duration) -> io::Result<()> {
    let seconds = i32::try_from(wait.as_millis().div_ceil(1000)).unwrap_or(i32::MAX);
    Ok(nix::sys::socket::setsockopt(listener, option::TcpDeferAccept, &seconds)?)
}

/// Other systems have filters of their own for this.
#[cfg(not(target_os = "linux"))]
pub(super) fn defer_accept(_listener: &Socket, _wait: Duration) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}
