//! The load generator: a handler of many connections that sends, checks what comes back, and measures how long it took.

pub mod options;
pub mod outcome;
pub mod schedule;

use std::io;
use std::os::unix::net::UnixStream;

use crate::load::options::Options;
use crate::load::outcome::{Outcome, Progress};

/// Runs load as `options` say, and tells `watch` a few times a second how far it has come.
///
/// A byte that comes on `interrupt` ends the run early, and what was measured until then is the outcome. An error is one of the
/// reactor's; whatever goes wrong with connections is counted in the outcome.
pub fn run(options: Options, interrupt: Option<UnixStream>, watch: &mut dyn FnMut(&Progress)) -> io::Result<Outcome> {
    let _ = (options, interrupt, watch);
    Err(io::ErrorKind::Unsupported.into())
}
