//! The faults of `docs/reliability.md`: in full or shortened, with the figure that was measured.
//!
//! Every day's run shows that a promise is kept; how well is measured where nothing else runs: `tests/reliability.py` runs the same
//! tests with `FULL=1`, at the length and with the figures that the table promises, and gathers what they tell.

use std::time::Duration;

/// Whether the full length, and the figures, were asked for.
pub fn is_full() -> bool {
    std::env::var_os("FULL").is_some_and(|value| value == "1")
}

/// One of two: for every day, or in full.
pub fn in_full<T>(short: T, full: T) -> T {
    if is_full() { full } else { short }
}

/// Tells what was measured for a row of the table.
pub fn measured(fault: &str, figure: &str) {
    println!("fault {fault}: {figure}");
}

/// Runs `scenario` until its figures are met, and returns what it found. In full it has three attempts: what else the machine does is
/// no fault of the server's. Every day it has one, so its figures should be generous then.
#[track_caller]
pub fn attempt(mut scenario: impl FnMut() -> Result<String, String>) -> String {
    let mut missed = Vec::new();
    for _ in 0..in_full(1, 3) {
        match scenario() {
            Ok(found) => return found,
            Err(figure) => missed.push(figure),
        }
    }
    panic!("not met: {}", missed.join("; and then "));
}

/// Runs `scenario` in a rhythm: `time` is what it has between two steps. Where the test itself cannot keep up on a busy machine, which is
/// no finding, it returns none, and has twice the time.
#[track_caller]
pub fn in_rhythm<T>(time: Duration, mut scenario: impl FnMut(Duration) -> Option<T>) -> T {
    let found = (0..4).find_map(|doublings| scenario(time * (1 << doublings)));
    found.expect("the test keeps up with its own rhythm")
}
