//! Goal: wrong usage is answered in plain words with exit code 2 and nothing bound, a failure at run time with 1; stdout holds the
//! endpoints and nothing else; and the log on stderr neither blocks nor ends the server, nor lets a client write to a terminal.
//!
//! Method: the built binary, as a user starts it: a table of mistakes with the words that the answer must have, and standard streams
//! that are closed, full, or read by nobody.
#![cfg(feature = "cli")]

mod support;

use std::io::Read;
use std::net::{SocketAddr, TcpListener};
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::Signal::SIGTERM;
use support::{Client, PATIENCE, Process, Ran, Server, acknowledged, cooee, finish, len32, run, wait_until};

/// Runs `cooee serve`, which is expected not to.
fn serve_in_vain(args: &[&str]) -> Ran {
    let ran = run(&mut cooee(&[&["serve"], args].concat()), b"");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "", "nothing listens: {ran:?}");
    ran
}

#[test]
fn wrong_usage_says_what_is_right() {
    // An address that is taken comes first: had anything been bound before all was checked, the exit code would be 1.
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = format!("tcp://{}", taken.local_addr().unwrap());
    let utf16 = "can be decoded but not encoded";
    let table: &[(&[&str], &[&str])] = &[
        (&["http://127.0.0.1:0"], &["'http'", "tcp, udp, unix and unixgram"]),
        (&["127.0.0.1"], &["port is missing", "127.0.0.1:9000"]),
        (&["tcp://127.0.0.1:70000"], &["70000", "0 to 65535"]),
        (&["tcp://127.0.0.1:http"], &["'http' is not a port"]),
        (&["tcp://::1:0"], &["brackets"]),
        (&["unix://relative/path"], &["absolute"]),
        (&["tcp://127.0.0.1:0?colour=red"], &["'colour'", "mode, framing, max-frame, encoding"]),
        (&["tcp://127.0.0.1:0?mode"], &["KEY=VALUE"]),
        (&["tcp://127.0.0.1:0?mode=ack&mode=echo"], &["twice"]),
        (&["tcp://127.0.0.1:0?mode=shout"], &["mode=shout", "echo, ack and discard"]),
        (&["tcp://127.0.0.1:0?framing=xml"], &["chunk, line and len32"]),
        (&["tcp://127.0.0.1:0?bye=wave"], &["ignore, close and stop"]),
        (&["tcp://127.0.0.1:0?encoding=klingon"], &["klingon", "gb18030"]),
        (&["tcp://127.0.0.1:0?encoding=utf-16"], &["utf-16", utf16]),
        (&["tcp://127.0.0.1:0?max-frame=0"], &["at least 1"]),
        (&["--encoding=utf-16le", "tcp://127.0.0.1:0"], &["utf-16le", utf16]),
        (&["--mode=ack", "--encoding=latin1", "tcp://127.0.0.1:0"], &["cannot hold '数'"]),
        (&["--mode=ack", "--ack-format=none", "tcp://127.0.0.1:0"], &["exactly one {}"]),
        (&["--mode=shout"], &["echo, ack and discard"]),
        (&["--framing=xml"], &["chunk, line and len32"]),
        (&["--bye=wave"], &["ignore, close and stop"]),
        (&["--idle-timeout=soon"], &["250ms, 30s, 5m"]),
        (&["--busy-poll=always"], &["--busy-poll", "250ms, 30s, 5m"]),
        (&["--busy-poll=1ns"], &["at least 1us, or 0"]),
        (&["--write-limit=lots"], &["64KiB"]),
        (&["--backlog=0"], &["at least 1"]),
        (&["--max-connections=many"], &["many"]),
        (&["--no-such-flag"], &["--no-such-flag", "--help"]),
        (&["-v", "-q"], &["cannot be used with"]),
    ];
    for (args, words) in table {
        let ran = serve_in_vain(&[&[taken.as_str()], *args].concat());
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        for word in *words {
            assert!(ran.stderr.contains(word), "{args:?} is not answered with '{word}': {}", ran.stderr);
        }
    }
}

