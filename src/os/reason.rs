//! What a system's error means to a person, in words, and with what to do, instead of "os error 22".

use std::borrow::Cow;
use std::error::Error;
use std::fmt;
use std::io;

use nix::errno::Errno;

/// Words of ours that travel as an error.
#[derive(Debug)]
struct Said(Cow<'static, str>);

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Error for Said {}

/// An error of this kind whose reason is `words`.
pub fn said(kind: io::ErrorKind, words: impl Into<Cow<'static, str>>) -> io::Error {
    io::Error::new(kind, Said(words.into()))
}

/// Whether an error holds words of ours.
pub fn is_said(error: &io::Error) -> bool {
    error.get_ref().is_some_and(|inner| inner.is::<Said>())
}

/// The reason of an error, in words.
pub fn of(error: &io::Error) -> String {
    if let Some(Said(words)) = error.get_ref().and_then(|inner| inner.downcast_ref()) {
        return words.to_string();
    }
    match error.raw_os_error().map(Errno::from_raw) {
        Some(errno) => of_errno(errno).map_or_else(
            || match of_kind(error.kind()) {
                UNKNOWN => format!("the system answers {errno:?}"),
                words => words.to_owned(),
            },
            str::to_owned,
        ),
        None => of_kind(error.kind()).to_owned(),
    }
}

/// What the kind of an error does not tell.
pub(crate) fn of_errno(errno: Errno) -> Option<&'static str> {
    Some(match errno {
        Errno::EMFILE => "this process may open no more files and sockets (raise its limit: 'ulimit -n')",
        Errno::ENFILE => "the system can open no more files and sockets",
        Errno::ENOBUFS => "the system has no memory for a socket",
        Errno::EAFNOSUPPORT => "this system has no such addresses: IPv6 is off",
        Errno::EPROTOTYPE => {
            "a Unix socket of the other kind is there: unix:// is for streams, unixgram:// for datagrams"
        }
        Errno::ENOTSOCK => "it is no socket",
        Errno::EPERM => "the system does not permit it to this user",
        Errno::ENODEV | Errno::ENXIO => "there is no such device or interface",
        Errno::ENOEXEC => "it is no program that this system can run",
        Errno::ELOOP => "symbolic links lead round in a circle",
        Errno::EIO => "the device failed",
        _ => return None,
    })
}

const UNKNOWN: &str = "an error of the system";

/// The reason of an error of which the kind alone is known.
pub(crate) fn of_kind(kind: io::ErrorKind) -> &'static str {
    use io::ErrorKind as Kind;
    match kind {
        Kind::NotFound => "it does not exist",
        Kind::PermissionDenied => "permission denied",
        Kind::ConnectionRefused => "refused: nobody listens there",
        Kind::ConnectionReset => "the other side dropped the connection",
        Kind::ConnectionAborted => "the connection was dropped before it was there",
        Kind::HostUnreachable => "the host cannot be reached: it is off, or a router or packet filter refuses",
        Kind::NetworkUnreachable => "no route leads to this network",
        Kind::NetworkDown => "the network interface is down",
        Kind::NotConnected => "it is not connected",
        Kind::AddrInUse => "address in use",
        Kind::AddrNotAvailable => "it is not an address of this machine, or no port is left",
        Kind::BrokenPipe => "nobody reads it any more",
        Kind::AlreadyExists => "it exists already",
        Kind::WouldBlock => "the system has no room for it now: try again",
        Kind::NotADirectory => "a part of the path is no folder",
        Kind::IsADirectory => "is a directory",
        Kind::DirectoryNotEmpty => "the folder is not empty",
        Kind::ReadOnlyFilesystem => "the file system is read-only",
        Kind::StorageFull => "no storage space is left on the device",
        Kind::QuotaExceeded => "the quota of this user is used up",
        Kind::FileTooLarge => "the file would be larger than is allowed ('ulimit -f')",
        Kind::ResourceBusy => "it is in use",
        Kind::ExecutableFileBusy => "the program is being written",
        Kind::InvalidInput => "the system takes no such address or value",
        Kind::InvalidData => "it is not what it has to be",
        Kind::InvalidFilename => "a name in the path is too long, or no name",
        Kind::ArgumentListTooLong => "the command line is too long",
        Kind::TimedOut => "no answer came in time",
        Kind::WriteZero => "not all of it could be written",
        Kind::UnexpectedEof => "it ends too early",
        Kind::Unsupported => "this system cannot do that",
        Kind::OutOfMemory => "the system has no memory for it",
        Kind::Interrupted => "a signal interrupted it",
        _ => UNKNOWN,
    }
}

/// Whether a kind says nothing, so that only the error's number does.
pub(crate) fn is_unknown(kind: io::ErrorKind) -> bool {
    of_kind(kind) == UNKNOWN
}

/// Whether the kernel lacked memory for a call (`ENOMEM`), or buffers (`ENOBUFS`): nothing is wrong with the socket,
/// and no edge will come, so the call is retried. A Unix stream answers a write so (`unix(7)`), a datagram socket
/// either call (`send(2)`, `recv(2)`); other systems also TCP.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    matches!(error.raw_os_error().map(Errno::from_raw), Some(Errno::ENOMEM | Errno::ENOBUFS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_error_is_told_by_its_own_text() {
        for number in 1..134 {
            let error = io::Error::from_raw_os_error(number);
            let told = of(&error);
            assert!(!told.is_empty() && !told.contains("os error") && told != UNKNOWN, "{number}: {told}");
            assert!(!told.contains(&error.to_string()), "{told}");
        }
        let long = socket2::SockAddr::unix("x".repeat(120)).unwrap_err();
        assert!(!of(&long).contains("SUN_LEN"), "{}", of(&long));
        assert!(!of_kind(io::ErrorKind::InvalidInput).contains("parameter"));
    }

    #[test]
    fn words_of_ours_are_told_and_errors_say_what_to_do() {
        assert_eq!(of(&said(io::ErrorKind::AlreadyExists, "a diary is there")), "a diary is there");
        assert!(of(&Errno::EMFILE.into()).contains("ulimit -n"));
        assert_eq!(of(&Errno::EXFULL.into()), "the system answers EXFULL");
        assert_eq!(of(&Errno::EACCES.into()), "permission denied");
    }
}
