//! The recorder: everything that a run measures. Recording takes no memory.

use std::collections::BTreeMap;
use std::time::Duration;

use hdrhistogram::Histogram;

use crate::measure::load::lane::Flight;
use crate::measure::load::outcome::{ErrorKind, Interval};
use crate::measure::load::stopwatch::Moment;

/// The longest latency that is told apart, in nanoseconds: an hour. Longer ones count as that.
const LONGEST: u64 = 3_600_000_000_000;

/// After so many intervals they become twice as long, so that a run of days stays a list that a page can show.
const INTERVALS_MAX: usize = 600;

/// Everything that a run measures.
#[derive(Debug)]
pub struct Recorder {
    from: Moment,
    until: Moment,
    /// Latencies from the due time.
    pub latency: Histogram<u64>,
    /// Latencies from the send, where they are others than those from the due time: in an open loop.
    pub send_latency: Option<Histogram<u64>>,
    /// Replies within the measured time.
    pub replies_in_time: u64,
    /// Their bytes.
    pub reply_bytes_in_time: u64,
    /// Measured messages that were sent and given up.
    pub in_vain: u64,
    /// How long the one of them waited that waited longest, from when it was due; none where none did.
    pub longest_in_vain: Option<Duration>,
    /// What went wrong.
    pub errors: BTreeMap<ErrorKind, u64>,
    /// All replies, those of the warm-up too.
    pub replies: u64,
    /// When the last reply came.
    pub last_reply: Moment,
    course: Course,
}

/// The course of the run, interval by interval.
#[derive(Debug)]
struct Course {
    intervals: Vec<Interval>,
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
    pub fn new(interval: Duration, open_loop: bool) -> Recorder {
        Recorder {
            from: Moment::NEVER,
            until: Moment::NEVER,
            latency: histogram(3),
            send_latency: open_loop.then(|| histogram(3)),
            replies_in_time: 0,
            reply_bytes_in_time: 0,
            in_vain: 0,
            longest_in_vain: None,
            errors: BTreeMap::new(),
            replies: 0,
            last_reply: Moment::default(),
            course: Course {
                intervals: Vec::new(),
                length: interval,
                start: Moment::NEVER,
                latency: histogram(2),
                errors: 0,
            },
        }
    }

    /// The measured time: from one moment until another.
    pub fn measure(&mut self, from: Moment, until: Moment) {
        (self.from, self.until) = (from, until);
        self.course.start = from;
    }

    /// A reply of `bytes` bytes came at `now`.
    pub fn reply(&mut self, flight: &Flight, bytes: usize, now: Moment) {
        self.replies += 1;
        self.last_reply = now;
        if now < self.from {
            return;
        }
        self.course.rotate(now);
        if now < self.until {
            self.replies_in_time += 1;
            self.reply_bytes_in_time += bytes as u64;
        }
        // 0 cannot be recorded, and takes part as the shortest.
        let latency = now.nanos_since(flight.ticket.due).max(1);
        self.course.latency.saturating_record(latency);
        if flight.ticket.measured {
            self.latency.saturating_record(latency);
            if let Some(send_latency) = &mut self.send_latency {
                send_latency.saturating_record(now.nanos_since(flight.sent).max(1));
            }
        }
    }

    /// A message that was sent is waited for no longer.
    pub fn gave_up(&mut self, flight: &Flight, now: Moment) {
        if flight.ticket.measured {
            self.in_vain += 1;
            self.waited_in_vain(flight.ticket.due, now);
        }
    }

    /// A message that was due then has waited until now, and will not be answered.
    pub fn waited_in_vain(&mut self, due: Moment, now: Moment) {
        self.longest_in_vain = self.longest_in_vain.max(Some(now.since(due)));
    }

    /// Something went wrong, so many times.
    pub fn error(&mut self, kind: ErrorKind, count: u64, now: Moment) {
        if count > 0 {
            *self.errors.entry(kind).or_default() += count;
            if now >= self.from {
                self.course.rotate(now);
                self.course.errors += count;
            }
        }
    }

    /// The longest time from a send to its reply, in nanoseconds.
    pub fn slowest(&self) -> u64 {
        self.send_latency.as_ref().unwrap_or(&self.latency).max()
    }

    /// How many things went wrong.
    pub fn error_count(&self) -> u64 {
        self.errors.values().sum()
    }

    /// The course of the run until `now`.
    pub fn intervals(&mut self, now: Moment) -> Vec<Interval> {
        self.course.rotate(now);
        self.course.finish(now);
        std::mem::take(&mut self.course.intervals)
            .into_iter()
            .map(|interval| Interval {
                start: interval.start.saturating_sub(self.from.since(Moment::default())),
                ..interval
            })
            .collect()
    }
}

impl Course {
    /// Begins the interval that holds `now`.
    fn rotate(&mut self, now: Moment) {
        while now >= self.start.after(self.length) && self.start != Moment::NEVER {
            self.finish(self.start.after(self.length));
            if self.intervals.len().is_multiple_of(INTERVALS_MAX) {
                self.length *= 2;
            }
        }
    }

