//! Attempts at a figure, and why one does not count as kept: a broken promise, or a machine on which none could be
//! kept.

use std::fmt::{Display, Formatter, Result as Written};

use super::full::in_full;
use super::skip;

/// What was found in an attempt that missed its figures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missed {
    /// The server did not do what it has to.
    Promise(String),
    /// A server with nothing else to do was as slow at the same time: the attempt tells of the machine.
    Noise(String),
}

impl Missed {
    /// The same with more of what was found.
    pub fn about(self, found: impl FnOnce(&str) -> String) -> Missed {
        match self {
            Missed::Promise(text) => Missed::Promise(found(&text)),
            Missed::Noise(text) => Missed::Noise(found(&text)),
        }
    }
}

/// What an attempt has found with the probe and without it: where its other figures are not met, no noise excuses that.
pub fn beside(
    probed: Result<String, Missed>,
    is_met: bool,
    found: impl FnOnce(&str) -> String,
) -> Result<String, Missed> {
    match probed {
        Ok(probed) if is_met => Ok(found(&probed)),
        Ok(probed) => Err(Missed::Promise(found(&probed))),
        Err(missed) if is_met => Err(missed.about(found)),
        Err(missed) => Err(Missed::Promise(found(&missed.to_string()))),
    }
}

impl From<String> for Missed {
    fn from(found: String) -> Missed {
        Missed::Promise(found)
    }
}

impl Display for Missed {
    fn fmt(&self, to: &mut Formatter<'_>) -> Written {
        let (Missed::Promise(found) | Missed::Noise(found)) = self;
        to.write_str(found)
    }
}

/// How many attempts may show the machine, and not the server, until nothing can be said.
const NOISY_MOST: usize = 3;

/// What several attempts have shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// What one of them found that met its figures.
    Kept(String),
    /// What all of them found.
    Broken(String),
    /// What they found on a machine that is too noisy.
    Nothing(String),
}

/// Runs `scenario` until its figures are met, and returns what it found. In full it has three attempts: what else the
/// machine does is no fault of the server's. Every day it has one, so its figures should be generous then. Where
/// nothing can be judged, that is told as a skip.
#[track_caller]
pub fn attempt<M: Into<Missed>>(scenario: impl FnMut() -> Result<String, M>) -> String {
    match attempt_often(in_full(1, 3), scenario) {
        Shown::Kept(found) => found,
        Shown::Broken(found) => panic!("not met: {found}"),
        Shown::Nothing(found) => {
            skip("the machine is too noisy to judge a latency");
            format!("not judged, the machine is too noisy: {found}")
        }
    }
}

/// What so many attempts show. One that tells of a noisy machine is none of them; after [`NOISY_MOST`] such ones
/// nothing is judged.
pub fn attempt_often<M: Into<Missed>>(times: usize, mut scenario: impl FnMut() -> Result<String, M>) -> Shown {
    let (mut missed, mut noisy) = (Vec::new(), Vec::new());
    while missed.len() < times && noisy.len() < NOISY_MOST {
        match scenario().map_err(Into::into) {
            Ok(found) => return Shown::Kept(found),
            Err(Missed::Promise(found)) => missed.push(found),
            Err(Missed::Noise(found)) => noisy.push(found),
        }
    }
    let is_broken = missed.len() == times;
    let found = [missed, noisy].concat().join("; and then ");
    if is_broken { Shown::Broken(found) } else { Shown::Nothing(found) }
}
