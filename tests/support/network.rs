//! A network of a test's own: a namespace with nothing but loopback, and a few ephemeral ports.

use std::fs::File;
use std::process::{Command, Stdio};
use std::{panic, thread};

use nix::sched::{CloneFlags, setns};

use super::{Collected, Process, skip, wait_until};

/// A network namespace. It ends when nobody is in it any more.
pub struct Network {
    holder: Process,
}

impl Network {
    /// Makes one whose ephemeral ports are those from `first` to `last`. None, with a word about it, where that is not allowed.
    pub fn start(first: u16, last: u16) -> Option<Network> {
        let script = format!(
            "ip link set lo up && echo {first} {last} > /proc/sys/net/ipv4/ip_local_port_range && echo ready && exec cat"
        );
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", &script]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut holder = Process::try_spawn(&mut command).ok()?;
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
        entering.arg(format!("--net=/proc/{}/ns/net", self.holder.id())).arg("--");
        entering.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
        entering
    }
    /// Does something in a thread that is within the network. Whatever that starts is within it too.
    pub fn within<T: Send>(&self, task: impl FnOnce() -> T + Send) -> T {
        let network = File::open(format!("/proc/{}/ns/net", self.holder.id())).expect("the holder lives");
        let inside = || {
            setns(&network, CloneFlags::CLONE_NEWNET).expect("whoever may make a network may enter it");
            task()
        };
        let done = thread::scope(|scope| scope.spawn(inside).join());
        done.unwrap_or_else(|failure| panic::resume_unwind(failure))
    }
}
