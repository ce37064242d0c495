//! `cooee load` before servers that are right, wrong, slow, or gone.
#![cfg(feature = "cli")]

#[path = "../support/mod.rs"]
mod support;

mod load_broken_connections;
mod load_busy_poll;
mod load_closed_loop;
mod load_connections;
mod load_datagrams;
mod load_dead_port;
mod load_ended_connections;
mod load_hostile;
mod load_messages;
mod load_objective;
mod load_output;
mod load_own_limits;
mod load_rate_limit;
mod load_scale;
mod load_schedule;
mod load_servers;
mod load_split_replies;
mod load_surplus;
mod load_wrong_replies;
