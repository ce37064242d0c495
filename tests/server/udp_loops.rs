//! Goal: no forged datagram makes two servers talk to each other without bound: with the rate that holds outside
//! loopback by itself, whatever the ports, the modes and the family of addresses are, and however long the way is.
//!
//! Method: two servers in networks of the test's own with a cable between them, so that each is outside loopback for
//! the other. A raw socket sends "balls": datagrams whose source is the one server and whose destination is the other.
//! Where it may not: "skipped".

use std::net::{IpAddr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    FAR, FAR6, Link, NEAR, NEAR6, PATIENCE, Server, Summary, attempt, can_forge, cpu_time, holds_within, in_full,
    is_full, measured, serve_in, skip, wait_until,
};

/// Replies a second to one source, and how many it may save up.
const RATE: f64 = 200.0;

/// How long balls are thrown.
const TIME: Duration = Duration::from_secs(1);

/// The share of a core that each server may take meanwhile.
fn core_most() -> f64 {
    in_full(0.30, 0.03)
}

/// Two servers, and what they were asked to begin with.
struct Match {
    servers: [Server; 2],
    began: Instant,
    cpu: [Duration; 2],
    balls: u64,
}

impl Match {
    /// Throws a ball every tenth of a second, so that the buckets fill up a little between two. None where that is not
    /// allowed.
    fn play(
        link: &Link,
        servers: [Server; 2],
        ball: &[u8],
        addresses: [SocketAddr; 2],
        time: Duration,
    ) -> Option<Match> {
        let cpu = servers.each_ref().map(|server| cpu_time(server.id()));
        let mut game = Match { servers, began: Instant::now(), cpu, balls: 0 };
        while game.began.elapsed() < time {
            if !link.near.within(|| can_forge(addresses[0], addresses[1], ball)) {
                return None;
            }
            game.balls += 1;
            thread::sleep(Duration::from_millis(100));
        }
        Some(game)
    }

    /// The two servers, how long they have played, and the greatest share of a core that one of them took.
    fn state(&self) -> ([Summary; 2], f64, f64) {
        let time = self.began.elapsed().as_secs_f64();
        let used = |number: usize| cpu_time(self.servers[number].id()).saturating_sub(self.cpu[number]).as_secs_f64();
        let core = used(0).max(used(1)) / time;
        (self.servers.each_ref().map(Server::summary), time, core)
    }
}

/// How many replies have left.
fn replies(summary: &Summary) -> u64 {
    summary.get("messages_in") - summary.get("dropped")
}

/// Checks that each server has replied no more often than its bucket for the other allows.
#[track_caller]
fn check_rate(summaries: &[Summary; 2], time: f64) {
    for summary in summaries {
        let most = RATE * (1.0 + time) + 1.0;
        assert!(replies(summary) as f64 <= most, "{} replies in {time:.2} s: {summary:?}", replies(summary));
    }
}

/// Throws balls between two servers at these endpoints, which hear each other at these addresses.
fn play(mode: &str, endpoints: [&str; 2], addresses: [SocketAddr; 2]) {
    let Some(link) = Link::start() else { return };
    let mut allowed = true;
    let found = attempt(|| {
        let server = |network, endpoint| serve_in(network, &["--mode", mode, endpoint]);
        let servers = [server(&link.near, endpoints[0]), server(&link.far, endpoints[1])];
        let Some(game) = Match::play(&link, servers, b"ping", addresses, in_full(TIME, 10 * TIME)) else {
            allowed = false;
            return Ok(String::new());
        };
        let (summaries, time, core) = game.state();
        check_rate(&summaries, time);
        // Every ball flies until one of the two drops it, and then nobody has it.
        wait_until("every ball to be dropped", || {
            let ([one, other], ..) = game.state();
            one.get("over-rate") + other.get("over-rate") == game.balls
        });
        let ([one, other], ..) = game.state();
        assert_eq!(one.get("dropped") + other.get("dropped"), game.balls, "there were more balls than were thrown");
        assert!(replies(&one) >= 150 && replies(&other) >= 150, "the servers never met: {one:?} {other:?}");
        // With each reply the text grows by the words, so no further than one ball's replies.
        let [replies, bytes] = [replies(&one) + replies(&other), one.get("bytes_out") + other.get("bytes_out")];
        let found = format!(
            "{mode} {} to {}: {} balls in {time:.1} s, {:.0} replies a second each (<= 200 and 200 at once), \
             a reply has {} bytes in the mean, {:.2} % of a core (< 3)",
            endpoints[0],
            endpoints[1],
            game.balls,
            replies as f64 / 2.0 / time,
            bytes / replies,
            100.0 * core
        );
        if core < core_most() { Ok(found) } else { Err(found) }
    });
    if allowed {
        measured("17", &found);
    }
}

