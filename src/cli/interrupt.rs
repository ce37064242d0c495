//! Signals that end what runs at the time: the run of load or the comparison, whose result is told all the same.

use std::io;
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::cli::signals::{self, Inherited, Signals};

/// The signals of somebody who waits for the end. The second of them ends the program where it writes the result; the
/// system's, such as SIGHUP, come twice without anybody being impatient.
const ASKING: [i32; 2] = [SIGINT, SIGTERM];

/// Signals that ask the program to end what it does. They are caught once, however many runs there are.
pub(crate) struct Interrupt {
    signals: Signals,
    /// The first one that came.
    caught: Option<i32>,
    /// The next signal ends the program, as if nobody had caught it.
    ends_program: Arc<AtomicBool>,
    asking: Vec<i32>,
}

impl Drop for Interrupt {
    fn drop(&mut self) {
        // A run that has failed is over too, and its result may be told. Where it cannot be set, SIGKILL still ends the
        // program.
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

    /// The last run is over. What is left is to write the result, and that waits for as long as a reader likes: so the
    /// second signal from now on ends the program. One more may be the second of two that were meant for the run.
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
