//! An endpoint to serve: checked, but not bound yet.

use std::net::SocketAddr;

use crate::cli::cli_error::CliError;
use crate::cli::endpoint::{Endpoint, Location, Transport};
use crate::cli::host;
use crate::cli::settings::Settings;
use crate::os::unix_name::UnixName;
use crate::protocol::framing::Framing;
use crate::reactor::limits::Limits;
use crate::reactor::room::Room;

/// Bytes that an incomplete message takes beside its own: its length header, and the buffer's overhead.
const AROUND_A_MESSAGE: usize = 1024;

/// One endpoint as it was asked for.
pub(super) struct EndpointPlan {
    pub(super) text: String,
    pub(super) transports: Vec<Transport>,
    pub(super) location: Location,
    /// The addresses of its host, once they are looked up.
    pub(super) addresses: Vec<SocketAddr>,
    /// The transports whose `[::]` leaves IPv4 to another endpoint.
    pub(super) only_v6: Vec<Transport>,
    pub(super) settings: Settings,
}

impl EndpointPlan {
    /// Checks one endpoint with its settings.
    pub(super) fn parse(text: &str, defaults: &Settings) -> Result<EndpointPlan, CliError> {
        let wrong = |reason: String| wrong(text, &reason);
        let endpoint = Endpoint::parse(text).map_err(wrong)?;
        let mut plan = EndpointPlan {
            text: text.to_owned(),
            transports: endpoint.transport.map_or_else(|| vec![Transport::Tcp, Transport::Udp], |one| vec![one]),
            location: endpoint.location,
            addresses: Vec::new(),
            only_v6: Vec::new(),
            settings: defaults.clone(),
        };
        for (key, value) in &endpoint.settings {
            plan.settings.set(key, value).map_err(wrong)?;
            if key.starts_with("file-") && !plan.has_file() {
                let reason = "is for the file of a Unix socket, and this endpoint has none: unix:///PATH";
                return Err(wrong(format!("{key} {reason}")));
            }
        }
        // The name needs the port, which is not known yet; everything else is checked now.
        plan.settings.service(String::new()).map_err(wrong)?;
        Ok(plan)
    }

    /// Whether it has a file: the settings of files are for these endpoints.
    pub(super) fn has_file(&self) -> bool {
        matches!(self.location, Location::Unix(UnixName::Path(_)))
    }

    /// Checks that the longest message of an endpoint fits into the queues, even for a single client.
    pub(super) fn fits(&self, limits: &Limits) -> Result<(), CliError> {
        let frames = self.transports.iter().any(|transport| matches!(transport, Transport::Tcp | Transport::Unix));
        if !frames || self.settings.framing == Framing::Chunk {
            return Ok(());
        }
        let (longest, queue) = (self.settings.max_frame, limits.queue_limit);
        let room = Room::for_one_message(queue);
        if longest.saturating_add(AROUND_A_MESSAGE) <= room {
            return Ok(());
        }
        let needed = longest.saturating_add(AROUND_A_MESSAGE).saturating_mul(4);
        Err(self.wrong(&format!(
            "--max-frame {longest} does not fit: unfinished messages may hold a quarter of the queue limit of {queue} bytes, which is \
             {room}, and {AROUND_A_MESSAGE} of that stand around each; set --queue-limit to at least {needed}, or --max-frame to at most {}",
            room.saturating_sub(AROUND_A_MESSAGE),
        )))
    }

    /// Looks up the host of an endpoint. That may block, so it is done before the loop starts.
    pub(super) fn look_up(&mut self) -> Result<(), CliError> {
        if let Location::Host(host, port) = &self.location {
            self.addresses = host::addresses(host, *port).map_err(|failure| match failure {
                CliError::Usage(reason) => self.wrong(&reason),
                CliError::Runtime(reason) => self.failed(&reason),
            })?;
        }
        Ok(())
    }

    /// The endpoint makes no sense.
    pub(super) fn wrong(&self, reason: &str) -> CliError {
        wrong(&self.text, reason)
    }

    /// The endpoint cannot be served. One that is an address names itself once.
    pub(super) fn failed(&self, reason: &str) -> CliError {
        let reason = reason.strip_prefix(&format!("{}: ", self.text)).unwrap_or(reason);
        CliError::Runtime(format!("cannot listen on '{}': {reason}", self.text.escape_debug()))
    }
}

fn wrong(text: &str, reason: &str) -> CliError {
    CliError::Usage(format!("endpoint '{}': {reason}", text.escape_debug()))
}
