//! Goal: `cooee send` delivers what it is given, prints what comes back, ends in time whatever the server does, and
//! says in plain words what went wrong.
//!
//! Method: the built client against the built server, and against small servers in the test that refuse, reset, stay
//! silent, never stop or never read. Standard input is a pipe, a file and `/dev/null`.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::os::unix::net::{UnixListener, UnixStream};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Collected, Noise, PATIENCE, Process, Ran, Server, answers_in_parts, cooee, cpu_ticks, finish, holds_in_one_of_five,
    measured, resident_bytes, run, serve_one, wait_until,
};
use socket2::{Domain, SockAddr, SockRef, Socket, Type};

fn send(address: impl ToString, args: &[&str]) -> Command {
    cooee(&[&["send", address.to_string().as_str()], args].concat())
}

fn lines(ran: &Ran) -> Vec<&str> {
    str::from_utf8(&ran.stdout).expect("UTF-8").lines().collect()
}

/// Checks that it went well and printed these lines, and nothing on stderr.
#[track_caller]
fn check_prints(ran: &Ran, expected: &[&str]) {
    assert_eq!((ran.code, lines(ran), ran.stderr.as_str()), (Some(0), expected.to_vec(), ""));
}

/// Checks that it failed with these words, on one line and with exit code 1.
#[track_caller]
fn check_fails(ran: &Ran, words: &str) {
    assert_eq!(ran.code, Some(1), "{ran:?}");
    assert!(ran.stderr.contains(words), "'{words}' is not in: {ran:?}");
    assert_eq!(ran.stderr.lines().count(), 1, "{ran:?}");
}

#[test]
fn each_line_is_a_message_and_each_reply_a_line() {
    let server = Server::start(&["tcp://127.0.0.1:0?mode=ack", "tcp://127.0.0.1:0?mode=ack&encoding=gbk&framing=line"]);
    let addresses = server.addresses();
    let text = "hello\n你好\r\n  spaces  \nlast".as_bytes();
    let replies = ["数据[hello]收到了!", "数据[你好]收到了!", "数据[  spaces  ]收到了!", "数据[last]收到了!"];
    check_prints(&run(&mut send(addresses[0], &[]), text), &replies);
    check_prints(&run(&mut send(format!("tcp://{}", addresses[0]), &[]), text), &replies);
    let args = ["--encoding=gbk", "--framing=line"];
    check_prints(&run(&mut send(addresses[1], &args), text), &replies);
    check_prints(&run(&mut send(addresses[0], &[]), b""), &[]);
}

#[test]
fn given_messages_are_sent_instead_of_standard_input() {
    for framing in ["chunk", "line", "len32"] {
        let server = Server::start(&["--mode=ack", "--framing", framing, "--bye=ignore"]);
        let args =
            ["--framing", framing, "-m", "one", "--message", "two words", "-m", "three", "--bye=ignore", "-m", "bye"];
        let ran = run(&mut send(server.address(), &args), b"not this\n");
        let replies = ["数据[one]收到了!", "数据[two words]收到了!", "数据[three]收到了!", "数据[bye]收到了!"];
        check_prints(&ran, &replies);
    }
}

#[test]
fn bye_is_the_last_message_unless_it_is_ignored() {
    let server = Server::start(&["tcp://127.0.0.1:0?mode=ack", "tcp://127.0.0.1:0?mode=echo&framing=line"]);
    let addresses = server.addresses();
    // Standard input stays open, as a terminal does: nothing but bye ends it.
    let mut process =
        Process::spawn(send(addresses[0], &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut input = process.child().stdin.take().unwrap();
    input.write_all(b"hi\nbye\nnever sent\n").unwrap();
    check_prints(&finish(process), &["数据[hi]收到了!", "数据[bye]收到了!"]);
    drop(input);
    // A server that goes on gets a half-close, and the client takes what is owed.
    let args = ["--framing=line"];
    check_prints(&run(&mut send(addresses[1], &args), b"hi\nbye\nnever sent\n"), &["hi", "bye"]);
    let args = ["--framing=line", "--bye=ignore"];
    check_prints(&run(&mut send(addresses[1], &args), b"hi\nbye\nsent\n"), &["hi", "bye", "sent"]);
}

#[test]
fn standard_input_may_be_a_file_or_nothing() {
    let server = Server::start(&["--mode=ack"]);
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(b"from a file\nwithout an ending").unwrap();
    file.rewind().unwrap();
    let with_input = |input: Stdio, args: &[&str]| {
        let mut command = send(server.address(), args);
        finish(Process::spawn(command.stdin(input).stdout(Stdio::piped()).stderr(Stdio::piped())))
    };
    let ran = with_input(file.into(), &[]);
    check_prints(&ran, &["数据[from a file]收到了!", "数据[without an ending]收到了!"]);
    check_prints(&with_input(File::open("/dev/null").unwrap().into(), &[]), &[]);
    check_prints(&with_input(File::open("/dev/null").unwrap().into(), &["--raw"]), &[]);
}

#[test]
fn standard_output_may_be_a_file_too() {
    let server = Server::start(&["--mode=ack"]);
    let mut file = tempfile::tempfile().unwrap();
    let mut command = send(server.address(), &["-m", "hi"]);
    let output = file.try_clone().unwrap();
    let ran = finish(Process::spawn(command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped())));
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    file.rewind().unwrap();
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "数据[hi]收到了!\n");
}

