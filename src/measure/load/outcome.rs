//! What a run of load has measured.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::measure::load::chance;
use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::interval::Interval;

/// What a run of load has measured. Latencies are in nanoseconds.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// Whether messages were sent by schedule (an open loop).
    pub open_loop: bool,
    /// The measured time, without the warm-up and without the wait for what was outstanding at its end.
    pub duration: Duration,
    /// Connections (or datagram sockets) that were established when the warm-up began. With churn: how many there were
    /// at a time.
    pub connections: usize,
    /// Connections that were asked for and were not there then; 0 with churn.
    pub unopened: usize,
    /// Messages that became due in the measured time (in a closed loop: that were sent in it) and were answered.
    pub messages: u64,
    /// Replies that came within the measured time.
    pub replies_in_time: u64,
    /// Bytes of those replies, with their frames.
    pub reply_bytes_in_time: u64,
    /// From when each message was due (in a closed loop: from when it was sent) until its whole reply was there.
    pub latency: Histogram<u64>,
    /// From when each message was sent. The same as `latency` in a closed loop.
    pub send_latency: Histogram<u64>,
    /// The course of the run, from the beginning of the measured time on. The last ones may lie behind its end, where
    /// replies were waited for.
    pub intervals: Vec<Interval>,
    /// What went wrong, counted by kind: see [`ErrorKind::reported`].
    pub errors: BTreeMap<ErrorKind, u64>,
    /// How long the message waited that waited longest of those that were due and never answered: from when it was due
    /// until it was given up, or the run ended. `None` if all were answered, or it is not known.
    pub longest_in_vain: Option<Duration>,
    /// Datagrams whose reply did not come within the time-out; 0 on a stream. `None` if it is not known: in reports
    /// that were merged.
    pub lost: Option<u64>,
    /// Replies that came twice. `None` if that cannot be known.
    pub duplicated: Option<u64>,
    /// Replies that came after the reply to a later message. `None` if that cannot be known.
    pub reordered: Option<u64>,
    /// Replies that were not what they had to be, those of the warm-up included: a wrong byte is never overlooked.
    /// `None` if nothing is checked.
    pub corrupt: Option<u64>,
    /// What came although no message waited for it, the warm-up and the moment after the last reply included. `None` if
    /// every reply is told apart by what is in it: there such bytes are errors, or duplicates.
    pub surplus: Option<Surplus>,
    /// Whether a latency ends with the first bytes of a reply, because nothing says when it is whole.
    pub first_bytes: bool,
    /// Messages that left more than [`LATE`] after they were due although there was room for them: this program's own
    /// fault.
    pub late: u64,
    /// Messages that were sent late because this program let a connection wait before it opened it: for a pause, or for
    /// the connect rate. What they waited for it is a part of their latency, and not the server's. None are counted in
    /// a closed loop, where a message is due when there is a connection for it.
    pub held: u64,
    /// How long those messages waited for this program, together.
    pub held_for: Duration,
    /// For how long connections were not there in the measured time because this program let them wait, together.
    pub rested: Duration,
    /// Connections that the server ended after it had answered on them, and owed nothing: no error, and opened anew at
    /// once.
    pub ended: u64,
    /// Messages that became due in the measured time; in a closed loop those that were sent.
    pub due: u64,
    /// Those of them that were sent: what `late` is a part of.
    pub sent: u64,
    /// CPU time that this process used in the measured time, user and system.
    pub generator_cpu: Duration,
    /// How much of the measured time this process polled for nothing because it was to stay awake; `None` if it sleeps
    /// ([`Options::busy_poll`](crate::measure::load::options::Options::busy_poll)).
    pub idle_polling: Option<Duration>,
    /// CPU time that the server used in the measured time, where the caller metered it:
    /// [`run`](crate::measure::load::run) does not.
    pub server_cpu: Option<Duration>,
    /// Whether it was ended before its time.
    pub interrupted: bool,
    /// The first reply that was wrong.
    pub mismatch: Option<Mismatch>,
}

