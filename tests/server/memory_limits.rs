//! Goal: a server keeps within the memory that it may have, without being told: thousands of clients that send and
//! never read get it neither killed in its control group nor aborted at its limit of address space, and everybody else
//! is answered.
//!
//! Method: the server alone is moved into a group of this test's own (cgroup v1, memory), or is started below `prlimit
//! --as`, with no limit of its own on the command line. The standard probe runs beside the clients that are stuck. What
//! it logs at the start is compared with what it should have found.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{self, Command};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::{
    PATIENCE, Probe, Server, StuckReaders, attempt, cooee, holds_within, in_full, measured, raise_descriptor_limit,
    skip, try_run,
};

const MIB: usize = 1024 * 1024;

/// A control group of this test's own, below the test's; removed in the end.
struct Group(PathBuf);

impl Group {
    /// One with so much memory; none where this machine has no cgroup v1 for memory, or does not allow it.
    fn with_memory(bytes: usize) -> Option<Group> {
        let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
        let own = groups.lines().find_map(|line| line.split_once(":memory:")).map(|(_, path)| path);
        let Some(own) = own else {
            skip("there is no cgroup v1 for memory");
            return None;
        };
        static GROUPS: AtomicUsize = AtomicUsize::new(0);
        let number = GROUPS.fetch_add(1, Ordering::Relaxed);
        let group =
            Path::new("/sys/fs/cgroup/memory").join(&own[1..]).join(format!("cooee-test-{}-{number}", process::id()));
        let made = fs::create_dir(&group).and_then(|()| {
            let group = Group(group);
            fs::write(group.0.join("memory.limit_in_bytes"), bytes.to_string()).map(|()| group)
        });
        made.inspect_err(|error| skip(&format!("a control group cannot be made: {error}"))).ok()
    }

    /// `command` in this group.
    fn run(&self, command: &Command) -> Command {
        let mut shell = Command::new("sh");
        shell.args(["-c", "echo $$ >\"$0\"/cgroup.procs && exec \"$@\""]).arg(&self.0);
        shell.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
        shell
    }

    fn peak(&self) -> usize {
        fs::read_to_string(self.0.join("memory.max_usage_in_bytes")).unwrap().trim().parse().unwrap()
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What has ended leaves it a moment later.
        if !holds_within(PATIENCE, || fs::remove_dir(&self.0).is_ok()) {
            eprintln!("{} is left behind", self.0.display());
        }
    }
}

/// What stuck readers do to a server with the defaults and `limit` bytes of memory; `peak` tells how many it has had at
/// most.
fn scenario(command: &mut Command, limit: usize, peak: impl Fn(&Server) -> usize) -> Result<String, String> {
    let stuck = in_full(1_000, 5_000);
    let time = in_full(Duration::from_secs(4), Duration::from_secs(20));
    let mut server = Server::start_command(command, 1);
    server.wait_log(&format!("the queue limit is {} MiB", limit / 4 / MIB));
    let probe = Probe::calm(&server.url("tcp"), in_full(Duration::from_secs(1), Duration::from_secs(5)));
    let probing = probe.start(time);
    let readers = StuckReaders::fill(server.address(), stuck);
    // How soon it was answered is for `stuck_readers.rs` to judge; here it has to be answered at all.
    let probed = probing.finish().unwrap_or_else(|missed| missed.to_string());
    assert!(server.is_alive(), "{}", server.log());
    let most = peak(&server);
    drop(readers);
    server.stop();
    let found = format!("{stuck} stuck readers in {} MiB: {} MiB at most, {probed}", limit / MIB, most / MIB);
    if most <= limit { Ok(found) } else { Err(found) }
}

#[test]
fn stuck_readers_get_nobody_killed_in_a_control_group() {
    raise_descriptor_limit();
    let limit = 128 * MIB;
    let Some(group) = Group::with_memory(limit) else { return };
    let mut command = group.run(&cooee(&["serve", "tcp://127.0.0.1:0"]));
    measured("7a", &attempt(|| scenario(&mut command, limit, |_| group.peak())));
}

#[test]
fn the_kernels_buffers_for_a_stuck_reader_are_what_the_page_says() {
    let stuck = in_full(100, 1_000);
    // The page has rounded figures; a segment more or less is no other answer.
    let rows = [
        ("", 200),
        ("?rcvbuf=64KiB", 160),
        ("?rcvbuf=16KiB", 50),
        ("?rcvbuf=8KiB", 32),
        ("?rcvbuf=4KiB&notsent-lowat=4KiB", 24),
    ];
    for (query, most) in rows {
        let Some(group) = Group::with_memory(512 * MIB) else { return };
        // Version 1 counts sockets once they have a limit.
        fs::write(group.0.join("memory.kmem.tcp.limit_in_bytes"), (8usize << 30).to_string()).unwrap();
        raise_descriptor_limit();
        let server = Server::start_command(&mut group.run(&cooee(&["serve", &format!("tcp://127.0.0.1:0{query}")])), 1);
        let _readers = StuckReaders::fill(server.address(), stuck);
        let bytes = |file: &str| fs::read_to_string(group.0.join(file)).unwrap().trim().parse::<usize>().unwrap();
        let (buffers, objects) = (bytes("memory.kmem.tcp.usage_in_bytes"), bytes("memory.kmem.usage_in_bytes"));
        let each = |bytes: usize| (bytes / stuck).div_ceil(1024);
        measured(
            &format!("'{query}'"),
            &format!(
                "{} KiB of buffers and {} KiB of objects for each of {stuck} stuck readers",
                each(buffers),
                each(objects)
            ),
        );
        assert!((1..=most).contains(&each(buffers)), "'{query}': {} KiB each", each(buffers));
    }
}

