//! The arguments, as `--help` tells them.

use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use log::LevelFilter;

use crate::apps::client::replies::Replies;
#[cfg(target_os = "linux")]
use crate::cli::compare_arguments::CompareArguments;
use crate::cli::load_arguments::{LOAD, LoadArguments};
use crate::cli::report_arguments::{OutputArguments, ReportArguments};
use crate::cli::settings::{self, Settings};
use crate::cli::suggestion::word;
use crate::cli::units;
use crate::measure::load::objective::Objective;
use crate::protocol::bye::Bye;
use crate::protocol::framing::Framing;
use crate::reactor::limits::{DatagramRate, Limits};

/// Echoes, acknowledges or discards what TCP, UDP and Unix-socket clients send, from one single-threaded event loop
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 110,
    after_help = "cooee COMMAND -h tells the usual flags of a command, cooee COMMAND --help all of them."
)]
pub(crate) struct Arguments {
    /// `None` prints examples.
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) log: LogArguments,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Serve one or more endpoints until SIGTERM or Ctrl-C
    Serve(Box<ServeArguments>),
    /// Send lines to a server and print what comes back
    Send(SendArguments),
    /// Put load on a server, check every reply, and tell how long they took
    Load(Box<LoadCommand>),
    /// Put the same load on several servers in turn, and tell which is better, if any
    #[cfg(target_os = "linux")]
    Compare(Box<CompareArguments>),
    /// Tell what runs of load have measured: merged, or side by side
    Report(ReportArguments),
}

/// The heading of the flags that say what is logged; those of single commands stand beside them.
pub(crate) const LOG: &str = "See what happens";

#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Log connections; twice: every step of the reactor
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with_all = ["quiet", "log_level"], help_heading = LOG)]
    verbose: u8,
    /// Log warnings and errors alone; twice: errors alone
    ///
    /// What was asked for is told all the same: the summary at SIGUSR1, and the messages of --log-messages.
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "log_level", help_heading = LOG)]
    quiet: u8,
    /// off, error, warn, info, debug, trace [default: info]
    ///
    /// Where no flag sets it, RUST_LOG does. It takes LEVEL and TARGET=LEVEL with commas between:
    /// warn,cooee::reactor=trace
    #[arg(long, value_name = "LEVEL", global = true, value_parser = settings::log_level, help_heading = LOG)]
    log_level: Option<LevelFilter>,
}

impl LogArguments {
    /// The level that the flags give, if they give one.
    pub(crate) fn level(&self) -> Option<LevelFilter> {
        self.log_level.or(match (self.verbose, self.quiet) {
            (0, 0) => None,
            (1, _) => Some(LevelFilter::Debug),
            (0, 1) => Some(LevelFilter::Warn),
            (0, _) => Some(LevelFilter::Error),
            _ => Some(LevelFilter::Trace),
        })
    }
}

const SERVE_EXAMPLES: &str = "\
Examples:
  cooee serve --mode ack --framing line
  cooee serve 'tcp://127.0.0.1:9000?mode=ack&encoding=gbk'
  cooee serve udp://127.0.0.1:9000 unix:///tmp/cooee.sock";

const SERVE_NOTES: &str = "\
Exit codes:
  0        drained
  1        it could not serve
  2        wrong usage
  128 + n  ended at once by signal n";

const LIMITS: &str = "Set limits";

#[derive(Debug, Args)]
#[command(
    after_help = format!("{SERVE_EXAMPLES}\n\ncooee serve --help tells all flags."),
    after_long_help = format!("{SERVE_EXAMPLES}\n\n{SERVE_NOTES}"),
    // Among the flags of the log, whose heading is the last: an argument that is changed moves behind all others.
    mut_arg("log_messages", |flag| flag.display_order(usize::MAX))
)]
pub(crate) struct ServeArguments {
    /// HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH or unixgram:///PATH
    ///
    /// HOST:PORT alone serves TCP and UDP. Port 0 takes a free port. [::] serves IPv6 and IPv4. A query sets what
    /// differs for one endpoint: ?KEY=VALUE&KEY=VALUE, where a key is the name of a flag.
    #[arg(value_name = "ENDPOINT", default_value = "127.0.0.1:9000")]
    pub(crate) endpoints: Vec<String>,