#[test]
fn ten_megabytes_go_through_raw() {
    let server = Server::start(&[]);
    let bytes = Noise::new(7).bytes(10_000_000);
    let ran = run(&mut send(server.address(), &["--raw"]), &bytes);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(ran.stdout.len(), bytes.len());
    assert!(ran.stdout == bytes, "some byte changed");
}

#[test]
fn a_megabyte_of_lines_goes_through() {
    let server = Server::start(&["--framing=line", "--mode=echo", "--bye=close"]);
    let mut noise = Noise::new(8);
    let mut text = String::new();
    while text.len() < 1_000_000 {
        text.push_str(&"x".repeat(noise.below(300)));
        text.push('\n');
    }
    let ran = run(&mut send(server.address(), &["--framing=line"]), text.as_bytes());
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout == text.as_bytes(), "{} of {} bytes", ran.stdout.len(), text.len());
}

#[test]
fn a_closed_standard_output_ends_it_quietly() {
    let server = Server::start(&[]);
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = send(server.address(), &[]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()));
    drop(command);
    let mut input = process.child().stdin.take().unwrap();
    drop(reader);
    input.write_all(b"nobody reads the reply\n").unwrap();
    let ran = finish(process);
    // As a program that SIGPIPE ends, which says nothing either: the reply was not written.
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(141), ""));
    drop(input);
}

/// An address on which nobody listens: the port is held by a socket that is bound only.
fn nobody() -> (Socket, SocketAddr) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    (socket, address)
}

#[test]
fn what_went_wrong_is_said_in_plain_words() {
    let (_held, address) = nobody();
    check_fails(&run(&mut send(address, &["-m", "hi"]), b""), "refused: nobody listens there");
    check_fails(&run(&mut send("no-such-host.invalid:9000", &["-m", "hi"]), b""), "no such host");

    let reset = serve_one(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        // With a linger of zero, close sends a RST.
        SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap();
    });
    check_fails(&run(&mut send(reset, &["-m", "hi"]), b""), "reset");

    let not_framed = serve_one(|mut stream| {
        let _ = stream.write_all(&[0xff; 8]);
        let _ = stream.read(&mut [0; 100]);
    });
    check_fails(&run(&mut send(not_framed, &["--framing=len32", "-m", "hi"]), b""), "not framed as agreed");
}

#[test]
fn a_connection_that_nobody_answers_times_out() {
    // A backlog that is full: the kernel drops the next SYN, as a firewall would.
    let listener = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    listener.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    listener.listen(0).unwrap();
    let address = listener.local_addr().unwrap().as_socket().unwrap();
    let mut fillers = Vec::new();
    while let Ok(filler) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        fillers.push(filler);
        assert!(fillers.len() < 100, "the backlog does not fill up");
    }
    let start = Instant::now();
    let ran = run(&mut send(address, &["--connect-timeout=500ms", "-m", "hi"]), b"");
    check_fails(&ran, "timed out");
    let took = start.elapsed();
    assert!((0.4..5.0).contains(&took.as_secs_f64()), "it took {took:?}");
}

