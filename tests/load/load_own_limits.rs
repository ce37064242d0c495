//! Goal: where the generator is at its own end, it says so: sends that leave late, ports and descriptors that are used
//! up. It never blames the server for them, and never hangs.
//!
//! Method: the generator itself is stopped (SIGSTOP) within an open loop, with a free connection for every message that
//! becomes due; it runs in a network namespace with few ports, of which others hold some; its limit of descriptors is
//! lowered. The namespace needs root.

use std::net::{TcpStream, UdpSocket};
use std::process::Command;
use std::thread;
use std::time::Duration;

use crate::support::{Loading, Measured, Network, Ran, Server, cooee, load, load_command, run, try_run};
use nix::sys::signal::Signal::{SIGCONT, SIGSTOP};

/// Runs against `server`, and stops the generator for a while when its first messages have come.
fn stop_generator(server: &Server, loading: Loading, stop: Duration) -> Measured {
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    loading.signal(SIGSTOP);
    thread::sleep(stop);
    loading.signal(SIGCONT);
    loading.finish()
}

#[test]
fn sends_that_leave_late_are_counted_and_make_the_run_invalid() {
    let server = Server::start(&[]);
    let loading = Loading::start(&server.url("tcp"), &["-c400", "-R1000", "-d2s"]);
    let measured = stop_generator(&server, loading, Duration::from_millis(200));
    // 200 messages were due meanwhile, a tenth of all; those of the last millisecond are not late.
    let shown = measured.shown();
    assert!(measured.count("late") >= 190, "{shown}");
    assert_eq!(measured.report["valid"], false, "{shown}");
    assert_eq!(measured.ran.code, Some(3), "{shown}");
    // They were waited for, and measured, from when they were due.
    assert_eq!(measured.count("messages"), 2000, "{shown}");
    assert_eq!(measured.all_errors(), 0, "{shown}");
    assert!(measured.latency("max") >= 0.19, "{shown}");
    let late = measured.count("late");
    crate::support::measured(
        "33",
        &format!("the generator stopped for 200 ms at 1,000/s: {late} sends late (>= 190), run invalid, exit code 3"),
    );
}

#[test]
fn a_person_is_told_that_the_run_is_invalid_and_why() {
    let server = Server::start(&[]);
    let url = server.url("tcp");
    let mut command = cooee(&["load", "--warmup=0s", "-c400", "-R1000", "-d1s", &url]);
    let mut process = crate::support::Process::spawn(
        command
            .stdin(std::process::Stdio::null())
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped()),
    );
    server.wait_summary("the run has begun", |summary| summary.get("messages_in") > 0);
    process.signal(SIGSTOP);
    thread::sleep(Duration::from_millis(200));
    process.signal(SIGCONT);
    assert!(process.exit_within(crate::support::PATIENCE).is_some(), "it does not end");
    let ran = crate::support::finish(process);
    assert_eq!(ran.code, Some(3), "{ran:?}");
    let said = said(&ran).to_lowercase();
    assert!(said.contains("invalid") && said.contains("late"), "{said}");
}

#[test]
fn ten_messages_show_nothing_and_that_is_said() {
    let server = Server::start(&[]);
    // In 90 ms one message is due at the most: it is late, and the run is what it was.
    let loading = Loading::start(&server.url("tcp"), &["-R10", "-d1s"]);
    let measured = stop_generator(&server, loading, Duration::from_millis(90));
    if measured.count("late") <= 1 {
        assert_eq!((&measured.report["valid"], measured.ran.code), (&true.into(), Some(0)), "{}", measured.shown());
    }
    let ran = run(&mut cooee(&["load", "--warmup=0s", "-R10", "-d1s", &server.url("tcp")]), b"");
    let said = said(&ran);
    assert!(said.contains("10 messages are too few to tell") || said.contains("INVALID"), "{said}");
}

#[test]
fn waiting_for_a_free_connection_is_the_servers_and_not_late() {
    // One connection, and far more due than it can carry: every message waits for its turn.
    let server = Server::start(&[]);
    let measured = load(&server.url("tcp"), &["-c1", "-R1000k", "-d300ms", "--timeout=300ms"]);
    let shown = measured.shown();
    assert!(measured.count("messages") > 0, "{shown}");
    let late = measured.count("late") as f64 / measured.count("sent").max(1) as f64;
    assert!(late < 0.2, "{late} of all left late: {shown}");
    assert!(measured.latency("p50") > 10.0 * measured.send_latency("p50"), "{shown}");
}

