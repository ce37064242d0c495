//! What the kernel tells of processes and sockets: `/proc` (Linux only).

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Memory that a process has in RAM, in bytes (`VmRSS`).
pub fn resident_bytes(process: u32) -> usize {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("the process lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number") * 1024
}

/// CPU time that a process has used (`utime + stime`), in ticks of 10 ms.
pub fn cpu_ticks(process: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).expect("the process lives");
    let fields: Vec<&str> = stat[stat.rfind(')').unwrap() + 2..].split(' ').collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

/// Memory of the kernel that all TCP sockets of the machine have (`/proc/net/sockstat`), in bytes. It counts pages of 4
/// KiB.
pub fn tcp_memory() -> usize {
    let table = fs::read_to_string("/proc/net/sockstat").expect("the table can be read");
    let line = table.lines().find(|line| line.starts_with("TCP:")).expect("a line of TCP");
    let pages = line.rsplit("mem ").next().expect("a figure");
    pages.trim().parse::<usize>().expect("a number") * 4096
}

/// The same to the nanosecond, of a process with one thread (`/proc/PID/schedstat`, the kernel's `sched-stats.rst`).
pub fn cpu_time(process: u32) -> Duration {
    let stat = fs::read_to_string(format!("/proc/{process}/schedstat")).expect("the process lives");
    let first = stat.split(' ').next().expect("a first number");
    Duration::from_nanos(first.parse().expect("nanoseconds"))
}

/// How many descriptors a process has open.
pub fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).expect("the process lives").count()
}

/// The processes that the first thread of a process has started.
pub fn children(process: u32) -> Vec<u32> {
    let list = fs::read_to_string(format!("/proc/{process}/task/{process}/children")).expect("the process lives");
    list.split_whitespace().map(|id| id.parse().expect("a process id")).collect()
}

/// The local ports of a process's sockets that have no peer: `table` is that of one protocol in `/proc/net`, such as
/// `tcp`.
pub fn bound_ports(process: u32, table: &str) -> Vec<u16> {
    let Ok(descriptors) = fs::read_dir(format!("/proc/{process}/fd")) else { return Vec::new() };
    let links = descriptors.flatten().filter_map(|entry| fs::read_link(entry.path()).ok());
    let sockets: Vec<String> =
        links.filter_map(|link| Some(link.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect();
    let table = fs::read_to_string(format!("/proc/net/{table}")).expect("the table can be read");
    let rows = table.lines().skip(1).map(|line| line.split_whitespace().collect::<Vec<_>>());
    let own = rows.filter(|row| row[2].ends_with(":0000") && sockets.iter().any(|inode| inode == row[9]));
    own.map(|row| u16::from_str_radix(row[1].rsplit(':').next().unwrap(), 16).expect("a port")).collect()
}

/// The columns of `/proc/net/tcp` for the IPv4 socket between these two addresses (the kernel's `proc_net_tcp.txt`).
pub fn tcp_row(local: SocketAddr, peer: SocketAddr) -> Vec<String> {
    find_tcp_row(local, peer).expect("the socket is in the table")
}

/// Reads no further than to the row, and takes apart no other: after a while of tests the table has tens of thousands
/// of sockets in TIME-WAIT, and a look has to be short beside them.
fn find_tcp_row(local: SocketAddr, peer: SocketAddr) -> Option<Vec<String>> {
    let (local, peer) = (format!(":{:04X} ", local.port()), format!(":{:04X} ", peer.port()));
    let table = BufReader::with_capacity(1 << 16, File::open("/proc/net/tcp").expect("the table can be opened"));
    let rows = table.lines().map(|line| line.expect("the table can be read"));
    let is_it = |row: &str| row.split_once(&local).is_some_and(|(_, rest)| rest[8..].starts_with(&peer));
    let row = rows.filter(|row| row.contains(&peer)).find(|row| is_it(row))?;
    Some(row.split_whitespace().map(str::to_owned).collect())
}

/// Whether nothing of what was sent over a stream of this machine still waits to be read at its other end, or that end
/// is gone.
pub fn is_read(stream: &TcpStream) -> bool {
    let (Ok(here), Ok(there)) = (stream.local_addr(), stream.peer_addr()) else { return true };
    // The kernel walks the table while others change it, so a look can miss a socket that is there.
    let find = |local, peer| (0..5).find_map(|_| find_tcp_row(local, peer));
    // What is sent and not acknowledged here, and what is received and not read there.
    let queued = |row: Option<Vec<String>>, column: usize| {
        row.map_or(0, |row| u64::from_str_radix(row[4].split(':').nth(column).unwrap(), 16).expect("a number"))
    };
    queued(find(here, there), 0) == 0 && queued(find(there, here), 1) == 0
}
