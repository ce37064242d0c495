//! The pacer: which message is sent next, and when it is due.
//!
//! Every message is a [`Ticket`]. In a closed loop a ticket is due when it is asked for; in an open loop its schedule
//! says when, and a connection with room for a message holds the next ticket until then.
//!
//! The schedule does not look at the server. Where a generator waits for a slow server before it sends on, the messages
//! that would have waited are never sent, and the stall is measured once instead of a thousand times: *coordinated
//! omission*. In an open loop a message is due all the same, and its latency counts from `due`
//! ([`Recorder::reply`](crate::measure::load::recorder::Recorder::reply)), not from the send.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use crate::measure::load::options::{End, Options, Pace};
use crate::measure::load::schedule::Schedule;
use crate::measure::load::stopwatch::Moment;

/// The right to send one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Ticket {
    /// When the message is due.
    pub due: Moment,
    /// Whether it counts: those of the warm-up do not.
    pub measured: bool,
}

/// Hands out tickets, in the order in which they are due.
#[derive(Debug)]
pub(crate) struct Pacer {
    pace: Pace,
    end: End,
    warmup: Duration,
    began: Moment,
    /// Messages of the part of the schedule that it is in.
    number: u64,
    warming_up: bool,
    /// Measured tickets that were handed out.
    measured: u64,
    /// When the latest of all tickets that were handed out is due.
    last_due: Moment,
    /// Tickets that came back unused: when a server dies, as many as there are idle connections.
    returned: BinaryHeap<Reverse<Ticket>>,
    /// When nothing more becomes due, as far as time decides.
    pub stops_at: Moment,
}

impl Pacer {
    /// A pacer that has not begun: nothing is due.
    pub(crate) fn new(options: &Options) -> Pacer {
        Pacer {
            pace: options.pace.clone(),
            end: options.end,
            warmup: options.warmup,
            began: Moment::NEVER,
            number: 0,
            warming_up: true,
            measured: 0,
            last_due: Moment::default(),
            returned: BinaryHeap::new(),
            stops_at: Moment::NEVER,
        }
    }

    /// Begins the warm-up.
    pub(crate) fn begin(&mut self, now: Moment) {
        self.began = now;
        if let End::After(duration) = self.end {
            self.stops_at = self.measures_from().after(duration);
        }
    }

    /// When the warm-up is over.
    pub(crate) fn measures_from(&self) -> Moment {
        self.began.after(self.warmup)
    }

    /// Lets nothing more become due.
    pub(crate) fn stop(&mut self, now: Moment) {
        self.stops_at = self.stops_at.min(now);
    }

    /// The next message. In an open loop it may be due later than `now`.
    pub(crate) fn take(&mut self, now: Moment) -> Option<Ticket> {
        if self.began > now {
            return None;
        }
        while let Some(Reverse(ticket)) = self.returned.pop() {
            if ticket.measured || now < self.measures_from() {
                return Some(ticket).filter(|ticket| ticket.due < self.stops_at);
            }
        }
        let ticket = self.next(now);
        let enough = matches!(self.end, End::Messages(count) if self.measured >= count) && ticket.measured;
        if ticket.due >= self.stops_at || enough {
            return None;
        }
        self.number += 1;
        self.last_due = ticket.due;
        self.measured += u64::from(ticket.measured);
        Some(ticket)
    }

    fn next(&mut self, now: Moment) -> Ticket {
        let measures_from = self.measures_from();
        let Pace::Open(schedule) = &self.pace else {
            return Ticket { due: now, measured: now >= measures_from };
        };
        if self.warming_up {
            let due = self.began.after(Schedule::steady(schedule.from).due(self.number));
            // What the warm-up did not send is no load of the measured time.
            if due < measures_from && now < measures_from {
                return Ticket { due, measured: false };
            }
            self.warming_up = false;
            self.number = 0;
        }
        Ticket { due: measures_from.after(schedule.due(self.number)), measured: true }
    }

    /// Takes a ticket back whose message was not sent.
    pub(crate) fn give_back(&mut self, ticket: Ticket) {
        self.returned.push(Reverse(ticket));
    }