#[test]
fn every_address_of_a_name_is_tried() {
    // localhost is ::1 as well on most machines, and this server is not there.
    let server = Server::start(&["--mode=ack"]);
    let endpoint = format!("localhost:{}", server.address().port());
    check_prints(&run(&mut send(endpoint, &["-m", "hi"]), b""), &["数据[hi]收到了!"]);
}

#[test]
fn a_server_that_closes_first_ends_it() {
    let address = serve_one(|mut stream| {
        let mut bytes = [0; 100];
        let count = stream.read(&mut bytes).unwrap();
        stream.write_all(&bytes[..count]).unwrap();
        stream.write_all(b" and good-bye").unwrap();
    });
    // Standard input stays open: the end comes from the server alone, and whether all was sent nobody knows.
    let mut command = send(address, &["--wait=500ms"]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut input = process.child().stdin.take().unwrap();
    input.write_all(b"hi\n").unwrap();
    let ran = finish(process);
    check_fails(&ran, "closed: the server ended its side, and standard input, which has not ended, gave nothing more");
    assert_eq!(String::from_utf8_lossy(&ran.stdout).replace('\n', ""), "hi and good-bye");
    drop(input);
}

#[test]
fn a_message_that_was_never_sent_is_no_success() {
    let server = Server::start(&["--mode=ack"]);
    let ran = run(&mut send(server.address(), &["-m", "bye", "-m", "lost"]), b"");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    assert!(ran.stderr.contains("messages after bye would never be sent"), "{ran:?}");

    // A server that is gone after the first message: the second one finds nobody.
    let (gone, is_gone) = std::sync::mpsc::channel();
    let address = serve_one(move |mut stream| {
        let _ = stream.read(&mut [0; 100]);
        stream.write_all(b"first").unwrap();
        drop(stream);
        gone.send(()).unwrap();
    });
    let mut command = send(address, &[]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut input = process.child().stdin.take().unwrap();
    input.write_all(b"one\n").unwrap();
    is_gone.recv_timeout(PATIENCE).unwrap();
    input.write_all(b"two\nthree\nfour\n").unwrap();
    drop(input);
    let ran = finish(process);
    check_fails(&ran, "closed: the server ended the conversation");
    assert_eq!(lines(&ran), ["first"]);
}

#[test]
fn a_standard_input_that_cannot_be_read_is_a_failure() {
    let server = Server::start(&["--mode=ack", "udp://127.0.0.1:0", "tcp://127.0.0.1:0"]);
    let udp = udp_url(&server);
    for endpoint in [server.address().to_string(), udp] {
        let mut command = send(endpoint, &[]);
        let folder = File::open(std::env::temp_dir()).unwrap();
        let ran = finish(Process::spawn(command.stdin(folder).stdout(Stdio::piped()).stderr(Stdio::piped())));
        check_fails(&ran, "cannot read standard input: is a directory");
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_standard_output_that_cannot_be_written_is_a_failure() {
    let server = Server::start(&["--mode=ack"]);
    let mut command = send(server.address(), &["-m", "hi"]);
    let full = File::options().write(true).open("/dev/full").unwrap();
    let ran = finish(Process::spawn(command.stdin(Stdio::null()).stdout(full).stderr(Stdio::piped())));
    check_fails(&ran, "cannot write standard output: no storage space");
}

#[test]
fn a_standard_output_that_takes_nothing_is_not_waited_for_longer_than_agreed() {
    let (reader, writer) = std::io::pipe().unwrap();
    // A terminal is ready while it has room for one byte: what is there already decides how much room is left for the
    // last write.
    let terminals = [0, 1_000, 2_500, 3_500].map(|filled| {
        let (person, mut program) = terminal();
        program.write_all(&vec![b'x'; filled]).unwrap();
        ((format!("terminal with {filled} bytes"), Stdio::from(program)), person)
    });
    let (terminals, persons): (Vec<_>, Vec<_>) = terminals.into_iter().unzip();
    for (what, output) in terminals.into_iter().chain([("pipe".to_owned(), Stdio::from(writer))]) {
        let address = serve_one(|mut stream| {
            // In pieces of many lengths, so that one of them finds less room than it needs.
            for length in 0..4_000 {
                let _ = stream.write_all(&[&b"m".repeat(length % 97)[..], b"\n"].concat());
            }
            let _ = stream.read(&mut [0; 100]);
        });
        let mut command = send(address, &["--wait=700ms", "-m", "hi"]);
        let start = Instant::now();
        let process = Process::spawn(command.stdin(Stdio::null()).stdout(output).stderr(Stdio::piped()));
        let ran = finish(process);
        check_fails(&ran, "standard output takes nothing");
        let took = start.elapsed();
        assert!((0.6..5.0).contains(&took.as_secs_f64()), "it took {took:?}");
        measured(
            "14",
            &format!("send prints to a {what} that nobody reads: it ends after --wait (700 ms), {took:.1?}"),
        );
    }
    drop((reader, persons));
}

#[test]
fn a_terminal_that_is_read_late_is_shown_everything() {
    let text: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let server = Server::start(&["--framing=line"]);
    let (person, program) = terminal();
    let mut command = send(server.address(), &["--framing=line"]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(program).stderr(Stdio::piped()));
    drop(command);
    let mut pipe = process.child().stdin.take().unwrap();
    let input = text.clone();
    thread::spawn(move || drop(pipe.write_all(input.as_bytes())));
    // It has printed what the terminal holds when it uses no more time.
    server.wait_summary("the first lines are there", |summary| summary.get("messages_in") > 500);
    let screen = Collected::of(person);
    let ran = finish(process);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    wait_until("the terminal ends", || screen.is_closed());
    assert!(screen.text().replace("\r\n", "\n") == text, "{} bytes of {}", screen.bytes().len(), text.len());
}

#[test]
fn lines_are_sent_as_they_are_or_not_at_all() {
    let server = Server::start(&["--framing=line"]);
    let ran = run(&mut send(server.address(), &["--framing=line", "--raw"]), b"\xff\xfe\n");
    assert_eq!((ran.code, ran.stdout.as_slice()), (Some(0), &b"\xff\xfe\n"[..]));
    let (told, heard) = std::sync::mpsc::channel();
    let address = serve_one(move |mut stream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        told.send(bytes).unwrap();
    });
    let ran = run(&mut send(address, &["--framing=line", "--replies=0"]), b"a\xff\xfeb\r\n\xe6\n");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), b"a\xff\xfeb\n\xe6\n");
    let ran = run(&mut send(server.address(), &["--framing=line", "--encoding=gbk"]), b"fine\na\xff\xfe\nnever\n");
    check_fails(&ran, "--raw sends bytes as they are");
    assert_eq!(lines(&ran), ["fine"]);
}

/// The URL of a server's UDP endpoint.
fn udp_url(server: &Server) -> String {
    let text = server.stdout();
    let line = text.lines().find_map(|line| line.strip_prefix("listening udp://")).unwrap();
    format!("udp://{}", line.split(' ').next().unwrap())
}

#[test]
fn a_flood_of_datagrams_is_dropped_where_standard_output_takes_nothing() {
    for is_read_in_the_end in [false, true] {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let (reader, writer) = std::io::pipe().unwrap();
        let mut command = send(format!("udp://{}", socket.local_addr().unwrap()), &["--wait=300ms"]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()));
        drop(command);
        let mut input = process.child().stdin.take().unwrap();
        input.write_all(b"hi\n").unwrap();
        let (_, client) = socket.recv_from(&mut [0; 100]).unwrap();
        for _ in 0..5_000 {
            socket.send_to(&[b'x'; 60_000], client).unwrap();
        }
        let resident = resident_bytes(process.id());
        assert!(resident < 64 * 1024 * 1024, "{resident} bytes");
        let reader = if is_read_in_the_end { Err(Collected::of(reader)) } else { Ok(reader) };
        drop(input);
        let ran = finish(process);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("replies were dropped"), "{ran:?}");
        assert_eq!(ran.stderr.contains("standard output takes nothing"), reader.is_ok(), "{ran:?}");
    }
}

