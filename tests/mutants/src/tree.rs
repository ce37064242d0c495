//! The copy that is mutated, and its building.

use std::collections::HashSet;
use std::error::Error;
use std::fs;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::visit_mut::VisitMut;
use syn::{Expr, LitInt};

use crate::mutator::{Constants, Mutant, Mutator, Names};

pub struct Tree {
    /// Where the copy lies.
    pub root: PathBuf,
    pub target: PathBuf,
}

/// A program of tests.
pub struct Program {
    /// `lib`, or the name of its folder below `tests/`.
    pub name: String,
    pub path: PathBuf,
}

impl Tree {
    /// Copies what lies at `from` but for the code. A file that is the same already is left alone, so that it is not
    /// built again.
    pub fn copy(&self, from: &Path) -> Result<(), Box<dyn Error>> {
        for entry in fs::read_dir(from)? {
            let entry = entry?;
            let name = entry.file_name();
            if ["target", ".git", "src"].iter().any(|left_out| name == *left_out) {
                continue;
            }
            let to = Tree { root: self.root.join(&name), target: PathBuf::new() };
            if entry.file_type()?.is_dir() {
                to.copy(&entry.path())?;
            } else if entry.file_type()?.is_file() {
                write(&to.root, &fs::read(entry.path())?)?;
                fs::set_permissions(&to.root, entry.metadata()?.permissions())?;
            }
        }
        Ok(())
    }

    /// Puts the mutants of all files of `folders` into the copy, those that the compiler refuses left out: their keys
    /// are the second value, and are kept in a file.
    pub fn mutate(&self, from: &Path, folders: &[&str]) -> Result<(Vec<Mutant>, HashSet<String>), Box<dyn Error>> {
        let mut files = Vec::new();
        list(&from.join("src"), &mut files)?;
        files.sort();
        let name = |file: &Path| file.strip_prefix(from).unwrap_or(file).to_string_lossy().into_owned();
        let is_in = |name: &str, folder: &str| name.ends_with(".rs") && name.starts_with(&format!("src/{folder}/"));
        let mut constants = Constants::new();
        let mut tests = HashSet::new();
        for file in files.iter().filter(|file| folders.iter().any(|folder| is_in(&name(file), folder))) {
            let mut names = Names::default();
            names.visit_file(&syn::parse_file(&fs::read_to_string(file)?)?);
            constants.insert(name(file), names.constants);
            tests.extend(names.tests.iter().map(|test| name(&file.with_file_name(test))));
        }
        constants.retain(|file, _| !tests.contains(file));
        let known = self.root.with_file_name("refused.txt");
        let mut refused: HashSet<String> =
            fs::read_to_string(&known).unwrap_or_default().lines().map(str::to_owned).collect();
        loop {
            let mut mutants = Vec::new();
            for file in &files {
                let (mut text, name) = (fs::read_to_string(file)?, name(file));
                if constants.contains_key(&name) {
                    let mut code = syn::parse_file(&text)?;
                    Mutator::new(&name, &constants, &refused, &mut mutants).visit_file_mut(&mut code);
                    text = prettyplease::unparse(&code);
                } else if name == "src/lib.rs" {
                    text += "\n#[doc(hidden)]\n#[allow(missing_docs)]\npub mod mutants;\n";
                }
                write(&self.root.join(name), text.as_bytes())?;
            }
            write(&self.root.join("src/mutants.rs"), include_bytes!("switch.rs"))?;
            let new = self.refused()?;
            if new.is_empty() {
                fs::write(known, refused.iter().map(|key| format!("{key}\n")).collect::<String>())?;
                return Ok((mutants, refused));
            }
            refused.extend(new.iter().map(|number| mutants[*number].key.clone()));
            eprintln!("{} mutants do not compile", refused.len());
        }
    }

    /// The mutants that the compiler does not take.
    fn refused(&self) -> Result<HashSet<usize>, Box<dyn Error>> {
        let mut refused = HashSet::new();
        for message in self.cargo(&["check", "--lib"])? {
            let message = &message["message"];
            if message["level"] != "error" || message["spans"].as_array().is_none_or(Vec::is_empty) {
                continue;
            }
            let spans = message["spans"].as_array().into_iter().flatten();
            let mut spans: Vec<&Value> = spans.collect();
            spans.sort_by_key(|span| span["is_primary"] != true);
            let numbers = spans.into_iter().find_map(|span| {
                let code = fs::read_to_string(self.root.join(span["file_name"].as_str()?)).ok()?;
                let at = span["byte_start"].as_u64()? as usize..span["byte_end"].as_u64()? as usize;
                let mut regions = Regions { around: at, smallest: None };
                regions.visit_file(&syn::parse_file(&code).ok()?);
                Some(regions.smallest?.1)
            });
            match numbers {
                Some(numbers) => refused.extend(numbers),
                None => return Err(format!("no mutant's error: {}", message["rendered"].as_str().unwrap_or("")).into()),
            }
        }
        Ok(refused)
    }

