//! What must hold after each turn, at each close, and at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use cooee::reactor::close_reason::CloseReason;

use super::World;
use crate::support::service::Service;
use crate::support::simulated::kernel::address_of;
use crate::support::simulated::link::{Link, Role};
use crate::support::simulated::trace::Happening;

impl World {
    /// Connections that are served for peers, and newcomers over the limit.
    pub fn accepted_now(&self) -> (usize, usize) {
        let open =
            || self.links.iter().filter(|link| link.closed_at.is_none() && !matches!(link.role, Role::Client(_)));
        let served = open().filter(|link| link.opened_at.is_some()).count();
        (served, open().filter(|link| link.refused_at.is_some()).count())
    }

    /// The most connections that are served for peers of one IP address.
    pub fn served_for_one_source(&self) -> usize {
        let mut counts = BTreeMap::new();
        let is_served =
            |link: &&Link| link.closed_at.is_none() && link.accepted_at.is_some() && link.opened_at.is_some();
        for link in self.links.iter().filter(is_served) {
            *counts.entry(address_of(link.name).ip()).or_insert(0) += 1;
        }
        counts.into_values().max().unwrap_or(0)
    }

    /// Bytes that were read and that were written, of streams and datagrams.
    pub fn bytes(&self) -> (u64, u64) {
        let read = self.links.iter().map(|link| link.received).sum::<usize>();
        let written = self.links.iter().map(|link| link.written).sum::<usize>();
        let received = self.mailboxes.iter().map(|mailbox| mailbox.told_bytes).sum::<usize>();
        let sent = self.mailboxes.iter().map(|mailbox| mailbox.answered_bytes).sum::<usize>();
        ((read + received) as u64, (written + sent) as u64)
    }

    /// Datagrams that were answered.
    pub fn answers(&self) -> u64 {
        self.mailboxes.iter().map(|mailbox| mailbox.answers as u64).sum()
    }

    /// After each turn: what is owed to a peer is bounded, whether it reads or not.
    pub fn check_owed(&self) {
        // A handler looks at the limit before each answer, so its last may reach over it.
        const LAST_ANSWER: usize = 64;
        for link in self.links.iter().filter(|link| link.closed_at.is_none() && !link.broken) {
            if link.role == Role::Fickle {
                // It keeps as much as it likes, and then answers it all.
                continue;
            }
            let bound = self.limits.write_limit + link.largest_read + LAST_ANSWER;
            assert!(link.owed() <= bound, "link {}: {} bytes are owed", link.name, link.owed());
        }
    }

    /// After each turn: what clients that owe no reading have begun and not finished has a third of the queues at the
    /// most. Who is closed for it is told in the next turn, so that what has gone by then does not count.
    pub fn check_kept(&mut self) {
        let in_a_message = |link: &Link| {
            let has_ended = link.read_ended_at.or(link.finished_at).or(link.shut_at).is_some();
            link.is_open()
                && link.accepted_at.is_some()
                && link.owed() == 0
                && !link.paused
                && !link.broken
                && !has_ended
        };
        let mut sum = 0;
        for link in &mut self.links {
            let kept = match link.role {
                _ if !in_a_message(link) => 0,
                // Whole messages are held back for another reason: the handler waits for a tick.
                Role::Twice => (link.received - link.taken).min(2),
                _ => link.received - link.taken,
            };
            sum += kept.min(std::mem::replace(&mut link.kept, kept));
        }
        assert!(sum <= self.limits.queue_limit / 3, "{sum} bytes of incomplete messages are kept");
    }

    /// A connection was closed, for this reason. Whoever loses bytes or patience here must have a cause for it.
    pub fn check_close(&mut self, position: usize, reason: CloseReason) {
        self.trace.note(Happening::Closed { link: position, reason });
        let link = &mut self.links[position];
        assert!(link.reason.replace(reason).is_none(), "link {position}: closed twice");
        assert!(link.closed_at.is_some(), "link {position}: the handler is told before the descriptor is free");
        let link = &self.links[position];
        let opened_at = link.accepted_at.or(link.opened_at).expect("it was opened");
        let patience = |since: u64, patience: Duration| {
            assert!(self.now >= since + patience.as_micros() as u64, "link {position}: {reason} too early");
        };
        match reason {
            CloseReason::PeerClosed => {
                assert!(link.read_ended_at.is_some(), "link {position}: the peer had not ended");
                let (length, is_whole) = match link.role {
                    Role::Twice => (Service::Twice.answer_length(link.sent), true),
                    Role::Echo | Role::Fickle => (link.sent, true),
                    _ => (0, false),
                };
                assert!(!is_whole || link.answered == length, "link {position}: something was not answered");
                self.check_graceful_close(position);
            }
            CloseReason::Ended => self.check_graceful_close(position),
            CloseReason::Drained => {
                let target = link.drain_target.unwrap_or(0);
                let is_echo = link.role == Role::Echo && !link.reset;
                assert!(!is_echo || link.answered >= target, "link {position}: drained before all was answered");
                self.check_graceful_close(position);
            }
            CloseReason::Reset => {
                assert!(link.reset, "link {position}: nobody has reset it");
                assert_eq!(link.unread(), 0, "link {position}: what came before the RST was not read");
            }
            CloseReason::IdleTimeout => {
                let idle_timeout = self.limits.idle_timeout.expect("there is one");
                let is_ended = link.shuts > usize::from(link.half_closed);
                if is_ended {
                    // Its time was up when its side was ended, and it had a last while to take what the kernel held.
                    let shut_at = link.shut_at.expect("it was shut");
                    let was_silent = shut_at >= opened_at.max(link.quiet_at_shut) + idle_timeout.as_micros() as u64;
                    assert!(was_silent, "link {position}: shut as idle too early");
                    if link.read_ended_at.is_none() {
                        patience(shut_at, self.limits.linger_timeout);
                    }
                } else {
                    patience(opened_at.max(link.read_at).max(link.written_at), idle_timeout);
                }
                self.check_silence(position);
                let is_read = link.owed() == 0 && !link.paused && !link.broken && !is_ended;
                assert!(!(is_read && link.is_readable()), "link {position}: closed as idle with unread input");
                self.check_given_up(position);
            }
            CloseReason::IncompleteTimeout => {
                patience(opened_at, self.limits.idle_timeout.expect("there is one"));
                let kept = link.received - link.taken;
                assert!(kept > 0, "link {position}: nothing was incomplete");
                // What came after its side was ended was read and dropped.
                let has_ended = link.shut_at.or(link.read_ended_at).is_some();
                let is_partial = link.role != Role::Twice || kept < 3 || has_ended;
                assert!(is_partial, "link {position}: a whole message was kept");
            }
            CloseReason::HalfClosedTimeout => {
                let ended_at = link.read_ended_at.into_iter().chain(link.finished_at).chain(self.drained_at).min();
                // With no end, a message was late, and what was owed before it is not taken either.
                let began = ended_at.unwrap_or(opened_at).max(link.written_at);
                patience(began, self.limits.half_closed_timeout);
                self.check_silence(position);
                self.check_given_up(position);
            }
            CloseReason::DrainTimeout => {
                patience(self.drained_at.expect("a drain began"), self.limits.drain_timeout);
                self.check_given_up(position);
            }
            CloseReason::QueueLimit => {
                assert!(link.received > link.taken, "link {position}: it kept nothing that it could be closed for");
                self.check_graceful_close(position);
            }
            CloseReason::Aborted => {}
            other => panic!("link {position}: closed as {other}"),
        }
    }