    /// Swaps `ticket` for one that came back and is due sooner, where there is one.
    pub(crate) fn exchange(&mut self, ticket: Ticket) -> Ticket {
        let sooner = self.returned.peek().map(|Reverse(sooner)| *sooner);
        let Some(sooner) = sooner.filter(|sooner| sooner.due < ticket.due && sooner.measured == ticket.measured) else {
            return ticket;
        };
        self.returned.pop();
        self.returned.push(Reverse(ticket));
        sooner
    }

    /// Whether there will be no more tickets, unless one comes back, and the last one is due.
    pub(crate) fn is_exhausted(&self, now: Moment) -> bool {
        if self.returned.iter().any(|Reverse(ticket)| ticket.measured) || self.began == Moment::NEVER {
            return false;
        }
        match (&self.pace, self.end) {
            // In an open loop the last tickets are handed out long before they are due.
            (_, End::Messages(count)) if self.measured >= count => now >= self.last_due,
            (Pace::Closed, _) => now >= self.stops_at,
            (Pace::Open(_), _) => now >= self.stops_at && self.unsent() == 0,
        }
    }

    /// Messages that were due in the measured time and whose tickets were not taken.
    pub(crate) fn unsent(&self) -> u64 {
        let returned =
            self.returned.iter().filter(|Reverse(ticket)| ticket.measured && ticket.due < self.stops_at).count() as u64;
        let Pace::Open(schedule) = &self.pace else { return returned };
        if self.began == Moment::NEVER || self.stops_at == Moment::NEVER {
            return returned;
        }
        let due = schedule.due_before(self.stops_at.since(self.measures_from()));
        let taken = if self.warming_up { 0 } else { self.number };
        due.saturating_sub(taken) + returned
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::load::options::tests::options;

    const SECOND: u64 = 1_000_000_000;

    fn pacer(pace: Pace, end: End, warmup: u64) -> Pacer {
        let options = Options { pace, end, warmup: Duration::from_secs(warmup), ..options() };
        let mut pacer = Pacer::new(&options);
        assert_eq!(pacer.take(Moment(5)), None, "it has not begun");
        pacer.begin(Moment(SECOND));
        pacer
    }

    fn tickets(pacer: &mut Pacer, now: Moment) -> Vec<Ticket> {
        std::iter::from_fn(|| pacer.take(now)).collect()
    }

    #[test]
    fn a_closed_loop_has_a_ticket_whenever_it_is_asked_until_its_time_is_up() {
        let mut pacer = pacer(Pace::Closed, End::After(Duration::from_secs(2)), 1);
        let asked = |pacer: &mut Pacer, seconds| pacer.take(Moment(seconds * SECOND));
        assert_eq!(asked(&mut pacer, 1), Some(Ticket { due: Moment(SECOND), measured: false }));
        assert_eq!(asked(&mut pacer, 2), Some(Ticket { due: Moment(2 * SECOND), measured: true }));
        assert_eq!(pacer.stops_at, Moment(4 * SECOND));
        assert!(!pacer.is_exhausted(Moment(4 * SECOND - 1)));
        let last = asked(&mut pacer, 3).unwrap();
        pacer.give_back(last);
        assert!(!pacer.is_exhausted(Moment(4 * SECOND)), "that one may still be sent");
        assert_eq!(asked(&mut pacer, 4), Some(last));
        assert_eq!(asked(&mut pacer, 4), None);
        assert!(pacer.is_exhausted(Moment(4 * SECOND)));
    }

    #[test]
    fn an_open_loop_warms_up_at_its_rate_and_then_begins_anew() {
        let schedule = Schedule::steady(4.0);
        let mut pacer = pacer(Pace::Open(schedule), End::After(Duration::from_secs(2)), 1);
        let all = tickets(&mut pacer, Moment(SECOND));
        assert_eq!(all.len(), 4 + 8);
        assert!(all.iter().enumerate().all(|(number, ticket)| ticket.measured == (number >= 4)));
        assert!(all.windows(2).all(|pair| pair[1].due.nanos_since(pair[0].due) == SECOND / 4));
        assert_eq!(all[4].due, Moment(2 * SECOND));
        assert_eq!(pacer.unsent(), 0);
    }

    #[test]
    fn what_the_warm_up_did_not_send_is_not_sent_in_the_measured_time() {
        let mut pacer = pacer(Pace::Open(Schedule::steady(10.0)), End::After(Duration::from_secs(1)), 1);
        let warm = pacer.take(Moment(SECOND)).unwrap();
        assert!(!warm.measured);
        pacer.give_back(warm);
        assert_eq!(pacer.take(Moment(2 * SECOND)), Some(Ticket { due: Moment(2 * SECOND), measured: true }));
        assert_eq!(tickets(&mut pacer, Moment(5 * SECOND)).len(), 9);
    }

    #[test]
    fn what_was_due_and_not_taken_is_unsent() {
        let mut pacer = pacer(Pace::Open(Schedule::steady(10.0)), End::After(Duration::from_secs(1)), 0);
        let first = pacer.take(Moment(SECOND)).unwrap();
        pacer.take(Moment(SECOND)).unwrap();
        assert!(!pacer.is_exhausted(Moment(5 * SECOND)));
        assert_eq!(pacer.unsent(), 8);
        pacer.give_back(first);
        assert_eq!(pacer.unsent(), 9);
        assert_eq!(pacer.take(Moment(5 * SECOND)), Some(first), "the soonest goes first");
        assert_eq!(tickets(&mut pacer, Moment(5 * SECOND)).len(), 8);
        assert!(pacer.is_exhausted(Moment(5 * SECOND)));
    }

    #[test]
    fn whoever_waits_for_a_later_message_can_have_one_that_came_back() {
        let mut pacer = pacer(Pace::Open(Schedule::steady(10.0)), End::After(Duration::from_secs(1)), 0);
        let [first, second, third] = [(); 3].map(|()| pacer.take(Moment(SECOND)).unwrap());
        assert_eq!(pacer.exchange(second), second, "nothing came back");
        pacer.give_back(second);
        assert_eq!(pacer.exchange(first), first, "it is due first");
        assert_eq!(pacer.exchange(third), second);
        assert_eq!(pacer.take(Moment(SECOND)), Some(third));
        pacer.give_back(Ticket { measured: false, ..first });
        assert_eq!(pacer.exchange(third), third, "what the warm-up did not send is not sent in the measured time");
    }

    #[test]
    fn a_number_of_messages_counts_without_the_warm_up() {
        for pace in [Pace::Closed, Pace::Open(Schedule::steady(2.0))] {
            let mut pacer = pacer(pace, End::Messages(3), 1);
            let warm =
                std::iter::from_fn(|| pacer.take(Moment(SECOND)).filter(|ticket| !ticket.measured)).take(2).count();
            assert_eq!(warm, 2);
            let now = Moment(9 * SECOND);
            assert!(!pacer.is_exhausted(now));
            assert_eq!(tickets(&mut pacer, now).len(), 3);
            assert!(pacer.is_exhausted(now));
        }
    }

    #[test]
    fn a_number_of_messages_is_over_when_the_last_one_is_due_and_not_when_it_is_promised() {
        let mut pacer = pacer(Pace::Open(Schedule::steady(1.0)), End::Messages(3), 0);
        assert_eq!(tickets(&mut pacer, Moment(SECOND)).len(), 3, "due after 0, 1 and 2 seconds");
        assert_eq!((pacer.measured, pacer.unsent()), (3, 0));
        assert!(!pacer.is_exhausted(Moment(3 * SECOND - 1)));
        assert!(pacer.is_exhausted(Moment(3 * SECOND)));
    }

    #[test]
    fn a_stop_leaves_nothing_due() {
        let mut pacer = pacer(Pace::Open(Schedule::steady(10.0)), End::Messages(100), 0);
        let ticket = pacer.take(Moment(SECOND)).unwrap();
        pacer.stop(Moment(SECOND));
        pacer.give_back(ticket);
        assert_eq!(pacer.unsent(), 0);
        assert_eq!(pacer.take(Moment(SECOND)), None);
    }
    #[test]
    fn a_ticket_of_the_warm_up_that_comes_back_is_the_next_within_it() {
        let mut pacer = pacer(Pace::Open(Schedule::steady(10.0)), End::After(Duration::from_secs(1)), 1);
        let first = pacer.take(Moment(SECOND)).unwrap();
        pacer.give_back(first);
        assert_eq!(pacer.unsent(), 10, "it is none of the measured ones");
        assert_eq!(pacer.take(Moment(2 * SECOND - 1)), Some(first));
    }
}
