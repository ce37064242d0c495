//! What went wrong, in a sentence: what it means, and what to do.

use std::io;

use crate::measure::load::error_kind::ErrorKind;
use crate::measure::load::outcome::{Doubt, LATE, Outcome};
use crate::measure::report::human;

/// What an error of this name means, and what to do about it. Names are those of [`ErrorKind::reported`].
pub fn error(name: &str) -> &'static str {
    MEANINGS.iter().find(|(kind, _)| kind.reported() == name).map_or(OTHER, |(_, meaning)| meaning)
}

/// Where an error of this name stands among the others.
pub(crate) fn rank(name: &str) -> usize {
    ErrorKind::NAMES.iter().position(|known| *known == name).unwrap_or(ErrorKind::COUNT)
}

/// The meaning of an error of the system for which there is no advice.
const OTHER: &str = "The system reported it.";

/// What each kind means, and of the system's own errors those for which there is advice.
const MEANINGS: [(ErrorKind, &str); 20] = [
    (ErrorKind::Refused, "Nobody listens there. Is the server running, and on this port?"),
    (
        ErrorKind::ConnectTimeout,
        "The server did not take connections in time: its queue is full, or packets are lost on the way. Open them more \
         slowly (--connect-rate), or wait longer (--connect-timeout).",
    ),
    (
        ErrorKind::SelfConnect,
        "Nobody listens there: the kernel connected a socket to itself, as it can on an ephemeral port. Is the server \
         running?",
    ),
    (
        ErrorKind::NoPort,
        "No local port is left towards this server: one address has about 28,000. Connect from several (--source ADDR,...).",
    ),
    (ErrorKind::NoDescriptor, "This process may open no more sockets. Raise the limit ('ulimit -n')."),
    (ErrorKind::NoMemory, "The system has no memory for another socket. Open fewer connections (-c)."),
    (
        ErrorKind::Reset,
        "The server dropped connections: it was overloaded, has a limit, or broke. Its log may say which.",
    ),
    (
        ErrorKind::Closed,
        "The server ended connections on which it owed an answer, or had never given one. A server that takes one message a \
         connection wants --churn.",
    ),
    (ErrorKind::TimedOut, "A reply did not come in time, so its connection was closed (--timeout)."),
    (ErrorKind::TooLong, "A message is longer than a datagram to this address can be (--length)."),
    (
        ErrorKind::WrongReply,
        "The server did not answer what it had to. If that is as it should be, --expect, --ack-format and --framing tell \
         what has to come back.",
    ),
    (
        ErrorKind::ReplyTooLong,
        "A reply was longer than --max-reply, so its connection was closed. Is --framing what the server sends? If it is, \
         allow longer ones.",
    ),
    (
        ErrorKind::Unexpected,
        "Bytes came that answer nothing: the server says more than it was asked (--expect any checks nothing).",
    ),
    (
        ErrorKind::Unanswered,
        "Messages were never answered, because their connection or the run ended; or never sent, because there was no room \
         for them (-c and --pipeline give more).",
    ),
    (
        ErrorKind::Other(io::ErrorKind::NotFound),
        "There is no such socket: the file does not exist. Is the server running, and is this its path?",
    ),
    (
        ErrorKind::Other(io::ErrorKind::PermissionDenied),
        "This user may not connect: a Unix socket is for users who may write to its file and enter its folders (the server's \
         file-mode, file-owner and file-group); a packet filter can refuse too.",
    ),
    (
        ErrorKind::Other(io::ErrorKind::HostUnreachable),
        "The host cannot be reached: it is off, or a router or packet filter refuses.",
    ),
    (ErrorKind::Other(io::ErrorKind::NetworkUnreachable), "No route leads to the server's network."),
    (ErrorKind::Other(io::ErrorKind::NetworkDown), "The network interface is down."),
    (ErrorKind::Other(io::ErrorKind::InvalidInput), "The system takes no such address: it cannot be that of a server."),
];