fn at(ip: IpAddr, port: u16) -> SocketAddr {
    SocketAddr::new(ip, port)
}

#[test]
fn an_echo_and_an_echo_at_the_same_port() {
    play("echo", ["udp://10.77.0.1:9000", "udp://10.77.0.2:9000"], [at(NEAR, 9000), at(FAR, 9000)]);
}

#[test]
fn two_echoes_at_every_address_and_the_same_port() {
    play("echo", ["udp://0.0.0.0:9000", "udp://[::]:9000"], [at(NEAR, 9000), at(FAR, 9000)]);
}

#[test]
fn an_acknowledgement_and_an_acknowledgement_at_different_ports() {
    play("ack", ["udp://10.77.0.1:9001", "udp://10.77.0.2:9002"], [at(NEAR, 9001), at(FAR, 9002)]);
}

#[test]
fn an_echo_and_an_echo_over_ipv6() {
    play("echo", ["udp://[fd77::1]:9001", "udp://[::]:9002"], [at(NEAR6, 9001), at(FAR6, 9002)]);
}

#[test]
fn a_server_outside_loopback_does_not_answer_itself() {
    let Some(link) = Link::start() else { return };
    let endpoints = [
        ("udp://10.77.0.2:9000", FAR),
        ("udp://0.0.0.0:9000", FAR),
        ("udp://[::]:9000", FAR),
        ("udp://[fd77::2]:9000", FAR6),
        ("udp://[::]:9000", FAR6),
    ];
    for (endpoint, own) in endpoints {
        let server = link.serve(&[endpoint]);
        if !link.far.within(|| can_forge(at(own, 9000), at(own, 9000), b"whoami")) {
            return;
        }
        server.wait_summary("the guarded reply", |summary| summary.get("guarded") == 1);
        let summary = server.drain();
        assert_eq!((summary.get("messages_in"), summary.get("bytes_out")), (1, 0), "{endpoint} talked to itself");
    }
    measured("17", &format!("itself: {} of {0} balls stay where they fell (all)", endpoints.len()));
}

/// Where a ball is under way for more than a 200th of a second, the bucket has filled up again when it comes back: it
/// flies until each server has answered it 10,000 times. What all of them together can cost meanwhile is bounded by the
/// rate.
#[test]
fn on_a_long_way_a_ball_flies_on_and_all_of_them_together_keep_to_the_rate() {
    let Some(link) = Link::long(Duration::from_millis(5), Duration::ZERO) else { return };
    let mut allowed = true;
    let found = attempt(|| {
        let servers = [serve_in(&link.near, &["udp://10.77.0.1:9000"]), link.serve(&["udp://10.77.0.2:9000"])];
        let addresses = [at(NEAR, 9000), at(FAR, 9000)];
        let Some(game) = Match::play(&link, servers, b"ping", addresses, in_full(2 * TIME, 10 * TIME)) else {
            allowed = false;
            return Ok(String::new());
        };
        let (summaries, time, core) = game.state();
        check_rate(&summaries, time);
        let [one, other] = summaries;
        assert!(replies(&one) > game.balls, "no ball ever came back: {one:?} {other:?}");
        let found = format!(
            "a round trip of 10 ms: {} balls in {time:.1} s, {:.0} and {:.0} replies a second (<= 200 and 200 at once), {:.2} % of a core (< 3)",
            game.balls,
            replies(&one) as f64 / time,
            replies(&other) as f64 / time,
            100.0 * core
        );
        if core < core_most() { Ok(found) } else { Err(found) }
    });
    if allowed {
        measured("17", &found);
    }
}

