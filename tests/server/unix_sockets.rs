//! Goal: Unix stream and datagram sockets serve like TCP and UDP, and their files belong to whoever lives behind them:
//! the dead one's is taken over, the living one's and what is no socket are left alone, and at the end only our own is
//! removed.
//!
//! Method: the built binary serves in a temporary folder; plain sockets and `cooee send` are its clients.

use std::fs;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::thread;

use crate::support::{
    Client, PATIENCE, Process, Ran, Server, close, cooee, noise, run, send, skip, try_run, wait_until,
};
use nix::sys::signal::Signal;
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().unwrap()
}

fn url(scheme: &str, path: &Path) -> String {
    format!("{scheme}://{}", path.display())
}

fn connect(path: &Path) -> Client<UnixStream> {
    Client::over(UnixStream::connect(path).unwrap())
}

/// A datagram client with a name of its own in `folder`.
fn named(folder: &TempDir, name: &str) -> UnixDatagram {
    let socket = UnixDatagram::bind(folder.path().join(name)).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    socket
}

fn ask(client: &UnixDatagram, server: &Path, message: &[u8]) -> Vec<u8> {
    client.send_to(message, server).unwrap();
    take(client)
}

fn take(client: &UnixDatagram) -> Vec<u8> {
    let mut buffer = vec![0; 300_000];
    let length = client.recv(&mut buffer).expect("no datagram came");
    buffer.truncate(length);
    buffer
}

fn serve(arguments: &[&str]) -> Ran {
    run(cooee(&["serve"]).args(arguments), b"")
}

fn is_socket(path: &Path) -> bool {
    fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket())
}

#[test]
fn streams_are_echoed_whatever_their_size() {
    let folder = folder();
    let path = folder.path().join("echo.sock");
    let server = Server::start(&[&url("unix", &path)]);
    for size in [1, 1023, 1024, 1025, 65_536, 70_000, 3_000_000] {
        let message = noise(size, size);
        let mut stream = connect(&path);
        let mut writer = stream.twin();
        thread::scope(|scope| {
            scope.spawn(|| {
                writer.send(&message);
                writer.shutdown();
            });
            assert!(stream.rest() == message, "{size} bytes came back changed");
        });
    }
    let summary = server.drain();
    assert_eq!((summary.get("accepted"), summary.get("peer-closed")), (7, 7));
}

#[test]
fn streams_are_acknowledged_and_bye_ends_them() {
    let folder = folder();
    let path = folder.path().join("ack.sock");
    let server = Server::start(&[&format!("{}?mode=ack&framing=line", url("unix", &path))]);
    let mut stream = connect(&path);
    let answer = "数据[hello]收到了!\n";
    stream.ask(b"hello\n", answer.as_bytes());
    stream.send(b"bye\n");
    assert_eq!(stream.rest(), "数据[bye]收到了!\n".as_bytes());
    drop(stream);
    assert_eq!(server.drain().get("ended"), 1);
}

#[test]
fn many_streams_are_served_at_once() {
    let folder = folder();
    let path = folder.path().join("many.sock");
    let server = Server::start(&[&url("unix", &path)]);
    let mut streams: Vec<_> = (0..100).map(|_| connect(&path)).collect();
    for (number, stream) in streams.iter_mut().enumerate() {
        stream.send(&noise(100, number));
    }
    for (number, stream) in streams.iter_mut().enumerate().rev() {
        assert!(stream.take(100) == noise(100, number), "stream {number}");
    }
    assert_eq!(server.summary().get("active"), 100);
    drop(streams);
    server.wait_summary("everybody to have left", |summary| summary.get("active") == 0);
    server.stop();
}

#[test]
fn datagrams_of_every_size_are_echoed_exactly() {
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let server = Server::start(&[&url("unixgram", &path)]);
    let client = named(&folder, "client");
    // A Unix datagram may be longer than any UDP one; the sender's buffer is the bound (unix(7)).
    for size in [0, 1, 2, 1023, 1024, 1025, 4096, 65_507, 65_508, 100_000, 150_000] {
        let message = noise(size, size);
        assert!(ask(&client, &path, &message) == message, "{size} bytes came back changed");
    }
    assert_eq!(server.drain().get("dropped"), 0);
}

