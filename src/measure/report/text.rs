//! Reports for a person at a terminal: in 80 columns, without colours, and with nothing in them that has power over a
//! terminal.

use crate::measure::report::visible::{shortened, visible};
use crate::measure::report::{Loop, Report, advice, distribution, figures, human, side_by_side, verdict, words};

/// How wide the text is.
const WIDTH: usize = 80;

/// How wide the names of figures are.
const NAME: usize = 14;

/// How wide a column of figures is.
const COLUMN: usize = 16;

/// How long the bar of the fullest step is.
const BAR: usize = 30;

/// One report, with a line break at its end.
pub fn text(report: &Report) -> String {
    let mut lines = wrapped(&verdict::sentence(report), 0);
    lines.extend(wrapped(&words::headline(report), 0));
    for (heading, sentences) in words::warnings(report).into_iter().chain(words::objective(report)) {
        lines.extend([String::new(), heading.to_owned()]);
        lines.extend(sentences.iter().flat_map(|sentence| wrapped(sentence, 2)));
    }
    lines.push(String::new());
    lines.extend(traffic(report));
    lines.push(String::new());
    lines.extend(latencies(report));
    lines.extend(spread(report));
    lines.push(String::new());
    lines.extend(errors(report));
    lines.join("\n") + "\n"
}

/// Columns that fit beside each other.
const BESIDE: usize = 3;

/// Several reports, a column each, with a line break at the end. The names are those of their files.
pub fn side_by_side(reports: &[(String, Report)]) -> String {
    let mut lines = wrapped(&side_by_side::sentence(reports), 0);
    let mut parts = vec![(String::new(), side_by_side::figures(reports))];
    if let [(first, _), _, ..] = reports {
        let ratios = side_by_side::ratios(reports);
        parts.insert(0, (format!("ratio to {}:", shortened(first, WIDTH / 2)), ratios));
        parts.push(("conditions that differ:".to_owned(), side_by_side::differences(reports)));
    }
    parts.retain(|(_, rows): &(_, Vec<side_by_side::Row>)| !rows.is_empty());
    for from in (0..reports.len()).step_by(BESIDE) {
        let columns = from..reports.len().min(from + BESIDE);
        let row = |name: &str, cells: &[String]| {
            let cells: String =
                cells[columns.clone()].iter().map(|cell| format!("  {:>COLUMN$}", shortened(cell, COLUMN))).collect();
            format!("{:<COLUMN$}{cells}", shortened(name, COLUMN)).trim_end().to_owned()
        };
        let names: Vec<String> = reports.iter().map(|(name, _)| name.clone()).collect();
        lines.extend([String::new(), row("", &names)]);
        for (index, (heading, rows)) in parts.iter().enumerate() {
            // The first part follows the names of the columns.
            lines.extend((index > 0).then(String::new));
            lines.extend(Some(heading.clone()).filter(|heading| !heading.is_empty()));
            lines.extend(rows.iter().map(|(name, cells)| row(name, cells)));
        }
    }
    for (name, report) in reports {
        for (heading, sentences) in words::warnings(report) {
            lines.extend([String::new(), format!("{}:", shortened(name, WIDTH / 2)), heading.to_owned()]);
            lines.extend(sentences.iter().flat_map(|sentence| wrapped(sentence, 2)));
        }
    }
    lines.join("\n") + "\n"
}

fn named(name: &str, value: &str) -> String {
    format!("{name:<NAME$}{value}")
}

fn traffic(report: &Report) -> Vec<String> {
    let (rate, bytes) = (human::rate(report.messages_per_s), human::bytes(report.bytes_per_s));
    let throughput = format!("{rate} messages/s, {bytes}/s");
    let mut lines = vec![
        named("messages", &words::messages(report)),
        named("throughput", &throughput),
        named("generator CPU", &words::cpu(report)),
    ];
    lines.extend(words::server_cpu(report).map(|words| named("server CPU", &words)));
    lines
}

fn latencies(report: &Report) -> Vec<String> {
    if report.messages == 0 {
        return vec![named("latency", "none: no message was answered")];
    }
    let title = words::latency_title(report);
    let mut lines = vec![match report.pace {
        Loop::Open => format!("{title:<NAME$}{:>COLUMN$}{:>COLUMN$}", "from due time", "from the send"),
        Loop::Closed => title.to_owned(),
    }];
    lines.extend(wrapped(&words::of_how_many(report), 2));
    for row in figures::latency_rows(report) {
        let cells: String = row[1..].iter().map(|cell| format!("{cell:>COLUMN$}")).collect();
        lines.push(format!("  {:<12}{cells}", row[0]));
    }
    lines.extend(words::latency_notes(report).iter().flat_map(|note| wrapped(note, 2)));
    lines
}

