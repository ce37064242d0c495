//! Goal: no byte of a client has power over the place where it is shown: the log, the client's terminal, an error
//! message that quotes an argument. One event is one line, whatever the event's text holds.
//!
//! Method: messages of all byte values, of terminal sequences, line breaks, C1 and bidirectional controls, and of bytes
//! that are no text in the encoding, over every kind of socket and in every framing, from peers whose names hold the
//! same. Each line of the log has to be one that the server began, and there have to be as many about messages as
//! messages were counted. The program's own arguments hold the same.

use std::fs::{self, File};
use std::io::Write;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use crate::support::{
    Client, Collected, PATIENCE, Process, Server, cooee, in_full, len32, measured, noise, run, wait_until,
};
use nix::pty::openpty;
use nix::sys::signal::Signal::SIGTERM;

/// Characters that do something to the place where they are shown: C0, DEL and C1, and those that make or reorder lines
/// (UAX #9, #14).
fn has_power(character: char) -> bool {
    let bidirectional =
        matches!(character, '\u{61c}' | '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    character.is_control() || bidirectional || matches!(character, '\u{2028}' | '\u{2029}')
}

/// What a client would like to have shown.
fn nasty() -> Vec<Vec<u8>> {
    let mut messages: Vec<Vec<u8>> = (0..=255).map(|byte| vec![b'<', byte, b'>']).collect();
    let texts: [&[u8]; 12] = [
        b"\x1b]0;title\x07\x1b[2J\x1b[31m\x1bP$q\x1b\\\x1b[6n",
        b"forged\n2026-01-01T00:00:00.000Z ERROR [cooee] all is lost\r\n",
        b"\r2026-01-01T00:00:00.000Z ERROR [cooee] written over",
        b"\xc2\x9b31m\xc2\x85\xc2\x90",
        "\u{202e}txt.exe\u{2066}\u{2069}\u{200f}\u{61c}\u{2028}\u{2029}\u{feff}".as_bytes(),
        // What is cut, overlong, a surrogate, or beyond the last character in UTF-8.
        b"\xe6\x95\x1b[31m\xc0\x9b\xe0\x80\x9b\xed\xa0\x80\xf4\x90\x80\x80\xff",
        // A first byte of GBK that takes what comes next for its second, or does not; and four bytes of GB18030.
        b"\x81\x1b[31m\x81\n\x81\x80\xff\xfe\x81\x30\x81\x30\x84\x31\xa4\x37\x1b",
        // Switches of ISO-2022-JP.
        b"\x1b$B\x1b[31m\x1b(J\x0e\x0f\x1b(I\n",
        "plain 数据".as_bytes(),
        b"",
        &[0x1b; 10_000],
        &[b'\n'; 300],
    ];
    messages.extend(texts.map(<[u8]>::to_vec));
    messages.push((0..=255).collect());
    messages.extend((0..in_full(5, 200)).map(|seed| noise(700, seed)));
    messages
}

/// What makes a name of a file that would like to be shown. A name holds no `/` and no zero.
const NAME: &[u8] = b"\x1b]0;x\x07\n2026 ERROR \xe2\x80\xae\xc2\x9b\xff";

fn named(folder: &Path, name: &[u8]) -> PathBuf {
    folder.join(std::ffi::OsStr::from_bytes(name))
}

/// The path as a part of a URL.
fn encoded(path: &Path) -> String {
    path.as_os_str().as_bytes().iter().map(|byte| format!("%{byte:02x}")).collect::<String>().replace("%2f", "/")
}

/// Echoes each message on a stream, in a framing.
fn talk<S: std::io::Read + Write>(mut stream: S, framing: &str, messages: &[Vec<u8>]) {
    for message in messages {
        let bytes = match framing {
            "len32" => len32(message),
            "line" => [message, &b"\n"[..]].concat(),
            _ => message.clone(),
        };
        stream.write_all(&bytes).unwrap();
        let mut echo = vec![0; bytes.len()];
        stream.read_exact(&mut echo).unwrap();
        assert!(echo == bytes, "{}", bytes.escape_ascii());
    }
}

/// Asks with each message as a datagram.
fn ask_all(messages: &[Vec<u8>], send: impl Fn(&[u8]), receive: impl Fn(&mut [u8]) -> usize) {
    let mut buffer = vec![0; 70_000];
    for message in messages {
        send(message);
        let count = receive(&mut buffer);
        assert!(buffer[..count] == **message, "{}", message.escape_ascii());
    }
}

/// Fails unless every line of a log is one that the server began, and none holds anything with power. Returns how many
/// tell a message, and how many lines were lost because this test was slow to read them.
#[track_caller]
fn check_log(log: &[u8]) -> (u64, u64) {
    let text = str::from_utf8(log).expect("a log in UTF-8");
    let lines: Vec<&str> = text.strip_suffix('\n').expect("a last line").split('\n').collect();
    for line in &lines {
        assert!(!line.chars().any(has_power), "{}", line.escape_debug());
        assert!(line.len() < 4096, "a line of {} bytes", line.len());
        let mut words = line.split_whitespace();
        let (time, level, module) = (words.next(), words.next(), words.next());
        assert!(time.is_some_and(|time| time.len() == 24 && time.ends_with('Z')), "{line}");
        assert!(level.is_some_and(|level| ["INFO", "DEBUG", "TRACE", "WARN"].contains(&level)), "{line}");
        assert!(module.is_some_and(|module| module.starts_with("[cooee::") || module == "[cooee]"), "{line}");
    }
    let lost = lines.iter().filter_map(|line| line.strip_suffix(" lines before this one were lost: stderr took none]"));
    let lost = lost.map(|line| line.rsplit_once('[').unwrap().1.parse::<u64>().expect("a number"));
    let told = lines.iter().filter(|line| line.contains("] message from ")).count();
    (told as u64, lost.sum())
}

#[test]
fn no_byte_of_a_client_has_power_in_the_log() {
    let messages = nasty();
    let labels = ["utf-8", "gbk", "gb18030", "big5", "iso-2022-jp", "windows-1252", "shift_jis"];
    let folder = tempfile::tempdir().unwrap();
    let own = named(folder.path(), NAME);
    fs::create_dir(&own).unwrap();
    let mut events = 0;
    for label in labels {
        let settings = |framing: &str| format!("?framing={framing}&encoding={label}");
        let mut endpoints = Vec::new();
        for framing in ["chunk", "line", "len32"] {
            endpoints.push(format!("tcp://127.0.0.1:0{}", settings(framing)));
            endpoints.push(format!("unix://{}{}", encoded(&own.join(framing)), settings(framing)));
        }
        endpoints.push(format!("udp://127.0.0.1:0?encoding={label}"));
        endpoints.push(format!("unixgram://{}?encoding={label}", encoded(&own.join("datagrams"))));
        let mut args = vec!["-v", "--log-messages"];
        args.extend(endpoints.iter().map(String::as_str));
        let mut server = Server::start(&args);
        assert_eq!(server.stdout().lines().count(), endpoints.len(), "one line an endpoint: {}", server.stdout());
        assert!(!server.stdout().replace('\n', "").chars().any(has_power), "{}", server.stdout().escape_debug());

        // The beginning of a character waits for its end, so a chunk has to end with one: in ASCII, where ISO-2022-JP
        // was in another set.
        let chunks: Vec<Vec<u8>> = messages.iter().map(|message| [message, &b"\x1b(B.."[..]].concat()).collect();
        for (framing, address) in ["chunk", "line", "len32"].into_iter().zip(server.addresses()) {
            let messages = if framing == "chunk" { &chunks } else { &messages };
            talk(Client::connect(address).stream, framing, messages);
            talk(UnixStream::connect(own.join(framing)).unwrap(), framing, messages);
        }
        let udp = crate::support::udp_client();
        udp.connect(server.address_of("udp")).unwrap();
        ask_all(
            &messages,
            |bytes| assert_eq!(udp.send(bytes).unwrap(), bytes.len()),
            |buffer| udp.recv(buffer).unwrap(),
        );
        let to = own.join("datagrams");
        for address in [
            UnixAddress::from_pathname(named(folder.path(), &[NAME, label.as_bytes()].concat())).unwrap(),
            UnixAddress::from_abstract_name([NAME, folder.path().as_os_str().as_bytes(), label.as_bytes()].concat())
                .unwrap(),
        ] {
            let client = UnixDatagram::bind_addr(&address).unwrap();
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            ask_all(
                &messages,
                |bytes| assert_eq!(client.send_to(bytes, &to).unwrap(), bytes.len()),
                |buffer| client.recv(buffer).unwrap(),
            );
        }
        // One without a name is logged too, and not answered. Whoever is behind it in the queue is.
        UnixDatagram::unbound().unwrap().send_to(NAME, &to).unwrap();
        let last = UnixDatagram::bind(own.join(label)).unwrap();
        // A log that is full loses lines, so the end of the server waits for whoever reads it.
        wait_until("the log is read up to here", || {
            last.send_to(b"the last", &to).unwrap();
            assert_eq!(last.recv(&mut [0; 100]).unwrap(), 8);
            server.logged(": the last") > 0
        });

        server.signal(SIGTERM);
        let summary = server.last_summary();
        let log = server.log_bytes();
        assert_eq!(summary.get("unnamed-peer"), 1, "{summary:?}");
        let ((told, lost), messages_in) = (check_log(&log), summary.get("messages_in"));
        assert!(messages_in >= messages.len() as u64 * 9, "{label}: {messages_in} messages");
        let is_one_each = told <= messages_in && told + lost >= messages_in;
        assert!(is_one_each, "{label}: {told} lines for {messages_in} messages, {lost} lost");
        // What is no danger is shown as it is, where the encoding has it.
        assert!(label != "utf-8" || server.log().contains(": plain 数据\n"));
        assert!(server.log().contains("message from unix:\"/"), "a name of a peer is told");
        events += told;
    }
    measured(
        "15",
        &format!(
            "{events} messages over TCP, UDP and both Unix sockets in every framing and {} encodings: {events} lines, 0 raw control bytes",
            labels.len()
        ),
    );
}

#[test]
fn what_a_server_answers_has_no_power_over_the_terminal_of_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| format!("{}/{name}", folder.path().display());
    let (stream, datagrams) = (path("stream"), path("datagrams"));
    let lines: Vec<Vec<u8>> = nasty()
        .into_iter()
        // A line of its own input ends at a line feed, and a CR in front of that belongs to it.
        .filter(|message| !message.is_empty() && !message.contains(&b'\n') && !message.ends_with(b"\r"))
        .collect();
    let input: Vec<u8> = lines.iter().flat_map(|line| [line, &b"\n"[..]].concat()).collect();
    let mut shown = 0;
    for framing in ["chunk", "line", "len32"] {
        let server = Server::start(&[
            "--framing",
            framing,
            "tcp://127.0.0.1:0",
            "udp://127.0.0.1:0",
            &format!("unix://{stream}"),
            &format!("unixgram://{datagrams}"),
        ]);
        for url in server.urls() {
            let pair = openpty(None, None).unwrap();
            // Nothing but what the program writes: no echo.
            let screen = Collected::of(File::from(pair.master));
            let mut command = cooee(&["send", "--framing", framing, &url]);
            let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(pair.slave).stderr(Stdio::piped()));
            drop(command);
            let mut pipe = process.child().stdin.take().unwrap();
            let input = input.clone();
            std::thread::spawn(move || drop(pipe.write_all(&input)));
            let code = process.exit_within(2 * PATIENCE).expect("it ends").code();
            assert_eq!(code, Some(0), "{framing} {url}: {}", crate::support::finish(process).stderr);
            wait_until("the terminal ends", || screen.is_closed());
            let bytes = screen.bytes();
            let text = str::from_utf8(&bytes).expect("a terminal is shown UTF-8");
            // The terminal's own line ends.
            let printed: Vec<&str> = text.strip_suffix("\r\n").expect("a last line").split("\r\n").collect();
            for line in &printed {
                assert!(!line.chars().any(has_power), "{framing} {url}: {}", line.escape_debug());
            }
            // A chunk may hold less or more than one message, and a datagram may be lost.
            let is_exact = framing != "chunk" && (url.starts_with("tcp") || url.starts_with("unix:"));
            let is_plenty = printed.len() > lines.len() / 4;
            assert!(printed.len() == lines.len() || !is_exact && is_plenty, "{framing} {url}: {} lines", printed.len());
            shown += printed.len();
        }
    }
    measured("15", &format!("{shown} replies on a client's terminal: 0 characters with power, one line a reply"));
}

