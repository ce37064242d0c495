//! The flags of load, which `load` and `compare` share, and what they mean together.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::cli::failure::Failure;
use crate::cli::settings;
use crate::cli::target::Target;
use crate::cli::units;
use crate::cli::zone;
use crate::load::options::{Body, End, Expect, Options, Pace};
use crate::load::schedule::Schedule;
use crate::protocol::ack::{self, Ack};
use crate::protocol::charset::Charset;
use crate::protocol::framing::{Framing, Rules};

/// The longest text that a datagram carries over IPv4: 65,535 bytes less the headers of IP and UDP.
const DATAGRAM_MAX: usize = 65_507;

#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArguments {
    /// Connections at once (for UDP: sockets)
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = units::positive_count, help_heading = "Load")]
    pub(crate) connections: usize,
    /// How long to measure
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = units::positive_duration, help_heading = "Load")]
    pub(crate) duration: Duration,
    /// How many messages to measure, instead of a time
    #[arg(short = 'n', long, value_name = "N", value_parser = units::messages, conflicts_with = "duration", help_heading = "Load")]
    pub(crate) messages: Option<u64>,
    /// How long to run before anything is counted
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration, help_heading = "Load")]
    pub(crate) warmup: Duration,
    /// Messages in flight on one connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = units::positive_count, help_heading = "Load")]
    pub(crate) pipeline: usize,
    /// Send so many messages a second, by schedule, whatever the server does (an open loop) [default: as fast as replies come]
    #[arg(short = 'R', long, value_name = "N/s", value_parser = units::rate, conflicts_with = "ramp", help_heading = "Load")]
    pub(crate) rate: Option<f64>,
    /// The same with a rate that changes evenly for a time, and then stays: 100:5000/30s
    #[arg(long, value_name = "FROM:TO/TIME", value_parser = units::ramp, help_heading = "Load")]
    pub(crate) ramp: Option<Schedule>,
    /// Give each message a connection of its own: connect, send, take the reply, close
    #[arg(long, conflicts_with = "pipeline", help_heading = "Load")]
    pub(crate) churn: bool,
    /// Open at most so many connections a second
    #[arg(long, value_name = "N/s", value_parser = units::rate, help_heading = "Load")]
    pub(crate) connect_rate: Option<f64>,
    /// Connect from these local addresses in turn: one has about 28,000 ports
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',', value_parser = zone::ip, help_heading = "Load")]
    pub(crate) source: Vec<SocketAddr>,
    /// How long a reply may take, and how long to wait at the end [default: 1s for datagrams, which are lost then; else 10s]
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, help_heading = "Load")]
    pub(crate) timeout: Option<Duration>,
    /// How long a connection may take
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::positive_duration, help_heading = "Load")]
    pub(crate) connect_timeout: Duration,
    /// Stay awake for so long after each event, which takes a core and keeps this program's own waking out of the latencies; 0 is off [default: off]
    #[arg(long, value_name = "TIME", value_parser = units::busy_poll, help_heading = "Load")]
    pub(crate) busy_poll: Option<Duration>,

    /// Bytes of a message: letters and digits, each message's different
    #[arg(short, long, value_name = "BYTES", default_value = "64", value_parser = units::positive_size, help_heading = "Messages")]
    pub(crate) length: usize,
    /// Send this text every time
    #[arg(short, long, value_name = "TEXT", conflicts_with = "length", help_heading = "Messages")]
    pub(crate) message: Option<String>,
    /// What has to come back, byte for byte: echo, ack or any (nothing is checked; without a framing that ends replies, the time to their
    /// first bytes is measured)
    #[arg(long, default_value = "echo", help_heading = "Messages")]
    pub(crate) expect: ExpectName,
    /// The longest reply in bytes where any is expected, in line or len32 framing [default: 1MiB]
    #[arg(long, value_name = "BYTES", value_parser = units::positive_size, help_heading = "Messages")]
    pub(crate) max_reply: Option<usize>,
    /// The text of an acknowledgement, with one {} for the message
    #[arg(long, value_name = "TEXT", default_value = ack::DEFAULT_FORMAT, help_heading = "Messages")]
    pub(crate) ack_format: String,
    /// The encoding of --message and --ack-format, as a WHATWG label
    #[arg(long, value_name = "LABEL", default_value = "utf-8", help_heading = "Messages")]
    pub(crate) encoding: String,
    /// How messages lie in a stream: chunk (nothing around them), line or len32
    #[arg(long, default_value = "chunk", value_parser = settings::framing, help_heading = "Messages")]
    pub(crate) framing: Framing,
}

