//! Goal: an answer that reaches an answerer on this machine, where replies have no rate, comes to an end: between a
//! server and itself, another server, another program that answers; over UDP and over Unix sockets, in every mode; and
//! no client pays for that with an answer who says something new each time.
//!
//! Method: "balls", each thrown once. Over UDP a raw socket sends a datagram whose source is an answerer's; where it
//! may not: "skipped". Over Unix sockets a client binds a name, lets it lead to a server, and is gone. How often the
//! ball was answered is in the summaries.

use std::fs;
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use crate::support::{
    Loading, PATIENCE, Server, Summary, ask, can_forge, cpu_time, got_nothing, holds_within, in_full, measured,
    receive, skip, udp_client, wait_until,
};
use tempfile::TempDir;

/// How many answers to the same datagram leave before one does not; and how many that end a conversation.
const ANSWERS: u64 = 10_000;
const FAREWELLS: u64 = 10;

/// The words that an acknowledgement adds, in bytes.
const WORDS: usize = 18;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn unix_server(path: &Path, settings: &str) -> Server {
    Server::start(&[&format!("unixgram://{}?{settings}", path.display())])
}

fn udp_server(ip: &str, settings: &str) -> Server {
    Server::start(&[&format!("udp://{ip}:0?{settings}")])
}

/// Throws a ball to the server at `path` from a name that `lead` makes lead somewhere else.
fn throw(folder: &TempDir, lead: impl FnOnce(&Path), path: &Path, ball: &[u8]) {
    let name = folder.path().join("ball");
    let client = UnixDatagram::bind(&name).unwrap();
    fs::remove_file(&name).unwrap();
    lead(&name);
    client.send_to(ball, path).unwrap();
    drop(client);
    // Its answer has left when somebody else was answered.
    let own = folder.path().join("witness");
    let witness = UnixDatagram::bind(&own).unwrap();
    witness.set_read_timeout(Some(PATIENCE)).unwrap();
    // Its queue may be full of balls for a moment.
    wait_until("room in the queue", || witness.send_to(b"witness", path).is_ok());
    witness.recv(&mut [0; 64]).expect("no answer came");
    fs::remove_file(own).unwrap();
    let _ = fs::remove_file(name);
}

/// What went to and fro between two servers, and what of it was not answered.
struct Rally {
    answered: u64,
    dropped: [Summary; 2],
}

/// Waits until a ball between two servers is dropped for this reason.
fn end_of_rally(servers: [Server; 2], reason: &str) -> Rally {
    let began = Instant::now();
    wait_until("the ball to be dropped", || servers.iter().any(|server| server.summary().get(reason) > 0));
    let cpu = servers.each_ref().map(|server| cpu_time(server.id()));
    let dropped = servers.map(Server::drain);
    let answered = dropped.iter().map(|summary| summary.get("messages_out")).sum();
    let balls: u64 = dropped.iter().map(|summary| summary.get("dropped")).sum();
    assert_eq!(balls, 1, "there was more than one ball: {dropped:?}");
    println!("{answered} answers in {:.2?}, CPU {:.2?} and {:.2?}", began.elapsed(), cpu[0], cpu[1]);
    Rally { answered, dropped }
}

/// Checks that a ball was answered so often by each of two, or a few times more: time forgives one answer a second.
#[track_caller]
fn assert_answered(answered: u64, each: u64) {
    let most = 2 * each + 4 * PATIENCE.as_secs();
    assert!((2 * each..=most).contains(&answered), "{answered} answers, where {} are due", 2 * each);
}

