//! Goal: `cooee compare` calls a winner where there is one and none where there is none, says of a bad server what is
//! wrong with it and compares the others, and leaves no process and no file behind, however it ends.
//!
//! Method: the built binary against servers that it starts itself: the built server, and `faulty.py`, which delays,
//! lies, dies, stays silent, chatters, has children or ignores SIGTERM as it is told. Verdicts are read from the JSON.
//! The folder for temporary files is the test's own, and has to be empty at the end.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::support::{Process, Ran, children, cooee, faulty, finish, finish_within, is_gone, pids, wait_until};
use nix::sys::signal::Signal::{self, SIGABRT, SIGHUP, SIGINT, SIGKILL, SIGTERM};
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// The built server as a command.
fn ours(endpoint: &str) -> String {
    format!("'{}' -q serve '{endpoint}'", env!("CARGO_BIN_EXE_cooee"))
}

const TCP: &str = "tcp://127.0.0.1:{port}";

/// Short rounds, which end with a number of messages however slow the machine is, and none for memory.
const SHORT: [&str; 6] = ["-q", "--rounds=1", "--messages=200", "--warmup=50ms", "--idle-connections=0", "-c2"];

/// A comparison starts many processes, and some of them are not quick to start.
const PATIENCE: Duration = Duration::from_secs(90);

/// A comparison whose temporary files are in a folder of its own.
struct Comparison {
    temporary: TempDir,
    command: Command,
}

impl Comparison {
    fn of(servers: &[&str], args: &[&str]) -> Comparison {
        let temporary = tempfile::tempdir().unwrap();
        let mut command = cooee(&["compare"]);
        for server in servers {
            command.args(["--server", server]);
        }
        command.args(args).env("TMPDIR", temporary.path());
        Comparison { temporary, command }
    }

    #[track_caller]
    fn run(mut self) -> Ran {
        let command = self.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let ran = finish_within(Process::spawn(command), PATIENCE);
        let left: Vec<_> = fs::read_dir(self.temporary.path()).unwrap().collect();
        assert!(left.is_empty(), "{left:?} is left behind");
        ran
    }

    /// Runs it, and returns its JSON, which it prints alone.
    #[track_caller]
    fn json(mut self, code: i32) -> (Value, Ran) {
        self.command.arg("--json=-");
        let ran = self.run();
        assert_eq!(ran.code, Some(code), "{ran:?}");
        let json = serde_json::from_slice(&ran.stdout).unwrap_or_else(|error| panic!("{error}: {ran:?}"));
        (json, ran)
    }
}

/// Checks that the first of two servers failed in its first round with these words on stderr, and that the second was
/// measured.
#[track_caller]
fn check_fails(server: &str, args: &[&str], words: &[&str]) -> Ran {
    let good = format!("good={}", ours(TCP));
    let (json, ran) = Comparison::of(&[server, &good], &[&SHORT[..], args].concat()).json(1);
    for word in words {
        assert!(ran.stderr.contains(word), "'{word}' is not in: {ran:?}");
    }
    assert!(!ran.stderr.contains('\x1b'), "{ran:?}");
    let [bad, good] = [0, 1].map(|index| &json["servers"][index]);
    assert_eq!(bad["failure"]["round"], 1, "{json}");
    assert_eq!(bad["rounds"].as_array().unwrap().len(), 0, "{json}");
    assert_eq!(good["failure"], Value::Null, "{json}");
    assert!(good["rounds"][0]["messages_per_s"].as_f64().unwrap() > 0.0, "{json}");
    ran
}

#[test]
fn equal_servers_have_no_winner() {
    let [one, other] = ["one", "other"].map(|name| format!("{name}={}", ours(TCP)));
    // With eight rounds of each, chance takes the ranges apart once in 6,435 times.
    let args = ["-q", "--rounds=8", "--messages=1000", "--warmup=50ms", "--idle-connections=50"];
    let (json, _) = Comparison::of(&[&one, &other], &args).json(0);
    let summary = &json["servers"][1]["summary"];
    assert_eq!(summary["messages_per_s"]["verdict"], "no difference shown", "{json}");
    let ratio = &summary["messages_per_s"]["ratio"];
    assert!(ratio["min"].as_f64() <= ratio["median"].as_f64() && ratio["median"].as_f64() <= ratio["max"].as_f64());
    for round in json["servers"][0]["rounds"].as_array().unwrap() {
        let cpu = round["cpu_us_per_message"].as_f64().unwrap();
        assert!((0.5..1000.0).contains(&cpu), "{cpu} µs a message: {round}");
        let memory = round["memory_per_idle_connection"].as_f64().unwrap();
        assert!((-1e4..1e4).contains(&memory), "{memory} bytes a connection: {round}");
    }
}

