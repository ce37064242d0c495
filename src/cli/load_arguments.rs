//! The flags of load, which `load` and `compare` share, and what they mean together.

use std::net::SocketAddr;
use std::time::Duration;

use clap::Args;

use crate::cli::cli_error::CliError;
use crate::cli::suggestion::word;
use crate::cli::target::Target;
use crate::cli::units;
use crate::cli::zone;
use crate::measure::load::options::{Body, End, Expect, Options, Pace};
use crate::measure::load::options_error::OptionsError;
use crate::measure::load::schedule::Schedule;
use crate::protocol::charset::Charset;
use crate::protocol::framing::{Framing, Rules};
use crate::protocol::mode::ack::{self, Ack};

/// The longest text that a datagram carries over IPv4: 65,535 bytes less the headers of IP and UDP.
const DATAGRAM_MAX: usize = 65_507;

pub(crate) const LOAD: &str = "Say how much load";
const CONNECTIONS: &str = "Say how to connect, and how long to wait";
const MESSAGES: &str = "Say what is sent, and what has to come back";

#[derive(Clone, Debug, Args)]
pub(crate) struct LoadArguments {
    /// Connections at once (for UDP: sockets)
    #[arg(short, long, value_name = "N", default_value_t = 1, value_parser = units::positive_count::<usize>, help_heading = LOAD)]
    pub(crate) connections: usize,
    /// How long to measure
    #[arg(short, long, value_name = "TIME", default_value = "10s", value_parser = units::positive_duration, help_heading = LOAD)]
    pub(crate) duration: Duration,
    /// How many messages to measure, instead of a time
    #[arg(short = 'n', long, value_name = "N", conflicts_with = "duration", value_parser = units::messages, help_heading = LOAD)]
    pub(crate) messages: Option<u64>,
    /// Run uncounted before that
    #[arg(long, value_name = "TIME", default_value = "1s", value_parser = units::duration, help_heading = LOAD)]
    pub(crate) warmup: Duration,
    /// Messages in flight on one connection
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = units::positive_count::<usize>, help_heading = LOAD)]
    pub(crate) pipeline: usize,
    /// Messages a second, by schedule [default: no limit]
    ///
    /// An open loop: messages leave by schedule, whatever the server does. Without it, a reply makes room for the next
    /// message: a closed loop.
    #[arg(short = 'R', long, value_name = "N/s", value_parser = units::rate, conflicts_with = "ramp", help_heading = LOAD)]
    pub(crate) rate: Option<f64>,
    /// A rate that changes evenly: 100:5000/30s
    ///
    /// After the time the rate stays as it is.
    #[arg(long, value_name = "FROM:TO/TIME", value_parser = units::ramp, help_heading = LOAD)]
    pub(crate) ramp: Option<Schedule>,
    /// Give each message a connection of its own
    ///
    /// Connect, send, take the reply, close.
    #[arg(long, conflicts_with = "pipeline", help_heading = LOAD)]
    pub(crate) churn: bool,
    /// Open at most so many connections a second
    #[arg(long, value_name = "N/s", value_parser = units::rate, help_heading = CONNECTIONS, hide_short_help = true)]
    pub(crate) connect_rate: Option<f64>,
    /// Connect from these local addresses in turn: one has about 28,000 ports
    #[arg(long, value_name = "ADDR,...", value_delimiter = ',', value_parser = zone::ip, help_heading = CONNECTIONS, hide_short_help = true)]
    pub(crate) source: Vec<SocketAddr>,
    /// For a reply [default: 10s, for datagrams 1s]
    ///
    /// It is waited for so long at the end, too. A datagram that is not answered by then is lost.
    #[arg(long, value_name = "TIME", value_parser = units::positive_duration, help_heading = CONNECTIONS, hide_short_help = true)]
    pub(crate) timeout: Option<Duration>,
    /// For a connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::positive_duration, help_heading = CONNECTIONS, hide_short_help = true)]
    pub(crate) connect_timeout: Duration,
    /// Stay awake for so long after each event; 0 is off [default: off]
    ///
    /// It takes a core, and keeps this program's own waking out of the latencies.
    #[arg(long, value_name = "TIME", value_parser = units::busy_poll, help_heading = CONNECTIONS, hide_short_help = true)]
    pub(crate) busy_poll: Option<Duration>,

    /// Bytes of a message
    ///
    /// They are letters and digits, each message's different.
    #[arg(short, long, value_name = "BYTES", default_value = "64", value_parser = units::positive_size, help_heading = MESSAGES)]
    pub(crate) length: usize,
    /// Send this text every time
    #[arg(short, long, value_name = "TEXT", conflicts_with = "length", help_heading = MESSAGES)]
    pub(crate) message: Option<String>,
    /// echo, ack or any, byte for byte
    ///
    /// With any, nothing is checked; without a framing that ends replies, the time to their first bytes is measured.
    #[arg(long, value_name = "REPLY", default_value = "echo", hide_possible_values = true, help_heading = MESSAGES)]
    pub(crate) expect: ExpectName,
    /// The longest reply in bytes where any is expected, in line or len32 framing [default: 1MiB]
    #[arg(long, value_name = "BYTES", value_parser = units::positive_size, help_heading = MESSAGES, hide_short_help = true)]
    pub(crate) max_reply: Option<usize>,
    /// The text of an acknowledgement, with one {} for the message
    #[arg(long, value_name = "TEXT", default_value = ack::DEFAULT_FORMAT, help_heading = MESSAGES, hide_short_help = true)]
    pub(crate) ack_format: String,
    /// The encoding of --message and --ack-format, as a WHATWG label
    #[arg(long, value_name = "LABEL", default_value = "utf-8", help_heading = MESSAGES, hide_short_help = true)]
    pub(crate) encoding: String,
    /// chunk, line or len32, in a stream
    ///
    /// Where messages end. chunk: nothing stands around a message. line: a line feed ends it. len32: its length stands
    /// before it, in four bytes.
    #[arg(long, default_value = "chunk", value_parser = word::<Framing>, help_heading = MESSAGES)]
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
    pub(crate) fn options(&self, target: &Target) -> Result<Options, CliError> {
        let datagrams = target.is_datagram();
        let charset = Charset::for_label(&self.encoding)
            .map_err(|reason| CliError::Usage(format!("--encoding {}: {reason}", self.encoding.escape_debug())))?;
        let body = match &self.message {
            None => Body::Noise(self.length),
            Some(text) => Body::Text(
                charset
                    .encode(text)
                    .map_err(|character| {
                        CliError::Usage(format!("--message: {charset} cannot hold '{}'", character.escape_debug()))
                    })?
                    .into_owned(),
            ),
        };
        let expect = match self.expect {
            ExpectName::Echo => Expect::Echo,
            ExpectName::Any => Expect::Any,
            ExpectName::Ack => Expect::Ack(Ack::new(&self.ack_format, charset).map_err(|reason| {
                CliError::Usage(format!("--ack-format {}: {reason}", self.ack_format.escape_debug()))
            })?),
        };
        if let (Some(max), false) = (self.max_reply, self.finds_ends(datagrams)) {
            return Err(CliError::Usage(format!(
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
            return Err(CliError::Usage(format!(
                "--length {}: a datagram carries at most {DATAGRAM_MAX} bytes",
                options.body.length()
            )));
        }
        options.check().map_err(|error| CliError::Usage(by_flag(&error)))?;
        Ok(options)
    }
}

/// What does not fit together, by the flag's name, and by those of flags that mend it.
fn by_flag(error: &OptionsError) -> String {
    const ENDS: &str = " (--framing line or len32)";
    let (flag, mends) = match error {
        OptionsError::NoAddress => return "the server has no address".to_owned(),
        OptionsError::TooManyConnections(_) => ("connections", ""),
        OptionsError::TooManyInFlight(_) | OptionsError::TooManyBytesInFlight { .. } => ("pipeline", ""),
        OptionsError::TooLong(_) => ("length", ""),
        OptionsError::ConnectRateTooLow(_) => ("connect-rate", ""),
        OptionsError::ChurnOfDatagrams => ("churn", ""),
        OptionsError::AcksMayJoin | OptionsError::NoReplyEnd => ("pipeline", ENDS),
        OptionsError::AckInPieces(_) => ("length", ENDS),
        OptionsError::EmptyText => ("message", ENDS),
        OptionsError::LineBreak => ("message", " (--framing len32)"),
        OptionsError::SourceFamily(_) => ("source", ""),
    };
    let told = error.to_string().replace("with churn", "with --churn");
    let reason = told.trim_start_matches(|letter| letter != ' ' && letter != ':');
    format!("--{flag}{reason}{mends}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_told_by_the_names_of_flags() {
        let told = [
            (OptionsError::TooManyConnections(1_000_001), "--connections 1000001: it can be at most 1000000"),
            (
                OptionsError::ConnectRateTooLow(10.5),
                "--connect-rate 10.5: with --churn each message opens a connection, and more are due",
            ),
            (OptionsError::ChurnOfDatagrams, "--churn: datagrams have no connections to open"),
            (
                OptionsError::AckInPieces(1025),
                "--length 1025: with chunk framing a message of more than 1024 bytes is acknowledged in pieces that cannot be \
                 known (--framing line or len32)",
            ),
            (OptionsError::LineBreak, "--message: in line framing it cannot hold a line break (--framing len32)"),
            (
                OptionsError::SourceFamily([0_u16; 8].into()),
                "--source ::: it is of another family than the server's address",
            ),
        ];
        for (error, words) in told {
            assert_eq!(by_flag(&error), words);
        }
    }
}
