//! A lane: the place of one connection, or one datagram socket, and the messages that are in flight on it.
//!
//! The connection of a lane may end and be opened anew; the lane stays. Its messages are numbered from 0 on, over all
//! of its connections.

use std::collections::VecDeque;
use std::time::Duration;

use crate::measure::load::outcome::LATE;
use crate::measure::load::pacer::Ticket;
use crate::measure::load::stopwatch::Moment;
use crate::os::key::Key;

/// How long a lane whose connection broke waits before it opens the next: at first for so short a time that no message
/// is late for it, and twice as long after each connection that was of no use. So a server that is down is not dialled
/// in a loop.
const PAUSE_MIN: Duration = Duration::from_micros(LATE.as_micros() as u64 / 2);
const PAUSE_MAX: Duration = Duration::from_millis(100);

/// A message that was sent and not answered yet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Flight {
    /// Which of its lane's messages it is.
    pub number: u64,
    /// Its ticket.
    pub ticket: Ticket,
    /// When it was sent.
    pub sent: Moment,
    /// Whether it was counted as sent late.
    pub late: bool,
}

/// What a reply with a number answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ReplyMatch {
    /// A message in flight; `reordered` where a later one was answered before.
    Answer {
        /// The message.
        flight: Flight,
        /// Whether a later message was answered before.
        reordered: bool,
    },
    /// A message that was answered before.
    Duplicate,
    /// A message that was given up before, or so old that nothing is known of it any more.
    TooLate,
    /// A message that was never sent.
    Unknown,
}

/// How far a lane's connection has come.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum State {
    /// There is none.
    #[default]
    Closed,
    /// It is ordered.
    Dialing,
    /// Messages go both ways.
    Open,
    /// Its one message has its reply, as far as can be known: what still comes shows whether that was the reply.
    Answered,
    /// It is ending, and what still comes is not looked at.
    Ending,
    /// It could not be opened, and is not tried again.
    Failed,
}

/// The place of one connection or datagram socket.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// How far its connection has come.
    pub state: State,
    /// The connection's name, while it is open.
    pub key: Option<Key>,
    /// Bytes of the oldest message's reply that have come.
    pub received: usize,
    /// Whether a message was answered on this connection.
    pub has_answered: bool,
    /// Connections in a row on which nothing was answered, or that could not be opened.
    setbacks: u32,
    /// For how long this program let the connection wait before it was dialled.
    pub rested: Duration,
    /// How long a reply of unknown text says that it is, with its header; 0 before it does.
    pub claimed: usize,
    /// Its datagrams were refused before any was answered.
    pub was_refused: bool,
    /// The ticket of the next message, which is not due yet.
    pub reserved: Option<Ticket>,
    /// Since when there has been room for another message. It lies ahead where the socket takes none until then.
    pub free_since: Moment,
    /// Nothing is sent before this moment: the last datagram did not leave.
    pub held_until: Moment,
    flight: VecDeque<Flight>,
    next: u64,
    history: Option<Box<History>>,
}

impl Lane {
    /// A lane without a connection, with room for `pipeline` messages in flight. A lane of datagrams remembers which
    /// were answered.
    pub(crate) fn new(pipeline: usize, datagrams: bool) -> Lane {
        let (flight, history) = (VecDeque::with_capacity(pipeline), datagrams.then(Box::default));
        Lane { flight, history, ..Lane::default() }
    }

    /// A connection is established.
    pub(crate) fn open(&mut self, key: Key) {
        self.state = State::Open;
        self.key = Some(key);
        self.has_answered = false;
    }

    /// Its connection broke, or could not be opened: for how long the next one has to wait.
    pub(crate) fn pause(&mut self) -> Duration {
        self.setbacks = if std::mem::take(&mut self.has_answered) { 1 } else { self.setbacks.saturating_add(1) };
        PAUSE_MIN.saturating_mul(2_u32.saturating_pow(self.setbacks - 1)).min(PAUSE_MAX)
    }

    /// How many messages are in flight.
    pub(crate) fn in_flight(&self) -> usize {
        self.flight.len()
    }