    /// Builds these programs of tests, and the tests beside the code.
    pub fn build(&self, tests: &[&str], beside: bool) -> Result<Vec<Program>, Box<dyn Error>> {
        let mut arguments = vec!["test", "--no-run"];
        arguments.extend(beside.then_some("--lib"));
        tests.iter().for_each(|program| arguments.extend(["--test", program]));
        let mut programs = Vec::new();
        for message in self.cargo(&arguments)? {
            if message["message"]["level"] == "error" {
                return Err(message["message"]["rendered"].as_str().unwrap_or("an error").into());
            }
            let target = &message["target"];
            let name = if target["kind"][0] == "lib" { Some("lib") } else { target["name"].as_str() };
            if message["profile"]["test"] == true
                && let (Some(path), Some(name)) = (message["executable"].as_str(), name)
            {
                programs.push(Program { name: name.to_owned(), path: path.into() });
            }
        }
        Ok(programs)
    }

    /// What cargo says, as JSON.
    fn cargo(&self, arguments: &[&str]) -> Result<Vec<Value>, Box<dyn Error>> {
        let mut cargo = Command::new("cargo");
        cargo
            .args(arguments)
            .arg("--message-format=json")
            .current_dir(&self.root)
            .env("CARGO_TARGET_DIR", &self.target);
        let output = cargo.stderr(Stdio::inherit()).output()?;
        let lines = String::from_utf8(output.stdout)?;
        let messages: Vec<Value> = lines.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        if !output.status.success() && !messages.iter().any(|message| message["message"]["level"] == "error") {
            return Err(format!("cargo {}: {}", arguments.join(" "), output.status).into());
        }
        Ok(messages)
    }
}

/// Looks for the smallest piece of code around a place that belongs to mutants.
struct Regions {
    around: Range<usize>,
    smallest: Option<(usize, Vec<usize>)>,
}

impl Regions {
    fn offer(&mut self, code: &impl Spanned, numbers: Vec<usize>) {
        let range = code.span().byte_range();
        let is_around = range.start <= self.around.start && self.around.end <= range.end;
        if is_around && !numbers.is_empty() && self.smallest.as_ref().is_none_or(|(size, _)| range.len() < *size) {
            self.smallest = Some((range.len(), numbers));
        }
    }
}

impl Visit<'_> for Regions {
    fn visit_expr(&mut self, expr: &Expr) {
        match expr {
            Expr::If(choice) => {
                self.offer(&choice.then_branch, number_of(&choice.cond));
                self.offer(choice, chain(expr));
            }
            // The operands of a choice: they are worked out before it.
            Expr::Match(operands) if operands.arms.len() == 1 => self.offer(operands, chain(&operands.arms[0].body)),
            Expr::Call(call) => {
                let numbers = call.args.iter().skip(1).flat_map(number);
                let is_constant = path(&call.func) == "crate::mutants::constant";
                self.offer(call, if is_constant { numbers.collect() } else { Vec::new() });
            }
            _ => {}
        }
        visit::visit_expr(self, expr);
    }

    fn visit_arm(&mut self, arm: &syn::Arm) {
        if let Some((_, guard)) = &arm.guard {
            let mut asked = Asked::default();
            asked.visit_expr(guard);
            self.offer(&arm.pat, asked.0);
        }
        visit::visit_arm(self, arm);
    }
}

/// All mutants of a choice: `if on(1) {} else if on(2) {} else {}`.
fn chain(expr: &Expr) -> Vec<usize> {
    let mut numbers = Vec::new();
    let mut next = Some(expr);
    while let Some(Expr::If(choice)) = next {
        numbers.extend(number_of(&choice.cond));
        next = choice.else_branch.as_ref().map(|(_, rest)| &**rest);
    }
    numbers
}

#[derive(Default)]
struct Asked(Vec<usize>);

impl Visit<'_> for Asked {
    fn visit_expr(&mut self, expr: &Expr) {
        self.0.extend(number_of(expr));
        visit::visit_expr(self, expr);
    }
}

fn number_of(expr: &Expr) -> Vec<usize> {
    match expr {
        Expr::Call(call) if path(&call.func) == "crate::mutants::on" => call.args.iter().filter_map(number).collect(),
        _ => Vec::new(),
    }
}

fn number(expr: &Expr) -> Option<usize> {
    let code = quote::ToTokens::to_token_stream(expr);
    syn::parse2::<LitInt>(code).ok()?.base10_parse().ok()
}

fn path(expr: &Expr) -> String {
    quote::ToTokens::to_token_stream(expr).to_string().replace(' ', "")
}

fn list(folder: &Path, files: &mut Vec<PathBuf>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            list(&path, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

fn write(file: &Path, text: &[u8]) -> Result<(), Box<dyn Error>> {
    if fs::read(file).is_ok_and(|old| old == text) {
        return Ok(());
    }
    fs::create_dir_all(file.parent().ok_or("no folder")?)?;
    Ok(fs::write(file, text)?)
}
