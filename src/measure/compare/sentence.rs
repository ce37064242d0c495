//! The first sentence on a comparison: which server was better than the first one, and by how much, or that nothing
//! shows a difference.

use crate::measure::compare::comparison::{Compared, Comparison, Standing};
use crate::measure::compare::metric::Metric;
use crate::measure::compare::verdict::{ROUNDS_MIN, Verdict};
use crate::measure::report::human;
use crate::measure::report::visible::shortened;

/// Characters of a name that a sentence tells.
const NAME_MAX: usize = 40;

/// What has come out, a sentence for each server but the first one.
pub(super) fn sentences(comparison: &Comparison) -> Vec<String> {
    let [first, others @ ..] = &comparison.servers[..] else { return vec!["Nothing was measured.".to_owned()] };
    let mut sentences = match others {
        [] => vec![alone(comparison, first)],
        others => others.iter().map(|other| beside(comparison, first, other)).collect(),
    };
    // Where the first one failed, that is the same of all the others.
    sentences.dedup();
    if comparison.is_interrupted {
        sentences.push(format!("The comparison was interrupted before its {} rounds were over.", comparison.rounds));
    }
    sentences
}

/// The figure that the first words are about: what a load with a rate leaves open is how long replies take.
fn main_metric(comparison: &Comparison) -> Metric {
    let has_rate = ["rate", "ramp"].iter().any(|flag| comparison.conditions.options.contains_key(*flag));
    match has_rate {
        false => Metric::MessagesPerSecond,
        true if comparison.has(Metric::P99) => Metric::P99,
        true => Metric::P50,
    }
}

fn alone(comparison: &Comparison, server: &Compared) -> String {
    let name = shortened(&server.name, NAME_MAX);
    if let Some(failed) = failed(server) {
        return failed;
    }
    let metric = main_metric(comparison);
    match server.standing(metric, None).summary {
        None => format!("Nothing was measured of {name}."),
        Some(found) => {
            let [median, min, max] = [found.median, found.min, found.max].map(|value| metric.show(value));
            format!("{name} alone: {} {median} ({min}–{max}).", comparison.title(metric))
        }
    }
}

fn failed(server: &Compared) -> Option<String> {
    let failure = server.failure.as_ref()?;
    Some(format!("{} failed in round {}.", shortened(&server.name, NAME_MAX), failure.round))
}

fn beside(comparison: &Comparison, first: &Compared, other: &Compared) -> String {
    if let Some(failed) = failed(first).or_else(|| failed(other)) {
        return failed;
    }
    let [name, than] = [other, first].map(|server| shortened(&server.name, NAME_MAX));
    let main = main_metric(comparison);
    match other.standing(main, Some(first)) {
        Standing { verdict: Some(Verdict::Doubtful), .. } => {
            format!(
                "Whether {name} or {than} is better is not told: in some round the generator was the bottleneck, or late."
            )
        }
        Standing { verdict: Some(Verdict::TooFewRounds), .. } => {
            format!("Whether {name} or {than} is better is not told: it takes {ROUNDS_MIN} rounds of each.")
        }
        Standing { verdict: Some(verdict @ (Verdict::Better | Verdict::Worse)), ratio, .. } => {
            let title = comparison.title(main);
            // Rounds that both have are not to be had where each lacks others.
            let by = ratio.map_or(format!(" in {title}"), |ratio| {
                let [median, low, high] = [ratio.median, ratio.min, ratio.max].map(human::ratio);
                format!(": {median} times its {title} ({low}–{high})")
            });
            format!("{name} was {} than {than}{by}.", verdict.name())
        }
        Standing { verdict: Some(_), .. } => {
            format!("No difference is shown between {name} and {than} in {}.", comparison.title(main))
        }
        Standing { verdict: None, .. } => format!("Nothing was measured of {name}."),
    }
}