/// A Unix server whose backlog is full, and who fills it.
fn full_backlog(path: &std::path::Path) -> (Socket, Vec<Socket>) {
    let address = SockAddr::unix(path).unwrap();
    let listener = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
    listener.bind(&address).unwrap();
    listener.listen(0).unwrap();
    let mut fillers = Vec::new();
    loop {
        let filler = Socket::new(Domain::UNIX, Type::STREAM, None).unwrap();
        filler.set_nonblocking(true).unwrap();
        if filler.connect(&address).is_err() {
            return (listener, fillers);
        }
        fillers.push(filler);
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_unix_server_whose_backlog_is_full_is_tried_until_the_time_is_up() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let (listener, fillers) = full_backlog(&path);
    let endpoint = format!("unix://{}", path.display());
    let start = Instant::now();
    let ran = run(&mut send(&endpoint, &["--connect-timeout=500ms", "-m", "hi"]), b"");
    check_fails(&ran, "timed out: no answer while connecting");
    let took = start.elapsed();
    assert!((0.4..5.0).contains(&took.as_secs_f64()), "it took {took:?}");

    // One that has room again before that is reached.
    let server = thread::spawn(move || {
        thread::sleep(Duration::from_millis(300));
        for _ in fillers {
            drop(listener.accept().unwrap());
        }
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 100]);
        stream.write_all(b"at last").unwrap();
    });
    check_prints(&run(&mut send(&endpoint, &["-m", "hi"]), b""), &["at last"]);
    server.join().unwrap();
}