/// The most address space that a process has had (`VmPeak`, `proc_pid_status(5)`).
fn peak_of_address_space(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmPeak:")).expect("VmPeak");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

#[test]
fn stuck_readers_get_nobody_aborted_at_its_limit_of_address_space() {
    let limit = 120 * MIB;
    let Some(mut command) = below(limit, &["tcp://127.0.0.1:0"]) else { return };
    let peak = |server: &Server| peak_of_address_space(server.id());
    measured("7b", &attempt(|| scenario(&mut command, limit, peak)));
}

/// `cooee serve` with these arguments below a limit of address space; none where this machine has no `prlimit`.
fn below(limit: usize, args: &[&str]) -> Option<Command> {
    if !try_run(Command::new("prlimit").arg("--version")).is_ok_and(|ran| ran.code == Some(0)) {
        skip("there is no prlimit");
        return None;
    }
    raise_descriptor_limit();
    let server = cooee(&[&["serve"], args].concat());
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={limit}")).arg(server.get_program()).args(server.get_args()).env_remove("RUST_LOG");
    Some(command)
}

#[test]
fn unfinished_messages_on_every_connection_do_not_end_it_either() {
    // Two reads of a time in which the queues are full: what each connection may keep beyond the bound.
    const UNFINISHED: usize = 8_000;
    let limit = in_full(40 * MIB, 120 * MIB);
    let Some(mut command) = below(limit, &["--framing=len32", "tcp://127.0.0.1:0"]) else { return };
    let mut server = Server::start_command(&mut command, 1);
    let line = server.wait_log("at most ");
    let most: usize = line.split(' ').skip_while(|word| *word != "most").nth(1).unwrap().parse().unwrap();
    let message = [&60_000u32.to_be_bytes()[..], &[b'x'; UNFINISHED]].concat();
    let mut clients = Vec::new();
    for _ in 0..most + 500 {
        // Who is not served is closed, maybe while it sends; so is whoever keeps too much while the queues are full.
        if let Ok(mut client) = TcpStream::connect_timeout(&server.address(), PATIENCE) {
            let _ = client.write_all(&message);
            clients.push(client);
        }
    }
    let (peak, address) = (peak_of_address_space(server.id()), server.address());
    // Whoever leaves makes room.
    drop(clients);
    server.wait_summary("everybody has left", |summary| summary.get("active") == 0);
    let mut client = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    client.write_all(b"\0\0\0\x02hi").unwrap();
    let mut answer = [0; 6];
    client.read_exact(&mut answer).unwrap();
    assert_eq!(&answer, b"\0\0\0\x02hi");
    assert!(server.is_alive() && peak <= limit, "{peak} of {limit} bytes: {}", server.log());
    let mib = |bytes: usize| bytes / MIB;
    measured("of unfinished messages", &format!("{most} connections: {} MiB of {} at most", mib(peak), mib(limit)));
}

#[test]
fn what_does_not_fit_is_warned_of_and_taken() {
    let wishes = ["--queue-limit=100MiB", "--max-connections=10000", "tcp://127.0.0.1:0"];
    let Some(mut command) = below(120 * MIB, &wishes) else { return };
    let server = Server::start_command(&mut command, 1);
    server.wait_log(
        "WARN  [cooee::cli::memory_limit] --queue-limit 100 MiB is more than half of 120 MiB (limit of address space",
    );
    server.wait_log("--max-connections 10000 is more than the 6144 ");
    server.stop();
    let Some(mut command) = below(120 * MIB, &["--queue-limit=60MiB", "--max-connections=6144", "tcp://127.0.0.1:0"])
    else {
        return;
    };
    let log = Server::start_command(&mut command, 1).stop();
    assert!(!log.contains("memory_limit"), "{log}");
}

#[test]
fn load_that_needs_more_than_there_is_is_warned_of() {
    let server = Server::start(&[]);
    let flags = ["-c50", "--pipeline=16", "-l1MiB", "-n1", "--warmup=0s", "--timeout=1s"];
    let load = cooee(&[&["load"], &flags[..], &[&server.url("tcp")]].concat());
    let mut command = Command::new("prlimit");
    command.arg(format!("--as={}", 1_500 * MIB)).arg(load.get_program()).args(load.get_args()).env_remove("RUST_LOG");
    match try_run(&mut command) {
        Ok(ran) => {
            assert!(ran.stderr.contains("800 messages in flight have 800 MiB, more than half of 1500 MiB"), "{ran:?}")
        }
        Err(_) => skip("there is no prlimit"),
    }
}
