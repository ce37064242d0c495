//! The recorder: everything that a run measures. Recording takes no memory, but for the list of intervals.

use std::time::Duration;

use hdrhistogram::Histogram;

use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::interval::Interval;
use crate::measure::load::lane::Flight;
use crate::measure::load::outcome::Outcome;
use crate::measure::load::stopwatch::Moment;

/// The longest latency that is told apart, in nanoseconds: an hour. Longer ones count as that.
const LONGEST: u64 = 3_600_000_000_000;

/// After this number of intervals they become twice as long, so that a run of days stays a list that a page can show.
const INTERVALS_MAX: usize = 600;

/// Everything that a run measures.
#[derive(Debug)]
pub(crate) struct Recorder {
    from: Moment,
    until: Moment,
    /// What was measured until now. What this recorder does not count itself, the generator counts in it.
    pub outcome: Outcome,
    /// Measured messages that were sent and given up.
    pub in_vain: u64,
    /// All replies, those of the warm-up too.
    pub replies: u64,
    /// When the last reply came.
    pub last_reply: Moment,
    current: CurrentInterval,
}

/// The course of the run: the intervals that are over are in the outcome, and this one goes on.
#[derive(Debug)]
struct CurrentInterval {
    length: Duration,
    start: Moment,
    latency: Histogram<u64>,
    errors: u64,
}

fn histogram(digits: u8) -> Histogram<u64> {
    Histogram::new_with_bounds(1, LONGEST, digits).expect("the bounds are constants")
}

impl Recorder {
    /// Nothing is measured yet.
    pub(crate) fn new(interval: Duration, open_loop: bool) -> Recorder {
        let mut outcome = Outcome { latency: histogram(3), ..Outcome::nothing(open_loop) };
        if open_loop {
            outcome.send_latency = histogram(3);
        }
        Recorder {
            from: Moment::NEVER,
            until: Moment::NEVER,
            outcome,
            in_vain: 0,
            replies: 0,
            last_reply: Moment::default(),
            current: CurrentInterval { length: interval, start: Moment::NEVER, latency: histogram(2), errors: 0 },
        }
    }

    /// The measured time: from one moment until another.
    pub(crate) fn measure(&mut self, from: Moment, until: Moment) {
        (self.from, self.until) = (from, until);
        self.current.start = from;
    }

    /// A reply of `bytes` bytes came at `now`.
    pub(crate) fn reply(&mut self, flight: &Flight, bytes: usize, now: Moment) {
        self.replies += 1;
        self.last_reply = now;
        if now < self.from {
            return;
        }
        self.rotate(now);
        if now < self.until {
            self.outcome.replies_in_time += 1;
            self.outcome.reply_bytes_in_time += bytes as u64;
        }
        // 0 cannot be recorded, and takes part as the shortest.
        let latency = now.nanos_since(flight.ticket.due).max(1);
        self.current.latency.saturating_record(latency);
        if flight.ticket.measured {
            self.outcome.latency.saturating_record(latency);
            if self.outcome.open_loop {
                self.outcome.send_latency.saturating_record(now.nanos_since(flight.sent).max(1));
            }
        }
    }

    /// A message that was sent is waited for no longer.
    pub(crate) fn gave_up(&mut self, flight: &Flight, now: Moment) {
        if flight.ticket.measured {
            self.in_vain += 1;
            self.waited_in_vain(flight.ticket.due, now);
        }
    }

    /// A message that was due then has waited until now, and will not be answered.
    pub(crate) fn waited_in_vain(&mut self, due: Moment, now: Moment) {
        self.outcome.longest_in_vain = self.outcome.longest_in_vain.max(Some(now.since(due)));
    }

    /// Something went wrong, `count` times.
    pub(crate) fn error(&mut self, kind: ErrorKind, count: u64, now: Moment) {
        if count > 0 {
            *self.outcome.errors.entry(kind).or_default() += count;
            if now >= self.from {
                self.rotate(now);
                self.current.errors += count;
            }
        }
    }

    /// The longest time from a send to its reply, in nanoseconds.
    pub(crate) fn slowest(&self) -> u64 {
        if self.outcome.open_loop { self.outcome.send_latency.max() } else { self.outcome.latency.max() }
    }

    /// How many things went wrong.
    pub(crate) fn error_count(&self) -> u64 {
        self.outcome.errors.values().sum()
    }

    /// What a run has measured whose measured time ended at `end`.
    pub(crate) fn finish(mut self, end: Moment) -> Outcome {
        let end_of_course = end.max(self.last_reply);
        self.rotate(end_of_course);
        self.end_interval(end_of_course);
        let mut outcome = self.outcome;
        outcome.duration = end.since(self.from);
        outcome.messages = outcome.latency.len();
        if !outcome.open_loop {
            outcome.send_latency = outcome.latency.clone();
        }
        outcome
    }

    /// Begins the interval that holds `now`.
    fn rotate(&mut self, now: Moment) {
        while now >= self.current.start.after(self.current.length) && self.current.start != Moment::NEVER {
            self.end_interval(self.current.start.after(self.current.length));
            if self.outcome.intervals.len().is_multiple_of(INTERVALS_MAX) {
                self.current.length *= 2;
            }
        }
    }

