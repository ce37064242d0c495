//! Goal: what the place of a buffer in memory costs the kernel's copies, on the processor that this runs on: reads into
//! it and writes from it, on a page, just behind its beginning, and on other boundaries. Some processors show nothing,
//! others a factor.
//!
//! Method: two ends of a TCP connection over loopback in one thread. A message is written at one end and read at the
//! other, and each call is timed by itself. The places take turns, message by message, and the median of many is told:
//! so whatever else the machine does meets all alike, and what takes the processor away in the middle of a call counts
//! for nothing.
//!
//! `cargo bench --bench copies`

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Instant;

use cooee::os::aligned_bytes::AlignedBytes;

/// Message lengths: the longest is what the window of a new connection takes without being read.
const LENGTHS: [usize; 3] = [4 * 1024, 16 * 1024, 64 * 1024];

/// How many bytes behind the beginning of a page a buffer lies. The first is what the others are compared with.
const PLACES: [usize; 4] = [0, 16, 24, 64];

/// Messages from and to each place.
const MESSAGES: usize = 10_000;

fn pair() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let near = TcpStream::connect(listener.local_addr().expect("an address")).expect("it listens");
    near.set_nodelay(true).expect("a socket of ours");
    (near, listener.accept().expect("a newcomer").0)
}

fn room() -> AlignedBytes {
    AlignedBytes::zeroed(LENGTHS[2] + AlignedBytes::PAGE)
}

fn median(nanoseconds: &mut [u128]) -> f64 {
    nanoseconds.sort_unstable();
    nanoseconds[nanoseconds.len() / 2] as f64
}

fn main() {
    // Cargo gives every bench the same arguments: a name that is sought elsewhere is not sought here, and a test is to
    // see that it runs.
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let has = |flag| arguments.iter().any(|argument| argument == flag);
    if !arguments.iter().filter(|argument| !argument.starts_with('-')).all(|part| "copies".contains(part.as_str())) {
        return eprintln!("copies: not asked for");
    }
    let messages = if has("--test") || !has("--bench") { 10 } else { MESSAGES };
    let (mut near, mut far) = pair();
    let (source, target) = (room(), room());
    let (start, source) = (source.start, source.memory);
    let (begin, mut target) = (target.start, target.memory);
    println!("length    bytes behind a page    read into it        write from it");
    for length in LENGTHS {
        let mut reads = PLACES.map(|_| Vec::with_capacity(messages));
        let mut writes = PLACES.map(|_| Vec::with_capacity(messages));
        let mut message = |from: usize, to: usize| {
            let begun = Instant::now();
            near.write_all(&source[start + from..][..length]).expect("it takes a message");
            let written = Instant::now();
            far.read_exact(&mut target[begin + to..][..length]).expect("it is there");
            ((written - begun).as_nanos(), written.elapsed().as_nanos())
        };
        for _ in 0..messages {
            for (place, offset) in PLACES.into_iter().enumerate() {
                reads[place].push(message(0, offset).1);
                writes[place].push(message(offset, 0).0);
            }
        }
        let (reads, writes) = (reads.each_mut().map(|all| median(all)), writes.each_mut().map(|all| median(all)));
        for (place, offset) in PLACES.into_iter().enumerate() {
            let told = |medians: &[f64]| format!("{:.2} µs ({:.2})", medians[place] / 1e3, medians[place] / medians[0]);
            println!("{:>3} KiB {offset:>22}    {:<18}  {}", length / 1024, told(&reads), told(&writes));
        }
    }
}