    /// A peer is given up only when it has taken nothing for its whole time, or when the reactor stops and its reply is
    /// cut.
    pub(super) fn check_abandon(&self, position: usize) {
        let link = &self.links[position];
        assert!(link.accepted_at.is_some(), "link {position}: given up, but this side has asked for it");
        if self.drained_at.is_some() && link.owed() > 0 {
            return;
        }
        self.check_silence(position);
        assert!(link.owed() + link.under_way() > 0, "link {position}: given up although it has taken everything");
        // Linger's is the shortest of the times that a peer can be given up after.
        let times = [Some(self.limits.linger_timeout), Some(self.limits.half_closed_timeout), self.limits.idle_timeout];
        let shortest = times.into_iter().flatten().min().expect("there are some").as_micros() as u64;
        let silent = self.now - link.delivered_at.max(link.written_at);
        assert!(silent >= shortest, "link {position}: given up although it reads");
    }

    /// A connection was closed because its peer took nothing of what it was owed: then the kernel does not go on.
    fn check_given_up(&self, position: usize) {
        let link = &self.links[position];
        let asked = matches!(link.role, Role::Client(_));
        assert!(asked || link.owed() == 0 || link.broken || link.abandoned, "link {position}: left to the kernel");
    }

    /// While something is owed, a connection gives up on a peer only when there is no space.
    fn check_silence(&self, position: usize) {
        let link = &self.links[position];
        let could_write = link.owed() > 0 && !link.broken && link.is_writable();
        assert!(!could_write, "link {position}: closed although the peer would take what it is owed");
    }

    /// The handler is not told why a newcomer over the limit was closed: it got its farewell, or it did not take it in
    /// time.
    pub(super) fn check_refused_close(&self, position: usize, refused_at: u64) {
        let link = &self.links[position];
        let has_waited = self.now - refused_at >= self.limits.refusal_timeout.as_micros() as u64;
        if link.owed() > 0 && has_waited && !link.reset {
            self.check_silence(position);
        } else {
            self.check_graceful_close(position);
        }
    }

    /// A close without an error delivers everything first, and waits for the peer's end, so that no RST destroys it.
    pub(super) fn check_graceful_close(&self, position: usize) {
        let link = &self.links[position];
        if link.reset {
            return;
        }
        assert_eq!(link.owed(), 0, "link {position}: closed before the peer has got what it is owed");
        if link.read_ended_at.is_none() {
            let shut_at = link.shut_at.expect("its side was ended");
            let lingered = self.now - shut_at;
            let is_refused = link.refused_at.is_some();
            let time = if is_refused { self.limits.refusal_timeout } else { self.limits.linger_timeout };
            let has_lingered = lingered >= time.as_micros() as u64;
            assert!(has_lingered, "link {position}: closed without lingering: unread input would reset it");
        }
    }

    /// At the end: every surviving peer has got every byte that was for it, and what no timer ended has ended by
    /// itself.
    pub fn check_end(&self) {
        assert_eq!(self.open_files, 0, "a stream was leaked");
        for link in &self.links {
            let is_surviving = !link.reset && !link.gone && !link.destroyed;
            if is_surviving && matches!(link.reason, Some(CloseReason::PeerClosed | CloseReason::Ended)) {
                assert_eq!(link.written, link.answered, "link {}: bytes were not written", link.name);
            }
        }
        for mailbox in self.mailboxes.iter().filter(|_| self.is_calm) {
            assert_eq!(mailbox.told, mailbox.arrived, "a datagram was lost");
            assert_eq!(mailbox.answers + mailbox.failed_sends, mailbox.arrived, "a datagram was not answered");
        }
    }
}
