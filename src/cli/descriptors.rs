//! How many connections the process can hold: what its limit of descriptors allows, less a reserve.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cli::cli_error::CliError;

/// Descriptors kept for everything that is no connection: the standard streams, the selector, the signals, and the
/// newcomers who are told that there is no room.
const RESERVE: usize = 64;

/// Descriptors kept by whoever connects for what is no connection: the standard streams, the selector, its timer, the
/// signals, the run's own pipes (13 in all with load), what is read from `/proc`, and what `compare` has of its server.
const RESERVE_OF_CLIENTS: usize = 24;

/// Listening sockets that the reserve has room for; each further one takes a connection's place.
const LISTENING_IN_RESERVE: usize = 16;

/// Where the system sets no limit, this one stands in for it.
const UNLIMITED: u64 = 1_000_000;

/// The connection limit: `wanted`, or as many as the descriptor limit allows beside so many `listening` sockets.
pub(crate) fn connection_limit(wanted: Option<usize>, listening: usize) -> Result<usize, CliError> {
    let descriptors = raise_limit();
    let possible = descriptors.saturating_sub(RESERVE + listening.saturating_sub(LISTENING_IN_RESERVE));
    match wanted {
        Some(wanted) if wanted > possible => Err(CliError::Usage(format!(
            "--max-connections {wanted} does not fit: the limit of {descriptors} descriptors allows {possible} \
             (raise it with 'ulimit -n')"
        ))),
        Some(wanted) => Ok(wanted),
        None if possible == 0 => Err(CliError::Runtime(format!(
            "the limit of {descriptors} descriptors leaves no room for connections (raise it with 'ulimit -n')"
        ))),
        None => Ok(possible),
    }
}

/// The limit of descriptors, and how many connections to a server it allows.
pub(crate) fn room_for_clients() -> (usize, usize) {
    let descriptors = raise_limit();
    (descriptors, descriptors.saturating_sub(RESERVE_OF_CLIENTS))
}

/// Raises the soft limit to the hard one and tells what it is then.
fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    limit.min(UNLIMITED) as usize
}
