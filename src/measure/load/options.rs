//! What a run of load is asked to do.

use std::net::SocketAddr;
use std::time::Duration;

use crate::measure::load::options_error::OptionsError;
use crate::measure::load::schedule::Schedule;
use crate::os::address::Address;
use crate::protocol::charset::Charset;
use crate::protocol::framing::chunk;
use crate::protocol::framing::{Framing, Rules};
use crate::protocol::mode::ack::Ack;

/// What a run of load is asked to do. [`Options::check`] tells what does not fit together.
#[derive(Clone, Debug)]
pub struct Options {
    /// The server's addresses. The first one that answers is used for all connections: see
    /// [`Candidates`](crate::apps::candidates::Candidates).
    pub addresses: Vec<Address>,
    /// Whether messages are datagrams (UDP, or Unix datagrams).
    pub datagrams: bool,
    /// Local addresses to connect from, taken in turn; the system chooses where there are none.
    pub sources: Vec<SocketAddr>,
    /// Connections, or datagram sockets.
    pub connections: usize,
    /// Connections opened a second, at the most; none opens them as fast as the server takes them.
    pub connect_rate: Option<f64>,
    /// Each message gets a connection of its own: connect, one message, its reply, close.
    pub churn: bool,
    /// Messages in flight on one connection, at the most.
    pub pipeline: usize,
    /// When messages are sent.
    pub pace: Pace,
    /// When no more are sent.
    pub end: End,
    /// How long load runs before anything is counted.
    pub warmup: Duration,
    /// How long a reply may take: a later datagram is lost, and a stream that owes one is closed. It is also how long
    /// what is due or outstanding at the end is waited for.
    pub timeout: Duration,
    /// How long a connection may take to be established.
    pub connect_timeout: Duration,
    /// For how long after each event it polls without sleeping, so that latencies do not hold its own wake-up; `None`
    /// if it sleeps whenever it can.
    pub busy_poll: Option<Duration>,
    /// What a message says.
    pub body: Body,
    /// What has to come back.
    pub expect: Expect,
    /// How messages lie in a stream. Their `max_frame` bounds replies of unknown text ([`Expect::Any`]); any other
    /// reply is known.
    pub rules: Rules,
    /// How finely the course of the run is kept: one point of the pictures over time.
    pub interval: Duration,
}

/// When messages are sent.
#[derive(Clone, Debug, PartialEq)]
pub enum Pace {
    /// A closed loop: the next one when a reply has come.
    Closed,
    /// An open loop: by schedule, whatever the server does.
    Open(Schedule),
}

impl Pace {
    /// Whether messages are sent by schedule.
    pub fn is_open(&self) -> bool {
        matches!(self, Pace::Open(_))
    }
}

/// When a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// After this time, not counting the warm-up.
    After(Duration),
    /// After this number of messages, not counting those of the warm-up.
    Messages(u64),
}

/// What a message says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Body {
    /// So many bytes, each message's different from its neighbours'.
    Noise(usize),
    /// This text, encoded; each message's the same.
    Text(Vec<u8>),
}

impl Body {
    /// How many bytes a message has, without its frame.
    pub fn length(&self) -> usize {
        match self {
            Body::Noise(length) => *length,
            Body::Text(text) => text.len(),
        }
    }
}

/// What has to come back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// The message itself.
    Echo,
    /// The message between these words.
    Ack(Ack),
    /// Anything: nothing is checked.
    Any,
}

impl Options {
    /// What `cooee load` does where no flag says anything else: one TCP connection that echoes 64 bytes in a closed
    /// loop for 10 s, after a warm-up of one.
    pub fn new(addresses: Vec<Address>) -> Options {
        Options {
            addresses,
            datagrams: false,
            sources: Vec::new(),
            connections: 1,
            connect_rate: None,
            churn: false,
            pipeline: 1,
            pace: Pace::Closed,
            end: End::After(Duration::from_secs(10)),
            warmup: Duration::from_secs(1),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            busy_poll: None,
            body: Body::Noise(64),
            expect: Expect::Echo,
            rules: Rules { framing: Framing::Chunk, max_frame: Options::REPLY_MAX, charset: Charset::UTF_8 },
            interval: Duration::from_millis(100),
        }
    }

