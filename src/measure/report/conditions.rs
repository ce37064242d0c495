//! The conditions of a run: without them its figures say nothing.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::SystemTime;

use nix::sys::resource::{RLIM_INFINITY, Resource, getrlimit};
use nix::sys::utsname::uname;
use serde::{Deserialize, Serialize};

use crate::measure::load::options::{Body, End, Expect, Options, Pace};
use crate::measure::report::visible::shortened;
use crate::protocol::framing::Framing;

/// Under which conditions a run took place: what was asked for, and where it was done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Conditions {
    /// The command line, quoted for a shell.
    pub command: String,
    /// This program's name and version.
    pub program: String,
    /// The name of the machine.
    pub host: String,
    /// Its kernel: name, release and architecture.
    pub kernel: String,
    /// The model of its processors; `None` if the system does not tell.
    pub cpu: Option<String>,
    /// How many cores this process may use.
    pub cores: u64,
    /// How many descriptors this process may hold; `None` if there is no limit.
    pub descriptors: Option<u64>,
    /// The number of the process: with the host and the time it tells two runs apart.
    pub process: u32,
    /// When the run began, warm-up included (RFC 3339, UTC).
    pub began: String,
    /// What the run was asked to do, by the names of the flags.
    pub options: BTreeMap<String, String>,
}

/// The options that say what was sent, how, and what had to come back. Runs in which they differ have measured
/// different things.
pub(super) const MEASURED: [&str; 8] =
    ["length", "message", "expect", "framing", "pipeline", "churn", "timeout", "busy-poll"];

impl Conditions {
    /// The conditions here and now, for a run of `options` that began at `began`. `command` is the command line, the
    /// program's name included.
    pub fn here(command: impl IntoIterator<Item = String>, options: &Options, began: SystemTime) -> Conditions {
        Conditions { options: options_by_flag(options), ..Conditions::before(command, began) }
    }

    /// The same where it is not known yet what the run was to do.
    pub fn before(command: impl IntoIterator<Item = String>, began: SystemTime) -> Conditions {
        let words: Vec<String> = command.into_iter().collect();
        // A word that holds a zero byte cannot be quoted, and cannot have come from a command line either.
        let command = shlex::try_join(words.iter().map(String::as_str)).unwrap_or_else(|_| words.join(" "));
        let system = uname().ok();
        let system = |part: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
            system.as_ref().map_or_else(String::new, |names| part(names).to_string_lossy().into_owned())
        };
        let kernel =
            [system(|names| names.sysname()), system(|names| names.release()), system(|names| names.machine())];
        Conditions {
            command,
            program: concat!("cooee ", env!("CARGO_PKG_VERSION")).to_owned(),
            host: system(|names| names.nodename()),
            kernel: kernel.join(" "),
            cpu: cpu_model(),
            cores: std::thread::available_parallelism().map_or(1, |cores| cores.get() as u64),
            descriptors: getrlimit(Resource::RLIMIT_NOFILE)
                .ok()
                .and_then(|(soft, _)| Some(soft).filter(|soft| *soft != RLIM_INFINITY)),
            process: std::process::id(),
            began: humantime::format_rfc3339_millis(began).to_string(),
            options: BTreeMap::new(),
        }
    }

    /// Whether a reply could be any, and nothing said where it ended.
    pub fn ends_with_first_bytes(&self) -> bool {
        let option = |flag| self.options.get(flag).map(String::as_str);
        option("expect") == Some("any") && option("framing") == Some("chunk")
    }

    /// When the run began, for a person: `2026-11-22 12:00:00 UTC`.
    pub fn began_in_words(&self) -> String {
        let Some(began) = self.began() else { return shortened(&self.began, 40) };
        let text = humantime::format_rfc3339_seconds(began).to_string();
        text.replace('T', " ").replace('Z', " UTC")
    }

    /// When the run began; `None` if `began` is no time.
    pub(super) fn began(&self) -> Option<SystemTime> {
        humantime::parse_rfc3339_weak(&self.began).ok()
    }
}

/// The model of the processors; `None` if the system does not tell, or is not asked.
fn cpu_model() -> Option<String> {
    #[cfg(target_os = "linux")]
    return <procfs::CpuInfo as procfs::Current>::current().ok()?.model_name(0).map(str::to_owned);
    #[cfg(not(target_os = "linux"))]
    None
}

