//! Goal: `cooee send` exits with 0 only where no work is left undone: what it read was sent, as many replies came as
//! were expected, and what came was written. And each of its waits has an end, in time and with its reason.
//!
//! Method: the built client against small servers in the test, over every kind of socket, that stay silent, stop, end
//! one side, read slowly, answer some messages, or are at their limit.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::{UnixDatagram, UnixListener};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::{
    Collected, Noise, PATIENCE, Process, Ran, Server, cooee, cpu_ticks, finish, run, serve_one, wait_until,
};
use nix::sys::signal::Signal::SIGSTOP;
use socket2::SockRef;

/// Longer than any test has patience for: what ends before it did not wait for it.
const LONG: &str = "--wait=10m";

fn send(endpoint: &str, args: &[&str]) -> Command {
    cooee(&[&["send", endpoint], args].concat())
}

/// A server of one connection that does what `serve` does; its URL.
fn serve_at_url(serve: impl FnOnce(TcpStream) + Send + 'static) -> String {
    format!("tcp://{}", serve_one(serve))
}

/// Everything that comes until the peer ends its side, however slowly it is read.
fn read_all(stream: &mut TcpStream, pause: Duration) -> Vec<u8> {
    let (mut all, mut bytes) = (Vec::new(), vec![0; 256 * 1024]);
    while let Ok(count @ 1..) = stream.read(&mut bytes) {
        all.extend_from_slice(&bytes[..count]);
        thread::sleep(pause);
    }
    all
}

#[track_caller]
fn check(ran: &Ran, code: i32, words: &str) {
    assert_eq!(ran.code, Some(code), "{ran:?}");
    assert!(ran.stderr.contains(words), "'{words}' is not in: {ran:?}");
    assert_eq!(ran.stderr.lines().count(), usize::from(!words.is_empty()), "{ran:?}");
}

#[test]
fn a_server_that_is_silent_is_no_success_whatever_carries_the_messages() {
    // None of them reads anything; what they are sent lies in the kernel.
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let _unix = UnixListener::bind(path("stream")).unwrap();
    let _gram = UnixDatagram::bind(path("gram")).unwrap();
    let tcp = format!("tcp://{}", tcp.local_addr().unwrap());
    let udp = format!("udp://{}", udp.local_addr().unwrap());
    let unix = format!("unix://{}", path("stream").display());
    let gram = format!("unixgram://{}", path("gram").display());
    let cases: [(&str, &[&str], &str); 7] = [
        (&tcp, &["-m", "one", "-m", "two"], "0 of 2 messages were answered in time"),
        (&tcp, &["--framing=line", "--replies=all", "-m", "one"], "0 of 1 message was answered in time"),
        (&unix, &["--framing=len32", "--replies=3", "-m", "one"], "0 of 3 replies came for 1 message in time"),
        (&unix, &[], "0 of 1 message was answered in time"),
        (&tcp, &["--raw"], "nothing came back for what was sent in time"),
        (
            &udp,
            &["-m", "one", "-m", "two"],
            "0 of 2 messages were answered in time (--wait): the server is silent, stopped or at a limit, or a datagram was lost",
        ),
        (&gram, &["--replies=all", "-m", "one"], "0 of 1 message was answered in time"),
    ];
    thread::scope(|scope| {
        for (endpoint, args, words) in cases {
            scope.spawn(move || {
                let ran = run(send(endpoint, args).arg("--wait=300ms"), b"line\n");
                check(&ran, 1, &format!("{endpoint}: unanswered: {words}"));
                assert!(ran.stderr.contains("--replies 0"), "{ran:?}");
                // Nobody expects a reply: nothing is waited for.
                let begin: Vec<&str> = args.iter().copied().filter(|arg| !arg.starts_with("--replies")).collect();
                check(&run(send(endpoint, &begin).args(["--replies=0", LONG]), b"line\n"), 0, "");
            });
        }
    });
    // Nothing was sent, so nothing had to be answered.
    check(&run(&mut send(&udp, &[]), b""), 0, "");
    check(&run(send(&udp, &["--replies=1"]).arg("--wait=100ms"), b""), 1, "0 of 1 replies came for 0 messages");
}

