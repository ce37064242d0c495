//! Making sockets that listen, receive or connect, with their options.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use mio::net::{TcpListener, TcpStream, UdpSocket, UnixListener, UnixStream};
use nix::errno::Errno;
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::os::address::Address;
use crate::os::datagram_socket::DatagramEndpoint;
use crate::os::defer_accept::defer_accept;
use crate::os::file_access::FileAccess;
use crate::os::listener::ListeningSocket;
use crate::os::stream;
use crate::os::unix_name::UnixName;
use crate::os::unix_path::{UnixPath, make_room};
use crate::os::unix_socket::unix_socket;
#[cfg(target_os = "linux")]
use crate::os::wildcard_socket::WildcardSocket;

/// The options of sockets that listen or receive (`socket(7)`, `tcp(7)`).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SocketOptions {
    /// How many connections may wait to be accepted (`listen(2)`; the kernel caps it at `net.core.somaxconn`).
    pub backlog: i32,
    /// SO_RCVBUF in bytes; none leaves it to the kernel, which tunes it.
    pub receive_buffer: Option<usize>,
    /// SO_SNDBUF in bytes; none leaves it to the kernel, which tunes it.
    pub send_buffer: Option<usize>,
    /// TCP_NOTSENT_LOWAT in bytes: the kernel accepts hardly more beyond the peer's window (`tcp(7)`). Sent bytes do
    /// not count, so peers that read are not slower. 0 leaves it to the kernel, which then keeps up to
    /// `net.ipv4.tcp_wmem` for each peer that never reads. Linux alone.
    pub notsent_lowat: u32,
    /// TCP keep-alive after so long a silence; none turns it off. A peer that answers no probe is closed after as long
    /// again ([`SocketOptions::PROBES`]).
    pub keepalive: Option<Duration>,
    /// TCP_DEFER_ACCEPT: a connection is accepted when its first bytes have come, or after about so long; none accepts
    /// it at once. Linux alone.
    pub defer_accept: Option<Duration>,
    /// SO_REUSEPORT: several processes share one port, and the kernel spreads connections and datagrams over them.
    pub reuse_port: bool,
    /// IPV6_V6ONLY at `[::]`: it takes no IPv4, which is left to another socket at `0.0.0.0`. Every other IPv6 address
    /// takes none anyway.
    pub only_v6: bool,
    /// Who may connect to a Unix socket at a path.
    pub file: FileAccess,
}

impl SocketOptions {
    /// With this, 5,000 peers that never read hold less than 1 GiB of the kernel's memory, both ends together. Peers
    /// that read showed no difference (docs/decisions/0015).
    pub const NOTSENT_LOWAT: u32 = 8 * 1024;

    /// How many keep-alive probes in a row may stay unanswered. They are a third of the silence apart, at least 1 s,
    /// so a dead peer is found after twice the silence. The system's own 9 probes, 75 s apart, would add 11 minutes.
    pub const PROBES: u32 = 3;
}

impl Default for SocketOptions {
    fn default() -> SocketOptions {
        SocketOptions {
            backlog: 4096,
            receive_buffer: None,
            send_buffer: None,
            notsent_lowat: SocketOptions::NOTSENT_LOWAT,
            keepalive: None,
            defer_accept: None,
            reuse_port: false,
            only_v6: false,
            file: FileAccess::default(),
        }
    }
}

/// Listens for TCP connections at `address`; `[::]` takes IPv4 as well. Returns the socket and its real address.
pub fn listen_tcp(address: SocketAddr, options: &SocketOptions) -> io::Result<(ListeningSocket, SocketAddr)> {
    let socket = ip_socket(address, Type::STREAM, Protocol::TCP, options)?;
    // A restart must not wait for connections in TIME_WAIT. On UDP this option would let a second server take the port.
    socket.set_reuse_address(true)?;
    // What is set on the listener is inherited by what it accepts (Linux): no system call a connection.
    socket.set_tcp_nodelay(true)?;
    #[cfg(target_os = "linux")]
    socket.set_tcp_notsent_lowat(options.notsent_lowat)?;
    if let Some(silence) = options.keepalive {
        socket.set_tcp_keepalive(&probes(silence))?;
    }
    if let Some(wait) = options.defer_accept {
        defer_accept(&socket, wait)?;
    }
    socket.bind(&address.into())?;
    // mio's own bind would fix the backlog.
    socket.listen(options.backlog)?;
    let listener = TcpListener::from_std(socket.into());
    let address = listener.local_addr()?;
    Ok((ListeningSocket::Tcp(listener), address))
}

