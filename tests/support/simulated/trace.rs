//! What happened in a simulation: always as a hash, so that two runs can be compared, and in words where somebody
//! reads.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::io::{self, Write};

use cooee::os::key::Key;
use cooee::os::readiness::Readiness;
use cooee::reactor::close_reason::CloseReason;

use super::link::Role;

/// One thing that happened.
#[derive(Clone, Copy, Debug, Hash)]
pub enum Happening {
    /// The poll returned.
    Woke {
        now: u64,
        events: usize,
    },
    Event(Key, Readiness),
    StaleEvent(Key),
    /// A peer began to connect.
    Newcomer {
        link: usize,
        role: Role,
    },
    PeerSent {
        link: usize,
        count: usize,
    },
    PeerGot {
        link: usize,
        count: usize,
    },
    PeerEnded {
        link: usize,
    },
    PeerReset {
        link: usize,
    },
    PeerVanished {
        link: usize,
    },
    FileLimit(usize),
    /// What the reactor did.
    Accepted {
        backlog: usize,
        link: usize,
    },
    AcceptFailed {
        backlog: usize,
        errno: i32,
    },
    Registered(Key, usize),
    Connecting {
        link: usize,
    },
    Read {
        link: usize,
        count: usize,
    },
    ReadFailed {
        link: usize,
        kind: io::ErrorKind,
    },
    Written {
        link: usize,
        count: usize,
    },
    WriteFailed {
        link: usize,
        kind: io::ErrorKind,
    },
    Abandoned {
        link: usize,
    },
    Shut {
        link: usize,
    },
    Dropped {
        link: usize,
    },
    LetterReceived {
        mailbox: usize,
        length: usize,
    },
    LetterSent {
        mailbox: usize,
        length: usize,
    },
    /// What the handler did.
    Opened {
        link: usize,
    },
    Refused {
        link: usize,
    },
    Paused {
        link: usize,
    },
    Ticked {
        link: usize,
    },
    Finished {
        link: usize,
    },
    Closed {
        link: usize,
        reason: CloseReason,
    },
    /// The phases of a simulation.
    Calm,
    Drain,
    Abort,
}

/// The record.
#[derive(Default)]
pub struct Trace {
    hasher: DefaultHasher,
    is_told: bool,
}

impl Trace {
    /// A trace that is written to standard error as it happens, or only hashed.
    pub fn new(is_told: bool) -> Trace {
        Trace { is_told, ..Trace::default() }
    }

    /// Adds what happened.
    pub fn note(&mut self, happening: Happening) {
        happening.hash(&mut self.hasher);
        if self.is_told {
            // Not `eprintln!`, which the test harness keeps to itself unless the test fails.
            let _ = writeln!(io::stderr(), "{happening:?}");
        }
    }

    /// The hash of all that happened so far.
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }
}
