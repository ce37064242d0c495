//! What the reactor asks of the kernel.

use std::io;

use cooee::os::key::Key;
use cooee::os::readiness::Readiness;
use cooee::reactor::acceptor::RETRY;

use super::{Action, Place, World};
use crate::support::service::byte_at;
use crate::support::simulated::link::{Connecting, Role};
use crate::support::simulated::mailbox::{Letter, Mailbox};
use crate::support::simulated::trace::Happening;

// Errors of Linux, by number: most of them have no kind in the standard library.
const EPERM: i32 = 1;
const ENOMEM: i32 = 12;
const ENFILE: i32 = 23;
const EMFILE: i32 = 24;
const ENOSPC: i32 = 28;
const EPROTO: i32 = 71;
const EMSGSIZE: i32 = 90;
const ENOBUFS: i32 = 105;

impl World {
    /// Watches a source, and tells at once what is ready there.
    fn watch(&mut self, key: Key, place: Place) {
        self.has_worked = true;
        self.places.insert(key, place);
        let level = self.level(key);
        // A newcomer is known to be writable; the kernel may tell it all the same.
        let is_told = if self.rng.percent(50) { level } else { level.difference(Readiness::WRITABLE) };
        self.owe(Some(key), is_told);
    }

    /// Watches a stream; now and then there is no memory to do so.
    pub fn add_link(&mut self, key: Key, link: usize) -> io::Result<()> {
        self.trace.note(Happening::Registered(key, link));
        if !self.is_calm && self.rng.below(300) == 0 {
            self.accept_errors += u64::from(self.links[link].accepted_at.is_some());
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        self.links[link].key = Some(key);
        self.watch(key, Place::Link(link));
        Ok(())
    }

    /// Watches a listening socket.
    pub fn add_backlog(&mut self, key: Key, backlog: usize) {
        self.backlogs[backlog].key = Some(key);
        self.watch(key, Place::Backlog(backlog));
    }

    /// Watches a datagram socket.
    pub fn add_mailbox(&mut self, key: Key, mailbox: usize) {
        self.mailboxes[mailbox].key = Some(key);
        self.watch(key, Place::Mailbox(mailbox));
    }

    /// A source is closed: its key is stale. An event of it may be on its way already.
    fn unwatch(&mut self, key: Option<Key>) {
        let Some(key) = key else { return };
        self.has_worked = true;
        self.places.remove(&key);
        self.dead_keys.push(key);
        if self.rng.percent(50) {
            self.edges.retain(|(owed, _)| *owed != key);
        }
    }

    /// Takes a connection off a backlog.
    pub fn accept(&mut self, position: usize) -> io::Result<usize> {
        self.has_worked = true;
        let backlog = &mut self.backlogs[position];
        if let Some(failed_at) = backlog.failed_at
            && self.drained_at.is_none()
        {
            assert!(
                self.now >= failed_at + RETRY.as_micros() as u64,
                "accept was tried again before the retry deadline"
            );
        }
        if self.rng.percent(3) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        // At the limit it fails on an empty queue too.
        let errno = if self.open_files >= self.file_limit {
            Some(EMFILE)
        } else if !self.is_calm && self.rng.below(400) == 0 {
            Some(self.rng.pick(&[ENFILE, ENOBUFS, ENOMEM, EPERM, EPROTO]))
        } else {
            None
        };
        if let Some(errno) = errno {
            self.trace.note(Happening::AcceptFailed { backlog: position, errno });
            backlog.failed_at = Some(self.now);
            self.accept_errors += 1;
            return Err(io::Error::from_raw_os_error(errno));
        }
        backlog.failed_at = None;
        let Some(link) = backlog.queue.pop_front() else { return Err(io::ErrorKind::WouldBlock.into()) };
        self.fill_backlog(position);
        if self.links[link].reset && self.rng.percent(50) {
            self.links[link].closed_at = Some(self.now);
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        self.links[link].accepted_at = Some(self.now);
        self.open_files += 1;
        self.accepted += 1;
        self.trace.note(Happening::Accepted { backlog: position, link });
        Ok(link)
    }

    /// Begins to open a connection to a peer that sends back what it gets.
    pub fn connect(&mut self, role: Role) -> io::Result<usize> {
        self.has_worked = true;
        self.connects_ordered = self.connects_ordered.saturating_sub(1);
        if self.open_files >= self.file_limit {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if self.rng.percent(5) {
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        let is_tcp = self.rng.percent(50);
        let position = self.new_link(role, is_tcp);
        self.trace.note(Happening::Connecting { link: position });
        self.open_files += 1;
        self.links[position].connecting = Connecting::Pending;
        // Some never come to an end.
        if self.is_calm || self.rng.percent(95) {
            let wait = self.rng.below(4_000);
            self.plan(wait, Action::Establish(position));
        }
        Ok(position)
    }

    /// How a connect has gone.
    pub fn connect_progress(&mut self, position: usize) -> io::Result<Connecting> {
        self.has_worked = true;
        match self.links[position].connecting {
            Connecting::Refused => Err(io::ErrorKind::ConnectionRefused.into()),
            progress => Ok(progress),
        }
    }

    /// Reads from a stream.
    pub fn read(&mut self, position: usize, buffer: &mut [u8]) -> io::Result<usize> {
        self.has_worked = true;
        let link = &mut self.links[position];
        assert!(link.read_ended_at.is_none(), "link {position}: read after the end");
        let ends = link.broken || link.finished_at.is_some() || link.shut_at.is_some() || self.drained_at.is_some();
        assert!(ends || !link.paused, "link {position}: read while its handler has paused");
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.rng.percent(1) {
            return Err(io::Error::from_raw_os_error(self.rng.pick(&[ENOBUFS, ENOMEM])));
        }
        if link.unread() > 0 {
            let mut count = link.unread().min(buffer.len());
            match link.mark {
                Some(mark) if mark > link.received => count = count.min(mark - link.received),
                _ => link.mark = None,
            }
            // Ancillary data splits the reads of a Unix stream.
            if !link.is_tcp && self.rng.percent(20) {
                count = self.rng.between(1, count);
            }
            for (ahead, byte) in buffer[..count].iter_mut().enumerate() {
                *byte = byte_at(link.name, link.received + ahead);
            }
            link.received += count;
            // What a peer sends is no sign of life while it does not take what it is owed.
            if link.owed() == 0 || link.broken || matches!(link.role, Role::Client(_)) {
                link.read_at = self.now;
            }
            link.largest_read = link.largest_read.max(count);
            let (turn, before) = link.read_in_turn;
            link.read_in_turn = (self.turn, if turn == self.turn { before + count } else { count });
            assert!(
                link.read_in_turn.1 <= self.limits.read_budget,
                "link {position}: a turn reads more than its budget"
            );
            self.trace.note(Happening::Read { link: position, count });
            self.rouse(position);
            return Ok(count);
        }
        let kind = if link.error_pending {
            link.error_pending = false;
            io::ErrorKind::ConnectionReset
        } else if link.fin || link.reset {
            link.read_ended_at = Some(self.now);
            self.trace.note(Happening::Read { link: position, count: 0 });
            return Ok(0);
        } else {
            io::ErrorKind::WouldBlock
        };
        if kind == io::ErrorKind::ConnectionReset {
            link.read_ended_at = Some(self.now);
        }
        self.trace.note(Happening::ReadFailed { link: position, kind });
        Err(kind.into())
    }

    /// Writes to a stream; every byte must be the right one.
    pub fn write(&mut self, position: usize, bytes: &[u8]) -> io::Result<usize> {
        self.has_worked = true;
        let link = &mut self.links[position];
        assert!(!link.broken, "link {position}: write after a write that failed");
        assert!(link.shut_at.is_none(), "link {position}: write after the write side was shut");
        assert!(!bytes.is_empty(), "a write of nothing is a system call for nothing");
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if self.rng.percent(1) {
            return Err(io::Error::from_raw_os_error(self.rng.pick(&[ENOBUFS, ENOMEM])));
        }
        if link.reset {
            // The error that a read would have told is told here, and gone.
            link.broken = true;
            let kind = if link.error_pending { io::ErrorKind::ConnectionReset } else { io::ErrorKind::BrokenPipe };
            link.error_pending = false;
            self.trace.note(Happening::WriteFailed { link: position, kind });
            return Err(kind.into());
        }
        let space = link.outbound_capacity - link.under_way();
        if space == 0 {
            link.write_blocked = true;
            self.trace.note(Happening::WriteFailed { link: position, kind: io::ErrorKind::WouldBlock });
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut count = bytes.len().min(space);
        if self.rng.percent(10) {
            count = self.rng.between(1, count);
        }
        for (ahead, byte) in bytes[..count].iter().enumerate() {
            let at = link.written + ahead;
            assert_eq!(*byte, link.answer_at(at), "link {position}: byte {at} of the answer");
        }
        link.written += count;
        link.written_at = self.now;
        self.trace.note(Happening::Written { link: position, count });
        if link.gone {
            self.peer_resets(position);
        } else {
            self.rouse(position);
        }
        Ok(count)
    }

    /// Shuts the write side of a stream.
    pub fn shutdown_write(&mut self, position: usize) {
        self.has_worked = true;
        self.trace.note(Happening::Shut { link: position });
        let link = &mut self.links[position];
        if !link.broken {
            assert_eq!(link.owed(), 0, "link {position}: shut before the peer has got what it is owed");
        }
        link.shut_at = Some(self.now);
        link.shuts += 1;
        link.quiet_at_shut = link.read_at.max(link.written_at);
        self.rouse(position);
    }

    /// What it holds for the peer of a stream, as far as the peer must acknowledge it: the bytes, and a FIN behind
    /// them.
    pub fn held_by_kernel(&mut self, position: usize) -> u32 {
        self.has_worked = true;
        let link = &self.links[position];
        let fin = usize::from(link.shut_at.is_some() && link.under_way() > 0);
        if link.is_tcp && !link.reset { (link.under_way() + fin) as u32 } else { 0 }
    }

    /// A peer is given up: what it has not taken is lost when the stream is closed.
    pub fn abort(&mut self, position: usize) {
        self.trace.note(Happening::Abandoned { link: position });
        self.check_abandon(position);
        self.links[position].abandoned = true;
    }

    /// Closes a stream.
    pub fn close_link(&mut self, position: usize) {
        self.trace.note(Happening::Dropped { link: position });
        self.open_files -= 1;
        let link = &mut self.links[position];
        link.closed_at = Some(self.now);
        // Closing with unread input sends a RST, which destroys what is on its way.
        link.destroyed = link.unread() > 0 || link.abandoned;
        let key = link.key;
        self.unwatch(key);
        self.rouse(position);
        if let Some(refused_at) = self.links[position].refused_at
            && self.drained_at.is_none()
        {
            self.check_refused_close(position, refused_at);
        }
    }

    /// Closes a listening socket: whoever waits there is reset.
    pub fn close_backlog(&mut self, position: usize) {
        let key = self.backlogs[position].key;
        self.unwatch(key);
        let has_time = |drained_at| self.now < drained_at + self.limits.drain_timeout.as_micros() as u64;
        let drains = self.links_at_drain.is_some() && self.drained_at.is_some_and(has_time);
        let backlog = &mut self.backlogs[position];
        assert!(!drains || backlog.queue.is_empty(), "backlog {position}: a drain forgets who waits to be accepted");
        backlog.is_closed = true;
        for link in backlog.queue.drain(..).chain(backlog.outside.drain(..)) {
            self.links[link].closed_at = Some(self.now);
        }
    }

    /// Opens a datagram socket that the handler has asked for; now and then that is not possible.
    pub fn connect_mailbox(&mut self) -> io::Result<usize> {
        self.has_worked = true;
        if self.rng.percent(10) {
            return Err(io::Error::from_raw_os_error(ENOBUFS));
        }
        let position = self.mailboxes.len();
        self.mailboxes.push(Mailbox::default());
        self.newborn.push_back(position);
        self.plan(100, Action::Letter(position));
        Ok(position)
    }

    /// Closes a datagram socket: what has arrived and was not received is nobody's.
    pub fn close_mailbox(&mut self, position: usize) {
        let key = self.mailboxes[position].key;
        self.unwatch(key);
        let mailbox = &mut self.mailboxes[position];
        mailbox.is_closed = true;
        mailbox.arrived -= mailbox.queue.drain(..).count();
    }

    /// Receives a datagram.
    pub fn receive_letter(&mut self, position: usize, buffer: &mut [u8]) -> io::Result<Letter> {
        self.has_worked = true;
        let mailbox = &mut self.mailboxes[position];
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if !self.is_calm && self.rng.below(400) == 0 {
            self.faults += 1;
            self.receive_errors += 1;
            return Err(io::Error::from_raw_os_error(self.rng.pick(&[ENOBUFS, ENOMEM])));
        }
        if std::mem::take(&mut mailbox.refused) {
            self.faults += 1;
            self.receive_errors += 1;
            return Err(io::ErrorKind::ConnectionRefused.into());
        }
        self.take_letter(position, buffer).ok_or_else(|| io::ErrorKind::WouldBlock.into())
    }

    /// How many datagrams the next call takes at most.
    pub fn letters_a_call(&mut self) -> usize {
        self.rng.between(1, Mailbox::BATCH)
    }

    /// Receives the next datagrams of a batch whose first was received; true where it found none left, or at least said
    /// so.
    pub fn receive_more_letters(&mut self, position: usize, buffer: &mut [u8], letters: &mut Vec<Letter>) -> bool {
        for slot in buffer.chunks_exact_mut(Mailbox::SLOT).skip(1) {
            if !self.is_calm && self.rng.percent(2) {
                // An error of the socket comes while it receives: the call ends early, and the error has an edge of its
                // own.
                self.mailboxes[position].refused = true;
                self.owe(self.mailboxes[position].key, Readiness::READABLE);
                return true;
            }
            let Some(letter) = self.take_letter(position, slot) else { return true };
            letters.push(letter);
        }
        false
    }

    fn take_letter(&mut self, position: usize, buffer: &mut [u8]) -> Option<Letter> {
        let mailbox = &mut self.mailboxes[position];
        let letter = mailbox.queue.pop_front()?;
        for (at, byte) in buffer[..letter.length].iter_mut().enumerate() {
            *byte = byte_at(letter.number, at);
        }
        mailbox.received.push_back(letter);
        self.trace.note(Happening::LetterReceived { mailbox: position, length: letter.length });
        Some(letter)
    }

    /// Sends a datagram; it must answer the first letter that the handler was given and has not answered.
    pub fn send_letter(&mut self, position: usize, bytes: &[u8], to: usize) -> io::Result<()> {
        self.has_worked = true;
        self.check_answer(position, bytes, to);
        if self.rng.percent(2) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let mailbox = &mut self.mailboxes[position];
        if self.rng.percent(8) || mailbox.refuses == Some(to) {
            mailbox.unanswered.pop_front();
            mailbox.failed_sends += 1;
            // The answer is dropped, and the handler is told of it.
            self.faults += 1;
            return Err(match self.rng.below(4) {
                0 => io::ErrorKind::WouldBlock.into(),
                1 => io::Error::from_raw_os_error(EMSGSIZE),
                2 => io::ErrorKind::ConnectionRefused.into(),
                _ => io::Error::from_raw_os_error(EPERM),
            });
        }
        self.letter_leaves(position);
        Ok(())
    }

    /// Sends the next datagram of a batch whose first has left; false where it is refused, which is told when it is the
    /// first.
    pub fn send_next_letter(&mut self, position: usize, bytes: &[u8], to: usize) -> bool {
        self.check_answer(position, bytes, to);
        if self.rng.percent(8) {
            self.mailboxes[position].refuses = Some(to);
            return false;
        }
        self.letter_leaves(position);
        true
    }

    fn check_answer(&self, position: usize, bytes: &[u8], to: usize) {
        let letter = self.mailboxes[position].unanswered.front().expect("an answer follows a letter");
        assert_eq!(to, letter.number, "the answer goes to who asked");
        assert_eq!(bytes.len(), letter.length, "the answer is as long as the letter");
        assert!(
            bytes.iter().enumerate().all(|(at, byte)| *byte == byte_at(letter.number, at)),
            "the answer is the letter"
        );
    }

    fn letter_leaves(&mut self, position: usize) {
        let mailbox = &mut self.mailboxes[position];
        let letter = mailbox.unanswered.pop_front().expect("it was checked");
        mailbox.answers += 1;
        mailbox.answered_bytes += letter.length;
        self.trace.note(Happening::LetterSent { mailbox: position, length: letter.length });
    }
}
