//! What tests left out, noted so that the end of a run can tell it.
//!
//! A test that cannot run here returns, and the test runner calls that `ok`: Rust's has no word for it. So each one
//! notes that, with its reason, in a file beside the test programs. A run is the process that started them, `cargo` as
//! a rule: programs of one run write to one folder, and `tests/zz_skips.rs`, the last of them, reads it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::iter::successors;
use std::os::unix::process::parent_id;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::{env, process, thread};

/// Tells why a test, or a part of it, does not run here: at once, though the test runner keeps what tests print to
/// itself, and at the end of the run.
pub fn skip(reason: &str) {
    static TOLD: Mutex<Vec<(String, String)>> = Mutex::new(Vec::new());
    let test = name();
    // Each attempt of a test, and each of its parts, may ask for the same thing.
    let this = (test.clone(), reason.to_owned());
    let mut told = TOLD.lock().unwrap_or_else(PoisonError::into_inner);
    if told.contains(&this) {
        return;
    }
    told.push(this);
    say(&format!("skipped: {reason} ({test})\n"));
    if let Err(error) = note(&test, reason) {
        say(&format!("the end of this run will not tell that: {error}\n"));
    }
}

/// Says a line at once, and in one piece: `eprintln!` would be kept until the test fails.
fn say(line: &str) {
    let _ = io::stderr().write_all(line.as_bytes());
}

/// The folder of this run's notes, if there is a place for them.
pub fn folder() -> Option<PathBuf> {
    Some(all_folders()?.join(run(starter())))
}

/// The folder of the notes of all runs: beside the folder of the test programs.
pub fn all_folders() -> Option<PathBuf> {
    Some(env::current_exe().ok()?.parent()?.parent()?.join("skipped"))
}

/// The name of a run: a process, and when it began, as its number is given again.
pub fn run(starter: u32) -> String {
    format!("{starter}-{}", stat(starter).map(|stat| stat.began).unwrap_or_default())
}

/// Who started the programs of this run: `cargo`, which may have put another program between (a `runner`), or else the
/// parent.
fn starter() -> u32 {
    let is_cargo = |process: &u32| stat(*process).is_some_and(|stat| stat.name.starts_with("cargo"));
    let mut ancestors =
        successors(Some(parent_id()), |process| stat(*process).map(|stat| stat.parent).filter(|parent| *parent > 0));
    ancestors.find(is_cargo).unwrap_or_else(parent_id)
}

/// What the system tells of a process (`proc_pid_stat(5)`).
struct Stat {
    name: String,
    parent: u32,
    /// In whatever unit.
    began: String,
}

fn stat(process: u32) -> Option<Stat> {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    // The name may hold spaces and parentheses.
    let (name, rest) = stat.split_once('(')?.1.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    Some(Stat { name: name.to_owned(), parent: fields.get(1)?.parse().ok()?, began: (*fields.get(19)?).to_owned() })
}

/// The program and the test: libtest names the thread of a test after it.
fn name() -> String {
    let program = env::current_exe().unwrap_or_default();
    let program = program.file_stem().unwrap_or_default().to_string_lossy();
    // Behind it stands the hash that cargo gives it.
    let program = program.rsplit_once('-').map_or(&*program, |(name, _)| name);
    format!("{program}::{}", thread::current().name().unwrap_or("?"))
}

fn note(test: &str, reason: &str) -> io::Result<()> {
    let folder = folder().ok_or(io::ErrorKind::NotFound)?;
    fs::create_dir_all(&folder)?;
    let mut file = File::options().create(true).append(true).open(folder.join(process::id().to_string()))?;
    // One write: tests of one program skip themselves at the same time.
    file.write_all(format!("{test}\t{}\n", reason.replace(['\t', '\n'], " ")).as_bytes())
}

/// What was noted below `folder`: pairs of a test and its reason, sorted, each once.
pub fn read(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder).into_iter().flatten().flatten();
    let text: String = files.filter_map(|file| fs::read_to_string(file.path()).ok()).collect();
    let mut notes: Vec<_> = text
        .lines()
        .filter_map(|line| line.split_once('\t'))
        .map(|(test, why)| (test.to_owned(), why.to_owned()))
        .collect();
    notes.sort();
    notes.dedup();
    notes
}