/// Why figures are not to be trusted.
pub fn doubt(doubt: Doubt) -> String {
    match doubt {
        Doubt::LateSends(share) => format!(
            "{} of the messages left more than {} after they were due although there was room for them (at most {} may). This \
             program could not keep its schedule: lower the rate, or run it on a core of its own or from several machines.",
            human::share(share),
            human::latency_tick(LATE.as_nanos() as f64),
            human::share(Outcome::LATE_MAX)
        ),
        Doubt::HeldBack(share) => format!(
            "{} of the messages waited for this program (at most {} may): it pauses before it opens a connection again that broke, and \
             opens none faster than --connect-rate. Their latencies hold these waits; the errors say why connections broke. More \
             connections (-c) leave room for what is due meanwhile.",
            human::share(share),
            human::share(Outcome::LATE_MAX)
        ),
        Doubt::Saturated(share) => format!(
            "This program used {} of a core, and no server on this machine did: it was the bottleneck. Run it from several machines (or several \
             times, on cores of their own) and merge their reports.",
            human::share(share)
        ),
        Doubt::Unopened { missing, asked } => format!(
            "{} of the {} connections that were asked for were not there, so the server had less to do than it was to have: the \
             errors say why.",
            human::count(missing as u64),
            human::count(asked as u64)
        ),
        Doubt::OwnLimit(count) => format!(
            "{} sockets could not be opened because of a limit of this machine, and not of the server: the errors say which.",
            human::count(count)
        ),
        Doubt::Surplus(surplus) => format!(
            "No message waited for {} bytes, which came {}: the server greets, answers more than once or in pieces, or too late. So \
             something was taken for a reply that was none, or not all of it, and latencies are too short. Say where a reply ends \
             (--framing line or len32), or what it is (--expect echo or ack).",
            human::count(surplus.bytes),
            if surplus.times == 1 { "once".to_owned() } else { format!("{} times", human::count(surplus.times)) }
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::load::outcome::Surplus;

    #[test]
    fn every_kind_is_told_by_its_name_and_in_order() {
        assert!(MEANINGS.iter().all(|(kind, meaning)| error(&kind.reported()) == *meaning));
        let (_, named) = ErrorKind::NAMES.split_last().unwrap();
        assert!(MEANINGS.iter().zip(named).all(|((kind, _), name)| kind.name() == *name), "in the order of the kinds");
        assert_eq!(MEANINGS.iter().filter(|(kind, _)| named.contains(&kind.name())).count(), named.len());
        assert_eq!(error(&ErrorKind::Other(io::ErrorKind::Other).reported()), OTHER);
        assert!(rank("refused") < rank("reset") && rank("reset") < rank("not-found"));
        assert!(error("no-descriptor").contains("ulimit -n") && error("no-port").contains("--source"));
    }

    #[test]
    fn doubts_say_how_much_and_what_to_do() {
        let late = doubt(Doubt::LateSends(0.034));
        assert!(late.starts_with("3.40 % of the messages left more than 1 ms") && late.contains("rate"), "{late}");
        let held = doubt(Doubt::HeldBack(0.034));
        assert!(held.starts_with("3.40 % of the messages waited for this program (at most 1.00 %"), "{held}");
        assert!(doubt(Doubt::Saturated(0.99)).contains("99.0 % of a core"));
        let unopened = doubt(Doubt::Unopened { missing: 714, asked: 1_000 });
        assert!(unopened.starts_with("714 of the 1,000 connections"), "{unopened}");
        assert!(doubt(Doubt::OwnLimit(3)).starts_with("3 sockets"));
        let surplus = doubt(Doubt::Surplus(Surplus { times: 2, bytes: 1_234 }));
        assert!(surplus.contains("1,234 bytes, which came 2 times") && surplus.contains("--framing"), "{surplus}");
    }
}
