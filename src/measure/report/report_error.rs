//! Why something is no report.

use std::error::Error;
use std::{fmt, io};

use crate::measure::report::VERSION;
use crate::measure::report::json::SIZE_MAX;
use crate::os::reason;

/// Why something is no report. Its words follow the name of a file, and may hold words of the file, so escape them.
#[derive(Debug)]
pub enum ReportError {
    /// It cannot be read.
    Unreadable(io::Error),
    /// It has more bytes than any report.
    TooLarge,
    /// It begins as text in UTF-16 does, and is not.
    NotUtf16,
    /// It is not the JSON of a report.
    Malformed(serde_json::Error),
    /// It does not tell its version.
    NoVersion,
    /// It is of a version that this program does not know.
    OtherVersion(u64),
    /// Its figures cannot be true together, for this reason.
    Untrue(String),
}

impl fmt::Display for ReportError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ReportError::Unreadable(error) => write!(f, "cannot be read: {}", reason::of(error)),
            ReportError::TooLarge => write!(f, "is no report: it has more than {} MiB", SIZE_MAX >> 20),
            ReportError::NotUtf16 => write!(f, "is no report: it begins as UTF-16 does, and is not"),
            ReportError::Malformed(error) => write!(f, "is no report: {error}"),
            ReportError::NoVersion => write!(f, "is no report: it has no version"),
            ReportError::OtherVersion(version) => {
                write!(f, "is a report of version {version}: this program knows version {VERSION}")
            }
            ReportError::Untrue(reason) => write!(f, "is no report that can be true: {reason}"),
        }
    }
}

impl Error for ReportError {}

impl From<serde_json::Error> for ReportError {
    fn from(error: serde_json::Error) -> ReportError {
        ReportError::Malformed(error)
    }
}