/// How late a message may leave before it counts as late.
pub const LATE: Duration = Duration::from_millis(1);

/// What came although no message waited for it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Surplus {
    /// How often something came: a read of a stream, or a datagram, which may be empty.
    pub times: u64,
    /// How many bytes it was.
    pub bytes: u64,
}

/// Where a reply was not what it had to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mismatch {
    /// Which connection or socket, counted from 0.
    pub connection: usize,
    /// Which of its messages, counted from 0.
    pub message: u64,
    /// Which byte of the reply, counted from 0.
    pub offset: usize,
    /// Some of what had to come, from that byte on; empty where nothing more had to.
    pub expected: Vec<u8>,
    /// Some of what came, from that byte on; empty where the reply ended there.
    pub got: Vec<u8>,
}

/// Why a run's figures are not to be trusted: they tell of something else than how fast the server is.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Doubt {
    /// This share of the messages left late (0 to 1).
    LateSends(f64),
    /// This share of the messages (0 to 1) waited for a connection that this program let wait.
    HeldBack(f64),
    /// This process was busy for this share of a core's time (0 to 1), and the server for none to the full, as far as
    /// is known: this process was the bottleneck.
    Saturated(f64),
    /// Connections that were asked for were not there: the load was less than it was to be.
    Unopened {
        /// Those that were not there.
        missing: usize,
        /// Those that were asked for.
        asked: usize,
    },
    /// All were there at first, but this number of sockets could not be opened later because of a limit of this machine
    /// or process.
    OwnLimit(u64),
    /// This came although no message waited for it: so something was taken for a reply that was none, or not all of it.
    Surplus(Surplus),
}

impl Outcome {
    /// The outcome of a run that was not made, with every count at zero.
    pub fn nothing(open_loop: bool) -> Outcome {
        let empty = || Histogram::new_with_bounds(1, 2, 3).expect("the bounds are constants");
        Outcome {
            open_loop,
            duration: Duration::ZERO,
            connections: 0,
            unopened: 0,
            messages: 0,
            replies_in_time: 0,
            reply_bytes_in_time: 0,
            latency: empty(),
            send_latency: empty(),
            intervals: Vec::new(),
            errors: BTreeMap::new(),
            longest_in_vain: None,
            lost: Some(0),
            duplicated: None,
            reordered: None,
            corrupt: None,
            surplus: None,
            first_bytes: false,
            late: 0,
            held: 0,
            held_for: Duration::ZERO,
            rested: Duration::ZERO,
            ended: 0,
            due: 0,
            sent: 0,
            generator_cpu: Duration::ZERO,
            idle_polling: None,
            server_cpu: None,
            interrupted: false,
            mismatch: None,
        }
    }

    /// The share of late sends that a run may have, and the share of messages that waited for a connection of this
    /// program's. A run that has more by chance, because it has few messages, is not doubted: see
    /// [`chance::shows_more`].
    pub const LATE_MAX: f64 = 0.01;

    /// The share of a core's time for which this process may be busy.
    pub const CORE_MAX: f64 = 0.98;

    /// A shorter run does not tell whether this process was at its limit: the rest of a core's time, 2 % of it, would
    /// be less than 2 ms, which is one wait that the scheduler gave it or not.
    pub const CORE_TELLS_FROM: Duration = Duration::from_millis(100);

    /// The share of a core from which on a server counts as saturated. It is lower than this program's own limit: where
    /// both have a core each and cost the same, each waits for the other a little, and neither is at fault.
    pub const SERVER_CORE: f64 = 0.9;

