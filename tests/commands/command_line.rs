//! Goal: wrong usage is answered in plain words with exit code 2 and nothing bound, a failure at run time with 1;
//! stdout holds the endpoints and nothing else; and the log on stderr tells what was asked for. (What becomes of the
//! program where nobody reads them is in `standard_streams.rs`, and what a client can write there in
//! `log_injection.rs`.)
//!
//! Method: the built binary, as a user starts it: a table of mistakes with the words that the answer must have.

use std::fs::File;
use std::net::{SocketAddr, TcpListener};
use std::process::{Command, Stdio};

use crate::support::{Client, Collected, PATIENCE, Process, Ran, Server, acknowledged, cooee, run, wait_until};
use nix::pty::openpty;

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
        (&["tpc://127.0.0.1:0"], &["did you mean 'tcp'?"]),
        (&["localhost"], &["port is missing: localhost:9000"]),
        (&["tcp://::1:9000"], &["in brackets, before its port: [::1]:9000"]),
        (&["./a.sock"], &["unix:///PATH"]),
        (&["unix:a.sock"], &["unix:///a.sock"]),
        (&["tcp://[fe80::1]:0"], &["needs its interface", "[fe80::1%"]),
        (&["tcp://[fe80::1%nope]:0"], &["no interface 'nope'", "lo"]),
        (&["udp://224.0.0.1:0"], &["multicast", "the address of one"]),
        (&["[ff02::1%lo]:0"], &["multicast"]),
        (&["255.255.255.255:0"], &["broadcast"]),
        (&["udp://127.255.255.255:0"], &["broadcast"]),
        (&["127.0.0.1:9", "tcp://127.0.0.1:9"], &["'127.0.0.1:9' of the same command has tcp://127.0.0.1:9"]),
        (&["[::]:9", "127.0.0.1:9"], &["takes IPv4 too"]),
        (&["tcp://127.0.0.1:0?mdoe=ack"], &["did you mean 'mode'?"]),
        (&["tcp://127.0.0.1:0?mode=akc"], &["did you mean 'ack'?"]),
        (&["tcp://127.0.0.1:0?file-mode=0600"], &["file-mode", "the file of a Unix socket"]),
        (&["unix://@name?file-owner=0"], &["file-owner", "the file of a Unix socket"]),
        (&["unix:///s?file-mode=u=rw"], &["octal digits"]),
        (&["unix:///s?file-group=no-such-group"], &["no such group"]),
        (&["--file-mode=0600"], &["no endpoint has one"]),
        (&["--mode=discrad"], &["did you mean 'discard'?"]),
        (&["--framing=lines"], &["did you mean 'line'?"]),
        (&["--log-level=inof"], &["did you mean 'info'?"]),
        (&["--mod=ack"], &["'--mode'"]),
        (&["--keepalive=10h"], &["at most 32767s"]),
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
        (&["--max-connections=many"], &["many", "a whole number"]),
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
fn clients_are_told_the_form_to_use() {
    for command in ["send", "load"] {
        for (endpoint, words) in [
            (":9000", &["for servers", "127.0.0.1:9000 or [::1]:9000"][..]),
            ("udp:*:9000", &["udp://127.0.0.1:9000"]),
            ("tcp://127.0.0.1:0", &["port 0"]),
            ("udp://224.0.0.1:9", &["multicast"]),
            ("255.255.255.255:9", &["broadcast"]),
            ("[fe80::1]:9", &["needs its interface"]),
            ("ucp://127.0.0.1:9", &["did you mean 'udp'?"]),
            ("127.0.0.1:9?mode=ack", &["the server's"]),
        ] {
            let ran = run(&mut cooee(&[command, endpoint]), b"");
            assert_eq!(ran.code, Some(2), "{command} {endpoint}: {ran:?}");
            for word in words {
                assert!(ran.stderr.contains(word), "{command} {endpoint} is not answered with '{word}': {ran:?}");
            }
        }
    }
    for (source, word) in [
        ("fe80::1", "needs its interface"),
        ("fe80::1%25nope", "no interface 'nope'"),
        ("here", "an IP address is wanted"),
        ("224.0.0.1", "many hosts"),
        ("192.0.2.1", "not an address of this machine"),
    ] {
        let ran = run(&mut cooee(&["load", "127.0.0.1:9", "--source", source]), b"");
        assert!(ran.code == Some(2) && ran.stderr.contains(word), "{source}: {ran:?}");
    }
}

