//! What the kernel still holds of what was written to a socket (SO_MEMINFO, Linux).

use std::os::fd::AsFd;

/// The memory, in bytes, of what was written to this socket and its peer has not acknowledged; 0 where the system does
/// not tell.
#[cfg(target_os = "linux")]
pub(super) fn held_by_kernel(socket: &impl AsFd) -> u32 {
    use nix::{getsockopt_impl, libc, sockopt_impl};

    // The kernel's `sk_get_meminfo`: nine counters of 32 bits, as many of them as are asked for.
    sockopt_impl!(SocketMemory, GetOnly, libc::SOL_SOCKET, libc::SO_MEMINFO, [u32; 6]);

    /// SK_MEMINFO_WMEM_QUEUED (`linux/sock_diag.h`): the memory of what was written and not acknowledged, a FIN too.
    const WRITE_QUEUE: usize = 5;

    nix::sys::socket::getsockopt(socket, SocketMemory).map_or(0, |memory| memory[WRITE_QUEUE])
}

#[cfg(not(target_os = "linux"))]
pub(super) fn held_by_kernel(_: &impl AsFd) -> u32 {
    0
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::io::{Read, Write};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    #[test]
    fn what_the_peer_does_not_take_is_held_and_what_it_takes_is_not() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut ours = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        let (mut peers, _) = listener.accept().unwrap();
        assert_eq!(held_by_kernel(&ours), 0);
        ours.set_nonblocking(true).unwrap();
        let mut written = 0;
        while let Ok(count) = ours.write(&[7; 4096]) {
            written += count;
        }
        assert!(held_by_kernel(&ours) > 0, "its window is shut");
        let mut bytes = vec![0; written];
        peers.read_exact(&mut bytes).unwrap();
        let start = std::time::Instant::now();
        while held_by_kernel(&ours) > 0 {
            assert!(start.elapsed().as_secs() < 20, "the acknowledgement does not come");
            std::thread::yield_now();
        }
    }
}
