//! `cooee send`: connects the standard streams with a server.

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use crate::candidates::Candidates;
use crate::cli::arguments::SendArguments;
use crate::cli::failure::Failure;
use crate::cli::target::Target;
use crate::client::outcome::Outcome;
use crate::client::{Client, Options, Session};
use crate::limits::Limits;
use crate::net::standard_stream::{StandardInput, StandardOutput};
use crate::net::stream::Socket;
use crate::protocol::bye::{BYE, Bye};
use crate::protocol::charset::Charset;
use crate::protocol::framing::Rules;
use crate::reactor::Reactor;

/// How long to wait for replies after the last message: a stream tells when it ends, a datagram may be lost.
const WAIT: Duration = Duration::from_secs(5);
const DATAGRAM_WAIT: Duration = Duration::from_secs(1);

/// Sends until the input, the server or `bye` ends it.
pub(crate) fn run(arguments: &SendArguments) -> Result<ExitCode, Failure> {
    let text = arguments.endpoint.escape_debug();
    let failed = |reason: &dyn std::fmt::Display| Failure::Runtime(format!("{text}: {reason}"));

    let charset = Charset::for_label(&arguments.encoding)
        .map_err(|reason| Failure::Usage(format!("--encoding {}: {reason}", arguments.encoding.escape_debug())))?;
    for message in &arguments.messages {
        charset
            .encode(message)
            .map_err(|character| Failure::Usage(format!("--message: {}", Outcome::Unencodable(character))))?;
    }

    let is_last = |message: &String| message.as_bytes() == BYE && arguments.bye != Bye::Ignore;
    if let Some(bye) = arguments.messages.iter().position(is_last)
        && bye + 1 < arguments.messages.len()
    {
        return Err(Failure::Usage(
            "--message: messages after bye would never be sent (--bye ignore sends them)".to_owned(),
        ));
    }

    let target = Target::find(&arguments.endpoint)?;
    let is_datagram = target.is_datagram();
    let wait = arguments.wait.unwrap_or(if is_datagram { DATAGRAM_WAIT } else { WAIT });
    let reads_input = arguments.messages.is_empty();
    let options = Options {
        candidates: Candidates::new(target.addresses),
        datagrams: is_datagram,
        connect_timeout: arguments.connect_timeout,
        messages: Some(arguments.messages.clone()).filter(|_| !reads_input),
        raw: arguments.raw,
        rules: Rules { framing: arguments.framing, max_frame: arguments.max_frame, charset },
        bye: arguments.bye,
        wait,
        escape: io::stdout().is_terminal(),
        prompt: reads_input && !arguments.raw && io::stdin().is_terminal(),
    };

    let limits = Limits {
        idle_timeout: None,
        connect_timeout: arguments.connect_timeout,
        half_closed_timeout: wait,
        ..Limits::default()
    };
    let cannot_start = |error: io::Error| Failure::system("cannot start the event loop", &error);
    let mut reactor = Reactor::new(limits).map_err(cannot_start)?;
    let mut client = Client::new(options);
    let output = reactor.attach(Socket::Output(StandardOutput::open()), Session::Output).map_err(cannot_start)?;
    let input = match reads_input {
        true => Some(reactor.attach(Socket::Input(StandardInput::open()), Session::Input).map_err(cannot_start)?),
        false => None,
    };
    client.attach(input, output);
    client.begin(reactor.orders());
    reactor.run(&mut client).map_err(|error| Failure::system("the event loop cannot go on", &error))?;
    if client.dropped() > 0 {
        log::warn!("{} replies were dropped: standard output did not take them in time", client.dropped());
    }
    match client.outcome() {
        Outcome::Done => Ok(ExitCode::SUCCESS),
        outcome => Err(failed(&outcome)),
    }
}
