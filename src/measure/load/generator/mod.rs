//! The generator: the handler that wires lanes, pacer, dialer and recorder.
//!
//! Three kinds of sources call it: the connections of its lanes, a control source whose deadlines are the run's own
//! (its stages, the time-outs, the next connection), and a stream on which a byte interrupts the run.

mod control;
mod datagrams;
mod streams;

use std::time::{Duration, Instant};

use crate::measure::load::dialer::Dialer;
use crate::measure::load::effort::Effort;
use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::exchange::Exchange;
use crate::measure::load::lane::{Flight, Lane};
use crate::measure::load::lateness::Lateness;
use crate::measure::load::options::Options;
use crate::measure::load::outcome::{Mismatch, Outcome, Surplus};
use crate::measure::load::pacer::{Pacer, Ticket};
use crate::measure::load::progress::{Progress, Stage};
use crate::measure::load::recorder::Recorder;
use crate::measure::load::stopwatch::{Moment, Stopwatch};
use crate::os::key::Key;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::handler::{Context, Handler, Orders, Stop};
use crate::reactor::tag::Tag;

/// So many lanes are looked at for one that sleeps until a later message is due, when a message has come back that is
/// due sooner.
const SLEEPERS: usize = 64;

/// How much of a wrong reply is kept to be shown.
const SHOWN: usize = 32;

/// What the generator remembers of one source: which it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LaneSession {
    /// A connection or socket of the lane with this number.
    Lane(usize),
    /// The run's own deadlines.
    Control,
    /// A byte here ends the run.
    Interrupt,
}

/// A handler that puts load on a server.
pub(super) struct Generator {
    options: Options,
    exchange: Exchange,
    stopwatch: Stopwatch,
    pacer: Pacer,
    dialer: Dialer,
    recorder: Recorder,
    lateness: Lateness,
    lanes: Vec<Lane>,
    control: Key,
    stage: Stage,
    /// Tickets that were taken and are neither answered nor given up.
    outstanding: u64,
    /// Connections that are established.
    open: usize,
    /// Messages and connections that failed since the last reply, and when the first of them did.
    failures: u32,
    failing_since: Moment,
    /// When what is outstanding is waited for no longer.
    waits_until: Moment,
    next_scan: Moment,
    next_progress: Moment,
    /// How far it has come, where that is worth telling.
    pub(super) progress: Option<Progress>,
    replies_before: (u64, Moment),
    /// What this process had done when measuring began.
    effort_before: Effort,
    ended_at: Option<Moment>,
    refused_sockets: usize,
    /// Connections that were not established in time, since the last one that was.
    connect_timeouts: usize,
    /// Connections that could not be opened because of a limit of this machine's, since the last one that could.
    own_limits: usize,
    /// With churn a message that does not count looks for the server's address before the run, where there are several.
    asks_first: bool,
}

/// Counts one more, if `more`, where that can be known.
fn count(counter: &mut Option<u64>, more: bool) {
    *counter = counter.map(|count| count + u64::from(more));
}

impl Generator {
    /// A generator that has done nothing yet. `control` names the source of the run's deadlines.
    pub(super) fn new(options: Options, began: Instant, control: Key) -> Generator {
        let lane = || Lane::new(options.pipeline, options.datagrams);
        let mut generator = Generator {
            exchange: Exchange::new(&options),
            stopwatch: Stopwatch::since(began),
            pacer: Pacer::new(&options),
            dialer: Dialer::new(&options),
            recorder: Recorder::new(options.interval, options.pace.is_open()),
            lateness: Lateness::default(),
            lanes: std::iter::repeat_with(lane).take(options.connections).collect(),
            control,
            stage: Stage::Connecting,
            outstanding: 0,
            open: 0,
            failures: 0,
            failing_since: Moment::NEVER,
            waits_until: Moment::NEVER,
            next_scan: Moment::default(),
            next_progress: Moment::default(),
            progress: None,
            replies_before: (0, Moment::default()),
            effort_before: Effort::default(),
            ended_at: None,
            refused_sockets: 0,
            connect_timeouts: 0,
            own_limits: 0,
            asks_first: false,
            options,
        };
        generator.note_what_can_be_known();
        if !generator.options.churn {
            (0..generator.lanes.len()).for_each(|lane| generator.dialer.add(lane, Moment::default()));
        } else if generator.dialer.is_searching() {
            generator.asks_first = true;
            let question = generator.question(Moment::default());
            generator.lanes[0].reserved = Some(question);
            generator.dialer.add(0, Moment::default());
        }
        generator
    }

