//! Traces of system calls (`strace -f -T`), and what they tell of an event loop: what it calls, and how long each call
//! took.

use std::collections::HashMap;
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::{skip, wait_until};

/// One system call that was made between two waits of a loop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Such as `recvfrom`.
    pub name: String,
    /// From its begin to its end on the wall. On a busy machine a process that has no core takes long over any call.
    pub took: Duration,
    /// The line of the trace, from the name on.
    pub line: String,
}

/// Whether this is a loop's wait: the one call that may take its time.
fn is_wait(name: &str) -> bool {
    name.starts_with("epoll_") && name.contains("wait")
}

/// The calls of all loops of a trace, but for their waits. A loop is what a thread does between its first wait and its
/// last: what comes before is the start, and what comes after the end.
pub fn calls_of_loops(trace: &str) -> Vec<Call> {
    let mut threads: HashMap<&str, Vec<Call>> = HashMap::new();
    let mut unfinished: HashMap<&str, &str> = HashMap::new();
    for line in trace.lines() {
        let Some((thread, line)) = line.split_once(' ') else { continue };
        let line = line.trim_start();
        if let Some(begun) = line.strip_suffix("<unfinished ...>") {
            unfinished.insert(thread, begun);
            continue;
        }
        // `<... recvfrom resumed>"hello", 5) = 5 <0.000031>`
        let line = match line.strip_prefix("<... ").and_then(|line| line.split_once(" resumed>")) {
            Some((name, rest)) => match unfinished.remove(thread) {
                Some(begun) => format!("{begun}{rest}"),
                None => format!("{name}({rest}"),
            },
            None => line.to_owned(),
        };
        if let Some(call) = call(line) {
            threads.entry(thread).or_default().push(call);
        }
    }
    let mut calls = Vec::new();
    for of_thread in threads.into_values() {
        let first = of_thread.iter().position(|call| is_wait(&call.name));
        let last = of_thread.iter().rposition(|call| is_wait(&call.name));
        if let (Some(first), Some(last)) = (first, last) {
            calls.extend(of_thread[first..last].iter().filter(|call| !is_wait(&call.name)).cloned());
        }
    }
    calls
}

/// The call that a line tells of; none where it tells of a signal, of an end, or of a call that never returned.
fn call(line: String) -> Option<Call> {
    let name = line[..line.find('(')?].to_owned();
    let seconds = line.strip_suffix('>')?.rsplit_once('<')?.1;
    let took = Duration::try_from_secs_f64(seconds.parse().ok()?).ok()?;
    let is_name = name.chars().all(|character| character.is_ascii_alphanumeric() || character == '_');
    is_name.then_some(Call { name, took, line })
}

/// Whether `strace` is here and may trace; a word about it where it does not.
pub fn can_trace() -> bool {
    let works = Command::new("strace").args(["-o", "/dev/null", "true"]).output().is_ok_and(|ran| ran.status.success());
    if !works {
        skip("strace is not installed, or may not trace here");
    }
    works
}

/// The same command under `strace`, which is told `options` besides, such as `--inject=`; its calls are written to
/// `trace`. The process is the test's own child.
pub fn traced(command: &Command, trace: &Path, options: &str) -> Command {
    let mut traced = Command::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/support/traced"));
    traced.args(command.get_args()).env_remove("RUST_LOG");
    traced.env("TRACED", command.get_program()).env("TRACE", trace).env("STRACE", options);
    traced
}

/// The calls of the loops of a trace whose process has ended.
#[track_caller]
pub fn read_trace(path: &Path) -> Vec<Call> {
    let mut trace = String::new();
    wait_until("the trace is whole", || {
        trace = fs::read_to_string(path).unwrap_or_default();
        trace.lines().last().is_some_and(|line| line.contains(" +++ "))
    });
    calls_of_loops(&trace)
}