/// Throws a ball between two servers a round trip of 10 ms apart, and waits until it is gone. None where that is not
/// allowed.
fn flight(settings: &str, ball: &[u8], patience: Duration) -> Option<[Summary; 2]> {
    let link = Link::long(Duration::from_millis(5), Duration::ZERO)?;
    let near = serve_in(&link.near, &[&format!("udp://10.77.0.1:9000?{settings}")]);
    let far = link.serve(&[&format!("udp://10.77.0.2:9000?{settings}")]);
    if !link.near.within(|| can_forge(at(NEAR, 9000), at(FAR, 9000), ball)) {
        return None;
    }
    let servers = [near, far];
    let is_gone = || servers.iter().any(|server| server.summary().get("repeated") == 1);
    assert!(holds_within(patience, is_gone), "it still flies after {patience:?}");
    Some(servers.map(Server::drain))
}

#[test]
fn on_a_long_way_a_good_bye_ends_after_a_few() {
    for settings in ["mode=ack&bye=close", "mode=discard&bye=close"] {
        let Some(summaries) = flight(settings, b"bye", PATIENCE) else { return };
        let answered: u64 = summaries.iter().map(replies).sum();
        assert_eq!(answered, 20, "{summaries:?}");
        measured("17", &format!("bye to bye ({settings}), a round trip of 10 ms: {answered} replies, then none"));
    }
}

/// In full alone: it takes a hundredth of a second 10,000 times.
#[test]
fn on_a_long_way_a_ball_ends_after_ten_thousand_rounds() {
    const PATIENT: Duration = Duration::from_secs(400);
    if !is_full() {
        return skip("it takes minutes: FULL=1 runs it");
    }
    let began = Instant::now();
    let Some(summaries) = flight("mode=echo", b"ping", PATIENT) else { return };
    let answered: u64 = summaries.iter().map(replies).sum();
    // Time forgives one answer a second.
    let most = 20_000 + 2 * began.elapsed().as_secs();
    assert!((20_000..=most).contains(&answered), "{summaries:?}");
    let found =
        format!("echo to echo, a round trip of 10 ms: {answered} replies in {:.0?}, then none", began.elapsed());
    measured("17", &found);
}

#[test]
fn on_a_long_way_an_acknowledged_ball_grows_until_no_datagram_holds_it() {
    /// What is left to grow: the words take 18 bytes a reply, and a datagram over IPv4 holds 65,507.
    const BALL: usize = 65_000;
    const REPLIES: u64 = (65_507 - BALL as u64) / 18;
    let Some(link) = Link::long(Duration::from_millis(5), Duration::ZERO) else { return };
    let ack = ["--mode", "ack"];
    let near = serve_in(&link.near, &[&ack[..], &["udp://10.77.0.1:9000"]].concat());
    let far = link.serve(&[&ack[..], &["udp://10.77.0.2:9000"]].concat());
    if !link.near.within(|| can_forge(at(NEAR, 9000), at(FAR, 9000), &vec![b'x'; BALL])) {
        return;
    }
    wait_until("the ball to be too long", || near.summary().get("dropped") + far.summary().get("dropped") > 0);
    let (near, far) = (near.drain(), far.drain());
    assert_eq!(near.get("too-long") + far.get("too-long"), 1, "{near:?} {far:?}");
    assert_eq!(replies(&near) + replies(&far), REPLIES, "{near:?} {far:?}");
    measured(
        "17",
        &format!("ack to ack, a round trip of 10 ms: {REPLIES} replies to a ball of {BALL} bytes, then none (bounded)"),
    );
}