/// The name of an expectation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum ExpectName {
    Echo,
    Ack,
    Any,
}

impl LoadArguments {
    /// Whether messages leave by schedule.
    pub(crate) fn is_open_loop(&self) -> bool {
        self.rate.is_some() || self.ramp.is_some()
    }

    /// Whether replies are of unknown text, and their framing alone says where they end.
    fn finds_ends(&self, datagrams: bool) -> bool {
        self.expect == ExpectName::Any && self.framing != Framing::Chunk && !datagrams
    }

    /// What to run against `target`. An error says what does not fit together.
    pub(crate) fn options(&self, target: &Target) -> Result<Options, Failure> {
        let datagrams = target.is_datagram();
        let charset = Charset::for_label(&self.encoding)
            .map_err(|reason| Failure::Usage(format!("--encoding {}: {reason}", self.encoding.escape_debug())))?;
        let body = match &self.message {
            None => Body::Noise(self.length),
            Some(text) => Body::Text(
                charset
                    .encode(text)
                    .map_err(|character| {
                        Failure::Usage(format!("--message: {charset} cannot hold '{}'", character.escape_debug()))
                    })?
                    .into_owned(),
            ),
        };
        let expect = match self.expect {
            ExpectName::Echo => Expect::Echo,
            ExpectName::Any => Expect::Any,
            ExpectName::Ack => Expect::Ack(Ack::new(&self.ack_format, charset).map_err(|reason| {
                Failure::Usage(format!("--ack-format {}: {reason}", self.ack_format.escape_debug()))
            })?),
        };
        if let (Some(max), false) = (self.max_reply, self.finds_ends(datagrams)) {
            return Err(Failure::Usage(format!(
                "--max-reply {max}: it bounds replies whose text is not known and whose framing says where they end (--expect any \
                 with --framing line or len32)"
            )));
        }
        let max_frame = self.max_reply.unwrap_or(Options::REPLY_MAX);
        let options = Options {
            addresses: target.addresses.clone(),
            datagrams,
            sources: self.source.clone(),
            connections: self.connections,
            connect_rate: self.connect_rate,
            churn: self.churn,
            pipeline: self.pipeline,
            pace: match (self.rate, self.ramp) {
                (_, Some(ramp)) => Pace::Open(ramp),
                (Some(rate), None) => Pace::Open(Schedule { from: rate, to: rate, ramp: Duration::ZERO }),
                (None, None) => Pace::Closed,
            },
            end: self.messages.map_or(End::After(self.duration), End::Messages),
            warmup: self.warmup,
            timeout: self.timeout.unwrap_or(Duration::from_secs(if datagrams { 1 } else { 10 })),
            connect_timeout: self.connect_timeout,
            busy_poll: self.busy_poll.filter(|time| !time.is_zero()),
            body,
            expect,
            rules: Rules { framing: self.framing, max_frame, charset },
            interval: (self.duration / 100).clamp(Duration::from_millis(100), Duration::from_secs(60)),
        };
        if datagrams && options.body.length() > DATAGRAM_MAX {
            return Err(Failure::Usage(format!(
                "--length {}: a datagram carries at most {DATAGRAM_MAX} bytes",
                options.body.length()
            )));
        }
        options.check().map_err(Failure::Usage)?;
        Ok(options)
    }
}
