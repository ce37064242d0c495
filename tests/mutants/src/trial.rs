//! Tests, run one by one with a mutant on.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::ffi::OsStr;
use std::fs;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use crate::mutator::Mutant;
use crate::tree::Program;

/// A test, and what is known of it.
pub struct Test {
    /// As `cargo test --test PROGRAM NAME` has it.
    pub name: String,
    program: PathBuf,
    filter: String,
    /// How long it takes without a mutant.
    takes: Duration,
    /// The mutants that it comes by, by key. Whatever it does not come by changes nothing for it.
    pub comes_by: HashSet<String>,
}

#[derive(Clone, Copy, PartialEq)]
pub enum End {
    Passed,
    Failed,
    TimedOut,
}

/// The tests of a program whose names begin with one of `prefixes`.
pub fn tests(program: &Program, prefixes: &[String]) -> Result<Vec<Test>, Box<dyn Error>> {
    let output = Command::new(&program.path).args(["--list", "--format", "terse"]).output()?;
    let text = String::from_utf8(output.stdout)?;
    let names = text.lines().filter_map(|line| line.strip_suffix(": test"));
    let names = names.filter(|name| prefixes.iter().any(|prefix| name.starts_with(prefix.as_str())));
    let test = |name: &str| Test {
        name: format!("{}::{name}", program.name),
        program: program.path.clone(),
        filter: name.to_owned(),
        takes: Duration::ZERO,
        comes_by: HashSet::new(),
    };
    Ok(names.map(test).collect())
}

impl Test {
    fn is_beside(&self) -> bool {
        self.name.starts_with("lib::")
    }

    /// Runs it without a mutant, unless that has been done: how long it takes, and what it comes by. False where it
    /// fails by itself.
    pub fn note(&mut self, work: &Path, mutants: &[Mutant]) -> Result<bool, Box<dyn Error>> {
        let file = work.join("notes").join(self.name.replace("::", "."));
        let built = fs::metadata(&self.program)?.modified()?;
        let is_new = |noted: SystemTime| noted > built || !self.is_beside();
        if !fs::metadata(&file).and_then(|noted| noted.modified()).is_ok_and(is_new) {
            let folder = file.with_added_extension("numbers");
            let _ = fs::remove_dir_all(&folder);
            fs::create_dir_all(&folder)?;
            let start = Instant::now();
            let note = [("COOEE_MUTANT", "note".as_ref()), ("COOEE_MUTANT_FOLDER", folder.as_os_str())];
            if run_with(&[self], &note, Duration::from_secs(120))? != End::Passed {
                return Ok(false);
            }
            let mut lines = vec![start.elapsed().as_millis().to_string()];
            for process in fs::read_dir(&folder)? {
                let numbers = fs::read_to_string(process?.path())?;
                let numbers = numbers.lines().filter_map(|line| line.parse::<usize>().ok());
                lines.extend(numbers.filter_map(|number| Some(mutants.get(number)?.key.clone())));
            }
            fs::remove_dir_all(&folder)?;
            fs::write(&file, lines.join("\n"))?;
        }
        let text = fs::read_to_string(&file)?;
        let (takes, keys) = text.split_once('\n').unwrap_or((&text, ""));
        self.takes = Duration::from_millis(takes.parse()?);
        self.comes_by = keys.lines().map(str::to_owned).collect();
        Ok(true)
    }
}

/// Runs tests of one program with a mutant on, one after the other.
fn run_together(tests: &[&Test], mutant: usize) -> Result<End, Box<dyn Error>> {
    let number = mutant.to_string();
    let takes: Duration = tests.iter().map(|test| test.takes).sum();
    run_with(tests, &[("COOEE_MUTANT", number.as_ref())], Duration::from_secs(30) + 8 * takes)
}

