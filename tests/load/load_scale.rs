//! Goal: as many connections as the descriptor limit allows, and every byte of every one is checked.
//!
//! Method: our server and the generator, each with as many descriptors as it may have, here at most 20,000 each. Where
//! the limit is lower, there are fewer connections.

use std::time::Duration;

use crate::support::{Loading, Server, load, skip};
use nix::sys::resource::{Resource, getrlimit};

/// What server and generator keep for themselves.
const RESERVE: u64 = 200;

/// How long so many connections may take on a busy machine.
const LONG: Duration = Duration::from_secs(120);

/// So many connections, or as many as there may be.
fn at_most(connections: u64) -> u64 {
    let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).expect("the limit can be read");
    let possible = hard.saturating_sub(RESERVE);
    if possible < connections {
        skip(&format!("only {possible} of {connections} connections: the limit of descriptors is {hard}"));
    }
    connections.min(possible)
}

#[test]
fn many_connections_and_every_byte_of_them() {
    let connections = at_most(19_000);
    let messages = 2 * connections;
    let server = Server::start(&[]);
    let args = [format!("-c{connections}"), format!("-n{messages}")];
    let loading = Loading::start(&server.url("tcp"), &args.each_ref().map(String::as_str));
    let measured = loading.finish_within(LONG);
    measured.assert_right(messages);
    assert_eq!(measured.count("connections"), connections, "{}", measured.shown());
    let summary = server.drain();
    assert_eq!(summary.get("accepted"), connections);
    assert_eq!(summary.get("bytes_in"), messages * 64);
}

#[test]
fn many_connections_at_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let server = Server::start(&[&format!("unix://{}", folder.path().join("echo").display())]);
    let connections = at_most(5000);
    let measured = load(&server.url("unix"), &[&format!("-c{connections}"), "-n20000"]);
    measured.assert_right(20_000);
    assert_eq!(measured.count("connections"), connections, "{}", measured.shown());
}
