//! What is to be compared, and how.

use std::time::Duration;

use crate::compare::command::ServerCommand;
use crate::compare::listen_address::Family;
use crate::compare::pinning::Pinning;
use crate::load::options::Options;

/// What is to be compared, and how.
#[derive(Debug)]
pub struct Plan {
    /// The servers. The first is the one that the others are compared with.
    pub servers: Vec<ServerCommand>,
    /// How often each is measured.
    pub rounds: usize,
    /// What names the place where a server listens.
    pub family: Family,
    /// The load. Its addresses are each process's own.
    pub options: Options,
    /// Connections with which the memory of an idle one is measured; with 0, and for datagrams, it is not.
    pub idle_connections: usize,
    /// Connections that are open and silent while load runs; 0 for datagrams.
    pub silent_connections: usize,
    /// How long a server may take from its start until it answers.
    pub start_timeout: Duration,
    /// Who runs where; none where there is one processor alone.
    pub pinning: Option<Pinning>,
}

impl Plan {
    /// How many processors a server may use.
    pub fn server_processors(&self) -> usize {
        let all = || std::thread::available_parallelism().map_or(1, usize::from);
        self.pinning.as_ref().map_or_else(all, |pinning| pinning.server.len())
    }
}
