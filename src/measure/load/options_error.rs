//! What does not fit together in the options of a run, by the names of their fields.

use std::error::Error;
use std::fmt;
use std::net::IpAddr;

use crate::measure::load::options::Options;
use crate::protocol::framing::chunk;

/// What does not fit together in [`Options`]. It is told as `field value: reason`, or as `field: reason`.
#[derive(Clone, Debug, PartialEq)]
pub enum OptionsError {
    /// The server has no address.
    NoAddress,
    /// There are more than [`Options::CONNECTIONS_MAX`] connections.
    TooManyConnections(usize),
    /// With a pipeline of this length, more than [`Options::IN_FLIGHT_MAX`] messages are in flight on all connections.
    TooManyInFlight(usize),
    /// A message of this length is longer than [`Options::LENGTH_MAX`].
    TooLong(usize),
    /// More than [`Options::LENGTH_MAX`] bytes are in flight on one connection.
    TooManyBytesInFlight {
        /// Messages in flight on one connection.
        pipeline: usize,
        /// The length of each.
        length: usize,
    },
    /// With churn, more messages are due than connections are opened.
    ConnectRateTooLow(f64),
    /// Datagrams have no connections to open.
    ChurnOfDatagrams,
    /// Two acknowledgements may come as one.
    AcksMayJoin,
    /// Nobody knows where a reply ends.
    NoReplyEnd,
    /// A message of this length is acknowledged in pieces.
    AckInPieces(usize),
    /// An empty text is nothing on a stream of chunks.
    EmptyText,
    /// A line cannot hold a line break.
    LineBreak,
    /// A source of another family than the server's addresses.
    SourceFamily(IpAddr),
}

impl fmt::Display for OptionsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            OptionsError::NoAddress => write!(f, "addresses: there is none"),
            OptionsError::TooManyConnections(connections) => {
                write!(f, "connections {connections}: it can be at most {}", Options::CONNECTIONS_MAX)
            }
            OptionsError::TooManyInFlight(pipeline) => {
                let max = Options::IN_FLIGHT_MAX;
                write!(f, "pipeline {pipeline}: at most {max} messages can be in flight on all connections")
            }
            OptionsError::TooLong(length) => write!(f, "body {length}: it can be at most {}", Options::LENGTH_MAX),
            OptionsError::TooManyBytesInFlight { pipeline, length } => write!(
                f,
                "pipeline {pipeline}: messages of {length} bytes in flight on one connection can be at most {} bytes together",
                Options::LENGTH_MAX
            ),
            OptionsError::ConnectRateTooLow(rate) => {
                write!(f, "connect_rate {rate}: with churn each message opens a connection, and more are due")
            }
            OptionsError::ChurnOfDatagrams => write!(f, "churn: datagrams have no connections to open"),
            OptionsError::AcksMayJoin => write!(
                f,
                "pipeline: with chunk framing the server may acknowledge two messages as one, so replies cannot be \
                 checked with more than one in flight"
            ),
            OptionsError::NoReplyEnd => write!(
                f,
                "pipeline: with chunk framing nobody knows where a reply ends if nothing is checked, so only one \
                 message can be in flight"
            ),
            OptionsError::AckInPieces(length) => write!(
                f,
                "body {length}: with chunk framing a message of more than {} bytes is acknowledged in pieces that \
                 cannot be known",
                chunk::MAX
            ),
            OptionsError::EmptyText => write!(f, "body: an empty message is nothing on a stream"),
            OptionsError::LineBreak => write!(f, "body: in line framing it cannot hold a line break"),
            OptionsError::SourceFamily(source) => {
                write!(f, "sources {source}: it is of another family than the server's address")
            }
        }
    }
}

impl Error for OptionsError {}