/// A small histogram: a bar for each step.
fn spread(report: &Report) -> Vec<String> {
    let steps = distribution::steps(&report.histogram);
    let Some(most) = steps.iter().map(|step| step.count).max() else { return Vec::new() };
    let by = if report.ends_with_first_bytes() { "time to first bytes" } else { "latency" };
    let mut lines = vec![String::new(), format!("messages by {by} (the bars' scale is logarithmic)")];
    for step in &steps {
        // A bar as long as the count would hide the few slow ones, which are what matters.
        let part = (step.count as f64).ln_1p() / (most as f64).ln_1p();
        let bar = "#".repeat((part * BAR as f64).ceil() as usize);
        let (low, high) = (human::latency_tick(step.low), human::latency_tick(step.high));
        lines.push(format!("  {low:>7} - {high:>7}  {:>15}  {bar}", human::count(step.count)).trim_end().to_owned());
    }
    lines
}

fn errors(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    let known = |count: Option<u64>| count.map_or("unknown".to_owned(), human::count);
    if report.pace == Loop::Open {
        lines.push(named("late sends", &format!("{} of {}", human::count(report.late), human::count(report.sent))));
    }
    lines.extend(words::held(report).map(|words| named("held back", &words)));
    lines.extend(words::ended(report).map(|words| named("connections", &words)));
    let [lost, duplicated, reordered, corrupt] =
        [report.lost, report.duplicated, report.reordered, report.corrupt].map(known);
    let replies = format!("{lost} lost, {duplicated} duplicated, {reordered} reordered, {corrupt} corrupt");
    lines.push(named("replies", &replies));
    if let Some(bytes) = report.surplus_bytes.filter(|_| report.surplus.is_some_and(|times| times > 0)) {
        lines.push(named("surplus", &format!("{} bytes that no message waited for", human::count(bytes))));
    }
    let errors = words::errors(report);
    let count = if errors.is_empty() { "none".to_owned() } else { human::count(report.error_count()) };
    lines.push(named("errors", &count));
    for (kind, count) in errors {
        lines.push(format!("  {} {}", human::count(count), shortened(kind, WIDTH / 2)));
        lines.extend(wrapped(advice::error(kind), 4));
    }
    lines.extend(words::untold(report).iter().flat_map(|sentence| wrapped(sentence, 0)));
    lines
}

