//! The other commands, and all that a command prints, logs and exits with.
#![cfg(feature = "cli")]

#[path = "../support/browser.rs"]
mod browser;
#[path = "../support/runs.rs"]
mod runs;
#[path = "../support/mod.rs"]
mod support;

#[cfg(target_os = "linux")]
mod bench_peers;
mod command_line;
mod compare;
mod compare_rounds;
mod docs;
mod log_flood;
mod log_injection;
mod report;
mod report_page;
mod send;
mod send_exit_code;
mod send_prompt;
mod signal_table;
mod standard_streams;
#[cfg(target_os = "linux")]
mod terminal_gone;
