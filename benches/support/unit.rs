//! What criterion is told of servers: nanoseconds that were not taken with a clock around the call.

use criterion::Throughput;
use criterion::measurement::{Measurement, ValueFormatter, WallTime};

/// Nanoseconds of some kind.
pub enum Unit {
    /// CPU time, user and system, of a server.
    Cpu,
    /// Time that passed.
    Wall,
}

impl Measurement for Unit {
    type Intermediate = ();
    type Value = f64;

    /// Never called: the benches give their values to `Bencher::iter_custom`.
    fn start(&self) {}

    fn end(&self, (): ()) -> f64 {
        self.zero()
    }

    fn add(&self, one: &f64, other: &f64) -> f64 {
        one + other
    }

    fn zero(&self) -> f64 {
        0.0
    }

    fn to_f64(&self, value: &f64) -> f64 {
        *value
    }

    fn formatter(&self) -> &dyn ValueFormatter {
        self
    }
}

impl ValueFormatter for Unit {
    fn scale_values(&self, typical: f64, values: &mut [f64]) -> &'static str {
        let unit = WallTime.formatter().scale_values(typical, values);
        match (self, unit) {
            (Unit::Wall, unit) => unit,
            (Unit::Cpu, "ns") => "ns CPU",
            (Unit::Cpu, "µs") => "µs CPU",
            (Unit::Cpu, "ms") => "ms CPU",
            (Unit::Cpu, unit) => unit,
        }
    }

    fn scale_throughputs(&self, typical: f64, throughput: &Throughput, values: &mut [f64]) -> &'static str {
        WallTime.formatter().scale_throughputs(typical, throughput, values)
    }

    fn scale_for_machines(&self, _values: &mut [f64]) -> &'static str {
        "ns"
    }
}
