//! Goal: as many connections as the descriptor limit allows, and every byte of every one is checked.
//!
//! Method: our server and the generator, each with as many descriptors as it may have, here at most 20,000 each. Where the limit is
//! lower, there are fewer connections.
#![cfg(feature = "cli")]

mod support;

use nix::sys::resource::{Resource, getrlimit};
use support::{Server, load, skip};

/// What server and generator keep for themselves.
const RESERVE: u64 = 200;

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
    for connections in [10_000, 19_000].map(at_most) {
        let server = Server::start(&[]);
        let messages = 2 * connections;
        let measured = load(&server.url("tcp"), &[&format!("-c{connections}"), &format!("-n{messages}")]);
        measured.assert_right(messages);
        assert_eq!(measured.count("connections"), connections, "{}", measured.shown());
        let summary = server.drain();
        assert_eq!(summary.get("accepted"), connections);
        assert_eq!(summary.get("bytes_in"), messages * 64);
    }
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
