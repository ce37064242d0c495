//! The arguments, as `--help` tells them.

use std::time::Duration;

use clap::{ArgAction, Args, Parser, Subcommand};
use log::LevelFilter;

#[cfg(target_os = "linux")]
use crate::cli::compare_arguments::CompareArguments;
use crate::cli::load_arguments::LoadArguments;
use crate::cli::report_arguments::{OutputArguments, ReportArguments};
use crate::cli::settings::{self, Settings};
use crate::cli::units;
use crate::limits::{DatagramRate, Limits};
use crate::load::slo::Objective;
use crate::net::bind::SocketOptions;
use crate::protocol::ack;
use crate::protocol::bye::Bye;
use crate::protocol::framing::Framing;
use crate::protocol::mode::ModeName;

/// Echoes, acknowledges or discards what TCP, UDP and Unix-socket clients send, from one single-threaded event loop
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110, subcommand_required = true, arg_required_else_help = true)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
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
    /// Start several servers in turn, put the same load on each, and tell which one is better where that can be told
    #[cfg(target_os = "linux")]
    Compare(Box<CompareArguments>),
    /// Tell what runs of load have measured: merged, or side by side
    Report(ReportArguments),
}

#[derive(Debug, Args)]
pub(crate) struct LogArguments {
    /// Log more: debug (connections), then trace (every step of the reactor)
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with_all = ["quiet", "log_level"])]
    verbose: u8,
    /// Log less: warnings and errors, then errors alone. What was asked for (SIGUSR1, --log-messages) is told all the same
    #[arg(short, long, action = ArgAction::Count, global = true, conflicts_with = "log_level")]
    quiet: u8,
    /// Log at this level: off, error, warn, info, debug or trace [default: what RUST_LOG says, or info]
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<LevelFilter>,
}

impl LogArguments {
    /// The level that the flags give, if they give one.
    pub(crate) fn level(&self) -> Option<LevelFilter> {
        match (self.log_level, self.verbose, self.quiet) {
            (Some(level), _, _) => Some(level),
            (None, 0, 0) => None,
            (None, 1, _) => Some(LevelFilter::Debug),
            (None, 0, 1) => Some(LevelFilter::Warn),
            (None, 0, _) => Some(LevelFilter::Error),
            (None, _, _) => Some(LevelFilter::Trace),
        }
    }
}

const SERVE_NOTES: &str = "\
An ENDPOINT is tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH, unixgram:///PATH, or HOST:PORT for both TCP and UDP.
Port 0 takes a free port. [::] serves IPv6 and IPv4. A query sets what differs for one endpoint:
  cooee serve 'tcp://127.0.0.1:9000?mode=ack&encoding=gbk' 'unix:///tmp/cooee.sock?framing=line'";

#[derive(Debug, Args)]
#[command(after_help = SERVE_NOTES)]
pub(crate) struct ServeArguments {
    /// Where to serve
    #[arg(value_name = "ENDPOINT", default_value = "127.0.0.1:9000")]
    pub(crate) endpoints: Vec<String>,

