//! SIGINT, SIGTERM and SIGHUP as bytes of a stream, for whatever runs at the time.

use std::io::{self, Read};
use std::os::unix::net::UnixStream;

use procfs::process::Process;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Signals that ask the program to end what it does. They are caught once, however many runs there are.
pub(crate) struct Interrupt {
    reader: UnixStream,
    caught: bool,
}

impl Interrupt {
    /// Catches the signals from now on.
    pub(crate) fn catch() -> io::Result<Interrupt> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        for signal in [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| !is_ignored(*signal)) {
            signal_hook::low_level::pipe::register(signal, writer.try_clone()?)?;
        }
        Ok(Interrupt { reader, caught: false })
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
fn is_ignored(signal: i32) -> bool {
    let status = Process::myself().and_then(|process| process.status());
    signal == SIGHUP && status.is_ok_and(|status| status.sigign >> (signal - 1) & 1 == 1)
}