#[test]
fn an_endpoint_that_cannot_be_served_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let listener = TcpListener::bind(taken).unwrap();
    let endpoint = format!("tcp://{taken}");
    // The first could be bound, and is given back.
    let ran = serve_in_vain(&["tcp://127.0.0.1:0", &endpoint]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(&format!("cannot listen on '{endpoint}'")), "{ran:?}");
    assert!(ran.stderr.contains("address in use"), "{ran:?}");
    drop(listener);

    // TEST-NET-1 (RFC 5737) is nobody's address.
    let ran = serve_in_vain(&["tcp://192.0.2.1:0"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("'tcp://192.0.2.1:0'"), "{ran:?}");
    assert!(ran.stderr.contains("not an address of this machine"), "{ran:?}");

    let ran = serve_in_vain(&["tcp://no-such-host.invalid:0"]);
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains("no such host: no-such-host.invalid"), "{ran:?}");
}

#[test]
fn help_tells_the_defaults() {
    let ran = run(&mut cooee(&["serve", "--help"]), b"");
    assert_eq!(ran.code, Some(0));
    // However wide it is wrapped.
    let help = String::from_utf8(ran.stdout).unwrap().split_whitespace().collect::<String>();
    for word in [
        "[default: 127.0.0.1:9000]",
        "[default: echo]",
        "[default: chunk]",
        "[default: 64KiB]",
        "[default: utf-8]",
        "[default: 数据[{}]收到了!]",
        "[default: 4096]",
        "[default: 300s]",
        "[default: 30s]",
        "[default: 128MiB]",
        "[default: 10s]",
    ] {
        assert!(help.contains(&word.replace(' ', "")), "{word}:\n{help}");
    }
    let ran = run(&mut cooee(&["--version"]), b"");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("cooee {}\n", env!("CARGO_PKG_VERSION")));
    let ran = run(&mut cooee(&[]), b"");
    assert_eq!((ran.code, ran.stdout.len()), (Some(2), 0), "{ran:?}");
    assert!(ran.stderr.contains("serve") && ran.stderr.contains("send"), "{ran:?}");
}

#[test]
fn stdout_holds_one_line_an_endpoint_and_nothing_else() {
    let server = Server::start(&[
        "-vv",
        "--log-messages",
        "tcp://127.0.0.1:0",
        "tcp://localhost:0?mode=ack",
        "tcp://[::1]:0?mode=discard",
        "udp://127.0.0.1:0",
    ]);
    for address in server.addresses() {
        let mut client = Client::connect(address);
        client.send(b"hello");
        client.finish();
    }
    let stdout = server.stdout();
    let lines: Vec<&str> = stdout.lines().collect();
    assert!(lines.len() >= 4, "{lines:?}");
    for line in &lines {
        let rest = line.strip_prefix("listening ").unwrap_or_else(|| panic!("{lines:?}"));
        let (endpoint, mode) = rest.split_once(" mode=").unwrap_or_else(|| panic!("{lines:?}"));
        let (_, address) = endpoint.split_once("://").unwrap();
        assert_ne!(address.parse::<SocketAddr>().unwrap().port(), 0, "the real port: {line}");
        assert!(["echo", "ack", "discard"].contains(&mode), "{line}");
    }
    assert_eq!(lines.iter().filter(|line| line.ends_with("mode=echo")).count(), 2, "{lines:?}");
    let before = stdout.clone();
    server.signal(nix::sys::signal::Signal::SIGUSR1);
    server.wait_log("accepted=");
    assert_eq!(server.stdout(), before);
}

#[test]
fn host_and_port_alone_serve_tcp_and_udp_on_one_port() {
    let server = Server::start_command(&mut cooee(&["serve", "127.0.0.1:0"]), 2);
    let address = server.address();
    assert_eq!(server.stdout(), format!("listening tcp://{address} mode=echo\nlistening udp://{address} mode=echo\n"));
}

/// Starts `cooee serve` on a port that is known beforehand, for a server whose stdout cannot be read.
fn serve_on_known_port(args: &[&str], streams: impl Fn(&mut std::process::Command)) -> (Process, SocketAddr) {
    // The port is free now; another process may take it first, and then this is tried again.
    for _ in 0..20 {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let mut command = cooee(&[&["serve", &format!("tcp://{address}")], args].concat());
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        streams(&mut command);
        let mut process = Process::spawn(&mut command);
        let listens = support::holds_within(PATIENCE, || {
            process.exit_within(Duration::ZERO).is_some() || std::net::TcpStream::connect(address).is_ok()
        });
        if listens && process.exit_within(Duration::ZERO).is_none() {
            return (process, address);
        }
    }
    panic!("no server on any port");
}

