//! Signals that end a run of load or a comparison, whose result is still reported.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::signals::{self, Inherited, Signals};

/// The signals that a user sends. The second of them ends the program while it writes the result. The system's signals,
/// such as SIGHUP, can come twice without meaning that.
const ASKING: [i32; 2] = [SIGINT, SIGTERM];

/// Signals that ask the program to end the current run. They are caught once for all runs.
pub(crate) struct Interrupt {
    signals: Signals,
    /// The first one that came.
    caught: Option<i32>,
    /// The next signal ends the program, as if it were not caught.
    ends_program: Arc<AtomicBool>,
    asking: Vec<i32>,
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // A failed run is over too, and its result may be reported. If this fails, SIGKILL still ends the program.
        let _ = self.runs_are_over();
    }
}

impl Interrupt {
    /// Catches the signals that end a program, and `others`, from now on.
    pub(crate) fn catch(others: &[i32], start: &Inherited) -> io::Result<Interrupt> {
        signals::never_stop_at_output()?;
        let asking: Vec<i32> = ASKING.into_iter().filter(|signal| start.is_default(*signal)).collect();
        let ends_program = Arc::new(AtomicBool::new(false));
        for signal in &asking {
            flag::register_conditional_default(*signal, ends_program.clone())?;
        }
        let signals = Signals::catch(signals::ending().chain(others.iter().copied()), start)?;
        Ok(Interrupt { signals, caught: None, ends_program, asking })
    }

    /// The last run is over. Writing the result can block on its reader, so the second signal from now on ends the
    /// program. The first one may still have been meant for the run.
    pub(crate) fn runs_are_over(&self) -> io::Result<()> {
        self.asking.iter().try_for_each(|signal| flag::register(*signal, self.ends_program.clone()).map(drop))
    }

    /// A stream for one run: a byte on it means that a signal came.
    pub(crate) fn stream(&self) -> io::Result<UnixStream> {
        self.signals.stream()
    }

    /// The first signal that came: between two runs, or in one.
    pub(crate) fn caught(&mut self) -> Option<i32> {
        if self.caught.is_none() {
            self.caught = self.signals.next();
        }
        self.caught
    }
}