#[test]
fn datagrams_are_acknowledged_and_bye_is_answered_with_bye() {
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let mut server = Server::start(&[&format!("{}?mode=ack&bye=stop", url("unixgram", &path))]);
    let client = named(&folder, "client");
    assert_eq!(ask(&client, &path, b""), "数据[]收到了!".as_bytes());
    assert_eq!(ask(&client, &path, "你好".as_bytes()), "数据[你好]收到了!".as_bytes());
    assert_eq!(ask(&client, &path, b"bye"), b"bye");
    server.last_summary();
    assert!(!path.exists());
}

#[test]
fn paths_are_percent_decoded_and_told_so_that_they_can_be_used_again() {
    let folder = folder();
    for (name, encoded) in
        [("a b.sock", "a%20b.sock"), ("q?100%25.sock", "q%3F100%2525.sock"), ("数 据.sock", "数%20据.sock")]
    {
        let path = folder.path().join(name);
        for scheme in ["unix", "unixgram"] {
            let server = Server::start(&[&url(scheme, &folder.path().join(encoded))]);
            assert!(is_socket(&path), "{path:?} is not there");
            let told = server.url(scheme);
            assert_eq!(server.stdout(), format!("listening {told} mode=echo\n"), "a space in a URL splits the line");
            let ended = send(&[told.as_str(), "-m", "hello"], b"");
            assert_eq!((ended.code, ended.printed()), (Some(0), "hello\n"), "{ended:?}");
            server.stop();
            assert!(!path.exists(), "{path:?} was left behind");
        }
    }
}

#[test]
fn the_socket_of_a_dead_server_is_taken_over() {
    let folder = folder();
    let path = folder.path().join("s");
    // Each kind meets what each kind left behind.
    for (dead, next) in [("unix", "unix"), ("unixgram", "unixgram"), ("unix", "unixgram"), ("unixgram", "unix")] {
        let mut server = Server::start(&[&url(dead, &path)]);
        server.signal(Signal::SIGKILL);
        assert_eq!(server.exit_code(), None);
        assert!(is_socket(&path), "a killed server cannot clean up");
        let server = Server::start(&[&url(next, &path)]);
        let ended = send(&[url(next, &path).as_str(), "-m", "anybody?"], b"");
        assert_eq!((ended.code, ended.printed()), (Some(0), "anybody?\n"), "{dead}, then {next}: {ended:?}");
        server.stop();
    }
}

#[test]
fn a_living_server_whose_backlog_is_full_is_still_living() {
    let folder = folder();
    let path = folder.path().join("s");
    let server = Server::start(&["--backlog", "1", &url("unix", &path)]);
    server.signal(Signal::SIGSTOP);
    let mut waiting = Vec::new();
    // Non-blocking connects, until the backlog takes no more.
    let full = loop {
        let socket = socket2::Socket::new(socket2::Domain::UNIX, socket2::Type::STREAM.nonblocking(), None).unwrap();
        match socket.connect(&socket2::SockAddr::unix(&path).unwrap()) {
            Ok(()) => waiting.push(socket),
            Err(error) => break error,
        }
    };
    assert_eq!(full.kind(), std::io::ErrorKind::WouldBlock);
    let ended = serve(&[&url("unix", &path)]);
    assert!(ended.code == Some(1) && ended.stderr.contains("address in use"), "{ended:?}");
    drop(waiting);
    server.signal(Signal::SIGCONT);
    connect(&path).echo(b"ping");
    server.stop();
}

#[test]
fn what_is_no_socket_is_left_alone() {
    let folder = folder();
    let (diary, link, shelf) = (folder.path().join("diary"), folder.path().join("link"), folder.path().join("shelf"));
    fs::write(&diary, "dear diary").unwrap();
    std::os::unix::fs::symlink(&diary, &link).unwrap();
    fs::create_dir(&shelf).unwrap();
    for path in [&diary, &link, &shelf] {
        for scheme in ["unix", "unixgram"] {
            let ended = serve(&[&url(scheme, path)]);
            assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{ended:?}");
            assert!(ended.stderr.contains("not a socket"), "{ended:?}");
        }
    }
    assert_eq!(fs::read_to_string(&diary).unwrap(), "dear diary");
    assert!(shelf.is_dir() && fs::read_link(&link).unwrap() == diary);
}