/// A server that answers this many lines, and neither says more nor ends.
fn answers(count: usize) -> String {
    serve_at_url(move |mut stream| {
        let mut text = Vec::new();
        while text.iter().filter(|byte| **byte == b'\n').count() < count {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            text.push(byte[0]);
        }
        stream.write_all(&text).unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
        thread::sleep(PATIENCE);
    })
}

#[test]
fn as_many_replies_as_are_expected_end_the_wait_and_fewer_do_not() {
    for replies in ["all", "2"] {
        let args = ["--framing=line", "--replies", replies, LONG, "-m", "one", "-m", "two"];
        let ran = run(&mut send(&answers(2), &args), b"");
        check(&ran, 0, "");
        assert_eq!(ran.printed(), "one\ntwo\n");
    }
    let args = ["--framing=line", "--wait=300ms", "-m", "one", "-m", "two", "-m", "three"];
    check(&run(send(&answers(2), &args).arg("--replies=all"), b""), 1, "2 of 3 messages were answered");
    check(&run(send(&answers(2), &args).arg("--replies=4"), b""), 1, "2 of 4 replies came for 3 messages");
    check(&run(&mut send(&answers(2), &args), b""), 0, "");
    // Lines of standard input, of which the last comes when the others were answered long ago.
    let mut command = send(&answers(2), &["--framing=line", "--replies=all", LONG]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut input = process.child().stdin.take().unwrap();
    let output = Collected::of(process.child().stdout.take().unwrap());
    input.write_all(b"one\ntwo\n").unwrap();
    wait_until("they are answered", || output.text() == "one\ntwo\n");
    drop(input);
    check(&finish(process), 0, "");
    // Datagrams, one of which is lost.
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let endpoint = format!("udp://{}", socket.local_addr().unwrap());
    thread::spawn(move || {
        let mut bytes = [0; 100];
        for number in 0..6 {
            let Ok((count, peer)) = socket.recv_from(&mut bytes) else { return };
            if number != 1 {
                let _ = socket.send_to(&bytes[..count], peer);
            }
        }
    });
    let args = ["--replies=all", "-m", "one", "-m", "two", "-m", "three"];
    let ran = run(send(&endpoint, &args).arg("--wait=500ms"), b"");
    check(&ran, 1, "2 of 3 messages were answered in time (--wait)");
    check(&run(send(&endpoint, &args).arg(LONG), b""), 0, "");
}

#[test]
fn a_half_close_is_no_refusal() {
    let bytes = Noise::new(31).bytes(10_000_000);
    let lines: String = (0..50_000).map(|number| format!("line {number}\n")).collect();
    let inputs: [(&[&str], &[u8]); 2] = [(&["--raw"], &bytes), (&["--framing=line"], lines.as_bytes())];
    for (args, input) in inputs {
        for (replies, code, words) in [("0", 0, ""), ("any", 1, "the server ended its side")] {
            let (told, heard) = mpsc::channel();
            let endpoint = serve_at_url(move |mut stream| {
                stream.shutdown(Shutdown::Write).unwrap();
                told.send(read_all(&mut stream, Duration::ZERO)).unwrap();
            });
            // What cannot be answered any more is not waited for.
            let ran = run(send(&endpoint, args).args(["--replies", replies, LONG]), input);
            check(&ran, code, words);
            let heard = heard.recv_timeout(PATIENCE).unwrap();
            assert!(heard == input, "{args:?}: {} of {} bytes", heard.len(), input.len());
        }
    }
    // One that has answered before it ends: that is as much as any, and it is said that the rest cannot have been
    // answered.
    let endpoint = serve_at_url(|mut stream| {
        let _ = stream.read(&mut [0; 100]);
        stream.write_all(b"hi").unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        read_all(&mut stream, Duration::ZERO);
    });
    let ran = run(&mut send(&endpoint, &["-m", "one", "-m", "two"]), b"");
    assert_eq!((ran.code, ran.printed()), (Some(0), "hi\n"), "{ran:?}");
    assert!(ran.stderr.is_empty() || ran.stderr.contains("had ended its side before it was sent the last"), "{ran:?}");
}

#[test]
fn a_server_that_ends_both_sides_has_lost_what_comes_after() {
    for args in [&["--raw"][..], &["--framing=line"], &["--raw", "--replies=0"]] {
        let endpoint = serve_at_url(|mut stream| {
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(b"enough\n");
            // Without unread bytes, closing sends a FIN and no RST.
            SockRef::from(&stream).set_nonblocking(true).unwrap();
            while let Ok(1..) = stream.read(&mut [0; 65536]) {}
        });
        let ran = run(&mut send(&endpoint, args), &b"more and more\n".repeat(1_000_000));
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(ran.stderr.contains("closed: the server ended") || ran.stderr.contains("reset"), "{ran:?}");
    }
}

#[test]
fn the_last_bytes_to_a_server_that_is_gone_are_lost_although_no_write_fails() {
    let (gone, is_gone) = mpsc::channel();
    let endpoint = serve_at_url(move |mut stream| {
        let _ = stream.read(&mut [0; 100]);
        stream.write_all(b"first").unwrap();
        drop(stream);
        gone.send(()).unwrap();
    });
    let mut command = send(&endpoint, &["--raw"]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut input = process.child().stdin.take().unwrap();
    let output = Collected::of(process.child().stdout.take().unwrap());
    input.write_all(b"one").unwrap();
    is_gone.recv_timeout(PATIENCE).unwrap();
    wait_until("it has the answer", || output.text() == "first");
    input.write_all(b"two").unwrap();
    drop(input);
    check(&finish(process), 1, "closed: the server ended the conversation, and the last of what was sent is lost");
}

#[test]
fn what_lies_in_the_kernel_for_a_server_that_reads_nothing_is_not_delivered() {
    for args in [&["--raw"][..], &["--raw", "--replies=0"], &["--raw", "--replies=0", "--wait=0"]] {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        // Its window holds a few KiB, and the client's kernel the rest.
        SockRef::from(&listener).set_recv_buffer_size(4096).unwrap();
        let endpoint = format!("tcp://{}", listener.local_addr().unwrap());
        // A client that waits for that does nothing meanwhile.
        let mut command = send(&endpoint, &["--raw", LONG]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()));
        process.child().stdin.take().unwrap().write_all(&[b'x'; 200_000]).unwrap();
        let mut ticks = cpu_ticks(process.id());
        wait_until("it rests", || {
            let before = std::mem::replace(&mut ticks, cpu_ticks(process.id()));
            thread::sleep(Duration::from_millis(300));
            cpu_ticks(process.id()) - before < 5
        });
        drop(process);
        let wait = ["--wait=500ms"].into_iter().filter(|_| !args.contains(&"--wait=0"));
        let ran = run(send(&endpoint, args).args(wait), &[b'x'; 200_000]);
        check(&ran, 1, "timed out: the server does not read what it was sent");
    }
}

#[test]
fn what_was_sent_is_with_the_server_when_send_ends() {
    let bytes = Noise::new(32).bytes(3_000_000);
    for args in [&["--raw", "--replies=0"][..], &["--raw", "--replies=0", "--wait=0"], &["--raw"]] {
        let (told, heard) = mpsc::channel();
        // It answers before it reads on, so that a client which closes with unread bytes would send a RST.
        let endpoint = serve_at_url(move |mut stream| {
            stream.write_all(b"welcome").unwrap();
            told.send(read_all(&mut stream, Duration::from_millis(20))).unwrap();
        });
        let ran = run(&mut send(&endpoint, args), &bytes);
        assert_eq!(ran.code, Some(0), "{args:?} {ran:?}");
        let heard = heard.recv_timeout(PATIENCE).unwrap();
        assert!(heard == bytes, "{args:?}: {} of {} bytes", heard.len(), bytes.len());
    }
}

#[test]
fn a_server_that_stops_ends_it_in_the_midst_of_an_input_without_end() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    let cases: [(&str, &[&str]); 5] = [
        ("tcp", &["--raw"]),
        ("tcp", &["--framing=line"]),
        ("tcp", &["--raw", "--replies=0"]),
        ("unix", &["--framing=line"]),
        ("unixgram", &[]),
    ];
    for (scheme, args) in cases {
        let (unix, gram) = (format!("unix://{}", path("stream")), format!("unixgram://{}", path("gram")));
        let server = Server::start(&["--framing=line", "tcp://127.0.0.1:0", &unix, &gram]);
        server.signal(SIGSTOP);
        let mut command = send(&server.url(scheme), args);
        let mut process = Process::spawn(
            command.arg("--wait=700ms").stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()),
        );
        let mut input = process.child().stdin.take().unwrap();
        thread::spawn(move || while input.write_all(&b"more and more\n".repeat(1000)).is_ok() {});
        check(&finish(process), 1, "timed out: the server does not read what it was sent");
    }
}