#[test]
fn a_unix_name_that_leads_back_to_the_server_is_answered_once() {
    let folder = folder();
    let path = folder.path().join("server");
    let (shelf, other) = (folder.path().join("shelf"), folder.path().join("other"));
    symlink(folder.path(), &shelf).unwrap();
    symlink(&path, &other).unwrap();
    type Lead<'a> = &'a dyn Fn(&Path);
    let ways: [(&str, Lead<'_>); 5] = [
        ("a symbolic link", &|name| symlink(&path, name).unwrap()),
        ("a relative one", &|name| symlink("server", name).unwrap()),
        ("one to another one", &|name| symlink(&other, name).unwrap()),
        ("a folder that is one", &|name| symlink(shelf.join("server"), name).unwrap()),
        ("a hard link", &|name| fs::hard_link(&path, name).unwrap()),
    ];
    for settings in ["mode=echo", "mode=ack", "mode=ack&ack-format={}"] {
        for (way, lead) in ways {
            let server = unix_server(&path, settings);
            throw(&folder, lead, &path, b"ball");
            server.wait_summary("the answer to come back", |summary| summary.get("guarded") == 1);
            let summary = server.drain();
            assert_eq!(
                (summary.get("messages_in"), summary.get("messages_out"), summary.get("dropped")),
                (3, 2, 1),
                "{settings}, {way}: {summary:?}"
            );
        }
    }
    measured("17", &format!("a Unix name that leads back, {} ways: answered once (once)", ways.len()));
}

#[test]
fn a_good_bye_that_leads_back_is_answered_once() {
    let folder = folder();
    let path = folder.path().join("server");
    for mode in ["ack", "echo"] {
        let server = unix_server(&path, &format!("mode={mode}&bye=close"));
        throw(&folder, |name| symlink(&path, name).unwrap(), &path, b"bye");
        server.wait_summary("the answer to come back", |summary| summary.get("guarded") == 1);
        assert_eq!(server.drain().get("messages_out"), 2);
    }
}

#[test]
fn two_sockets_of_one_server_do_not_answer_each_other() {
    let folder = folder();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let urls = [&one, &other].map(|path| format!("unixgram://{}", path.display()));
    let server = Server::start(&[&urls[0], &urls[1]]);
    throw(&folder, |name| symlink(&other, name).unwrap(), &one, b"ball");
    server.wait_summary("the answer to come back", |summary| summary.get("guarded") == 1);
    assert_eq!(server.drain().get("messages_out"), 2);

    for ips in [["127.0.0.1", "127.0.0.2"], ["127.0.0.1", "0.0.0.0"], ["127.0.0.1", "[::]"]] {
        let urls = ips.map(|ip| format!("udp://{ip}:0"));
        let server = Server::start(&[&urls[0], &urls[1]]);
        let bound: Vec<SocketAddr> = server.urls().iter().map(|url| url["udp://".len()..].parse().unwrap()).collect();
        let (one, other) = (bound[0], SocketAddr::from(([127, 0, 0, 3], bound[1].port())));
        let other = if bound[1].ip().is_unspecified() { other } else { bound[1] };
        if !can_forge(other, one, b"ball") {
            return;
        }
        server.wait_summary("the ball", |summary| summary.get("guarded") == 1);
        assert_eq!(server.drain().get("messages_out"), 0, "{ips:?}");
    }
}

#[test]
fn a_ball_between_two_unix_servers_ends() {
    let folder = folder();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let balls: [(&str, &[u8], u64); 4] = [
        ("mode=echo", b"ball", ANSWERS),
        ("mode=ack&ack-format={}", b"ball", ANSWERS),
        ("mode=ack&bye=close", b"bye", FAREWELLS),
        ("mode=echo&bye=close", b"bye", FAREWELLS),
    ];
    for (settings, ball, each) in balls {
        let servers = [&one, &other].map(|path| unix_server(path, settings));
        throw(&folder, |name| symlink(&other, name).unwrap(), &one, ball);
        let rally = end_of_rally(servers, "repeated");
        // The first answer went to the name, and one to the witness.
        assert_answered(rally.answered - 2, each);
        measured("17", &format!("two Unix servers, {settings}: {} answers, then none (bounded)", rally.answered - 2));
    }
}

#[test]
fn a_ball_that_grows_between_two_unix_servers_ends() {
    /// Such that few words more are too many: the sender's buffer is the bound (`unix(7)`), and a read.
    const BALL: usize = 190_000;
    let folder = folder();
    let (one, other) = (folder.path().join("one"), folder.path().join("other"));
    let servers = [&one, &other].map(|path| unix_server(path, "mode=ack"));
    throw(&folder, |name| symlink(&other, name).unwrap(), &one, &vec![b'x'; BALL]);
    let rally = end_of_rally(servers, "too-long");
    assert!(rally.answered < ANSWERS, "{:?}", rally.dropped);
    measured(
        "17",
        &format!("two Unix servers, ack: {} answers to a ball of {BALL} bytes, then none", rally.answered - 2),
    );
}

#[test]
fn a_ball_between_two_udp_servers_on_loopback_ends() {
    let balls: [(&str, &[u8], u64); 5] = [
        ("mode=echo", b"ball", ANSWERS),
        ("mode=echo", b"", ANSWERS),
        ("mode=ack&ack-format={}", b"ball", ANSWERS),
        ("mode=ack&bye=close", b"bye", FAREWELLS),
        ("mode=discard&bye=close", b"bye", FAREWELLS),
    ];
    for (settings, ball, each) in balls {
        for (ip, its_ip) in [("127.0.0.1", "127.0.0.2"), ("0.0.0.0", "127.0.0.2"), ("[::1]", "[::1]")] {
            if ip == "[::1]" && UdpSocket::bind("[::1]:0").is_err() {
                skip("no IPv6 on this machine");
                continue;
            }
            let servers = [udp_server(ip, settings), udp_server(its_ip, settings)];
            let [mut one, other] = servers.each_ref().map(|server| server.address_of("udp"));
            if one.ip().is_unspecified() {
                // It is reached at any address, and answers from it.
                one.set_ip([127, 0, 0, 1].into());
            }
            if !can_forge(one, other, ball) {
                return;
            }
            let rally = end_of_rally(servers, "repeated");
            assert_answered(rally.answered, each);
            measured(
                "17",
                &format!("on loopback, {settings} at {ip}: {} answers, then none (bounded)", rally.answered),
            );
        }
    }
}

#[test]
fn a_ball_that_grows_between_two_udp_servers_ends() {
    const BALL: usize = 65_000;
    let servers = ["127.0.0.1", "127.0.0.2"].map(|ip| udp_server(ip, "mode=ack"));
    let [one, other] = servers.each_ref().map(|server| server.address_of("udp"));
    if !can_forge(one, other, &vec![b'x'; BALL]) {
        return;
    }
    let rally = end_of_rally(servers, "too-long");
    assert_eq!(rally.answered as usize, (65_507 - BALL) / WORDS, "{:?}", rally.dropped);
}

#[test]
fn many_balls_at_once_all_end() {
    let balls: u64 = in_full(10, 40);
    let servers = ["127.0.0.1", "127.0.0.2"].map(|ip| udp_server(ip, "mode=echo"));
    let [one, other] = servers.each_ref().map(|server| server.address_of("udp"));
    for ball in 0..balls {
        if !can_forge(one, other, &ball.to_be_bytes()) {
            return;
        }
    }
    let began = Instant::now();
    let all_are_gone = || servers.iter().map(|server| server.summary().get("dropped")).sum::<u64>() >= balls;
    assert!(holds_within(4 * PATIENCE, all_are_gone), "some go on for ever");
    let took = began.elapsed();
    let [one, other] = servers.map(Server::drain);
    let answered = one.get("messages_out") + other.get("messages_out");
    assert_eq!(one.get("dropped") + other.get("dropped"), balls, "{one:?} {other:?}");
    assert!(answered <= 2 * balls * (ANSWERS + 100), "{answered} answers to {balls} balls");
    measured(
        "17",
        &format!("on loopback, {balls} different balls at once: {answered} answers in {took:.1?}, then none"),
    );
}

/// Another program that answers whatever comes, whoever sent it, at most as long as it is told.
fn with_stranger(answer: impl Fn(&[u8]) -> Vec<u8> + Sync, play: impl FnOnce(SocketAddr)) {
    let stranger = udp_client();
    let (address, done) = (stranger.local_addr().unwrap(), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| {
            let mut buffer = [0; 70_000];
            while let Ok((length, source)) = stranger.recv_from(&mut buffer) {
                if done.load(Ordering::Relaxed) {
                    return;
                }
                let _ = stranger.send_to(&answer(&buffer[..length]), source);
            }
        });
        play(address);
        done.store(true, Ordering::Relaxed);
        udp_client().send_to(b"the end", address).unwrap();
    });
}