fn options_by_flag(options: &Options) -> BTreeMap<String, String> {
    let time = |duration| humantime::format_duration(duration).to_string();
    let expect = match options.expect {
        Expect::Echo => "echo",
        Expect::Ack(_) => "ack",
        Expect::Any => "any",
    };
    let mut flags: Vec<(&str, String)> = vec![
        ("connections", options.connections.to_string()),
        ("pipeline", options.pipeline.to_string()),
        ("warmup", time(options.warmup)),
        ("timeout", time(options.timeout)),
        ("connect-timeout", time(options.connect_timeout)),
        ("expect", expect.to_owned()),
    ];
    flags.push(match options.end {
        End::After(duration) => ("duration", time(duration)),
        End::Messages(messages) => ("messages", messages.to_string()),
    });
    flags.push(match &options.body {
        Body::Noise(length) => ("length", length.to_string()),
        Body::Text(text) => ("message", String::from_utf8_lossy(text).into_owned()),
    });
    flags.extend(match &options.pace {
        Pace::Closed => None,
        Pace::Open(schedule) if schedule.ramp.is_zero() => Some(("rate", schedule.to.to_string())),
        Pace::Open(schedule) => Some(("ramp", format!("{}:{}/{}", schedule.from, schedule.to, time(schedule.ramp)))),
    });
    if !options.datagrams {
        flags.push(("framing", options.rules.framing.to_string()));
        if options.expect == Expect::Any && options.rules.framing != Framing::Chunk {
            flags.push(("max-reply", options.rules.max_frame.to_string()));
        }
    }
    flags.extend(options.churn.then(|| ("churn", "true".to_owned())));
    flags.extend(options.connect_rate.map(|rate| ("connect-rate", rate.to_string())));
    flags.extend(options.busy_poll.map(|awake| ("busy-poll", time(awake))));
    if !options.sources.is_empty() {
        let sources: Vec<String> = options.sources.iter().map(without_port).collect();
        flags.push(("source", sources.join(",")));
    }
    flags.into_iter().map(|(flag, value)| (flag.to_owned(), value)).collect()
}

