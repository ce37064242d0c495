//! The comparison as a page with pictures.

use maud::{Markup, html};

use crate::measure::compare::comparison::Comparison;
use crate::measure::compare::metric::Metric;
use crate::measure::compare::sentence;
use crate::measure::compare::summary::Summary;
use crate::measure::report::axis::{Axis, Scale};
use crate::measure::report::bars::{Bar, BarChart};
use crate::measure::report::human;
use crate::measure::report::ink::Ink;
use crate::measure::report::page::{self, Head, Tone};
use crate::measure::report::visible::shortened;

/// The comparison as one HTML file.
pub fn render(comparison: &Comparison) -> String {
    let metrics = || Metric::ALL.into_iter().filter(|metric| comparison.has(*metric));
    let body = html! {
        (notices(comparison))
        (page::section("Side by side", &html! {
            p {
                "Bars are medians of the rounds, whiskers their range; below a figure stand the smallest and the largest. The ratio is to "
                "the first server, within each round. Where two ranges overlap, nothing is called."
            }
            @for metric in metrics() {
                (chart(comparison, metric))
                (table(comparison, metric))
            }
        }))
        (page::section("Conditions", &html! { (page::list("facts", &facts(comparison))) }))
    };
    let names: Vec<&str> = comparison.servers.iter().map(|server| server.name.as_str()).collect();
    let names = names.join(", ");
    let began = comparison.conditions.began_in_words();
    let head = Head {
        title: &format!("{}, {began}: servers compared", shortened(&names, 120)),
        heading: &names,
        verdict: &sentence::sentences(comparison).join(" "),
        lead: &format!(
            "{} {} rounds of each, in turn, each with a fresh process, on {began}.",
            sentence::others(comparison).join(" "),
            comparison.rounds
        ),
    };
    page::page(head, &body)
}

/// What a reader of the figures has to know first.
fn notices(comparison: &Comparison) -> Markup {
    let remarks: Vec<String> = comparison.remarks().iter().map(|(name, remark)| format!("{name}, {remark}")).collect();
    html! {
        @for (server, failure) in comparison.failures() {
            (page::notice(Tone::Alarm, &format!("{} failed in round {}", server.name, failure.round), &[
                std::slice::from_ref(&failure.reason), &failure.output,
            ].concat()))
        }
        @if comparison.is_interrupted {
            (page::notice(Tone::Caution, "Interrupted", &["The round that was under way is not counted.".to_owned()]))
        }
        @if let Some(sentence) = comparison.disturbance() {
            (page::notice(Tone::Caution, "Other processes", &[page::capitalized(&sentence)]))
        }
        @if comparison.is_doubtful() {
            (page::notice(Tone::Alarm, "Rounds that tell of the generator, so that nothing is called", &remarks))
        } @else if !remarks.is_empty() {
            (page::notice(Tone::Caution, "What happened in single rounds", &remarks))
        }
    }
}

fn chart(comparison: &Comparison, metric: Metric) -> Markup {
    let bars = comparison.servers.iter().zip(comparison.standings(metric)).enumerate();
    let bars = bars.filter_map(|(index, (server, standing))| {
        let summary = standing.summary?;
        let range = Some((summary.min, summary.max)).filter(|_| server.rounds.len() > 1);
        Some(Bar { name: server.name.clone(), ink: Ink::Series(index), value: summary.median, range })
    });
    let unit = metric.unit();
    let better = if metric.higher_is_better() { "More is better." } else { "Less is better." };
    BarChart {
        title: comparison.title(metric),
        note: better.to_owned(),
        axis: Axis { label: unit.label.to_owned(), scale: Scale::Linear, tick: unit.tick },
        figure: unit.show,
        bars: bars.collect(),
    }
    .figure()
}

/// Four columns, with ranges below their medians, so that all columns are in sight on a telephone.
fn table(comparison: &Comparison, metric: Metric) -> Markup {
    let ranged = |summary: Option<Summary>, show: fn(f64) -> String| {
        html! {
            @match summary {
                Some(summary) => { (show(summary.median)) small { (show(summary.min)) " – " (show(summary.max)) } },
                None => "–",
            }
        }
    };
    let rows = comparison.servers.iter().zip(comparison.standings(metric)).map(|(server, standing)| {
        let verdict = html! { (standing.verdict.map_or("–", |verdict| verdict.name())) };
        let (ratio, figure) = (ranged(standing.ratio, human::ratio), ranged(standing.summary, metric.unit().show));
        (server.name.as_str(), vec![verdict, ratio, figure])
    });
    page::compared("compared", &["server", "verdict", "ratio", "figure"], rows)
}

fn facts(comparison: &Comparison) -> Vec<(&str, String)> {
    let servers = comparison.servers.iter().map(|server| (server.name.as_str(), server.command.clone()));
    comparison.facts().into_iter().chain(servers).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::compare::comparison::Failure;
    use crate::measure::compare::samples::{comparison, server};

    #[test]
    fn the_page_tells_what_was_measured_and_what_went_wrong() {
        let rates = [100.0, 110.0, 105.0, 102.0, 103.0];
        let mut failed = server("failed", &[200.0, 210.0]);
        failed.failure = Some(Failure { round: 3, reason: "it ended".to_owned(), output: vec!["<oh no>".to_owned()] });
        let mut comparison = comparison(vec![server("one", &rates), server("other", &rates), failed]);
        comparison.is_interrupted = true;
        comparison.servers[1].rounds[2].others_on_server_core = Some(0.5);
        comparison.servers[1].rounds[3].lost = 7;
        let page = render(&comparison);
        for words in [
            "one, other, failed",
            "failed in round 3",
            "it ended",
            "&lt;oh no&gt;",
            "Interrupted",
            "other, round 4: 7 datagrams were lost",
            "latency, median",
            "no difference shown",
            "too few rounds",
            "other {port}",
            "server on processor 0",
            "<title>one, other, failed, 1970-01-01 00:00:00 UTC: servers compared</title>",
            "<td>1.00<small>1.00 – 1.00</small></td><td>103<small>100 – 110</small></td>",
            "The machine was not quiet",
        ] {
            assert!(page.contains(words), "'{words}' is not in:\n{page}");
        }
    }

    #[test]
    fn the_page_begins_with_what_has_come_out() {
        let rates = [100.0, 110.0, 105.0, 102.0, 103.0];
        let page = render(&comparison(vec![server("one", &rates), server("other", &rates.map(|rate| 2.0 * rate))]));
        let header = page.split_once("<header>").unwrap().1;
        let begin =
            "<h1>one, other</h1><p class=\"verdict\">other was better than one: 2.00 times its messages a second";
        assert!(header.starts_with(begin), "{header}");
    }

    #[test]
    fn a_whisker_is_drawn_where_there_are_several_rounds() {
        let whiskers = |rates: &[f64]| {
            let chart = chart(&comparison(vec![server("one", rates)]), Metric::P50).into_string();
            chart.matches(r##"stroke="#010101" stroke-width="2""##).count()
        };
        assert_eq!((whiskers(&[5.0]), whiskers(&[5.0, 6.0])), (0, 6), "three strokes in each of two pictures");
    }
}
