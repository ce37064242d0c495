//! Making room where too much is kept of incomplete messages.

use crate::os::kernel::Kernel;
use crate::os::key::Key;
use crate::reactor::Reactor;
use crate::reactor::handler::Handler;

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// Closes as many connections with incomplete messages as it takes to come down to the low-water mark, those first
    /// whose message has cost the most (see [`rent`](crate::reactor::connection::Connection::rent)).
    /// It checks every connection, and the next time only after a quarter of the room was filled again.
    #[cold]
    pub(super) fn make_room(&mut self) {
        let now = self.shared.now;
        let mut tenants: Vec<(u64, Key)> = Vec::new();
        for (key, place) in self.sources.iter_mut() {
            if let Some(connection) = place.source.connection_mut()
                && connection.rent(now).is_some()
            {
                // No connection is closed for memory that is reserved and not used.
                connection.squeeze(&mut self.shared);
                tenants.extend(connection.rent(now).map(|rent| (rent, key)));
            }
        }
        tenants.sort_unstable();
        while !self.shared.room.keeps_little()
            && let Some((_, key)) = tenants.pop()
        {
            if let Some(place) = self.sources.get_mut(key)
                && let Some(connection) = place.source.connection_mut()
            {
                connection.make_room(key, &mut self.shared);
                self.ready.push(key, &mut place.listed);
            }
        }
    }
}
