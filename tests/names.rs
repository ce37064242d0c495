//! Goal: a name stands for several addresses, and the server lives at one of them. Whoever dials finds it, with every transport and in every
//! mode, and the search costs no message, counts for no figure, and calls no right server wrong.
//!
//! Method: a network namespace of the test's own, where nobody but the test's servers listens, and a hosts file of its own, in which a name
//! has `::1` in front of `127.0.0.1` (the resolver gives the IPv6 address first, RFC 6724). Making them needs root.
#![cfg(feature = "cli")]

mod support;

use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::Command;
use std::time::Duration;

use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};
use support::{Hosts, Loading, Measured, Network, Server, cooee, load_command, run, skip};

/// A run that is over long before anybody would call it a hang.
const SOON: Duration = Duration::from_secs(8);

/// Where the name leads: first to an address at which nobody listens, unless the test puts somebody there.
struct Place {
    network: Network,
    hosts: Hosts,
}

impl Place {
    fn start() -> Option<Place> {
        let network = Network::empty()?;
        let hosts = Hosts::of("::1 many.test\n127.0.0.1 many.test\n")?;
        if network.within(|| UdpSocket::bind((Ipv6Addr::LOCALHOST, 0))).is_err() {
            skip("no IPv6 on this machine");
            return None;
        }
        Some(Place { network, hosts })
    }

    fn enter(&self, command: &Command) -> Command {
        self.network.enter(&self.hosts.enter(command))
    }

    fn serve(&self, arguments: &[&str]) -> Server {
        let arguments = [&["serve", "--udp-rate=0"], arguments].concat();
        let endpoints = arguments.iter().filter(|argument| argument.contains("://")).count();
        Server::start_command(&mut self.network.enter(&cooee(&arguments)), endpoints)
    }

    fn loading(&self, scheme: &str, arguments: &[&str]) -> Loading {
        let url = format!("{scheme}://many.test:9000");
        Loading::start_command(&mut self.enter(&load_command(&url, arguments)))
    }

    fn load(&self, scheme: &str, arguments: &[&str]) -> Measured {
        self.loading(scheme, arguments).finish()
    }
}

/// Fails unless everything that was sent came back, and nothing went wrong.
#[track_caller]
fn assert_found(measured: &Measured, case: &[&str]) {
    let shown = measured.shown();
    assert!(measured.count("messages") > 0, "{case:?}: {shown}");
    assert_eq!(measured.count("messages"), measured.count("sent"), "{case:?}: {shown}");
    assert_eq!((measured.all_errors(), measured.count("lost")), (0, 0), "{case:?}: {shown}");
    // A busy machine may make the figures doubtful; the server is right all the same.
    assert!(matches!(measured.ran.code, Some(0 | 3)), "{case:?}: {shown}");
    assert!(measured.took < SOON, "{case:?}: {shown}");
}

#[test]
fn load_finds_the_address_that_serves_with_every_transport_and_in_every_mode() {
    let Some(place) = Place::start() else { return };
    let server = place.serve(&["tcp://127.0.0.1:9000", "udp://127.0.0.1:9000"]);
    let both: [&[&str]; 9] = [
        &["-n100"],
        &["-n100", "-c4"],
        &["-mhi", "-n20"],
        &["-d300ms", "-c4"],
        &["-R400", "-n100", "-c4"],
        &["--ramp=100:400/200ms", "-d400ms"],
        &["--pipeline=4", "-n100", "-c2"],
        &["--source=127.0.0.2", "-n20"],
        &["--source=127.0.0.2,::1,127.0.0.3", "-n20", "-c5"],
    ];
    let streams: [&[&str]; 9] = [
        &["--churn", "-n20"],
        &["--churn", "-n200", "-c4"],
        &["--churn", "-n20", "-mhi"],
        &["--churn", "-d300ms", "-c4"],
        &["--churn", "-n100", "-c4", "-R400"],
        &["--churn", "-n20", "--connect-rate=100"],
        &["--churn", "-n20", "--source=127.0.0.2,::1"],
        &["--connect-rate=100", "-c10", "-n20"],
        &["--expect=any", "--framing=line", "-n20"],
    ];
    let cases = both.iter().map(|case| ("udp", case)).chain(both.iter().chain(&streams).map(|case| ("tcp", case)));
    for (scheme, case) in cases {
        let measured = place.load(scheme, case);
        assert_found(&measured, case);
        let number = case.iter().find_map(|flag| flag.strip_prefix("-n")).map(|number| number.parse().unwrap());
        assert!(
            number.is_none_or(|number: u64| measured.count("messages") == number),
            "{case:?}: {}",
            measured.shown()
        );
    }
    server.stop();
}

