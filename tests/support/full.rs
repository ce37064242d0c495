//! The faults of `docs/reliability.md`: in full or shortened, with the figure that was measured.
//!
//! Every day's run shows that a promise is kept; how well is measured where nothing else runs: `tests/reliability.py`
//! runs the same tests with `FULL=1`, at the length and with the figures that the table promises, and gathers what they
//! tell.

use std::time::Duration;

/// Whether the full length, and the figures, were asked for. They are those of the release build, so another one is
/// refused: it would miss them for a reason that is none.
pub fn is_full() -> bool {
    let full = std::env::var_os("FULL").is_some_and(|value| value == "1");
    let is_release = !cfg!(debug_assertions) || std::env::var_os("COOEE").is_some();
    assert!(
        !full || is_release,
        "FULL=1 measures the release build, and this is another one: `python3 tests/reliability.py NAME` builds and measures it; \
         `FULL=1 cargo test --release --test NAME` does, too"
    );
    full
}

/// One of two: for every day, or in full.
pub fn in_full<T>(short: T, full: T) -> T {
    if is_full() { full } else { short }
}

/// Tells what was measured for a row of the table.
pub fn measured(fault: &str, figure: &str) {
    println!("fault {fault}: {figure}");
}

/// Runs `scenario` in a rhythm: `time` is what it has between two steps. Where the test itself cannot keep up on a busy
/// machine, which is no finding, it returns none, and has twice the time.
#[track_caller]
pub fn in_rhythm<T>(time: Duration, mut scenario: impl FnMut(Duration) -> Option<T>) -> T {
    let found = (0..4).find_map(|doublings| scenario(time * (1 << doublings)));
    found.expect("the test keeps up with its own rhythm")
}