#[test]
fn a_slower_server_is_called_worse() {
    let (Some(fast), Some(slow)) = (faulty(""), faulty("--delay=0.03")) else { return };
    let args = ["-q", "--rounds=4", "--messages=15", "--warmup=50ms", "--idle-connections=0"];
    let html = tempfile::NamedTempFile::new().unwrap();
    let html_flag = format!("--html={}", html.path().display());
    let servers = [format!("fast={fast}"), format!("slow={slow}")];
    let (json, _) = Comparison::of(&[&servers[0], &servers[1]], &[&args[..], &[html_flag.as_str()]].concat()).json(0);
    let summary = &json["servers"][1]["summary"];
    for name in ["messages_per_s", "p50_us"] {
        assert_eq!(summary[name]["verdict"], "worse", "{name}: {json}");
    }
    assert!(summary["p50_us"]["min"].as_f64().unwrap() >= 30_000.0, "{json}");
    assert_eq!(summary["memory_per_idle_connection"], Value::Null, "{json}");
    let page = fs::read_to_string(html.path()).unwrap();
    assert!(page.contains("fast, slow") && page.contains("<svg") && page.contains("worse"));
    assert!(page.contains("<p class=\"verdict\">slow was worse than fast: "), "{page}");
}

#[test]
fn the_table_tells_what_was_found_and_how() {
    let server = format!("us={}", ours(TCP));
    let ran = Comparison::of(&[&server], &SHORT).run();
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    for words in ["messages a second", "the server's CPU time a message", "messages 200", "rounds     1,", "  us "] {
        assert!(ran.printed().contains(words), "'{words}' is not in: {}", ran.printed());
    }
    assert!(ran.printed().starts_with("us alone: messages a second "), "{ran:?}");
    assert!(ran.printed().lines().all(|line| line.chars().count() <= 80), "{ran:?}");
    let default = Comparison::of(&[], &["--help"]).run();
    assert!(default.printed().contains("[default: 5s]"), "a round is shorter than a run of load");
}

#[test]
fn report_shows_a_comparison_again_as_it_was_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let outputs = [format!("--json={}", path("a.json")), format!("--html={}", path("a.html"))];
    let servers = [format!("ours={}", ours(TCP)), format!("other={}", ours(TCP))];
    let args = [&SHORT[..], &outputs.each_ref().map(String::as_str)].concat();
    let told = Comparison::of(&servers.each_ref().map(String::as_str), &args).run();
    assert_eq!(told.code, Some(0), "{told:?}");
    let report = |args: &[&str]| finish_report(cooee(&["report"]).args(args).current_dir(folder.path()));
    let shown = report(&["a.json", "--html=b.html"]);
    assert_eq!((shown.code, &shown.stdout), (Some(0), &told.stdout), "{shown:?}");
    let read = |name: &str| fs::read_to_string(path(name)).unwrap();
    assert_eq!(read("b.html"), read("a.html"));
    assert_eq!(report(&["a.json", "--json=c.json"]).code, Some(0));
    assert_eq!(report(&["c.json"]).stdout, told.stdout, "its JSON is a comparison too");
    for args in [&["a.json", "a.json"][..], &["a.json", "--side-by-side"], &["a.json", "--csv=-"]] {
        let ran = report(args);
        assert_eq!((ran.code, ran.printed()), (Some(2), ""), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("a.json is a comparison of servers"), "{args:?}: {ran:?}");
    }
    fs::write(path("bad.json"), "{\"kind\": \"comparison\", \"version\": 1}").unwrap();
    let ran = report(&["bad.json"]);
    assert!(ran.code == Some(1) && ran.stderr.starts_with("cooee: bad.json is no comparison: "), "{ran:?}");
}

fn finish_report(command: &mut Command) -> Ran {
    finish(Process::spawn(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped())))
}

