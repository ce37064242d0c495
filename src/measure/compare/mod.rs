//! Comparing servers: each is started, asked, put under the same load, measured and stopped, in rounds (`cooee
//! compare`).
//!
//! Most comparisons of servers are wrong in the same few ways, and this does something about each of them:
//!
//! - *One run each.* There are several rounds, and their range is told with their median; where two ranges overlap, no
//!   winner is called ([`verdict`]).
//! - *One server at noon, the other at night.* Rounds are interleaved (A B C A B C), so what changes on the machine
//!   meets all alike, and ratios are taken within a round.
//! - *One warm, the other cold.* Each round starts a process of its own, for each server in turn, and the load's own
//!   warm-up warms it. Were all kept alive, idle ones would still wake up, hold memory and cache, and be measured older
//!   in every round; and what one round left behind (a heap, a thread pool) would be in the next one's figures. So the
//!   rounds are also independent samples of how a server starts: the range holds what address layout and luck make of
//!   it.
//! - *Server and generator on one core.* They are pinned apart ([`pinning`]).
//! - *The generator was the bottleneck.* A round in which it was and the server was not is measured again, if that may
//!   have been bad luck ([`repeats`]); where it stays so, nothing is called from it.
//! - *Something else ran.* What other processes take of the two processors is measured, and told where it is much
//!   ([`processors`]).
//! - *Nobody looked at the replies.* Each is checked; a server that answers wrong, or not at all, is not compared.
//!
//! Memory an idle connection is found with one more process a round, which never saw load.

pub mod command;
pub mod comparison;
pub mod group;
pub mod html;
pub mod idle;
pub mod json;
pub mod listen_address;
pub mod metric;
pub mod output;
pub mod pinning;
pub mod plan;
pub mod probe;
pub mod process;
pub mod processors;
pub mod read;
pub mod repeats;
pub mod round;
#[cfg(test)]
mod samples;
mod sentence;
pub mod socket_folder;
pub mod start;
pub mod summary;
pub mod table;
pub mod trial;
pub mod verdict;

use std::env;
use std::io;
use std::mem;
use std::os::unix::net::UnixStream;

use crate::measure::compare::comparison::{Compared, Failure};
use crate::measure::compare::listen_address::ListenKind;
use crate::measure::compare::plan::Plan;
use crate::measure::compare::repeats::{Repeat, Repeated, Repeats};
use crate::measure::compare::socket_folder::SocketFolder;
use crate::measure::compare::trial::Trials;
use crate::measure::load::options::Options;
use crate::measure::load::outcome::Outcome;
use crate::measure::load::progress::Progress;
use crate::measure::report::human;
use crate::measure::report::visible::visible;
use crate::os::reason;

/// What runs load: [`load::run`](crate::measure::load::run), but for tests.
pub type Load<'a> = dyn FnMut(Options, Option<UnixStream>, &mut dyn FnMut(&Progress)) -> io::Result<Outcome> + 'a;

/// Why a step of a comparison did not come to its end.
#[derive(Debug)]
pub(crate) enum Halt {
    /// The comparison was interrupted.
    Interrupted,
    /// The server failed.
    Failed {
        /// Why, in words.
        reason: String,
        /// The last lines of what it wrote.
        output: Vec<String>,
        /// Whether it failed before it answered: another process may have taken its port, or the machine was busy.
        may_be_bad_luck: bool,
    },
    /// This program failed.
    Broken(io::Error),
}

impl From<io::Error> for Halt {
    fn from(error: io::Error) -> Halt {
        Halt::Broken(error)
    }
}

/// Compares as `plan` says, and tells what each server has shown. A server that fails is not started again, and the
/// others go on; after an interrupt nothing is begun any more, and the round that it met does not count. Whether there
/// was one is asked of `is_interrupted`, a few times a second. No server runs when it returns.
///
/// Where this process is a subreaper (`PR_SET_CHILD_SUBREAPER(2const)`), daemons that a server has started are ended
/// too. Then whatever becomes its child meanwhile is taken for one of them: so it runs one comparison at a time, and
/// starts nothing else.
pub fn run(plan: &Plan, load: &mut Load<'_>, is_interrupted: &mut dyn FnMut() -> bool) -> io::Result<Vec<Compared>> {
    let folder = match plan.servers.iter().any(|server| server.family == ListenKind::Path) {
        true => Some(SocketFolder::new(&env::temp_dir()).map_err(|error| no_temporary("folder", &error))?),
        false => None,
    };
    let mut compared: Vec<Compared> = plan.servers.iter().map(Compared::new).collect();
    let mut trials = Trials::new(plan, folder.as_ref().map(SocketFolder::path), load, is_interrupted);
    let mut repeats = Repeats::for_rounds(plan.rounds);
    for number in 1..=plan.rounds {
        for attempt in 1.. {
            measure(plan, &mut trials, &mut compared, number)?;
            let is_doubtful = |server: &Compared| server.round(number).is_some_and(|round| !round.doubts.is_empty());
            let doubtful: Vec<usize> = (0..compared.len()).filter(|index| is_doubtful(&compared[*index])).collect();
            if (trials.is_interrupted)() || !repeats.again(attempt, &doubtful) {
                break;
            }
            log::warn!(
                "round {number} of {} is measured again: the generator was the bottleneck, or late",
                plan.rounds
            );
            take_back(&mut compared, number, attempt);
        }
    }
    Ok(compared)
}

/// The same error, which says that no `what` can be made in the folder of temporary files.
fn no_temporary(what: &str, error: &io::Error) -> io::Error {
    let (place, why) = (env::temp_dir(), reason::of(error));
    let words = format!("no {what} can be made in {}: {why} (TMPDIR names another place)", place.display());
    reason::said(error.kind(), words)
}

/// Measures one round of each server that is fit, in turn.
fn measure(plan: &Plan, trials: &mut Trials<'_, '_>, compared: &mut [Compared], number: usize) -> io::Result<()> {
    for (server, compared) in plan.servers.iter().zip(compared).filter(|(_, compared)| compared.is_fit()) {
        let trial = trials.run(server, number);
        let restarts = mem::take(&mut trials.restarts).into_iter();
        compared.repeats.extend(restarts.map(|reason| Repeat {
            round: number,
            what: Repeated::Start,
            attempt: None,
            reason,
        }));
        match trial {
            Ok(round) => {
                let rate = human::rate(round.messages_per_s);
                log::info!("round {number} of {}: {}: {rate} messages/s", plan.rounds, visible(&server.name));
                compared.rounds.push(round);
            }
            Err(Halt::Failed { reason, output, .. }) => {
                log::warn!("round {number} of {}: {} failed", plan.rounds, visible(&server.name));
                compared.failure = Some(Failure { round: number, reason, output });
            }
            Err(Halt::Broken(error)) => return Err(error),
            // Every trial from here on ends before it begins.
            Err(Halt::Interrupted) => {}
        }
    }
    Ok(())
}

/// A round does not count, and is measured again: why, is kept with those who gave the reason.
fn take_back(compared: &mut [Compared], number: usize, attempt: usize) {
    for server in compared {
        let Some(round) = server.rounds.pop_if(|round| round.number == number) else { continue };
        if !round.doubts.is_empty() {
            let reason = round.doubts.join("; ");
            server.repeats.push(Repeat { round: number, what: Repeated::Round, attempt: Some(attempt), reason });
        }
    }
}
