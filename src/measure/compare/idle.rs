//! Connections that have asked once and then stay silent: what they cost a server in memory, or beside others that are
//! busy.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::time::Instant;

use socket2::Socket;

use crate::measure::compare::probe::{Probe, Refusal};
use crate::os::address::Address;

/// Connections that each have asked once, were answered, and stay open and silent until this is dropped.
#[derive(Debug)]
pub(crate) struct IdleConnections(Vec<Socket>);

impl IdleConnections {
    /// Opens `count` connections to `address`, one after the other, until `deadline`, as long as `goes_on` says so;
    /// each sends the `probe` once.
    ///
    /// The refusal of a connection is the error, with its number.
    pub(crate) fn open(
        count: usize,
        address: &Address,
        probe: &Probe,
        deadline: Instant,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<IdleConnections, Refusal> {
        let mut connections: Vec<Socket> = Vec::new();
        for number in 1..=count {
            let number = || format!("connection {number} of {count}");
            let connection = probe.ask(address, deadline, goes_on).map_err(|refusal| refusal.of(number))?;
            connections.push(connection);
        }
        Ok(IdleConnections(connections))
    }

    /// How many the server has ended, or has said something more to, since they were opened.
    pub(crate) fn lost(&self) -> usize {
        let is_lost = |connection: &&Socket| {
            let peeked = connection.peek(&mut [MaybeUninit::uninit()]);
            !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
        };
        self.0.iter().filter(is_lost).count()
    }
}
