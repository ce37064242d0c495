//! `cooee serve` as its clients and its operator meet it: a process, over real sockets.
#![cfg(feature = "cli")]

#[path = "../support/mod.rs"]
mod support;

mod ack_text;
mod answer_loops;
mod bad_network;
#[cfg(target_os = "linux")]
mod connect_burst;
mod descriptor_limit;
#[cfg(target_os = "linux")]
mod drain_under_load;
mod failing_calls;
mod framing_limits;
mod half_close;
#[cfg(target_os = "linux")]
mod idle;
mod ipv6;
mod limits;
#[cfg(target_os = "linux")]
mod memory_limits;
mod names;
mod nine_notes;
#[cfg(target_os = "linux")]
mod orphans;
#[cfg(target_os = "linux")]
mod passed_descriptors;
mod queue_room;
mod reset;
mod second_instance;
mod self_connect;
mod signals;
#[cfg(target_os = "linux")]
mod signals_of_limits;
mod slow_progress;
#[cfg(target_os = "linux")]
mod slowloris;
mod socket_options;
mod stopped_process;
mod tcp_echo;
mod tutorial;
mod udp;
mod udp_bursts;
mod udp_loops;
mod udp_refusals;
mod unix_sockets;
mod wall_clock;
