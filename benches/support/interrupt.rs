//! Ctrl-C while servers run: they are stopped first, for they are in process groups of their own, which no signal of
//! the terminal reaches.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// Signals that ask this program to end: remembered while servers run, obeyed at once while none does.
pub struct Interrupt {
    is_caught: Arc<AtomicBool>,
    no_server_runs: Arc<AtomicBool>,
}

impl Interrupt {
    /// Catches the signals from now on.
    pub fn catch() -> io::Result<Interrupt> {
        let interrupt = Interrupt { is_caught: Arc::default(), no_server_runs: Arc::new(AtomicBool::new(true)) };
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            flag::register_conditional_default(signal, interrupt.no_server_runs.clone())?;
            flag::register(signal, interrupt.is_caught.clone())?;
        }
        Ok(interrupt)
    }

    /// Calls `run`, which may start servers and has stopped them when it returns. Where a signal came meanwhile, this
    /// program ends.
    pub fn guard<T>(&mut self, run: impl FnOnce(&mut dyn FnMut() -> bool) -> T) -> T {
        self.no_server_runs.store(false, Ordering::SeqCst);
        let result = run(&mut || self.is_caught.load(Ordering::SeqCst));
        self.no_server_runs.store(true, Ordering::SeqCst);
        if self.is_caught.load(Ordering::SeqCst) {
            // As a shell tells of a program that SIGINT ended.
            std::process::exit(130);
        }
        result
    }
}
