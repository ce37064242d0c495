//! A server of the test's own for one client.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use super::PATIENCE;

/// A server of one connection that does what `serve` does.
pub fn serve_one(serve: impl FnOnce(TcpStream) + Send + 'static) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        if let Ok((stream, _)) = listener.accept() {
            stream.set_read_timeout(Some(PATIENCE)).unwrap();
            stream.set_write_timeout(Some(PATIENCE)).unwrap();
            serve(stream);
        }
    });
    address
}

/// A server that answers each read with these parts, so far apart.
pub fn answers_in_parts(parts: &'static [&'static [u8]], apart: Duration) -> SocketAddr {
    serve_one(move |mut stream| {
        stream.set_nodelay(true).unwrap();
        while stream.read(&mut [0; 1024]).unwrap_or(0) > 0 {
            for part in parts {
                if stream.write_all(part).is_err() {
                    return;
                }
                thread::sleep(apart);
            }
        }
    })
}

/// Whether it holds in one of a few tries: a busy machine may keep a part of a reply back for longer than anybody waits
/// for it.
#[track_caller]
pub fn holds_in_one_of_five(what: &str, mut holds: impl FnMut() -> bool) {
    assert!((0..5).any(|_| holds()), "not once in five tries: {what}");
}
