//! A cable between two networks of a test's own.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::Stdio;
use std::time::Duration;

use super::{Collected, Network, Process, cooee, python, skip, wait_until};
use super::{PATIENCE, Server};

/// Two networks and a cable between them, which both call `cable`: for each of them, the other lies outside loopback.
pub struct Link {
    pub near: Network,
    pub far: Network,
    relay: Option<Relay>,
}

/// What makes a cable long: a program in a network between the two.
struct Relay {
    process: Process,
    said: Collected,
    _between: Network,
}

/// What a long cable has carried.
#[derive(Clone, Copy, Debug)]
pub struct Carried {
    pub frames: u64,
    /// How many arrived behind one that had left later.
    pub overtaken: u64,
}

/// The addresses of the two ends.
pub const NEAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 1));
pub const FAR: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 77, 0, 2));
pub const NEAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 1));
pub const FAR6: IpAddr = IpAddr::V6(Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 0, 2));

impl Link {
    /// Makes two networks and lays a cable (a pair of `veth` devices). None, with a word about it, where that is not
    /// allowed.
    pub fn start() -> Option<Link> {
        let (near, far) = (Network::empty()?, Network::empty()?);
        lay(&near, "cable", &far, "cable")?;
        let link = Link { near, far, relay: None };
        link.connect();
        Some(link)
    }

    /// The same with a long cable: a frame needs `delay` to the other end, and up to `jitter` more, so that some
    /// overtake others.
    pub fn long(delay: Duration, jitter: Duration) -> Option<Link> {
        let (near, between, far) = (Network::empty()?, Network::empty()?, Network::empty()?);
        lay(&near, "cable", &between, "left")?;
        lay(&far, "cable", &between, "right")?;
        // It is a piece of the cable, and has nothing to say itself.
        between.sh("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6; ip link set left up; ip link set right up");
        let mut command = python("support/long_cable.py")?;
        command.args(["left", "right", &delay.as_micros().to_string(), &jitter.as_micros().to_string()]);
        let mut process = Process::spawn(between.enter(&command).stdin(Stdio::piped()).stdout(Stdio::piped()));
        let said = Collected::of(process.child().stdout.take().expect("stdout is piped"));
        wait_until("the relay carries", || said.count("ready\n") > 0);
        let link = Link { near, far, relay: Some(Relay { process, said, _between: between }) };
        link.connect();
        Some(link)
    }

    /// Takes both ends up and gives them their addresses, or gives them back.
    pub fn connect(&self) {
        let ends = [(&self.near, NEAR, NEAR6), (&self.far, FAR, FAR6)];
        for (network, ip, ip6) in ends {
            network.sh(&format!("ip link set cable up; ip addr replace {ip}/24 broadcast + dev cable"));
            // Nobody else can have the address, so nobody has to be asked (RFC 4862, 5.4).
            if let Err(said) = network.try_sh(&format!("ip -6 addr replace {ip6}/64 dev cable nodad")) {
                skip(&format!("no IPv6 on a cable: {}", said.trim()));
            }
        }
        // Neither end has a carrier before both are up, and what is sent meanwhile is lost.
        for (network, ..) in ends {
            wait_until("the cable carries", || network.try_sh("ip -o link show cable | grep -q LOWER_UP").is_ok());
        }
    }

    /// Starts `cooee serve` with these arguments, the last of which is its one endpoint, at the far end.
    pub fn serve(&self, args: &[&str]) -> Server {
        serve_in(&self.far, args)
    }

    /// Ends a long cable, and tells what it has carried.
    pub fn unplug(mut self) -> Carried {
        let mut relay = self.relay.take().expect("only a long cable counts");
        let mut order = relay.process.child().stdin.take().expect("stdin is piped");
        order.write_all(b"end\n").expect("the relay runs");
        assert!(relay.process.exit_within(PATIENCE).is_some(), "the relay does not end");
        let said = String::from_utf8(relay.said.whole()).expect("UTF-8");
        let numbers: Vec<u64> = said.split_whitespace().filter_map(|word| word.parse().ok()).collect();
        let [frames, overtaken] = numbers[..] else { panic!("it has not told what it carried: {said}") };
        Carried { frames, overtaken }
    }
}

/// Starts `cooee serve` with these arguments, the last of which is its one endpoint, in a network.
pub fn serve_in(network: &Network, args: &[&str]) -> Server {
    Server::start_command(&mut network.enter(&cooee(&[&["serve"], args].concat())), 1)
}

/// Lays a cable between two networks, whose ends have these names there.
fn lay(one: &Network, name: &str, other: &Network, its_name: &str) -> Option<()> {
    let script = format!("ip link add {name} type veth peer name {its_name} netns {}", other.id());
    let laid = one.try_sh(&script);
    laid.map(drop).map_err(|said| skip(&format!("no cable between networks: {}", said.trim()))).ok()
}
