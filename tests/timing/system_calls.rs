//! Goal: the poll is the only call of the loop that waits. Every other one is known, with the reason why it does not
//! wait (`docs/waits.md`), and none takes a tenth of a second.
//!
//! Method: the server, the client and the load generator run under `strace -f -T` while every transport is used, and
//! what each thread calls between its first wait and its last is looked at. A call takes long also where its process
//! has no core meanwhile: so a call is one that waits where it is over the limit three times, under the same name. That
//! this would be seen is shown by a kernel that passes descriptors which linger.
//!
//! `TRACES=folder cargo test --test system_calls traces` judges the traces of other tests: `TRACED=1 python3
//! tests/reliability.py` makes them, and calls it.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use crate::support::{
    Call, Client, Lingering, Loading, PATIENCE, Ran, Server, alone, calls_of_loops, can_trace, cooee, holds_within,
    load_command, measured, read_trace, run, skip, traced,
};
use cooee::os::unix_socket::refuses_descriptors;
use nix::sys::signal::Signal;
use tempfile::TempDir;

/// What no call may take.
const BLOCKED: Duration = Duration::from_millis(100);

/// What is named with the reason why it did not wait.
const SLOW: Duration = Duration::from_millis(10);

/// How often a busy machine may take the core away in the middle of a call before it counts as one that waits.
const ATTEMPTS: usize = 3;

/// Why each call does not wait: the table of `docs/waits.md`.
fn reasons() -> BTreeMap<String, String> {
    let page = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/waits.md")).expect("the page");
    let (_, table) = page.split_once("## Every call of the loop").expect("the heading");
    let rows = table.split("\n## ").next().unwrap_or_default().lines().filter_map(|line| {
        let mut cells = line.strip_prefix("| `")?.split(" | ");
        Some((format!("`{}", cells.next()?), cells.next()?.trim_end_matches(" |").to_owned()))
    });
    let names = |calls: &str| calls.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>();
    rows.flat_map(|(calls, reason)| names(&calls).into_iter().map(move |name| (name, reason.clone()))).collect()
}

/// What a trace has shown: which calls took long, and which nobody has looked at yet.
#[derive(Default)]
struct Judged {
    count: usize,
    /// One of each name.
    unknown: BTreeMap<String, String>,
    slow: Vec<String>,
    /// One of each name.
    blocked: BTreeMap<String, String>,
}

impl Judged {
    /// Names what was slow, with the reason why it did not wait.
    fn tell(&self) {
        self.slow.iter().for_each(|told| println!("over {SLOW:?}: {told}"));
    }
}

fn judge(calls: &[Call], reasons: &BTreeMap<String, String>) -> Judged {
    let mut judged = Judged { count: calls.len(), ..Judged::default() };
    for call in calls {
        let told = format!("{:?} {}", call.took, call.line.chars().take(120).collect::<String>());
        match reasons.get(&call.name) {
            None => _ = judged.unknown.insert(call.name.clone(), told.clone()),
            Some(reason) if call.took >= SLOW => judged.slow.push(format!("{told}\n    does not wait: {reason}")),
            Some(_) => {}
        }
        if call.took >= BLOCKED {
            judged.blocked.insert(call.name.clone(), told);
        }
    }
    judged
}

/// Judges what `make` has traced; none where it could trace nothing. Whatever took too long is made again, as far as
/// that goes.
#[track_caller]
fn none_blocks(mut make: impl FnMut() -> Option<Vec<Call>>) -> Option<Judged> {
    let reasons = reasons();
    let mut blocked: Vec<BTreeMap<String, String>> = Vec::new();
    for _ in 0..ATTEMPTS {
        let judged = judge(&make()?, &reasons);
        assert!(judged.count > 0, "nothing was traced");
        assert!(judged.unknown.is_empty(), "not in docs/waits.md: {:#?}", judged.unknown);
        let is_each_time = |name: &String| blocked.iter().all(|others| others.contains_key(name));
        if !judged.blocked.keys().any(is_each_time) {
            judged.tell();
            return Some(judged);
        }
        blocked.push(judged.blocked);
    }
    panic!("a call other than the wait took {BLOCKED:?}, {ATTEMPTS} times: {blocked:#?}");
}