    /// Connections at the most: no process may have more descriptors (Linux's `fs.nr_open` allows 1,048,576 of them).
    pub const CONNECTIONS_MAX: usize = 1_000_000;

    /// Messages in flight at the most, on all connections: each is remembered until its reply has come.
    pub const IN_FLIGHT_MAX: usize = 10_000_000;

    /// The longest message in bytes, and the most bytes in flight on one connection. They are kept in memory, and so is
    /// what a socket does not take of them.
    pub const LENGTH_MAX: usize = 256 * 1024 * 1024;

    /// The default for the longest reply of unknown text, in bytes: more than most answers have, and soon reached.
    /// Nothing of it is kept, so it bounds how long a server may go on with one reply, and not memory.
    pub const REPLY_MAX: usize = 1024 * 1024;

    /// Whether everything fits together. The addresses may still be missing.
    pub fn check(&self) -> Result<(), OptionsError> {
        let (length, pipeline) = (self.body.length(), self.pipeline);
        let chunked = self.rules.framing == Framing::Chunk && !self.datagrams;
        let acks = matches!(self.expect, Expect::Ack(_));
        if self.connections > Options::CONNECTIONS_MAX {
            return Err(OptionsError::TooManyConnections(self.connections));
        }
        if self.connections.saturating_mul(pipeline) > Options::IN_FLIGHT_MAX {
            return Err(OptionsError::TooManyInFlight(pipeline));
        }
        if length > Options::LENGTH_MAX {
            return Err(OptionsError::TooLong(length));
        }
        if length.saturating_mul(pipeline) > Options::LENGTH_MAX {
            return Err(OptionsError::TooManyBytesInFlight { pipeline, length });
        }
        if let (true, Pace::Open(schedule), Some(opens)) = (self.churn, &self.pace, self.connect_rate)
            && schedule.from.max(schedule.to) > opens
        {
            return Err(OptionsError::ConnectRateTooLow(opens));
        }
        if self.datagrams && self.churn {
            return Err(OptionsError::ChurnOfDatagrams);
        }
        if chunked && pipeline > 1 && acks {
            return Err(OptionsError::AcksMayJoin);
        }
        if chunked && pipeline > 1 && self.expect == Expect::Any {
            return Err(OptionsError::NoReplyEnd);
        }
        if chunked && acks && length > chunk::MAX {
            return Err(OptionsError::AckInPieces(length));
        }
        if let Body::Text(text) = &self.body {
            if text.is_empty() && chunked {
                return Err(OptionsError::EmptyText);
            }
            if self.rules.framing == Framing::Line && !self.datagrams && text.contains(&b'\n') {
                return Err(OptionsError::LineBreak);
            }
        }
        match self.sources.iter().find(|source| !self.can_connect_from(source)) {
            Some(source) => Err(OptionsError::SourceFamily(source.ip())),
            None => Ok(()),
        }
    }

