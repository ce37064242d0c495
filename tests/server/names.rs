//! Goal: a name stands for several addresses, and the server lives at one of them. Whoever dials finds it, with every
//! transport and in every mode, and the search costs no message, counts for no figure, and calls no right server wrong.
//!
//! Method: a network namespace of the test's own, where nobody but the test's servers listens, and a hosts file of its
//! own, in which a name has `::1` in front of `127.0.0.1` (the resolver gives the IPv6 address first, RFC 6724). Making
//! them needs root.

use std::fs;
use std::io::Write;
use std::net::{Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{
    Hosts, Loading, Measured, Network, Process, Server, cooee, descriptors, finish, load_command, run, skip, wait_until,
};
use nix::sys::signal::Signal;
use socket2::{Domain, Socket, Type};

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
        // A socket at an address that was left is none of them.
        let connections =
            case.iter().find_map(|flag| flag.strip_prefix("-c")).map_or(1, |count| count.parse().unwrap());
        assert_eq!(measured.count("connections"), connections, "{scheme} {case:?}: {}", measured.shown());
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

/// A network whose one name server is asked and never answers.
struct SilentNameServer {
    network: Network,
    socket: UdpSocket,
    folder: tempfile::TempDir,
}

impl SilentNameServer {
    fn start() -> Option<SilentNameServer> {
        let network = Network::empty()?;
        if !Path::new("/etc/resolv.conf").exists() {
            skip("there is no /etc/resolv.conf to put another one in the place of");
            return None;
        }
        let socket = network.within(|| UdpSocket::bind("127.0.0.1:53").expect("the network is the test's own"));
        Some(SilentNameServer { network, socket, folder: tempfile::tempdir().unwrap() })
    }

    /// The same command there, with a resolver that asks once and waits for so many seconds.
    fn enter(&self, program: &Command, timeout: u32) -> Command {
        const SCRIPT: &str = r#"mount --bind "$1" /etc/resolv.conf && shift && exec "$@""#;
        let file = self.folder.path().join(format!("resolv{timeout}"));
        fs::write(&file, format!("nameserver 127.0.0.1\noptions timeout:{timeout} attempts:1\n")).unwrap();
        let mut command = Command::new("unshare");
        command.args(["--map-root-user", "--mount", "sh", "-c", SCRIPT, "sh"]).arg(file);
        self.network.enter(command.arg(program.get_program()).args(program.get_args()))
    }
}

#[test]
fn a_name_server_that_is_silent_is_left_after_the_resolvers_own_time() {
    let Some(server) = SilentNameServer::start() else { return };
    let send = cooee(&["send", "elsewhere.test:9000", "-m", "hi"]);
    let ended = run(&mut server.enter(&send, 1), b"");
    assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("elsewhere.test"), "{ended:?}");
    server.socket.set_nonblocking(true).unwrap();
    assert!(server.socket.recv(&mut [0; 512]).is_ok(), "it was not asked");
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

#[test]
fn a_name_is_served_at_the_addresses_that_the_machine_has() {
    let (Some(network), Some(hosts)) =
        (Network::empty(), Hosts::of("::1 here.test\n127.0.0.1 here.test\n::1 six.test\n"))
    else {
        return;
    };
    network.sh("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6");
    let enter = |arguments: &[&str]| network.enter(&hosts.enter(&cooee(arguments)));
    let server = Server::start_command(&mut enter(&["serve", "here.test:9000"]), 2);
    assert_eq!(server.urls(), ["tcp://127.0.0.1:9000", "udp://127.0.0.1:9000"]);
    server.wait_log("'here.test:9000' is served without ::1: IPv6 is off");
    let ended = run(&mut enter(&["send", "here.test:9000", "-m", "hi"]), b"");
    assert_eq!((ended.code, ended.printed()), (Some(0), "hi\n"), "{ended:?}");
    assert_eq!(server.stop().matches("is served without").count(), 1, "an address is told of once");
    for command in ["send", "load"] {
        let ended = run(&mut enter(&[command, "[::1]:9000"]), b"");
        assert!(ended.code == Some(1) && ended.stderr.contains("IPv6 is off"), "{command}: {ended:?}");
    }
    for (endpoint, words) in
        [("six.test:9000", "IPv6 is off"), ("[::1]:9000", "IPv6 is off"), ("192.0.2.1:9", "not an address")]
    {
        let ended = run(&mut enter(&["serve", endpoint]), b"");
        assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{ended:?}");
        assert!(
            ended.stderr.contains(&format!("cannot listen on '{endpoint}'")) && ended.stderr.contains(words),
            "{ended:?}"
        );
    }
}

#[test]
fn both_wildcards_share_a_port_where_one_command_asks_for_them() {
    let Some(place) = Place::start() else { return };
    for order in [["0.0.0.0:9000", "[::]:9000"], [":9000", "*:9000"]] {
        let server = Server::start_command(&mut place.network.enter(&cooee(&["serve", order[0], order[1]])), 4);
        for host in ["127.0.0.1", "[::1]"] {
            for scheme in ["tcp", "udp"] {
                let url = format!("{scheme}://{host}:9000");
                let ended = run(&mut place.enter(&cooee(&["send", &url, "-m", "hi"])), b"");
                assert_eq!((ended.code, ended.printed()), (Some(0), "hi\n"), "{order:?} {url}: {ended:?}");
            }
        }
        // Each is served by the socket of its family: the other one would tell of a mapped address.
        server.stop();
    }
    // Alone, it takes both families.
    let server = Server::start_command(&mut place.network.enter(&cooee(&["serve", "tcp://[::]:9000"])), 1);
    let ended = run(&mut place.enter(&cooee(&["send", "127.0.0.1:9000", "-m", "hi"])), b"");
    assert_eq!((ended.code, ended.printed()), (Some(0), "hi\n"), "{ended:?}");
    server.stop();
}

#[test]
fn whatever_holds_a_port_is_told_as_what_it_is() {
    let Some(place) = Place::start() else { return };
    let serve = |endpoint: &str| {
        let ended = run(&mut place.network.enter(&cooee(&["serve", endpoint])), b"");
        assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.contains("address in use"), "{ended:?}");
        ended.stderr
    };
    let server = place.serve(&["tcp://127.0.0.1:9000", "udp://127.0.0.1:9000"]);
    for endpoint in ["tcp://127.0.0.1:9000", "udp://0.0.0.0:9000", "tcp://[::]:9000"] {
        let told = serve(endpoint);
        assert!(told.contains("another server (") && told.contains(&format!("process {})", server.id())), "{told}");
    }
    let (client, socket) = place.network.within(|| {
        let client = TcpStream::connect("127.0.0.1:9000").unwrap();
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect("127.0.0.1:9000").unwrap();
        (client, socket)
    });
    let outgoing = client.local_addr().unwrap();
    for endpoint in [format!("tcp://{outgoing}"), format!("udp://{}", socket.local_addr().unwrap())] {
        let told = serve(&endpoint);
        assert!(told.contains("an outgoing connection") && !told.contains("another server"), "{told}");
    }
    // Who ends first keeps the port for a minute (RFC 9293, 3.6.1).
    drop(client);
    let rests = || {
        place
            .network
            .sh("cat /proc/net/tcp")
            .lines()
            .any(|line| line.contains(&format!(":{:04X} ", outgoing.port())) && line.contains(" 06 "))
    };
    crate::support::wait_until("the connection has ended on both sides", rests);
    let told = serve(&format!("tcp://{outgoing}"));
    assert!(told.contains("TIME_WAIT") && !told.contains("another server"), "{told}");
    let _bound = place.network.within(|| {
        let bound = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        bound.bind(&SocketAddr::from(([127, 0, 0, 1], 9009)).into()).unwrap();
        bound
    });
    let told = serve("tcp://127.0.0.1:9009");
    assert!(told.contains("neither listens nor is connected") && !told.contains("another server"), "{told}");
    server.stop();
}

