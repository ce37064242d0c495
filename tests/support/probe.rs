//! The standard probe: 200 connections that ask 2,000 times a second, whatever else happens to their server.
//!
//! In full it has a control: a server of its own with nothing else to do, which a tenth of the probe asks at the same
//! time. Where that one is as slow, the machine is, and nothing can be said of the server.

use std::process::{Command, Stdio};
use std::time::Duration;

use super::full::is_full;
use super::{Loading, Measured, Missed, PATIENCE, Server, load_command};

/// The 99th percentile may be as many times that of a calm server, or [`P99`].
const TIMES_CALM: f64 = 3.0;
const P99: f64 = 0.005;
const P999: f64 = 0.050;

/// Every day: nobody starves, on whatever machine.
const STARVED: f64 = 2.0;

/// The latencies that are judged, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Latencies {
    pub p99: f64,
    pub p999: f64,
}

impl Latencies {
    fn of(measured: &Measured) -> Latencies {
        Latencies { p99: measured.latency("p99"), p999: measured.latency("p999") }
    }

    fn are_within(self, most: Latencies) -> bool {
        self.p99 <= most.p99 && self.p999 <= most.p999
    }

    /// Judges them in full beside the calm server's 99th percentile and the control's latencies at the same time;
    /// `found` tells all.
    pub fn judge(self, calm: f64, control: Latencies, found: String) -> Result<String, Missed> {
        let most = Latencies { p99: P99.max(TIMES_CALM * calm), p999: P999 };
        let most_here =
            Latencies { p99: most.p99.max(TIMES_CALM * control.p99), p999: most.p999.max(TIMES_CALM * control.p999) };
        if self.are_within(most) {
            Ok(found)
        } else if self.are_within(most_here) {
            Err(Missed::Noise(found))
        } else {
            Err(Missed::Promise(found))
        }
    }
}

/// What a calm server needs, to be compared with.
pub struct Probe {
    url: String,
    calm: f64,
}

/// A probe that goes on.
pub struct Probing<'a> {
    probe: &'a Probe,
    loading: Loading,
    control: Option<Control>,
}

/// What the machine does to a server that has nothing else to do.
struct Control {
    _server: Server,
    loading: Loading,
}

impl Probe {
    /// Measures the server at `url`, which has nothing else to do, for as long.
    #[track_caller]
    pub fn calm(url: &str, time: Duration) -> Probe {
        let url = url.to_owned();
        let calm = start(&url, 1, time).finish_within(PATIENCE + time).latency("p99");
        Probe { url, calm }
    }

    /// Begins to measure for as long; the fault goes on beside it.
    pub fn start(&self, time: Duration) -> Probing<'_> {
        let control = is_full().then(|| {
            let server = Server::start(&[]);
            Control { loading: start(&server.url("tcp"), 10, time), _server: server }
        });
        Probing { probe: self, loading: start(&self.url, 1, time), control }
    }
}

impl Probing<'_> {
    /// Waits for the end. No error and no wrong byte is ever forgiven. What the latencies were; an error where they are
    /// too long.
    #[track_caller]
    pub fn finish(self) -> Result<String, Missed> {
        let Probing { probe, loading, control } = self;
        let measured = loading.finish_within(3 * PATIENCE);
        assert_eq!(measured.all_errors(), 0, "{}", measured.shown());
        assert_eq!(measured.count("corrupt"), 0, "{}", measured.shown());
        assert_eq!(measured.count("lost"), 0, "{}", measured.shown());
        assert_eq!(measured.count("messages"), measured.count("due"), "{}", measured.shown());
        let latencies = Latencies::of(&measured);
        let found = format!(
            "probe p99 {:.2} ms (calm {:.2}), p99.9 {:.2} ms",
            latencies.p99 * 1e3,
            probe.calm * 1e3,
            latencies.p999 * 1e3
        );
        let Some(control) = control else {
            let most = Latencies { p99: STARVED, p999: STARVED };
            return if latencies.are_within(most) { Ok(found) } else { Err((found + &doubts(&measured)).into()) };
        };
        let beside = Latencies::of(&control.loading.finish_within(3 * PATIENCE));
        let missed = |found: &str| {
            let (p99, p999) = (beside.p99 * 1e3, beside.p999 * 1e3);
            format!("{found}; a calm server beside it: p99 {p99:.2} ms, p99.9 {p999:.2} ms{}", doubts(&measured))
        };
        latencies.judge(probe.calm, beside, found).map_err(|why| why.about(missed))
    }
}

/// What the generator itself says against its figures.
fn doubts(measured: &Measured) -> String {
    let doubts = measured.report["doubts"].as_array().into_iter().flatten();
    doubts.filter_map(|doubt| doubt.as_str()).map(|doubt| format!(" ({doubt})")).collect()
}

/// Starts the probe, or a `part`th of it. It goes first where it may: what is measured is the server, and not how long
/// the generator waits for a core.
fn start(url: &str, part: u32, time: Duration) -> Loading {
    let time = format!("{}ms", time.as_millis());
    let (connections, rate) = ((200 / part).to_string(), (2_000 / part).to_string());
    let load = load_command(url, &["-c", &connections, "--rate", &rate, "-d", &time, "--warmup=200ms"]);
    let mut command = Command::new("nice");
    command.args(["-n", "-10"]).arg(load.get_program()).args(load.get_args());
    Loading::start_command(command.env_remove("RUST_LOG").stderr(Stdio::piped()))
}