    fn finish(&mut self, end: Moment) {
        if end <= self.start {
            return;
        }
        self.intervals.push(Interval {
            start: self.start.since(Moment::default()),
            length: end.since(self.start),
            replies: self.latency.len(),
            errors: self.errors,
            p50: self.latency.value_at_quantile(0.5),
            p99: self.latency.value_at_quantile(0.99),
            max: self.latency.max(),
        });
        self.latency.reset();
        self.errors = 0;
        self.start = end;
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
        assert!(recorder.latency.max().abs_diff(950_000_000) < 1_000_000);
        assert!(recorder.send_latency.unwrap().max().abs_diff(50_000_000) < 100_000);
    }

    #[test]
    fn the_warm_up_is_not_measured_and_what_comes_after_the_end_is_no_throughput() {
        let mut recorder = Recorder::new(Duration::from_secs(1), true);
        recorder.measure(at(1_000), at(2_000));
        recorder.reply(&flight(900, 900, false), 10, at(950));
        recorder.reply(&flight(990, 990, false), 10, at(1_010));
        recorder.reply(&flight(1_990, 1_990, true), 10, at(2_010));
        assert_eq!((recorder.replies, recorder.replies_in_time, recorder.reply_bytes_in_time), (3, 1, 10));
        assert_eq!(recorder.latency.len(), 1);
    }

    #[test]
    fn who_waits_in_vain_waits_since_it_was_due_and_counts_where_it_was_measured() {
        let mut recorder = Recorder::new(Duration::from_secs(1), true);
        recorder.measure(at(1_000), at(2_000));
        recorder.gave_up(&flight(500, 500, false), at(9_000));
        assert_eq!((recorder.in_vain, recorder.longest_in_vain), (0, None));
        recorder.gave_up(&flight(1_000, 1_900, true), at(3_000));
        recorder.gave_up(&flight(1_500, 1_500, true), at(3_000));
        assert_eq!((recorder.in_vain, recorder.longest_in_vain), (2, Some(Duration::from_secs(2))));
    }

    #[test]
    fn a_silence_is_a_row_of_empty_intervals() {
        let mut recorder = Recorder::new(Duration::from_millis(100), true);
        recorder.measure(at(1_000), at(9_000));
        recorder.reply(&flight(1_000, 1_000, true), 10, at(1_010));
        recorder.error(ErrorKind::Reset, 2, at(1_330));
        let intervals = recorder.intervals(at(1_350));
        assert_eq!(intervals.iter().map(|interval| interval.replies).collect::<Vec<_>>(), [1, 0, 0, 0]);
        assert_eq!(intervals.iter().map(|interval| interval.errors).collect::<Vec<_>>(), [0, 0, 0, 2]);
        assert_eq!(intervals[1].start, Duration::from_millis(100));
        assert_eq!(intervals[3].length, Duration::from_millis(50));
    }

    #[test]
    fn a_long_run_has_longer_intervals() {
        let mut recorder = Recorder::new(Duration::from_millis(1), true);
        recorder.measure(at(0), Moment::NEVER);
        let intervals = recorder.intervals(at(3_600_000));
        assert!(intervals.len() < INTERVALS_MAX * 15, "{}", intervals.len());
        let end = intervals.last().map(|interval| interval.start + interval.length);
        assert_eq!(end, Some(Duration::from_secs(3_600)));
    }
    #[test]
    fn the_measured_time_has_its_beginning_and_not_its_end() {
        let mut recorder = Recorder::new(Duration::from_secs(1), false);
        recorder.measure(at(1_000), at(2_000));
        for moment in [999, 1_000, 1_999, 2_000] {
            recorder.reply(&flight(moment, moment, moment != 999), 10, at(moment));
        }
        assert_eq!((recorder.replies, recorder.replies_in_time, recorder.latency.len()), (4, 2, 3));
    }

    #[test]
    fn each_reply_and_each_error_is_in_its_own_interval() {
        let mut recorder = Recorder::new(Duration::from_millis(100), false);
        recorder.measure(at(1_000), at(2_000));
        recorder.error(ErrorKind::Reset, 0, at(1_005));
        assert!(recorder.errors.is_empty());
        recorder.error(ErrorKind::Reset, 2, at(900));
        recorder.error(ErrorKind::Reset, 3, at(1_010));
        recorder.error(ErrorKind::Closed, 1, at(1_010));
        recorder.reply(&flight(1_010, 1_010, true), 10, at(1_010));
        recorder.reply(&flight(1_250, 1_250, true), 10, at(1_250));
        assert_eq!(recorder.error_count(), 6);
        let course: Vec<(u64, u64)> =
            recorder.intervals(at(1_500)).iter().map(|interval| (interval.replies, interval.errors)).collect();
        assert_eq!(course, [(1, 4), (0, 0), (1, 0), (0, 0), (0, 0)]);
    }
}
