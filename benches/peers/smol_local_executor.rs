//! smol on one thread: a task for each connection on a local executor, each with a buffer of its own. Below it is
//! `polling`, which tells readiness once and is asked again for every wait (oneshot): the other way to a reactor than
//! edges.
//!
//! It leaves out limits and time-outs. Back-pressure it has: a task that waits for its write does not read.
//!
//!     cargo build --release --examples && target/release/examples/smol_local_executor ADDRESS

use std::{env, io};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use smol::LocalExecutor;
use smol::io::{AsyncReadExt, AsyncWriteExt};
use smol::net::{TcpListener, TcpStream};

fn main() -> io::Result<()> {
    let address = env::args().nth(1).expect("smol_local_executor ADDRESS");
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, hard, hard)?;

    let executor = LocalExecutor::new();
    smol::block_on(executor.run(serve(&executor, &address)))
}

async fn serve(executor: &LocalExecutor<'_>, address: &str) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        executor.spawn(echo(stream)).detach();
    }
}

async fn echo(mut stream: TcpStream) -> io::Result<()> {
    // Zeroed, and so in memory as a whole: futures' traits have no read into a buffer that is not filled yet.
    let mut buffer = vec![0; 64 * 1024];
    loop {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            count => stream.write_all(&buffer[..count]).await?,
        }
    }
}
