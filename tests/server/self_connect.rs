//! Goal: a client that the kernel connects to itself says that nobody listens, instead of taking its own bytes for
//! replies.
//!
//! Method: it is certain only where the one ephemeral port is the dead one. So the client runs in a network namespace
//! of its own, with a range of one port, and connects to that. Needs root and `unshare`.
#![cfg(feature = "cli")]

use std::process::Command;

use crate::support::{run, skip};

const PORT: u16 = 40_000;

#[test]
fn a_connection_that_meets_itself_is_refused() {
    let script = format!(
        "ip link set lo up && echo {PORT} {PORT} > /proc/sys/net/ipv4/ip_local_port_range && echo ready && \
         exec {} send 127.0.0.1:{PORT} -m hello",
        env!("CARGO_BIN_EXE_cooee")
    );
    let ran = run(Command::new("unshare").args(["--net", "sh", "-c", &script]), b"");
    let Some(printed) = ran.printed().strip_prefix("ready\n") else {
        return skip("a network namespace cannot be made here");
    };
    assert_eq!(printed, "", "it took its own bytes for a reply");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("refused: nobody listens there"), "{ran:?}");
    assert!(ran.stderr.contains("met itself"), "{ran:?}");
}