#[test]
fn the_search_for_a_rate_finds_it_too() {
    let Some(place) = Place::start() else { return };
    let server = place.serve(&["tcp://127.0.0.1:9000", "udp://127.0.0.1:9000"]);
    // Each takes ten seconds: they run side by side, and none of them is asked how fast the server is.
    let modes = [("tcp", None), ("tcp", Some("--churn")), ("udp", None)].map(|(scheme, churn)| {
        let arguments: Vec<&str> = ["--slo=p99=2s", "-d1s", "-c4"].into_iter().chain(churn).collect();
        place.loading(scheme, &arguments)
    });
    for loading in modes {
        let measured = loading.finish_within(Duration::from_secs(60));
        let shown = measured.shown();
        let steps = measured.report["objective"]["steps"].as_array().unwrap_or_else(|| panic!("no steps: {shown}"));
        assert!(!steps.is_empty() && steps.iter().all(|step| step["verdict"] != "errors"), "{shown}");
        assert_eq!(measured.all_errors(), 0, "{shown}");
    }
    server.stop();
}

#[test]
fn each_message_has_a_connection_and_one_that_does_not_count_finds_the_address() {
    let Some(place) = Place::start() else { return };
    let server = place.serve(&["tcp://127.0.0.1:9000"]);
    let measured = place.load("tcp", &["--churn", "-n20"]);
    assert_found(&measured, &["--churn"]);
    let summary = server.drain();
    assert_eq!((summary.get("accepted"), summary.get("bytes_in")), (21, 21 * 64), "{}", measured.shown());
}

#[test]
fn send_finds_it_with_every_transport() {
    let Some(place) = Place::start() else { return };
    let server = place.serve(&["tcp://127.0.0.1:9000", "udp://127.0.0.1:9000"]);
    for scheme in ["tcp", "udp"] {
        let url = format!("{scheme}://many.test:9000");
        for framing in ["chunk", "line"] {
            let given = cooee(&["send", &url, "--framing", framing, "-m", "one", "-m", "two"]);
            let typed = cooee(&["send", &url, "--framing", framing]);
            for (command, input) in [(given, ""), (typed, "one\ntwo\n")] {
                let ended = run(&mut place.enter(&command), input.as_bytes());
                assert_eq!((ended.code, ended.printed()), (Some(0), "one\ntwo\n"), "{scheme} {framing}: {ended:?}");
            }
        }
        let ended = run(&mut place.enter(&cooee(&["send", &url, "--raw"])), b"raw");
        assert_eq!((ended.code, ended.printed()), (Some(0), "raw"), "{scheme}: {ended:?}");
    }
    server.stop();
}

#[test]
fn nobody_at_any_address_is_told_as_that() {
    let Some(place) = Place::start() else { return };
    for (scheme, case) in [("tcp", &["-n20"][..]), ("tcp", &["--churn", "-n20", "-c4"]), ("udp", &["-n20", "-c4"])] {
        let measured = place.load(scheme, case);
        let shown = measured.shown();
        assert_eq!((measured.ran.code, measured.count("messages")), (Some(1), 0), "{scheme} {case:?}: {shown}");
        assert!(measured.errors("refused") >= 1 && measured.took < SOON, "{scheme} {case:?}: {shown}");
    }
    for scheme in ["tcp", "udp"] {
        let ended = run(&mut place.enter(&cooee(&["send", &format!("{scheme}://many.test:9000"), "-m", "hi"])), b"");
        assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{scheme}: {ended:?}");
        assert!(ended.stderr.contains("refused"), "{scheme}: {ended:?}");
    }
}

