//! A listening socket of the simulated machine.

use std::collections::VecDeque;

use cooee::os::key::Key;

use super::link::Role;

/// The queue of established connections that nobody has accepted yet.
#[derive(Debug)]
pub struct Backlog {
    pub role: Role,
    pub is_tcp: bool,
    pub key: Option<Key>,
    pub queue: VecDeque<usize>,
    pub capacity: usize,
    /// Newcomers that found the queue full and try again.
    pub outside: VecDeque<usize>,
    /// When an accept failed last: for the retry deadline.
    pub failed_at: Option<u64>,
    pub is_closed: bool,
}

impl Backlog {
    /// An empty one.
    pub fn new(role: Role, is_tcp: bool, capacity: usize) -> Backlog {
        Backlog {
            role,
            is_tcp,
            key: None,
            queue: VecDeque::new(),
            capacity,
            outside: VecDeque::new(),
            failed_at: None,
            is_closed: false,
        }
    }
}
