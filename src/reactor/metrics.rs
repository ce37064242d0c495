//! What a reactor counts.

use std::fmt;
use std::time::Duration;

use crate::reactor::close_reason::CloseReason;
use crate::reactor::named::named;
use crate::reactor::tag::Tag;

named! {
    /// Why something was dropped instead of delivered or answered.
    #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
    pub enum Dropped {
        /// An event for a source that no longer lives.
        StaleEvent = "stale-events",
        /// A reply to a datagram whose sender has no name (an unbound Unix datagram socket), or whose route the kernel
        /// did not tell.
        Unnamed = "unnamed-peer",
        /// A reply that would have gone to a privileged port, to 1900, to ourselves, or answered a broadcast or a
        /// multicast.
        Guarded = "guarded",
        /// A reply over the rate that one source address gets.
        OverRate = "over-rate",
        /// A reply to the same datagram as ten thousand before.
        Repeated = "repeated",
        /// A reply that the socket could not take at once.
        WouldBlock = "would-block",
        /// A datagram, or a reply, larger than the socket can carry.
        TooLong = "too-long",
        /// A reply that the kernel refused for another reason.
        SendFailed = "send-failed",
    }
}

/// The number of a row of [`Metrics`]: the endpoint that a source belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Row(u16);

impl Row {
    /// The row of sources that belong to no endpoint, because this side opened them.
    pub const NONE: Row = Row(0);

    /// The row of attached streams, which is in no total.
    pub const ATTACHED: Row = Row(1);
}

/// The counters of one endpoint, or of all: each only grows, but for what is computed from two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Connections that a listener accepted, the refused newcomers among them.
    pub accepted: u64,
    /// Connections that this side opened.
    pub connected: u64,
    /// Connections that ended, by [`CloseReason::index`].
    pub closed: [u64; CloseReason::COUNT],
    /// Messages that handlers received: framed messages, datagrams, or reads where a stream is echoed raw.
    pub messages_in: u64,
    /// Replies that handlers gave to streams, and datagrams that left.
    pub messages_out: u64,
    /// Bytes read from connections and datagram sockets.
    pub bytes_in: u64,
    /// Bytes that the kernel took for them.
    pub bytes_out: u64,
    /// Calls of `accept` that failed for lack of something.
    pub accept_errors: u64,
    /// Errors that a datagram socket reported (an ICMP message, say).
    pub datagram_errors: u64,
    dropped: [u64; Dropped::COUNT],
}

impl Counts {
    /// Counts one dropped thing.
    pub fn count_drop(&mut self, kind: Dropped) {
        self.dropped[kind.index()] += 1;
    }

    /// How many things of this kind were dropped.
    pub fn dropped(&self, kind: Dropped) -> u64 {
        self.dropped[kind.index()]
    }

    /// Connections that live now.
    pub fn active(&self) -> u64 {
        self.accepted + self.connected - self.closed.iter().sum::<u64>()
    }

    /// Counts one connection's end.
    pub fn count_close(&mut self, reason: CloseReason) {
        self.closed[reason.index()] += 1;
    }
}

/// The counters of a reactor: a row for each tag that a listener or a bound datagram socket has, and one for the rest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Metrics {
    /// Each with its tag; the first are [`Row::NONE`] and [`Row::ATTACHED`].
    rows: Vec<(Option<Tag>, Counts)>,
    /// Time without anything to do while the reactor stays awake ([`Limits::busy_poll`](super::limits::Limits)), or a
    /// little less: from each poll that came back empty to the next.
    pub idle_polling: Duration,
}

impl Default for Metrics {
    fn default() -> Metrics {
        Metrics { rows: vec![Default::default(); 2], idle_polling: Duration::ZERO }
    }
}

impl Metrics {
    /// The row of the endpoints with this tag, which is made where there is none yet. Beyond 65,534 tags, they share
    /// [`Row::NONE`].
    pub fn row_of(&mut self, tag: Tag) -> Row {
        let known = self.rows.iter().position(|(other, _)| *other == Some(tag));
        let Ok(row) = u16::try_from(known.unwrap_or(self.rows.len())) else { return Row::NONE };
        if known.is_none() {
            self.rows.push((Some(tag), Counts::default()));
        }
        Row(row)
    }

