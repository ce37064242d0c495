//! A network of a test's own: a namespace with nothing but loopback, at first.

use std::fs::File;
use std::process::{Command, Stdio};
use std::{panic, thread};

use nix::sched::{CloneFlags, setns};

use super::{Collected, Process, skip, try_run, wait_until};

/// A network namespace. It ends when nobody is in it any more, and no socket.
pub struct Network {
    holder: Process,
}

impl Network {
    /// Makes one whose ephemeral ports are those from `first` to `last`. None, with a word about it, where that is not
    /// allowed.
    pub fn start(first: u16, last: u16) -> Option<Network> {
        let network = Network::empty()?;
        network.sh(&format!("echo {first} {last} > /proc/sys/net/ipv4/ip_local_port_range"));
        Some(network)
    }

    /// Makes one with nothing but loopback. None, with a word about it, where that is not allowed.
    pub fn empty() -> Option<Network> {
        let script = "ip link set lo up && echo ready && exec cat";
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let holder = Process::try_spawn(&mut command);
        let mut holder = holder.inspect_err(|error| skip(&format!("unshare: {error}"))).ok()?;
        let said = Collected::of(holder.child().stdout.take().expect("stdout is piped"));
        wait_until("the network is there, or cannot be", || said.count("ready\n") > 0 || said.is_closed());
        if said.count("ready\n") == 0 {
            skip("a network namespace cannot be made here");
            return None;
        }
        Some(Network { holder })
    }

    /// The same command within the network.
    pub fn enter(&self, command: &Command) -> Command {
        let mut entering = Command::new("nsenter");
        entering.arg(format!("--net={}", self.path())).arg("--");
        entering.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
        entering
    }

    /// Runs a line of shell within the network, which has to succeed. Returns what it prints.
    #[track_caller]
    pub fn sh(&self, script: &str) -> String {
        self.try_sh(script).unwrap_or_else(|said| panic!("'{script}' fails: {said}"))
    }

    /// The same for what may not be possible here: an error is what it said.
    pub fn try_sh(&self, script: &str) -> Result<String, String> {
        let mut command = Command::new("sh");
        command.args(["-ec", script]);
        let ran = try_run(&mut self.enter(&command)).map_err(|error| error.to_string())?;
        if ran.code == Some(0) { Ok(String::from_utf8_lossy(&ran.stdout).into_owned()) } else { Err(ran.stderr) }
    }

    /// Does something within the network, on a thread of its own: a socket belongs for ever to the network where it was
    /// made, and so does a thread that was started there.
    pub fn within<T: Send>(&self, act: impl FnOnce() -> T + Send) -> T {
        let namespace = File::open(self.path()).expect("the network is there");
        let act = || {
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("whoever made the network may enter it");
            act()
        };
        thread::scope(|scope| scope.spawn(act).join()).unwrap_or_else(|failure| panic::resume_unwind(failure))
    }

    /// A process in the network, by which others can name it.
    pub fn id(&self) -> u32 {
        self.holder.id()
    }

    /// Whether it has packet filters of its own; false, with a word about it, where there are none.
    pub fn has_filters(&self) -> bool {
        let answer = self.try_sh("nft list ruleset");
        answer.map_err(|said| skip(&format!("no nftables: {}", said.trim()))).is_ok()
    }

    fn path(&self) -> String {
        format!("/proc/{}/ns/net", self.id())
    }
}
