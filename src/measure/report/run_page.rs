//! The page of a run, or of several side by side.

use maud::{Markup, html};

use crate::measure::report::conditions::Conditions;
use crate::measure::report::page::{self, Head, Tone};
use crate::measure::report::visible::shortened;
use crate::measure::report::{Loop, Report, advice, figures, human, pictures, side_by_side, verdict, words};

/// Conditions that a page tells in full; more runs than that are named only by how many they are.
const CONDITIONS_MAX: usize = 50;

/// The page of one report.
pub fn page(report: &Report) -> String {
    let body = html! {
        (warnings(None, report))
        @if let Some((heading, steps)) = words::objective(report) { (page::notice(Tone::Caution, heading, &steps)) }
        (page::list("figures", &headline_figures(report)))
        (page::section(title(report), &html! {
            @if report.messages == 0 { p { "No message was answered." } }
            @else {
                p { (page::capitalized(&words::of_how_many(report))) "." }
                (latency_table(report))
                @for note in words::latency_notes(report) { p { (note) } }
            }
            (pictures_of(&[(String::new(), report.clone())]))
        }))
        (page::section("Replies and errors", &replies(report)))
        (page::section("Conditions", &conditions(report)))
    };
    let heading = format!("Load test of {}", shortened(&report.endpoint, 80));
    let head = Head {
        title: &title_of_page(report),
        heading: &heading,
        verdict: &verdict::sentence(report),
        lead: &words::headline(report),
    };
    page::page(head, &body)
}

/// What tells the page of a run from those of others: the server, and when it was.
fn title_of_page(report: &Report) -> String {
    let began = report.conditions.first().map(|conditions| format!(", {}", conditions.began_in_words()));
    format!("{}{}: load test", shortened(&report.endpoint, 80), began.unwrap_or_default())
}

/// The page of several reports. The names are those of their files.
pub fn side_by_side(reports: &[(String, Report)]) -> String {
    let names: Vec<String> = reports.iter().map(|(name, _)| shortened(name, 40)).collect();
    let head: Vec<String> = [String::new()].into_iter().chain(names.iter().cloned()).collect();
    let table = |rows: Vec<side_by_side::Row>| {
        let rows: Vec<Vec<String>> =
            rows.into_iter().map(|(name, cells)| [name].into_iter().chain(cells).collect()).collect();
        page::table(&head, &rows)
    };
    let differences = side_by_side::differences(reports);
    let body = html! {
        @for (name, report) in reports { (warnings(Some(name), report)) }
        @if let [_, _, ..] = reports { (page::section("Ratios", &ratios(reports))) }
        (page::section("Pictures", &pictures_of(reports)))
        @if !differences.is_empty() { (page::section("Conditions that differ", &table(differences))) }
        (page::section("Figures", &table(side_by_side::figures(reports))))
        @for (name, report) in reports {
            (page::section(&shortened(name, 80), &html! {
                p { (verdict::sentence(report)) }
                p { (words::headline(report)) }
                (replies(report))
                (conditions(report))
            }))
        }
    };
    let began = reports.first().and_then(|(_, report)| Some(report.conditions.first()?.began_in_words()));
    let lead = began.as_ref().map_or(String::new(), |began| format!("The first run began at {began}."));
    let title = format!("{}: load tests side by side", shortened(&names.join(", "), 120));
    let verdict = side_by_side::sentence(reports);
    page::page(Head { title: &title, heading: "Load tests side by side", verdict: &verdict, lead: &lead }, &body)
}

/// A row for each report, so that all columns are in sight on a telephone however many reports there are.
fn ratios(reports: &[(String, Report)]) -> Markup {
    let ratios = side_by_side::ratios(reports);
    let cells = |report: usize| ratios.iter().map(|(_, cells)| html! { (cells[report]) }).collect();
    let rows = reports.iter().enumerate().map(|(index, (name, _))| (name.as_str(), cells(index)));
    html! {
        p { "Each by that of the first report: messages a second, latencies, and the server's CPU time a message." }
        (page::compared("compared ratios", &["", "rate", "p50", "p99", "p99.9", "CPU"], rows))
    }
}

fn warnings(name: Option<&str>, report: &Report) -> Markup {
    html! {
        @for (heading, sentences) in words::warnings(report) {
            @let heading = name.map_or(heading.to_owned(), |name| format!("{}: {heading}", shortened(name, 80)));
            (page::notice(if report.valid && report.mismatch.is_none() { Tone::Caution } else { Tone::Alarm }, &heading, &sentences))
        }
    }
}

