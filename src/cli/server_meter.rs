//! The CPU time of the server under load, if it runs on this machine and is visible.

use std::io;

use crate::measure::load::outcome::Outcome;
use crate::measure::load::progress::Stage;
#[cfg(target_os = "linux")]
use crate::measure::processes::{family::Family, meter::Meter, owner::owners};
use crate::os::address::Address;

/// Finds the server's processes, and measures them during a run. Other systems than Linux are not asked.
pub(crate) struct ServerMeter {
    #[cfg(target_os = "linux")]
    servers: Option<Family>,
}

impl ServerMeter {
    /// Looks for the processes that serve at one of `addresses`.
    #[cfg_attr(not(target_os = "linux"), allow(unused_variables))]
    pub(crate) fn find(addresses: &[Address], datagrams: bool) -> ServerMeter {
        ServerMeter {
            #[cfg(target_os = "linux")]
            servers: {
                let mut found = addresses.iter().map(|address| owners(address, datagrams));
                found.find(|owners| !owners.is_empty()).map(Family::Of)
            },
        }
    }

    /// Makes a run, which tells its stages, and adds the server's CPU time to its outcome.
    pub(crate) fn measure(
        &self,
        run: impl FnOnce(&mut dyn FnMut(Stage)) -> io::Result<Outcome>,
    ) -> io::Result<Outcome> {
        #[cfg(target_os = "linux")]
        if let Some(servers) = &self.servers {
            let mut meter = Meter::new(servers.clone());
            let mut outcome = run(&mut |stage| meter.watch(stage))?;
            outcome.server_cpu = meter.finish().map(|used| outcome.duration.mul_f64(used.share()));
            return Ok(outcome);
        }
        run(&mut |_| {})
    }
}
