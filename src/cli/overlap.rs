//! Endpoints of one command on the same port: what the kernel would refuse is refused with both names before anything
//! is bound, and `[::]` leaves IPv4 to a `0.0.0.0` beside it.

use std::net::{Ipv4Addr, SocketAddr};

use crate::cli::cli_error::CliError;
use crate::cli::endpoint::{Location, Transport};
use crate::cli::plan::EndpointPlan;

/// Makes each `[::]` leave IPv4 to an endpoint with `0.0.0.0` on its port; any other overlap is an error.
pub(super) fn resolve(plans: &mut [EndpointPlan]) -> Result<(), CliError> {
    for later in 1..plans.len() {
        let (before, rest) = plans.split_at_mut(later);
        let plan = &mut rest[0];
        for known in before {
            share(known, plan)?;
        }
    }
    Ok(())
}

fn share(known: &mut EndpointPlan, plan: &mut EndpointPlan) -> Result<(), CliError> {
    let refuse = |plan: &EndpointPlan, known: &EndpointPlan, what: &str| {
        let text = known.text.escape_debug();
        Err(plan.wrong(&format!("'{text}' of the same command {what}")))
    };
    if let (Location::Unix(one), Location::Unix(other)) = (&known.location, &plan.location) {
        return if one == other { refuse(plan, known, "has this name") } else { Ok(()) };
    }
    // The kernel distributes such a port itself.
    if known.settings.reuse_port && plan.settings.reuse_port {
        return Ok(());
    }
    let pairs = known.addresses.iter().flat_map(|one| plan.addresses.iter().map(move |other| (*one, *other)));
    let pairs: Vec<(SocketAddr, SocketAddr)> = pairs.filter(|(one, other)| overlap(*one, *other)).collect();
    let both: Vec<Transport> =
        plan.transports.iter().copied().filter(|transport| known.transports.contains(transport)).collect();
    for transport in &both {
        for (one, other) in &pairs {
            let (four, six) = if one.is_ipv4() { (one, other) } else { (other, one) };
            if four.is_ipv4() == six.is_ipv4() {
                return refuse(plan, known, &format!("has {transport}://{one} already"));
            }
            if four.ip() != Ipv4Addr::UNSPECIFIED {
                let what = format!("overlaps with it: {transport}://{six} takes IPv4 too, {} included", four.ip());
                return refuse(plan, known, &what);
            }
        }
    }
    if !pairs.is_empty() {
        known.only_v6.extend(&both);
        plan.only_v6.extend(&both);
    }
    Ok(())
}

/// Whether sockets at these two addresses would conflict.
fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    let covers = |one: SocketAddr, other: SocketAddr| one.ip().is_unspecified() && (one.is_ipv6() || other.is_ipv4());
    one.port() == other.port() && one.port() != 0 && (one == other || covers(one, other) || covers(other, one))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::settings::Settings;

    fn resolved(texts: &[&str]) -> Result<Vec<Vec<Transport>>, String> {
        let defaults = Settings::defaults();
        let mut plans: Vec<EndpointPlan> =
            texts.iter().map(|text| EndpointPlan::parse(text, &defaults).unwrap()).collect();
        plans.iter_mut().for_each(|plan| plan.look_up().unwrap());
        resolve(&mut plans).map_err(|failure| failure.message().to_owned())?;
        Ok(plans.into_iter().map(|plan| plan.only_v6).collect())
    }

    #[test]
    fn both_wildcards_share_a_port_and_nothing_else_is_changed() {
        use Transport::{Tcp, Udp};
        assert_eq!(resolved(&["0.0.0.0:9", "[::]:9"]), Ok(vec![vec![Tcp, Udp]; 2]));
        assert_eq!(resolved(&["tcp://[::]:9", "0.0.0.0:9"]), Ok(vec![vec![Tcp]; 2]));
        for apart in [
            ["tcp://[::]:9", "udp://0.0.0.0:9"],
            ["[::]:0", "0.0.0.0:0"],
            ["[::]:9", "[::]:10"],
            ["[::1]:9", "127.0.0.1:9"],
            ["[::1]:9", "0.0.0.0:9"],
            ["127.0.0.1:9", "127.0.0.2:9"],
            ["127.0.0.1:9?reuse-port=1", "127.0.0.1:9?reuse-port=1"],
            ["unix:///a", "unix:///b"],
        ] {
            assert_eq!(resolved(&apart), Ok(vec![vec![]; 2]), "{apart:?}");
        }
    }

    #[test]
    fn what_the_kernel_would_refuse_is_told_with_both_names() {
        for (one, other, word) in [
            ("127.0.0.1:9", "tcp://127.0.0.1:9", "has tcp://127.0.0.1:9 already"),
            ("0.0.0.0:9", "udp://127.0.0.1:9", "has udp://0.0.0.0:9 already"),
            ("[::]:9", "127.0.0.1:9", "tcp://[::]:9 takes IPv4 too, 127.0.0.1 included"),
            ("[::1]:9", "[::]:9", "has tcp://[::1]:9 already"),
            ("unix:///a", "unixgram:///a", "has this name"),
        ] {
            let error = resolved(&[one, other]).unwrap_err();
            assert!(error.contains(&format!("endpoint '{other}': '{one}' of the same command")), "{error}");
            assert!(error.contains(word), "{error}");
        }
    }
}
