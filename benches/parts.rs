//! Goal: what the pure parts cost, each by itself: no socket, no reactor, no other process. In an echo of 4 µs they are
//! a few per cent, so these figures are for whoever changes one of them, and are no figures of the server.
//!
//! Method: criterion as it is meant, a call in a loop. What a message goes through is measured over a buffer of many
//! messages, as one read of a busy connection brings it, and told per message.
//!
//! `cargo bench --bench parts -- framing`

use std::hint::black_box;
use std::time::Duration;

use cooee::os::clock::Tick;
use cooee::os::key::Key;
use cooee::os::readiness::{Latch, Readiness};
use cooee::protocol::charset::Charset;
use cooee::protocol::escape::Escaped;
use cooee::protocol::frame::{Frame, Parsed};
use cooee::protocol::framing::{Framing, Rules};
use cooee::protocol::mode::Mode;
use cooee::protocol::mode::ack::{Ack, DEFAULT_FORMAT};
use cooee::reactor::buffer::Buffer;
use cooee::reactor::metrics::Row;
use cooee::reactor::reply::{Outgoing, Reply};
use cooee::reactor::sources::Sources;
use cooee::reactor::timers::Timers;
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

/// Messages in a buffer: as many of 64 bytes as the largest read brings.
const MESSAGES: usize = 4096;

/// Sources of a busy server.
const SOURCES: usize = 10_000;

const FRAMINGS: [Framing; 3] = [Framing::Chunk, Framing::Line, Framing::Len32];

/// As many messages of 64 bytes, frame included, as one large read brings. Chunks are what they are cut into.
fn stream(framing: Framing) -> Vec<u8> {
    let body = [b'x'; 64];
    let message = match framing {
        Framing::Chunk => body.to_vec(),
        Framing::Line => [&body[..63], b"\n"].concat(),
        Framing::Len32 => [&60_u32.to_be_bytes(), &body[..60]].concat(),
    };
    message.repeat(MESSAGES)
}

fn rules(framing: Framing) -> Rules {
    Rules { framing, max_frame: 64 * 1024, charset: Charset::UTF_8 }
}

/// Calls `found` with every message of `bytes`, and tells how many there are.
fn each_frame(rules: &Rules, bytes: &[u8], mut found: impl FnMut(&Frame)) -> u64 {
    let (mut start, mut scanned, mut count) = (0, 0, 0);
    while let Parsed::Frame(frame) = rules.next(bytes, start, &mut scanned, false) {
        found(&frame);
        (start, scanned, count) = (frame.end, 0, count + 1);
    }
    count
}

fn framing(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("framing, where messages end");
    for framing in FRAMINGS {
        let (rules, bytes) = (rules(framing), stream(framing));
        group.throughput(Throughput::Elements(each_frame(&rules, &bytes, |_| {})));
        group.bench_function(framing.to_string(), |bencher| {
            bencher.iter(|| each_frame(&rules, black_box(&bytes), |frame| _ = black_box(frame)));
        });
    }
    group.finish();
}

fn answers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("answer to all messages of a read");
    let ack = Ack::new(DEFAULT_FORMAT, Charset::UTF_8).expect("the default is one");
    for mode in [Mode::Echo, Mode::Ack(ack)] {
        for framing in FRAMINGS {
            let (rules, bytes) = (rules(framing), stream(framing));
            let mut composed = Vec::with_capacity(2 * bytes.len());
            group.throughput(Throughput::Elements(each_frame(&rules, &bytes, |_| {})));
            group.bench_function(format!("{}, {framing}", mode.name()), |bencher| {
                bencher.iter(|| {
                    composed.clear();
                    let mut outgoing = Outgoing::default();
                    let mut reply = Reply::new(black_box(&bytes), None, &mut composed, &mut outgoing, 0, usize::MAX);
                    each_frame(&rules, &bytes, |frame| mode.answer(frame, framing, &mut reply));
                    reply.owed()
                });
            });
        }
    }
    group.finish();
}

fn escape(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("escape, 4 KiB");
    group.throughput(Throughput::Bytes(4096));
    for (name, text) in [("plain", "a line of a log ".repeat(256)), ("controls", "\x1b[2J".repeat(1024))] {
        let mut written = String::with_capacity(8 * text.len());
        group.bench_function(name, |bencher| {
            bencher.iter(|| {
                use std::fmt::Write;
                written.clear();
                write!(written, "{}", Escaped(black_box(&text))).expect("a string takes everything");
                written.len()
            });
        });
    }
    group.finish();
}

