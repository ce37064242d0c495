//! The run's own deadlines: its stages, its time-outs, its end.

use std::time::Duration;

use crate::measure::load::effort::Effort;
use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::generator::Generator;
use crate::measure::load::lane::State;
use crate::measure::load::options::End;
use crate::measure::load::progress::{Progress, Stage};
use crate::measure::load::stopwatch::Moment;
use crate::reactor::handler::{Context, Orders};
use crate::reactor::metrics::Metrics;

/// Time between two reports of progress.
const TELL_EVERY: Duration = Duration::from_millis(200);

/// How many times within the time-out of a reply the lanes are looked at: so exact a time-out is.
const SCANS: u32 = 20;

/// Looking takes time itself, so it rests so long.
const SCAN_REST: Duration = Duration::from_millis(1);

/// How long is listened after the last reply, where a reply too many looks like the next one: twice as long as the
/// slowest reply took, since a part that was late looks like a slow reply; within these bounds.
const LISTEN_MIN: Duration = Duration::from_millis(200);
const LISTEN_MAX: Duration = Duration::from_secs(1);

/// With fewer messages the 99th percentile is the slowest one.
const P99_MESSAGES: u64 = 100;

/// So many failures in a row, and no reply between them, are more than bad luck.
const FAILURES: u32 = 3;

impl Generator {
    /// Does what is due by now, and asks to be called for the next.
    pub(super) fn control(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        self.dial(now, cx.orders);
        self.look_for_time_outs(now, cx.orders);
        let stage = self.stage;
        self.advance(now, cx);
        if self.stage != stage || now >= self.next_progress {
            self.tell(now);
        }
        if let Some(next) = self.next_moment() {
            cx.wake_at(next.tick());
        }
    }

    fn next_moment(&self) -> Option<Moment> {
        let stage_ends = match self.stage {
            Stage::Connecting => None,
            Stage::WarmingUp => Some(self.pacer.measures_from()),
            Stage::Measuring => Some(self.pacer.stops_at),
            Stage::Waiting | Stage::Listening => Some(self.waits_until),
        };
        let gives_up_at = self.gives_up_at().filter(|_| self.stage == Stage::Measuring);
        let moments = [stage_ends, gives_up_at, self.dialer.due(), Some(self.next_scan), Some(self.next_progress)];
        moments.into_iter().flatten().min()
    }

    /// Enters the next stage, where its time has come.
    fn advance(&mut self, now: Moment, cx: &mut Context<'_>) {
        if self.is_hopeless() {
            return self.end(cx.orders);
        }
        let is_found = self.options.churn && (self.dialer.has_connected() || !self.asks_first);
        if self.stage == Stage::Connecting && (self.dialer.is_idle() || is_found) {
            self.begin(now, cx.orders);
        }
        if self.stage == Stage::WarmingUp && now >= self.pacer.measures_from() {
            self.stage = Stage::Measuring;
            self.effort_before = Effort::so_far(cx.metrics);
        }
        if self.stage == Stage::Measuring && self.has_measured(now) {
            self.stop_measuring(now, cx.metrics);
        }
        if self.stage == Stage::Waiting
            && ((self.outstanding == 0 && self.pacer.is_exhausted(now)) || now >= self.waits_until)
        {
            self.finish_waiting(now, cx);
        }
        if self.stage == Stage::Listening && (self.open == 0 || now >= self.waits_until) {
            self.end(cx.orders);
        }
    }

    /// Every connection is open, has ended again, or cannot be opened: the warm-up begins.
    fn begin(&mut self, now: Moment, orders: &mut Orders) {
        self.stage = Stage::WarmingUp;
        self.pacer.begin(now);
        self.recorder.measure(self.pacer.measures_from(), self.pacer.stops_at);
        let opened = if self.options.churn { self.lanes.len() } else { self.open };
        self.recorder.outcome.connections = opened;
        self.recorder.outcome.unopened = self.lanes.len() - opened;
        for (number, lane) in self.lanes.iter_mut().enumerate() {
            lane.free_since = now;
            match lane.state {
                State::Closed if self.options.churn => self.dialer.add(number, now),
                State::Closed => self.dialer.add_after(number, now, lane.pause()),
                _ => orders.wake(lane.key),
            }
        }
        self.dial(now, orders);
    }

    fn has_measured(&self, now: Moment) -> bool {
        match self.options.end {
            End::After(_) => now >= self.pacer.stops_at,
            End::Messages(_) => self.pacer.is_exhausted(now) || self.gives_up_at().is_some_and(|moment| now >= moment),
        }
    }

    /// The end of the wait for a number of messages when no server is left to answer them.
    fn gives_up_at(&self) -> Option<Moment> {
        let may_be_endless = matches!(self.options.end, End::Messages(_)) && self.failures >= FAILURES;
        may_be_endless.then(|| self.failing_since.after(self.options.connect_timeout).after(self.options.timeout))
    }

