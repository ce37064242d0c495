//! Finds out which changes of the code no test notices: `cargo mutants`, with all mutants in one program.
//!
//! ```sh
//! cd tests/mutants && cargo build
//! target/debug/cooee-mutants --work /tmp/mutants                       # builds, and runs all mutants against the quick tests
//! target/debug/cooee-mutants --work /tmp/mutants --stage slow --sample 150 --seed 1     # of those missed, 150 over sockets
//! target/debug/cooee-mutants --work /tmp/mutants --module report --again  # after new tests: those that were missed, once more
//! target/debug/cooee-mutants --work /tmp/mutants --table               # what is known so far; `missed.txt` beside it says which
//! ```
//!
//! The tree is copied below `--work`. Into each file of the chosen modules all of its mutants are written, each behind
//! the question whether it is on (`if crate::mutants::on(17) { a - b } else { a + b }`). What the compiler refuses is
//! left out. So it is built once, and the variable `COOEE_MUTANT=17` chooses, for a test and for every process that the
//! test starts.
//!
//! The mutants are those that `cargo mutants` makes (operators, bodies of functions, arms and guards of `match`), a
//! call deleted whose value is not used, and a named constant made smaller or larger. As there, nothing is changed
//! inside macros, and nothing in tests.
//!
//! Each test of a module is run once without a mutant, alone: it notes how long it takes and which mutants it comes by.
//! Then each mutant is run against the tests that come by it, the fastest first, until one fails, and fails again. No
//! test that does not come by a mutant can tell it. A test has thirty seconds and eight times what it took, then it has
//! `timed out`.
//!
//! `results.tsv` below `--work` gets a line for each verdict: whatever ends a run, the next one goes on there. A mutant
//! is known by its key (file, function, change), which changes elsewhere leave alone.

mod ledger;
mod mutator;
mod tree;
mod trial;
mod values;

use std::error::Error;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

use crate::ledger::Ledger;
use crate::mutator::Mutant;
use crate::tree::{Program, Tree};
use crate::trial::Test;

/// A part of the code, and its own tests: those beside the code, and files below `tests/`, each with its folder.
struct Module {
    folder: &'static str,
    quick: &'static [&'static str],
    slow: &'static [&'static str],
}

impl Module {
    /// What it is called on the command line.
    fn name(&self) -> &'static str {
        self.folder.rsplit('/').next().unwrap_or(self.folder)
    }
}

const MODULES: [Module; 5] = [
    Module {
        folder: "measure/processes",
        quick: &[],
        slow: &["commands/compare", "commands/compare_rounds", "load/load_own_limits", "load/load_output"],
    },
    Module {
        folder: "measure/compare",
        quick: &[],
        slow: &["commands/compare", "commands/compare_rounds", "commands/bench_peers"],
    },
    Module {
        folder: "apps/client",
        quick: &[],
        slow: &[
            "commands/send",
            "server/self_connect",
            "server/ack_text",
            "commands/log_injection",
            "commands/standard_streams",
            "server/unix_sockets",
            "server/failing_calls",
        ],
    },
    Module {
        folder: "measure/report",
        quick: &["commands/report"],
        slow: &["commands/report_page", "load/load_output"],
    },
    Module {
        folder: "measure/load",
        quick: &[],
        slow: &[
            "server/failing_calls",
            "load/load_broken_connections",
            "load/load_busy_poll",
            "load/load_closed_loop",
            "load/load_connections",
            "load/load_datagrams",
            "load/load_dead_port",
            "load/load_hostile",
            "load/load_messages",
            "load/load_objective",
            "timing/load_omission",
            "load/load_output",
            "load/load_own_limits",
            "load/load_schedule",
            "load/load_servers",
            "load/load_split_replies",
            "load/load_wrong_replies",
        ],
    },
];

#[derive(Clone, Copy, ValueEnum, PartialEq)]
enum Stage {
    /// The tests beside the code, and those that need no sockets.
    Quick,
    /// Those over real sockets, for what the quick ones miss.
    Slow,
}