#[test]
fn every_address_of_a_name_is_tried_over_udp_too() {
    // localhost is ::1 as well on most machines, and this server is not there.
    let server = Server::start(&["--mode=ack", "udp://127.0.0.1:0", "tcp://127.0.0.1:0"]);
    let endpoint = udp_url(&server).replace("127.0.0.1", "localhost");
    for framing in ["chunk", "line"] {
        let args = ["--framing", framing, "-m", "one", "-m", "two"];
        check_prints(&run(&mut send(&endpoint, &args), b""), &["数据[one]收到了!", "数据[two]收到了!"]);
    }
}

#[test]
fn a_server_that_never_stops_is_not_listened_to_longer_than_agreed() {
    for framing in ["chunk", "line"] {
        let address = serve_one(|mut stream| while stream.write_all(&b"more\n".repeat(1000)).is_ok() {});
        let start = Instant::now();
        let mut command = send(address, &["--wait=2s", "-m", "hi", "--framing", framing]);
        let ran = run(&mut command, b"");
        let took = start.elapsed();
        assert_eq!(ran.code, Some(1), "{framing}");
        assert!(ran.stderr.contains("cut off: the server still answered when its time was up"), "{}", ran.stderr);
        assert!((1.8..15.0).contains(&took.as_secs_f64()), "{framing}: it took {took:?}");
        assert!(ran.stdout.starts_with(b"more\nmore\n"), "{framing}");
    }
}

#[test]
fn a_server_that_never_answers_is_not_waited_for_longer_than_agreed() {
    let address = serve_one(|mut stream| {
        let mut bytes = Vec::new();
        let _ = stream.read_to_end(&mut bytes);
        assert_eq!(bytes, b"hi");
        // The client is gone before this side ends.
        thread::sleep(PATIENCE);
    });
    let start = Instant::now();
    let ran = run(&mut send(address, &["--wait=500ms", "-m", "hi"]), b"");
    check_fails(&ran, "unanswered: 0 of 1 message was answered in time (--wait): the server is silent");
    let took = start.elapsed();
    assert!((0.4..5.0).contains(&took.as_secs_f64()), "it took {took:?}");
}

#[test]
fn a_server_that_never_reads_is_a_failure_and_not_waited_for_for_ever() {
    // Over a Unix socket, whose buffer does not grow while it waits.
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("s");
    let _listener = UnixListener::bind(&path).unwrap();
    // What the kernel takes although nobody reads, and then a little more: that little waits in the client.
    let mut probe = UnixStream::connect(&path).unwrap();
    probe.set_write_timeout(Some(Duration::from_millis(200))).unwrap();
    let block = vec![b'x'; 64 * 1024];
    let mut taken = 0;
    while let Ok(count) = probe.write(&block) {
        taken += count;
    }
    let input = vec![b'x'; taken + 50_000];
    let endpoint = format!("unix://{}", path.display());
    let start = Instant::now();
    let ran = run(&mut send(&endpoint, &["--wait=700ms", "--raw"]), &input);
    check_fails(&ran, "timed out: the server does not read what it was sent");
    let took = start.elapsed();
    assert!((0.5..10.0).contains(&took.as_secs_f64()), "it took {took:?}");
}

