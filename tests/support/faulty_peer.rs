//! The servers of `peers/faulty.py`, for whoever starts servers itself.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use super::python;

/// The command of an echo server with these flags; none, with a word about it, where there is no Python.
pub fn faulty(flags: &str) -> Option<String> {
    let python = python("peers/faulty.py")?;
    let words = [python.get_program()].into_iter().chain(python.get_args()).map(OsStr::to_string_lossy);
    let quoted: Vec<String> = words.map(|word| format!("'{word}'")).collect();
    Some(format!("{} {{port}} {flags}", quoted.join(" ")))
}

/// The ids that the processes of a server with `--pids` have written; empty before they have.
pub fn pids(file: &Path) -> Vec<u32> {
    let text = fs::read_to_string(file).unwrap_or_default();
    text.lines().map(|line| line.parse().expect("a process id")).collect()
}

/// Whether a process has ended, be it reaped or not.
pub fn is_gone(process: u32) -> bool {
    let Ok(stat) = fs::read_to_string(format!("/proc/{process}/stat")) else { return true };
    stat[stat.rfind(')').unwrap() + 2..].starts_with('Z')
}