fn buffer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("buffer");
    let bytes = [b'x'; 1024];
    group.throughput(Throughput::Bytes(64 * 1024));
    group.bench_function("push 64 x 1 KiB, consume 64 x 1 KiB", |bencher| {
        let mut buffer = Buffer::default();
        bencher.iter(|| {
            (0..64).for_each(|_| buffer.push(black_box(&bytes)));
            (0..64).for_each(|_| buffer.consume(bytes.len()));
            buffer.is_empty()
        });
    });
    // A reader that is slow: what it owes stays about the same, and wanders through the buffer.
    group.bench_function("push and consume 1 KiB by turns, 32 KiB owed", |bencher| {
        let mut buffer = Buffer::default();
        buffer.push(&[b'x'; 32 * 1024]);
        bencher.iter(|| {
            for _ in 0..64 {
                buffer.push(black_box(&bytes));
                buffer.consume(bytes.len());
            }
            buffer.len()
        });
    });
    group.finish();
}

fn latch(criterion: &mut Criterion) {
    criterion.bench_function("latch, set and cleared by a short read", |bencher| {
        let mut latch = Latch::new(Readiness::WRITABLE);
        bencher.iter(|| {
            black_box(&mut latch).set(black_box(Readiness::READABLE));
            let was_readable = latch.readable();
            latch.read_short();
            was_readable
        });
    });
}

/// The keys of `SOURCES` sources, in an order that no cache foresees.
fn shuffled(sources: &mut Sources<[u64; 9]>) -> Vec<Key> {
    let mut keys: Vec<Key> = (0..SOURCES).map(|_| sources.insert([0; 9], Row::NONE)).collect();
    // A multiplicative generator (Lehmer, 48271 modulo 2^31 - 1) is random enough to shuffle with.
    let mut random = 1_u64;
    for place in (1..keys.len()).rev() {
        random = random * 48_271 % 0x7fff_ffff;
        keys.swap(place, random as usize % (place + 1));
    }
    keys
}

fn sources(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("sources, 10,000 of 72 B");
    group.throughput(Throughput::Elements(SOURCES as u64));
    let mut sources = Sources::default();
    let keys = shuffled(&mut sources);
    group.bench_function("looked up by their keys", |bencher| {
        bencher.iter(|| {
            for key in &keys {
                sources.get_mut(black_box(*key)).expect("it is there").source[0] += 1;
            }
        });
    });
    let stale: Vec<Key> = keys.iter().map(|key| Key::new(key.index(), key.generation().wrapping_add(1))).collect();
    group.bench_function("looked up by keys of another generation", |bencher| {
        bencher.iter(|| stale.iter().filter(|key| sources.get_mut(black_box(**key)).is_some()).count());
    });
    group.bench_function("removed, and others put in their places", |bencher| {
        let (mut sources, mut keys) = (Sources::default(), keys.clone());
        keys.iter_mut().for_each(|key| *key = sources.insert([0; 9], Row::NONE));
        bencher.iter(|| {
            for key in &mut keys {
                let place = sources.remove(*key).expect("it is there");
                *key = sources.insert(black_box(place.source), Row::NONE);
            }
        });
    });
    group.finish();
}

fn timers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("timers, 10,000 armed");
    group.throughput(Throughput::Elements(SOURCES as u64));
    let moment = |number: usize| Tick::at(Duration::from_micros(300_000_000 + 37 * number as u64));
    let keys: Vec<Key> = (0..SOURCES).map(|index| Key::new(index, 1)).collect();
    let armed = || {
        let mut timers = Timers::default();
        let moments: Vec<_> = keys.iter().map(|key| timers.arm(*key, None, Some(moment(key.index())))).collect();
        (timers, moments)
    };
    group.bench_function("arm", |bencher| bencher.iter_with_large_drop(armed));
    group.bench_function("touch: a later deadline is wished", |bencher| {
        let (mut timers, mut moments) = armed();
        let later = Tick::at(Duration::from_secs(600));
        bencher.iter(|| {
            for (key, armed) in keys.iter().zip(&mut moments) {
                *armed = timers.arm(*key, *armed, black_box(Some(later)));
            }
        });
    });
    group.bench_function("taken back, and another armed", |bencher| {
        let (mut timers, mut moments) = armed();
        let mut round = 0;
        bencher.iter(|| {
            round += 1;
            for (key, armed) in keys.iter().zip(&mut moments) {
                timers.disarm(*armed);
                *armed = timers.arm(*key, None, Some(moment(key.index() + round)));
            }
            // Once a turn, as the reactor does.
            if timers.has_too_many_stale() {
                timers.clear_up(|key, moment| moments[key.index()] == Some(moment));
            }
        });
    });
    group.bench_function("fire", |bencher| {
        let end = Tick::at(Duration::from_secs(600));
        let fire = |(mut timers, _): (Timers, Vec<Option<Tick>>)| {
            let mut count = 0;
            while timers.pop_due(black_box(end)).is_some() {
                count += 1;
            }
            count
        };
        bencher.iter_batched(armed, fire, BatchSize::LargeInput);
    });
    group.finish();
}

criterion_group! {
    name = parts;
    // A minute for all of them.
    config = Criterion::default()
        .warm_up_time(Duration::from_millis(500))
        .measurement_time(Duration::from_millis(1_500))
        .sample_size(50)
        .nresamples(10_000);
    targets = framing, answers, escape, buffer, latch, sources, timers
}
criterion_main!(parts);