/// All that it said.
fn said(ran: &Ran) -> String {
    format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr)
}

/// A network with so many ports for clients, and our server in it at each endpoint. Each run needs one of its own: used
/// ports rest for a minute (TIME_WAIT).
fn few_ports(count: u16) -> Option<(Network, Server)> {
    let network = Network::start(40_000, 39_999 + count)?;
    let endpoints = ["serve", "tcp://127.0.0.1:9000", "udp://127.0.0.1:9001"];
    let server = Server::start_command(&mut network.enter(&cooee(&endpoints)), 2);
    Some((network, server))
}

/// Connections from the network to the server that have so many of its ports.
fn hold_ports(network: &Network, server: &Server, count: usize) -> Vec<TcpStream> {
    let address = server.addresses()[0];
    network.within(|| (0..count).map(|_| TcpStream::connect(address).expect("there is a port")).collect())
}

#[test]
fn more_connections_than_there_are_ports_or_descriptors_for_are_refused_before_one_is_opened() {
    let Some((network, server)) = few_ports(20) else { return };
    let [tcp, udp] = ["tcp://127.0.0.1:9000", "udp://127.0.0.1:9001"];
    let ours = format!("--server=a='{}' serve -q tcp://127.0.0.1:{{port}}", env!("CARGO_BIN_EXE_cooee"));
    let ports = ["a local address has 20 ports", "--source"];
    let descriptors = ["the limit of 128 descriptors allows 104", "ulimit -n"];
    let cases: [(&[&str], [&str; 2]); 8] = [
        (&["load", "-c21", tcp], ports),
        (&["load", "-c500", "--churn", tcp], ports),
        (&["load", "-c61", "--source=127.0.0.2,127.0.0.3,127.0.0.4", tcp], ["allows 60", "--source"]),
        (&["load", "-c21", udp], ports),
        (&["compare", "-c21", "--idle-connections=0", &ours], ports),
        (&["compare", "--idle-connections=21", &ours], ports),
        (&["load", "-c105", "unix:///nobody"], descriptors),
        (&["load", "-c105", "--slo=p99=1ms", "unix:///nobody"], descriptors),
    ];
    for (arguments, words) in cases {
        let mut command = cooee(arguments);
        if words == descriptors {
            command = Command::new("prlimit");
            command.args(["--nofile=128:128", env!("CARGO_BIN_EXE_cooee")]).args(arguments);
        }
        let ran = run(&mut network.enter(&command), b"");
        assert_eq!((ran.code, ran.printed()), (Some(2), ""), "{arguments:?}: {ran:?}");
        for word in words.into_iter().chain(["does not fit"]) {
            assert!(ran.stderr.contains(word), "{arguments:?} is not answered with '{word}': {ran:?}");
        }
    }
    server.wait_summary("nobody has come", |summary| summary.get("accepted") == 0);
}

#[test]
fn as_many_connections_as_the_descriptors_allow_are_opened() {
    let server = Server::start(&[]);
    let program = load_command(&server.url("tcp"), &["-c104", "-n1000", "--warmup=0s"]);
    let mut limited = Command::new("prlimit");
    limited.arg("--nofile=128:128").arg(program.get_program()).args(program.get_args());
    let measured = Loading::start_command(&mut limited).finish();
    assert_eq!((measured.count("connections"), measured.all_errors()), (104, 0), "{}", measured.shown());
}

#[test]
fn out_of_ports_is_told() {
    let Some((network, server)) = few_ports(50) else { return };
    let _held = hold_ports(&network, &server, 30);
    let command = load_command(&server.url("tcp"), &["-c50", "-n1000"]);
    let measured = Loading::start_command(&mut network.enter(&command)).finish();
    assert!(measured.errors("no-port") >= 30, "{}", measured.shown());
    assert_eq!(measured.count("connections"), 20, "{}", measured.shown());
    assert_eq!(measured.count("messages"), 1000, "{}", measured.shown());
    assert_eq!((measured.ran.code, &measured.report["valid"]), (Some(3), &false.into()), "{}", measured.shown());
    let (errors, took) = (measured.errors("no-port"), measured.took);
    crate::support::measured(
        "33",
        &format!("20 ports for 50 connections: {errors} errors no-port (>= 30), exit code 3, ended in {took:.1?}"),
    );
}