/// Keep-alive probes that begin after `silence`, and give a dead peer up after as long again.
fn probes(silence: Duration) -> TcpKeepalive {
    let probes = TcpKeepalive::new().with_time(silence);
    // Elsewhere the system alone says how often it asks.
    #[cfg(target_os = "linux")]
    let probes = {
        let apart = (silence / SocketOptions::PROBES).max(Duration::from_secs(1));
        probes.with_interval(apart).with_retries(SocketOptions::PROBES)
    };
    probes
}

/// Receives UDP datagrams at `address`; `[::]` takes IPv4 as well. Returns the socket and its real address.
pub fn bind_udp(address: SocketAddr, options: &SocketOptions) -> io::Result<(DatagramEndpoint, SocketAddr)> {
    let socket = ip_socket(address, Type::DGRAM, Protocol::UDP, options)?;
    socket.bind(&address.into())?;
    let socket = UdpSocket::from_std(socket.into());
    let bound = socket.local_addr()?;
    // Every other datagram was sent to the address that the socket is bound to, and replies leave from it.
    #[cfg(target_os = "linux")]
    if bound.ip().is_unspecified() || has_many_listeners(bound) {
        return Ok((DatagramEndpoint::UdpWildcard(WildcardSocket::new(socket)?), bound));
    }
    Ok((DatagramEndpoint::Udp(socket), bound))
}

/// Whether `address` is one to which many hosts listen. Only the kernel knows every broadcast address: without
/// SO_BROADCAST it refuses to connect to one (`ip(7)`, EACCES).
pub fn has_many_listeners(address: SocketAddr) -> bool {
    let refused = || {
        let probe = std::net::UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0));
        probe
            .and_then(|probe| probe.connect(address))
            .is_err_and(|error| error.raw_os_error() == Some(Errno::EACCES as i32))
    };
    address.ip().is_multicast() || (address.is_ipv4() && refused())
}

fn ip_socket(address: SocketAddr, kind: Type, protocol: Protocol, options: &SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), kind.nonblocking(), Some(protocol))?;
    if address.is_ipv6() {
        socket.set_only_v6(options.only_v6 || !address.ip().is_unspecified())?;
    }
    if options.reuse_port {
        socket.set_reuse_port(true)?;
    }
    set_buffers(&socket, options)?;
    Ok(socket)
}

/// Before `listen`, so that the TCP window scale is chosen for it.
fn set_buffers(socket: &Socket, options: &SocketOptions) -> io::Result<()> {
    if let Some(size) = options.receive_buffer {
        socket.set_recv_buffer_size(size)?;
    }
    if let Some(size) = options.send_buffer {
        socket.set_send_buffer_size(size)?;
    }
    Ok(())
}

/// Listens for Unix stream connections at `name`; the file of a dead server is taken over.
pub fn listen_unix(name: &UnixName, options: &SocketOptions) -> io::Result<ListeningSocket> {
    let (socket, path) = bound_unix_socket(name, Type::STREAM, options)?;
    socket.listen(options.backlog)?;
    Ok(ListeningSocket::Unix(path, UnixListener::from_std(socket.into())))
}

/// Receives Unix datagrams at `name`; the file of a dead server is taken over.
pub fn bind_unix_datagram(name: &UnixName, options: &SocketOptions) -> io::Result<DatagramEndpoint> {
    let (socket, path) = bound_unix_socket(name, Type::DGRAM, options)?;
    Ok(DatagramEndpoint::Unix(path, UnixDatagram::from(socket)))
}