/// Which changes of the code no test notices.
#[derive(Parser)]
struct Arguments {
    /// A folder for the copy, what is built, and the results.
    #[arg(long)]
    work: PathBuf,
    /// The tree.
    #[arg(long, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))]
    tree: PathBuf,
    /// One of the modules; several times for several. All, where there is none.
    #[arg(long)]
    module: Vec<String>,
    #[arg(long, value_enum, default_value = "quick")]
    stage: Stage,
    /// One of the modules' files of tests; several times for several. All, where there is none.
    #[arg(long)]
    test: Vec<String>,
    /// So many of them, taken at random.
    #[arg(long)]
    sample: Option<usize>,
    /// What the sample is taken by.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Those too that were missed before.
    #[arg(long)]
    again: bool,
    /// No new mutant is begun after this.
    #[arg(long, default_value_t = 600)]
    minutes: u64,
    /// Tests that run at the same time. Most of them wait most of the time.
    #[arg(long, default_value_t = 1)]
    jobs: usize,
    /// Runs nothing: the table of what is known.
    #[arg(long)]
    table: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = Arguments::parse();
    let work = std::path::absolute(&arguments.work)?;
    std::fs::create_dir_all(work.join("notes"))?;
    if let Some(unknown) = arguments.module.iter().find(|name| MODULES.iter().all(|module| module.name() != **name)) {
        return Err(format!("no module is called {unknown}").into());
    }
    let tree = Tree { root: work.join("tree"), target: work.join("target") };
    let from = arguments.tree.canonicalize()?;
    tree.copy(&from)?;
    let (mutants, refused) = tree.mutate(&from, &MODULES.map(|module| module.folder))?;
    let mut ledger = Ledger::open(&work, &mutants, &refused)?;
    let until = Instant::now() + Duration::from_secs(60 * arguments.minutes);
    let slow = arguments.stage == Stage::Slow;
    let is_asked = |name: &str| arguments.module.is_empty() || arguments.module.iter().any(|it| it == name);
    let asked: Vec<&Module> = MODULES.iter().filter(|module| !arguments.table && is_asked(module.name())).collect();
    let folders: Vec<&str> = asked.iter().map(|module| module.folder).collect();
    let chosen = ledger.chosen(&folders, slow, arguments.sample, arguments.seed);
    for module in asked {
        let here = chosen.iter().filter(|(_, mutant)| mutant.file.starts_with(&format!("src/{}/", module.folder)));
        let pending =
            here.filter(|(_, mutant)| ledger.is_pending(slow, arguments.again, &mutant.key)).copied().collect();
        let files = if slow { module.slow } else { module.quick };
        let files = files.iter().filter_map(|file| file.split_once('/'));
        let files: Vec<(&str, &str)> =
            files.filter(|(_, file)| arguments.test.is_empty() || arguments.test.iter().any(|it| it == file)).collect();
        let mut names: Vec<&str> = files.iter().map(|(program, _)| *program).collect();
        names.dedup();
        // Without a name, cargo builds everything.
        let programs = if slow && names.is_empty() { Vec::new() } else { tree.build(&names, !slow)? };
        let tests = tests_of(module, &files, programs, &mutants, &work)?;
        trial::run(pending, &tests, arguments.jobs, until, &|verdict| ledger.note(slow, &verdict))?;
    }
    ledger = Ledger::open(&work, &mutants, &refused)?;
    print!("{}", ledger.table(&MODULES.map(|module| module.folder)));
    std::fs::write(work.join("missed.txt"), ledger.missed())?;
    Ok(())
}

/// The tests of a module that pass by themselves.
fn tests_of(
    module: &Module,
    files: &[(&str, &str)],
    programs: Vec<Program>,
    mutants: &[Mutant],
    work: &Path,
) -> Result<Vec<Test>, Box<dyn Error>> {
    let mut own = Vec::new();
    for program in programs {
        let own_files = files.iter().filter(|(folder, _)| *folder == program.name);
        let mut prefixes: Vec<String> = own_files.map(|(_, file)| format!("{file}::")).collect();
        if program.name == "lib" {
            prefixes.push(format!("{}::", module.folder.replace('/', "::")));
        }
        for mut test in trial::tests(&program, &prefixes)? {
            if test.note(work, mutants)? || test.note(work, mutants)? {
                own.push(test);
            } else {
                eprintln!("left out, because it fails without a mutant: {}", test.name);
            }
        }
    }
    eprintln!("{}: {} tests", module.folder, own.len());
    Ok(own)
}
