//! Servers that others have made, as processes.

use std::io::ErrorKind;
use std::path::Path;
use std::process::{Command, Stdio};

use super::{Collected, PATIENCE, Process, bound_ports, holds_within, skip};

/// A program that serves; it ends with this.
pub struct Peer {
    process: Process,
    said: Collected,
    url: String,
}

impl Peer {
    /// Starts a program that listens on a free TCP port. None, with a word about it, where the program is missing.
    pub fn tcp(host: &str, command: &mut Command) -> Option<Peer> {
        let (process, said) = start(command)?;
        let table = if host.starts_with('[') { "tcp6" } else { "tcp" };
        let port = wait_bound(&process, &said, table);
        Some(Peer { process, said, url: format!("tcp://{host}:{port}") })
    }

    /// The same for UDP.
    pub fn udp(host: &str, command: &mut Command) -> Option<Peer> {
        let (process, said) = start(command)?;
        let port = wait_bound(&process, &said, "udp");
        Some(Peer { process, said, url: format!("udp://{host}:{port}") })
    }

    /// The same for a program that listens at `path`.
    pub fn unix(path: &Path, command: &mut Command) -> Option<Peer> {
        let (process, said) = start(command)?;
        assert!(holds_within(PATIENCE, || path.exists()), "it does not listen: {}", said.text());
        Some(Peer { process, said, url: format!("unix://{}", path.display()) })
    }

    pub fn url(&self) -> &str {
        &self.url
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// What it has said until now.
    pub fn said(&self) -> String {
        self.said.text()
    }
}

/// Starts a program, whose words on stderr are collected.
fn start(command: &mut Command) -> Option<(Process, Collected)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    match Process::try_spawn(command) {
        Ok(mut process) => {
            let said = Collected::of(process.child().stderr.take().expect("stderr is piped"));
            Some((process, said))
        }
        Err(error) if error.kind() == ErrorKind::NotFound => {
            skip(&format!("{} is not installed", command.get_program().display()));
            None
        }
        Err(error) => panic!("cannot start {command:?}: {error}"),
    }
}

/// Waits until the program has bound a port.
#[track_caller]
fn wait_bound(process: &Process, said: &Collected, table: &str) -> u16 {
    let mut ports = Vec::new();
    holds_within(PATIENCE, || {
        ports = bound_ports(process.id(), table);
        !ports.is_empty()
    });
    *ports.first().unwrap_or_else(|| panic!("it binds no port: {}", said.text()))
}