/// The writing end of a pipe that nobody reads any more.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

fn check_serves_and_drains(mut process: Process, address: SocketAddr) {
    let mut client = Client::connect(address);
    client.echo(b"served all the same");
    assert_eq!(client.finish(), b"");
    process.signal(SIGTERM);
    assert_eq!(process.exit_within(PATIENCE).expect("it drains").code(), Some(0));
}

#[test]
fn standard_streams_that_nobody_reads_are_no_reason_not_to_serve() {
    let (process, address) = serve_on_known_port(&["-vv"], |command| {
        command.stdout(closed_pipe());
    });
    check_serves_and_drains(process, address);
    let (process, address) = serve_on_known_port(&["-vv", "--log-messages"], |command| {
        command.stderr(closed_pipe());
    });
    check_serves_and_drains(process, address);
    // A disk that is full.
    let (process, address) = serve_on_known_port(&["-vv", "--log-messages"], |command| {
        command.stderr(std::fs::File::options().write(true).open("/dev/full").unwrap());
    });
    check_serves_and_drains(process, address);
    // No descriptors 0, 1 and 2 at all.
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let line = format!("exec \"$0\" serve -vv tcp://{address} <&- >&- 2>&-");
    let mut command = std::process::Command::new("sh");
    command.args(["-c", &line, env!("CARGO_BIN_EXE_cooee")]);
    let process = Process::spawn(&mut command);
    wait_until("it listens", || std::net::TcpStream::connect(address).is_ok());
    check_serves_and_drains(process, address);
}

#[test]
fn a_log_that_nobody_reads_does_not_hold_the_loop_up() {
    let (mut reader, writer) = std::io::pipe().unwrap();
    let args = ["--log-messages", "--framing=len32", "--idle-timeout=0"];
    let (process, address) = serve_on_known_port(&args, |command| {
        command.stderr(writer.try_clone().unwrap());
    });
    drop(writer);
    let mut client = Client::connect(address);
    // Far more than a pipe holds, in lines as long as they get. The server goes on without its log.
    let message = len32(&[b'm'; 20_000]);
    for _ in 0..60 {
        client.echo(&message);
    }
    // Room for one page: the next line comes with the number of those that were lost, and must not block the loop either.
    for _ in 0..20 {
        reader.read_exact(&mut [0; 4096]).unwrap();
        client.echo(&message);
        client.echo(&len32(b"short"));
        client.echo(&message);
    }
    let reading = support::Collected::of(reader);
    wait_until("lost lines are told", || {
        client.echo(&message);
        reading.count("lines before this one were lost") > 0
    });
    assert!(reading.text().lines().all(|line| line.len() < 4096), "a line fits into a page of a pipe");
    assert_eq!(client.finish(), b"");
    let mut process = process;
    process.signal(SIGTERM);
    assert_eq!(process.exit_within(PATIENCE).expect("it drains").code(), Some(0));
}

/// Characters that do something to the place where they are shown.
fn has_power(character: char) -> bool {
    let bidirectional =
        matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || bidirectional || matches!(character, '\u{2028}' | '\u{2029}')
}