    fn end_interval(&mut self, end: Moment) {
        let current = &mut self.current;
        if end <= current.start {
            return;
        }
        let replies = current.latency.len();
        let latency = |nanoseconds: u64| (replies > 0).then_some(nanoseconds as f64 / 1e3);
        self.outcome.intervals.push(Interval {
            start_s: current.start.since(self.from).as_secs_f64(),
            length_s: end.since(current.start).as_secs_f64(),
            replies,
            errors: current.errors,
            p50_us: latency(current.latency.value_at_quantile(0.5)),
            p99_us: latency(current.latency.value_at_quantile(0.99)),
            max_us: latency(current.latency.max()),
        });
        current.latency.reset();
        current.errors = 0;
        current.start = end;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::load::pacer::Ticket;

    fn at(millis: u64) -> Moment {
        Moment::default().after(Duration::from_millis(millis))
    }

    fn flight(due: u64, sent: u64, measured: bool) -> Flight {
        Flight { number: 0, ticket: Ticket { due: at(due), measured }, sent: at(sent), late: false }
    }

    #[test]
    fn latency_counts_from_when_a_message_was_due() {
        let mut recorder = Recorder::new(Duration::from_secs(1), true);
        recorder.measure(at(1_000), at(2_000));
        recorder.reply(&flight(1_000, 1_900, true), 64, at(1_950));
        assert!(recorder.outcome.latency.max().abs_diff(950_000_000) < 1_000_000);
        assert!(recorder.outcome.send_latency.max().abs_diff(50_000_000) < 100_000);
    }

    #[test]
    fn the_warm_up_is_not_measured_and_what_comes_after_the_end_is_no_throughput() {
        let mut recorder = Recorder::new(Duration::from_secs(1), true);
        recorder.measure(at(1_000), at(2_000));
        recorder.reply(&flight(900, 900, false), 10, at(950));
        recorder.reply(&flight(990, 990, false), 10, at(1_010));
        recorder.reply(&flight(1_990, 1_990, true), 10, at(2_010));
        assert_eq!(
            (recorder.replies, recorder.outcome.replies_in_time, recorder.outcome.reply_bytes_in_time),
            (3, 1, 10)
        );
        assert_eq!(recorder.outcome.latency.len(), 1);
    }

    #[test]
    fn who_waits_in_vain_waits_since_it_was_due_and_counts_where_it_was_measured() {
        let mut recorder = Recorder::new(Duration::from_secs(1), true);
        recorder.measure(at(1_000), at(2_000));
        recorder.gave_up(&flight(500, 500, false), at(9_000));
        assert_eq!((recorder.in_vain, recorder.outcome.longest_in_vain), (0, None));
        recorder.gave_up(&flight(1_000, 1_900, true), at(3_000));
        recorder.gave_up(&flight(1_500, 1_500, true), at(3_000));
        assert_eq!((recorder.in_vain, recorder.outcome.longest_in_vain), (2, Some(Duration::from_secs(2))));
    }

    #[test]
    fn a_silence_is_a_row_of_empty_intervals() {
        let mut recorder = Recorder::new(Duration::from_millis(100), true);
        recorder.measure(at(1_000), at(9_000));
        recorder.reply(&flight(1_000, 1_000, true), 10, at(1_010));
        recorder.error(ErrorKind::Reset, 2, at(1_330));
        let intervals = recorder.finish(at(1_350)).intervals;
        assert_eq!(intervals.iter().map(|interval| interval.replies).collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert_eq!(intervals.iter().map(|interval| interval.errors).collect::<Vec<_>>(), [0, 0, 0, 2]);
        assert_eq!(intervals[1].start_s, 0.1);
        assert_eq!(intervals[3].length_s, 0.05);
    }

    #[test]
    fn a_long_run_has_longer_intervals() {
        let mut recorder = Recorder::new(Duration::from_millis(1), true);
        recorder.measure(at(0), Moment::NEVER);
        let intervals = recorder.finish(at(3_600_000)).intervals;
        assert!(intervals.len() < INTERVALS_MAX * 15, "{}", intervals.len());
        let end = intervals.last().map(|interval| interval.start_s + interval.length_s);
        assert_eq!(end, Some(3_600.0));
    }
    #[test]
    fn the_measured_time_has_its_beginning_and_not_its_end() {
        let mut recorder = Recorder::new(Duration::from_secs(1), false);
        recorder.measure(at(1_000), at(2_000));
        for moment in [999, 1_000, 1_999, 2_000] {
            recorder.reply(&flight(moment, moment, moment != 999), 10, at(moment));
        }
        assert_eq!((recorder.replies, recorder.outcome.replies_in_time, recorder.outcome.latency.len()), (4, 2, 3));
    }

    #[test]
    fn each_reply_and_each_error_is_in_its_own_interval() {
        let mut recorder = Recorder::new(Duration::from_millis(100), false);
        recorder.measure(at(1_000), at(2_000));
        recorder.error(ErrorKind::Reset, 0, at(1_005));
        assert!(recorder.outcome.errors.is_empty());
        recorder.error(ErrorKind::Reset, 2, at(900));
        recorder.error(ErrorKind::Reset, 3, at(1_010));
        recorder.error(ErrorKind::Closed, 1, at(1_010));
        recorder.reply(&flight(1_010, 1_010, true), 10, at(1_010));
        recorder.reply(&flight(1_250, 1_250, true), 10, at(1_250));
        assert_eq!(recorder.error_count(), 6);
        let course: Vec<(u64, u64)> =
            recorder.finish(at(1_500)).intervals.iter().map(|interval| (interval.replies, interval.errors)).collect();
        assert_eq!(course, [(1, 4), (0, 0), (1, 0), (0, 0), (0, 0)]);
    }
}