#[test]
fn silent_connections_are_a_condition_like_others() {
    let server = format!("us={}", ours(TCP));
    let args = [&SHORT[..], &["--silent-connections=30"]].concat();
    let (json, _) = Comparison::of(&[&server], &args).json(0);
    assert_eq!((&json["silent_connections"], &json["idle_connections"]), (&30.into(), &0.into()), "{json}");
    let ran = Comparison::of(&[&server], &args).run();
    assert!(ran.printed().contains("beside     30 connections that were open and silent"), "{ran:?}");
    // It is not compared with servers that hold them all.
    let small = format!("small='{}' -q serve --max-connections=10 {TCP}", env!("CARGO_BIN_EXE_cooee"));
    check_fails(
        &small,
        &["--silent-connections=30"],
        &["small failed", "it does not take silent connections", "of 30"],
    );
}

#[test]
fn every_transport_is_compared() {
    for (transport, endpoint) in [
        ("udp", "udp://127.0.0.1:{port}"),
        ("unix", "unix://{path}"),
        ("unix", "unix://@{name}"),
        ("unixgram", "unixgram://{path}"),
    ] {
        let server = format!("us={}", ours(endpoint));
        let args = ["--rounds=1", "--messages=200", "--warmup=0", "--idle-connections=10", "--transport", transport];
        let (json, _) = Comparison::of(&[&server], &args).json(0);
        let round = &json["servers"][0]["rounds"][0];
        assert!(round["messages"].as_u64().unwrap() > 0, "{transport}: {json}");
        assert_eq!(round["memory_per_idle_connection"].is_null(), transport != "unix", "{transport}: {json}");
    }
}

#[test]
fn framed_acknowledgements_are_checked() {
    let server = format!("us={}", ours("tcp://127.0.0.1:{port}?mode=ack&framing=len32"));
    let args = [&SHORT[..], &["--expect=ack", "--framing=len32", "--pipeline=4"]].concat();
    let (json, _) = Comparison::of(&[&server], &args).json(0);
    assert!(json["servers"][0]["rounds"][0]["messages"].as_u64().unwrap() > 0, "{json}");
    check_fails(&server, &["--expect=echo", "--framing=len32"], &["it answers wrong: "]);
}

#[test]
fn a_server_that_ends_is_told_with_its_last_words() {
    let script = r"a=sh -c 'echo listening on {port}; printf \\033[2Joops >&2; exit 7'";
    check_fails(script, &[], &["a failed in round 1: it ended with exit code 7", "| listening on ", r"\u{1b}[2Joops"]);
    check_fails("a=true {port}", &[], &["it ended by itself", "foreground", "it wrote nothing"]);
    let Some(python) = faulty("--exit-after=20") else { return };
    check_fails(&format!("a={python}"), &[], &["it ended with exit code 7", r"| \u{1b}[31mgiving up"]);
}

#[test]
fn a_server_that_does_not_answer_is_told() {
    let args = ["--start-timeout=300ms"];
    check_fails("a=sleep 1000{port}", &args, &["it did not answer within 300ms", "refused"]);
    let Some(python) = faulty("--silent") else { return };
    check_fails(&format!("a={python}"), &["--start-timeout=2s"], &["it did not answer within 2s", "does not reply"]);
}

#[test]
fn a_server_that_answers_wrong_is_told() {
    let Some(python) = faulty("--wrong-after=0") else { return };
    check_fails(&format!("a={python}"), &[], &["it answers wrong: ", "and not 'abcdefgh"]);
    let python = faulty("--wrong-after=20").unwrap();
    check_fails(&format!("a={python}"), &[], &["a failed in round 1: a reply was wrong", "'!' came"]);
}

#[test]
fn a_server_that_chatters_is_not_held_up() {
    // A pipe that nobody reads would be full after a few messages.
    let Some(python) = faulty("--chatter=20000") else { return };
    let (json, _) = Comparison::of(&[&format!("a={python}")], &SHORT).json(0);
    assert!(json["servers"][0]["rounds"][0]["messages"].as_u64().unwrap() > 10, "{json}");
}

#[test]
fn a_stubborn_server_is_stopped_with_its_child() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let Some(python) = faulty(&format!("--ignore-term --child --pids='{}'", file.display())) else { return };
    Comparison::of(&[&format!("a={python}")], &SHORT).json(0);
    let pids = pids(&file);
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(pids.iter().all(|pid| is_gone(*pid)), "{pids:?}");
}