    /// What to answer: echo (RFC 862), ack or discard (RFC 863)
    #[arg(long, default_value = "echo", help_heading = "For each endpoint")]
    mode: ModeName,
    /// How messages lie in a stream: chunk (what one read brings, at most 1,024 bytes), line or len32
    #[arg(long, default_value = "chunk", help_heading = "For each endpoint")]
    framing: Framing,
    /// The longest message in line and len32 framing
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = settings::max_frame, help_heading = "For each endpoint")]
    max_frame: usize,
    /// The encoding of acknowledgements and of logged messages, as a WHATWG label: utf-8, gbk, big5, shift_jis, ...
    #[arg(long, value_name = "LABEL", default_value = "utf-8", help_heading = "For each endpoint")]
    encoding: String,
    /// The text of an acknowledgement, with one {} for the message
    #[arg(long, value_name = "TEXT", default_value = ack::DEFAULT_FORMAT, help_heading = "For each endpoint")]
    ack_format: String,
    /// What a message that is exactly 'bye' does: ignore, close (the conversation) or stop (the server) [default: close in ack mode, else ignore]
    #[arg(long, help_heading = "For each endpoint")]
    bye: Option<Bye>,
    /// Log each message with its peer
    #[arg(long, help_heading = "For each endpoint")]
    log_messages: bool,
    /// Connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value = "4096", value_parser = settings::backlog, help_heading = "For each endpoint")]
    backlog: i32,
    /// The receive buffer of a socket (SO_RCVBUF) [default: the system's]
    #[arg(long, value_name = "SIZE", value_parser = units::buffer_size, help_heading = "For each endpoint")]
    rcvbuf: Option<usize>,
    /// The send buffer of a socket (SO_SNDBUF) [default: the system's]
    #[arg(long, value_name = "SIZE", value_parser = units::buffer_size, help_heading = "For each endpoint")]
    sndbuf: Option<usize>,
    /// Bytes that the kernel takes for a TCP peer whose window is full (TCP_NOTSENT_LOWAT, Linux); 0 leaves it to the system
    #[arg(long, value_name = "SIZE", default_value = "8KiB", value_parser = units::small_size, help_heading = "For each endpoint")]
    notsent_lowat: u32,
    /// Probe silent TCP connections after this time; a peer that is gone is found after twice the time [default: never]
    #[arg(long, value_name = "TIME", value_parser = settings::seconds, help_heading = "For each endpoint")]
    keepalive: Option<Duration>,
    /// Accept a TCP connection when its first bytes have come, or after about this time, and not before (Linux) [default: at once]
    #[arg(long, value_name = "TIME", value_parser = settings::seconds, help_heading = "For each endpoint")]
    defer_accept: Option<Duration>,
    /// Let several processes serve one port (SO_REUSEPORT)
    #[arg(long, help_heading = "For each endpoint")]
    reuse_port: bool,

    /// Connections at once [default: what the descriptor limit allows, less 64, and half of the smallest limit of memory holds]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    pub(crate) max_connections: Option<usize>,
    /// TCP connections at once from one source: an IPv4 address, or an IPv6 /64; 0 is unlimited
    #[arg(long, value_name = "N", default_value = "0", help_heading = "Limits")]
    max_connections_per_source: usize,
    /// Close a connection that is silent, or leaves a message unfinished, for so long; 0 is never
    #[arg(long, value_name = "TIME", default_value = "300s", value_parser = units::duration, help_heading = "Limits")]
    idle_timeout: Duration,
    /// Close a half-closed connection on which nothing moves for so long
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = units::duration, help_heading = "Limits")]
    half_closed_timeout: Duration,
    /// Bytes owed to a peer at which nothing more is read from it
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = units::positive_size, help_heading = "Limits")]
    write_limit: usize,
    /// Bytes in all queues: two thirds for what is owed, then who owes is not read; a third for unfinished messages, then some are closed
    /// [default: 128MiB, or a quarter of the smallest limit of memory]
    #[arg(long, value_name = "SIZE", value_parser = units::positive_size, help_heading = "Limits")]
    pub(crate) queue_limit: Option<usize>,
    /// Bytes read from one connection a turn
    #[arg(long, value_name = "SIZE", default_value = "256KiB", value_parser = units::positive_size, help_heading = "Limits")]
    read_budget: usize,
    /// How long a drain may take after SIGTERM
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::duration, help_heading = "Limits")]
    drain_timeout: Duration,
    /// UDP replies a second to one source address, wherever it is, and at most five times as many to one IPv6 /64; 0 is unlimited
    /// [default: 200, and unlimited on loopback]
    #[arg(long, value_name = "N", help_heading = "Limits")]
    udp_rate: Option<u32>,
    /// Stay awake for so long after each event, which takes a core and answers sooner; 0 is off [default: off]
    #[arg(long, value_name = "TIME", value_parser = units::busy_poll, help_heading = "Limits")]
    busy_poll: Option<Duration>,
}