#[test]
fn a_zone_is_understood_in_every_form_and_by_every_command() {
    let Some(place) = Place::start() else { return };
    place.network.sh("ip addr add fe80::7/64 dev lo");
    let index: u32 = place.network.sh("ip -o link show lo | cut -d: -f1").trim().parse().unwrap();
    let zones = ["%lo".to_owned(), "%25lo".to_owned(), format!("%{index}"), format!("%25{index}")];
    for zone in &zones {
        let endpoint = format!("[fe80::7{zone}]:9000");
        let server = Server::start_command(&mut place.network.enter(&cooee(&["serve", &endpoint])), 2);
        assert_eq!(server.urls()[0], format!("tcp://[fe80::7%{index}]:9000"));
        for zone in &zones {
            let server = format!("fe80::7{zone}");
            let ended = run(&mut place.enter(&cooee(&["send", &format!("[{server}]:9000"), "-m", "hi"])), b"");
            assert_eq!((ended.code, ended.printed()), (Some(0), "hi\n"), "{ended:?}");
            let url = format!("udp://[{server}]:9000");
            let ended = run(&mut place.enter(&cooee(&["load", &url, "-n5", "--warmup=0", "--source", &server])), b"");
            assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        }
        server.stop();
    }
}

#[test]
fn a_name_server_that_is_silent_is_given_up_and_a_signal_ends_the_wait_for_it() {
    let Some(server) = SilentNameServer::start() else { return };
    let start = |timeout: u32, arguments: &[&str]| {
        let mut command = server.enter(&cooee(arguments), timeout);
        Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()))
    };
    let endpoint = "tcp://name.test:9000";
    for arguments in [&["load", endpoint][..], &["serve", endpoint]] {
        let ran = finish(start(1, arguments));
        assert_eq!(ran.code, Some(1), "{arguments:?}: {ran:?}");
        assert!(ran.stderr.contains("name.test"), "{arguments:?}: {ran:?}");
        // The longest time that `resolv.conf(5)` allows.
        let mut process = start(30, arguments);
        let program = format!("/proc/{}/cmdline", process.id());
        wait_until("it runs", || fs::read_to_string(&program).is_ok_and(|words| words.contains("\0tcp://name")));
        wait_until("it looks the name up", || descriptors(process.id()) > 3);
        process.signal(Signal::SIGTERM);
        let ended = process.exit_within(Duration::from_secs(20)).expect("a signal ends it");
        assert_eq!(ended.signal(), Some(Signal::SIGTERM as i32), "{arguments:?}: {ended}");
    }
}
