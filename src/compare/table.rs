//! The comparison as a table that a person reads in a terminal of 100 columns.

use std::fmt::Write;

use crate::compare::comparison::{Comparison, Standing};
use crate::compare::metric::Metric;
use crate::compare::verdict::{ROUNDS_MIN, Verdict};
use crate::report::human;
use crate::report::visible::{shortened, visible};

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
        for (index, line) in wrapped(&visible(&value)).iter().enumerate() {
            writeln!(text, "{:<10} {line}", if index == 0 { name.as_str() } else { "" })?;
        }
    }
    writeln!(text, "{:<10} {}, each with a fresh process of every server in turn", "rounds", rounds(comparison))?;

    let ratio = match &comparison.servers[..] {
        [first, _, ..] => format!("ratio to {}", visible(&first.name)),
        _ => String::new(),
    };
    writeln!(text, "\n{}", columns("", "median", "min - max", &ratio, ""))?;
    for metric in Metric::ALL.into_iter().filter(|metric| comparison.has(*metric)) {
        let better = if metric.higher_is_better() { "more" } else { "less" };
        writeln!(text, "{} ({better} is better)", comparison.title(metric))?;
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
    let name = shortened(name, NAME);
    let Some(summary) = standing.summary else { return columns(&name, "-", "not measured", "", "") };
    let range = format!("{} - {}", metric.show(summary.min), metric.show(summary.max));
    let ratio = standing.ratio.map_or_else(String::new, |ratio| {
        format!("{} ({} - {})", human::rate(ratio.median), human::rate(ratio.min), human::rate(ratio.max))
    });
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
    let mut notes: Vec<String> = comparison
        .failures()
        .map(|(server, failure)| format!("{} failed in round {}: {}", server.name, failure.round, failure.reason))
        .collect();
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
    let repeated = comparison.repeated_rounds();
    if repeated > 0 {
        let times = if repeated == 1 { "once".to_owned() } else { format!("{repeated} times") };
        notes.push(format!(
            "a round was measured again {times}, each server in turn: in it the generator was the bottleneck, or late"
        ));
    }
    notes.extend(comparison.disturbance());
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
        for (index, line) in wrapped(&visible(&note)).iter().enumerate() {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::comparison::{Failure, Repeat, Repeated};
    use crate::compare::round::doubt_in_words;
    use crate::compare::samples::{comparison, server};
    use crate::load::outcome::Doubt;

    #[test]
    fn every_line_fits_into_100_columns() {
        let mut bad = server("a-name-of-many-letters\x1b[m", &[1e6, 1.23e6, 9.87654e5, 1e6]);
        bad.failure = Some(Failure { round: 5, reason: ["why"; 60].join(" "), output: Vec::new() });
        let mut comparison = comparison(vec![server("first", &[100.0, 110.0, 105.0, 102.0, 103.0]), bad]);
        comparison.is_interrupted = true;
        comparison.conditions.command = "x".repeat(300);
        let text = render(&comparison);
        for line in text.lines() {
            assert!(line.chars().count() <= 100, "{line}");
            assert_eq!(line, line.trim_end());
        }
        assert!(!text.contains('\x1b'));
        for words in ["4 to 5 of 5", "failed in round 5: why", "it was interrupted", "better", "ratio to first"] {
            assert!(text.contains(words), "'{words}' is not in:\n{text}");
        }
    }

    #[test]
    fn a_row_tells_median_range_ratio_and_verdict() {
        let rates = [100.0, 110.0, 105.0, 102.0, 103.0];
        let text = render(&comparison(vec![server("one", &rates), server("other", &rates)]));
        let row = text.lines().find(|line| line.starts_with("  other")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words.join(" "), "other 103 100 - 110 1.00 (1.00 - 1.00) no difference shown");
        assert!(text.contains("* no difference shown: the two ranges overlap"));
        assert!(!text.contains("doubtful") && !text.contains("too few"));
    }

    #[test]
    fn what_was_measured_again_is_told() {
        let mut one = server("one", &[5.0; 5]);
        let what = Repeated::Round { attempt: 1 };
        one.repeats = vec![Repeat { round: 3, what, reason: "9.0 % of the messages left late".to_owned() }];
        let text = render(&comparison(vec![one, server("other", &[5.0; 5])]));
        assert!(text.contains("* a round was measured again once, each server in turn"), "{text}");
        assert!(text.contains("* one, round 3: measured again, because 9.0 % of the messages left late"), "{text}");
        assert!(!text.contains("doubtful"), "{text}");
    }

    #[test]
    fn nothing_at_all_can_be_told_too() {
        assert!(render(&comparison(vec![])).contains("rounds     0 of 5"));
        let text = render(&comparison(vec![server("alone", &[5.0; 5])]));
        assert!(!text.contains("ratio to") && text.contains("alone"), "{text}");
        let text = render(&comparison(vec![server("one", &[5.0; 5]), server("none", &[])]));
        assert!(text.contains("not measured"), "{text}");
    }

    #[test]
    fn lines_are_broken_at_spaces_and_long_words_anywhere() {
        let long = "y".repeat(FACT + 5);
        assert_eq!(wrapped(&format!("a b {long} c")), ["a b", &"y".repeat(FACT), "yyyyy c"]);
        assert_eq!(wrapped(""), [""]);
    }
    #[test]
    fn what_has_to_be_known_is_told_below_and_nothing_where_there_is_nothing() {
        let mut comparison = comparison(vec![server("one", &[5.0; 3]), server("other", &[6.0; 3])]);
        comparison.servers[1].rounds[1].others = Some((0.0, 0.5));
        comparison.servers[1].rounds[2].lost = 7;
        let text = render(&comparison);
        for words in ["too few rounds: with", "the machine was not quiet", "other, round 3: 7 datagrams"] {
            assert!(text.contains(&format!("* {words}")), "'{words}' is not in:\n{text}");
        }
        comparison.servers.truncate(1);
        comparison.rounds = 3;
        let text = render(&comparison);
        assert!(text.contains("rounds     3, each"), "{text}");
        assert!(!text.contains("* ") && !text.ends_with("\n\n"), "{text}");
        comparison.servers[0].rounds[0].doubts.push(doubt_in_words(Doubt::Saturated(1.0)));
        comparison.servers.push(server("other", &[6.0; 3]));
        assert!(render(&comparison).contains("* doubtful: in some round"));
    }

    #[test]
    fn a_line_is_filled_to_its_last_column() {
        let word = |length| "z".repeat(length);
        assert_eq!(wrapped(&format!("{} {}", word(80), word(FACT - 81))).len(), 1);
        assert_eq!(wrapped(&format!("{} {}", word(80), word(FACT - 80))).len(), 2);
    }
}