#[test]
fn a_ball_between_the_server_and_another_program_ends() {
    type Answer = fn(&[u8]) -> Vec<u8>;
    let strangers: [(&str, Answer); 3] = [
        ("an echo", |message| message.to_vec()),
        // The acknowledged text grows until it is cut: from then on it is the same.
        ("an echo that cuts", |message| message[..message.len().min(500)].to_vec()),
        ("one that says who asks", |_| b"you are 127.0.0.1".to_vec()),
    ];
    for settings in ["mode=echo", "mode=ack"] {
        for (name, answer) in strangers {
            if (settings, name) == ("mode=ack", "an echo") {
                // That ends as two acknowledging servers do.
                continue;
            }
            with_stranger(answer, |stranger| {
                let server = udp_server("127.0.0.1", settings);
                if !can_forge(stranger, server.address_of("udp"), b"ball") {
                    return;
                }
                server.wait_summary("the ball to be dropped", |summary| summary.get("repeated") == 1);
                let summary = server.drain();
                let answered = summary.get("messages_out");
                assert!((ANSWERS..ANSWERS + 200).contains(&answered), "{settings}, {name}: {summary:?}");
                measured("17", &format!("{settings} and {name}: {answered} answers, then none (bounded)"));
            });
        }
    }
}

#[test]
fn who_says_the_same_over_and_over_loses_one_answer_in_so_many() {
    let server = udp_server("127.0.0.1", "mode=echo");
    let (client, address) = (udp_client(), server.address_of("udp"));
    let began = Instant::now();
    let mut answered = 0;
    while server_answers(&client, &server, address) {
        answered += 1;
        assert!(answered < ANSWERS + PATIENCE.as_secs(), "nothing was lost");
    }
    assert!((ANSWERS..=ANSWERS + 1 + began.elapsed().as_secs()).contains(&answered), "{answered}");
    assert_eq!(ask(&client, address, b"hi"), b"hi", "it is one, and the count begins anew");
    assert_eq!(server.drain().get("repeated"), 1);
}

