//! The comparison as a table that a person reads in a terminal of 80 columns.

use crate::measure::compare::comparison::{Comparison, Standing};
use crate::measure::compare::metric::Metric;
use crate::measure::compare::sentence;
use crate::measure::compare::verdict::{ROUNDS_MIN, Verdict};
use crate::measure::report::human;
use crate::measure::report::visible::{shortened, visible};

/// How wide the text is.
const WIDTH: usize = 80;

/// Columns for the name of a fact.
const FACT: usize = 10;

/// Columns that a name takes of a row of figures at most; a longer one has a line of its own.
const NAME: usize = 20;

/// The longest name of a first server that the head of a column tells.
const FIRST: usize = 7;

/// The comparison as text, with a line break at its end.
pub fn render(comparison: &Comparison) -> String {
    let mut text = Vec::new();
    for sentence in sentence::sentences(comparison).into_iter().chain(sentence::others(comparison)) {
        text.extend(wrapped(&visible(&sentence), WIDTH));
    }
    text.push(String::new());
    let rounds = format!("{}, each with a fresh process of every server in turn", rounds(comparison));
    for (name, value) in comparison.facts().into_iter().chain([("rounds", rounds)]) {
        text.extend(headed(&format!("{name:<FACT$}"), &visible(&value)));
    }
    text.push(String::new());
    text.extend(figures(comparison));
    let notes = notes(comparison);
    text.extend(notes.first().map(|_| String::new()));
    text.extend(notes.iter().flat_map(|note| headed("*", &visible(note))));
    text.join("\n") + "\n"
}

/// Lines of a text behind a head, which the first of them has.
fn headed(head: &str, text: &str) -> Vec<String> {
    let indent = head.chars().count();
    let lines = wrapped(text, WIDTH - indent - 1).into_iter().enumerate();
    lines.map(|(index, line)| format!("{:<indent$} {line}", if index == 0 { head } else { "" })).collect()
}