    fn can_connect_from(&self, source: &SocketAddr) -> bool {
        self.addresses.iter().any(|address| address.is_of_family(source))
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A closed loop of one connection to nowhere.
    pub(crate) fn options() -> Options {
        Options { warmup: Duration::ZERO, ..Options::new(vec![Address::Ip(([127, 0, 0, 1], 9).into())]) }
    }

    fn fault(change: impl FnOnce(&mut Options)) -> Option<OptionsError> {
        let mut options = options();
        change(&mut options);
        options.check().err()
    }

    #[test]
    fn what_cannot_be_checked_is_refused_with_the_reason() {
        let ack = || Expect::Ack(Ack::new("{}", Charset::UTF_8).unwrap());
        assert_eq!(fault(|_| {}), None);
        let pipelined = |options: &mut Options| (options.expect, options.pipeline) = (ack(), 2);
        assert_eq!(fault(pipelined), Some(OptionsError::AcksMayJoin));
        let unchecked = |options: &mut Options| (options.expect, options.pipeline) = (Expect::Any, 2);
        assert_eq!(fault(unchecked), Some(OptionsError::NoReplyEnd));
        let long = |options: &mut Options| (options.expect, options.body) = (ack(), Body::Noise(1025));
        assert_eq!(fault(long), Some(OptionsError::AckInPieces(1025)));
        let framed = |options: &mut Options| {
            pipelined(options);
            options.rules.framing = Framing::Line;
        };
        assert_eq!(fault(framed), None);
        let churn = |options: &mut Options| (options.churn, options.datagrams) = (true, true);
        assert_eq!(fault(churn), Some(OptionsError::ChurnOfDatagrams));
        let hurried = |options: &mut Options| {
            (options.churn, options.connect_rate) = (true, Some(10.0));
            options.pace = Pace::Open(Schedule::steady(11.0));
        };
        assert_eq!(fault(hurried), Some(OptionsError::ConnectRateTooLow(10.0)));
        let six: SocketAddr = "[::1]:0".parse().unwrap();
        assert_eq!(fault(|options| options.sources = vec![six]), Some(OptionsError::SourceFamily(six.ip())));
        assert_eq!(fault(|options| options.body = Body::Text(Vec::new())), Some(OptionsError::EmptyText));
    }

    #[test]
    fn what_fits_into_no_memory_is_refused() {
        let many = fault(|options| options.connections = usize::MAX);
        assert_eq!(many, Some(OptionsError::TooManyConnections(usize::MAX)));
        let long = fault(|options| options.body = Body::Noise(usize::MAX));
        assert_eq!(long, Some(OptionsError::TooLong(usize::MAX)));
        for (pipeline, connections, length) in [(usize::MAX, 1, 1), (1_001, 10_000, 1), (2_000, 1, 1 << 20)] {
            let error = fault(|options| {
                (options.pipeline, options.connections) = (pipeline, connections);
                options.body = Body::Noise(length);
            });
            assert!(error.is_some_and(|error| error.to_string().starts_with("pipeline")));
        }
        assert_eq!(fault(|options| (options.pipeline, options.connections) = (100, 19_000)), None);
    }
    #[test]
    fn what_is_just_allowed_is_allowed() {
        let ack = || Expect::Ack(Ack::new("{}", Charset::UTF_8).unwrap());
        let text = |options: &mut Options, text: &str, framing| {
            (options.body, options.rules.framing) = (Body::Text(text.into()), framing);
        };
        let changes: [&dyn Fn(&mut Options); 13] = [
            &|options| options.sources = vec!["127.0.0.2:0".parse().unwrap()],
            &|options| (options.connections, options.pipeline) = (1_000_000, 10),
            &|options| options.body = Body::Noise(256 << 20),
            &|options| (options.body, options.pipeline) = (Body::Noise(64 << 20), 4),
            &|options| {
                (options.churn, options.connect_rate) = (true, Some(10.0));
                options.pace = Pace::Open(Schedule::steady(10.0));
            },
            &|options| options.churn = true,
            &|options| options.datagrams = true,
            &|options| options.expect = Expect::Any,
            &|options| (options.expect, options.body) = (ack(), Body::Noise(chunk::MAX)),
            &|options| options.body = Body::Noise(2 * chunk::MAX),
            &|options| text(options, "", Framing::Line),
            &|options| text(options, "no break", Framing::Line),
            &|options| {
                text(options, "a\nb", Framing::Line);
                options.datagrams = true;
            },
        ];
        for (number, change) in changes.into_iter().enumerate() {
            assert_eq!(fault(change), None, "{number}");
        }
        assert_eq!(fault(|options| text(options, "a\nb", Framing::Line)), Some(OptionsError::LineBreak));
        assert_eq!(fault(|options| text(options, "a\nb", Framing::Chunk)), None);
        assert!(fault(|options| options.connections = 1_000_001).is_some());
        assert_eq!(options().rules.max_frame, 1 << 20);
    }
}