/// A server in a shell script that does this first; the script may name a file for process ids, `$PIDS`.
fn script(folder: &Path, before: &str) -> String {
    let file = folder.join("server.sh");
    let server = env!("CARGO_BIN_EXE_cooee");
    let text =
        format!("PIDS='{}'\n{before}\nexec '{server}' -q serve tcp://127.0.0.1:$1\n", folder.join("pids").display());
    fs::write(&file, text).unwrap();
    format!("a=sh '{}' {{port}}", file.display())
}

#[test]
fn a_daemon_that_has_left_its_group_and_lost_its_parent_is_stopped_with_its_server() {
    let folder = tempfile::tempdir().unwrap();
    // One that can be told to end, and one that has to be killed; each forks twice and leads a session of its own.
    let daemons = "for trap in true \"trap '' TERM\"; do
        setsid sh -c \"$trap; (while :; do sleep 0.05; done) & echo \\$! >> $PIDS\"; done";
    let server = script(folder.path(), &format!("export PIDS; {daemons}"));
    Comparison::of(&[&server], &SHORT).json(0);
    let pids = pids(&folder.path().join("pids"));
    assert_eq!(pids.len(), 2, "{pids:?}");
    assert!(pids.iter().all(|pid| is_gone(*pid)), "{pids:?}");
}

#[test]
fn processes_that_a_shell_has_left_to_compare_are_none_of_a_servers() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let mut comparison = Comparison::of(&[&format!("a={}", ours(TCP))], &SHORT);
    let program = std::mem::replace(&mut comparison.command, Command::new("sh"));
    let temporary = comparison.temporary.path();
    comparison.command.args(["-c", "sleep 1000 & echo $! > \"$0\"; exec \"$@\""]).arg(&file).arg(program.get_program());
    comparison.command.args(program.get_args()).env("TMPDIR", temporary).env_remove("RUST_LOG");
    // It has the standard streams of compare, so nobody waits for their end.
    comparison.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process::spawn(&mut comparison.command);
    assert_eq!(process.exit_within(PATIENCE).expect("it ends").code(), Some(0));
    let left = pids(&file)[0];
    assert!(!is_gone(left), "it has ended a stranger");
    let _ = kill(Pid::from_raw(left as i32), SIGKILL);
}

#[test]
fn daemons_that_end_are_reaped_while_their_server_runs() {
    let folder = tempfile::tempdir().unwrap();
    let server = script(folder.path(), "(sleep 0.01 & echo $! > \"$PIDS\")");
    let mut comparison = Comparison::of(&[&server], &["-q", "--rounds=1", "--duration=1h", "--warmup=0s", "-c1"]);
    let process = Process::spawn(comparison.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()));
    let file = folder.path().join("pids");
    wait_until("it has a daemon", || !pids(&file).is_empty());
    let stat = format!("/proc/{}/stat", pids(&file)[0]);
    wait_until("the daemon has ended and is reaped", || !Path::new(&stat).exists());
    process.signal(SIGTERM);
    assert_eq!(finish(process).code, Some(143));
}

#[test]
fn a_compare_that_is_killed_leaves_no_server_and_no_file() {
    for signal in [SIGKILL, SIGABRT] {
        let server = format!("a={}", ours(TCP));
        let mut comparison = Comparison::of(&[&server], &["-q", "--rounds=1", "--duration=1h", "--warmup=0s", "-c1"]);
        let command = comparison.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let process = Process::spawn(command);
        let mut server = None;
        wait_until("a server runs", || {
            server = children(process.id()).first().copied();
            let words = server.and_then(|id| fs::read(format!("/proc/{id}/cmdline")).ok()).unwrap_or_default();
            words.windows(7).any(|word| word == b"\0serve\0")
        });
        process.signal(signal);
        wait_until("the server has ended", || is_gone(server.unwrap()));
        assert_eq!(fs::read_dir(comparison.temporary.path()).unwrap().count(), 0, "a file is left behind");
    }
}

#[test]
fn a_server_that_cannot_be_started_is_told_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("server");
    fs::write(&program, "#!/no/such/interpreter\n").unwrap();
    fs::set_permissions(&program, fs::Permissions::from_mode(0o700)).unwrap();
    let words = format!(
        "'{}' cannot be started: there is no such program, or none that its first line names",
        program.display()
    );
    check_fails(&format!("a={} {{port}}", program.display()), &[], &[&words, "(it wrote nothing)"]);
}