/// A server on every transport, traced.
struct Traced {
    server: Server,
    trace: PathBuf,
    folder: TempDir,
}

impl Traced {
    /// None, with a word about it, where nothing can be traced.
    fn start(options: &str) -> Option<Traced> {
        if !can_trace() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let endpoints = [
            format!("unix://{}", path("stream")),
            format!("unixgram://{}", path("gram")),
            "tcp://127.0.0.1:0".to_owned(),
            "udp://127.0.0.1:0".to_owned(),
            "udp://0.0.0.0:0".to_owned(),
        ];
        let mut command = cooee(&["serve", "--max-connections=20"]);
        command.args(&endpoints);
        let trace = folder.path().join("serve");
        let server = Server::start_command(&mut traced(&command, &trace, options), endpoints.len());
        Some(Traced { server, trace, folder })
    }

    /// Where a client reaches each endpoint.
    fn urls(&self) -> Vec<String> {
        self.server.urls().iter().map(|url| url.replace("0.0.0.0", "127.0.0.1")).collect()
    }

    /// Drains it. A client that stays keeps the drain waiting, so the files of the sockets are removed within the loop.
    fn stop(self) -> Vec<Call> {
        let path = self.folder.path().join("stream");
        let stays = UnixStream::connect(&path).expect("it listens");
        Client::over(stays.try_clone().expect("a descriptor")).echo(b"here");
        self.server.signal(Signal::SIGTERM);
        let is_gone = holds_within(PATIENCE, || !path.exists());
        assert!(is_gone, "the drain removes the file");
        drop(stays);
        let mut server = self.server;
        assert_eq!(server.exit_code(), Some(0), "{}", server.log());
        read_trace(&self.trace)
    }
}

#[test]
fn every_call_of_the_server_is_known_and_none_waits() {
    let _alone = alone();
    let judged = none_blocks(|| {
        let traced = Traced::start("")?;
        for url in traced.urls() {
            // One in a line, and then many at once: datagrams that wait together are taken together.
            for args in [["-c2", "-n50", "--pipeline=1"], ["-c4", "-n400", "--pipeline=16"]] {
                Loading::start_command(&mut load_command(&url, &args)).finish();
            }
        }
        // Over the limit, gone in the middle, and one who wants to know.
        let crowd: Vec<Client> = (0..25).map(|_| traced.server.connect()).collect();
        traced.server.summary();
        drop(crowd);
        traced.server.wait_summary("everybody to have left", |summary| summary.get("active") == 0);
        Some(traced.stop())
    });
    if let Some(judged) = judged {
        measured(
            "35",
            &format!(
                "{} calls of the server but its waits: {} over {SLOW:?}, none over {BLOCKED:?}",
                judged.count,
                judged.slow.len()
            ),
        );
    }
}