impl ServeArguments {
    /// The settings that hold for every endpoint whose query says nothing else.
    pub(crate) fn settings(&self) -> Settings {
        Settings {
            mode: self.mode,
            framing: self.framing,
            max_frame: self.max_frame,
            encoding: self.encoding.clone(),
            ack_format: self.ack_format.clone(),
            bye: self.bye,
            log_messages: self.log_messages,
            socket: SocketOptions {
                backlog: self.backlog,
                receive_buffer: self.rcvbuf,
                send_buffer: self.sndbuf,
                notsent_lowat: self.notsent_lowat,
                keepalive: self.keepalive,
                defer_accept: self.defer_accept,
                reuse_port: self.reuse_port,
            },
        }
    }

    /// The limits, but for that of the connections, which the descriptors decide, and that of the queues, which memory does.
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

const SEND_NOTES: &str = "\
An ENDPOINT is tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH, unixgram:///PATH, or HOST:PORT for TCP.
  cooee send 127.0.0.1:9000 -m hello
  cooee send 'udp://127.0.0.1:9000' < lines.txt";

#[derive(Debug, Args)]
#[command(after_help = SEND_NOTES)]
pub(crate) struct SendArguments {
    /// The server
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    /// Send this message instead of the lines of standard input; may be given several times
    #[arg(short, long = "message", value_name = "TEXT", conflicts_with = "raw")]
    pub(crate) messages: Vec<String>,
    /// Stream standard input as it is, and print replies as they are
    #[arg(long)]
    pub(crate) raw: bool,
    /// The encoding of messages, as a WHATWG label
    #[arg(long, value_name = "LABEL", default_value = "utf-8")]
    pub(crate) encoding: String,
    /// How messages lie in a stream: chunk (nothing around them), line or len32
    #[arg(long, default_value = "chunk")]
    pub(crate) framing: Framing,
    /// The longest line and the longest reply
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = settings::max_frame)]
    pub(crate) max_frame: usize,
    /// What sending exactly 'bye' does: close (it is the last message; so is stop) or ignore
    #[arg(long, default_value = "close")]
    pub(crate) bye: Bye,
    /// How long to wait for replies once the last message has left, and for stdout to take them [default: 5s, for datagrams 1s]
    #[arg(long, value_name = "TIME", value_parser = units::duration)]
    pub(crate) wait: Option<Duration>,
    /// How long to wait for the connection
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = units::duration)]
    pub(crate) connect_timeout: Duration,
}

const LOAD_NOTES: &str = "\
An ENDPOINT is tcp://HOST:PORT, udp://HOST:PORT, unix:///PATH, unixgram:///PATH, or HOST:PORT for TCP.
  cooee load -c 50 127.0.0.1:9000                   as fast as replies come (a closed loop)
  cooee load -c 50 -R 10k -d 30s 127.0.0.1:9000     10,000 messages a second by schedule (an open loop)
Exit codes: 0 measured; 1 nothing was measured, or a reply was wrong; 2 wrong usage; 3 the figures are not to be trusted.";

#[derive(Debug, Args)]
#[command(after_help = LOAD_NOTES)]
pub(crate) struct LoadCommand {
    /// The server
    #[arg(value_name = "ENDPOINT")]
    pub(crate) endpoint: String,
    #[command(flatten)]
    pub(crate) load: LoadArguments,
    /// Search the highest rate at which this percentile (p50, p90, p95, p99, p999, p9999 or max) of the latencies stays within a time
    #[arg(long, value_name = "p99=TIME", value_parser = units::objective, conflicts_with_all = ["rate", "ramp", "messages"], help_heading = "Load")]
    pub(crate) slo: Option<Objective>,
    #[command(flatten)]
    pub(crate) output: OutputArguments,
}