/// A block of rows for each figure. All blocks have the same columns, which are as wide as what stands in them.
fn figures(comparison: &Comparison) -> Vec<String> {
    let ratio = match &comparison.servers[..] {
        [first, _, ..] if first.name.chars().count() <= FIRST => format!("ratio to {}", visible(&first.name)),
        [_, _, ..] => "ratio to first".to_owned(),
        _ => String::new(),
    };
    let mut rows = vec![[String::new(), "median".to_owned(), "min–max".to_owned(), ratio, String::new()]];
    let mut widths = [0; CELLS];
    for metric in Metric::ALL.into_iter().filter(|metric| comparison.has(*metric)) {
        let better = if metric.higher_is_better() { "more" } else { "less" };
        let title = format!("{} ({better} is better)", comparison.title(metric));
        rows.push([title, String::new(), String::new(), String::new(), String::new()]);
        let standings = comparison.servers.iter().zip(comparison.standings(metric));
        rows.extend(standings.map(|(server, standing)| cells(metric, &server.name, &standing)));
    }
    // A title, which stands alone, widens no column.
    for row in rows.iter().filter(|row| has_figures(row)) {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    // What is left for names beside the other columns, each of which is set off by two spaces.
    let others: usize = widths[1..].iter().map(|width| width + 2).sum();
    widths[0] = widths[0].min(NAME).min(WIDTH.saturating_sub(others));
    rows.iter().flat_map(|row| lines(row, &widths)).collect()
}

fn has_figures(row: &[String; CELLS]) -> bool {
    row[1..].iter().any(|cell| !cell.is_empty())
}

/// The cells of a row: a name, a median, a range, a ratio, a verdict. A title has the name alone.
const CELLS: usize = 5;

/// How many rounds there were.
fn rounds(comparison: &Comparison) -> String {
    let had = comparison.servers.iter().map(|server| server.rounds.len());
    match (had.clone().min().unwrap_or(0), had.max().unwrap_or(0)) {
        (least, _) if least == comparison.rounds => format!("{least}"),
        (least, most) if least == most => format!("{least} of {}", comparison.rounds),
        (least, most) => format!("{least} to {most} of {}", comparison.rounds),
    }
}

fn cells(metric: Metric, name: &str, standing: &Standing) -> [String; CELLS] {
    let name = format!("  {}", shortened(name, WIDTH - 2));
    let Some(summary) = standing.summary else {
        return [name, "-".to_owned(), "not measured".to_owned(), String::new(), String::new()];
    };
    let show = |value: f64| match metric {
        // Longer ones would leave no room for the ratio and the verdict.
        Metric::MessagesPerSecond if value >= 1e7 => human::rate_tick(value),
        _ => metric.show(value),
    };
    let range = format!("{}–{}", show(summary.min), show(summary.max));
    let ratio = standing.ratio.map_or_else(String::new, |ratio| {
        let [median, min, max] = [ratio.median, ratio.min, ratio.max].map(human::ratio);
        format!("{median} ({min}–{max})")
    });
    let verdict = standing.verdict.map_or("", Verdict::name).to_owned();
    [name, metric.show(summary.median), range, ratio, verdict]
}
/// A row in columns of these widths. A name that is too long for its own has a line of its own above.
fn lines(cells: &[String; CELLS], widths: &[usize; CELLS]) -> Vec<String> {
    let [name, figures @ ..] = cells;
    let is_apart = name.chars().count() > widths[0] && has_figures(cells);
    let [median, rest @ ..] = figures;
    let mut line = format!("{:<1$}", if is_apart { "" } else { name }, widths[0]);
    line.push_str(&format!("  {median:>0$}", widths[1]));
    for (cell, width) in rest.iter().zip(&widths[2..]) {
        line.push_str(&format!("  {cell:<width$}"));
    }
    let line = line.trim_end().to_owned();
    let mut lines = if is_apart { vec![name.clone()] } else { Vec::new() };
    match line.chars().count() <= WIDTH {
        true => lines.push(line),
        // Figures of that length are in no column any more, but each is on one line.
        false => lines.extend(wrapped(line.trim_start(), WIDTH - 4).into_iter().map(|line| format!("    {line}"))),
    }
    lines
}

/// What has to be known beside the figures.
fn notes(comparison: &Comparison) -> Vec<String> {
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
    notes
}

/// Text in lines of at most `width` characters, broken at spaces where there are any.
fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let mut word: Vec<char> = word.chars().collect();
        loop {
            let used = lines.last().map_or(0, |line| line.chars().count());
            let space = usize::from(used > 0);
            if used + space + word.len() <= width {
                if let Some(line) = lines.last_mut() {
                    line.extend(std::iter::repeat_n(' ', space).chain(word));
                }
                break;
            }
            if used == 0 {
                let rest = word.split_off(width);
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
    use crate::measure::compare::comparison::Failure;
    use crate::measure::compare::repeats::{Repeat, Repeated};
    use crate::measure::compare::round::doubt_in_words;
    use crate::measure::compare::samples::{comparison, server};
    use crate::measure::load::outcome::Doubt;

    #[test]
    fn every_line_fits_into_80_columns() {
        let mut bad = server("a-name-of-many-letters\x1b[m", &[1e6, 1.23e6, 9.87654e5, 1e6]);
        bad.failure = Some(Failure { round: 5, reason: ["why"; 60].join(" "), output: Vec::new() });
        let mut comparison = comparison(vec![server("first", &[100.0, 110.0, 105.0, 102.0, 103.0]), bad]);
        comparison.is_interrupted = true;
        comparison.conditions.command = "x".repeat(300);
        let text = render(&comparison);
        for line in text.lines() {
            assert!(line.chars().count() <= 80, "{line}");
            assert_eq!(line, line.trim_end());
        }
        assert!(!text.contains('\x1b'));
        for words in ["4 to 5 of 5", "failed in round 5: why", "it was interrupted", "better", "ratio to first"] {
            assert!(text.contains(words), "'{words}' is not in:\n{text}");
        }
    }

    #[test]
    fn figures_of_any_length_fit_and_names_stay_whole() {
        let rates = [1e8, 1.2345e8, 1.5e8, 1e8, 1e8];
        let servers = || [server("1st", &[9.0, 10.0, 11.0, 9.5, 1.5]), server("a-build-with-some-options", &rates)];
        let text = render(&comparison(servers().to_vec()));
        assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
        let at = text.lines().position(|line| line == "  a-build-with-some-options").expect("a line of its own");
        let row = text.lines().nth(at + 1).unwrap();
        assert!(row.ends_with(" better"), "{text}");
        assert!(row.contains("100,000,000  100M–150M        12.3M (10.5M–66.7M)     better"), "{text}");
        let cells = ["  a", "1", "2", "3", "4"].map(|cell| cell.repeat(25));
        assert!(lines(&cells, &[25; CELLS]).iter().all(|line| line.chars().count() <= 80));
        // A short name stands beside its figures, with every column that there is.
        let usual = [88_407.0, 90_948.0, 90_028.0, 90_100.0, 90_200.0];
        let text = render(&comparison(vec![server("cooee", &usual), server("asyncio", &usual)]));
        let row = text.lines().find(|line| line.starts_with("  asyncio")).unwrap();
        assert_eq!(row, "  asyncio   90,100  88,407–90,948    1.00 (1.00–1.00)  no difference shown");
        let head = text.lines().find(|line| line.contains("median  ")).unwrap();
        assert_eq!(head, "            median  min–max          ratio to cooee");
        let long = render(&comparison(vec![server("a-server", &usual), server("asyncio", &usual)]));
        assert!(long.contains("  ratio to first\n"), "{long}");
    }

    #[test]
    fn what_has_come_out_is_said_first() {
        let text = render(&comparison(vec![server("one", &[5.0; 4]), server("other", &[6.0; 4])]));
        assert!(text.starts_with("other was better than one: 1.20 times its messages a second (1.20–1.20)."), "{text}");
        assert_eq!(text.matches("\n\n").count(), 3, "a blank line between parts: {text}");
    }

    #[test]
    fn a_row_tells_median_range_ratio_and_verdict() {
        let rates = [100.0, 110.0, 105.0, 102.0, 103.0];
        let text = render(&comparison(vec![server("one", &rates), server("other", &rates)]));
        let row = text.lines().find(|line| line.starts_with("  other")).unwrap();
        let words: Vec<&str> = row.split_whitespace().collect();
        assert_eq!(words.join(" "), "other 103 100–110 1.00 (1.00–1.00) no difference shown");
        assert!(text.contains("* no difference shown: the two ranges overlap"));
        assert!(!text.contains("doubtful") && !text.contains("too few"));
    }

    #[test]
    fn what_was_measured_again_is_told() {
        let mut one = server("one", &[5.0; 5]);
        let (what, attempt) = (Repeated::Round, Some(1));
        one.repeats = vec![Repeat { round: 3, what, attempt, reason: "9.0 % of the messages left late".to_owned() }];
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
        let long = "y".repeat(69 + 5);
        assert_eq!(wrapped(&format!("a b {long} c"), 69), ["a b", &"y".repeat(69), "yyyyy c"]);
        assert_eq!(wrapped("", 69), [""]);
    }
    #[test]
    fn what_has_to_be_known_is_told_below_and_nothing_where_there_is_nothing() {
        let mut comparison = comparison(vec![server("one", &[5.0; 3]), server("other", &[6.0; 3])]);
        comparison.servers[1].rounds[1].others_on_generator_core = Some(0.5);
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
        assert_eq!(wrapped(&format!("{} {}", word(60), word(8)), 69).len(), 1);
        assert_eq!(wrapped(&format!("{} {}", word(60), word(9)), 69).len(), 2);
    }
}
