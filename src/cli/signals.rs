//! Signals as bytes of a stream and a list of numbers: which are caught, and what is set before anything runs.
//!
//! A parent can start a program with a signal ignored: `nohup` does that with SIGHUP, a shell without job control with
//! SIGINT for background jobs. A preloaded library, such as a profiler, can handle a signal itself. Both are
//! deliberate, so a signal that is not at its default at the start is left as it is.
//!
//! What each command does at each signal is told in `docs/signals.md`.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;

use nix::libc;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{FORBIDDEN, SIGPIPE, SIGTTOU, SIGXFSZ};
use signal_hook::flag;
use signal_hook::iterator::backend::SignalDelivery;
use signal_hook::iterator::exfiltrator::SignalOnly;

/// The signals that end a program by default (`signal(7)`) and ask for an end. These end it in good order. SIGQUIT and
/// the faults (SIGSEGV and the like) say that it is broken: they end it at once and leave a core dump.
pub(crate) fn ending() -> impl Iterator<Item = i32> {
    use libc::{SIGALRM, SIGHUP, SIGINT, SIGIO, SIGPROF, SIGTERM, SIGUSR1, SIGUSR2, SIGVTALRM, SIGXCPU};
    let everywhere = [SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2, SIGALRM, SIGVTALRM, SIGPROF, SIGIO, SIGXCPU];
    #[cfg(target_os = "linux")]
    let others = [libc::SIGPWR, libc::SIGSTKFLT];
    #[cfg(not(target_os = "linux"))]
    let others = [];
    everywhere.into_iter().chain(others).chain(real_time())
}

/// The real-time signals, except the first ones, which the C library reserves (`signal(7)`).
#[cfg(target_os = "linux")]
fn real_time() -> impl Iterator<Item = i32> {
    libc::SIGRTMIN()..=libc::SIGRTMAX()
}

/// Other systems' C libraries do not say which they are.
#[cfg(not(target_os = "linux"))]
fn real_time() -> impl Iterator<Item = i32> {
    std::iter::empty()
}

/// Signals that were caught.
pub(crate) struct Signals {
    delivery: SignalDelivery<UnixStream, SignalOnly>,
}

impl Signals {
    /// Catches `signals` from now on, except those that are not at their default at the start.
    pub(crate) fn catch(signals: impl IntoIterator<Item = i32>, start: &Inherited) -> io::Result<Signals> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        let signals = signals.into_iter().filter(|signal| start.is_default(*signal));
        Ok(Signals { delivery: SignalDelivery::with_pipe(reader, writer, SignalOnly, signals)? })
    }

    /// A stream on which a byte says that a signal has come.
    pub(crate) fn stream(&self) -> io::Result<UnixStream> {
        self.delivery.get_read().try_clone()
    }

    /// A pending signal, whether its byte was read or not. A signal that came twice before this call is returned once.
    pub(crate) fn next(&mut self) -> Option<i32> {
        self.delivery.pending().next()
    }
}

/// The dispositions that this program inherited: two sets of signals, as bits (`proc_pid_status(5)`).
pub(crate) struct Inherited {
    ignored: u64,
    caught: u64,
}

impl Inherited {
    /// Reads the dispositions, before anything is caught. If the system does not report them, every signal counts as
    /// default.
    pub(crate) fn read() -> Inherited {
        #[cfg(target_os = "linux")]
        if let Ok(status) = procfs::process::Process::myself().and_then(|process| process.status()) {
            return Inherited { ignored: status.sigign, caught: status.sigcgt };
        }
        Inherited { ignored: 0, caught: 0 }
    }

    /// Whether this signal is at its default.
    pub(crate) fn is_default(&self, signal: i32) -> bool {
        !holds(self.ignored | self.caught, signal)
    }

    /// Keeps children from inheriting the ignored signals. A child inherits what is ignored, but not what is caught
    /// (`execve(2)`), so they are caught by a handler that does nothing. SIGCHLD is among them: no child can be waited
    /// for while it is ignored.
    pub(crate) fn keep_from_children(&self) -> io::Result<()> {
        // SIGPIPE is the standard library's, at this program's start and at a child's.
        let is_ours = |signal: &i32| holds(self.ignored, *signal) && *signal != SIGPIPE && !FORBIDDEN.contains(signal);
        (1..32)
            .chain(real_time())
            .filter(is_ours)
            .try_for_each(|signal| flag::register(signal, Arc::default()).map(drop))
    }
}

/// Whether a set holds a signal.
fn holds(set: u64, signal: i32) -> bool {
    set >> (signal - 1) & 1 == 1
}

/// Prepares the signals of every command. All are unblocked, because a signal that the parent had blocked would never
/// arrive; a parent that does not want it ignores it. SIGXFSZ is caught, so a write beyond the file size limit
/// (`setrlimit(2)`) fails instead of ending a server because of its log.
pub(crate) fn prepare() -> io::Result<()> {
    SigSet::empty().thread_set_mask()?;
    if Inherited::read().is_default(SIGXFSZ) {
        flag::register(SIGXFSZ, Arc::default())?;
    }
    Ok(())
}

/// Keeps a terminal with `stty tostop` from stopping this program when it logs in the background: a stopped server
/// serves no client, and stopped load measures wrongly. The terminal accepts the line while SIGTTOU is blocked (POSIX,
/// 11.1.4, Terminal Access Control). The signal is caught as well: a child inherits what is blocked (`sigprocmask(2)`),
/// so `compare` unblocks it while it starts one.
pub(crate) fn never_stop_at_output() -> io::Result<()> {
    flag::register(SIGTTOU, Arc::default())?;
    Ok(SigSet::from(Signal::SIGTTOU).thread_block()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_somebody_has_decided_on_is_left_alone() {
        let set = |signal: i32| 1 << (signal - 1);
        let start = Inherited { ignored: set(libc::SIGHUP) | set(64), caught: set(libc::SIGPROF) };
        let left: Vec<i32> = (1..=64).filter(|signal| !start.is_default(*signal)).collect();
        assert_eq!(left, [libc::SIGHUP, libc::SIGPROF, 64]);
    }

    #[test]
    fn a_fault_is_never_caught() {
        for signal in [libc::SIGSEGV, libc::SIGABRT, libc::SIGQUIT, libc::SIGKILL, libc::SIGPIPE] {
            assert!(ending().all(|ending| ending != signal), "{signal}");
        }
    }
}