    /// The counters of a row.
    #[inline]
    pub fn row_mut(&mut self, row: Row) -> &mut Counts {
        &mut self.rows[usize::from(row.0)].1
    }

    /// The counters of the endpoints with this tag, where there are any.
    pub fn of(&self, tag: Tag) -> Option<&Counts> {
        self.rows.iter().find(|(other, _)| *other == Some(tag)).map(|(_, counts)| counts)
    }

    /// The sums of all rows but that of attached streams.
    pub fn total(&self) -> Counts {
        let mut total = Counts::default();
        for (_, row) in self.rows[..1].iter().chain(&self.rows[2..]) {
            total.accepted += row.accepted;
            total.connected += row.connected;
            total.messages_in += row.messages_in;
            total.messages_out += row.messages_out;
            total.bytes_in += row.bytes_in;
            total.bytes_out += row.bytes_out;
            total.accept_errors += row.accept_errors;
            total.datagram_errors += row.datagram_errors;
            total.closed.iter_mut().zip(row.closed).for_each(|(sum, count)| *sum += count);
            total.dropped.iter_mut().zip(row.dropped).for_each(|(sum, count)| *sum += count);
        }
        total
    }
}

/// One line: the counts of connections, messages and bytes, then what ended, what was dropped and what failed.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "accepted={} active={} messages_in={} messages_out={} bytes_in={} bytes_out={}",
            self.accepted,
            self.active(),
            self.messages_in,
            self.messages_out,
            self.bytes_in,
            self.bytes_out
        )?;
        write_counts(f, "closed", CloseReason::NAMES.into_iter().zip(self.closed))?;
        write_counts(f, "dropped", Dropped::NAMES.into_iter().zip(self.dropped))?;
        let errors = [("accept", self.accept_errors), ("datagram", self.datagram_errors)];
        write_counts(f, "errors", errors.into_iter())
    }
}

fn write_counts<'a>(
    f: &mut fmt::Formatter<'_>,
    title: &str,
    counts: impl Iterator<Item = (&'a str, u64)> + Clone,
) -> fmt::Result {
    write!(f, " {title}={}", counts.clone().map(|(_, count)| count).sum::<u64>())?;
    let mut separator = '(';
    for (name, count) in counts.filter(|(_, count)| *count > 0) {
        write!(f, "{separator}{name}={count}")?;
        separator = ' ';
    }
    if separator == ' ' { f.write_str(")") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_summary_names_only_what_happened() {
        let mut metrics = Counts { accepted: 3, messages_in: 5, ..Counts::default() };
        metrics.count_close(CloseReason::Reset);
        metrics.count_drop(Dropped::OverRate);
        assert_eq!(metrics.active(), 2);
        assert_eq!(
            metrics.to_string(),
            "accepted=3 active=2 messages_in=5 messages_out=0 bytes_in=0 bytes_out=0 \
             closed=1(reset=1) dropped=1(over-rate=1) errors=0"
        );
    }

    #[test]
    fn the_total_is_the_sum_of_all_rows_and_each_tag_has_one() {
        let mut metrics = Metrics::default();
        let rows = [7, 3, 7].map(|tag| metrics.row_of(Tag(tag)));
        assert!(rows[0] == rows[2] && rows[0] != rows[1] && rows[0] != Row::NONE);
        // One of each, so that a counter that is left out of the sum is seen.
        let one = Counts {
            accepted: 2,
            connected: 2,
            closed: [1; CloseReason::COUNT],
            messages_in: 2,
            messages_out: 2,
            bytes_in: 2,
            bytes_out: 2,
            accept_errors: 2,
            datagram_errors: 2,
            dropped: [1; Dropped::COUNT],
        };
        *metrics.row_mut(rows[1]) = one.clone();
        assert_eq!(
            (metrics.of(Tag(3)), metrics.of(Tag(7)), metrics.of(Tag(0))),
            (Some(&one), Some(&Counts::default()), None)
        );
        assert_eq!(metrics.total(), one);
        metrics.row_mut(Row::NONE).bytes_in = 5;
        metrics.row_mut(Row::ATTACHED).bytes_in = 100;
        assert_eq!(metrics.total().bytes_in, 7);
    }
}