fn run_with(tests: &[&Test], variables: &[(&str, &OsStr)], patience: Duration) -> Result<End, Box<dyn Error>> {
    static RUNS: AtomicU64 = AtomicU64::new(0);
    let mark = format!("{}.{}", std::process::id(), RUNS.fetch_add(1, Ordering::Relaxed));
    let mut command = Command::new(&tests[0].program);
    command.args(["--exact", "--test-threads=1"]).args(tests.iter().map(|test| &test.filter));
    command.envs(variables.iter().copied());
    command.env("COOEE_MUTANT_RUN", &mark).process_group(0);
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let start = Instant::now();
    let end = loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok(End::Passed),
            Some(_) => break End::Failed,
            None if start.elapsed() > patience => break End::TimedOut,
            None => thread::sleep(Duration::from_millis(3)),
        }
    };
    // Nothing stays of a test that went wrong: neither itself nor what it has started, known by a variable of their
    // own.
    let mark = format!("COOEE_MUTANT_RUN={mark}\0");
    for process in fs::read_dir("/proc")?.flatten() {
        let environment = fs::read(process.path().join("environ")).unwrap_or_default();
        if environment.windows(mark.len()).any(|part| part == mark.as_bytes()) {
            let _ = Command::new("kill").args(["-KILL", "--"]).arg(process.file_name()).stderr(Stdio::null()).status();
        }
    }
    let _ = child.wait();
    Ok(end)
}

/// What came of a mutant, and the test that says so.
pub struct Verdict {
    pub key: String,
    /// `caught`, `timed out`, `missed`, `unreached`.
    pub verdict: &'static str,
    pub by: String,
}

/// Runs each mutant against the tests that come by it, the fastest first, until one fails twice: a busy machine fails
/// once. `say` is told each verdict.
pub fn run(
    mutants: Vec<(usize, &Mutant)>,
    tests: &[Test],
    jobs: usize,
    until: Instant,
    say: &(dyn Fn(Verdict) + Sync),
) -> Result<(), Box<dyn Error>> {
    let mut tests: Vec<&Test> = tests.iter().collect();
    tests.sort_by_key(|test| test.takes);
    let mut by_key: HashMap<&str, Vec<&Test>> = HashMap::new();
    for test in tests {
        test.comes_by.iter().for_each(|key| by_key.entry(key).or_default().push(test));
    }
    let waiting = Mutex::new(mutants.into_iter());
    let next = || waiting.lock().map_or(None, |mut waiting| waiting.next()).filter(|_| Instant::now() < until);
    let work = || {
        while let Some((number, mutant)) = next() {
            let tests = by_key.get(mutant.key.as_str()).map_or(&[][..], Vec::as_slice);
            let found = failing(tests, number).map_err(|error| format!("{}: {error}", mutant.key))?;
            let verdict = match found {
                Some((End::TimedOut, by)) => ("timed out", by),
                Some((_, by)) => ("caught", by),
                None if tests.is_empty() => ("unreached", String::new()),
                None => ("missed", String::new()),
            };
            say(Verdict { key: mutant.key.clone(), verdict: verdict.0, by: verdict.1 });
        }
        Ok::<(), String>(())
    };
    thread::scope(|scope| {
        let workers: Vec<_> = (0..jobs).map(|_| scope.spawn(work)).collect();
        workers.into_iter().try_for_each(|worker| worker.join().map_err(|_| "a panic".to_owned())?)
    })?;
    Ok(())
}

/// The first test that a mutant makes fail, again and again.
fn failing(tests: &[&Test], mutant: usize) -> Result<Option<(End, String)>, Box<dyn Error>> {
    // Those beside the code are so short that their program takes longer to start.
    let (beside, others): (Vec<&Test>, Vec<&Test>) = tests.iter().partition(|test| test.is_beside());
    let is_one = !beside.is_empty() && run_together(&beside, mutant)? != End::Passed;
    for test in beside.into_iter().filter(|_| is_one).chain(others) {
        let mut end = run_together(&[test], mutant)?;
        if end == End::Failed && !test.is_beside() {
            end = run_together(&[test], mutant)?;
        }
        if end != End::Passed {
            return Ok(Some((end, test.name.clone())));
        }
    }
    Ok(None)
}
