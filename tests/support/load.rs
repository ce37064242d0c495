//! Runs of `cooee load`, and the figures that they report.

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::Value;

use super::{PATIENCE, Process, Ran, cooee, finish_within};

/// A run of load that has ended, with its report.
#[derive(Debug)]
pub struct Measured {
    pub ran: Ran,
    pub report: Value,
    /// How long the program ran.
    pub took: Duration,
}

/// Runs `cooee load` with these arguments against `url` to its end, without a warm-up unless they say otherwise. It
/// prints exactly one JSON object, and nothing else.
#[track_caller]
pub fn load(url: &str, args: &[&str]) -> Measured {
    Loading::start(url, args).finish()
}

/// Prepares what [`load`] runs.
pub fn load_command(url: &str, args: &[&str]) -> Command {
    let mut command = cooee(&["load", "--json=-"]);
    if !args.iter().any(|arg| arg.starts_with("--warmup")) {
        command.arg("--warmup=0s");
    }
    command.args(args).arg(url);
    command
}

/// A run of load that goes on.
pub struct Loading {
    process: Process,
    start: Instant,
}

impl Loading {
    pub fn start(url: &str, args: &[&str]) -> Loading {
        Loading::start_command(&mut load_command(url, args))
    }

    /// Starts a prepared command, which prints what load prints with `--json -`.
    pub fn start_command(command: &mut Command) -> Loading {
        let start = Instant::now();
        let command = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        Loading { process: Process::spawn(command), start }
    }

    pub fn id(&self) -> u32 {
        self.process.id()
    }

    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// Waits for its end, and reads its report.
    #[track_caller]
    pub fn finish(self) -> Measured {
        self.finish_within(PATIENCE)
    }

    /// The same for a run that takes its time on a busy machine.
    #[track_caller]
    pub fn finish_within(self, patience: Duration) -> Measured {
        let ran = finish_within(self.process, patience);
        let took = self.start.elapsed();
        let report = match serde_json::from_slice(&ran.stdout) {
            Ok(report @ Value::Object(_)) => report,
            other => panic!("stdout is not one JSON object ({other:?}): {ran:?}"),
        };
        let measured = Measured { ran, report, took };
        measured.assert_consistent();
        measured
    }
}

impl Measured {
    /// Fails unless the exit code and the verdict follow from the figures.
    #[track_caller]
    fn assert_consistent(&self) {
        let sent = self.number("sent");
        assert_eq!(self.count("in_vain"), self.count("due") - self.count("messages"), "{}", self.shown());
        let waited = self.report["in_vain_longest_us"].as_f64();
        assert!(waited.is_none() || self.count("in_vain") > 0, "{}", self.shown());
        assert!(self.number("late") <= sent && self.number("messages") <= sent, "{}", self.shown());
        let late = self.number("late") / self.number("sent").max(1.0);
        let by_chance = chance(self.count("late"), self.count("sent"), 0.01);
        // What it polled for nothing is no work.
        let idle = self.report["generator_idle_polling_s"].as_f64().unwrap_or(0.0);
        let duration = self.number("duration_s").max(1e-9);
        let core = (self.number("generator_cpu_s") - idle) / duration;
        // A full core here is no reason to doubt a run where the server had one too, as far as its time is known.
        let server = self.report["server_cpu_s"].as_f64().unwrap_or(0.0) / duration;
        let shares = format!("{late} late, {core} of a core, the server {server}: {}", self.shown());
        // The figures are rounded in the report, so what lies at a limit is left to the generator.
        let is_saturated = core > 0.99 && server < 0.89 && duration > 0.101 && self.count("messages") > 0;
        let held_by_chance = chance(self.report["held"].as_u64().unwrap_or(0), self.count("sent"), 0.01);
        let is_worth_nothing = self.count("messages") == 0 || self.report["surplus"].as_u64() > Some(0);
        let asked =
            self.report["conditions"][0]["options"]["connections"].as_str().and_then(|count| count.parse().ok());
        let is_interrupted = self.report["interrupted"] == true;
        let lacks_connections = asked.is_some_and(|asked: u64| self.count("connections") < asked) && !is_interrupted;
        let own_limits: u64 = ["no-port", "no-descriptor", "no-memory"].map(|kind| self.errors(kind)).iter().sum();
        let is_worth_nothing = is_worth_nothing || lacks_connections || own_limits > 0;
        let least_chance = by_chance.min(held_by_chance);
        if least_chance < 0.001 || is_saturated || is_worth_nothing {
            assert_eq!(self.report["valid"], false, "{shares}");
        } else if least_chance > 0.02 && (core < 0.97 || server > 0.91 || duration < 0.099) {
            assert_eq!(self.report["valid"], true, "{shares}");
        }
        let has_wrong_byte = !self.report["mismatch"].is_null() || self.report["corrupt"].as_u64() > Some(0);
        let objective = &self.report["objective"];
        let found_no_rate = objective.is_object() && objective["rate"].is_null();
        let code = match self.report["valid"] == true {
            _ if self.count("messages") == 0 || has_wrong_byte => 1,
            false => 3,
            true if found_no_rate => 1,
            true => 0,
        };
        assert_eq!(self.ran.code, Some(code), "{}", self.shown());
    }

