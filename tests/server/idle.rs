//! Goal: a connection that says nothing costs no CPU time, and the server keeps little memory for it.
//!
//! Method: as many connections as the descriptor limit allows, each of which has been answered once. The server's
//! memory before and after them, without the kernel's: that is the measuring of `cooee compare`. Then nobody says
//! anything, and its CPU time is read in nanoseconds. At the end each of them is answered again.

use std::thread;
use std::time::Duration;

use crate::support::{Client, Server, attempt, in_full, measured};
use cooee::measure::processes::process_id::ProcessId;
use cooee::measure::processes::usage::{CpuReading, memory};
use procfs::process::Process;

fn answered(server: &Server) -> Client {
    let mut client = server.connect();
    client.echo(b"hello");
    client
}

#[test]
fn idle_connections_cost_next_to_nothing() {
    measured("10", &attempt(stay_idle));
}

fn stay_idle() -> Result<String, String> {
    let (connections, seconds) = in_full((1_000, 1), (19_000, 60));
    let server = Server::start(&[]);
    let process = Process::new(server.id() as i32).and_then(|process| process.stat()).expect("the server lives");
    let server_process = [ProcessId::of(&process)];
    // What the first few make it take, no later one does.
    drop((0..100).map(|_| answered(&server)).collect::<Vec<_>>());
    server.wait_summary("the first have gone", |summary| summary.get("active") == 0);
    let before = memory(&server_process).expect("the kernel tells");
    let mut clients: Vec<Client> = (0..connections).map(|_| answered(&server)).collect();
    let after = memory(&server_process).expect("the kernel tells");

    let reading = CpuReading::of(&server_process);
    thread::sleep(Duration::from_secs(seconds));
    let used = CpuReading::of(&server_process).since(&reading);
    assert_eq!(server.summary().get("active"), connections as u64, "nobody was closed meanwhile");
    clients.iter_mut().for_each(|client| client.echo(b"still here"));

    let (percent, each) = (used.share() * 100.0, after.saturating_sub(before) as f64 / connections as f64);
    let found = format!(
        "{connections} connections: {percent:.3} % of a core in {seconds} s (<= 0.1), {each:.0} B of user memory each (<= 128)"
    );
    // Pages, and lists that grow, weigh on few connections.
    let (percent_most, each_most) = in_full((1.0, 512.0), (0.1, 128.0));
    if percent <= percent_most && each <= each_most { Ok(found) } else { Err(found) }
}