#[test]
fn a_path_that_cannot_be_bound_is_told_in_words_that_fit() {
    let folder = folder();
    for scheme in ["unix", "unixgram"] {
        let endpoint = url(scheme, &folder.path().join("nowhere/s"));
        let ended = serve(&[&endpoint]);
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(ended.stderr.contains(&format!("cannot listen on '{endpoint}': the folder of ")), "{ended:?}");
        assert!(ended.stderr.contains("does not exist"), "{ended:?}");
    }
    let long = folder.path().join("x".repeat(120));
    let ended = serve(&[&url("unixgram", &long)]);
    assert_eq!(ended.code, Some(2), "{ended:?}");
    assert!(ended.stderr.contains("at most 107 bytes"), "{ended:?}");
    let shut = folder.path().join("shut");
    fs::create_dir(&shut).unwrap();
    fs::set_permissions(&shut, fs::Permissions::from_mode(0o500)).unwrap();
    let mut command = cooee(&["serve"]);
    command.arg(url("unix", &shut.join("s")));
    if fs::write(shut.join("probe"), "").is_ok() {
        // No folder is shut to root: the server runs as somebody else.
        fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
        command.uid(65_534);
    }
    match try_run(&mut command) {
        Ok(ran) => {
            assert_eq!(ran.code, Some(1), "{ran:?}");
            assert!(
                ran.stderr.to_lowercase().contains("permission denied") && ran.stderr.contains("folder"),
                "{ran:?}"
            );
        }
        Err(error) => skip(&format!("the binary cannot be run as another user: {error}")),
    }
    let ended = serve(&["unix://relative/path"]);
    assert!(ended.code == Some(2) && ended.stderr.contains("absolute"), "{ended:?}");
}