    /// A whole number of the report.
    #[track_caller]
    pub fn count(&self, name: &str) -> u64 {
        self.report[name].as_u64().unwrap_or_else(|| panic!("no count '{name}': {}", self.shown()))
    }

    /// A number of the report.
    #[track_caller]
    pub fn number(&self, name: &str) -> f64 {
        self.report[name].as_f64().unwrap_or_else(|| panic!("no number '{name}': {}", self.shown()))
    }

    /// How often something of this kind went wrong.
    #[track_caller]
    pub fn errors(&self, kind: &str) -> u64 {
        match &self.report["errors"][kind] {
            Value::Null => 0,
            count => count.as_u64().unwrap_or_else(|| panic!("no count of '{kind}': {}", self.shown())),
        }
    }

    /// How much went wrong in all.
    #[track_caller]
    pub fn all_errors(&self) -> u64 {
        let errors = self.report["errors"].as_object().unwrap_or_else(|| panic!("no errors: {}", self.shown()));
        errors.values().map(|count| count.as_u64().expect("a count")).sum()
    }

    /// A figure of the latency from when messages were due, in seconds.
    #[track_caller]
    pub fn latency(&self, name: &str) -> f64 {
        self.seconds("latency_us", name)
    }

    /// A figure of the latency from when messages were sent, in seconds.
    #[track_caller]
    pub fn send_latency(&self, name: &str) -> f64 {
        self.seconds("send_latency_us", name)
    }

    #[track_caller]
    fn seconds(&self, which: &str, name: &str) -> f64 {
        let figure = self.report[which][name].as_f64();
        figure.unwrap_or_else(|| panic!("no {which} {name}: {}", self.shown())) / 1e6
    }

    /// Fails unless so many messages came back, every byte right, and nothing went wrong. A closed loop takes all of a
    /// core that it gets and says so: that speaks against its figures (exit code 3), not against what it has checked.
    #[track_caller]
    pub fn assert_right(&self, messages: u64) {
        self.assert_all_right();
        assert_eq!(self.count("messages"), messages, "{}", self.shown());
    }

    /// Fails unless messages came back, every byte right, and nothing went wrong.
    #[track_caller]
    pub fn assert_all_right(&self) {
        let is_only_busy = self.report["loop"] == "closed" && self.report["valid"] == false && self.count("late") == 0;
        assert_eq!(self.ran.code, Some(if is_only_busy { 3 } else { 0 }), "{}", self.shown());
        assert_eq!(self.all_errors(), 0, "{}", self.shown());
        assert_eq!(self.count("corrupt"), 0, "{}", self.shown());
        assert!(self.count("messages") > 0, "{}", self.shown());
    }

    /// All of it, for the message of a failed test; the histograms' many letters are no help there.
    pub fn shown(&self) -> String {
        let mut report = self.report.clone();
        if let Some(fields) = report.as_object_mut() {
            fields.retain(|name, _| !name.contains("histogram") && name != "intervals" && name != "conditions");
        }
        format!("exit code {:?} after {:?}\n{report:#}\n{}", self.ran.code, self.took, self.ran.stderr)
    }
}

/// The chance that `count` or more of `of` happen where each does with the chance `share`.
fn chance(count: u64, of: u64, share: f64) -> f64 {
    let mut logarithm = of as f64 * (1.0 - share).ln();
    let mut fewer = 0.0;
    for number in 0..count {
        fewer += logarithm.exp();
        logarithm += ((of - number) as f64 / (number + 1) as f64 * share / (1.0 - share)).ln();
    }
    1.0 - fewer
}
