//! Starting a server: it runs when it answers.

use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::compare::command::ServerCommand;
use crate::measure::compare::listen_address::ListenAddress;
use crate::measure::compare::plan::Plan;
use crate::measure::compare::process::ServerProcess;
use crate::measure::compare::question::{Question, Refusal};
use crate::measure::compare::{Halt, Interrupt};
use crate::measure::report::visible::visible;
use crate::os::address::Address;
use crate::os::reason;

/// How long to wait before a server that does not listen yet is asked again.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// How long a datagram's reply is waited for before it is sent again.
const DATAGRAM_WAIT: Duration = Duration::from_millis(200);

/// A server that has answered.
#[derive(Debug)]
pub struct Started {
    /// Its process; dropping it stops it.
    pub process: ServerProcess,
    /// Where it listens.
    pub address: Address,
}

/// Starts a process of `server`, with its socket in `folder` where that is a file, and waits until it has answered
/// `question`. `number` tells the processes of one comparison apart.
pub fn start(
    plan: &Plan,
    server: &ServerCommand,
    question: &Question,
    folder: Option<&Path>,
    number: usize,
    interrupt: &mut dyn Interrupt,
) -> Result<Started, Halt> {
    let place = ListenAddress::take(server.family, folder, number)?;
    let words = server.words(&place);
    let start = || ServerProcess::start(&words, plan.binder.as_deref());
    let process = match &plan.pinning {
        Some(pinning) => pinning.start_server(start),
        None => start(),
    };
    let process = process.map_err(|error| {
        let why = match error.kind() {
            ErrorKind::NotFound if !reason::is_said(&error) => {
                "there is no such program, or none that its first line names ('#!')".to_owned()
            }
            _ => reason::of(&error),
        };
        let reason = format!("'{}' cannot be started: {why}", visible(&words[0]));
        Halt::Failed { reason, output: Vec::new() }
    })?;
    let started = Started { process, address: place.address };
    started.wait_until_it_answers(plan, question, interrupt)?;
    Ok(started)
}

impl Started {
    fn wait_until_it_answers(
        &self,
        plan: &Plan,
        question: &Question,
        interrupt: &mut dyn Interrupt,
    ) -> Result<(), Halt> {
        let deadline = Instant::now() + plan.start_timeout;
        loop {
            let until = if plan.options.datagrams { deadline.min(Instant::now() + DATAGRAM_WAIT) } else { deadline };
            let mut goes_on = || self.process.ending().is_none() && !interrupt.is_caught();
            match question.ask(&self.address, until, &mut goes_on) {
                Ok(_) => return Ok(()),
                Err(Refusal::Wrong(reason)) => return Err(self.failed(reason)),
                Err(Refusal::GivenUp) => return Err(not_started(self.ended_or_interrupted())),
                Err(Refusal::NotYet(reason)) if Instant::now() >= deadline => {
                    let timeout = humantime::format_duration(plan.start_timeout);
                    return Err(not_started(self.failed(format!("it did not answer within {timeout}: {reason}"))));
                }
                Err(Refusal::NotYet(_)) => thread::sleep(ASK_EVERY),
            }
        }
    }

    /// Why somebody gave up who waited for this server.
    pub fn ended_or_interrupted(&self) -> Halt {
        match self.process.ending() {
            Some(ending) => self.failed(format!("it {ending}")),
            None => Halt::Interrupted,
        }
    }

    /// The server has failed for this reason; what it wrote at last is told with it.
    pub fn failed(&self, reason: String) -> Halt {
        Halt::Failed { reason, output: self.process.output.last_lines() }
    }
}

/// A failure before the server has answered.
fn not_started(halt: Halt) -> Halt {
    match halt {
        Halt::Failed { reason, output } => Halt::NotStarted { reason, output },
        other => other,
    }
}