/// Sends `signal` while the second server runs, and checks what is told and what is left.
fn check_interrupt(signal: Signal) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("pids");
    let Some(python) = faulty(&format!("--child --pids='{}'", file.display())) else { return };
    let args = ["--rounds=1000", "--duration=1s", "--warmup=0", "--idle-connections=0", "--json=-"];
    let mut comparison = Comparison::of(&[&format!("us={}", ours(TCP)), &format!("a={python}")], &args);
    let command = comparison.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = Process::spawn(command);
    wait_until("the second server runs", || pids(&file).len() >= 2);
    process.signal(signal);
    let ran = finish(process);
    assert_eq!(ran.code, Some(128 + signal as i32), "{signal}: {ran:?}");
    let json: Value = serde_json::from_slice(&ran.stdout).unwrap();
    assert_eq!(json["interrupted"], true);
    assert!(!json["servers"][0]["rounds"].as_array().unwrap().is_empty(), "{json}");
    assert_eq!(json["servers"][1]["failure"], Value::Null, "an interrupt is no fault of the server: {json}");
    assert!(pids(&file).into_iter().all(is_gone), "{signal}");
    assert!(fs::read_dir(comparison.temporary.path()).unwrap().next().is_none(), "files are left behind");
}

#[test]
fn an_interrupt_stops_the_server_and_tells_what_was_measured() {
    for signal in [SIGINT, SIGTERM, SIGHUP] {
        check_interrupt(signal);
    }
}

#[test]
fn an_interrupt_while_a_server_starts_ends_it_too() {
    let mut comparison = Comparison::of(&["a=sleep 1000{port}"], &["--start-timeout=1h"]);
    let command = comparison.command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let process = Process::spawn(command);
    wait_until("the server is started", || !children(process.id()).is_empty());
    let server = children(process.id())[0];
    process.signal(SIGTERM);
    let ran = finish(process);
    assert_eq!(ran.code, Some(143), "{ran:?}");
    assert!(ran.printed().contains("it was interrupted"), "{ran:?}");
    assert!(is_gone(server));
}

#[test]
fn wrong_usage_says_what_is_right_and_starts_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let marker = folder.path().join("started");
    let starts = format!("first=sh -c 'touch {}; exec sleep 1000' {{port}}", marker.display());
    let table: &[(&[&str], &[&str])] = &[
        (&["--server=a=cooee serve"], &["{port} is missing"]),
        (&["--server=first=sleep {port}"], &["another one is called 'first' already", "NAME=COMMAND"]),
        (&["--server=sh -c 'half {port}"], &["a quote is not closed"]),
        (&["--server=a=no-such-program {port}"], &["there is no program 'no-such-program'"]),
        (&["--server=a="], &["there is no command"]),
        (&["--transport=unix"], &["{path} is missing"]),
        (&["--transport=sctp"], &["tcp, udp, unix and unixgram"]),
        (&["--server-cpus=many"], &["0,2 or 0-3"]),
        (&["--server-cpus=1023"], &["may not run on processor 1023"]),
        (&["--server-cpus=0", "--generator-cpus=0"], &["both have processor 0"]),
        (&["--rounds=0"], &["at least 1"]),
        (&["--duration=0"], &["more than 0"]),
        (&["--idle-connections=100000000"], &["does not fit", "ulimit -n"]),
        (&["--silent-connections=100000000"], &["--connections and --silent-connections", "100000001", "does not fit"]),
        (&["--silent-connections=1", "--transport=udp"], &["--silent-connections", "datagrams"]),
        (&["--expect=ack", "--pipeline=2"], &["--framing line or len32"]),
        (&["--html=-"], &["--html -"]),
    ];
    for (args, words) in table {
        let ran = Comparison::of(&[&starts], args).run();
        assert_eq!((ran.code, ran.printed()), (Some(2), ""), "{args:?}: {ran:?}");
        for word in *words {
            assert!(ran.stderr.contains(word), "{args:?} is not answered with '{word}': {}", ran.stderr);
        }
    }
    let ran = Comparison::of(&[], &[]).run();
    assert!(ran.code == Some(2) && ran.stderr.contains("--server"), "{ran:?}");
    let ran = Comparison::of(&[&starts], &["--json=/no/such/folder/a.json"]).run();
    assert!(ran.code == Some(1) && ran.stderr.contains("cannot write /no/such/folder/a.json"), "{ran:?}");
    assert!(!marker.exists(), "a server was started");
}
