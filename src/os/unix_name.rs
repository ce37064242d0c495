//! The name of a Unix socket: a path in the file system, or an abstract name, which is in none (`unix(7)`, Linux).

use std::ffi::OsStr;
use std::fmt;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::SocketAddr as UnixAddress;
use std::path::{Path, PathBuf};

use socket2::SockAddr;

use crate::os::reason::said;

/// The name of a Unix socket.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum UnixName {
    /// A path: who may write to the file may connect.
    Path(PathBuf),
    /// A name without a file, which is gone with its socket. All of the same network namespace may connect.
    Abstract(Vec<u8>),
}

impl UnixName {
    /// The longest name, in bytes: 108, with the zero byte behind a path or before an abstract name.
    pub const MAX: usize = 107;

    /// The path, if it is one.
    pub fn path(&self) -> Option<&Path> {
        if let UnixName::Path(path) = self { Some(path) } else { None }
    }

    /// The name as system calls take it.
    pub fn socket_address(&self) -> io::Result<SockAddr> {
        let length = match self {
            UnixName::Path(path) => path.as_os_str().len(),
            UnixName::Abstract(name) => name.len(),
        };
        if length > UnixName::MAX {
            return Err(said(io::ErrorKind::InvalidInput, "the name of a Unix socket has at most 107 bytes"));
        }
        match self {
            UnixName::Path(path) => SockAddr::unix(path),
            UnixName::Abstract(name) => SockAddr::unix(OsStr::from_bytes(&[&[0], name.as_slice()].concat())),
        }
    }

    /// The name that the kernel tells of a socket; none where it has none.
    pub fn of(address: &UnixAddress) -> Option<UnixName> {
        let path = address.as_pathname().map(|path| UnixName::Path(path.to_owned()));
        path.or_else(|| abstract_name(address).map(|name| UnixName::Abstract(name.to_owned())))
    }

    /// Whether `address` is this name, byte for byte: the kernel tells a name as it was bound, in one spelling of many.
    pub fn is(&self, address: &UnixAddress) -> bool {
        match self {
            UnixName::Path(path) => address.as_pathname().is_some_and(|name| name.as_os_str() == path.as_os_str()),
            UnixName::Abstract(name) => abstract_name(address) == Some(name),
        }
    }
}

/// The bytes of a socket's path or abstract name (without its first byte, zero); empty where it has no name.
pub fn bytes(address: &UnixAddress) -> &[u8] {
    let path = || address.as_pathname().map(|path| path.as_os_str().as_bytes());
    abstract_name(address).or_else(path).unwrap_or_default()
}

#[cfg(target_os = "linux")]
fn abstract_name(address: &UnixAddress) -> Option<&[u8]> {
    std::os::linux::net::SocketAddrExt::as_abstract_name(address)
}

#[cfg(not(target_os = "linux"))]
fn abstract_name(_: &UnixAddress) -> Option<&[u8]> {
    None
}

impl From<PathBuf> for UnixName {
    fn from(path: PathBuf) -> UnixName {
        UnixName::Path(path)
    }
}

impl From<&str> for UnixName {
    fn from(path: &str) -> UnixName {
        UnixName::Path(path.into())
    }
}

impl fmt::Display for UnixName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            UnixName::Path(path) => path.display().fmt(f),
            UnixName::Abstract(name) => write!(f, "@{}", String::from_utf8_lossy(name)),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::os::linux::net::SocketAddrExt;

    use super::*;

    #[test]
    fn a_name_is_what_the_kernel_tells() {
        let name = UnixName::Abstract(b"a\0b".to_vec());
        let (told, other) = (UnixAddress::from_abstract_name(b"a\0b"), UnixAddress::from_abstract_name(b"a"));
        assert!(name.is(told.as_ref().unwrap()) && !name.is(&other.unwrap()));
        assert_eq!(UnixName::of(told.as_ref().unwrap()), Some(name.clone()));
        assert_eq!(name.socket_address().unwrap().as_abstract_namespace(), Some(&b"a\0b"[..]));
        let long = UnixName::Abstract(vec![b'x'; UnixName::MAX + 1]).socket_address().unwrap_err();
        assert!(crate::os::reason::of(&long).contains("at most 107 bytes"));
        let path = UnixName::from("/a");
        assert!(
            path.is(&UnixAddress::from_pathname("/a").unwrap()) && !name.is(&UnixAddress::from_pathname("/a").unwrap())
        );
        assert_eq!((path.to_string(), UnixName::Abstract(b"a".to_vec()).to_string()), ("/a".into(), "@a".into()));
    }
}
