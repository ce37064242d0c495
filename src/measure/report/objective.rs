//! A search for the highest rate that keeps an objective: what was tried, and what was found.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::measure::load::objective::{Judgement, Objective};
use crate::measure::load::outcome::Outcome;
use crate::measure::report::human;

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The percentile that was to be kept: `p99`, say.
    pub percentile: String,
    /// The longest latency that it may have, from the due time, in microseconds.
    pub limit_us: f64,
    /// The highest rate that was kept and confirmed, in messages a second; `None` if none was.
    pub rate: Option<f64>,
    /// Why there is none, in words; `None` if one was found, or the search was interrupted, and in reports from before
    /// it was told.
    pub reason: Option<String>,
    /// What came first: without a schedule, how much is answered. None in reports from before it was told.
    pub closed_loop: Option<ClosedLoop>,
    /// What was tried, in order.
    pub steps: Vec<TriedRate>,
}

/// The closed loop that a search begins with.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClosedLoop {
    /// Messages in flight, on all connections.
    pub in_flight: u64,
    /// Replies a second.
    pub messages_per_s: f64,
    /// The percentile's latency, in microseconds; `None` if nothing was answered.
    pub latency_us: Option<f64>,
}

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TriedRate {
    /// The rate, in messages a second.
    pub rate: f64,
    /// Whether it was a run of full length.
    pub confirms: bool,
    /// The percentile's latency, in microseconds; `None` if nothing was answered.
    pub latency_us: Option<f64>,
    /// Whether the objective was kept.
    pub kept: bool,
    /// How it ended, in words.
    pub verdict: String,
}

impl Found {
    /// Nothing was tried yet.
    pub fn new(objective: Objective) -> Found {
        Found {
            percentile: objective.name().to_owned(),
            limit_us: objective.latency.as_secs_f64() * 1e6,
            rate: None,
            reason: None,
            closed_loop: None,
            steps: Vec::new(),
        }
    }

    /// The same after a closed loop with so many messages in flight.
    pub fn after(closed: &Outcome, in_flight: usize, objective: Objective) -> Found {
        let closed_loop = ClosedLoop {
            in_flight: in_flight as u64,
            messages_per_s: closed.messages_per_second(),
            latency_us: latency(objective, closed),
        };
        Found { closed_loop: Some(closed_loop), ..Found::new(objective) }
    }

    /// The rate at which the search had to turn back because the generator was too slow for it, in messages a second;
    /// `None` if it was the server that was. Then the server may do more than what was found.
    pub fn generator_limit(&self) -> Option<f64> {
        let above = |step: &&TriedRate| !step.kept && self.rate.is_none_or(|rate| step.rate > rate);
        let lowest = self.steps.iter().filter(above).min_by(|one, other| one.rate.total_cmp(&other.rate))?;
        (lowest.verdict == Judgement::Doubtful.to_string()).then_some(lowest.rate)
    }
}

impl TriedRate {
    /// How a run at `rate` ended.
    pub fn new(rate: f64, confirms: bool, verdict: Judgement, objective: Objective, outcome: &Outcome) -> TriedRate {
        TriedRate {
            rate,
            confirms,
            latency_us: latency(objective, outcome),
            kept: verdict == Judgement::Kept,
            verdict: verdict.to_string(),
        }
    }
}

/// The percentile's latency in microseconds; `None` if nothing was answered.
fn latency(objective: Objective, outcome: &Outcome) -> Option<f64> {
    let latency = outcome.latency.value_at_quantile(objective.quantile) as f64 / 1e3;
    Some(latency).filter(|_| !outcome.latency.is_empty())
}

impl fmt::Display for TriedRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.confirms { "confirming " } else { "" };
        write!(f, "{what}{} messages/s: {}", human::rate(self.rate), self.verdict)?;
        in_brackets(self.latency_us, f)
    }
}

impl fmt::Display for ClosedLoop {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_flight, rate) = (human::count(self.in_flight), human::rate(self.messages_per_s));
        write!(f, "closed loop, {in_flight} in flight: {rate} messages/s")?;
        in_brackets(self.latency_us, f)
    }
}

fn in_brackets(latency_us: Option<f64>, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match latency_us {
        Some(latency) => write!(f, " ({})", human::micros(latency)),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(rate: Option<f64>, steps: &[(f64, Judgement)]) -> Found {
        let step = |(rate, verdict): &(f64, Judgement)| TriedRate {
            rate: *rate,
            confirms: false,
            latency_us: None,
            kept: *verdict == Judgement::Kept,
            verdict: verdict.to_string(),
        };
        let (reason, closed_loop) = (None, None);
        let steps = steps.iter().map(step).collect();
        Found { percentile: "p99".to_owned(), limit_us: 2e3, rate, reason, closed_loop, steps }
    }

    #[test]
    fn whose_limit_was_found_is_known() {
        let (kept, slow, doubtful) = (Judgement::Kept, Judgement::TooSlow, Judgement::Doubtful);
        assert_eq!(found(Some(2e4), &[(4e4, slow), (1e4, kept), (2e4, kept)]).generator_limit(), None);
        assert_eq!(found(Some(2e4), &[(4e4, slow), (2e4, kept), (3e4, doubtful)]).generator_limit(), Some(3e4));
        assert_eq!(found(Some(2e4), &[(4e4, doubtful), (2e4, kept), (3e4, slow)]).generator_limit(), None);
        // What was not confirmed at first lies below.
        assert_eq!(found(Some(9.0), &[(20.0, slow), (8.0, doubtful), (9.0, kept)]).generator_limit(), None);
        assert_eq!(found(None, &[(4e4, slow), (1e4, doubtful)]).generator_limit(), Some(1e4));
        assert_eq!(found(None, &[]).generator_limit(), None);
    }

    #[test]
    fn a_search_from_before_reasons_were_told_is_read() {
        let json = r#"{"percentile": "p99", "limit_us": 1000.0, "rate": null, "steps": []}"#;
        let found: Found = serde_json::from_str(json).unwrap();
        assert_eq!((found.reason, found.closed_loop), (None, None));
    }
}