    fn stop_measuring(&mut self, now: Moment, metrics: &Metrics) {
        self.stage = Stage::Waiting;
        self.waits_until = now.after(self.options.timeout);
        if let End::After(_) = self.options.end {
            self.note_effort(metrics);
            self.ended_at = Some(self.pacer.stops_at);
        }
    }

    /// What was measured until now took this.
    fn note_effort(&mut self, metrics: &Metrics) {
        let effort = Effort::so_far(metrics).since(self.effort_before);
        self.recorder.outcome.generator_cpu = effort.cpu;
        self.recorder.outcome.idle_polling = self.options.busy_poll.map(|_| effort.idle_polling);
    }

    /// Whatever is not answered by now never will be. Where all is, and a reply too many would have been taken for the
    /// next one, what is left over is listened for: it counts for no figure, and shows what the figures are worth.
    fn finish_waiting(&mut self, now: Moment, cx: &mut Context<'_>) {
        let listens = self.outstanding == 0 && !self.exchange.tells_apart();
        for lane in 0..self.lanes.len() {
            if self.options.datagrams {
                self.expire_datagrams(lane, Moment::NEVER, now, cx.orders);
                // What did not even leave was never answered either.
                self.give_back(lane, now, cx.orders);
            } else {
                self.abandon(lane, now, cx.orders);
            }
        }
        self.recorder.error(ErrorKind::Unanswered, self.pacer.unsent(), now);
        self.note_last_message(now, cx.metrics);
        if listens {
            self.stage = Stage::Listening;
            let slowest = Duration::from_nanos(self.recorder.slowest().saturating_mul(2));
            self.waits_until = now.after(slowest.clamp(LISTEN_MIN, LISTEN_MAX));
        } else {
            self.end(cx.orders);
        }
    }

    /// A number of messages was measured until the last reply: what was waited for in vain after it is no time of
    /// measuring.
    fn note_last_message(&mut self, now: Moment, metrics: &Metrics) {
        if let End::Messages(_) = self.options.end {
            self.note_effort(metrics);
            self.ended_at = Some(if self.recorder.outcome.latency.is_empty() { now } else { self.recorder.last_reply });
        }
    }

    /// The run is interrupted: what was measured until now is the outcome.
    pub(super) fn interrupt(&mut self, cx: &mut Context<'_>) {
        let now = self.now();
        if self.stage == Stage::Listening {
            return self.end(cx.orders);
        }
        self.recorder.outcome.interrupted = true;
        match self.stage {
            Stage::Connecting | Stage::WarmingUp => {}
            Stage::Measuring => {
                self.pacer.stop(now);
                self.note_effort(cx.metrics);
                self.ended_at = Some(now);
            }
            Stage::Waiting | Stage::Listening => self.note_last_message(now, cx.metrics),
        }
        self.end(cx.orders);
    }

    /// Whether nothing will ever be measured: no connection was established, or no socket is left that could be
    /// answered.
    fn is_hopeless(&self) -> bool {
        if self.options.datagrams {
            let has_none = self.open == 0 && self.dialer.is_idle();
            let all_are_refused = self.refused_sockets >= self.open && self.refused_sockets > 0;
            return self.recorder.replies == 0 && (has_none || all_are_refused);
        }
        // A server that was there once may come back.
        self.dialer.has_given_up()
    }

    /// Looks for replies that did not come in time.
    fn look_for_time_outs(&mut self, now: Moment, orders: &mut Orders) {
        if now < self.next_scan {
            return;
        }
        self.next_scan = now.after((self.options.timeout / SCANS).max(SCAN_REST));
        let before = now.before(self.options.timeout);
        for lane in 0..self.lanes.len() {
            if self.options.datagrams {
                self.expire_datagrams(lane, before, now, orders);
            } else if self.lanes[lane].state == State::Open
                && self.lanes[lane].oldest().is_some_and(|oldest| oldest.sent < before)
            {
                self.give_up(lane, now, orders);
            }
        }
    }

    fn tell(&mut self, now: Moment) {
        self.next_progress = now.after(TELL_EVERY);
        let (replies, since) = std::mem::replace(&mut self.replies_before, (self.recorder.replies, now));
        let seconds = now.since(since).as_secs_f64().max(1e-9);
        let done = match self.options.end {
            End::After(duration) => {
                now.since(self.pacer.measures_from()).as_secs_f64() / duration.as_secs_f64().max(1e-9)
            }
            End::Messages(count) => self.recorder.outcome.latency.len() as f64 / count.max(1) as f64,
        };
        self.progress = Some(Progress {
            stage: self.stage,
            elapsed: now.since(Moment::default()),
            done: done.clamp(0.0, 1.0),
            connections: self.open,
            messages_per_second: (self.recorder.replies - replies) as f64 / seconds,
            p99: (self.recorder.outcome.latency.len() >= P99_MESSAGES)
                .then(|| self.recorder.outcome.latency.value_at_quantile(0.99)),
            in_vain: self.recorder.in_vain,
            errors: self.recorder.error_count(),
        });
    }
}
