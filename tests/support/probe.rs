//! The standard probe: 200 connections that ask 2,000 times a second, whatever else happens to their server.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::full::is_full;
use super::{Loading, Measured, PATIENCE, load_command};

/// The 99th percentile may be as many times that of a calm server, or [`P99`].
const TIMES_CALM: f64 = 3.0;
const P99: f64 = 0.005;
const P999: f64 = 0.050;

/// Every day: nobody starves, on whatever machine.
const STARVED: f64 = 2.0;

/// What a calm server needs, to be compared with.
pub struct Probe {
    url: String,
    calm: f64,
}

/// A probe that goes on.
pub struct Probing<'a> {
    probe: &'a Probe,
    loading: Loading,
}

impl Probe {
    /// Measures the server at `url`, which has nothing else to do, for as long.
    #[track_caller]
    pub fn calm(url: &str, time: Duration) -> Probe {
        let url = url.to_owned();
        let calm = start(&url, time).finish_within(PATIENCE + time).latency("p99");
        Probe { url, calm }
    }

    /// Begins to measure for as long; the fault goes on beside it.
    pub fn start(&self, time: Duration) -> Probing<'_> {
        Probing { probe: self, loading: start(&self.url, time) }
    }
}

impl Probing<'_> {
    /// Waits for the end. No error and no wrong byte is ever forgiven. What the latencies were; an error where they are too long.
    #[track_caller]
    pub fn finish(self) -> Result<String, String> {
        let Probing { probe, loading } = self;
        let measured = loading.finish_within(3 * PATIENCE);
        assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
        assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
        assert_eq!(measured.count("lost"), 0, "{}", measured.shown());
        assert_eq!(measured.count("messages"), measured.count("due"), "{}", measured.shown());
        let (p99, p999) = (measured.latency("p99"), measured.latency("p999"));
        let found = format!("probe p99 {:.2} ms (calm {:.2}), p99.9 {:.2} ms", p99 * 1e3, probe.calm * 1e3, p999 * 1e3);
        let (p99_most, p999_most) =
            if is_full() { (P99.max(TIMES_CALM * probe.calm), P999) } else { (STARVED, STARVED) };
        if p99 <= p99_most && p999 <= p999_most { Ok(found) } else { Err(found + &doubts(&measured)) }
    }
}

/// What the generator itself says against its figures.
fn doubts(measured: &Measured) -> String {
    let doubts = measured.report["doubts"].as_array().into_iter().flatten();
    doubts.filter_map(|doubt| doubt.as_str()).map(|doubt| format!(" ({doubt})")).collect()
}

/// Goes first where it may: what is measured is the server, and not how long the generator waits for a core.
fn start(url: &str, time: Duration) -> Loading {
    let time = format!("{}ms", time.as_millis());
    let load = load_command(url, &["-c", "200", "--rate", "2000", "-d", &time, "--warmup=200ms"]);
    let mut command = Command::new("nice");
    command.args(["-n", "-10"]).arg(load.get_program()).args(load.get_args());
    Loading::start_command(command.env_remove("RUST_LOG").stderr(Stdio::piped()))
}