    /// A count that nothing can tell stays `None`.
    fn note_what_can_be_known(&mut self) {
        let (exchange, outcome) = (&self.exchange, &mut self.recorder.outcome);
        let tells_numbers = if self.options.datagrams { exchange.is_numbered() } else { exchange.is_checked };
        outcome.duplicated = tells_numbers.then_some(0);
        outcome.reordered = tells_numbers.then_some(0);
        outcome.corrupt = exchange.is_checked.then_some(0);
        outcome.surplus = exchange.counts_surplus().then(Surplus::default);
        outcome.first_bytes = exchange.ends_with_first_bytes();
        outcome.idle_polling = self.options.busy_poll.map(|_| Duration::ZERO);
    }

    /// What it has measured.
    pub(super) fn into_outcome(mut self) -> Outcome {
        let unsent = self.note_unanswered();
        let mut outcome = self.recorder.finish(self.ended_at.unwrap_or_default());
        outcome.due = outcome.sent + unsent;
        outcome
    }

    /// What is still in flight, or was never sent, has waited until now: where a run was interrupted, or gave up.
    /// Returns how many were never sent.
    fn note_unanswered(&mut self) -> u64 {
        let now = self.now();
        for lane in &mut self.lanes {
            lane.abandon().for_each(|flight| self.recorder.gave_up(&flight, now));
        }
        // Tickets come in the order in which they are due, so the first has waited longest. It is due in any case, even
        // if it was never handed out.
        let unsent = self.pacer.unsent();
        if unsent > 0
            && let Some(first) = self.pacer.take(now)
        {
            self.recorder.waited_in_vain(first.due, now);
        }
        unsent
    }

    fn now(&self) -> Moment {
        self.stopwatch.now()
    }

    /// Takes the next ticket.
    fn take_ticket(&mut self, now: Moment) -> Option<Ticket> {
        let ticket = self.pacer.take(now)?;
        self.outstanding += 1;
        Some(ticket)
    }

    /// A message before the run, which does not count: whether it is answered tells whether the server lives at this
    /// address.
    fn question(&mut self, now: Moment) -> Ticket {
        self.outstanding += 1;
        Ticket { due: now, measured: false }
    }

    /// A ticket is answered or given up; with the last one the run may be over.
    fn settle(&mut self, now: Moment, orders: &mut Orders) {
        self.outstanding -= 1;
        if self.outstanding == 0 && self.pacer.is_exhausted(now) {
            orders.wake(self.control);
        }
    }

    /// A message of `lane` leaves now.
    fn note_sent(&mut self, lane: usize, ticket: Ticket, now: Moment) {
        let (lane, outcome) = (&mut self.lanes[lane], &mut self.recorder.outcome);
        let late = self.lateness.is_late(ticket.due, lane.free_since, now);
        let counts = ticket.measured && self.options.pace.is_open();
        let late = late && counts;
        lane.send(ticket, now, late);
        if let Some(wait) = self.dialer.own_share(ticket.due, now).filter(|_| counts && !late) {
            outcome.held += 1;
            outcome.held_for += wait;
        }
        outcome.sent += u64::from(ticket.measured);
        outcome.late += u64::from(late);
    }

    /// The next ticket of `lane`, if it has room for a message and one is due. Where the next is due later, the lane is
    /// woken then.
    fn next_due(&mut self, lane: usize, now: Moment, cx: &mut Context<'_>) -> Option<Ticket> {
        if self.lanes[lane].in_flight() >= self.options.pipeline {
            return None;
        }
        let ticket = match self.lanes[lane].reserved.take() {
            Some(ticket) => self.pacer.exchange(ticket),
            None => self.take_ticket(now)?,
        };
        if ticket.due > now {
            self.lanes[lane].reserved = Some(ticket);
            cx.wake_at(ticket.due.tick());
            return None;
        }
        Some(ticket)
    }

    /// Remembers the first reply that was wrong.
    fn note_wrong(&mut self, lane: usize, message: u64, offset: usize, got: &[u8]) {
        count(&mut self.recorder.outcome.corrupt, true);
        let expected = self.exchange.expected(lane, message, offset, SHOWN);
        let got = got[..got.len().min(SHOWN)].to_vec();
        self.recorder.outcome.mismatch.get_or_insert(Mismatch { connection: lane, message, offset, expected, got });
    }

