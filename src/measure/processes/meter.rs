//! How much CPU time a server uses while load is measured.
//!
//! A reading is made when the measured time begins and one when it ends, so the start of the server and the warm-up do
//! not count. The load generator says so only a few times a second, so the two moments can be a little off. So the
//! figure is a quotient of two rates: CPU time a second, over the time between the two readings, by messages a second,
//! over the measured time. While load is steady the rates are the same wherever the readings are made.
//!
//! Looking for a server's processes takes milliseconds on a busy machine, and in this thread every message in flight
//! would wait for it. So they are looked for before the measured time and after it; in between, only those that are
//! known are read.

use crate::measure::load::progress::Stage;
use crate::measure::processes::family::Family;
use crate::measure::processes::process_id::ProcessId;
use crate::measure::processes::usage::{CpuReading, CpuUse};

/// The readings of one run.
#[derive(Debug)]
pub(crate) struct Meter {
    family: Family,
    members: Vec<ProcessId>,
    begin: Option<CpuReading>,
    end: Option<CpuReading>,
}

impl Meter {
    /// A meter of the processes of `family`.
    pub(crate) fn new(family: Family) -> Meter {
        Meter { members: family.members(), family, begin: None, end: None }
    }

    /// The run is at this stage now.
    pub(crate) fn watch(&mut self, stage: Stage) {
        match stage {
            Stage::Connecting | Stage::WarmingUp => self.members = self.family.members(),
            // Without a beginning the end would count all that the processes have used since they were started.
            Stage::Measuring if self.begin.is_none() => {
                self.begin = Some(CpuReading::of(&self.members)).filter(|reading| !reading.is_empty());
            }
            Stage::Waiting | Stage::Listening if self.begin.is_some() && self.end.is_none() => {
                self.end = Some(CpuReading::of(&self.members));
            }
            Stage::Measuring | Stage::Waiting | Stage::Listening => {}
        }
    }

    /// What was used while load was measured; `None` if nothing is known of it. To be called when the run has ended.
    pub(crate) fn finish(self) -> Option<CpuUse> {
        let begin = self.begin?;
        let members = self.family.members();
        // Processes that began within the measured time are known only now: then this reading counts them too.
        let is_new = members.iter().any(|member| !self.members.contains(member));
        let end = self.end.filter(|_| !is_new).unwrap_or_else(|| {
            let mut all = self.members.clone();
            all.extend(members.iter().filter(|member| !self.members.contains(member)));
            CpuReading::of(&all)
        });
        let used = end.since(&begin);
        (!used.wall.is_zero()).then_some(used)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::CommandExt;
    use std::process::{Child, Command};
    use std::thread;
    use std::time::{Duration, Instant};

    use nix::unistd::Pid;

    use super::*;

    /// A process that burns CPU time as fast as it can.
    struct Burner(Child);

    impl Burner {
        fn start() -> Burner {
            Burner::start_in(0)
        }

        /// In the process group of this leader.
        fn start_in(leader: i32) -> Burner {
            // Whatever becomes of the test, this ends by itself.
            let script = "ulimit -t 20; while :; do :; done";
            Burner(Command::new("sh").args(["-c", script]).process_group(leader).spawn().unwrap())
        }

        /// Waits until its group has used this much from now on.
        fn burn(&self, time: Duration) {
            let members = self.group().members();
            let before = CpuReading::of(&members);
            let start = Instant::now();
            while CpuReading::of(&members).since(&before).cpu < time {
                assert!(start.elapsed() < Duration::from_secs(20), "it does not get {time:?}");
                thread::sleep(Duration::from_millis(5));
            }
        }

        fn group(&self) -> Family {
            Family::Group(Pid::from_raw(self.0.id() as i32))
        }
    }

    impl Drop for Burner {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn only_the_measured_time_counts() {
        let burner = Burner::start();
        let mut meter = Meter::new(burner.group());
        meter.watch(Stage::Connecting);
        burner.burn(Duration::from_millis(400));
        meter.watch(Stage::WarmingUp);
        let start = Instant::now();
        meter.watch(Stage::Measuring);
        burner.burn(Duration::from_millis(100));
        meter.watch(Stage::Measuring);
        meter.watch(Stage::Waiting);
        let wall = start.elapsed();
        burner.burn(Duration::from_millis(400));
        meter.watch(Stage::Waiting);
        let used = meter.finish().unwrap();
        assert!(used.wall <= wall && used.cpu <= wall + Duration::from_millis(20), "{used:?} in {wall:?}");
        assert!(used.cpu >= Duration::from_millis(80), "{used:?}");
    }

    #[test]
    fn without_a_beginning_nothing_is_known() {
        let burner = Burner::start();
        burner.burn(Duration::from_millis(100));
        let mut meter = Meter::new(burner.group());
        // As if no descriptor had been left to look at it with.
        meter.members.clear();
        meter.watch(Stage::Measuring);
        assert_eq!(meter.finish(), None);
    }

    #[test]
    fn without_an_end_the_moment_of_the_question_is_the_end() {
        let burner = Burner::start();
        let mut meter = Meter::new(burner.group());
        meter.watch(Stage::Measuring);
        burner.burn(Duration::from_millis(100));
        assert!(meter.finish().unwrap().cpu >= Duration::from_millis(80));
        assert_eq!(Meter::new(burner.group()).finish(), None, "nothing was measured");
    }
    #[test]
    fn whoever_began_within_the_measured_time_counts() {
        let leader = Burner(Command::new("sleep").arg("60").process_group(0).spawn().unwrap());
        let mut meter = Meter::new(leader.group());
        meter.watch(Stage::Measuring);
        let late = Burner::start_in(leader.0.id() as i32);
        leader.burn(Duration::from_millis(100));
        meter.watch(Stage::Waiting);
        let used = meter.finish().unwrap();
        assert!(used.cpu >= Duration::from_millis(80), "{used:?}");
        drop(late);
    }
}
