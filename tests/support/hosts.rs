//! A hosts file of a test's own, in a mount namespace of its own.

use std::io::Write;
use std::process::Command;

use super::{skip, try_run};

/// The lines of a hosts file.
pub struct Hosts(tempfile::NamedTempFile);

impl Hosts {
    /// Makes one; none, with a word about it, where a process cannot be given it.
    pub fn of(lines: &str) -> Option<Hosts> {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(lines.as_bytes()).unwrap();
        let hosts = Hosts(file);
        let probe = try_run(&mut hosts.enter(&Command::new("true")));
        if !probe.is_ok_and(|probe| probe.code == Some(0)) {
            skip("no mount namespace for a hosts file of our own");
            return None;
        }
        Some(hosts)
    }

    /// The same command where this is the hosts file.
    pub fn enter(&self, command: &Command) -> Command {
        const SCRIPT: &str = r#"mount --bind "$1" /etc/hosts && shift && exec "$@""#;
        let mut entering = Command::new("unshare");
        entering.args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(self.0.path());
        entering.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
        entering
    }
}