#[test]
fn out_of_ports_is_told_in_words_with_what_to_do() {
    let Some((network, server)) = few_ports(50) else { return };
    let _held = hold_ports(&network, &server, 30);
    let command = cooee(&["load", "-c50", "-n1000", "--warmup=0s", &server.url("tcp")]);
    let ran = run(&mut network.enter(&command), b"");
    assert!(said(&ran).contains("--source"), "{ran:?}");
    assert_eq!(ran.code, Some(3), "{ran:?}");
    assert!(ran.stderr.contains("30 of the 50 connections"), "{ran:?}");
}

#[test]
fn where_no_port_is_left_the_rest_is_not_tried() {
    let Some((network, server)) = few_ports(500) else { return };
    let _held = hold_ports(&network, &server, 150);
    let command = load_command(&server.url("tcp"), &["-c500", "-n1000", "--warmup=0s"]);
    let measured = Loading::start_command(&mut network.enter(&command)).finish();
    assert_eq!((measured.ran.code, measured.count("connections")), (Some(3), 350), "{}", measured.shown());
    // Those that were under way when it was known.
    assert!((64..150).contains(&measured.errors("no-port")), "{}", measured.shown());
}

#[test]
fn datagram_sockets_that_find_no_port_are_told_as_that() {
    let Some((network, server)) = few_ports(20) else { return };
    let _held: Vec<UdpSocket> =
        network.within(|| (0..15).map(|_| UdpSocket::bind(("0.0.0.0", 0)).expect("there is a port")).collect());
    let command = load_command("udp://127.0.0.1:9001", &["-c20", "-n1000", "--warmup=0s"]);
    let measured = Loading::start_command(&mut network.enter(&command)).finish();
    assert_eq!((measured.ran.code, measured.count("connections")), (Some(3), 5), "{}", measured.shown());
    assert_eq!(measured.errors("no-port"), 15, "{}", measured.shown());
    drop(server);
}

#[test]
fn more_local_addresses_have_more_ports() {
    let Some((network, server)) = few_ports(20) else { return };
    let args = ["-c50", "-n1000", "--source=127.0.0.2,127.0.0.3,127.0.0.4"];
    let measured = Loading::start_command(&mut network.enter(&load_command(&server.url("tcp"), &args))).finish();
    measured.assert_right(1000);
    assert_eq!(measured.count("connections"), 50, "{}", measured.shown());
}

#[test]
fn out_of_ports_by_churn_is_told_and_no_hang() {
    // Each port rests for a minute (TIME_WAIT) when its connection has been closed.
    let Some((network, server)) = few_ports(20) else { return };
    let command = load_command(&server.url("tcp"), &["-c2", "-d2s", "--churn", "--timeout=500ms"]);
    let measured = Loading::start_command(&mut network.enter(&command)).finish();
    assert!(measured.took < Duration::from_secs(8), "{}", measured.shown());
    // Where the kernel gives ports back early, it goes on; where it does not, that is told.
    assert!(measured.errors("no-port") >= 1 || measured.count("messages") > 100, "{}", measured.shown());
    let (errors, messages) = (measured.errors("no-port"), measured.count("messages"));
    crate::support::measured(
        "33",
        &format!(
            "20 ports and churn for 2 s: {messages} messages, {errors} errors no-port, no hang ({:.1?})",
            measured.took
        ),
    );
}

#[test]
fn out_of_descriptors_is_told_with_what_to_do() {
    let server = Server::start(&[]);
    let url = server.url("tcp");
    // They are there at the start, and gone while it runs.
    let loading = Loading::start(&url, &["-c100", "--churn", "-R200", "-d2s", "--warmup=0s", "--timeout=1s"]);
    server.wait_summary("it has begun", |summary| summary.get("messages_in") > 0);
    let limit = format!("--pid={}", loading.id());
    let limited = try_run(Command::new("prlimit").args([&limit, "--nofile=8:8"]));
    assert!(limited.is_ok_and(|ran| ran.code == Some(0)), "the limit can be set");
    let measured = loading.finish();
    assert!(measured.errors("no-descriptor") > 0, "{}", measured.shown());
    assert_eq!(measured.ran.code, Some(3), "{}", measured.shown());
    assert!(measured.ran.stderr.contains("because of a limit of this machine"), "{}", measured.shown());
}