#[test]
fn short_spellings_are_endpoints() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s.sock").display().to_string();
    let server = Server::start_command(&mut cooee(&["serve", "tcp:0", "*:0", "udp:[::ffff:127.0.0.1]:0", &path]), 5);
    let urls = server.urls();
    let address = |url: &str| url.rsplit_once(':').unwrap().0.to_owned();
    let places: Vec<String> = urls[..4].iter().map(|url| address(url)).collect();
    assert_eq!(places, ["tcp://127.0.0.1", "tcp://0.0.0.0", "udp://0.0.0.0", "udp://127.0.0.1"]);
    assert_eq!(urls[4], format!("unix://{path}"));
    assert_eq!(server.logged("0.0.0.0:"), 2, "both are warned of: {}", server.log());
    let port = urls[0].rsplit_once(':').unwrap().1;
    for short in [port.to_owned(), format!("tcp:{port}"), path.clone(), format!("unix:{path}")] {
        let ran = run(&mut cooee(&["send", &short, "-m", "hi"]), b"");
        assert_eq!((ran.code, ran.printed()), (Some(0), "hi\n"), "{short}: {ran:?}");
        let ran = run(&mut cooee(&["load", "-n3", "--warmup=0", &short]), b"");
        assert!(matches!(ran.code, Some(0 | 3)), "{short}: {ran:?}");
    }
    server.stop();
}

/// The limit of descriptors below which `command` runs.
fn with_descriptors(limit: u32, command: &[&str]) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &format!("ulimit -n {limit}; exec \"$@\""), "sh"]);
    let command = cooee(command);
    shell.arg(command.get_program()).args(command.get_args()).env_remove("RUST_LOG");
    shell
}

#[test]
fn no_failure_is_told_in_the_systems_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let inside = |name: &str| folder.path().join(name).display().to_string();
    let (file, gram, long) = (inside("file"), inside("gram"), inside(&"x".repeat(110)));
    std::fs::write(&file, "no report").unwrap();
    let _gram = std::os::unix::net::UnixDatagram::bind(&gram).unwrap();
    let (unix, nowhere) = (|path: &str| format!("unix://{path}"), inside("no/where"));
    let (file_url, gram_url, long_url, nowhere_url) = (unix(&file), unix(&gram), unix(&long), unix(&nowhere));
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap().to_string()
    };
    let compared = "a=/no/such/program {port}";
    let table: &[(&[&str], &str)] = &[
        (&["serve", &long_url], "at most 107 bytes"),
        (&["send", &long_url, "-m", "x"], "at most 107 bytes"),
        (&["load", &long_url], "at most 107 bytes"),
        (&["serve", &file_url], "not a socket"),
        (&["serve", &nowhere_url], "does not exist"),
        (&["serve", "tcp://192.0.2.1:0"], "not an address of this machine"),
        (&["serve", "tcp://[fe80::1]:0"], "needs its interface"),
        (&["serve", "--keepalive=100d"], "at most 32767s"),
        (&["serve", "--udp-rate=x"], "a whole number"),
        (&["send", &nowhere_url, "-m", "x"], "does not exist"),
        (&["send", &gram_url, "-m", "x"], "unixgram:// for datagrams"),
        (&["send", &file_url, "-m", "x"], "nobody listens there"),
        (&["send", &closed, "-m", "x"], "nobody listens there"),
        (&["load", "-n1", &nowhere_url], "does not exist"),
        (&["load", "-n1", &closed], "Nobody listens there"),
        (&["load", "-n1", "--json", "/no/such/file", &closed], "its folder does not exist"),
        (&["load", "-nx", &closed], "a whole number"),
        (&["report", "/no/such/file"], "it does not exist"),
        (&["report", "/"], "is a directory"),
        (&["report", &file], "is no report"),
        (&["compare", "--server", compared], "no program"),
        (&["compare", "--server", "a=b {port}", "--transport=unixgrm"], "did you mean 'unixgram'?"),
    ];
    let mut told = Vec::new();
    for (command, word) in table {
        told.push((format!("{command:?}"), *word, run(&mut cooee(command), b"")));
    }
    for limit in 5..12 {
        for command in [&["serve", "127.0.0.1:0"][..], &["send", &closed, "-m", "x"], &["load", "-n1", &closed]] {
            told.push((
                format!("{command:?} with {limit} descriptors"),
                "",
                run(&mut with_descriptors(limit, command), b""),
            ));
        }
    }
    let mut compare = cooee(&["compare", "--server", "a=cat {port}"]);
    told.push(("compare without a temporary folder".into(), "TMPDIR", run(compare.env("TMPDIR", "/no/such"), b"")));
    let load = run(&mut with_descriptors(8, &["load", "-n1", &closed]), b"");
    told.push(("load with 8 descriptors".to_owned(), "ulimit -n", load));
    for (case, word, ran) in told {
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
        let flat = said.split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(!matches!(ran.code, Some(0) | None), "{case} does not fail: {ran:?}");
        assert!(!flat.is_empty() && flat.contains(word), "{case} is not answered with '{word}': {flat}");
        for raw in
            ["os error", "SUN_LEN", "invalid input parameter", "invalid digit", "uncategorized", "entity not found"]
        {
            assert!(!flat.contains(raw), "{case} is told in the system's own words: {flat}");
        }
    }
}

