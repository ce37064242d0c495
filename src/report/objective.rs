//! A search for the highest rate that keeps an objective: what was tried, and what was found.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::load::outcome::Outcome;
use crate::load::slo::{Objective, Verdict};
use crate::report::human;

/// What a search has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Found {
    /// The percentile that was to be kept: `p99`, say.
    pub percentile: String,
    /// The longest latency that it may have, from the due time, in microseconds.
    pub limit_us: f64,
    /// The highest rate that was kept and confirmed, in messages a second; none where none was.
    pub rate: Option<f64>,
    /// What was tried, in order.
    pub steps: Vec<Step>,
}

/// One rate that was tried.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// The rate, in messages a second.
    pub rate: f64,
    /// Whether it was a run of full length.
    pub confirms: bool,
    /// The percentile's latency, in microseconds; none where nothing was answered.
    pub latency_us: Option<f64>,
    /// Whether the objective was kept.
    pub kept: bool,
    /// How it ended, in words.
    pub verdict: String,
}

impl Found {
    /// Nothing was tried yet.
    pub fn new(objective: Objective) -> Found {
        let limit_us = objective.latency.as_secs_f64() * 1e6;
        Found { percentile: objective.name().to_owned(), limit_us, rate: None, steps: Vec::new() }
    }
}

impl Step {
    /// How a run at `rate` ended.
    pub fn new(rate: f64, confirms: bool, verdict: Verdict, objective: Objective, outcome: &Outcome) -> Step {
        let latency = outcome.latency.value_at_quantile(objective.quantile) as f64 / 1e3;
        Step {
            rate,
            confirms,
            latency_us: Some(latency).filter(|_| !outcome.latency.is_empty()),
            kept: verdict == Verdict::Kept,
            verdict: verdict.to_string(),
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.confirms { "confirming " } else { "" };
        write!(f, "{what}{} messages/s: {}", human::rate(self.rate), self.verdict)?;
        match self.latency_us {
            Some(latency) => write!(f, " ({})", human::latency(latency * 1e3)),
            None => Ok(()),
        }
    }
}
