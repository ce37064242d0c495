//! One server in one round: started, put under load, measured, stopped.

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::measure::compare::command::ServerCommand;
use crate::measure::compare::idle::IdleConnections;
use crate::measure::compare::plan::Plan;
use crate::measure::compare::probe::{Probe, Refusal};
use crate::measure::compare::processors::BusyMeter;
use crate::measure::compare::round::{Metered, Round};
use crate::measure::compare::start::Started;
use crate::measure::compare::{Halt, Load};
use crate::measure::processes::meter::Meter;
use crate::measure::processes::usage;
use crate::measure::report::visible::visible;

/// How often a server is started that does not get so far as to answer. Once may be bad luck: the port was free when it
/// was looked for, and another process has taken it since; or the machine stood still for as long as the server may
/// take.
const STARTS: usize = 2;

/// What all trials of a comparison share.
pub(crate) struct Trials<'a, 'l> {
    pub(super) plan: &'a Plan,
    pub(super) probe: Probe,
    /// Where Unix sockets go; `None` if there are none.
    pub(super) folder: Option<&'a Path>,
    /// How many processes were started.
    pub(super) started: usize,
    /// Why servers had to be started again, since this was taken.
    pub(super) restarts: Vec<String>,
    load: &'a mut Load<'l>,
    /// Whether the comparison is to end.
    pub(super) is_interrupted: &'a mut dyn FnMut() -> bool,
}

impl<'a, 'l> Trials<'a, 'l> {
    /// Trials as `plan` says, with the sockets of servers in `folder`, where they are files.
    pub(crate) fn new(
        plan: &'a Plan,
        folder: Option<&'a Path>,
        load: &'a mut Load<'l>,
        is_interrupted: &'a mut dyn FnMut() -> bool,
    ) -> Trials<'a, 'l> {
        let probe = Probe::of(&plan.options);
        Trials { plan, probe, folder, started: 0, restarts: Vec::new(), load, is_interrupted }
    }

    /// One trial of `server`, in the round of this number.
    pub(crate) fn run(&mut self, server: &ServerCommand, number: usize) -> Result<Round, Halt> {
        let mut round = self.measure(server, number)?;
        if self.plan.idle_connections > 0 && !self.plan.options.datagrams {
            round.memory_per_idle_connection = self.idle_memory(server)?;
        }
        Ok(round)
    }

    fn start(&mut self, server: &ServerCommand) -> Result<Started, Halt> {
        for starts in 1.. {
            if (self.is_interrupted)() {
                break;
            }
            match self.start_once(server) {
                Err(Halt::Failed { reason, may_be_bad_luck: true, .. }) if starts < STARTS => {
                    log::warn!("{} is started again: {}", visible(&server.name), visible(&reason));
                    self.restarts.push(reason);
                }
                ended => return ended,
            }
        }
        Err(Halt::Interrupted)
    }

    /// What a process of `server` does under load.
    fn measure(&mut self, server: &ServerCommand, number: usize) -> Result<Round, Halt> {
        let mut started = self.start(server)?;
        let mut options = self.plan.options.clone();
        options.addresses = vec![started.address.clone()];
        let silent = self.open(self.plan.silent_connections, &started);
        // A server that does not take all of them is not measured: it would have less to hold than the others.
        let refused = |refusal: Refusal| refusal.of(|| "it does not take silent connections".to_owned());
        let silent = silent.map_err(|refusal| started.refused(refused(refusal)))?;
        let mut meter = Meter::new(started.process.group.family.clone());
        let mut busy = BusyMeter::new(self.plan.pinning.as_ref());
        // A run of a number of messages would never end by itself once its server has.
        let (reader, mut stop) = UnixStream::pair()?;
        let mut is_caught = false;
        let outcome = (self.load)(options, Some(reader), &mut |progress| {
            busy.watch(progress.stage);
            meter.watch(progress.stage);
            started.process.tend();
            is_caught |= (self.is_interrupted)();
            if is_caught || started.process.ending().is_some() {
                // One byte is enough: a full pipe, or one without a reader, is no error.
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

    /// So many connections that have asked once, and stay silent.
    fn open(&mut self, count: usize, started: &Started) -> Result<IdleConnections, Refusal> {
        let deadline = self.plan.deadline_for(count);
        let mut goes_on = || started.process.ending().is_none() && !(self.is_interrupted)();
        IdleConnections::open(count, &started.address, &self.probe, deadline, &mut goes_on)
    }

    /// The memory that an idle connection costs a process of `server`; `None` if it does not take so many.
    fn idle_memory(&mut self, server: &ServerCommand) -> Result<Option<f64>, Halt> {
        let started = self.start(server)?;
        let count = self.plan.idle_connections;
        let untold = || Refusal::NotYet("the kernel does not tell the memory of its processes".to_owned());
        let memory = || usage::memory(&started.process.group.members()).ok_or_else(untold);
        // The server has answered before, so what it needs for the first message is there already.
        let measured = memory().and_then(|before| {
            let _connections = self.open(count, &started)?;
            Ok((memory()? as f64 - before as f64) / count.max(1) as f64)
        });
        match measured {
            Ok(memory) => Ok(Some(memory)),
            Err(Refusal::NotYet(reason)) => {
                log::warn!("{}: its memory an idle connection is not known: {reason}", visible(&server.name));
                Ok(None)
            }
            Err(refusal) => Err(started.refused(refusal)),
        }
    }
}
