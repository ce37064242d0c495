//! The CPU time of the server under load, if it runs on this machine and is visible.

pub(crate) use system::ServerMeter;

#[cfg(target_os = "linux")]
mod system {
    use crate::measure::load::outcome::Outcome;
    use crate::measure::load::progress::Stage;
    use crate::measure::processes::family::Family;
    use crate::measure::processes::meter::Meter;
    use crate::measure::processes::owner::owners;
    use crate::os::address::Address;

    /// Finds the server's processes, and measures them while a run is measured.
    pub(crate) struct ServerMeter {
        servers: Option<Family>,
        meter: Option<Meter>,
    }

    impl ServerMeter {
        /// Looks for the processes that serve at one of `addresses`.
        pub(crate) fn find(addresses: &[Address], datagrams: bool) -> ServerMeter {
            let mut found = addresses.iter().map(|address| owners(address, datagrams));
            ServerMeter { servers: found.find(|owners| !owners.is_empty()).map(Family::Of), meter: None }
        }

        /// A run begins.
        pub(crate) fn start(&mut self) {
            self.meter = self.servers.clone().map(Meter::new);
        }

        /// The run is at this stage now.
        pub(crate) fn watch(&mut self, stage: Stage) {
            if let Some(meter) = &mut self.meter {
                meter.watch(stage);
            }
        }

        /// The run has ended: adds the server's CPU time to its `outcome`.
        pub(crate) fn finish(&mut self, outcome: &mut Outcome) {
            let used = self.meter.take().and_then(Meter::finish);
            outcome.server_cpu = used.map(|used| outcome.duration.mul_f64(used.share()));
        }
    }
}

#[cfg(not(target_os = "linux"))]
mod system {
    use crate::measure::load::outcome::Outcome;
    use crate::measure::load::progress::Stage;
    use crate::os::address::Address;

    /// Not implemented: nothing is known of the server on other systems.
    pub(crate) struct ServerMeter;

    impl ServerMeter {
        pub(crate) fn find(_addresses: &[Address], _datagrams: bool) -> ServerMeter {
            ServerMeter
        }

        pub(crate) fn start(&mut self) {}

        pub(crate) fn watch(&mut self, _stage: Stage) {}

        pub(crate) fn finish(&mut self, _outcome: &mut Outcome) {}
    }
}