/// How each server stands in the other figures, a sentence or more for each; of one that failed, nothing.
pub(super) fn others(comparison: &Comparison) -> Vec<String> {
    let [first, others @ ..] = &comparison.servers[..] else { return Vec::new() };
    let main = main_metric(comparison);
    let of = |other: &Compared| {
        let titles = |(verdict, words): (Verdict, &str)| {
            let which = Metric::ALL
                .into_iter()
                .filter(|metric| *metric != main && other.standing(*metric, Some(first)).verdict == Some(verdict));
            // A title's own comma would look like one of the list.
            let titles: Vec<String> = which.map(|metric| comparison.title(metric).replace(", ", " ")).collect();
            Some(format!("{words} {}", titles.join(", "))).filter(|_| !titles.is_empty())
        };
        let words =
            [(Verdict::Better, "better in"), (Verdict::Worse, "worse in"), (Verdict::NoDifference, "no difference in")];
        let said: Vec<String> = words.into_iter().filter_map(titles).collect();
        let name = shortened(&other.name, NAME_MAX);
        Some(format!("{name}, besides: {}.", said.join("; "))).filter(|_| !said.is_empty())
    };
    others.iter().filter(|other| first.is_fit() && other.is_fit()).filter_map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::compare::comparison::Failure;
    use crate::measure::compare::samples::{comparison, server};

    const SLOW: [f64; 4] = [100.0, 110.0, 105.0, 102.0];
    const FAST: [f64; 4] = [200.0, 220.0, 210.0, 204.0];

    fn two(rates: &[f64]) -> Comparison {
        comparison(vec![server("slow", &SLOW), server("other", rates)])
    }

    #[test]
    fn the_better_server_is_named_with_how_much_better_it_is() {
        let fast = two(&FAST);
        assert_eq!(sentences(&fast), ["other was better than slow: 2.00 times its messages a second (2.00–2.00)."]);
        assert_eq!(
            others(&fast),
            [
                "other, besides: better in latency median, latency 99th percentile, latency 99.9th percentile, the server's \
              CPU time a message; no difference in the server's memory an idle connection."
            ]
        );
        let three = comparison(vec![server("fast", &FAST), server("slow", &SLOW), server("same", &FAST)]);
        assert_eq!(
            sentences(&three),
            [
                "slow was worse than fast: 0.50 times its messages a second (0.50–0.50).",
                "No difference is shown between same and fast in messages a second."
            ]
        );
        let besides = others(&three);
        assert!(besides[0].starts_with("slow, besides: worse in latency median, "), "{besides:?}");
        assert!(besides[1].starts_with("same, besides: no difference in latency median, "), "{besides:?}");
    }

    #[test]
    fn with_a_rate_it_is_about_latency() {
        for flag in ["rate", "ramp"] {
            let mut paced = two(&FAST);
            paced.conditions.options.insert(flag.to_owned(), "100".to_owned());
            let said = sentences(&paced);
            assert_eq!(said, ["other was better than slow: 0.50 times its latency, 99th percentile (0.50–0.50)."]);
            let besides = others(&paced);
            assert!(besides[0].contains("better in messages a second, latency median, latency 99.9th"), "{besides:?}");
            paced.servers.iter_mut().flat_map(|server| &mut server.rounds).for_each(|round| round.messages = 99);
            let said = sentences(&paced);
            assert_eq!(said, ["other was better than slow: 0.50 times its latency, median (0.50–0.50)."]);
        }
    }

    #[test]
    fn what_cannot_be_told_is_not() {
        let few = sentences(&two(&FAST[..3]));
        assert_eq!(few, ["Whether other or slow is better is not told: it takes 4 rounds of each."]);
        let mut doubtful = two(&FAST);
        doubtful.servers[0].rounds[0].doubts.push("the generator was the bottleneck".to_owned());
        assert_eq!(
            sentences(&doubtful),
            ["Whether other or slow is better is not told: in some round the generator was the bottleneck, or late."]
        );
        assert_eq!(others(&doubtful), ["other, besides: no difference in the server's memory an idle connection."]);
        assert_eq!(sentences(&two(&[])), ["Nothing was measured of other."]);
        assert_eq!(sentences(&comparison(Vec::new())), ["Nothing was measured."]);
    }

    #[test]
    fn failures_and_interrupts_are_told() {
        let failure = |round| Some(Failure { round, reason: "it ended".to_owned(), output: Vec::new() });
        let mut failed = two(&FAST);
        failed.servers[1].failure = failure(3);
        assert_eq!(sentences(&failed), ["other failed in round 3."]);
        assert_eq!(others(&failed).len(), 0);
        failed.servers[0].failure = failure(2);
        assert_eq!(sentences(&failed), ["slow failed in round 2."], "there is nothing to compare the others with");
        failed.servers.push(server("third", &FAST));
        assert_eq!(sentences(&failed), ["slow failed in round 2."]);
        failed.servers.truncate(1);
        assert_eq!(sentences(&failed), ["slow failed in round 2."]);
        let ended = Comparison { is_interrupted: true, ..two(&FAST[..1]) };
        assert_eq!(sentences(&ended)[1..], ["The comparison was interrupted before its 5 rounds were over."]);
    }

    #[test]
    fn one_server_is_told_by_itself() {
        let alone = |rates: &[f64]| sentences(&comparison(vec![server("one", rates)]));
        assert_eq!(alone(&SLOW), ["one alone: messages a second 104 (100–110)."]);
        assert_eq!(alone(&[]), ["Nothing was measured of one."]);
    }
}