#[test]
fn a_message_about_an_argument_does_not_obey_it() {
    const EVIL: &str = "\u{1b}]0;title\u{7}\nforged: all is well\r\u{9b}31m\u{202e}";
    let folder = tempfile::tempdir().unwrap();
    let own = |text: &str| text.replace('@', EVIL).replace('~', folder.path().to_str().unwrap());
    let lines: &[&[&str]] = &[
        &["@"],
        &["serve", "--@"],
        &["serve", "--mode=@"],
        &["serve", "--udp-rate=@"],
        &["serve", "--write-limit=@"],
        &["serve", "--encoding=@"],
        &["serve", "--ack-format=@", "--mode=ack"],
        &["serve", "@"],
        &["serve", "@://127.0.0.1:0"],
        &["serve", "tcp://@:0"],
        &["serve", "tcp://127.0.0.1:@"],
        &["serve", "tcp://127.0.0.1:0?@=1"],
        &["serve", "tcp://127.0.0.1:0?%1b%5d%0a=1"],
        &["serve", "tcp://127.0.0.1:0?mode=@"],
        &["serve", "tcp://127.0.0.1:0?encoding=%1b%5d%0aforged:"],
        &["serve", "unix://~/none/@"],
        &["serve", "unix://~/none/%1b%5d%0aforged:"],
        &["send", "tcp://@:1"],
        &["send", "@://127.0.0.1:1"],
        &["send", "tcp://127.0.0.1:1?@=1"],
        &["send", "unix://~/none/@"],
        &["send", "--encoding=@", "127.0.0.1:1"],
        &["send", "--encoding=latin1", "-m", "@数", "127.0.0.1:1"],
        &["load", "tcp://@:1"],
        &["load", "@://127.0.0.1:1"],
        &["load", "unix://~/none/@", "-d100ms"],
        &["load", "--expect=@", "tcp://127.0.0.1:1"],
        &["load", "--json=~/none/@", "tcp://127.0.0.1:1"],
        &["load", "--source=@", "tcp://127.0.0.1:1"],
        &["load", "--slo=@", "tcp://127.0.0.1:1"],
        &["report", "~/@"],
        &["report", "--json=~/none/@", "~/@"],
        &["compare", "--server=@", "--server=b=@ {port}"],
        &["compare", "--server=@=~/none/@ {port}", "--server=b=true {port}"],
    ];
    for line in lines {
        let args: Vec<String> = line.iter().map(|argument| own(argument)).collect();
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let ran = run(&mut cooee(&args), b"");
        assert!(matches!(ran.code, Some(1 | 2)), "{line:?}: {ran:?}");
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
        assert!(!said.is_empty() && !said.lines().any(|line| line.starts_with("forged")), "{line:?}: {said}");
        assert!(!said.chars().any(|character| has_power(character) && character != '\n'), "{line:?}: {said:?}");

        // A terminal is shown colours, so there nothing is taken out on the way.
        let pair = openpty(None, None).unwrap();
        let screen = Collected::of(File::from(pair.master));
        let mut command = cooee(&args);
        command.env("TERM", "xterm-256color").env_remove("NO_COLOR");
        let terminal = || Stdio::from(pair.slave.try_clone().unwrap());
        let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(terminal()).stderr(terminal()));
        drop((command, pair.slave));
        assert!(process.exit_within(PATIENCE).is_some(), "{line:?} does not end");
        wait_until("the terminal ends", || screen.is_closed());
        let said = screen.text();
        for sequence in ["\u{1b}]", "\u{7}", "\nforged", "\u{9b}", "\u{202e}", "\r\u{9b}"] {
            assert!(!said.contains(sequence), "{line:?}: {said:?}");
        }
    }
    measured(
        "15",
        &format!("{} mistakes whose message quotes an argument: 0 characters with power, no forged line", lines.len()),
    );
}