/// The figures at the top of the page.
fn headline_figures(report: &Report) -> Vec<(&'static str, String)> {
    let [p50, _, p95, p99, p999, _, max, _] = figures::latencies(&report.latency_us, report.messages);
    let names = match report.ends_with_first_bytes() {
        true => ["first bytes p50", "first bytes p95", "first bytes p99", "first bytes p99.9"],
        false => ["latency p50", "latency p95", "latency p99", "latency p99.9"],
    };
    let mut figures = vec![("messages a second", human::rate(report.messages_per_s))];
    if report.pace == Loop::Open {
        figures.push(("late sends", format!("{} of {}", human::count(report.late), human::count(report.sent))));
    }
    figures.extend([
        ("messages answered", format!("{} of {}", human::count(report.messages), human::count(report.due))),
        ("errors", human::count(report.error_count())),
    ]);
    figures.extend(names.into_iter().zip([p50, p95, p99, p999]));
    figures.push(("slowest", max));
    figures.push(("data a second", human::bytes(report.bytes_per_s)));
    figures.extend(report.server_cpu_per_message().map(|each| ("server CPU a message", human::latency(each))));
    figures
}

/// What the section of the latencies is called.
fn title(report: &Report) -> &'static str {
    if report.ends_with_first_bytes() { "Time to first bytes" } else { "Latency" }
}

fn latency_table(report: &Report) -> Markup {
    let head = match report.pace {
        Loop::Open => vec!["", "from due time", "from the send"],
        Loop::Closed => vec!["", words::latency_title(report)],
    };
    page::table(&head.into_iter().map(str::to_owned).collect::<Vec<_>>(), &figures::latency_rows(report))
}

fn pictures_of(reports: &[(String, Report)]) -> Markup {
    html! { @for picture in pictures::pictures(reports) { (picture.figure()) } }
}

fn replies(report: &Report) -> Markup {
    let known = |count: Option<u64>| count.map_or("unknown".to_owned(), human::count);
    let mut counts = vec![
        ("due", human::count(report.due)),
        ("sent", human::count(report.sent)),
        ("answered", human::count(report.messages)),
        ("in vain", known(report.in_vain)),
        ("lost", known(report.lost)),
        ("duplicated", known(report.duplicated)),
        ("reordered", known(report.reordered)),
        ("corrupt", known(report.corrupt)),
    ];
    if report.pace == Loop::Open {
        counts.push(("sent late", human::count(report.late)));
        counts.push(("held back", known(report.held)));
    }
    counts.extend(report.surplus_bytes.map(|bytes| ("bytes that none waited for", human::count(bytes))));
    let counts: Vec<Vec<String>> = counts.into_iter().map(|(name, count)| vec![name.to_owned(), count]).collect();
    let errors = words::errors(report);
    html! {
        (page::table(&["messages".to_owned(), String::new()], &counts))
        @if let Some(words) = words::ended(report) { p { "Connections: " (words) "." } }
        @if errors.is_empty() { p { "No errors." } }
        @else {
            dl.errors {
                @for (kind, count) in errors {
                    dt { (human::count(count)) " " (shortened(kind, 80)) }
                    dd { (advice::error(kind)) }
                }
            }
        }
        @for sentence in words::untold(report) { p { (sentence) } }
    }
}

fn conditions(report: &Report) -> Markup {
    let runs = &report.conditions;
    html! {
        (page::list("facts", &[("CPU of the generator", words::cpu(report))]))
        @if let Some(words) = words::server_cpu(report) { (page::list("facts", &[("CPU of the server", words)])) }
        @for run in runs.iter().take(CONDITIONS_MAX) { (page::list("facts", &facts(run))) }
        @if runs.len() > CONDITIONS_MAX { p { "And " (runs.len() - CONDITIONS_MAX) " more runs." } }
    }
}

fn facts(run: &Conditions) -> [(&str, String); 8] {
    let options: Vec<String> = run.options.iter().map(|(flag, value)| format!("{flag} {value}")).collect();
    let descriptors = run.descriptors.map_or("unlimited".to_owned(), human::count);
    let processor = run.cpu.clone().unwrap_or_else(|| "unknown".to_owned());
    [
        ("command", run.command.clone()),
        ("options", options.join(", ")),
        ("began", run.began.clone()),
        ("program", run.program.clone()),
        ("machine", run.host.clone()),
        ("kernel", run.kernel.clone()),
        ("processor", format!("{processor}, {} cores for this process", run.cores)),
        ("descriptor limit", descriptors),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    #[test]
    fn each_count_has_its_row() {
        let page = replies(&runs::troubled()).into_string() + &replies(&runs::first_bytes()).into_string();
        for (name, count) in [
            ("due", "4,209"),
            ("sent late", "168"),
            ("held back", "40"),
            ("duplicated", "unknown"),
            ("corrupt", "1"),
            ("bytes that none waited for", "120"),
        ] {
            let row = format!("<th scope=\"row\">{name}</th><td>{count}</td>");
            assert!(page.contains(&row), "no row {row} in {page}");
        }
        assert!(page.contains("Connections: 17 ended by the server after answers, opened anew at once."), "{page}");
    }
}
