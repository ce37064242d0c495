//! The comparison as a table that a person reads in a terminal of 100 columns.

use std::fmt::Write;

use crate::compare::comparison::{Comparison, Standing};
use crate::compare::metric::Metric;
use crate::compare::verdict::{ROUNDS_MIN, Verdict};
use crate::protocol::escape::Escaped;

/// Columns for a name, which has no more characters.
const NAME: usize = 20;

/// Columns for the words behind the name of a fact, where a line is broken.
const FACT: usize = 86;

/// The comparison as text, with a line break at its end.
pub fn render(comparison: &Comparison) -> String {
    let mut text = String::new();
    // Writing to a string does not fail.
    let _ = write_all(comparison, &mut text);
    text
}

fn write_all(comparison: &Comparison, text: &mut String) -> std::fmt::Result {
    for (name, value) in comparison.facts() {
        for (index, line) in wrapped(&Escaped(&value).to_string()).iter().enumerate() {
            writeln!(text, "{:<10} {line}", if index == 0 { name.as_str() } else { "" })?;
        }
    }
    writeln!(text, "{:<10} {}, each with a fresh process of every server in turn", "rounds", rounds(comparison))?;

    let ratio = match &comparison.servers[..] {
        [first, _, ..] => format!("ratio to {}", Escaped(&first.name)),
        _ => String::new(),
    };
    writeln!(text, "\n{}", columns("", "median", "min - max", &ratio, ""))?;
    for metric in Metric::ALL.into_iter().filter(|metric| comparison.has(*metric)) {
        let better = if metric.higher_is_better() { "more" } else { "less" };
        writeln!(text, "{} ({better} is better)", metric.title())?;
        for (server, standing) in comparison.servers.iter().zip(comparison.standings(metric)) {
            writeln!(text, "{}", row(metric, &server.name, &standing))?;
        }
    }
    notes(comparison, text)
}

/// How many rounds there were.
fn rounds(comparison: &Comparison) -> String {
    let had = comparison.servers.iter().map(|server| server.rounds.len());
    match (had.clone().min().unwrap_or(0), had.max().unwrap_or(0)) {
        (least, _) if least == comparison.rounds => format!("{least}"),
        (least, most) if least == most => format!("{least} of {}", comparison.rounds),
        (least, most) => format!("{least} to {most} of {}", comparison.rounds),
    }
}

fn row(metric: Metric, name: &str, standing: &Standing) -> String {
    let name = Escaped(name).to_string();
    let Some(summary) = standing.summary else { return columns(&name, "-", "not measured", "", "") };
    let range = format!("{} - {}", metric.show(summary.min), metric.show(summary.max));
    let ratio = standing
        .ratio
        .map_or_else(String::new, |ratio| format!("{:.2} ({:.2} - {:.2})", ratio.median, ratio.min, ratio.max));
    let verdict = standing.verdict.map_or("", Verdict::name);
    columns(&name, &metric.show(summary.median), &range, &ratio, verdict)
}

fn columns(name: &str, median: &str, range: &str, ratio: &str, verdict: &str) -> String {
    let line = format!("  {name:<NAME$} {median:>11}  {range:<21} {ratio:<18} {verdict}");
    line.trim_end().to_owned()
}

/// What has to be known beside the figures.
fn notes(comparison: &Comparison, text: &mut String) -> std::fmt::Result {
    let verdicts: Vec<Verdict> = Metric::ALL
        .into_iter()
        .flat_map(|metric| comparison.standings(metric))
        .filter_map(|standing| standing.verdict)
        .collect();
    let has = |verdict| verdicts.contains(&verdict);
    let mut notes = Vec::new();
    if has(Verdict::NoDifference) {
        notes.push(
            "no difference shown: the two ranges overlap, so the figures do not tell which server is better".to_owned(),
        );
    }
    if has(Verdict::TooFewRounds) {
        notes.push(format!(
            "too few rounds: with fewer than {ROUNDS_MIN} of each, ranges lie apart by chance too often"
        ));
    }
    if has(Verdict::Doubtful) {
        notes
            .push("doubtful: in some round the generator was the bottleneck, or late; so nothing is called".to_owned());
    }
    for (server, remark) in comparison.remarks() {
        notes.push(format!("{server}, {remark}"));
    }
    if comparison.is_interrupted {
        notes.push("it was interrupted: the round that was under way is not counted".to_owned());
    }
    if !notes.is_empty() {
        writeln!(text)?;
    }
    for note in notes {
        for (index, line) in wrapped(&Escaped(&note).to_string()).iter().enumerate() {
            writeln!(text, "{} {line}", if index == 0 { "*" } else { " " })?;
        }
    }
    Ok(())
}

/// Text in lines of at most [`FACT`] characters, broken at spaces where there are any.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let used = lines.last().map_or(0, |line| line.chars().count());
            let space = usize::from(used > 0);
            if used + space + word.len() <= FACT {
                if let Some(line) = lines.last_mut() {
                    line.extend(std::iter::repeat_n(' ', space).chain(word));
                }
                break;
            }
            if used == 0 {
                let rest = word.split_off(FACT);
                lines.pop();
                lines.push(word.into_iter().collect());
                word = rest;
            }
            lines.push(String::new());
        }
    }
    lines
}