#[test]
fn an_endpoint_that_cannot_be_served_is_named() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
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
        "[default: 128MiB or less]",
        "[default: 10s]",
    ] {
        assert!(help.contains(&word.replace(' ', "")), "{word}:\n{help}");
    }
    let ran = run(&mut cooee(&["--version"]), b"");
    assert_eq!(String::from_utf8_lossy(&ran.stdout), format!("cooee {}\n", env!("CARGO_PKG_VERSION")));
}

#[test]
fn the_name_alone_prints_an_example_of_each_command() {
    for args in [&[][..], &["-v"]] {
        let ran = run(&mut cooee(args), b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
        let said = String::from_utf8(ran.stdout).unwrap();
        for command in &COMMANDS[1..] {
            assert_eq!(said.matches(&format!("\n  cooee {command}")).count(), 1, "{command}: {said}");
        }
    }
    let ran = run(&mut cooee(&["sreve"]), b"");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("'serve'"), "{ran:?}");
}

/// The program itself, and its commands.
const COMMANDS: [&str; 6] = ["", "serve", "send", "load", "compare", "report"];

/// The help of a command on a terminal of so many columns.
fn help(command: &str, flag: &str, columns: usize) -> String {
    let words: Vec<&str> = [command, flag].into_iter().filter(|word| !word.is_empty()).collect();
    let ran = run(cooee(&words).env("COLUMNS", columns.to_string()), b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{words:?}: {ran:?}");
    String::from_utf8(ran.stdout).unwrap()
}

/// How many columns a text takes: a Chinese character takes two.
fn columns(text: &str) -> usize {
    text.chars().map(|character| 1 + usize::from(character >= '\u{2e80}')).sum()
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// Whether `next` goes on with the paragraph of `line`: at the same column, or beside a flag. Two columns are a list's.
fn goes_on(line: &str, next: &str) -> bool {
    let column = indentation(next);
    let beside = column >= 10 && line.get(column - 2..column) == Some("  ") && !line[column..].starts_with(' ');
    let text = |line: &str| !line.trim().is_empty() && !line.trim_start().starts_with('-');
    text(next) && column != 2 && column != 4 && ((text(line) && indentation(line) == column) || beside)
}

#[test]
fn a_help_fits_on_two_screens_and_a_line_ends_where_the_terminal_does() {
    for command in COMMANDS {
        let short = help(command, "-h", 80);
        assert!(short.lines().count() <= 2 * 24, "{command} -h has {} lines:\n{short}", short.lines().count());
        // More columns than this are not used: such lines are hard to read.
        for (terminal, width) in [(60, 60), (80, 80), (120, 110)] {
            for flag in ["-h", "--help"] {
                let help = help(command, flag, terminal);
                let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
                for line in &lines {
                    let words = line.split_whitespace().count();
                    assert!(columns(line) <= width || words == 1, "{command} {flag} at {terminal}: {line:?}\n{help}");
                }
                for pair in lines.windows(2).filter(|pair| goes_on(pair[0], pair[1])) {
                    let word = pair[1].split_whitespace().next().unwrap();
                    let would_fit = columns(pair[0]) + 1 + columns(word) <= width;
                    assert!(!would_fit, "{command} {flag} at {terminal}: broken by hand: {pair:?}\n{help}");
                }
            }
        }
    }
}

#[test]
fn a_help_is_in_groups_and_tells_a_list_once() {
    let flags = |help: &str| -> Vec<String> {
        let rows = help.lines().map(str::trim_start).filter(|line| line.starts_with('-'));
        let words = rows.flat_map(|row| row.split([' ', ',', '.']));
        words.filter(|word| word.starts_with("--")).map(str::to_owned).collect()
    };
    for command in COMMANDS {
        let (short, long) = (help(command, "-h", 80), help(command, "--help", 80));
        let all = flags(&long);
        assert!(flags(&short).iter().all(|flag| all.contains(flag)), "{command}");
        // What has no group is told of first.
        let mut rest = long.lines().skip_while(|line| *line != "Options:").skip(1);
        let ungrouped = rest.by_ref().take_while(|line| line.is_empty() || line.starts_with(' '));
        let ungrouped = flags(&ungrouped.collect::<Vec<_>>().join("\n"));
        assert!(
            ungrouped.iter().all(|flag| ["--help", "--version"].contains(&flag.as_str())),
            "{command}: {ungrouped:?}"
        );
        let text = long.split_whitespace().collect::<Vec<_>>().join(" ");
        for list in [
            "echo, ack or",
            "chunk, line or len32",
            "shift_jis",
            "off, error, warn",
            "p50, p90",
            "udp, unix",
            "Exit codes",
            "possible values",
        ] {
            assert!(text.matches(list).count() <= 1, "{command} tells '{list}' twice:\n{long}");
        }
    }
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
    assert_eq!(told(&[], Some("cooee=debug")), debug);
    assert_eq!(told(&[], Some("cooee=debug,error")), debug, "the longest target holds, in whatever order");
    assert_eq!(told(&[], Some("warn,cooee::cli::serve=info")), info);
    assert_eq!(told(&[], Some("cooee::reactor=trace,cooee::cli=off,off")), [true, true, false]);
    assert_eq!(told(&["-q"], Some("trace")), quiet, "a flag outranks the variable");
    assert_eq!(told(&["-v"], Some("error")), debug, "a flag outranks the variable");
}

#[test]
fn what_rust_log_says_and_is_not_understood_is_told_once() {
    for (value, faults) in [
        ("no such level", &["'no such level'"][..]),
        ("debgu,cooee=loud,\x1b[2J", &["'debgu'", "'loud' is no level", "\\u{1b}[2J"]),
        ("info,cooee=debug,mio=off", &[]),
        ("", &[]),
    ] {
        let mut command = cooee(&["serve", "tcp://127.0.0.1:0"]);
        let log = Server::start_command(command.env("RUST_LOG", value), 1).stop();
        assert_eq!(log.matches("RUST_LOG").count(), usize::from(!faults.is_empty()), "{value:?}: {log}");
        assert!(faults.iter().all(|fault| log.contains(fault)) && !log.contains('\x1b'), "{value:?}: {log}");
        // The level that a flag gives leaves the variable unread.
        let mut command = cooee(&["serve", "-v", "tcp://127.0.0.1:0"]);
        let log = Server::start_command(command.env("RUST_LOG", value), 1).stop();
        assert!(!log.contains("RUST_LOG"), "{value:?}: {log}");
    }
}

#[test]
fn what_was_asked_for_is_told_at_every_level() {
    for (args, variable) in [
        (&["-q"][..], None),
        (&["-qq"], None),
        (&["--log-level=warn"], None),
        (&["--log-level=off"], None),
        (&[], Some("off")),
        (&[], Some("cooee=error")),
        (&["-vv"], None),
    ] {
        let mut command = cooee(&[&["serve", "--log-messages", "tcp://127.0.0.1:0?mode=ack"], args].concat());
        if let Some(value) = variable {
            command.env("RUST_LOG", value);
        }
        let server = Server::start_command(&mut command, 1);
        server.connect().ask(b"hi", &acknowledged(b"hi"));
        assert_eq!(server.summary().get("messages_in"), 1, "{args:?} {variable:?}");
        server.wait_log("message from");
        // Nobody asked for the summary of the end: `-q` is without it.
        let summaries = server.stop().matches("accepted=1").count();
        let talks = args == ["-vv"];
        assert_eq!(summaries, 1 + usize::from(talks), "{args:?} {variable:?}");
    }
    let mut command = cooee(&["serve", "--log-messages", "tcp://127.0.0.1:0?mode=ack"]);
    let server = Server::start_command(command.env("RUST_LOG", "info,cooee::apps::server::service=off"), 1);
    server.connect().ask(b"hi", &acknowledged(b"hi"));
    assert!(!server.stop().contains("message from"), "a directive that names it silences it");
}

/// What a terminal of its own is sent by `cooee` with these arguments and variables. Standard output is the terminal
/// too, or else a pipe.
fn on_terminal(args: &[&str], variables: &[(&str, &str)], stdout_too: bool) -> String {
    let pair = openpty(None, None).unwrap();
    let screen = Collected::of(File::from(pair.master));
    let mut command = cooee(args);
    for name in ["NO_COLOR", "CLICOLOR", "CLICOLOR_FORCE", "CI"] {
        command.env_remove(name);
    }
    command.env("TERM", "xterm-256color").envs(variables.iter().copied()).stdin(Stdio::null());
    command.stdout(if stdout_too { Stdio::from(pair.slave.try_clone().unwrap()) } else { Stdio::null() });
    let mut process = Process::spawn(command.stderr(pair.slave));
    drop(command);
    assert!(process.exit_within(PATIENCE).is_some(), "{args:?} does not end");
    wait_until("the terminal ends", || screen.is_closed());
    screen.text()
}

#[test]
fn one_place_decides_whether_there_are_colours() {
    let table: &[(&[(&str, &str)], bool)] = &[
        (&[], true),
        (&[("NO_COLOR", "1")], false),
        (&[("NO_COLOR", "")], true),
        (&[("TERM", "dumb")], false),
        (&[("CLICOLOR", "0")], false),
        (&[("CLICOLOR", "0"), ("CLICOLOR_FORCE", "1")], true),
        (&[("TERM", "dumb"), ("CLICOLOR_FORCE", "1")], true),
        (&[("NO_COLOR", "1"), ("CLICOLOR_FORCE", "1")], false),
    ];
    // A file that is not there ends it, once a variable that makes no sense has made it warn.
    let logs = ["report", "/no/such/file"];
    for (variables, coloured) in table {
        let with_fault = [&[("RUST_LOG", "nonsense")], *variables].concat();
        for stdout_too in [true, false] {
            let log = on_terminal(&logs, &with_fault, stdout_too);
            assert!(log.contains("nonsense"), "{log:?}");
            assert_eq!(log.contains("\x1b["), *coloured, "log: {variables:?}: {log:?}");
        }
        for args in [&["--help"][..], &["load", "-h"], &["--wrong"]] {
            let said = on_terminal(args, variables, true);
            assert_eq!(said.contains("\x1b["), *coloured, "{args:?}: {variables:?}: {said:?}");
        }
        // Where nothing is a terminal, only what forces them does.
        let mut command = cooee(&logs);
        command.env_remove("NO_COLOR").env_remove("CLICOLOR").env_remove("CLICOLOR_FORCE").envs(with_fault);
        let forced = *coloured && variables.contains(&("CLICOLOR_FORCE", "1"));
        assert_eq!(run(&mut command, b"").stderr.contains("\x1b["), forced, "{variables:?}");
    }
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