    /// Bytes came that no message waits for.
    fn note_surplus(&mut self, bytes: usize) {
        if let Some(surplus) = &mut self.recorder.outcome.surplus {
            surplus.times += 1;
            surplus.bytes += bytes as u64;
        }
    }

    /// A reply has arrived whole.
    fn note_reply(&mut self, flight: &Flight, bytes: usize, now: Moment) {
        self.failures = 0;
        self.recorder.reply(flight, bytes, now);
    }

    /// A message will not be answered, or a connection could not be opened.
    fn note_failure(&mut self, now: Moment) {
        if self.failures == 0 {
            self.failing_since = now;
        }
        self.failures = self.failures.saturating_add(1);
    }

    /// Messages that will not be answered, for their connection ends.
    fn abandon(&mut self, lane: usize, now: Moment, orders: &mut Orders) {
        let mut flights = 0;
        for flight in self.lanes[lane].abandon() {
            flights += 1;
            self.recorder.gave_up(&flight, now);
        }
        self.recorder.error(ErrorKind::Unanswered, flights, now);
        for _ in 0..flights {
            self.note_failure(now);
            self.settle(now, orders);
        }
        self.give_back(lane, now, orders);
    }

    /// The message that `lane` was to send next can be sent by another lane. One that sleeps until a later message is
    /// due is woken for it: or the message would wait for a lane to wake, although there is room.
    fn give_back(&mut self, lane: usize, now: Moment, orders: &mut Orders) {
        let Some(ticket) = self.lanes[lane].reserved.take() else { return };
        self.outstanding -= 1;
        self.pacer.give_back(ticket);
        let others = self.lanes[lane..].iter().chain(&self.lanes[..lane]).take(SLEEPERS);
        let sleeper = others.max_by_key(|other| other.reserved.map(|reserved| reserved.due));
        orders.wake(sleeper.filter(|_| ticket.due > now).and_then(|sleeper| sleeper.key));
    }

    /// Ends the run.
    fn end(&mut self, orders: &mut Orders) {
        self.ended_at.get_or_insert(self.stopwatch.now());
        orders.stop(Stop::AtOnce);
    }
}

impl Handler for Generator {
    type Session = LaneSession;

    fn open(&mut self, tag: Tag, cx: &mut Context<'_>) -> LaneSession {
        self.opened(tag.index(), cx);
        LaneSession::Lane(tag.index())
    }

    fn receive(&mut self, session: &mut LaneSession, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        match *session {
            LaneSession::Lane(lane) => self.received(lane, bytes, cx),
            LaneSession::Control => bytes.len(),
            LaneSession::Interrupt => {
                self.interrupt(cx);
                bytes.len()
            }
        }
    }

    fn end_of_stream(&mut self, session: &mut LaneSession, rest: &[u8], cx: &mut Context<'_>) {
        let _ = rest;
        // The interrupt pipe closed; the run goes on.
        if *session != LaneSession::Interrupt {
            cx.finish(CloseReason::PeerClosed);
        }
    }

    fn datagram(&mut self, session: &mut LaneSession, bytes: &[u8], cx: &mut Context<'_>) {
        if let LaneSession::Lane(lane) = *session {
            self.received_datagram(lane, bytes, cx);
        }
    }

    fn datagram_error(&mut self, session: &mut LaneSession, reason: CloseReason, cx: &mut Context<'_>) {
        if let LaneSession::Lane(lane) = *session {
            self.socket_fault(lane, reason, cx);
        }
    }

    fn tick(&mut self, session: &mut LaneSession, cx: &mut Context<'_>) {
        match *session {
            LaneSession::Lane(lane) if self.options.datagrams => self.send_datagram(lane, cx),
            LaneSession::Lane(lane) => self.send_messages(lane, cx),
            LaneSession::Control => self.control(cx),
            LaneSession::Interrupt => {}
        }
    }

    fn close(&mut self, session: LaneSession, reason: CloseReason, orders: &mut Orders) {
        if let LaneSession::Lane(lane) = session {
            self.closed(lane, reason, orders);
        }
    }

    fn connect_failed(&mut self, tag: Tag, reason: CloseReason, orders: &mut Orders) {
        self.not_connected(tag.index(), reason, orders);
    }
}
