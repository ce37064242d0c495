//! Starting a server: it counts as started when it answers.

use std::io::ErrorKind;
use std::thread;
use std::time::{Duration, Instant};

use crate::measure::compare::Halt;
use crate::measure::compare::command::ServerCommand;
use crate::measure::compare::listen_address::ListenAddress;
use crate::measure::compare::probe::Refusal;
use crate::measure::compare::process::ServerProcess;
use crate::measure::compare::trial::Trials;
use crate::measure::report::visible::visible;
use crate::os::address::Address;
use crate::os::reason;

/// How long to wait before a server that does not listen yet is asked again.
const ASK_EVERY: Duration = Duration::from_millis(10);

/// How long a datagram's reply is waited for before it is sent again.
const DATAGRAM_WAIT: Duration = Duration::from_millis(200);

/// A server that has answered.
#[derive(Debug)]
pub(crate) struct Started {
    /// Its process; dropping it stops it.
    pub process: ServerProcess,
    /// Where it listens.
    pub address: Address,
}

impl Trials<'_, '_> {
    /// Starts a process of `server`, with its socket in the folder where that is a file, and waits until it has
    /// answered the probe.
    pub(super) fn start_once(&mut self, server: &ServerCommand) -> Result<Started, Halt> {
        let plan = self.plan;
        self.started += 1;
        // The number tells the processes of one comparison apart.
        let place = ListenAddress::take(server.family, self.folder, self.started)?;
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
            Halt::Failed { reason, output: Vec::new(), may_be_bad_luck: false }
        })?;
        let started = Started { process, address: place.address };
        self.wait_until_it_answers(&started)?;
        Ok(started)
    }

    fn wait_until_it_answers(&mut self, started: &Started) -> Result<(), Halt> {
        let start_timeout = self.plan.start_timeout;
        let deadline = Instant::now() + start_timeout;
        loop {
            let is_lossy = self.plan.options.datagrams;
            let until = if is_lossy { deadline.min(Instant::now() + DATAGRAM_WAIT) } else { deadline };
            let mut goes_on = || started.process.ending().is_none() && !(self.is_interrupted)();
            match self.probe.ask(&started.address, until, &mut goes_on) {
                Ok(_) => return Ok(()),
                Err(Refusal::Wrong(reason)) => return Err(started.failed(reason)),
                Err(Refusal::GivenUp) => return Err(bad_luck(started.ended_or_interrupted())),
                Err(Refusal::NotYet(reason)) if Instant::now() >= deadline => {
                    let timeout = humantime::format_duration(start_timeout);
                    return Err(bad_luck(started.failed(format!("it did not answer within {timeout}: {reason}"))));
                }
                Err(Refusal::NotYet(_)) => thread::sleep(ASK_EVERY),
            }
        }
    }
}

impl Started {
    /// Why the wait for this server was given up.
    pub(crate) fn ended_or_interrupted(&self) -> Halt {
        match self.process.ending() {
            Some(ending) => self.failed(format!("it {ending}")),
            None => Halt::Interrupted,
        }
    }

    /// The server has failed for this reason; what it wrote at last is told with it.
    pub(crate) fn failed(&self, reason: String) -> Halt {
        Halt::Failed { reason, output: self.process.output.last_lines(), may_be_bad_luck: false }
    }

    /// The server has refused a probe that it has to answer.
    pub(crate) fn refused(&self, refusal: Refusal) -> Halt {
        match refusal {
            Refusal::NotYet(reason) | Refusal::Wrong(reason) => self.failed(reason),
            Refusal::GivenUp => self.ended_or_interrupted(),
        }
    }
}

/// A failure before the server has answered.
fn bad_luck(halt: Halt) -> Halt {
    match halt {
        Halt::Failed { reason, output, .. } => Halt::Failed { reason, output, may_be_bad_luck: true },
        other => other,
    }
}
