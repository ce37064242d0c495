//! A scenario: some servers, and the load that each is put under.

use std::time::Duration;

use cooee::measure::compare::command::ServerCommand;
use cooee::measure::load::options::{Body, Options};

/// Some servers, and the load that each is put under.
pub struct Scenario {
    /// What it is called.
    pub name: String,
    /// The servers with their load, which differs where they answer differently. The first is the one that the others
    /// are compared with.
    pub servers: Vec<(ServerCommand, Options)>,
}

impl Scenario {
    /// All of these servers under one load.
    pub fn new(name: &str, servers: Vec<ServerCommand>, options: &Options) -> Scenario {
        let servers = servers.into_iter().map(|server| (server, options.clone())).collect();
        Scenario { name: name.to_owned(), servers }
    }
}

/// A closed loop that echoes: so many connections with messages of so many bytes, so many in flight on each.
pub fn echo(connections: usize, length: usize, pipeline: usize) -> Options {
    Options {
        connections,
        pipeline,
        body: Body::Noise(length),
        // A server that loses a reply is not waited for longer than the bench itself takes.
        timeout: Duration::from_secs(5),
        ..Options::new(Vec::new())
    }
}
