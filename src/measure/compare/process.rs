//! One process of a server: started in a process group of its own, and stopped again whatever happens.

use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{SigSet, SigmaskHow, Signal};
use nix::sys::wait::{Id, WaitPidFlag, WaitStatus, waitid};
use nix::unistd::Pid;

use crate::measure::compare::group::{ServerGroup, adopts_orphans, send};
use crate::measure::compare::output::ServerOutput;
use crate::measure::processes::bound;
use crate::measure::processes::process_id::ProcessId;

/// How long a server has between SIGTERM and SIGKILL.
const GRACE: Duration = Duration::from_secs(2);

/// How long a killed process is waited for: only one that the kernel holds (a dead disk, say) takes longer.
const KILLED_WAIT: Duration = Duration::from_secs(5);

/// How often the end of a process is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(5);

/// A running server. Dropping it stops it.
///
/// Invariant: until it is stopped, the leader is not reaped; so its id, which is the group's, belongs to nobody else,
/// and no signal can reach a stranger.
#[derive(Debug)]
pub struct ServerProcess {
    leader: Child,
    /// Its processes.
    pub group: ServerGroup,
    is_stopped: bool,
    /// What it has written.
    pub output: ServerOutput,
}

impl ServerProcess {
    /// Starts `words`, the program first, [bound] to this process where there is a `binder`.
    pub fn start(words: &[String], binder: Option<&Path>) -> io::Result<ServerProcess> {
        let output = ServerOutput::new()?;
        let (program, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        let (out, err) = (output.handle()?, output.handle()?);
        // Ctrl-C reaches the terminal's group alone: it ends this program, which then stops the server.
        let set = |command: &mut Command| {
            command.process_group(0).stdout(out).stderr(err);
        };
        let adopts = adopts_orphans();
        // A child inherits what is blocked (`sigprocmask(2)`), and a server for which SIGTERM is would have to be
        // killed each time.
        let blocked = SigSet::empty().thread_swap_mask(SigmaskHow::SIG_SETMASK)?;
        let leader = match binder {
            Some(binder) => bound::start(binder, words, set),
            None => {
                let mut command = Command::new(program);
                command.args(arguments).stdin(Stdio::null());
                set(&mut command);
                command.spawn()
            }
        };
        blocked.thread_set_mask()?;
        let leader = leader?;
        let group = ServerGroup::new(Pid::from_raw(leader.id() as i32), adopts);
        Ok(ServerProcess { leader, group, is_stopped: false, output })
    }

    /// Trims its output and reaps those of its processes that have ended. To be called now and then while it runs.
    pub(crate) fn tend(&mut self) {
        self.output.trim();
        self.group.reap();
    }

    /// How it has ended by itself, in words; none while it runs.
    pub fn ending(&self) -> Option<String> {
        // WNOWAIT leaves it to be reaped by `stop`.
        let flags = WaitPidFlag::WEXITED | WaitPidFlag::WNOHANG | WaitPidFlag::WNOWAIT;
        match waitid(Id::Pid(self.group.leader), flags) {
            Ok(WaitStatus::StillAlive) => None,
            Ok(WaitStatus::Exited(_, 0)) => Some("ended by itself (a server has to stay in the foreground)".to_owned()),
            Ok(WaitStatus::Exited(_, code)) => Some(format!("ended with exit code {code}")),
            Ok(WaitStatus::Signaled(_, signal, _)) => Some(format!("was ended by signal {}", signal as i32)),
            _ => Some("ended".to_owned()),
        }
    }

    /// Ends every process of the server: SIGTERM, and SIGKILL for those who live on. Returns when they are gone.
    pub fn stop(&mut self) {
        if self.is_stopped {
            return;
        }
        // A process that loses its parent in the following is known by then.
        let mut known = self.group.members();
        if !self.end(Signal::SIGTERM, &mut known, GRACE) && !self.end(Signal::SIGKILL, &mut known, KILLED_WAIT) {
            log::warn!("process group {} could not be ended", self.group.leader);
        }
        self.is_stopped = true;
        if self.ending().is_some() {
            let _ = self.leader.wait();
        }
        self.group.reap();
    }

    /// Sends a signal to all, and waits until the leader has ended and none of the others lives, those of `known` and
    /// new ones; false if that takes longer than `timeout`. A new one is sent the signal too: it may be a daemon, which
    /// has come to this process because its parent has ended.
    fn end(&self, signal: Signal, known: &mut Vec<ProcessId>, timeout: Duration) -> bool {
        self.group.signal(signal, known);
        let start = Instant::now();
        loop {
            // A process that has ended starts no other. So new ones are looked for after that check, or one that was
            // started just before the end would be missed.
            let has_ended = self.ending().is_some();
            known.retain(|member| member.stat().is_some_and(|stat| !matches!(stat.state, 'Z' | 'X')));
            let new: Vec<ProcessId> =
                self.group.members().into_iter().filter(|member| !known.contains(member)).collect();
            send(signal, &new);
            known.extend(new);
            if known.is_empty() && has_ended {
                return true;
            }
            if start.elapsed() > timeout {
                return false;
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Starts a shell script and waits until it has written `ready`.
    fn start(script: &str) -> ServerProcess {
        let words = ["sh", "-c", script].map(str::to_owned);
        let process = ServerProcess::start(&words, None).unwrap();
        until("it is ready", || {
            process.output.last_lines().contains(&"ready".to_owned()) || process.ending().is_some()
        });
        process
    }

    #[track_caller]
    fn until(what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(20), "not in time: {what}");
            thread::sleep(LOOK_EVERY);
        }
    }

    #[test]
    fn its_end_is_told_and_what_it_said() {
        let process = start("echo ready; echo oh no >&2; exit 7");
        until("it ends", || process.ending().is_some());
        assert_eq!(process.ending().unwrap(), "ended with exit code 7");
        assert_eq!(process.output.last_lines(), ["ready", "oh no"]);
        let process = start("kill -9 $$");
        assert_eq!(process.ending().unwrap(), "was ended by signal 9");
        assert!(start("exit 0").ending().unwrap().contains("foreground"));
    }

    #[test]
    fn a_polite_server_ends_at_once() {
        let mut process = start("trap 'exit 3' TERM; echo ready; while :; do sleep 0.01; done");
        let began = Instant::now();
        process.stop();
        assert!(began.elapsed() < GRACE, "it was not killed");
        assert_eq!(process.group.members(), []);
    }

    #[test]
    fn one_that_ignores_sigterm_is_killed_with_its_children() {
        let mut process = start("trap '' TERM; sleep 1000 & sleep 1000 & echo ready; wait; sleep 1000");
        let members = process.group.members();
        assert_eq!(members.len(), 3, "{members:?}");
        let began = Instant::now();
        process.stop();
        assert!(members.iter().all(|member| member.stat().is_none_or(|stat| stat.state == 'Z')));
        assert!(began.elapsed() >= GRACE && began.elapsed() < 5 * GRACE, "{:?}", began.elapsed());
    }

    #[test]
    fn children_of_a_leader_that_has_ended_are_stopped_too() {
        let mut process = start("sleep 1000 & echo ready; exit 1");
        until("the leader ends", || process.ending().is_some());
        let members = process.group.members();
        assert_eq!(members.len(), 1, "{members:?}");
        process.stop();
        assert!(members[0].stat().is_none_or(|stat| stat.state == 'Z'));
    }

    #[test]
    fn a_child_in_a_group_of_its_own_is_stopped_too() {
        let mut process = start("setsid sh -c 'echo ready; exec sleep 1000' & wait");
        until("it has left the group", || {
            process.group.members().iter().any(|member| member.stat().is_some_and(|stat| stat.pgrp == member.id))
        });
        let members = process.group.members();
        assert!(members.len() >= 2, "{members:?}");
        process.stop();
        assert!(members.iter().all(|member| member.stat().is_none_or(|stat| stat.state == 'Z')));
    }

    #[test]
    fn dropping_it_stops_it() {
        let process = start("echo ready; exec sleep 1000");
        let members = process.group.members();
        drop(process);
        assert!(members[0].stat().is_none());
    }
    #[test]
    fn one_that_takes_a_while_to_end_is_let_do_so() {
        let mut process = start("trap 'sleep 0.5; echo done; exit' TERM; echo ready; while :; do sleep 0.01; done");
        process.stop();
        assert_eq!(process.output.last_lines().last().unwrap(), "done");
    }

    #[test]
    fn one_that_was_started_meanwhile_is_waited_for_too() {
        let mut process = start("trap 'sleep 0.3 & exit' TERM; echo ready; while :; do sleep 0.01; done");
        let group = process.group.clone();
        process.stop();
        assert_eq!(group.members(), []);
    }
}
