//! What is known of each mutant, kept in a file of lines.

use std::collections::{HashMap, HashSet};
use std::error::Error;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;

use crate::mutator::Mutant;
use crate::trial::Verdict;

pub struct Ledger<'a> {
    mutants: &'a [Mutant],
    refused: &'a HashSet<String>,
    /// The newest verdict and its test, of the quick tests and of the slow ones.
    verdicts: [HashMap<String, (String, String)>; 2],
    file: Mutex<File>,
}

impl<'a> Ledger<'a> {
    pub fn open(work: &Path, mutants: &'a [Mutant], refused: &'a HashSet<String>) -> Result<Self, Box<dyn Error>> {
        let path = work.join("results.tsv");
        let file = File::options().create(true).append(true).open(&path)?;
        let mut verdicts = [HashMap::new(), HashMap::new()];
        for line in fs::read_to_string(&path)?.lines() {
            if let [stage, verdict, by, key] = line.split('\t').collect::<Vec<_>>()[..] {
                verdicts[usize::from(stage == "slow")].insert(key.to_owned(), (verdict.to_owned(), by.to_owned()));
            }
        }
        Ok(Ledger { mutants, refused, verdicts, file: Mutex::new(file) })
    }

    pub fn note(&self, slow: bool, verdict: &Verdict) {
        let stage = if slow { "slow" } else { "quick" };
        let Ok(mut file) = self.file.lock() else { return };
        // One call a line: a run may be ended at any time.
        let line = format!("{stage}\t{}\t{}\t{}\n", verdict.verdict, verdict.by, verdict.key);
        file.write_all(line.as_bytes()).expect("the results cannot be written");
    }

    fn of(&self, folder: &str) -> impl Iterator<Item = (usize, &'a Mutant)> + use<'a> {
        let folder = format!("src/{folder}/");
        self.mutants.iter().enumerate().filter(move |(_, mutant)| mutant.file.starts_with(&folder))
    }

    /// One of `missed`, `unreached`, `caught`, `timed out`, `` (not run).
    fn verdict(&self, slow: bool, key: &str) -> &str {
        self.verdicts[usize::from(slow)].get(key).map_or("", |(verdict, _)| verdict)
    }

    /// What the quick tests are asked for, or the slow ones: these what the quick ones have missed, and of that a
    /// sample, which is the first `length` in an order that the seed gives.
    pub fn chosen(&self, folders: &[&str], slow: bool, sample: Option<usize>, seed: u64) -> Vec<(usize, &'a Mutant)> {
        let is_asked = |key: &str| !slow || is_missed(self.verdict(false, key));
        let all = folders.iter().flat_map(|folder| self.of(folder));
        let mut chosen: Vec<_> =
            all.filter(|(_, mutant)| !self.refused.contains(&mutant.key) && is_asked(&mutant.key)).collect();
        if let Some(length) = sample {
            chosen.sort_by_cached_key(|(_, mutant)| {
                let mut hasher = DefaultHasher::new();
                (seed, &mutant.key).hash(&mut hasher);
                hasher.finish()
            });
            chosen.truncate(length);
        }
        chosen
    }

    /// Whether a run has still to tell of it; `again` asks once more where it was missed.
    pub fn is_pending(&self, slow: bool, again: bool, key: &str) -> bool {
        let known = self.verdict(slow, key);
        known.is_empty() || again && is_missed(known) && !self.is_caught(key)
    }

    fn is_caught(&self, key: &str) -> bool {
        [false, true].iter().any(|slow| matches!(self.verdict(*slow, key), "caught" | "timed out"))
    }

    pub fn table(&self, folders: &[&str]) -> String {
        let mut table = String::from(
            "| module | mutants | do not compile | caught by quick tests | by slow ones | tests do not end | missed by both | by quick ones, not tried over sockets | not run |\n|---|---|---|---|---|---|---|---|---|\n",
        );
        for folder in folders {
            let mut counts = [0; 8];
            for (_, mutant) in self.of(folder) {
                let both = (self.verdict(false, &mutant.key), self.verdict(true, &mutant.key));
                counts[0] += 1;
                counts[match both {
                    _ if self.refused.contains(&mutant.key) => 1,
                    ("caught", _) => 2,
                    (_, "caught") => 3,
                    ("timed out", _) | (_, "timed out") => 4,
                    ("", _) => 7,
                    (_, "") => 6,
                    _ => 5,
                }] += 1;
            }
            let cells: String = counts.iter().map(|count| format!(" {count} |")).collect();
            let _ = writeln!(table, "| `{folder}` |{cells}");
        }
        table
    }

    /// Those that no test has told, a line each.
    pub fn missed(&self) -> String {
        let missed = self
            .mutants
            .iter()
            .filter(|mutant| is_missed(self.verdict(false, &mutant.key)) && !self.is_caught(&mutant.key));
        let line = |mutant: &Mutant| {
            let (quick, slow) = (self.verdict(false, &mutant.key), self.verdict(true, &mutant.key));
            format!("{quick}\t{slow}\t{}:{}\t{}\n", mutant.file, mutant.line, mutant.key)
        };
        missed.map(line).collect()
    }
}

fn is_missed(verdict: &str) -> bool {
    matches!(verdict, "missed" | "unreached")
}
