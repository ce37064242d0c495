//! Unix sockets that take no descriptors.
//!
//! A message can carry open files (`SCM_RIGHTS`, `unix(7)`). They are not taken, so the kernel closes them inside the
//! `read` of the message, or inside the `close` of the socket. Such a close may block as long as the sender likes (a
//! TCP socket with SO_LINGER whose peer never reads, say). With SO_PASSRIGHTS off the sender gets EPERM (Linux 6.16).

use std::io;

use socket2::{Domain, Socket, Type};

/// Has the kernel refuse messages with descriptors to `socket`, and to what it accepts; false on an older kernel.
#[cfg(target_os = "linux")]
fn refuse_descriptors(socket: &Socket) -> io::Result<bool> {
    use nix::errno::Errno;
    use nix::libc;
    use nix::sys::socket::sockopt::SetBool;

    /// Whether messages to a Unix socket may carry descriptors.
    #[derive(Clone, Copy, Debug)]
    struct PassRights;

    /// Its number, which libc does not have yet (`asm-generic/socket.h`, and `asm/socket.h` of SPARC).
    const SO_PASSRIGHTS: libc::c_int = if cfg!(any(target_arch = "sparc", target_arch = "sparc64")) { 92 } else { 83 };

    nix::setsockopt_impl!(PassRights, libc::SOL_SOCKET, SO_PASSRIGHTS, bool, SetBool);

    match nix::sys::socket::setsockopt(socket, PassRights, &false) {
        Ok(()) => Ok(true),
        Err(Errno::ENOPROTOOPT) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

/// Other systems have no option for it.
#[cfg(not(target_os = "linux"))]
fn refuse_descriptors(_socket: &Socket) -> io::Result<bool> {
    Ok(false)
}

/// A non-blocking Unix socket of type `kind`. Nothing can be sent to it before it has a name or a peer.
pub(crate) fn unix_socket(kind: Type) -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, kind.nonblocking(), None)?;
    refuse_descriptors(&socket)?;
    Ok(socket)
}

/// Whether this system can refuse descriptors. Where it cannot, a client of a Unix socket can stop the loop.
pub fn refuses_descriptors() -> bool {
    let probe = Socket::new(Domain::UNIX, Type::DGRAM, None);
    probe.and_then(|probe| refuse_descriptors(&probe)).unwrap_or(false)
}