#[test]
fn a_reader_of_the_output_may_take_its_time_and_the_server_is_not_blamed() {
    let server = Server::start(&[]);
    let bytes = Noise::new(33).bytes(30_000_000);
    let (mut reader, writer) = std::io::pipe().unwrap();
    let mut command = send(&server.url("tcp"), &["--raw", "--wait=1s"]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()));
    drop(command);
    let mut input = process.child().stdin.take().unwrap();
    let all = bytes.clone();
    thread::spawn(move || drop(input.write_all(&all)));
    // As in a pager: for longer than the wait, and then again.
    let mut printed = vec![0; 1_000_000];
    for _ in 0..2 {
        thread::sleep(Duration::from_millis(2500));
        reader.read_exact(&mut printed).unwrap();
    }
    let rest = Collected::of(reader);
    let ran = finish(process);
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""));
    assert!(rest.whole() == bytes[2_000_000..], "{} bytes", rest.bytes().len());
}

#[test]
fn replies_that_the_output_does_not_take_in_time_are_missed() {
    let all = Noise::new(34).bytes(3_000_000);
    for patience in [0, 800] {
        let reply = all.clone();
        let endpoint = serve_at_url(move |mut stream| {
            let _ = stream.read(&mut [0; 100]);
            let _ = stream.write_all(&reply);
        });
        let (mut reader, writer) = std::io::pipe().unwrap();
        let mut command = send(&endpoint, &["--raw", "--wait=500ms"]);
        let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(writer).stderr(Stdio::piped()));
        drop(command);
        process.child().stdin.take().unwrap().write_all(b"all of it, please").unwrap();
        // The reader comes when the time for replies is up, and that for the output is not.
        thread::sleep(Duration::from_millis(patience));
        let mut printed = Vec::new();
        reader.read_to_end(&mut printed).unwrap();
        let ran = finish(process);
        assert_eq!(ran.code == Some(0), printed == all, "{} of {} bytes: {ran:?}", printed.len(), all.len());
        assert_eq!(ran.stderr.contains("standard output takes nothing"), printed != all, "{ran:?}");
    }
}

#[test]
fn an_input_that_goes_on_ends_with_a_server_that_is_gone() {
    // Whether a server that has ended its side still reads shows when it is sent something; without replies it may be
    // sent nothing for long.
    let endpoint = serve_at_url(drop);
    let mut command = send(&endpoint, &["--replies=0", "--wait=300ms"]);
    let mut process = Process::spawn(command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()));
    let mut input = process.child().stdin.take().unwrap();
    assert!(process.exit_within(Duration::from_secs(1)).is_none(), "nothing is expected of the server");
    let began = Instant::now();
    while process.exit_within(Duration::from_millis(10)).is_none() {
        let _ = input.write_all(b"anybody?\n");
        assert!(began.elapsed() < PATIENCE, "it does not notice that nobody is there");
    }
    check(&finish(process), 1, "closed: the server ended the conversation");
}
