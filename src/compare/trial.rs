//! One server in one round: started, put under load, measured, stopped.

use std::path::Path;
use std::time::Instant;

use crate::compare::command::ServerCommand;
use crate::compare::idle::memory_per_connection;
use crate::compare::plan::Plan;
use crate::compare::question::{Question, Refusal};
use crate::compare::round::Round;
use crate::compare::start::{Started, start};
use crate::compare::{Halt, Interrupt, Load};
use crate::processes::meter::Meter;
use crate::report::visible::visible;

/// What all trials of a comparison share.
pub struct Trials<'a, 'l> {
    plan: &'a Plan,
    question: Question,
    folder: &'a Path,
    /// How many processes were started.
    started: usize,
    load: &'a mut Load<'l>,
    interrupt: &'a mut dyn Interrupt,
}

impl<'a, 'l> Trials<'a, 'l> {
    /// Trials as `plan` says, with what servers need in `folder`.
    pub fn new(
        plan: &'a Plan,
        folder: &'a Path,
        load: &'a mut Load<'l>,
        interrupt: &'a mut dyn Interrupt,
    ) -> Trials<'a, 'l> {
        Trials { plan, question: Question::of(&plan.options), folder, started: 0, load, interrupt }
    }

    /// One trial of `server`, in the round of this number.
    pub fn run(&mut self, server: &ServerCommand, number: usize) -> Result<Round, Halt> {
        let mut round = self.measure(server, number)?;
        if self.plan.idle_connections > 0 && !self.plan.options.datagrams {
            round.idle_memory = self.idle_memory(server)?;
        }
        Ok(round)
    }

    fn start(&mut self, server: &ServerCommand) -> Result<Started, Halt> {
        if self.interrupt.is_caught() {
            return Err(Halt::Interrupted);
        }
        self.started += 1;
        start(self.plan, server, &self.question, self.folder, self.started, self.interrupt)
    }

    /// What a process of `server` does under load.
    fn measure(&mut self, server: &ServerCommand, number: usize) -> Result<Round, Halt> {
        let mut started = self.start(server)?;
        let mut options = self.plan.options.clone();
        options.addresses = vec![started.address.clone()];
        let mut meter = Meter::new(started.process.group().family());
        let outcome = (self.load)(options, Some(self.interrupt.stream()?), &mut |progress| {
            meter.watch(progress.stage);
            started.process.output.trim();
        })?;
        let cpu = meter.finish();
        if outcome.interrupted {
            self.interrupt.note();
            return Err(Halt::Interrupted);
        }
        if started.process.ending().is_some() {
            return Err(started.ended_or_interrupted());
        }
        Round::of(number, &outcome, cpu, self.plan.server_processors()).map_err(|reason| started.failed(reason))
    }

    /// The memory that an idle connection costs a process of `server`; none where it does not take so many.
    fn idle_memory(&mut self, server: &ServerCommand) -> Result<Option<f64>, Halt> {
        let started = self.start(server)?;
        let deadline = Instant::now() + self.plan.start_timeout;
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