#[test]
fn what_is_given_leaves_even_where_nothing_is_waited_for() {
    let (told, heard) = std::sync::mpsc::channel();
    let address = serve_one(move |mut stream| {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).unwrap();
        told.send(bytes).unwrap();
    });
    let ran = run(&mut send(address, &["--wait=0", "-m", "fire and forget"]), b"");
    check_fails(&ran, "unanswered");
    assert_eq!(heard.recv_timeout(PATIENCE).unwrap(), b"fire and forget");
}

#[test]
fn replies_are_printed_as_they_come() {
    let server = Server::start(&["--mode=ack"]);
    let mut process =
        Process::spawn(send(server.address(), &[]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut input = process.child().stdin.take().unwrap();
    let output = Collected::of(process.child().stdout.take().unwrap());
    for number in 1..=5 {
        writeln!(input, "line {number}").unwrap();
        let reply = format!("数据[line {number}]收到了!\n");
        wait_until("the reply is printed although more may be typed", || output.text().ends_with(&reply));
    }
    drop(input);
    assert_eq!(process.exit_within(PATIENCE).expect("it ends").code(), Some(0));
    assert_eq!(output.whole().iter().filter(|byte| **byte == b'\n').count(), 5);
}

#[test]
fn a_character_that_comes_in_two_pieces_is_printed_whole() {
    for (encoding, halves) in [("gbk", [&b"a\xca"[..], b"\xfd"]), ("utf-8", [b"a\xe6\x95", b"\xb0"])] {
        let address = serve_one(move |mut stream| {
            stream.set_nodelay(true).unwrap();
            let _ = stream.read(&mut [0; 100]);
            for half in halves {
                stream.write_all(half).unwrap();
                // Long enough to be read apart; if they are read together, this shows nothing and harms nothing.
                thread::sleep(Duration::from_millis(50));
            }
        });
        let ran = run(&mut send(address, &["--encoding", encoding, "-m", "hi"]), b"");
        assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
        assert_eq!(String::from_utf8_lossy(&ran.stdout), "a数\n", "{encoding}: no line break of ours is in it");
    }
}

#[test]
fn a_reply_in_several_reads_is_one_line() {
    let parts: &[&[u8]] = &[b"one part, ", b"another, ", b"and the end"];
    let address = || answers_in_parts(parts, Duration::from_millis(10));
    let line = "one part, another, and the end";
    check_prints(&run(&mut send(address(), &["-m", "hi"]), b""), &[line]);
    // The next message waits for all of it, though it does not know where it ends.
    holds_in_one_of_five("two messages", || {
        lines(&run(&mut send(address(), &["-m", "hi", "-m", "you"]), b"")) == [line; 2]
    });
    holds_in_one_of_five("three lines", || lines(&run(&mut send(address(), &[]), b"hi\nyou\nthere\n")) == [line; 3]);
}

#[test]
fn a_reply_is_one_line_where_more_may_be_typed_and_its_message_is_in_the_midst_of_it() {
    let parts: &[&[u8]] = &[&[b'x'; 5_000], b", hi, ", &[b'y'; 5_000]];
    holds_in_one_of_five("one line", || {
        let mut command = send(answers_in_parts(parts, Duration::from_millis(10)), &[]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut input = process.child().stdin.take().unwrap();
        let output = Collected::of(process.child().stdout.take().unwrap());
        writeln!(input, "hi").unwrap();
        wait_until("its line has ended", || output.text().ends_with('\n'));
        drop(input);
        assert_eq!(process.exit_within(PATIENCE).expect("it ends").code(), Some(0));
        output.whole() == [&parts.concat()[..], b"\n"].concat()
    });
}

#[test]
fn a_long_reply_is_one_line() {
    let long = vec![b'x'; 3_000_000];
    let reply = long.clone();
    let address = serve_one(move |mut stream| {
        let _ = stream.read(&mut [0; 100]);
        stream.write_all(&reply).unwrap();
    });
    let ran = run(&mut send(address, &["-m", "hi"]), b"");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(ran.stdout == [&long[..], b"\n"].concat(), "{} bytes", ran.stdout.len());
}

#[test]
fn lines_of_a_file_do_not_wait_behind_an_echo_or_an_acknowledgement() {
    for mode in ["--mode=echo", "--mode=ack"] {
        let server = Server::start(&[mode]);
        let lines: String = (0..500).map(|number| format!("line {number}\n")).collect();
        let start = Instant::now();
        let ran = run(&mut send(server.address(), &[]), lines.as_bytes());
        assert_eq!((ran.code, ran.printed().lines().count()), (Some(0), 500), "{mode}");
        let took = start.elapsed();
        assert!(took < Duration::from_secs(12), "half of what 50 ms for each would be: {took:?}");
    }
}

#[test]
fn a_standard_output_that_nobody_reads_stops_the_client_and_costs_nothing() {
    let address = serve_one(|mut stream| while stream.write_all(&b"more\n".repeat(1000)).is_ok() {});
    let (reader, writer) = std::io::pipe().unwrap();
    let mut command = send(address, &[]);
    let process = Process::spawn(command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::null()));
    // Once it has printed what the pipe holds, it has nothing to do.
    let mut ticks = cpu_ticks(process.id());
    let rests = || {
        let before = std::mem::replace(&mut ticks, cpu_ticks(process.id()));
        thread::sleep(Duration::from_millis(500));
        cpu_ticks(process.id()) - before < 5
    };
    wait_until("the client rests", rests);
    let start = cpu_ticks(process.id());
    thread::sleep(Duration::from_secs(1));
    let used = cpu_ticks(process.id()) - start;
    assert!(used < 10, "{used} ticks of CPU time in a second, for nothing");
    assert!(resident_bytes(process.id()) < 64 * 1024 * 1024, "what is not printed is not read either");
    drop(reader);
}

/// A terminal: the end that a person has, and the end that a program has.
fn terminal() -> (File, File) {
    let pair = nix::pty::openpty(None, None).unwrap();
    (pair.master.into(), pair.slave.into())
}

/// A text as editors of Windows write it.
fn windows_forms(text: &str) -> Vec<(&'static str, Vec<u8>)> {
    let marked = format!("\u{feff}{}", text.replace('\n', "\r\n"));
    vec![
        ("UTF-8 with CR LF", marked.trim_start_matches('\u{feff}').into()),
        ("UTF-8 with a mark", marked.clone().into()),
        ("UTF-16, low byte first", marked.encode_utf16().flat_map(u16::to_le_bytes).collect()),
        ("UTF-16, high byte first", marked.encode_utf16().flat_map(u16::to_be_bytes).collect()),
    ]
}

#[test]
fn files_of_windows_editors_are_lines_like_any_others() {
    let server = Server::start(&[
        "tcp://127.0.0.1:0",
        "tcp://127.0.0.1:0?framing=line",
        "tcp://127.0.0.1:0?framing=len32",
        "udp://127.0.0.1:0",
    ]);
    let addresses = server.addresses();
    let [chunk, line, len32] = [0, 1, 2].map(|number| addresses[number].to_string());
    let udp = udp_url(&server);
    let text = "hello\n数据 🎉\nlast";
    let cases: [(&str, &[&str]); 5] = [
        (&chunk, &[]),
        (&line, &["--framing=line", "--replies=all"]),
        (&line, &["--framing=line", "--encoding=gb18030"]),
        (&len32, &["--framing=len32"]),
        (&udp, &["--replies=3"]),
    ];
    for (form, bytes) in windows_forms(text) {
        for (endpoint, args) in cases {
            let ran = run(&mut send(endpoint, args), &bytes);
            assert_eq!(
                (ran.code, ran.printed()),
                (Some(0), "hello\n数据 🎉\nlast\n"),
                "{form} {endpoint} {args:?} {}",
                ran.stderr
            );
        }
        // A byte at a time: neither a mark nor a character is cut.
        let mut command = send(&line, &["--framing=line"]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
        let mut input = process.child().stdin.take().unwrap();
        for byte in &bytes {
            input.write_all(&[*byte]).unwrap();
            thread::sleep(Duration::from_millis(1));
        }
        drop(input);
        assert_eq!(finish(process).printed(), "hello\n数据 🎉\nlast\n", "{form}");
        // Raw bytes are what they are.
        let ran = run(&mut send(&chunk, &["--raw"]), &bytes);
        assert!(ran.stdout == bytes, "{form}");
    }
    check_prints(&run(&mut send(&chunk, &[]), b"\xef\xbb\xbf"), &[]);
    check_fails(&run(&mut send(&line, &["--framing=line"]), b"\xff\xfea\0\n\0\0\xd8\n\0"), "a line is not UTF-16");
}

#[test]
fn lines_are_not_glued_together_in_chunk_framing() {
    // A server that never answers would read several lines at once if the client did not wait between them.
    let (told, reads) = std::sync::mpsc::channel();
    let address = serve_one(move |mut stream| {
        let mut bytes = [0; 1024];
        while let Ok(count @ 1..) = stream.read(&mut bytes) {
            told.send((Instant::now(), bytes[..count].to_vec())).unwrap();
        }
    });
    check_prints(&run(&mut send(address, &["--replies=0"]), b"one\ntwo\nthree\n"), &[]);
    let reads: Vec<(Instant, Vec<u8>)> = reads.iter().collect();
    let messages: Vec<&[u8]> = reads.iter().map(|(_, message)| message.as_slice()).collect();
    assert_eq!(messages, [&b"one"[..], b"two", b"three"]);
    let pause = reads[1].0 - reads[0].0;
    assert!(pause > Duration::from_millis(100), "the second came {pause:?} after the first");
}

#[test]
fn what_cannot_be_sent_is_said_before_or_when_it_is_met() {
    let server = Server::start(&["--mode=ack", "--encoding=gbk"]);
    let usage = |args: &[&str], words: &str| {
        let ran = run(&mut send(server.address(), args), b"");
        assert_eq!(ran.code, Some(2), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {ran:?}");
    };
    usage(&["--encoding=utf-16", "-m", "hi"], "can be decoded but not encoded");
    usage(&["--encoding=latin1", "-m", "你"], "cannot hold '你'");
    usage(&["--framing=xml"], "chunk, line and len32");
    usage(&["--raw", "-m", "hi"], "cannot be used with");
    usage(&["-m", ""], "an empty message has no bytes in chunk framing");
    for replies in ["all", "2"] {
        usage(&["--replies", replies, "-m", "hi"], "without a framing nobody can tell replies apart");
        usage(&["--replies", replies, "--framing=line", "--raw"], "without a framing nobody can tell replies apart");
    }
    usage(&["--replies=some", "-m", "hi"], "any, all, and a number");
    let ran = run(&mut cooee(&["send", "tcp://127.0.0.1:1?mode=ack"]), b"");
    assert_eq!(ran.code, Some(2), "{ran:?}");
    let ran = run(&mut cooee(&["send"]), b"");
    assert_eq!(ran.code, Some(2), "{ran:?}");

    let ran = run(&mut send(server.address(), &["--encoding=latin1"]), "fine\n你好\nnever\n".as_bytes());
    check_fails(&ran, "cannot hold '你'");
    let server = Server::start(&["--framing=line"]);
    let args = ["--max-frame=10", "--framing=line"];
    for (input, printed) in
        [("1234567890\r\n12345678901\n", "1234567890\n"), ("12345678901", ""), ("1234567890\rx", "")]
    {
        let ran = run(&mut send(server.address(), &args), input.as_bytes());
        check_fails(&ran, "a line has more than 10 bytes");
        assert_eq!(String::from_utf8_lossy(&ran.stdout), printed, "what is too long is not sent");
    }
    check_prints(&run(&mut send(server.address(), &args), b"1234567890"), &["1234567890"]);
}

#[test]
fn what_a_server_says_at_its_limit_is_printed() {
    let server = Server::start(&["--max-connections=1", "--mode=ack", "--framing=line"]);
    let mut first = server.connect();
    first.send(b"hi\n");
    first.take(1);
    let ran = run(&mut send(server.address(), &["--framing=line", "-m", "hi"]), b"");
    check_fails(&ran, "refused: the server has too many connections");
    assert_eq!(lines(&ran), ["too many connections, try again later"]);
    // Whatever the client takes the framing for.
    for args in [&["-m", "hi"][..], &["--raw"]] {
        check_fails(&run(&mut send(server.address(), args), b"hi"), "refused: the server has too many connections");
    }
    // Who says these words themselves gets them back.
    let echo = Server::start(&["--framing=line"]);
    let words = "too many connections, try again later";
    check_prints(&run(&mut send(echo.address(), &["--framing=line", "-m", words]), b""), &[words]);
}
