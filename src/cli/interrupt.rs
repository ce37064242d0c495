//! SIGINT, SIGTERM and SIGHUP as bytes of a stream, for whatever runs at the time.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The signals that ask a program to end.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// Signals that ask the program to end what it does. They are caught once, however many runs there are.
pub(crate) struct Interrupt {
    reader: UnixStream,
    caught: bool,
    /// The next signal ends the program, as if nobody had caught it.
    ends_program: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches the signals from now on.
    pub(crate) fn catch() -> io::Result<Interrupt> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        let ends_program = Arc::new(AtomicBool::new(false));
        for signal in SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)) {
            flag::register_conditional_default(signal, ends_program.clone())?;
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Interrupt { reader, caught: false, ends_program })
    }

    /// The last run is over. What is left is to write the result, and that waits for as long as a reader likes: so the second signal from
    /// now on ends the program. One more may be the second of two that were meant for the run.
    pub(crate) fn runs_are_over(&self) -> io::Result<()> {
        for signal in SIGNALS.into_iter().filter(|signal| !is_ignored(*signal)) {
            flag::register(signal, self.ends_program.clone())?;
        }
        Ok(())
    }

    /// A stream for one run: a byte on it means that a signal came. What the run reads, [`Interrupt::is_caught`] does not see.
    pub(crate) fn stream(&self) -> io::Result<UnixStream> {
        self.reader.try_clone()
    }

    /// A run has read a signal from its stream.
    pub(crate) fn note(&mut self) {
        self.caught = true;
    }

    /// Whether a signal came: between two runs, or in one that said so.
    pub(crate) fn is_caught(&mut self) -> bool {
        self.caught |= matches!((&self.reader).read(&mut [0; 16]), Ok(1..));
        self.caught
    }
}

/// Whether whoever started this program has it ignore a signal, as `nohup` does with SIGHUP (`proc_pid_status(5)`, `SigIgn`).
#[cfg(target_os = "linux")]
fn is_ignored(signal: i32) -> bool {
    let status = procfs::process::Process::myself().and_then(|process| process.status());
    signal == SIGHUP && status.is_ok_and(|status| status.sigign >> (signal - 1) & 1 == 1)
}

/// Other systems do not tell, and a signal that is asked for ends the run.
#[cfg(not(target_os = "linux"))]
fn is_ignored(_signal: i32) -> bool {
    false
}
