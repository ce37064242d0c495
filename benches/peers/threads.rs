//! The tutorial's server: a thread for each connection, blocking reads and writes, the standard library alone.
//!
//! It leaves out every limit: how many threads there may be, how long a client may be silent, how long one may refuse
//! its replies. Those who are silent keep a thread and its stack.
//!
//!     cargo build --release --examples && target/release/examples/threads ADDRESS

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, thread};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("threads ADDRESS");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;

    for stream in TcpListener::bind(address)?.incoming() {
        let stream = stream?;
        stream.set_nodelay(true)?;
        // Not `spawn`, which panics where the system has no room for another thread.
        thread::Builder::new().spawn(move || echo(stream))?;
    }
    Ok(())
}

fn echo(mut stream: TcpStream) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer)? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count])?,
        }
    }
}