#[test]
fn at_the_end_only_our_own_file_is_removed() {
    let folder = folder();
    let path = folder.path().join("s");
    for scheme in ["unix", "unixgram"] {
        let server = Server::start(&[&url(scheme, &path)]);
        server.stop();
        assert!(!path.exists(), "{scheme}: the file was left behind");

        let server = Server::start(&[&url(scheme, &path)]);
        fs::remove_file(&path).unwrap();
        let successor = UnixListener::bind(&path).unwrap();
        server.stop();
        assert!(is_socket(&path), "{scheme}: the successor's file was removed");
        drop(successor);
        fs::remove_file(&path).unwrap();

        let server = Server::start(&[&url(scheme, &path)]);
        fs::remove_file(&path).unwrap();
        fs::write(&path, "somebody's").unwrap();
        server.stop();
        assert_eq!(fs::read_to_string(&path).unwrap(), "somebody's");
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_start_that_fails_leaves_no_files() {
    let folder = folder();
    let (path, diary) = (folder.path().join("s"), folder.path().join("diary"));
    fs::write(&diary, "dear").unwrap();
    // The first is bound before the second fails.
    let ended = serve(&[&url("unix", &path), &url("unix", &diary)]);
    assert_eq!((ended.code, ended.printed()), (Some(1), ""));
    assert!(!path.exists());
    // Here nothing is bound at all.
    let ended = serve(&[&url("unix", &path), "unix:///other?mode=shout"]);
    assert_eq!((ended.code, path.exists()), (Some(2), false), "{ended:?}");
}

#[test]
fn a_second_signal_ends_it_at_once_and_the_file_goes_too() {
    let folder = folder();
    let path = folder.path().join("s");
    let mut server = Server::start(&[&url("unix", &path)]);
    // This client keeps the drain waiting.
    let mut stream = connect(&path);
    stream.echo(b"hello");
    server.signal(Signal::SIGTERM);
    server.wait_log("draining");
    assert_eq!(stream.rest(), b"");
    server.signal(Signal::SIGTERM);
    assert_eq!(server.exit_code(), Some(128 + Signal::SIGTERM as i32));
    assert!(!path.exists());
}

#[test]
fn a_sender_without_a_name_gets_no_reply_and_is_counted() {
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let server = Server::start(&[&url("unixgram", &path)]);
    let nameless = UnixDatagram::unbound().unwrap();
    for _ in 0..5 {
        nameless.send_to(b"who am I?", &path).unwrap();
    }
    server.wait_summary("the nameless", |summary| summary.get("unnamed-peer") == 5);
    assert_eq!(ask(&named(&folder, "client"), &path, b"me"), b"me");
    let summary = server.drain();
    assert_eq!((summary.get("messages_in"), summary.get("bytes_out")), (6, 2));
}

#[cfg(target_os = "linux")]
#[test]
fn a_sender_with_an_abstract_name_is_answered() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::SocketAddr;
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let server = Server::start(&["--log-messages", &url("unixgram", &path)]);
    let own = SocketAddr::from_abstract_name(format!("cooee-test-{}", std::process::id())).unwrap();
    let client = UnixDatagram::bind_addr(&own).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    assert_eq!(ask(&client, &path, b"abstract"), b"abstract");
    server.stop();
}

#[test]
fn a_client_that_is_gone_before_its_reply_harms_nobody() {
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let server = Server::start(&[&url("unixgram", &path)]);
    server.signal(Signal::SIGSTOP);
    let closed = named(&folder, "closed");
    closed.send_to(b"and away", &path).unwrap();
    drop(closed);
    let removed = named(&folder, "removed");
    removed.send_to(b"and away", &path).unwrap();
    fs::remove_file(folder.path().join("removed")).unwrap();
    server.signal(Signal::SIGCONT);
    server.wait_summary("two sends that fail", |summary| summary.get("send-failed") == 2);
    assert_eq!(ask(&named(&folder, "client"), &path, b"here"), b"here");
    server.stop();
}

#[test]
fn a_client_that_never_reads_holds_nobody_up() {
    const SENT: u64 = 200;
    let folder = folder();
    let path = folder.path().join("gram.sock");
    // At trace level each waking is a line, so a server that spins gives itself away.
    let server = Server::start(&["-vv", &url("unixgram", &path)]);
    let deaf = named(&folder, "deaf");
    for number in 0..SENT {
        deaf.send_to(&number.to_be_bytes(), &path).unwrap();
    }
    let client = named(&folder, "client");
    for number in 0..50u8 {
        assert_eq!(ask(&client, &path, &[number]), [number]);
    }
    let summary = server.wait_summary("all datagrams", |summary| summary.get("messages_in") == SENT + 50);
    let dropped = summary.get("would-block");
    assert!((1..SENT).contains(&dropped), "{dropped} of {SENT} replies were dropped");
    // What was not dropped is there, in order.
    for number in 0..SENT - dropped {
        assert_eq!(take(&deaf), number.to_be_bytes());
    }
    let log = server.stop();
    let wakings = log.lines().filter(|line| line.contains("woke with")).count();
    assert!(wakings < 1_500, "{wakings} wakings for 250 datagrams");
}

#[test]
fn the_client_talks_to_both_kinds_and_leaves_nothing_behind() {
    let folder = folder();
    let (stream, gram) = (folder.path().join("stream.sock"), folder.path().join("gram.sock"));
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let server = Server::start(&["--mode", "ack", &url("unix", &stream), &url("unixgram", &gram)]);
    for (scheme, path, last) in [("unix", &stream, "数据[bye]收到了!"), ("unixgram", &gram, "bye")] {
        let mut command = cooee(&["send"]);
        command.arg(url(scheme, path)).env("TMPDIR", &temporary);
        let ended = run(&mut command, "你好\nbye\n".as_bytes());
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert_eq!(ended.printed(), format!("数据[你好]收到了!\n{last}\n"));
    }
    let left: Vec<PathBuf> = fs::read_dir(&temporary).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.is_empty(), "{left:?}");
    server.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn a_client_that_is_killed_leaves_no_socket_behind() {
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let temporary = folder.path().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let server = UnixDatagram::bind(&path).unwrap();
    server.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut command = cooee(&["send"]);
    command.args([url("unixgram", &path).as_str(), "-m", "hi", "--wait=60s"]).env("TMPDIR", &temporary);
    let mut process = Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    let received = server.recv_from(&mut [0; 16]);
    process.child().kill().unwrap();
    process.child().wait().unwrap();
    // It had a name, or no reply could have been sent.
    assert!(!received.unwrap().1.is_unnamed());
    assert_eq!(fs::read_dir(&temporary).unwrap().count(), 0);
}

#[test]
fn the_client_loses_no_message_where_the_server_is_slow_to_take_them() {
    const LINES: usize = 300;
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let server = Server::start(&["--mode", "discard", "--log-messages", &url("unixgram", &path)]);
    // The server is held: after ten datagrams or so the kernel takes no more of them (unix(7), max_dgram_qlen).
    server.signal(Signal::SIGSTOP);
    let lines: Vec<String> = (0..LINES).map(|number| format!("line {number}")).collect();
    let mut command = cooee(&["send"]);
    command.args([url("unixgram", &path).as_str(), "--framing", "line", "--replies", "0"]);
    let ended = thread::scope(|scope| {
        let sending = scope.spawn(|| run(&mut command, lines.join("\n").as_bytes()));
        // Held until the client cannot go on without it.
        let probe = UnixDatagram::unbound().unwrap();
        probe.set_nonblocking(true).unwrap();
        wait_until("a full queue", || probe.send_to(b"", &path).is_err());
        server.signal(Signal::SIGCONT);
        sending.join().unwrap()
    });
    assert_eq!(ended.code, Some(0), "{ended:?}");
    let log = server.stop();
    let arrived: Vec<&str> = log.lines().filter_map(|line| Some(&line[line.find("line ")?..])).collect();
    assert_eq!(arrived, lines);
}

#[test]
fn the_client_says_so_where_the_server_takes_nothing_in_time() {
    let folder = folder();
    let path = folder.path().join("gram.sock");
    let server = Server::start(&[&url("unixgram", &path)]);
    server.signal(Signal::SIGSTOP);
    let mut arguments = vec![url("unixgram", &path), "--framing=line".into(), "--wait=200ms".into()];
    arguments.extend((0..100).map(|number| format!("-mline {number}")));
    let ended = send(&arguments, b"");
    assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{ended:?}");
    assert!(ended.stderr.contains("timed out"), "{ended:?}");
    server.signal(Signal::SIGCONT);
    server.stop();
}

#[test]
fn the_client_says_that_nobody_lives_there() {
    let folder = folder();
    let (never, dead) = (folder.path().join("never"), folder.path().join("dead"));
    close(UnixListener::bind(&dead).unwrap());
    for (path, word) in [(&never, "the file does not exist"), (&dead, "refused")] {
        for scheme in ["unix", "unixgram"] {
            let ended = send(&[url(scheme, path).as_str(), "-m", "hello"], b"");
            assert_eq!((ended.code, ended.printed()), (Some(1), ""), "{scheme} {ended:?}");
            assert!(ended.stderr.contains(word), "{scheme} {ended:?}");
        }
    }
}

/// A command as it is run by an ordinary user, who is neither the server's nor of its group. None where that cannot be
/// tried.
fn as_stranger(folder: &TempDir, arguments: &[&str]) -> Option<Ran> {
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let mut command = cooee(arguments);
    command.uid(65_534).gid(65_534);
    match try_run(&mut command) {
        Ok(ran) => Some(ran),
        Err(error) => {
            skip(&format!("the binary cannot be run as another user: {error}"));
            None
        }
    }
}

#[test]
fn the_file_has_the_mode_that_was_asked_for_whatever_the_umask_is() {
    let folder = folder();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    for umask in ["000", "077", "777"] {
        for scheme in ["unix", "unixgram"] {
            let path = folder.path().join(format!("{scheme}{umask}"));
            let mut shell = std::process::Command::new("sh");
            let cooee = cooee(&["serve", "--file-mode=0620"]);
            shell.args(["-c", &format!("umask {umask}; exec \"$@\""), "sh"]).arg(cooee.get_program());
            shell.args(cooee.get_args()).arg(url(scheme, &path)).env_remove("RUST_LOG");
            let server = Server::start_command(&mut shell, 1);
            assert_eq!(mode(&path), 0o620, "{scheme}, umask {umask}");
            server.stop();
            assert!(!path.exists());
        }
    }
    // The query outranks the flag, and where nothing is said the umask decides as ever.
    let [one, other, third] = ["one", "other", "third"].map(|name| folder.path().join(name));
    let server =
        Server::start(&["--file-mode=600", &url("unix", &one), &format!("{}?file-mode=0666", url("unix", &other))]);
    assert_eq!((mode(&one), mode(&other)), (0o600, 0o666));
    server.stop();
    let server = Server::start(&[&url("unix", &third)]);
    let usual = folder.path().join("usual");
    drop(UnixListener::bind(&usual).unwrap());
    assert_eq!(mode(&third), mode(&usual));
    server.stop();
}

#[test]
fn the_file_is_given_to_its_owner_and_group_by_name_or_number() {
    use std::os::unix::fs::MetadataExt;
    let folder = folder();
    let path = folder.path().join("s");
    if std::os::unix::fs::chown(folder.path(), Some(65_534), None).is_err() {
        return skip("only root gives files away");
    }
    for (settings, owner, group) in [
        ("file-owner=65534&file-group=65533", 65_534, 65_533),
        ("file-owner=root&file-group=1", 0, 1),
        ("file-group=65533", 0, 65_533),
    ] {
        let server = Server::start(&[&format!("{}?{settings}&file-mode=0660", url("unix", &path))]);
        let file = fs::metadata(&path).unwrap();
        assert_eq!((file.uid(), file.gid(), file.mode() & 0o777), (owner, group, 0o660), "{settings}");
        server.stop();
    }
    let Some(ran) = as_stranger(&folder, &["serve", &format!("{}?file-owner=0", url("unix", &path))]) else { return };
    assert!(ran.code == Some(1) && ran.stderr.contains("cannot be given"), "{ran:?}");
    assert!(!path.exists(), "a start that fails leaves no file");
}

#[test]
fn nobody_connects_before_the_file_has_its_mode() {
    if !crate::support::can_trace() {
        return;
    }
    let folder = folder();
    let (path, trace) = (folder.path().join("s"), folder.path().join("trace"));
    let cooee = cooee(&["serve", &format!("{}?file-mode=0660&file-owner=0", url("unix", &path))]);
    let calls = "--trace=umask,bind,fchownat,?chown,?chmod,fchmodat,listen";
    let server = Server::start_command(&mut crate::support::traced(&cooee, &trace, calls), 1);
    server.stop();
    let calls: Vec<String> = fs::read_to_string(&trace)
        .unwrap()
        .lines()
        .filter_map(|line| Some(line.split_whitespace().nth(1)?.split_once('(')?.0.to_owned()))
        .collect();
    let is = |wanted: &[&str]| {
        wanted.iter().zip(&calls).all(|(word, call)| call.contains(word)) && calls.len() == wanted.len()
    };
    assert!(is(&["umask", "bind", "umask", "chown", "chmod", "listen"]), "{calls:?}");
    assert!(fs::read_to_string(&trace).unwrap().contains("umask(0777)"));
}

#[test]
fn who_may_not_connect_reads_why() {
    let folder = folder();
    let (stream, gram) = (folder.path().join("stream"), folder.path().join("gram"));
    let server = Server::start(&["--file-mode=0600", &url("unix", &stream), &url("unixgram", &gram)]);
    for url in [url("unix", &stream), url("unixgram", &gram)] {
        let Some(ran) = as_stranger(&folder, &["send", &url, "-m", "hi"]) else { return };
        assert_eq!((ran.code, ran.printed()), (Some(1), ""), "{ran:?}");
        assert!(ran.stderr.contains("permission denied") && ran.stderr.contains("file-mode"), "{ran:?}");
        let Some(ran) = as_stranger(&folder, &["load", &url, "-n2"]) else { return };
        let said = format!("{}{}", String::from_utf8_lossy(&ran.stdout), ran.stderr);
        assert!(ran.code == Some(1) && said.contains("may not connect") && said.contains("file-mode"), "{ran:?}");
        let Some(ran) = as_stranger(&folder, &["serve", &url]) else { return };
        assert!(ran.code == Some(1) && ran.stderr.contains("whether its server lives"), "{ran:?}");
    }
    server.stop();
}

#[cfg(target_os = "linux")]
#[test]
fn abstract_names_serve_like_paths_and_have_no_file() {
    let own = format!("cooee-test-{}", std::process::id());
    for scheme in ["unix", "unixgram"] {
        // A name may hold any byte.
        let name = format!("{scheme}://@{own}%20a%00b");
        let server = Server::start(&[&name]);
        assert!(server.stdout().starts_with(&format!("listening {name} ")), "{}", server.stdout());
        server.wait_log("is open to every user of this machine");
        let ended = send(&[name.as_str(), "-m", "hello"], b"");
        assert_eq!((ended.code, ended.printed()), (Some(0), "hello\n"), "{ended:?}");
        let ended = run(&mut cooee(&["load", "-n20", "--warmup=0", &name]), b"");
        assert!(matches!(ended.code, Some(0 | 3)), "{ended:?}");
        let second = serve(&[&name]);
        assert!(second.code == Some(1) && second.stderr.contains("address in use"), "{second:?}");
        let other = send(&[name.replace("%00b", "").as_str(), "-m", "hello"], b"");
        assert!(other.code == Some(1) && other.stderr.contains("nobody listens"), "another name: {other:?}");
        server.stop();
    }
}
