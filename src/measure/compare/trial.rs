//! One server in one round: started, put under load, measured, stopped.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::measure::compare::command::ServerCommand;
use crate::measure::compare::idle::{IdleConnections, memory_per_connection};
use crate::measure::compare::plan::Plan;
use crate::measure::compare::processors::BusyMeter;
use crate::measure::compare::question::{Question, Refusal};
use crate::measure::compare::round::{Metered, Round};
use crate::measure::compare::start::{Started, start};
use crate::measure::compare::{Halt, Interrupt, Load};
use crate::measure::processes::meter::Meter;
use crate::measure::report::visible::visible;

/// How often a server is started that does not get so far as to answer. Once may be bad luck: the port was free when it
/// was looked for, and somebody else has taken it since; or the machine stood still for as long as the server may take.
const STARTS: usize = 2;

/// What all trials of a comparison share.
pub struct Trials<'a, 'l> {
    plan: &'a Plan,
    question: Question,
    /// Where Unix sockets go; none where there are none.
    folder: Option<&'a Path>,
    /// How many processes were started.
    started: usize,
    /// Why servers had to be started again, since somebody asked.
    restarts: Vec<String>,
    load: &'a mut Load<'l>,
    interrupt: &'a mut dyn Interrupt,
}

impl<'a, 'l> Trials<'a, 'l> {
    /// Trials as `plan` says, with the sockets of servers in `folder`, where they are files.
    pub fn new(
        plan: &'a Plan,
        folder: Option<&'a Path>,
        load: &'a mut Load<'l>,
        interrupt: &'a mut dyn Interrupt,
    ) -> Trials<'a, 'l> {
        Trials {
            plan,
            question: Question::of(&plan.options),
            folder,
            started: 0,
            restarts: Vec::new(),
            load,
            interrupt,
        }
    }

    /// One trial of `server`, in the round of this number.
    pub fn run(&mut self, server: &ServerCommand, number: usize) -> Result<Round, Halt> {
        let mut round = self.measure(server, number)?;
        if self.plan.idle_connections > 0 && !self.plan.options.datagrams {
            round.memory_per_idle_connection = self.idle_memory(server)?;
        }
        Ok(round)
    }

    /// Why servers had to be started again since the last call.
    pub fn take_restarts(&mut self) -> Vec<String> {
        std::mem::take(&mut self.restarts)
    }

    /// Whether the comparison is to end.
    pub fn is_interrupted(&mut self) -> bool {
        self.interrupt.is_caught()
    }

    fn start(&mut self, server: &ServerCommand) -> Result<Started, Halt> {
        let mut starts = 0;
        loop {
            if self.interrupt.is_caught() {
                return Err(Halt::Interrupted);
            }
            self.started += 1;
            starts += 1;
            match start(self.plan, server, &self.question, self.folder, self.started, self.interrupt) {
                Err(Halt::NotStarted { reason, .. }) if starts < STARTS => {
                    log::warn!("{} is started again: {}", visible(&server.name), visible(&reason));
                    self.restarts.push(reason);
                }
                ended => return ended,
            }
        }
    }

    /// What a process of `server` does under load.
    fn measure(&mut self, server: &ServerCommand, number: usize) -> Result<Round, Halt> {
        let mut started = self.start(server)?;
        let mut options = self.plan.options.clone();
        options.addresses = vec![started.address.clone()];
        let silent = self.open_silent(&started)?;
        let mut meter = Meter::new(started.process.group().family().clone());
        let mut busy = BusyMeter::new(self.plan.pinning.as_ref());
        // A run that has so many messages to send would never end by itself once its server has.
        let (reader, mut stop) = UnixStream::pair()?;
        let mut is_caught = false;
        let outcome = (self.load)(options, Some(reader), &mut |progress| {
            busy.watch(progress.stage);
            meter.watch(progress.stage);
            started.process.tend();
            is_caught |= self.interrupt.is_caught();
            if is_caught || started.process.ending().is_some() {
                // One byte is enough: that there is no room for another, or nobody who reads it any more, is no error.
                let _ = stop.set_nonblocking(true).and_then(|()| stop.write_all(b"x"));
            }
        })?;
        let metered = Metered { cpu: meter.finish(), busy: busy.finish() };
        if outcome.interrupted || started.process.ending().is_some() {
            return Err(started.ended_or_interrupted());
        }
        let lost = silent.lost();
        if lost > 0 {
            let count = self.plan.silent_connections;
            return Err(started.failed(format!("it did not leave {lost} of {count} silent connections alone")));
        }
        Round::of(number, &outcome, &metered, self.plan.server_processors()).map_err(|reason| started.failed(reason))
    }

    /// The connections that stay silent while load runs. A server that does not take all of them is not measured: it
    /// would have less to hold than the others.
    fn open_silent(&mut self, started: &Started) -> Result<IdleConnections, Halt> {
        let deadline = self.plan.deadline_for(self.plan.silent_connections);
        let mut goes_on = || started.process.ending().is_none() && !self.interrupt.is_caught();
        let count = self.plan.silent_connections;
        IdleConnections::open(count, &started.address, &self.question, deadline, &mut goes_on).map_err(|refusal| {
            match refusal {
                Refusal::NotYet(reason) => started.failed(format!("it does not take silent connections: {reason}")),
                Refusal::Wrong(reason) => started.failed(reason),
                Refusal::GivenUp => started.ended_or_interrupted(),
            }
        })
    }

    /// The memory that an idle connection costs a process of `server`; none where it does not take so many.
    fn idle_memory(&mut self, server: &ServerCommand) -> Result<Option<f64>, Halt> {
        let started = self.start(server)?;
        let deadline = self.plan.deadline_for(self.plan.idle_connections);
        let process = &started.process;
        let interrupt = &mut *self.interrupt;
        let mut goes_on = || process.ending().is_none() && !interrupt.is_caught();
        let count = self.plan.idle_connections;
        let measured =
            memory_per_connection(process.group(), &started.address, &self.question, count, deadline, &mut goes_on);
        match measured {
            Ok(memory) => Ok(Some(memory)),
            Err(Refusal::NotYet(reason)) => {
                log::warn!("{}: its memory an idle connection is not known: {reason}", visible(&server.name));
                Ok(None)
            }
            Err(Refusal::Wrong(reason)) => Err(started.failed(reason)),
            Err(Refusal::GivenUp) => Err(started.ended_or_interrupted()),
        }
    }
}