/// A socket with this name, and the file that it has where that is a path.
fn bound_unix_socket(name: &UnixName, kind: Type, options: &SocketOptions) -> io::Result<(Socket, Option<UnixPath>)> {
    let address = name.socket_address()?;
    let socket = unix_socket(kind)?;
    set_buffers(&socket, options)?;
    let Some(path) = name.path() else {
        socket.bind(&address)?;
        return Ok((socket, None));
    };
    make_room(path, kind)?;
    let path = options.file.bind(&socket, &address, path)?;
    Ok((socket, Some(path)))
}

/// Begins to connect a stream (`connect(2)` on a non-blocking socket; `EINPROGRESS` is not an error), from a local
/// address where one is given.
pub fn connect(to: &Address, from: Option<SocketAddr>) -> io::Result<stream::Socket> {
    match to {
        Address::Ip(to) => {
            let stream = match from {
                None => TcpStream::connect(*to)?,
                Some(from) => connect_from(from, *to)?,
            };
            stream.set_nodelay(true)?;
            Ok(stream::Socket::Tcp(stream))
        }
        Address::Unix(name) => {
            let socket = unix_socket(Type::STREAM)?;
            begin_to_connect(&socket, &name.socket_address()?)?;
            Ok(stream::Socket::Unix(UnixStream::from_std(socket.into())))
        }
    }
}

fn connect_from(from: SocketAddr, to: SocketAddr) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM.nonblocking(), Some(Protocol::TCP))?;
    // The port is chosen by connect(2), which knows the peer, so that two connections to different peers can share one
    // (`ip(7)`). A kernel that cannot do that still connects.
    #[cfg(target_os = "linux")]
    let _ = nix::sys::socket::setsockopt(&socket, nix::sys::socket::sockopt::IpBindAddressNoPort, &true);
    socket.bind(&from.into())?;
    begin_to_connect(&socket, &to.into())?;
    Ok(TcpStream::from_std(socket.into()))
}

fn begin_to_connect(socket: &Socket, to: &SockAddr) -> io::Result<()> {
    match socket.connect(to) {
        Err(error) if error.raw_os_error() != Some(Errno::EINPROGRESS as i32) => Err(error),
        _ => Ok(()),
    }
}

/// A datagram socket towards `to`. UDP leaves from a local address where one is given, else from a port that the kernel
/// chooses.
pub fn connect_datagram(to: &Address, from: Option<SocketAddr>) -> io::Result<DatagramEndpoint> {
    match to {
        Address::Ip(to) => {
            let any: IpAddr = match to {
                SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
                SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
            };
            let socket = UdpSocket::bind(from.unwrap_or(SocketAddr::new(any, 0)))?;
            socket.connect(*to)?;
            Ok(DatagramEndpoint::UdpConnected(socket))
        }
        Address::Unix(name) => {
            let (socket, path) = named_unix_datagram()?;
            socket.connect(&name.socket_address()?)?;
            Ok(DatagramEndpoint::UnixConnected(path, socket.into()))
        }
    }
}

/// A Unix datagram socket that can be answered, by a name that the kernel chooses (`unix(7)`, autobind). The name is an
/// abstract one: it is gone with the socket, however the process ends.
#[cfg(target_os = "linux")]
fn named_unix_datagram() -> io::Result<(Socket, Option<UnixPath>)> {
    let socket = unix_socket(Type::DGRAM)?;
    // The address family without a name asks for one.
    socket.bind(&SockAddr::unix("")?)?;
    Ok((socket, None))
}

/// A Unix datagram socket that can be answered, by a path in the temporary folder. A process that is killed leaves the
/// file behind.
#[cfg(not(target_os = "linux"))]
fn named_unix_datagram() -> io::Result<(Socket, Option<UnixPath>)> {
    let own = std::env::temp_dir().join(format!("cooee-send-{}.sock", std::process::id()));
    bound_unix_socket(&own.into(), Type::DGRAM, &SocketOptions::default())
}
