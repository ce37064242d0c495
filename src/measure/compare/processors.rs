//! How busy some processors are, with any process: what is neither the server's nor this program's work disturbs the
//! measurement.

use std::fs;
use std::time::Instant;

use crate::measure::compare::pinning::Pinning;
use crate::measure::load::progress::Stage;

/// How long some processors had been busy at a moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BusyReading {
    at: Instant,
    ticks: u64,
}

impl BusyReading {
    /// Reads it for these processors; `None` if the kernel does not tell.
    pub(crate) fn of(processors: &[usize]) -> Option<BusyReading> {
        let text = fs::read_to_string("/proc/stat").ok()?;
        let ticks = processors.iter().map(|cpu| busy_ticks(&text, *cpu)).sum::<Option<u64>>()?;
        Some(BusyReading { at: Instant::now(), ticks })
    }

    /// How many of the processors were busy on average since an `earlier` reading.
    pub(crate) fn since(&self, earlier: &BusyReading) -> f64 {
        let seconds = self.ticks.saturating_sub(earlier.ticks) as f64 / procfs::ticks_per_second().max(1) as f64;
        seconds / self.at.duration_since(earlier.at).as_secs_f64().max(1e-9)
    }
}

/// How busy the server's processors and this program's are while load runs.
///
/// They are read before the measured time and after it, for `/proc/stat` is long and takes its time; what comes out is
/// a rate.
#[derive(Debug)]
pub(crate) struct BusyMeter<'a> {
    pinning: Option<&'a Pinning>,
    before: Option<[BusyReading; 2]>,
    after: Option<[BusyReading; 2]>,
}

impl<'a> BusyMeter<'a> {
    /// A meter of the processors of `pinning`.
    pub(crate) fn new(pinning: Option<&'a Pinning>) -> BusyMeter<'a> {
        BusyMeter { pinning, before: read(pinning), after: None }
    }

    /// The run is at this stage now.
    pub(crate) fn watch(&mut self, stage: Stage) {
        if matches!(stage, Stage::Connecting | Stage::WarmingUp) {
            self.before = read(self.pinning);
        }
        // Nothing is sent any more.
        if stage == Stage::Listening && self.after.is_none() {
            self.after = read(self.pinning);
        }
    }

    /// How many of the server's processors and of this program's were busy; `None` if nothing is pinned. To be called
    /// when the run has ended.
    pub(crate) fn finish(self) -> Option<(f64, f64)> {
        let ([server, generator], after) = (self.before?, self.after.or_else(|| read(self.pinning))?);
        Some((after[0].since(&server), after[1].since(&generator)))
    }
}

fn read(pinning: Option<&Pinning>) -> Option<[BusyReading; 2]> {
    let pinning = pinning?;
    Some([BusyReading::of(&pinning.placement.server)?, BusyReading::of(&pinning.placement.generator)?])
}

/// The ticks for which processor number `cpu` was not idle (`proc_stat(5)`). Time that was stolen by other guests of
/// the machine counts: who runs here does not get it either.
fn busy_ticks(stat: &str, cpu: usize) -> Option<u64> {
    let name = format!("cpu{cpu}");
    let mut words =
        stat.lines().map(str::split_whitespace).find_map(|mut words| (words.next()? == name).then_some(words))?;
    let mut next = || words.next()?.parse::<u64>().ok();
    let running = next()? + next()? + next()?;
    let (_idle, _waiting_for_disks) = (next()?, next()?);
    let (interrupts, soft_interrupts, stolen) = (next()?, next()?, next().unwrap_or(0));
    Some(running + interrupts + soft_interrupts + stolen)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_is_not_idle_is_busy() {
        let stat = "cpu  9 9 9 9 9 9 9 9 0 0\ncpu0 1 2 4 1000 1000 8 16 32 64 128\ncpu2 5 0 0 7 7 0 0\nintr 5 5\n";
        assert_eq!(busy_ticks(stat, 0), Some(63));
        assert_eq!(busy_ticks(stat, 2), Some(5), "an old kernel does not tell what was stolen");
        assert_eq!(busy_ticks(stat, 1), None);
        assert_eq!(busy_ticks("cpu0 a b", 0), None);
    }

    #[test]
    fn it_is_told_in_processors() {
        let at = Instant::now();
        let earlier = BusyReading { at, ticks: 100 };
        let later = BusyReading { at: at + Duration::from_secs(2), ticks: 100 + 3 * procfs::ticks_per_second() };
        assert!((later.since(&earlier) - 1.5).abs() < 1e-9);
        assert!(BusyReading::of(&[]).is_some_and(|reading| reading.ticks == 0));
    }
    #[test]
    fn a_busy_processor_is_seen_to_be_busy() {
        let Some(pinning) = Pinning::new(None, None).unwrap() else { return };
        let mut meter = BusyMeter::new(Some(&pinning));
        meter.watch(Stage::WarmingUp);
        let start = Instant::now();
        // This thread is on the generator's processor, and keeps it busy: itself or whoever takes turns with it.
        while start.elapsed() < Duration::from_millis(300) {}
        meter.watch(Stage::Measuring);
        let (server, generator) = meter.finish().unwrap();
        assert!((0.7..1.3).contains(&generator) && (0.0..1.3).contains(&server), "{server}, {generator}");
        assert_eq!(BusyMeter::new(None).finish(), None);
    }
}