    /// What speaks against the figures; a run without doubts is valid.
    pub fn doubts(&self) -> Vec<Doubt> {
        let mut doubts = Vec::new();
        if chance::shows_more(self.late, self.sent, Outcome::LATE_MAX) {
            doubts.push(Doubt::LateSends(self.late as f64 / self.sent as f64));
        }
        if chance::shows_more(self.held, self.sent, Outcome::LATE_MAX) {
            doubts.push(Doubt::HeldBack(self.held as f64 / self.sent as f64));
        }
        let busy = self.busy_share();
        let tells = self.duration >= Outcome::CORE_TELLS_FROM && self.messages > 0;
        if tells && busy > Outcome::CORE_MAX && !self.server_is_saturated() {
            doubts.push(Doubt::Saturated(busy));
        }
        let own_limits = self.errors.iter().filter(|(kind, _)| kind.is_own_limit()).map(|(_, count)| count).sum();
        match (self.messages, self.unopened, own_limits) {
            (0, ..) | (_, 0, 0) => {}
            (_, 0, count) => doubts.push(Doubt::OwnLimit(count)),
            (_, missing, _) => doubts.push(Doubt::Unopened { missing, asked: self.connections + missing }),
        }
        doubts.extend(self.surplus.filter(|surplus| surplus.times > 0).map(Doubt::Surplus));
        doubts
    }

    /// How much of a core this process used, 0 to 1.
    pub fn core_share(&self) -> f64 {
        self.share(self.generator_cpu)
    }

    /// How much of a core this process used for something, 0 to 1. Who polls without sleeping always uses one; what it
    /// polled for nothing is what it could still have done.
    pub fn busy_share(&self) -> f64 {
        self.share(self.generator_cpu.saturating_sub(self.idle_polling.unwrap_or_default()))
    }

    /// How much of a core this process polled for nothing, 0 to 1; `None` if it sleeps.
    pub fn idle_polling_share(&self) -> Option<f64> {
        self.idle_polling.map(|time| self.share(time))
    }

    /// Whether the server is known to have used a core to the full, so that it was a bottleneck, if not the only one.
    fn server_is_saturated(&self) -> bool {
        self.server_cpu.is_some_and(|cpu| self.share(cpu) > Outcome::SERVER_CORE)
    }

    fn share(&self, time: Duration) -> f64 {
        time.as_secs_f64() / self.duration.as_secs_f64().max(1e-9)
    }

    /// Replies a second, within the measured time.
    pub fn messages_per_second(&self) -> f64 {
        self.replies_in_time as f64 / self.duration.as_secs_f64().max(1e-9)
    }

