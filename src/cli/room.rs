//! How many connections there can be at once: what descriptors and ports allow is known before the first one is opened.
//!
//! It is an upper bound: whether ports and descriptors are free shows only when they are asked for.

use std::collections::BTreeSet;
use std::fs;

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::cli::cli_error::CliError;
use crate::measure::load::options::Options;
use crate::os::address::Address;

/// Descriptors reserved for what is no connection: the standard streams, the selector, the signals, and newcomers that
/// are refused.
const RESERVE: usize = 64;

/// The same for a client: the standard streams, the selector, its timer, the signals, the run's pipes (13 in all with
/// load), files of `/proc`, and `compare`'s server.
const RESERVE_OF_CLIENTS: usize = 24;

/// Listening sockets that fit into the reserve; each further one takes the place of a connection.
const LISTENING_IN_RESERVE: usize = 16;

/// The limit that is assumed if the system sets none.
const UNLIMITED: u64 = 1_000_000;

/// The range of ports that the kernel gives to clients, for IPv6 too (the kernel's `ip-sysctl.rst`). Each network
/// namespace has its own.
const PORT_RANGE: &str = "/proc/sys/net/ipv4/ip_local_port_range";

/// The connection limit: `wanted`, or as many as the descriptor limit allows beside so many `listening` sockets.
pub(crate) fn connection_limit(wanted: Option<usize>, listening: usize) -> Result<usize, CliError> {
    let descriptors = raise_limit();
    let possible = descriptors.saturating_sub(RESERVE + listening.saturating_sub(LISTENING_IN_RESERVE));
    match wanted {
        Some(wanted) if wanted > possible => Err(CliError::Usage(format!(
            "--max-connections {wanted} does not fit: the limit of {descriptors} descriptors allows {possible} \
             (raise it with 'ulimit -n')"
        ))),
        Some(wanted) => Ok(wanted),
        None if possible == 0 => Err(CliError::Runtime(format!(
            "the limit of {descriptors} descriptors leaves no room for connections (raise it with 'ulimit -n')"
        ))),
        None => Ok(possible),
    }
}

/// Refuses `wanted` connections if load with these options cannot open them at once; `flag` asked for them.
pub(crate) fn check(flag: &str, wanted: usize, options: &Options) -> Result<(), CliError> {
    let refuse =
        |what: String, do_what: &str| Err(CliError::Usage(format!("{flag} {wanted} does not fit: {what} ({do_what})")));
    let descriptors = raise_limit();
    let possible = descriptors.saturating_sub(RESERVE_OF_CLIENTS);
    if wanted > possible {
        let what = format!("the limit of {descriptors} descriptors allows {possible}");
        return refuse(what, "raise it with 'ulimit -n'");
    }
    let Some(ports) = ports().filter(|_| options.addresses.iter().all(|address| matches!(address, Address::Ip(_))))
    else {
        return Ok(());
    };
    let possible = ports.saturating_mul(sources(options));
    if wanted > possible {
        let word = if ports == 1 { "port" } else { "ports" };
        let what = format!(
            "a local address has {ports} {word} towards a server (ip_local_port_range), which allows {possible}"
        );
        return refuse(what, "connect from more addresses with --source ADDR,...");
    }
    Ok(())
}

/// Raises the soft limit to the hard one and tells what it is then.
fn raise_limit() -> usize {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else { return 1024 };
    let limit = match setrlimit(Resource::RLIMIT_NOFILE, hard, hard) {
        Ok(()) => hard,
        Err(_) => soft,
    };
    limit.min(UNLIMITED) as usize
}

/// How many local addresses connections use: the given ones of the server's family. That is not known yet if the server
/// has addresses of both.
fn sources(options: &Options) -> usize {
    let of_family = |address: &Address| {
        let sources: BTreeSet<_> = options.sources.iter().filter(|source| address.is_of_family(source)).collect();
        sources.len()
    };
    options.addresses.iter().map(of_family).max().unwrap_or(0).max(1)
}

/// How many ports the kernel gives to clients; `None` if it does not say.
fn ports() -> Option<usize> {
    count(&fs::read_to_string(PORT_RANGE).ok()?)
}

/// How many ports a range has, as the kernel writes it: the first and the last.
fn count(range: &str) -> Option<usize> {
    let mut ends = range.split_whitespace().map(str::parse::<usize>);
    let (first, last) = (ends.next()?.ok()?, ends.next()?.ok()?);
    last.checked_sub(first).map(|between| between + 1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::zone;

    #[test]
    fn a_range_is_counted_with_both_of_its_ends() {
        assert_eq!((count("32768\t60999\n"), count("40000 40000")), (Some(28_232), Some(1)));
        assert_eq!((count(""), count("2 1"), count("1 a")), (None, None, None));
    }

    #[test]
    fn only_sources_of_the_servers_family_have_ports_for_it() {
        let with = |addresses: &[&str], given: &[&str]| {
            let addresses = addresses.iter().map(|address| Address::Ip(address.parse().unwrap())).collect();
            let given = given.iter().map(|source| zone::ip(source).unwrap()).collect();
            sources(&Options { sources: given, ..Options::new(addresses) })
        };
        assert_eq!(with(&["127.0.0.1:1"], &[]), 1);
        assert_eq!(with(&["127.0.0.1:1"], &["127.0.0.2", "::1", "127.0.0.3", "127.0.0.2"]), 2);
        assert_eq!(with(&["[::1]:1", "127.0.0.1:1"], &["127.0.0.2", "127.0.0.3"]), 2);
    }
}