    /// The message that was sent first of those in flight.
    pub(crate) fn oldest(&self) -> Option<&Flight> {
        self.flight.front()
    }

    /// The number of the next message.
    pub(crate) fn next_number(&self) -> u64 {
        self.next
    }

    /// A message is sent, `late` or not.
    pub(crate) fn send(&mut self, ticket: Ticket, now: Moment, late: bool) {
        self.flight.push_back(Flight { number: self.next, ticket, sent: now, late });
        if let Some(history) = &mut self.history {
            history.forget(self.next);
        }
        self.next += 1;
    }

    /// The message that was sent last did not leave.
    pub(crate) fn unsend(&mut self) -> Option<Flight> {
        let flight = self.flight.pop_back()?;
        self.next = flight.number;
        Some(flight)
    }

    /// The oldest message is answered.
    pub(crate) fn answer_oldest(&mut self) -> Option<Flight> {
        self.received = 0;
        self.has_answered = true;
        self.claimed = 0;
        self.flight.pop_front()
    }

    /// A datagram answers message `number`, as it says.
    pub(crate) fn arrive(&mut self, number: u64) -> ReplyMatch {
        if number >= self.next {
            return ReplyMatch::Unknown;
        }
        let Ok(place) = self.flight.binary_search_by_key(&number, |flight| flight.number) else {
            let was_answered = self.history.as_ref().is_some_and(|history| history.knows(number, self.next));
            return if was_answered { ReplyMatch::Duplicate } else { ReplyMatch::TooLate };
        };
        let Some(flight) = self.flight.remove(place) else { return ReplyMatch::Unknown };
        let reordered = self.history.as_mut().is_some_and(|history| history.answer(number));
        ReplyMatch::Answer { flight, reordered }
    }

    /// Takes the next message out that was sent before `moment`.
    pub(crate) fn expire(&mut self, moment: Moment) -> Option<Flight> {
        if self.oldest()?.sent >= moment {
            return None;
        }
        self.flight.pop_front()
    }

    /// Takes everything back that belonged to the connection: the messages that will not be answered.
    pub(crate) fn abandon(&mut self) -> impl Iterator<Item = Flight> + '_ {
        self.received = 0;
        self.claimed = 0;
        self.flight.drain(..)
    }
}

/// How many of a lane's latest datagrams are remembered as answered: a copy that comes later than that many is not
/// known as one.
const REMEMBERED: u64 = 4_096;

/// Which of the latest datagrams were answered.
#[derive(Debug)]
struct History {
    answered: [u64; (REMEMBERED / 64) as usize],
    newest: Option<u64>,
}

impl Default for History {
    fn default() -> History {
        History { answered: [0; (REMEMBERED / 64) as usize], newest: None }
    }
}

impl History {
    fn place(number: u64) -> (usize, u64) {
        let bit = number % REMEMBERED;
        ((bit / 64) as usize, 1 << (bit % 64))
    }

    /// A message is sent, and takes the place of one that is too old.
    fn forget(&mut self, number: u64) {
        let (word, bit) = History::place(number);
        self.answered[word] &= !bit;
    }

    /// Whether a message is known to be answered, where `next` is the number of the next one.
    fn knows(&self, number: u64, next: u64) -> bool {
        let (word, bit) = History::place(number);
        next - number <= REMEMBERED && self.answered[word] & bit != 0
    }