    /// Bytes of replies a second, within the measured time.
    pub fn bytes_per_second(&self) -> f64 {
        self.reply_bytes_in_time as f64 / self.duration.as_secs_f64().max(1e-9)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An open loop of ten seconds that nothing speaks against.
    pub(in crate::measure::load) fn outcome() -> Outcome {
        let mut latency = Histogram::new(3).expect("a number of digits");
        latency.record(1_000).expect("it resizes itself");
        Outcome {
            duration: Duration::from_secs(10),
            connections: 1,
            unopened: 0,
            messages: 1,
            replies_in_time: 1,
            reply_bytes_in_time: 64,
            latency,
            duplicated: Some(0),
            reordered: Some(0),
            corrupt: Some(0),
            due: 1_000,
            sent: 1_000,
            generator_cpu: Duration::from_secs(5),
            ..Outcome::nothing(true)
        }
    }

    #[test]
    fn a_hundredth_of_late_sends_is_allowed_and_more_where_chance_may_have_done_it() {
        let doubts = |late, sent| Outcome { late, sent, ..outcome() }.doubts();
        for (late, sent) in [(1, 10), (4, 100), (18, 1_000), (1_000, 100_000)] {
            assert_eq!(doubts(late, sent), [], "{late} of {sent}");
        }
        for (late, sent) in [(2, 10), (5, 100), (19, 1_000), (1_100, 100_000)] {
            assert_eq!(doubts(late, sent), [Doubt::LateSends(late as f64 / sent as f64)]);
        }
    }

    #[test]
    fn a_run_of_a_moment_does_not_tell_whether_this_program_was_at_its_limit() {
        let millis = Duration::from_millis;
        let all_of = |duration| Outcome { generator_cpu: duration, duration, ..outcome() }.doubts();
        assert_eq!(all_of(millis(99)), []);
        assert_eq!(all_of(millis(100)), [Doubt::Saturated(1.0)]);
    }

    #[test]
    fn messages_that_waited_for_this_program_are_judged_as_late_ones_are() {
        assert_eq!(Outcome { held: 18, ..outcome() }.doubts(), []);
        assert_eq!(Outcome { held: 19, late: 3, ..outcome() }.doubts(), [Doubt::HeldBack(0.019)]);
    }

    #[test]
    fn a_saturated_core_here_is_a_doubt_unless_the_server_had_one_too() {
        let busy = |server_cpu| Outcome { generator_cpu: Duration::from_millis(9_900), server_cpu, ..outcome() };
        assert_eq!(busy(None).doubts(), [Doubt::Saturated(0.99)]);
        assert_eq!(busy(Some(Duration::from_secs(7))).doubts(), [Doubt::Saturated(0.99)]);
        assert_eq!(busy(Some(Duration::from_millis(9_900))).doubts(), [], "the server was the limit, or both were");
        assert_eq!(Outcome { messages: 0, ..busy(None) }.doubts(), [], "nothing was measured that could be doubted");
    }

    #[test]
    fn connections_that_were_asked_for_and_not_opened_are_a_doubt() {
        let with = |messages, unopened, errors: &[(ErrorKind, u64)]| {
            let errors = errors.iter().copied().collect();
            Outcome { messages, connections: 3, unopened, errors, ..outcome() }.doubts()
        };
        let ports = [(ErrorKind::NoPort, 4), (ErrorKind::NoDescriptor, 3)];
        assert_eq!(with(1, 0, &[(ErrorKind::Refused, 9)]), [], "all were there, and the server broke some");
        assert_eq!(with(1, 2, &[]), [Doubt::Unopened { missing: 2, asked: 5 }]);
        assert_eq!(with(1, 2, &ports), [Doubt::Unopened { missing: 2, asked: 5 }], "once is enough");
        assert_eq!(with(1, 0, &ports), [Doubt::OwnLimit(7)]);
        assert_eq!(with(0, 2, &ports), [], "nothing was measured that could be doubted");
    }

    #[test]
    fn whatever_came_that_nobody_waited_for_is_a_doubt() {
        let with = |times, bytes| Outcome { surplus: Some(Surplus { times, bytes }), ..outcome() }.doubts();
        assert_eq!(with(0, 0), []);
        assert_eq!(with(1, 0), [Doubt::Surplus(Surplus { times: 1, bytes: 0 })], "an empty datagram is something too");
    }

    #[test]
    fn a_generator_that_polls_is_judged_by_what_it_did_beside_waiting() {
        let seconds = Duration::from_secs;
        let polling = |idle| Outcome { generator_cpu: seconds(10), idle_polling: Some(idle), ..outcome() };
        assert_eq!(polling(seconds(8)).doubts(), [], "it had time for four times as much");
        assert_eq!(polling(Duration::from_millis(201)).doubts(), []);
        let busy = polling(Duration::from_millis(100));
        assert_eq!(busy.doubts(), [Doubt::Saturated(0.99)], "its hands were full");
        assert_eq!(Outcome { server_cpu: Some(seconds(10)), ..busy }.doubts(), []);
        let shares = |outcome: Outcome| (outcome.core_share(), outcome.busy_share(), outcome.idle_polling_share());
        assert_eq!(shares(polling(seconds(8))), (1.0, 0.2, Some(0.8)));
        assert_eq!(shares(polling(seconds(11))), (1.0, 0.0, Some(1.1)), "other programs had the core meanwhile");
        assert_eq!(shares(outcome()), (0.5, 0.5, None), "who sleeps is busy while awake");
    }
    #[test]
    fn rates_are_over_the_measured_time() {
        let run = Outcome { replies_in_time: 20, reply_bytes_in_time: 640, ..outcome() };
        assert_eq!((run.messages_per_second(), run.bytes_per_second()), (2.0, 64.0));
    }
}