#[test]
fn a_name_server_that_is_silent_is_left_after_the_resolvers_own_time() {
    const SCRIPT: &str = r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;
    let Some(place) = Place::start() else { return };
    let silent = place.network.within(|| UdpSocket::bind("127.0.0.1:53").unwrap());
    let mut configuration = tempfile::NamedTempFile::new().unwrap();
    configuration.write_all(b"nameserver 127.0.0.1\noptions timeout:1 attempts:1\n").unwrap();
    let send = cooee(&["send", "elsewhere.test:9000", "-m", "hi"]);
    let mut entering = Command::new("unshare");
    entering.args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(configuration.path());
    entering.arg(send.get_program()).args(send.get_args());
    let ended = run(&mut place.network.enter(&entering), b"");
    assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("elsewhere.test"), "{ended:?}");
    silent.set_nonblocking(true).unwrap();
    assert!(silent.recv(&mut [0; 512]).is_ok(), "it was not asked");
}

#[test]
fn an_address_that_accepts_nobody_is_left_after_the_time_out_which_no_message_pays_for() {
    let Some(place) = Place::start() else { return };
    // With its backlog full, the kernel drops each SYN.
    let (_listener, _in_line) = place.network.within(|| {
        let address = SocketAddr::from((Ipv6Addr::LOCALHOST, 9000));
        let listener = Socket::new(Domain::IPV6, Type::STREAM, None).unwrap();
        listener.bind(&address.into()).unwrap();
        listener.listen(0).unwrap();
        (listener, TcpStream::connect(address).unwrap())
    });
    let server = place.serve(&["tcp://127.0.0.1:9000"]);
    for mode in [&["-c4"][..], &["-c4", "--churn"]] {
        let case = [&["-R200", "-n100", "--connect-timeout=700ms"], mode].concat();
        let measured = place.load("tcp", &case);
        assert_found(&measured, &case);
        assert!(measured.took >= Duration::from_millis(700), "{}", measured.shown());
        assert!(measured.latency("p50") < 0.3, "it waited for the time-out: {}", measured.shown());
    }
    let send = cooee(&["send", "tcp://many.test:9000", "-m", "hi", "--connect-timeout=700ms"]);
    let ended = run(&mut place.enter(&send), b"");
    assert_eq!((ended.code, ended.printed()), (Some(0), "hi\n"), "{ended:?}");
    server.stop();
}

#[test]
fn silence_of_datagrams_is_loss_and_leads_to_no_other_address() {
    let Some(place) = Place::start() else { return };
    let silent = place.network.within(|| UdpSocket::bind((Ipv6Addr::LOCALHOST, 9000)).unwrap());
    let server = place.serve(&["udp://127.0.0.1:9000"]);
    let measured = place.load("udp", &["-n5", "--timeout=200ms"]);
    assert_eq!((measured.ran.code, measured.count("lost")), (Some(1), 5), "{}", measured.shown());
    assert_eq!(server.drain().get("messages_in"), 0, "{}", measured.shown());
    drop(silent);
}

#[test]
fn a_server_that_comes_back_at_another_address_is_another_server() {
    let Some(place) = Place::start() else { return };
    let first = place.serve(&["tcp://127.0.0.1:9000"]);
    let loading = place.loading("tcp", &["-R200", "-c2", "-d2s", "--timeout=500ms", "--connect-timeout=500ms"]);
    first.wait_summary("the run has begun", |summary| summary.get("messages_in") > 20);
    first.signal(Signal::SIGKILL);
    drop(first);
    let second = place.serve(&["tcp://[::1]:9000"]);
    let measured = loading.finish();
    assert!(measured.errors("refused") >= 1, "{}", measured.shown());
    assert_eq!(second.drain().get("accepted"), 0, "{}", measured.shown());
}

#[test]
fn a_full_backlog_of_a_unix_server_is_waited_for_with_churn_too() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("slow");
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&socket2::SockAddr::unix(&path).unwrap()).unwrap();
    // One place for newcomers, where ten knock at once.
    listener.listen(0).unwrap();
    let listener = std::os::unix::net::UnixListener::from(std::os::fd::OwnedFd::from(listener));
    let echo = std::thread::spawn(move || {
        for _ in 0..200 {
            let (mut stream, _) = listener.accept()?;
            let mut message = [0; 64];
            std::io::Read::read_exact(&mut stream, &mut message)?;
            stream.write_all(&message)?;
        }
        std::io::Result::Ok(())
    });
    let url = format!("unix://{}", path.display());
    let mut command = load_command(&url, &["--churn", "-c10", "-n200"]);
    let measured = Loading::start_command(&mut command).finish();
    assert_found(&measured, &["--churn", "unix"]);
    assert_eq!(measured.count("messages"), 200, "{}", measured.shown());
    echo.join().unwrap().unwrap();
}