    /// A message is answered; true where a later one was before.
    fn answer(&mut self, number: u64) -> bool {
        let (word, bit) = History::place(number);
        self.answered[word] |= bit;
        let reordered = self.newest.is_some_and(|newest| newest > number);
        self.newest = self.newest.max(Some(number));
        reordered
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TICKET: Ticket = Ticket { due: Moment(1), measured: true };

    fn lane(messages: u64) -> Lane {
        let mut lane = Lane::new(8, true);
        for number in 0..messages {
            lane.send(TICKET, Moment(number), false);
        }
        lane
    }

    fn answers(lane: &mut Lane, number: u64) -> Option<bool> {
        match lane.arrive(number) {
            ReplyMatch::Answer { flight, reordered } => {
                assert_eq!(flight.number, number);
                Some(reordered)
            }
            _ => None,
        }
    }

    #[test]
    fn replies_are_told_apart_by_their_numbers() {
        let mut lane = lane(4);
        assert_eq!(answers(&mut lane, 1), Some(false));
        assert_eq!(answers(&mut lane, 0), Some(true), "it came after a later one's");
        assert_eq!(answers(&mut lane, 3), Some(false));
        assert_eq!(lane.arrive(1), ReplyMatch::Duplicate);
        assert_eq!(lane.arrive(4), ReplyMatch::Unknown);
        assert_eq!(lane.in_flight(), 1);
    }

    #[test]
    fn a_reply_to_a_message_that_was_given_up_is_too_late_and_no_duplicate() {
        let mut lane = lane(3);
        assert_eq!(lane.expire(Moment(1)).map(|flight| flight.number), Some(0));
        assert_eq!(lane.expire(Moment(1)), None);
        assert_eq!(lane.arrive(0), ReplyMatch::TooLate);
        assert_eq!(answers(&mut lane, 1), Some(false));
    }

    #[test]
    fn what_is_too_old_is_not_taken_for_a_newer_message() {
        let mut lane = lane(1);
        assert_eq!(answers(&mut lane, 0), Some(false));
        for number in 1..=REMEMBERED {
            assert_eq!(lane.arrive(0), ReplyMatch::Duplicate, "{number}");
            lane.send(TICKET, Moment(number), false);
            assert_eq!(answers(&mut lane, number), Some(false));
        }
        assert_eq!(lane.arrive(0), ReplyMatch::TooLate);
    }

    #[test]
    fn an_answer_is_remembered_for_its_own_message_alone() {
        let mut lane = lane(200);
        for number in (0..200).filter(|number| number % 3 == 0) {
            assert!(answers(&mut lane, number).is_some());
        }
        while lane.expire(Moment(u64::MAX)).is_some() {}
        for number in 0..200 {
            let expected = if number % 3 == 0 { ReplyMatch::Duplicate } else { ReplyMatch::TooLate };
            assert_eq!(lane.arrive(number), expected, "{number}");
        }
    }

    #[test]
    fn a_pause_grows_until_something_is_answered() {
        let mut lane = Lane::new(1, false);
        let pauses: Vec<u128> = (0..10).map(|_| lane.pause().as_micros()).collect();
        assert_eq!(pauses, [500, 1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 64_000, 100_000, 100_000]);
        lane.setbacks = u32::MAX;
        assert_eq!(lane.pause(), PAUSE_MAX);
        lane.send(TICKET, Moment(1), false);
        lane.answer_oldest();
        assert_eq!(
            (lane.pause(), lane.pause()),
            (PAUSE_MIN, 2 * PAUSE_MIN),
            "that connection was of use, and the next was not"
        );
    }

    #[test]
    fn what_was_given_up_is_too_late_although_one_long_before_was_answered() {
        let mut lane = lane(0);
        for number in 0..REMEMBERED {
            lane.send(TICKET, Moment(number), false);
            assert_eq!(answers(&mut lane, number), Some(false));
        }
        // It is remembered in the place of number 0.
        lane.send(TICKET, Moment(REMEMBERED), false);
        assert_eq!(lane.expire(Moment::NEVER).map(|flight| flight.number), Some(REMEMBERED));
        assert_eq!(lane.arrive(REMEMBERED), ReplyMatch::TooLate);
    }

    #[test]
    fn a_message_that_did_not_leave_is_sent_again_under_its_number() {
        let mut lane = lane(2);
        assert_eq!(lane.unsend().map(|flight| flight.ticket), Some(TICKET));
        assert_eq!(lane.next_number(), 1);
        assert_eq!(lane.arrive(1), ReplyMatch::Unknown);
    }
    #[test]
    fn the_oldest_is_answered_first() {
        let mut lane = lane(3);
        assert_eq!((lane.in_flight(), lane.next_number()), (3, 3));
        assert_eq!(lane.answer_oldest().map(|flight| flight.number), Some(0));
        assert_eq!(lane.answer_oldest().map(|flight| flight.number), Some(1));
        assert_eq!(lane.in_flight(), 1);
    }
}