#[test]
fn no_byte_of_a_client_has_power_over_a_terminal() {
    let labels = ["utf-8", "gbk", "iso-2022-jp", "windows-1252", "shift_jis"];
    let endpoints: Vec<String> = labels
        .iter()
        .map(|label| format!("tcp://127.0.0.1:0?framing=len32&log-messages=true&encoding={label}"))
        .collect();
    let server = Server::start(&endpoints.iter().map(String::as_str).collect::<Vec<_>>());
    let all: Vec<u8> = (0..=255).collect();
    let nasty = [
        all.as_slice(),
        b"\x1b]0;title\x07\x1b[2J\x1b[31m",
        b"forged\n2026-01-01T00:00:00Z ERROR [cooee] all is lost\r\n",
        b"\xc2\x9b31m\xc2\x85",
        "\u{202e}txt.exe\u{2066}\u{2069}\u{200f}\u{61c}\u{2028}\u{2029}\u{feff}".as_bytes(),
        "plain 数据".as_bytes(),
        b"",
        &[0x1b; 10_000],
    ];
    for address in server.addresses() {
        let mut client = Client::connect(address);
        for message in nasty {
            client.echo(&len32(message));
        }
        assert_eq!(client.finish(), b"");
    }
    let log = server.stop();
    let lines: Vec<&str> = log.split('\n').collect();
    for line in &lines {
        assert!(!line.chars().any(has_power), "{}", line.escape_debug());
        assert!(line.len() < 4200, "a line of {} bytes", line.len());
    }
    let messages: Vec<&&str> = lines.iter().filter(|line| line.contains("message from 127.0.0.1:")).collect();
    assert_eq!(messages.len(), labels.len() * nasty.len(), "one line each:\n{log}");
    assert!(!lines.iter().any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR")), "{log}");
    // What is no danger is shown as it is.
    assert!(messages.iter().any(|line| line.ends_with(": plain 数据")), "{log}");
}

#[test]
fn messages_are_decoded_for_the_log_and_logged_only_where_that_was_asked_for() {
    let server = Server::start(&["tcp://127.0.0.1:0?log-messages=true&encoding=gbk&framing=line", "tcp://127.0.0.1:0"]);
    let addresses = server.addresses();
    let mut client = Client::connect(addresses[0]);
    let peer = client.stream.local_addr().unwrap();
    client.echo(b"\xc4\xe3\xba\xc3\n");
    Client::connect(addresses[1]).echo(b"secret");
    drop(client);
    let log = server.stop();
    assert!(log.contains(&format!("message from {peer} to tcp://{}: 你好", addresses[0])), "{log}");
    assert!(!log.contains("secret"), "{log}");
}

#[test]
fn the_level_comes_from_the_flags_or_else_from_rust_log() {
    // What each level is known by: the story of the reactor, a connection's end, the summary.
    let told = |args: &[&str], variable: Option<&str>| {
        let mut command = cooee(&[&["serve", "tcp://127.0.0.1:0?mode=ack"], args].concat());
        if let Some(level) = variable {
            command.env("RUST_LOG", level);
        }
        let server = Server::start_command(&mut command, 1);
        let mut client = server.connect();
        client.ask(b"hi", &acknowledged(b"hi"));
        assert_eq!(client.finish(), b"");
        let log = server.stop();
        [log.contains("TRACE"), log.contains("DEBUG"), log.contains("accepted=1")]
    };
    let (trace, debug, info, quiet) =
        ([true, true, true], [false, true, true], [false, false, true], [false, false, false]);
    assert_eq!(told(&[], None), info);
    assert_eq!(told(&["-v"], None), debug);
    assert_eq!(told(&["-vv"], None), trace);
    assert_eq!(told(&["-q"], None), quiet);
    assert_eq!(told(&["-qq"], None), quiet);
    assert_eq!(told(&["--log-level=debug"], None), debug);
    assert_eq!(told(&["--log-level=off"], None), quiet);
    assert_eq!(told(&[], Some("trace")), trace);
    assert_eq!(told(&[], Some("error")), quiet);
    assert_eq!(told(&[], Some("no such level")), info);
    assert_eq!(told(&["-q"], Some("trace")), quiet, "a flag outranks the variable");
    assert_eq!(told(&["-v"], Some("error")), debug, "a flag outranks the variable");
}

#[test]
fn a_connection_is_told_at_debug_from_its_beginning_to_its_end_with_the_reason() {
    let server = Server::start(&["-v"]);
    let client = server.connect();
    let peer = client.stream.local_addr().unwrap();
    assert_eq!(client.finish(), b"");
    let log = server.stop();
    assert!(log.contains(&format!("accepted {peer}")), "{log}");
    assert!(log.contains(&format!("closed {peer}: peer-closed")), "{log}");
}

#[test]
fn what_is_open_to_a_network_is_warned_of() {
    let server = Server::start(&["tcp://127.0.0.1:0", "tcp://0.0.0.0:0"]);
    server.wait_log(&format!("tcp://{} is open to every network of this machine", server.addresses()[1]));
    assert_eq!(server.logged("is open to"), 1, "loopback is not: {}", server.log());
}

#[test]
fn a_help_that_nobody_reads_ends_quietly() {
    let mut command = cooee(&["serve", "--help"]);
    command.stdin(Stdio::null()).stdout(closed_pipe()).stderr(Stdio::piped());
    let ran = finish(Process::spawn(&mut command));
    assert_eq!(ran.stderr, "", "{ran:?}");
}
