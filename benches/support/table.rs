//! What the rounds of a scenario have shown, as ratios: criterion tells none between two servers.

use std::fmt::Write;

use cooee::measure::compare::comparison::Compared;
use cooee::measure::compare::metric::Metric;
use cooee::measure::compare::round::Round;

/// What others may use of a processor before it is told.
const OTHERS_MAX: f64 = 0.1;

/// One line a server: the median and the range of its rounds, and the same of its ratios to the first server within
/// each round.
pub fn render(metric: Metric, servers: &[Compared]) -> String {
    let Some(first) = servers.first() else { return String::new() };
    let mut text = columns("", "median", "min - max", &format!("ratio to {}", first.name));
    for (place, server) in servers.iter().enumerate() {
        let standing = server.standing(metric, (place > 0).then_some(first));
        let Some(summary) = standing.summary else {
            text += &columns(&server.name, "-", "not measured", "");
            continue;
        };
        let range = format!("{} - {}", metric.show(summary.min), metric.show(summary.max));
        // A ratio to nothing is none.
        let ratio = standing.ratio.filter(|ratio| ratio.median.is_finite());
        let ratio = ratio.map(|ratio| format!("{:.2} ({:.2} - {:.2})", ratio.median, ratio.min, ratio.max));
        text += &columns(&server.name, &metric.show(summary.median), &range, ratio.as_deref().unwrap_or(""));
    }
    // What others do with the processors changes no memory.
    if metric.is_under_load() { text + &notes(servers) } else { text }
}

fn columns(name: &str, median: &str, range: &str, ratio: &str) -> String {
    format!("  {name:<20} {median:>9}  {range:<21} {ratio}").trim_end().to_owned() + "\n"
}

/// What has to be known beside the figures.
fn notes(servers: &[Compared]) -> String {
    let mut text = String::new();
    for server in servers {
        let remarks: Vec<String> = server.rounds.iter().filter_map(|round| round.remark()).collect();
        if let Some(remark) = remarks.first() {
            let _ =
                writeln!(text, "  * {}, in {} of {} rounds: {remark}", server.name, remarks.len(), server.rounds.len());
        }
    }
    let rounds = servers.iter().flat_map(|server| &server.rounds);
    let others: Vec<f64> = rounds.filter_map(Round::others).collect();
    let disturbed = others.iter().filter(|share| **share > OTHERS_MAX).count();
    if disturbed > 0 {
        let most = others.iter().copied().fold(0.0, f64::max) * 100.0;
        let _ = writeln!(
            text,
            "  * the machine was not quiet: in {disturbed} of {} measurements others used more than {:.0} % of a processor, up to \
             {most:.0} %",
            others.len(),
            OTHERS_MAX * 100.0
        );
    }
    text
}
