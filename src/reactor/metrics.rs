//! What a reactor counts.

use std::fmt;
use std::time::Duration;

use crate::reactor::close_reason::CloseReason;
use crate::reactor::named::named;

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

/// The reactor's counters: each only grows, but for what is computed from two of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Metrics {
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
    /// How long it polled for nothing because it stays awake
    /// ([`Limits::busy_poll`](crate::reactor::limits::Limits::busy_poll)): from each poll that came back empty to the
    /// next. A little less than it had nothing to do, then; never more.
    pub idle_polling: Duration,
    dropped: [u64; Dropped::COUNT],
}

impl Metrics {
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

/// One line: what operators ask for first, then what ended and what was dropped, where anything was.
impl fmt::Display for Metrics {
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
        let mut metrics = Metrics { accepted: 3, messages_in: 5, ..Metrics::default() };
        metrics.count_close(CloseReason::Reset);
        metrics.count_drop(Dropped::OverRate);
        assert_eq!(metrics.active(), 2);
        assert_eq!(
            metrics.to_string(),
            "accepted=3 active=2 messages_in=5 messages_out=0 bytes_in=0 bytes_out=0 \
             closed=1(reset=1) dropped=1(over-rate=1) errors=0"
        );
    }
}
