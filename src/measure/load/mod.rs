//! The load generator: a handler of many connections that sends, checks what comes back, and measures how long it took.
//!
//! It knows nothing that the server's or the client's handlers do not: the same reactor opens its connections, reads
//! and writes.
//!
//! ```text
//!   Pacer --ticket--> Lane --message (Exchange)--> the server
//!                       |  <--reply-- checked (Exchange), its time taken (Recorder)
//!   Dialer --connection-^
//! ```
//!
//! A [`Lane`](lane::Lane) that has room for a message takes the next [`Ticket`](pacer::Ticket). In a closed loop that
//! is due at once, in an open loop its schedule says when, and the lane's own deadline in the reactor wakes it.
//! [`Lateness`](lateness::Lateness) tells late sends from those that waited for the server.

pub mod chance;
pub mod dialer;
mod effort;
pub mod error_kind;
pub mod exchange;
mod generator;
pub mod interval;
pub mod lane;
pub mod lateness;
mod noise;
pub mod objective;
pub mod options;
pub mod options_error;
pub mod outcome;
pub mod own_waits;
pub mod pacer;
pub mod progress;
pub mod recorder;
pub mod schedule;
pub mod search;
pub mod stopwatch;

use std::io;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use crate::measure::load::generator::{Generator, LaneSession};
use crate::measure::load::options::{Expect, Options};
use crate::measure::load::options_error::OptionsError;
use crate::measure::load::outcome::Outcome;
use crate::measure::load::progress::Progress;
use crate::os::stream::Socket;
use crate::reactor::limits::{DatagramRate, Limits};
use crate::reactor::{Mio, Reactor, Turn};

/// Runs load as `options` say, and tells `watch` a few times a second how far it has come, and whenever its stage
/// changes.
///
/// A byte that comes on `interrupt` ends the run early, and what was measured until then is the outcome. An error is
/// one of the reactor's, or an [`OptionsError`] (of the kind `InvalidInput`); whatever goes wrong with connections is
/// counted in the outcome.
pub fn run(options: Options, interrupt: Option<UnixStream>, watch: &mut dyn FnMut(&Progress)) -> io::Result<Outcome> {
    let fits = if options.addresses.is_empty() { Err(OptionsError::NoAddress) } else { options.check() };
    fits.map_err(|wrong| io::Error::new(io::ErrorKind::InvalidInput, wrong))?;
    let began = Instant::now();
    let mut reactor: Reactor<Generator> = Reactor::with_kernel(Mio::with_fine_timer(began)?, limits(&options));
    // The run's own deadlines need a source; a pipe without a writer is one.
    let (quiet, _held) = UnixStream::pair()?;
    let control = reactor.attach(attachable(quiet)?, LaneSession::Control)?;
    if let Some(interrupt) = interrupt {
        reactor.attach(attachable(interrupt)?, LaneSession::Interrupt)?;
    }
    let mut generator = Generator::new(options, began, control);
    reactor.orders().wake(control);
    while reactor.turn(&mut generator)? == Turn::Running {
        if let Some(progress) = generator.progress.take() {
            watch(&progress);
        }
    }
    Ok(generator.into_outcome())
}

/// How long a connection that was given up, or whose one message is answered, keeps its descriptor for what may still
/// come.
const LINGER: Duration = Duration::from_millis(500);

/// What the reactor keeps while it runs load. What a server owes us is bounded by what is in flight, and so is what is
/// owed to it.
fn limits(options: &Options) -> Limits {
    /// Room for the frame around a message.
    const FRAME: usize = 16;
    let in_flight = options.pipeline.saturating_mul(options.body.length().saturating_add(FRAME));
    Limits {
        max_connections: usize::MAX,
        max_connections_per_source: None,
        idle_timeout: None,
        half_closed_timeout: LINGER,
        // With churn and unknown replies the lane itself has waited for so long.
        linger_timeout: if options.churn && options.expect == Expect::Any { Duration::ZERO } else { LINGER },
        refusal_timeout: Duration::ZERO,
        connect_timeout: options.connect_timeout,
        drain_timeout: Duration::ZERO,
        write_limit: in_flight.max(64 * 1024),
        queue_limit: usize::MAX,
        read_budget: Limits::READ_MAX,
        // Each message leaves right after its time was taken.
        group: 1,
        datagram_rate: DatagramRate::Unlimited,
        busy_poll: options.busy_poll,
    }
}

fn attachable(stream: UnixStream) -> io::Result<Socket> {
    stream.set_nonblocking(true)?;
    Ok(Socket::Unix(mio::net::UnixStream::from_std(stream)))
}