    #[command(flatten)]
    pub(crate) settings: Settings,

    /// Connections at once [default: as many as fit]
    ///
    /// The default is what the descriptor limit allows, less 64, and at most what half of the smallest limit of memory
    /// holds.
    #[arg(long, value_name = "N", value_parser = units::count::<usize>, help_heading = LIMITS)]
    pub(crate) max_connections: Option<usize>,
    /// TCP connections at once from one source; 0 is unlimited
    ///
    /// A source is an IPv4 address, or an IPv6 /64.
    #[arg(long, value_name = "N", default_value = "0", value_parser = units::count::<usize>, help_heading = LIMITS, hide_short_help = true)]
    max_connections_per_source: usize,
    /// Close silent ones; 0 is never
    ///
    /// Closed is a connection on which nothing comes for so long. So is one that leaves a message unfinished for so
    /// long, or takes nothing of what it is owed.
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = units::duration, help_heading = LIMITS)]
    idle_timeout: Duration,
    /// Close a half-closed connection on which nothing moves for so long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration, help_heading = LIMITS, hide_short_help = true)]
    half_closed_timeout: Duration,
    /// Bytes owed to a peer at which nothing more is read from it
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = units::positive_size, help_heading = LIMITS, hide_short_help = true)]
    write_limit: usize,
    /// Bytes in all queues [default: 128MiB or less]
    ///
    /// The default is at most a quarter of the smallest limit of memory. Two thirds are for what is owed: when they are
    /// full, who owes is not read. A third is for unfinished messages: when it is full, some are closed.
    #[arg(long, value_name = "SIZE", value_parser = units::positive_size, help_heading = LIMITS)]
    pub(crate) queue_limit: Option<usize>,
    /// Bytes read from one connection a turn
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = units::positive_size, help_heading = LIMITS, hide_short_help = true)]
    read_budget: usize,
    /// For a drain after SIGTERM
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration, help_heading = LIMITS)]
    drain_timeout: Duration,
    /// UDP replies a second to one address [default: 200]
    ///
    /// It holds wherever the address is, and at most five times as many go to one IPv6 /64; 0 is unlimited. By default
    /// loopback has no limit.
    #[arg(long, value_name = "N", value_parser = units::count::<u32>, help_heading = LIMITS)]
    udp_rate: Option<u32>,
    /// Stay awake for so long after each event, which takes a core and answers sooner; 0 is off [default: off]
    #[arg(long, value_name = "TIME", value_parser = units::busy_poll, help_heading = LIMITS, hide_short_help = true)]
    busy_poll: Option<Duration>,
}

impl ServeArguments {
    /// The limits, but for that of the connections, which the descriptors decide, and that of the queues, which memory
    /// does.
    pub(crate) fn limits(&self, max_connections: usize, queue_limit: usize) -> Limits {
        Limits {
            max_connections,
            max_connections_per_source: Some(self.max_connections_per_source).filter(|most| *most > 0),
            queue_limit,
            idle_timeout: Some(self.idle_timeout).filter(|timeout| !timeout.is_zero()),
            half_closed_timeout: self.half_closed_timeout,
            write_limit: self.write_limit,
            read_budget: self.read_budget,
            drain_timeout: self.drain_timeout,
            datagram_rate: match self.udp_rate {
                None => DatagramRate::Outside(200),
                Some(0) => DatagramRate::Unlimited,
                Some(rate) => DatagramRate::Everyone(rate),
            },
            busy_poll: self.busy_poll.filter(|time| !time.is_zero()),
            ..Limits::default()
        }
    }
}

const SEND_EXAMPLES: &str = "\
Examples:
  cooee send 127.0.0.1:9000 -m hello
  cooee send udp://127.0.0.1:9000 < lines.txt
  cooee send --replies 0 127.0.0.1:9 -m hello
  rlwrap cooee send 127.0.0.1:9000";

const SEND_NOTES: &str = "\
The third expects no reply: port 9 discards. rlwrap gives the prompt a history and arrow keys.

Exit codes:
  0    sent, and answered as --replies says
  1    not, with a line that says why
  2    wrong usage
  141  nobody reads the output any more";