/// Whether `hi` is answered. That it is not has to be asked for only where it is due.
fn server_answers(client: &UdpSocket, server: &Server, address: SocketAddr) -> bool {
    client.send_to(b"hi", address).unwrap();
    let mut answer = [0; 8];
    client.set_read_timeout(Some(std::time::Duration::from_millis(200))).unwrap();
    match client.recv_from(&mut answer) {
        Ok((length, _)) => &answer[..length] == b"hi",
        Err(_) if server.summary().get("repeated") == 1 && got_nothing(client) => false,
        Err(_) => {
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            receive(client).0 == b"hi"
        }
    }
}

#[test]
fn messages_that_differ_are_all_answered() {
    let messages = in_full("100000", "1000000");
    let folder = folder();
    let path = folder.path().join("server");
    for server in [udp_server("127.0.0.1", "mode=echo"), unix_server(&path, "mode=echo")] {
        let url = server.urls()[0].clone();
        // Over a Unix socket ten wait at the most (`unix(7)`), and one who does not fit is tried again.
        let loading = Loading::start(&url, &["-n", messages, "-c4", "--pipeline=2", "--timeout=20s"]);
        let measured_load = loading.finish_within(10 * PATIENCE);
        assert_eq!(
            (measured_load.count("messages").to_string(), measured_load.count("lost")),
            (messages.to_owned(), 0)
        );
        let summary = server.drain();
        assert_eq!(summary.get("dropped"), 0, "{summary:?}");
        measured("17", &format!("{messages} different messages to {url}: none lost (none)"));
    }
}
