//! Goal: the time that an echo takes, so that speed is looked at from the first day.
//!
//! Method: the built server runs as a process of its own, as its users run it; this process is one blocking client. One
//! round sends a message on every connection and reads every reply back, so with more connections the server gets batches.
//! The client's own cost is in each figure: they compare two versions of the server, and are no throughput of it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};

/// A server on a free port, ended when it goes out of scope.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(query: &str) -> Server {
        let mut process = Command::new(env!("CARGO_BIN_EXE_cooee"))
            .args(["serve", "--quiet", &format!("tcp://127.0.0.1:0{query}")])
            .stdout(Stdio::piped())
            .spawn()
            .expect("the server starts");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("stdout is piped");
        BufReader::new(stdout).read_line(&mut line).expect("the server tells where it listens");
        let address = line.split(['/', ' ']).nth(3).expect("listening tcp://ADDRESS mode=MODE").to_owned();
        Server { process, address }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(&self.address).expect("the server accepts");
        stream.set_nodelay(true).expect("a TCP option");
        stream.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket option");
        stream
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn round(streams: &mut [TcpStream], message: &[u8], reply: &mut [u8]) {
    for stream in streams.iter_mut() {
        stream.write_all(message).expect("the server reads");
    }
    for stream in streams {
        stream.read_exact(reply).expect("the server answers");
    }
}

fn round_trips(criterion: &mut Criterion) {
    let server = Server::start("");
    let mut group = criterion.benchmark_group("tcp echo");
    for (connections, length) in [(1, 64), (50, 64), (1000, 64), (1, 1024), (1, 65_536)] {
        let mut streams: Vec<TcpStream> = (0..connections).map(|_| server.connect()).collect();
        let (message, mut reply) = (vec![b'x'; length], vec![0; length]);
        group.throughput(Throughput::Elements(connections as u64));
        group.bench_function(
            BenchmarkId::new(format!("{connections} connections"), format!("{length} B")),
            |bencher| {
                bencher.iter(|| round(&mut streams, &message, &mut reply));
            },
        );
    }
    group.finish();
}

fn framed(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("tcp ack");
    for (framing, message) in [("line", &b"hello\n"[..]), ("len32", b"\0\0\0\x05hello")] {
        let server = Server::start(&format!("?mode=ack&framing={framing}"));
        let mut streams = [server.connect()];
        let mut reply = vec![0; message.len() + "数据[]收到了!".len()];
        group.bench_function(framing, |bencher| bencher.iter(|| round(&mut streams, message, &mut reply)));
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().measurement_time(Duration::from_secs(3)).warm_up_time(Duration::from_secs(1));
    targets = round_trips, framed
}
criterion_main!(benches);
