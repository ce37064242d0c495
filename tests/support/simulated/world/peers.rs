//! What the peers do: each does one thing, and whatever it does to the server's end brings its edge.

use cooee::os::readiness::Readiness;

use super::{Action, World};
use crate::support::simulated::link::{Connecting, Role};
use crate::support::simulated::trace::Happening;

impl World {
    /// Something happened that the peer may react to.
    pub(super) fn rouse(&mut self, position: usize) {
        let link = &mut self.links[position];
        if !link.scheduled && !link.gone && !link.reset {
            link.scheduled = true;
            let is_slow = !self.is_calm && self.rng.percent(4);
            let wait = if is_slow { self.rng.below(60_000) } else { self.rng.below(400) };
            self.plan(wait, Action::Peer(position));
        }
    }

    /// The peer reads, sends and ends, as it likes; whatever it does to the server's end brings its edge.
    pub(super) fn peer_acts(&mut self, position: usize) {
        let is_calm = self.is_calm;
        let (rng, link) = (&mut self.rng, &mut self.links[position]);
        link.scheduled = false;
        if link.gone || link.reset || link.connecting != Connecting::Established {
            return;
        }
        if !is_calm && rng.percent(1) {
            // Closing with unread input is a RST too.
            let resets = link.under_way() > 0 || rng.percent(50);
            return if resets { self.peer_resets(position) } else { self.peer_vanishes(position) };
        }
        let mut edge = Readiness::empty();
        let under_way = link.under_way();
        if under_way > 0 && !link.is_deaf && !link.destroyed {
            let count = if is_calm { under_way } else { rng.between(1, under_way) };
            link.delivered += count;
            link.delivered_at = self.now;
            self.trace.note(Happening::PeerGot { link: position, count });
            // The kernel waits until a third of the buffer is free (tcp(7): so that writers are not woken for every
            // byte).
            let space = link.outbound_capacity - link.under_way();
            if link.write_blocked && space * 3 >= link.outbound_capacity {
                link.write_blocked = false;
                edge |= Readiness::WRITABLE;
            }
        }
        let space = link.inbound_capacity - link.unread();
        let left = link.goal() - link.sent;
        if left > 0 && space > 0 && !link.fin && !link.is_mute && link.closed_at.is_none() {
            let count = rng.between(1, left.min(space));
            let was_empty = link.unread() == 0;
            if link.is_tcp && !is_calm && link.mark.is_none() && rng.percent(4) {
                link.mark = Some(link.sent + rng.below(count));
                edge |= Readiness::READABLE | Readiness::PRIORITY;
            }
            link.sent += count;
            self.trace.note(Happening::PeerSent { link: position, count });
            if was_empty || rng.percent(50) {
                edge |= Readiness::READABLE;
            }
        }
        let is_client = matches!(link.role, Role::Client(_));
        let has_sent_all = link.sent == link.goal() && (!is_client || link.peer_sees_end());
        let gives_up = link.peer_sees_end() && (is_calm || rng.percent(50));
        if !link.fin && (has_sent_all || gives_up) && !link.is_mute {
            // The FIN comes with the last bytes, or after them.
            if is_calm || rng.percent(50) {
                link.fin = true;
                edge |= Readiness::READABLE | Readiness::READ_CLOSED;
                self.trace.note(Happening::PeerEnded { link: position });
            }
        }
        let (key, goes_on) = (link.key, self.peer_goes_on(position));
        self.owe(key, edge);
        if goes_on {
            self.rouse(position);
        }
    }

    /// Whether the peer has something to do that waits for nobody.
    fn peer_goes_on(&self, position: usize) -> bool {
        let link = &self.links[position];
        let gets = link.under_way() > 0 && !link.is_deaf && !link.destroyed;
        let left = link.goal() - link.sent;
        let sends = left > 0 && link.unread() < link.inbound_capacity && link.closed_at.is_none();
        let is_client = matches!(link.role, Role::Client(_));
        let ends = link.peer_sees_end() || (left == 0 && !is_client);
        gets || (!link.fin && !link.is_mute && (sends || ends))
    }

    /// A RST arrives: what was unread stays readable, what is under way to the peer is lost.
    pub(super) fn peer_resets(&mut self, position: usize) {
        self.trace.note(Happening::PeerReset { link: position });
        let link = &mut self.links[position];
        link.reset = true;
        link.error_pending = true;
        let key = link.key;
        self.owe(key, Readiness::READABLE | Readiness::WRITABLE | Readiness::READ_CLOSED);
    }

    /// The peer closes its socket: a FIN, and a RST in answer to what still comes.
    fn peer_vanishes(&mut self, position: usize) {
        self.trace.note(Happening::PeerVanished { link: position });
        let link = &mut self.links[position];
        link.gone = true;
        link.fin = true;
        let key = link.key;
        self.owe(key, Readiness::READABLE | Readiness::READ_CLOSED);
    }
}
