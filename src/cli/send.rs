//! `cooee send`: connects the standard streams with a server.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use crate::apps::candidates::Candidates;
use crate::apps::client::options::SendOptions;
use crate::apps::client::outcome::SendOutcome;
use crate::apps::client::{Client, ClientSession};
use crate::cli::arguments::SendArguments;
use crate::cli::cli_error::CliError;
use crate::cli::target::Target;
use crate::os::standard_stream::{StandardInput, StandardOutput};
use crate::os::stream::Socket;
use crate::protocol::bye::{BYE, Bye};
use crate::protocol::charset::Charset;
use crate::protocol::framing::{Framing, Rules};
use crate::reactor::Reactor;
use crate::reactor::limits::Limits;

/// How long to wait for replies after the last message: a stream shows its end, a datagram may be lost.
const WAIT: Duration = Duration::from_secs(5);
const DATAGRAM_WAIT: Duration = Duration::from_secs(1);

/// Standard output is closed: the exit code of a program that SIGPIPE ends, 128 + 13, without a message.
const OUTPUT_CLOSED: u8 = 141;

/// Sends until the input, the server or `bye` ends it.
pub(crate) fn run(arguments: &SendArguments) -> Result<ExitCode, CliError> {
    let text = arguments.endpoint.escape_debug();
    let failed = |reason: &dyn std::fmt::Display| CliError::Runtime(format!("{text}: {reason}"));

    let charset = Charset::for_label(&arguments.encoding)
        .map_err(|reason| CliError::Usage(format!("--encoding {}: {reason}", arguments.encoding.escape_debug())))?;
    for message in &arguments.messages {
        charset
            .encode(message)
            .map_err(|character| CliError::Usage(format!("--message: {}", SendOutcome::Unencodable(character))))?;
    }

    let is_last = |message: &String| message.as_bytes() == BYE && arguments.bye != Bye::Ignore;
    if let Some(bye) = arguments.messages.iter().position(is_last)
        && bye + 1 < arguments.messages.len()
    {
        return Err(CliError::Usage(
            "--message: messages after bye would never be sent (--bye ignore sends them)".to_owned(),
        ));
    }

    let target = Target::find(&arguments.endpoint)?;
    let is_datagram = target.is_datagram();
    let are_told_apart = is_datagram || (arguments.framing != Framing::Chunk && !arguments.raw);
    if arguments.replies.are_counted() && !are_told_apart {
        return Err(CliError::Usage(format!(
            "--replies {}: without a framing nobody can tell replies apart: use --framing line or len32, or datagrams",
            arguments.replies
        )));
    }
    let has_no_bytes = |message: &String| message.is_empty() && arguments.framing == Framing::Chunk && !is_datagram;
    if arguments.messages.iter().any(has_no_bytes) {
        return Err(CliError::Usage(
            "--message: an empty message has no bytes in chunk framing (--framing line or len32 gives it some)"
                .to_owned(),
        ));
    }
    let wait = arguments.wait.unwrap_or(if is_datagram { DATAGRAM_WAIT } else { WAIT });
    let reads_input = arguments.messages.is_empty();
    let options = SendOptions {
        candidates: Candidates::new(target.addresses),
        datagrams: is_datagram,
        connect_timeout: arguments.connect_timeout,
        messages: Some(arguments.messages.clone()).filter(|_| !reads_input),
        raw: arguments.raw,
        rules: Rules { framing: arguments.framing, max_frame: arguments.max_frame, charset },
        bye: arguments.bye,
        replies: arguments.replies,
        wait,
        pace: arguments.pace,
        escape: io::stdout().is_terminal(),
        prompt: reads_input && !arguments.raw && io::stdin().is_terminal(),
    };

    let limits = Limits {
        idle_timeout: None,
        connect_timeout: arguments.connect_timeout,
        // The client bounds every wait itself.
        half_closed_timeout: Duration::MAX,
        ..Limits::default()
    };
    let cannot_start = |error: io::Error| CliError::system("cannot start the event loop", &error);
    let mut reactor = Reactor::new(limits).map_err(cannot_start)?;
    let mut client = Client::new(options);
    let output = reactor.attach(Socket::Output(StandardOutput::open()), ClientSession::Output).map_err(cannot_start)?;
    let input = reads_input.then(|| reactor.attach(Socket::Input(StandardInput::open()), ClientSession::Input));
    client.start(input.transpose().map_err(cannot_start)?, output, reactor.orders());
    reactor.run(&mut client).map_err(|error| CliError::system("the event loop cannot go on", &error))?;
    let dropped = format!("{} replies were dropped: standard output did not take them in time", client.dropped());
    if client.dropped() > 0 && client.outcome() != SendOutcome::Done {
        log::warn!("{dropped}");
    }
    if client.sent_in_vain() > 0 && client.outcome() == SendOutcome::Done {
        let last = match client.sent_in_vain() {
            _ if arguments.raw => "all".to_owned(),
            1 => "the last message".to_owned(),
            several => format!("the last {several} messages"),
        };
        log::warn!("{text}: the server had ended its side before it was sent {last}");
    }
    match client.outcome() {
        SendOutcome::Done if client.dropped() > 0 => Err(failed(&dropped)),
        SendOutcome::Done => Ok(ExitCode::SUCCESS),
        SendOutcome::OutputClosed => Ok(ExitCode::from(OUTPUT_CLOSED)),
        outcome => Err(failed(&outcome)),
    }
}
