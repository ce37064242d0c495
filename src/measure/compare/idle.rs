//! Connections that have asked once and then stay silent: what they cost a server in memory, or beside others that are
//! busy.

use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::time::Instant;

use socket2::Socket;

use crate::measure::compare::group::Group;
use crate::measure::compare::question::{Question, Refusal};
use crate::measure::processes::usage;
use crate::os::address::Address;

/// Connections that each have asked once, were answered, and stay open and silent until this is dropped.
#[derive(Debug)]
pub struct IdleConnections(Vec<Socket>);

impl IdleConnections {
    /// Opens so many to `address`, one after the other, until `deadline`, as long as `goes_on` says so; each asks
    /// `question` once.
    ///
    /// The refusal of a connection is the error, with its number.
    pub fn open(
        count: usize,
        address: &Address,
        question: &Question,
        deadline: Instant,
        goes_on: &mut dyn FnMut() -> bool,
    ) -> Result<IdleConnections, Refusal> {
        let mut connections: Vec<Socket> = Vec::new();
        for number in 1..=count {
            let connection = question.ask(address, deadline, goes_on).map_err(|refusal| match refusal {
                Refusal::NotYet(reason) => Refusal::NotYet(format!("connection {number} of {count}: {reason}")),
                other => other,
            })?;
            connections.push(connection);
        }
        Ok(IdleConnections(connections))
    }

    /// How many the server has ended, or has said something more to, since they were opened.
    pub fn lost(&self) -> usize {
        let is_lost = |connection: &&Socket| {
            let peeked = connection.peek(&mut [MaybeUninit::uninit()]);
            !matches!(peeked, Err(error) if error.kind() == ErrorKind::WouldBlock)
        };
        self.0.iter().filter(is_lost).count()
    }
}

/// The server's memory before and after `count` connections that each ask `question` once and then stay silent, by
/// their number: bytes a connection. The server has answered before, so what it needs for the first message is there
/// already.
pub fn memory_per_connection(
    group: &Group,
    address: &Address,
    question: &Question,
    count: usize,
    deadline: Instant,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<f64, Refusal> {
    let untold = || Refusal::NotYet("the kernel does not tell the memory of its processes".to_owned());
    let before = usage::memory(&group.members()).ok_or_else(untold)?;
    let _connections = IdleConnections::open(count, address, question, deadline, goes_on)?;
    let after = usage::memory(&group.members()).ok_or_else(untold)?;
    Ok((after as f64 - before as f64) / count.max(1) as f64)
}
