//! The flags of `cooee compare`.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;

use crate::cli::endpoint::Transport;
use crate::cli::load_arguments::LoadArguments;
use crate::cli::report_arguments::{OUTPUT, OutputArguments};
use crate::cli::suggestion::word;
use crate::cli::units;
use crate::measure::compare::pinning;

const EXAMPLE: &str = "  cooee compare -c 50 \\
    --server 'cooee=cooee serve tcp://127.0.0.1:{port}' \\
    --server 'socat=socat TCP-LISTEN:{port},fork PIPE'";

const NOTES: &str = "\
A COMMAND is split as a shell splits it, but no shell runs it. {port} stands where the server is told which port of 127.0.0.1 to listen on; \
with --transport unix or unixgram, {path} stands for the path of its socket, or @{name} for an abstract name. The server has to stay in the \
foreground. Every server is stopped again, with all that it has started. Where this program is killed (SIGKILL), the kernel tells the server \
to end (SIGTERM), and nobody looks after that.";

const EXIT_CODES: &str = "\
Exit codes:
  0        all were measured
  1        a server failed, or this program did
  2        wrong usage
  3        the generator was the bottleneck, or late
  128 + n  interrupted by signal n, so 130 by Ctrl-C";

const SERVERS: &str = "Say what is compared";
const PROCESSORS: &str = "Say where it runs";

// Each server has several rounds, so each is shorter than a run of load. Flags that a comparison seldom needs are in
// `--help` alone.
#[derive(Debug, Args)]
#[command(
    after_help = format!(
        "Example ({{port}}: where the server is told which port to listen on):\n{EXAMPLE}\n\n\
         cooee compare --help tells all flags, and the exit codes."
    ),
    after_long_help = format!("{NOTES}\n\nExample:\n{EXAMPLE}\n\n{EXIT_CODES}"),
    mut_arg("duration", |duration| duration.default_value("5s")),
    mut_arg("warmup", |warmup| warmup.hide_short_help(true)),
    mut_arg("ramp", |ramp| ramp.hide_short_help(true)),
    mut_arg("messages", |messages| messages.hide_short_help(true)),
)]
pub(crate) struct CompareArguments {
    /// Its name, and the command that starts it
    ///
    /// The others are compared with the first one.
    #[arg(long = "server", value_name = "NAME=COMMAND", required = true, help_heading = SERVERS)]
    pub(crate) servers: Vec<String>,
    /// How often each is measured
    ///
    /// Fewer than 4 rounds call no winner.
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = units::positive_count::<usize>, help_heading = SERVERS)]
    pub(crate) rounds: usize,
    /// tcp, udp, unix or unixgram
    #[arg(long, value_name = "NAME", default_value = "tcp", value_parser = word::<Transport>, help_heading = SERVERS)]
    pub(crate) transport: Transport,
    /// How long a server may take until it answers
    ///
    /// The same time is allowed for each thousand of the idle or silent connections.
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = units::positive_duration, help_heading = SERVERS, hide_short_help = true)]
    pub(crate) start_timeout: Duration,
    /// Connections with which the memory of an idle one is measured; 0 does not measure it
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = units::count::<usize>, help_heading = SERVERS, hide_short_help = true)]
    pub(crate) idle_connections: usize,
    /// Connections that are open and silent while load runs, beside its own
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = units::count::<usize>, help_heading = SERVERS, hide_short_help = true)]
    pub(crate) silent_connections: usize,
    // The full path of `Vec` keeps clap from taking it for a flag with several values.
    /// The processors of servers, as 0, 0,2 or 0-3
    ///
    /// By default they run on one processor, where there are two.
    #[arg(long, value_name = "LIST", value_parser = pinning::parse_list, help_heading = PROCESSORS)]
    pub(crate) server_cpus: Option<std::vec::Vec<usize>>,
    /// The processors of this program
    ///
    /// By default it runs on another one than the servers.
    #[arg(long, value_name = "LIST", value_parser = pinning::parse_list, help_heading = PROCESSORS)]
    pub(crate) generator_cpus: Option<std::vec::Vec<usize>>,
    /// Write the figures as JSON; - is standard output
    ///
    /// Nothing else is written to standard output then.
    #[arg(long, value_name = "FILE|-", help_heading = OUTPUT)]
    pub(crate) json: Option<PathBuf>,
    /// Write a page with pictures, in one file
    #[arg(long, value_name = "FILE", help_heading = OUTPUT)]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) load: LoadArguments,
}

impl CompareArguments {
    /// Where the report goes.
    pub(crate) fn output(&self) -> OutputArguments {
        OutputArguments { json: self.json.clone(), csv: None, html: self.html.clone() }
    }
}
