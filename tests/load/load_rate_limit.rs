//! Goal: where a limit at the server decides how many datagrams are answered, the run says so, with the rate that it
//! saw, and does not say that the server is too slow; and it says nothing of a limit where chance decides, or a server
//! that stands still.
//!
//! Method: `cooee load` against the built server with a limit on loopback, with room for what is lost and without;
//! against a default server over a cable between two networks of the test's own, which needs root; and against servers
//! of the test's own that lose at random. What a person reads is looked at.

use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::{
    FAR, Fate, FaultyDatagrams, FaultyServer, Link, Process, Ran, Server, Splitmix, cooee, finish, run,
};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

/// What a run of load says for a person.
fn said(command: &mut Command) -> String {
    let ran = run(command, b"");
    text(&ran)
}

fn text(ran: &Ran) -> String {
    // Where others take the processor, messages leave late (3): that says nothing of what comes back.
    assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
    // Lines are broken anywhere between two words.
    String::from_utf8_lossy(&ran.stdout).split_whitespace().collect::<Vec<_>>().join(" ")
}

#[track_caller]
fn assert_limit(said: &str, from: f64, to: f64) {
    assert!(said.contains("RATE LIMIT: replies came at a constant rate"), "{said}");
    assert!(said.contains("--udp-rate 0"), "{said}");
    assert!(!said.contains("keep up") && !said.contains("FELL BEHIND"), "{said}");
    let words = said.split_once("About ").expect("the rate is told").1;
    let rate: f64 = words.split_whitespace().next().and_then(|word| word.parse().ok()).expect("a number");
    assert!((from..=to).contains(&rate), "{rate}: {said}");
}

#[test]
fn a_limit_is_named_with_room_for_what_is_lost_and_without() {
    // Each run has a server of its own: whoever shared one would share its limit.
    for args in [&["-c4", "--pipeline=500"][..], &["-c1"], &["-c10"]] {
        let server = Server::start(&["--udp-rate=200", "udp://127.0.0.1:0"]);
        let url = server.url("udp");
        let command = [&["load", "-R2000", "-d6s"], args, &[url.as_str()]].concat();
        assert_limit(&said(&mut cooee(&command)), 150.0, 215.0);
    }
}

#[test]
fn the_limit_of_a_default_server_is_named_from_another_host() {
    let Some(link) = Link::start() else { return };
    let server = link.serve(&[&format!("udp://{FAR}:9000")]);
    let command = cooee(&["load", "-R2000", "-d6s", "-c10", &server.url("udp")]);
    assert_limit(&said(&mut link.near.enter(&command)), 150.0, 215.0);
    drop(server);
    // As the advice says.
    let server = link.serve(&["--udp-rate=0", &format!("udp://{FAR}:9001")]);
    let command = cooee(&["load", "-R2000", "-d2s", "-c10", &server.url("udp")]);
    let said = said(&mut link.near.enter(&command));
    assert!(!said.contains("RATE LIMIT") && said.contains("4,000 sent, 4,000 answered"), "{said}");
}

#[test]
fn what_is_lost_by_chance_is_no_limit() {
    // Nine of ten are lost, so that 200 of 2,000 a second are answered; and with few places, one of 200.
    for (lost_of_200, args) in [(180, &["-c4", "--pipeline=500"][..]), (1, &["-c2"])] {
        let server = FaultyDatagrams::start(move |number| match Splitmix::new(number).below(200) < lost_of_200 {
            true => Fate::Lost,
            false => Fate::Delivered,
        });
        let url = server.url();
        let command = [&["load", "-R2000", "-d5s"], args, &[url.as_str()]].concat();
        let said = said(&mut cooee(&command));
        assert!(!said.contains("RATE LIMIT") && !said.contains("the server did not keep up"), "{said}");
    }
}

#[test]
fn a_server_that_stands_still_has_no_limit() {
    let server = Server::start(&["udp://127.0.0.1:0"]);
    let url = server.url("udp");
    let mut command = cooee(&["load", "-R2000", "-d3s", "-c4", "--pipeline=500", &url]);
    command
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let process = Process::spawn(&mut command);
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    for millis in [900, 150, 400] {
        server.signal(SIGSTOP);
        thread::sleep(Duration::from_millis(millis));
        server.signal(SIGCONT);
        thread::sleep(Duration::from_millis(300));
    }
    let said = text(&finish(process));
    assert!(!said.contains("RATE LIMIT"), "{said}");
}

#[test]
fn too_few_places_for_the_way_are_not_the_servers_fault() {
    // Each reply needs 20 ms, and 2 connections carry no more than 100 a second of them: nobody is busy.
    let server = FaultyServer::answering(64, |_, _, message| {
        thread::sleep(Duration::from_millis(20));
        message
    });
    let said = said(&mut cooee(&["load", "-R1000", "-d1s", "-c2", "--timeout=1s", &server.url()]));
    assert!(said.contains("FELL BEHIND: fewer messages were answered than were due"), "{said}");
    assert!(said.contains("All 2 places (-c × --pipeline) were taken, each for "), "{said}");
    assert!(!said.contains("the server did not keep up"), "{said}");
    // With few connections of those that were asked for, that is the reason.
    let server = Server::start(&["--max-connections=10"]);
    let ran = run(&mut cooee(&["load", "-R500k", "-d1s", "-c200", "--timeout=1s", &server.url("tcp")]), b"");
    let said = String::from_utf8_lossy(&ran.stdout).split_whitespace().collect::<Vec<_>>().join(" ");
    let is_full = said.contains("the server did not keep up");
    assert!(is_full || said.contains("of 200 connections were there: the errors below say why"), "{ran:?}");
}