/// An IP address without its port, with the zone where it has one.
pub fn without_port(address: &SocketAddr) -> String {
    match address {
        SocketAddr::V6(six) if six.scope_id() > 0 => format!("{}%{}", six.ip(), six.scope_id()),
        _ => address.ip().to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::measure::report::runs;

    #[test]
    fn the_conditions_here_are_told() {
        let began = SystemTime::UNIX_EPOCH + Duration::from_millis(1_700_000_000_123);
        let command = ["cooee", "load", "-m", "it's"].map(str::to_owned);
        let here = Conditions::here(command, &runs::options(), began);
        assert_eq!(here.command, r#"cooee load -m "it's""#);
        assert_eq!(here.began, "2023-11-14T22:13:20.123Z");
        assert_eq!(here.began(), Some(began));
        assert_eq!(here.began_in_words(), "2023-11-14 22:13:20 UTC");
        let never = Conditions { began: "yesterday\n".to_owned(), ..here.clone() };
        assert_eq!(never.began_in_words(), r"yesterday\n", "another program's words are shown without power");
        assert!(here.program.starts_with("cooee ") && here.cores >= 1 && !here.host.is_empty());
        // The kernel's word, where it has one (`proc_cpuinfo(5)`).
        let cpuinfo = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpuinfo.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
        assert_eq!(here.cpu.as_deref(), model.map(|(_, model)| model));
        assert_eq!(here.options["rate"], "1000");
        assert_eq!(here.options["duration"], "10s");
        assert_eq!(here.options["length"], "64");
        assert!(!here.options.contains_key("busy-poll"), "it sleeps");
        let polling = Options { busy_poll: Some(Duration::from_millis(1)), ..runs::options() };
        assert_eq!(Conditions::here([], &polling, began).options["busy-poll"], "1ms");
    }
    #[test]
    fn replies_of_unknown_length_end_with_their_first_bytes() {
        let ends = |expect: &str, framing: &str| {
            let flags =
                [("expect", expect), ("framing", framing)].map(|(flag, value)| (flag.to_owned(), value.to_owned()));
            Conditions { options: flags.into(), ..runs::conditions() }.ends_with_first_bytes()
        };
        assert!(ends("any", "chunk"));
        assert!(!ends("any", "line") && !ends("echo", "chunk") && !ends("echo", "line"));
    }

    #[test]
    fn the_machine_is_the_one_that_this_runs_on() {
        let here = Conditions::before([], SystemTime::UNIX_EPOCH);
        let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
        assert_eq!(here.process, std::process::id());
        if cfg!(target_os = "linux") {
            assert_eq!(here.host, read("/proc/sys/kernel/hostname").trim());
            let release = read("/proc/sys/kernel/osrelease");
            assert_eq!(here.kernel, format!("Linux {} {}", release.trim(), std::env::consts::ARCH));
            let limits = read("/proc/self/limits");
            let soft = limits.lines().find_map(|line| line.strip_prefix("Max open files")?.split_whitespace().next());
            assert_eq!(here.descriptors.map_or("unlimited".to_owned(), |most| most.to_string()), soft.unwrap());
            let processors = read("/proc/cpuinfo");
            let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
            assert_eq!(here.cpu.as_deref(), model.map(|(_, name)| name.trim()));
        }
    }

    #[test]
    fn each_flag_that_was_given_is_told() {
        use crate::measure::load::schedule::Schedule;
        let told = |change: &dyn Fn(&mut Options), flag: &str| {
            let mut options = runs::options();
            change(&mut options);
            Conditions::here([], &options, SystemTime::UNIX_EPOCH).options.get(flag).cloned()
        };
        let some = |value: &str| Some(value.to_owned());
        assert_eq!(told(&|_| {}, "framing"), some("chunk"));
        assert_eq!(told(&|options| options.datagrams = true, "framing"), None);
        assert_eq!(told(&|options| options.body = Body::Text(b"hi".to_vec()), "message"), some("hi"));
        assert_eq!(told(&|options| options.body = Body::Text(b"hi".to_vec()), "length"), None);
        assert_eq!(told(&|options| options.end = End::Messages(70), "messages"), some("70"));
        assert_eq!(told(&|options| options.end = End::Messages(70), "duration"), None);
        assert_eq!((told(&|_| {}, "connections"), told(&|_| {}, "pipeline")), (some("50"), some("1")));
        assert_eq!((told(&|_| {}, "warmup"), told(&|_| {}, "timeout")), (some("1s"), some("10s")));
        assert_eq!(told(&|_| {}, "connect-timeout"), some("5s"));
        for (framing, name) in [(Framing::Chunk, "chunk"), (Framing::Line, "line"), (Framing::Len32, "len32")] {
            assert_eq!(told(&|options| options.rules.framing = framing, "framing"), some(name));
        }
        assert_eq!(told(&|_| {}, "expect"), some("echo"));
        // How long a reply may be matters where nothing else says it.
        let max_reply = |framing, expect: Expect| {
            let change = |options: &mut Options| {
                (options.rules.framing, options.rules.max_frame, options.expect) = (framing, 99, expect.clone());
            };
            (told(&change, "max-reply"), told(&change, "expect"))
        };
        assert_eq!(max_reply(Framing::Line, Expect::Any), (some("99"), some("any")));
        assert_eq!(max_reply(Framing::Chunk, Expect::Any), (None, some("any")));
        assert_eq!(max_reply(Framing::Line, Expect::Echo), (None, some("echo")));
        assert_eq!(told(&|_| {}, "ramp"), None);
        let ramp = Schedule { from: 1.0, to: 9.0, ramp: Duration::from_secs(3) };
        assert_eq!(told(&|options| options.pace = Pace::Open(ramp), "ramp"), some("1:9/3s"));
        assert_eq!(told(&|options| options.pace = Pace::Open(ramp), "rate"), None);
        assert_eq!(told(&|options| options.pace = Pace::Closed, "rate"), None);
        assert_eq!((told(&|_| {}, "churn"), told(&|options| options.churn = true, "churn")), (None, some("true")));
        assert_eq!(told(&|options| options.connect_rate = Some(5.0), "connect-rate"), some("5"));
        let sources =
            || ["127.0.0.2", "127.0.0.3"].map(|ip| std::net::SocketAddr::new(ip.parse().unwrap(), 0)).to_vec();
        assert_eq!(told(&|_| {}, "source"), None);
        assert_eq!(told(&|options| options.sources = sources(), "source"), some("127.0.0.2,127.0.0.3"));
    }
}
