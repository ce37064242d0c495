//! The commands of the servers that are measured.

use std::path::{Path, PathBuf};

use cooee::measure::compare::command::ServerCommand;
use cooee::measure::compare::listen_address::ListenKind;

use crate::support::programs;

/// The servers that are measured. In each list, the first is the one that the others are compared with.
pub struct Servers {
    rust: Vec<PathBuf>,
    c: Vec<PathBuf>,
}

impl Servers {
    /// Builds the peers, and says so: cargo may take a minute for them.
    pub fn build() -> Servers {
        eprintln!("building the peers: cargo build --examples, and cc for those in C");
        let servers = Servers { rust: programs::rust_peers(), c: programs::c_peers() };
        if servers.c.is_empty() {
            eprintln!("skipped: there is no C compiler, so epoll.c and mmsg.c are not measured");
        }
        servers
    }

    /// Those that echo what comes on TCP: the hand-written limits first.
    pub fn tcp(&self) -> Vec<ServerCommand> {
        let rust = ["tokio_current_thread", "smol_local_executor", "threads"];
        let mut servers = self.c_peer("epoll.c");
        servers.push(self.rust_peer("mio_loop"));
        servers.push(cooee("cooee", "tcp://127.0.0.1:{port}"));
        servers.extend(rust.map(|name| self.rust_peer(name)));
        servers
    }

    /// The same for large messages, where a read of 64 KiB is what limits: first the loop with as large a buffer as our
    /// server reads into. Only beside that one does it show what a copy costs.
    pub fn tcp_large(&self) -> Vec<ServerCommand> {
        let bare = self.c_program("epoll.c").map(|program| server("epoll.c-256KiB", program, "{port} 262144"));
        bare.into_iter().chain(self.tcp()).collect()
    }

    /// Those that echo datagrams.
    pub fn udp(&self) -> Vec<ServerCommand> {
        let mut servers = self.c_peer("mmsg.c");
        servers.push(self.rust_peer("datagrams"));
        servers.push(cooee("cooee", "udp://127.0.0.1:{port}"));
        servers
    }

    fn rust_peer(&self, name: &str) -> ServerCommand {
        let program = self.rust.iter().find(|program| program.file_stem().is_some_and(|stem| stem == name));
        server(name, program.unwrap_or_else(|| panic!("cargo has not built '{name}'")), "127.0.0.1:{port}")
    }

    fn c_peer(&self, name: &str) -> Vec<ServerCommand> {
        self.c_program(name).map(|program| server(name, program, "{port}")).into_iter().collect()
    }

    fn c_program(&self, name: &str) -> Option<&Path> {
        self.c.iter().find(|program| program.file_name().is_some_and(|file| file == name)).map(PathBuf::as_path)
    }
}

/// Our server with all its safety, called `name`, at an endpoint.
pub fn cooee(name: &str, endpoint: &str) -> ServerCommand {
    server(name, Path::new(programs::COOEE), &format!("serve --quiet '{endpoint}'"))
}

fn server(name: &str, program: &Path, arguments: &str) -> ServerCommand {
    let program = program.to_str().and_then(|path| shlex::try_quote(path).ok()).expect("a path that is text");
    ServerCommand::parse(&format!("{name}={program} {arguments}"), ListenKind::Port).expect("a command with a port")
}
