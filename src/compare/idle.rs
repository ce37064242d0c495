//! How much memory an idle connection costs a server.

use std::time::Instant;

use socket2::Socket;

use crate::address::Address;
use crate::compare::group::Group;
use crate::compare::question::{Question, Refusal};
use crate::processes::usage;

/// The server's memory before and after `count` connections that each ask `question` once and then stay silent, by their number: bytes a
/// connection. The server has answered before, so what it needs for the first message is there already.
///
/// The refusal of a connection is the error, with its number.
pub fn memory_per_connection(
    group: Group,
    address: &Address,
    question: &Question,
    count: usize,
    deadline: Instant,
    goes_on: &mut dyn FnMut() -> bool,
) -> Result<f64, Refusal> {
    let untold = || Refusal::NotYet("the kernel does not tell the memory of its processes".to_owned());
    let before = usage::memory(&group.members()).ok_or_else(untold)?;
    let mut connections: Vec<Socket> = Vec::new();
    for number in 1..=count {
        let connection = question.ask(address, deadline, goes_on).map_err(|refusal| match refusal {
            Refusal::NotYet(reason) => Refusal::NotYet(format!("connection {number} of {count}: {reason}")),
            other => other,
        })?;
        connections.push(connection);
    }
    let after = usage::memory(&group.members()).ok_or_else(untold)?;
    Ok((after as f64 - before as f64) / count.max(1) as f64)
}