/// The visible words of a text in lines of [`WIDTH`] columns, each behind `indent` spaces.
fn wrapped(text: &str, indent: usize) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in visible(text).split(' ') {
        match lines.last_mut() {
            Some(line) if line.chars().count() + 1 + word.chars().count() <= WIDTH => {
                line.push(' ');
                line.push_str(word);
            }
            _ => lines.push(format!("{:indent$}{word}", "")),
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    #[test]
    fn a_closed_loop_has_one_column() {
        let text = text(&runs::closed());
        let (verdict, rest) = text.split_once('\n').unwrap();
        assert_eq!(verdict, "14,251 messages/s, valid.");
        assert!(rest.starts_with("tcp://127.0.0.1:9000: closed loop, 50 connections, 10.0 s\n"), "{text}");
        assert!(!text.contains("from due time") && text.contains("errors        none"), "{text}");
        assert!(text.contains("messages/s, ") && text.contains(" a message"));
    }

    #[test]
    fn an_open_loop_has_two_columns_and_says_why_they_differ() {
        let text = text(&runs::stopped_server());
        assert!(text.contains("from due time   from the send"), "{text}");
        assert!(text.contains("coordinated omission"), "{text}");
        let p99 = text.lines().find(|line| line.trim_start().starts_with("p99 ")).unwrap();
        assert!(p99.contains("1.90 s") && p99.contains("1.01 ms"), "{p99}");
    }

    #[test]
    fn a_generator_that_polled_says_so_and_how_much_of_it_was_idle() {
        let mut report = runs::closed();
        (report.generator_cpu_s, report.generator_idle_polling_s) = (10.0, Some(7.5));
        report.conditions[0].options.insert("busy-poll".to_owned(), "1ms".to_owned());
        let text = text(&report);
        assert!(
            text.contains("\ntcp://127.0.0.1:9000: closed loop, 50 connections, busy poll 1ms, 10.0 s\n"),
            "{text}"
        );
        let cpu = text.lines().find(|line| line.starts_with("generator CPU")).unwrap();
        let each = human::latency(2.5e9 / report.replies as f64);
        assert_eq!(cpu, format!("generator CPU 10.0 s (100 % of a core), 7.50 s of it idle, {each} a message"));
    }

    #[test]
    fn trouble_is_loud_and_comes_with_advice() {
        let text = text(&runs::troubled());
        for words in ["INVALID", "left more than", "INTERRUPTED", "WRONG REPLY", "connection 3", "byte 17", "ulimit -n"]
        {
            assert!(text.contains(words), "{words}: {text}");
        }
        let place = |words: &str| text.find(words).unwrap();
        assert!(place("INVALID") < place("throughput"), "before the figures");
        assert!(place("no-descriptor") < place("reset"), "in the order of the kinds");
    }

    #[test]
    fn a_run_too_small_to_tell_says_so() {
        let said = |sent, late, duration_s| text(&Report { sent, late, duration_s, ..runs::stopped_server() });
        for (sent, late) in [(10, 0), (10, 1), (99, 0), (300, 4)] {
            let text = said(sent, late, 10.0);
            assert!(text.contains(&format!("\n{sent} messages are too few to tell")), "{late} of {sent}: {text}");
        }
        for (sent, late) in [(10, 2), (100, 1), (300, 3), (10_000, 100)] {
            assert!(!said(sent, late, 10.0).contains("too few to tell"), "{late} of {sent}");
        }
        assert!(said(10_000, 0, 0.05).contains("\n50.0 ms are too short to tell"));
        assert!(!said(10_000, 0, 10.0).contains("too short"));
    }

    #[test]
    fn each_count_has_its_line() {
        let text = text(&runs::troubled());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[2], "tcp://127.0.0.1:9000: open loop, 50 connections, 4.20 s", "behind the verdict");
        for line in [
            "messages      4,209 due, 4,207 sent, 4,200 answered",
            "server CPU    900 ms (21.4 % of a core), 214 µs a message",
            "  closed loop, 50 in flight: 1,000 messages/s (2.21 ms)",
            "  confirming 1,000 messages/s: this program was too slow to tell (2.21 ms)",
            "late sends    168 of 4,207",
            "held back     40 of 4,207 waited 900 ms for this program's connections",
            "connections   17 ended by the server after answers, opened anew at once",
            "replies       0 lost, unknown duplicated, 0 reordered, 1 corrupt",
        ] {
            assert!(lines.contains(&line), "no line '{line}' in {text}");
        }
        let calm = super::text(&runs::closed());
        for name in ["late sends", "held back", "connections   ", "surplus", " due, "] {
            assert!(!calm.contains(name), "{name} in {calm}");
        }
    }

    #[test]
    fn nothing_measured_is_said() {
        let text = text(&runs::nothing());
        assert!(text.contains("no message was answered") && text.contains("refused"), "{text}");
        assert!(text.contains("\nINVALID: there are no figures.\n  Nothing was measured: 50 refused."), "{text}");
        let old = Report { valid: true, doubts: Vec::new(), ..runs::nothing() };
        assert!(
            super::text(&old).contains("\nINVALID: there are no figures.\n  50 refused."),
            "so an older report says"
        );
    }

    #[test]
    fn percentiles_say_of_how_many_messages_they_are_and_who_waited_in_vain() {
        let text = super::text(&runs::troubled());
        assert!(text.contains("\n  of 4,200 of 4,209 messages; 9 waited in vain, for up to 2.50 s\n"), "{text}");
        let all = super::text(&runs::stopped_server());
        assert!(all.contains("\n  of 10,000 of 10,000 messages\n  p50 "), "{all}");
        let table = side_by_side(&[("a".to_owned(), runs::troubled()), ("b".to_owned(), runs::closed())]);
        let row = |name: &str| table.lines().find(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(row("in vain").split_whitespace().eq(["in", "vain", "9", "0"]), "{table}");
        assert!(row("longest in vain").contains("2.50 s") && row("p95").contains(" ms"), "{table}");
    }

    #[test]
    fn a_percentile_that_so_few_messages_cannot_tell_is_not_told() {
        let text = super::text(&runs::few());
        let row = |name: &str| text.lines().find(|line| line.trim_start().starts_with(name)).unwrap().trim().to_owned();
        assert!(row("p95 ").ends_with("ms") || row("p95 ").ends_with("µs"), "{text}");
        for name in ["p99 ", "p99.9 ", "p99.99 "] {
            assert!(row(name).ends_with(figures::UNKNOWN), "{text}");
        }
        assert!(text.contains("Fewer than 100 messages cannot tell p99 or a higher percentile"), "{text}");
        let table = side_by_side(&[("a".to_owned(), runs::few())]);
        assert!(table.lines().any(|line| line.starts_with("p99 ") && line.ends_with(figures::UNKNOWN)), "{table}");
    }

    #[test]
    fn the_time_to_the_first_bytes_is_called_that() {
        let text = super::text(&runs::first_bytes());
        assert!(text.contains("time to first bytes, 10.0 s\n") && text.contains("\nfirst bytes\n"), "{text}");
        assert!(text.contains("messages by time to first bytes") && text.contains("--framing line or len32"), "{text}");
        assert!(text.contains("\nsurplus       120 bytes that no message waited for\n"), "{text}");
        assert!(text.contains("INVALID") && !text.contains("\nlatency"), "{text}");
    }

    #[test]
    fn side_by_side_begins_with_the_verdict_and_the_ratios_and_tells_what_differs() {
        let mut server = runs::stopped_server();
        server.server_cpu_s = Some(2.0);
        let text = side_by_side(&[("a".to_owned(), runs::closed()), ("b".to_owned(), server)]);
        assert!(text.starts_with("2 runs, both valid; the conditions differ (loop); b has 0.07 times the"), "{text}");
        let place = |words: &str| text.find(words).unwrap_or_else(|| panic!("{words}: {text}"));
        assert!(place("ratio to a:\nmessages/s ") < place("\n\nvalid "), "{text}");
        assert!(place("\nvalid ") < place("\n\nconditions that differ:\nloop "), "{text}");
        let row = |name: &str| text.lines().rfind(|line| line.starts_with(name)).unwrap().to_owned();
        assert!(row("server CPU").split_whitespace().eq(["server", "CPU", "–", "2.00", "s"]), "{text}");
        assert!(row("server a msg").split_whitespace().eq(["server", "a", "msg", "–", "200", "µs"]), "{text}");
        let alone = side_by_side(&[("a".to_owned(), runs::closed())]);
        assert!(alone.starts_with("1 run, valid.\n") && !alone.contains("ratio"), "{alone}");
    }

    #[test]
    fn more_reports_than_fit_are_told_below_each_other() {
        let names = ["one", "two", "three", "four", "five", "six", "seven"];
        let table = side_by_side(&names.map(|name| (name.to_owned(), runs::few())));
        let heads: Vec<Vec<&str>> = table
            .lines()
            .filter(|line| names.iter().any(|name| line.split_whitespace().any(|word| word == *name)))
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(heads[..3], [vec!["one", "two", "three"], vec!["four", "five", "six"], vec!["seven"]], "{table}");
        assert!(table.lines().all(|line| line.chars().count() <= WIDTH), "{table}");
        let errors = table.lines().filter(|line| line.starts_with("errors ")).count();
        assert_eq!(errors, 3, "each part has all rows: {table}");
    }

    #[test]
    fn every_line_fits_and_has_no_power() {
        let mut hostile = runs::troubled();
        hostile.errors.insert("\x1b[2J\u{202e}".to_owned(), 1);
        hostile.endpoint = "tcp://\x1b]0;title\x07".to_owned();
        hostile.doubts.push("a\nforged line \x1b[31m".to_owned());
        hostile.mismatch.as_mut().unwrap().got = "\x1b[2J".to_owned();
        hostile.conditions[0].options.insert("busy-poll".to_owned(), "\x1b[2J".repeat(100));
        hostile.conditions[0].options.insert("\x1b[2J".repeat(10), "\nforged".to_owned());
        let named = [("\x1b[1m.json".to_owned(), hostile.clone()), ("b.json".to_owned(), runs::closed())];
        for text in [text(&runs::closed()), text(&runs::stopped_server()), text(&hostile), side_by_side(&named)] {
            assert!(!text.contains(['\x1b', '\u{202e}', '\x07']), "{text}");
            assert!(text.lines().all(|line| line.chars().count() <= WIDTH), "{text}");
            assert!(!text.contains("\nforged"), "{text}");
        }
    }
}