/// The client's and the load generator's loops, with their standard streams, their progress and their look at the
/// server.
#[test]
fn every_call_of_the_clients_is_known_and_none_waits() {
    let _alone = alone();
    let judged = none_blocks(|| {
        if !can_trace() {
            return None;
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = |name: &str| folder.path().join(name).display().to_string();
        let (stream, gram) = (format!("unix://{}", path("stream")), format!("unixgram://{}", path("gram")));
        let server = Server::start(&["tcp://127.0.0.1:0", "udp://127.0.0.1:0", &stream, &gram]);
        let calls_of = |name: &str, command: &Command, input: &[u8]| {
            let trace = folder.path().join(name);
            let ran = run(&mut traced(command, &trace, ""), input);
            assert!(matches!(ran.code, Some(0 | 3)), "{ran:?}");
            read_trace(&trace)
        };
        let mut calls = Vec::new();
        for (number, url) in server.urls().iter().enumerate() {
            let lines: String = (0..200).map(|line| format!("line {line}\n")).collect();
            calls.extend(calls_of(
                &format!("send-{number}"),
                &cooee(&["send", "--framing=line", url]),
                lines.as_bytes(),
            ));
            calls.extend(calls_of(
                &format!("load-{number}"),
                &load_command(url, &["-c4", "-n200", "--pipeline=4"]),
                b"",
            ));
        }
        let churn = load_command(&server.url("tcp"), &["-c4", "-d300ms", "--churn", "--warmup=100ms"]);
        calls.extend(calls_of("churn", &churn, b""));
        let rate = load_command(&server.url("tcp"), &["-c4", "-d300ms", "-R500", "--busy-poll=1ms"]);
        calls.extend(calls_of("rate", &rate, b""));
        on_a_terminal(folder.path(), &server.url("tcp"), &mut calls);
        Some(calls)
    });
    if let Some(judged) = judged {
        measured(
            "35",
            &format!(
                "{} calls of the clients but their waits: {} over {SLOW:?}, none over {BLOCKED:?}",
                judged.count,
                judged.slow.len()
            ),
        );
    }
}

/// On a terminal the load generator draws a line, and the client asks for one. `script` has a terminal for them.
fn on_a_terminal(folder: &Path, url: &str, calls: &mut Vec<Call>) {
    let load = load_command(url, &["-c2", "-d500ms"]);
    for (name, command) in [("load-tty", &load), ("send-tty", &cooee(&["send", url]))] {
        let trace = folder.join(name);
        let traced = traced(command, &trace, "");
        let words = [traced.get_program()].into_iter().chain(traced.get_args());
        let words: Vec<String> = words.map(|word| format!("'{}'", word.to_string_lossy())).collect();
        let mut script = Command::new("script");
        script.args(["-qec", &words.join(" "), "/dev/null"]).env_remove("RUST_LOG");
        script.envs(traced.get_envs().filter_map(|(name, value)| Some((name, value?))));
        if Command::new("script").arg("--version").output().is_err() {
            return skip("script is not installed: nothing is drawn on a terminal");
        }
        let Ran { code, stderr, .. } = run(&mut script, b"hello\nbye\n");
        assert_eq!(code, Some(0), "{stderr}");
        calls.extend(read_trace(&trace));
    }
}

/// How long each of the descriptors takes to close.
const LINGER: Duration = Duration::from_secs(1);

/// A server whose Unix sockets are sent descriptors that linger; whether the sender was refused.
fn attacked(options: &str) -> Option<(Vec<Call>, bool)> {
    let traced = Traced::start(options)?;
    let stream = UnixStream::connect(traced.folder.path().join("stream")).expect("it listens");
    let gram = UnixDatagram::unbound().expect("a socket");
    gram.connect(traced.folder.path().join("gram")).expect("it is there");
    // Whoever closes last waits: the copies here are closed before the server reads.
    traced.server.signal(Signal::SIGSTOP);
    let (to_stream, _peers) = Lingering::new(2, LINGER).pass(&stream, b"stream");
    let (to_gram, _others) = Lingering::new(2, LINGER).pass(&gram, b"gram");
    traced.server.signal(Signal::SIGCONT);
    assert_eq!(to_stream.is_ok(), to_gram.is_ok(), "{to_stream:?}, {to_gram:?}");
    traced.server.connect().echo(b"are you there?");
    drop(stream);
    Some((traced.stop(), to_stream.is_err()))
}

/// That a call which waits is seen, and which one. The options of the two Unix sockets come first; without them every
/// kernel is as it was before Linux 6.16.
#[test]
fn descriptors_that_linger_are_seen_in_the_read_that_drops_them() {
    let _alone = alone();
    let Some((calls, is_refused)) = attacked("--inject=setsockopt:error=ENOPROTOOPT:when=1..2") else { return };
    assert!(!is_refused);
    let blocked = judge(&calls, &reasons()).blocked;
    assert!(blocked.contains_key("recvfrom"), "{blocked:#?}");
    let long = calls.iter().filter(|call| call.name == "recvfrom" && call.took >= LINGER);
    let long: Vec<Duration> = long.map(|call| call.took).collect();
    assert_eq!(long.len(), 2, "a stream's and a datagram socket's: {long:?}");
    measured("34", &format!("where descriptors are passed, two reads of the loop take {long:.1?}"));
}

#[test]
fn descriptors_that_linger_make_no_call_wait() {
    let _alone = alone();
    if !refuses_descriptors() {
        return skip("this kernel has no SO_PASSRIGHTS (Linux 6.16)");
    }
    let _ = none_blocks(|| {
        let (calls, is_refused) = attacked("")?;
        assert!(is_refused);
        Some(calls)
    });
}

/// The traces that other tests have left in a folder.
#[test]
fn no_loop_of_the_traces_waits_anywhere_else() {
    let _alone = alone();
    let Some(folder) = std::env::var_os("TRACES") else {
        return skip("TRACES names no folder: `TRACED=1 python3 tests/reliability.py` does");
    };
    let mut calls = Vec::new();
    for entry in fs::read_dir(folder).expect("the folder can be read") {
        let trace = fs::read(entry.expect("an entry").path()).expect("a trace");
        calls.extend(calls_of_loops(&String::from_utf8_lossy(&trace)));
    }
    let judged = judge(&calls, &reasons());
    judged.tell();
    assert!(judged.unknown.is_empty(), "not in docs/waits.md: {:#?}", judged.unknown);
    let (count, slow, blocked) = (judged.count, judged.slow.len(), judged.blocked.len());
    // Whether it is so each time, `tests/reliability.py` asks.
    judged.blocked.iter().for_each(|(name, told)| println!("blocked: {name}: {told}"));
    println!("{count} calls but the waits: {slow} over {SLOW:?}, {blocked} kinds over {BLOCKED:?}");
}

#[test]
fn a_trace_tells_what_each_loop_called_between_its_waits() {
    let _alone = alone();
    let trace = r#"7 execve("/cooee", 0x7ffd /* 3 vars */) = 0 <0.200000>
7 epoll_wait(3, [], 1024, 500)         = 0 <0.500000>
7 recvfrom(4, "a (b) <9.9>"..., 262144, 0, NULL, NULL) = 64 <0.000021>
7 sendto(4, ""..., 64, MSG_NOSIGNAL, NULL, 0) = -1 EAGAIN (Resource temporarily unavailable) <1.500000>
8 write(1, ""..., 5)   = 5 <2.000000>
7 accept4(5,  <unfinished ...>
8 +++ exited with 0 +++
7 <... accept4 resumed>NULL, NULL, SOCK_CLOEXEC|SOCK_NONBLOCK) = 6 <0.010000>
7 --- SIGUSR1 {si_signo=SIGUSR1, si_code=SI_USER} ---
7 rt_sigreturn({mask=[]})              = 0 <0.000005>
7 epoll_pwait2(3, [], 1024, NULL, NULL, 8) = 0 <3.000000>
7 close(6)                             = 0 <0.300000>
7 exit_group(0)                        = ?
7 +++ exited with 0 +++
"#;
    let calls = calls_of_loops(trace);
    let told: Vec<(&str, u128)> = calls.iter().map(|call| (call.name.as_str(), call.took.as_micros())).collect();
    assert_eq!(told, [("recvfrom", 21), ("sendto", 1_500_000), ("accept4", 10_000), ("rt_sigreturn", 5)]);
    assert!(calls[2].line.starts_with("accept4(5,  NULL"), "{}", calls[2].line);

    let known = BTreeMap::from(["recvfrom", "sendto", "accept4"].map(|name| (name.to_owned(), "why".to_owned())));
    let judged = judge(&calls, &known);
    assert_eq!((judged.count, judged.unknown.len(), judged.slow.len(), judged.blocked.len()), (4, 1, 2, 1));
    assert!(judged.unknown.contains_key("rt_sigreturn") && judged.blocked.contains_key("sendto"));
    // A trace that ends before the second wait, and one without any, tell of no loop.
    assert_eq!(calls_of_loops("7 epoll_wait(3, [], 1024, 500) = 0 <0.5>\n7 close(6) = 0 <0.3>\n"), []);
    assert_eq!(calls_of_loops("7 close(6) = 0 <0.3>\nnonsense\n\n7 close(6 = 0 <0.3>\n"), []);
}

#[test]
fn the_table_tells_of_each_call_why_it_does_not_wait() {
    let _alone = alone();
    let reasons = reasons();
    assert!(reasons.len() > 20, "{reasons:?}");
    for (name, reason) in &reasons {
        assert!(reason.len() > 10, "{name}: {reason}");
        let is_name = name
            .chars()
            .all(|character| character.is_ascii_lowercase() || character.is_ascii_digit() || character == '_');
        assert!(is_name, "'{name}' is no system call");
    }
}