const MESSAGES: &str = "Say what is sent";
const WAITS: &str = "Say how long to wait";

#[derive(Debug, Args)]
#[command(after_help = SEND_EXAMPLES, after_long_help = format!("{SEND_EXAMPLES}\n\n{SEND_NOTES}"))]
pub(crate) struct SendArguments {
    /// HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH or unixgram:///PATH
    ///
    /// The server. HOST:PORT alone is TCP.
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    /// Send this, not standard input; may be given again
    #[arg(short, long = "message", value_name = "TEXT", conflicts_with = "raw", help_heading = MESSAGES)]
    pub(crate) messages: Vec<String>,
    /// Stream standard input, and replies, as they are
    #[arg(long, help_heading = MESSAGES)]
    pub(crate) raw: bool,
    /// utf-8, gbk, big5, shift_jis, ...
    ///
    /// The encoding of messages: a label of the WHATWG standard.
    #[arg(long, value_name = "LABEL", default_value = "utf-8", help_heading = MESSAGES)]
    pub(crate) encoding: String,
    /// chunk, line or len32, in a stream
    ///
    /// Where messages end. chunk: nothing stands around a message. line: a line feed ends it. len32: its length stands
    /// before it, in four bytes.
    #[arg(long, default_value = "chunk", value_parser = word::<Framing>, help_heading = MESSAGES)]
    pub(crate) framing: Framing,
    /// The longest line and reply
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = settings::max_frame, help_heading = MESSAGES)]
    pub(crate) max_frame: usize,
    /// close or ignore, at 'bye'
    ///
    /// What sending exactly bye does. close: it is the last message, and so it is with stop.
    #[arg(long, default_value = "close", value_parser = word::<Bye>, help_heading = MESSAGES)]
    pub(crate) bye: Bye,
    /// any, all or so many replies [default: any]
    ///
    /// Which replies an exit code of 0 needs. any: at least one; all: one for each message; a number: so many. With 0
    /// none is expected, and none waited for. To count them takes datagrams, or a framing that tells replies apart.
    #[arg(long, value_name = "any|all|N", default_value = "any", hide_default_value = true, help_heading = WAITS)]
    pub(crate) replies: Replies,
    /// For replies, at the end [default: 5s, UDP 1s]
    ///
    /// It begins when the last message has left. A server that takes nothing is given as long, and so is standard
    /// output, in the end.
    #[arg(long, value_name = "TIME", value_parser = units::duration, help_heading = WAITS)]
    pub(crate) wait: Option<Duration>,
    /// For the reply to the message before
    ///
    /// At a prompt, and in chunk framing, a message waits so long for it.
    #[arg(long, value_name = "TIME", default_value = "200ms", value_parser = units::duration, help_heading = WAITS, hide_short_help = true)]
    pub(crate) pace: Duration,
    /// For the connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::duration, help_heading = WAITS)]
    pub(crate) connect_timeout: Duration,
}

const LOAD_EXAMPLES: &str = "\
Examples:
  cooee load -c 50 127.0.0.1:9000
  cooee load -c 50 -R 10k -d 30s 127.0.0.1:9000

cooee load --help tells all flags.";

const LOAD_NOTES: &str = "\
As fast as replies come (a closed loop):
  cooee load -c 50 127.0.0.1:9000

10,000 messages a second by schedule (an open loop):
  cooee load -c 50 -R 10k -d 30s 127.0.0.1:9000

Exit codes:
  0  measured
  1  nothing was measured, or a reply was wrong
  2  wrong usage
  3  the figures are not to be trusted";

#[derive(Debug, Args)]
#[command(after_help = LOAD_EXAMPLES, after_long_help = LOAD_NOTES)]
pub(crate) struct LoadCommand {
    /// HOST:PORT, tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH or unixgram:///PATH
    ///
    /// The server. HOST:PORT alone is TCP.
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) load: LoadArguments,
    /// Search the highest rate that keeps this latency
    ///
    /// The percentile is p50, p90, p95, p99, p999, p9999 or max.
    #[arg(long, value_name = "p99=TIME", value_parser = units::objective, conflicts_with_all = ["rate", "ramp", "messages"], help_heading = LOAD)]
    pub(crate) slo: Option<Objective>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}
