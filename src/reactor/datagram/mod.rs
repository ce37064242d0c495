//! A datagram socket in the reactor: receive, ask the handler, answer. Nothing is ever queued.

pub mod batch;
pub mod buckets;
pub mod loop_guard;
pub mod reply_guard;
pub mod reply_rate;

use std::io;
use std::ops::Range;

use log::Level;

use crate::os::address::Address;
use crate::os::clock::Tick;
use crate::os::datagram_socket::{DATAGRAM_MAX, DatagramSocket, receive_one};
use crate::os::readiness::{Latch, Readiness};
use crate::os::reason::is_shortage;
use crate::os::received::{Queue, Received};
use crate::os::route::Route;
use crate::reactor::acceptor::RETRY;
use crate::reactor::close_reason::CloseReason;
use crate::reactor::connection::SessionSlot;
use crate::reactor::datagram::batch::{Answer, DatagramBatch};
use crate::reactor::datagram::reply_guard::Question;
use crate::reactor::drive::{Drive, Offered};
use crate::reactor::handler::Handler;
use crate::reactor::limits::Limits;
use crate::reactor::log_limit::LogKind;
use crate::reactor::metrics::Dropped;
use crate::reactor::next::Next;
use crate::reactor::reply::Outgoing;
use crate::reactor::shared::Shared;
use crate::reactor::step::Step;
use crate::reactor::tag::Tag;

/// About how many datagrams one turn takes from one socket, before the other sources have their turn.
const TURN: usize = 64;

/// Room to receive into: all that the arena has, which is never less than for one read.
const ROOM: usize = 2 * Limits::READ_MAX;
const _: () = assert!(Limits::READ_MAX >= DATAGRAM_MAX);

/// How many errors one turn takes off one socket, before a retry is due.
const ERRORS_MAX: u32 = 16;

/// Why the handler of a datagram socket is called.
#[derive(Clone, Copy)]
enum Call {
    Datagram,
    Tick,
    Error(CloseReason),
}

/// A datagram socket with its handler's session `S`.
pub struct Datagram<D, S> {
    pub(super) socket: D,
    slot: SessionSlot<S>,
    latch: Latch,
    /// Where the socket is bound, if it answers strangers.
    pub(super) own: Option<Address>,
    ticking: bool,
    wake_at: Option<Tick>,
    draining: bool,
    /// The handler has ended a socket with one peer, for this reason.
    finished: Option<CloseReason>,
    /// The last turn took more than one datagram, so the next begins with a batch. For a single datagram, preparing a
    /// batch costs more than the call that it saves.
    is_busy: bool,
}

impl<D: DatagramSocket, S> Datagram<D, S> {
    /// A socket with its session.
    pub fn new(socket: D, session: S) -> Self {
        Datagram::with_slot(socket, SessionSlot::Open(session))
    }

    /// A socket with one peer that was ordered by `tag`: its first turn opens the session.
    pub fn connected(socket: D, tag: Tag) -> Self {
        let slot = SessionSlot::Unopened(tag);
        Datagram { ticking: true, ..Datagram::with_slot(socket, slot) }
    }

    fn with_slot(socket: D, slot: SessionSlot<S>) -> Self {
        let own = socket.own();
        Datagram {
            socket,
            slot,
            latch: Latch::default(),
            own,
            ticking: false,
            wake_at: None,
            draining: false,
            finished: None,
            is_busy: false,
        }
    }

    /// Closes the socket.
    pub(super) fn close<H: Handler<Session = S>>(self, reason: CloseReason, handler: &mut H, shared: &mut Shared) {
        if let Some(own) = &self.own {
            shared.reply_guard.remove(own);
        }
        drop(self.socket);
        self.slot.close(true, reason, handler, &mut shared.orders);
    }

    /// Merges an event; true where the socket should be driven: as with an acceptor, not while a retry is due.
    pub fn latch(&mut self, readiness: Readiness) -> bool {
        self.latch.set(readiness);
        !self.latch.is_retrying()
    }

    /// A handler has woken the socket: its own is called.
    pub fn wake(&mut self) {
        self.ticking = true;
    }

    /// The reactor drains: what has arrived is answered, whatever the latch says, then the socket closes.
    pub fn drain(&mut self) {
        self.draining = true;
        self.latch.set(Readiness::READABLE);
    }

    /// The moment that the handler asked for has come, or the retry deadline.
    pub fn deadline_passed(&mut self, now: Tick) {
        if self.wake_at.is_some_and(|moment| moment <= now) {
            self.wake_at = None;
            self.ticking = true;
        }
    }

    /// When the handler wants to be called even if nothing arrives.
    pub fn deadline(&self) -> Option<Tick> {
        self.wake_at
    }

    /// The invariant: off the ready list, the kernel owes an edge, or a retry is `armed`; and so is the deadline.
    pub fn keeps_the_invariant(&self, armed: Option<Tick>) -> bool {
        let rests = if self.latch.is_retrying() { armed.is_some() } else { !(self.latch.readable() || self.ticking) };
        rests && self.wake_at.is_none_or(|moment| armed.is_some_and(|armed| armed <= moment))
    }

    /// Receives datagrams and answers each.
    pub fn drive<H: Handler<Session = S>>(&mut self, drive: &mut Drive<'_, H>) -> Next {
        let mut batch = std::mem::take(&mut drive.shared.datagrams);
        let next = self.drive_with(&mut batch, drive);
        batch.clear();
        drive.shared.datagrams = batch;
        next
    }

    fn drive_with<H: Handler<Session = S>>(&mut self, batch: &mut DatagramBatch, drive: &mut Drive<'_, H>) -> Next {
        self.latch.try_again();
        if std::mem::take(&mut self.ticking) {
            batch.clear();
            batch.received.push(Received { range: 0..0, route: Route::Connected, is_cut: false });
            self.answer_all(batch, Call::Tick, drive);
        }
        let (mut spent, mut errors) = (0, 0);
        while spent < TURN && self.latch.readable() && self.finished.is_none() {
            batch.clear();
            let room = drive.shared.arena.space(ROOM);
            let received = if self.is_busy || spent > 1 {
                self.socket.receive_batch(room, &mut batch.received)
            } else {
                receive_one(&mut self.socket, room, &mut batch.received)
            };
            spent += batch.received.len();
            match received {
                Ok(queue) => {
                    if queue == Queue::Empty {
                        drive.shared.tell(drive.key, Step::QueueEmpty);
                        self.latch.read_would_block();
                    }
                    self.take_in(batch, drive);
                }
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => {
                        drive.shared.tell(drive.key, Step::ReceiveWouldBlock);
                        self.latch.read_would_block();
                    }
                    io::ErrorKind::Interrupted => spent += 1,
                    _ => {
                        drive.counts().datagram_errors += 1;
                        self.tell_fault(CloseReason::of_error(&error), drive);
                        // The call takes an ICMP message about an earlier reply off the socket. Lack of memory stays,
                        // and so does an error that comes again and again.
                        errors += 1;
                        if errors == ERRORS_MAX || is_shortage(&error) {
                            self.latch.retry_later();
                            return Next::RetryAt(drive.shared.now.after(RETRY));
                        }
                    }
                },
            }
        }
        self.is_busy = spent > 1;
        if let Some(reason) = self.finished {
            return Next::Done(reason);
        }
        if self.draining && !self.latch.readable() {
            Next::Done(CloseReason::Drained)
        } else if self.latch.readable() || self.ticking {
            Next::More
        } else {
            Next::Idle
        }
    }

    /// Offers the handler what was received.
    fn take_in<H: Handler<Session = S>>(&mut self, batch: &mut DatagramBatch, drive: &mut Drive<'_, H>) {
        let end = batch.received.last().map_or(0, |last| last.range.end);
        let start = drive.shared.arena.keep(end);
        for received in &mut batch.received {
            drive.counts().bytes_in += received.range.len() as u64;
            drive.shared.tell(drive.key, Step::Received(received.range.len(), received.route.peer()));
            received.range = start + received.range.start..start + received.range.end;
        }
        self.answer_all(batch, Call::Datagram, drive);
        drive.shared.arena.release_from(start);
    }

    /// Calls the handler for each datagram of the batch, then sends what it answered.
    fn answer_all<H: Handler<Session = S>>(&mut self, batch: &mut DatagramBatch, call: Call, drive: &mut Drive<'_, H>) {
        let composed = drive.shared.arena.composed.len();
        for (number, received) in batch.received.iter().enumerate() {
            if received.is_cut {
                drive.counts().count_drop(Dropped::TooLong);
                continue;
            }
            let ends = self.call(call, &received.route, received.range.clone(), drive);
            if !drive.outgoing.answered {
                continue;
            }
            let answer = Answer::new(number, std::mem::take(drive.outgoing), &mut drive.shared.arena);
            let Shared { arena, reply_guard, now, .. } = &mut *drive.shared;
            let bytes = &arena.bytes()[received.range.clone()];
            let question = Question { bytes, route: &received.route, here: self.own.as_ref(), ends };
            match reply_guard.admit(&question, *now) {
                Ok(()) => batch.answers.push(answer),
                Err(kind) => tell_dropped(kind, &answer, &received.route, drive),
            }
        }
        self.send_all(batch, drive);
        drive.shared.arena.composed.truncate(composed);
    }

    /// Sends the answers of a batch, or tells why one was dropped. An answer is never queued, or one peer that does not
    /// read would hold up the others.
    fn send_all<H: Handler<Session = S>>(&mut self, batch: &DatagramBatch, drive: &mut Drive<'_, H>) {
        let mut waiting = batch.answers.as_slice();
        while let Some((first, others)) = waiting.split_first() {
            let Shared { arena, metrics, .. } = &mut *drive.shared;
            let route = |answer: &Answer| &batch.received[answer.to].route;
            let sent = self.socket.send_batch(waiting.iter().map(|answer| (answer.bytes(arena), route(answer))));
            match sent {
                Ok(count) => {
                    let (left, others) = waiting.split_at(count.min(waiting.len()));
                    let counts = metrics.row_mut(drive.row);
                    counts.messages_out += left.len() as u64;
                    counts.bytes_out += left.iter().map(|answer| answer.bytes(arena).len() as u64).sum::<u64>();
                    waiting = others;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let (kind, fault) = why_dropped(&error);
                    tell_dropped(kind, first, route(first), drive);
                    self.tell_fault(fault, drive);
                    waiting = others;
                }
            }
        }
    }

    fn tell_fault<H: Handler<Session = S>>(&mut self, reason: CloseReason, drive: &mut Drive<'_, H>) {
        // An answer to a failed send could fail again, so only the other wishes count.
        let composed = drive.shared.arena.composed.len();
        self.call(Call::Error(reason), &Route::Connected, 0..0, drive);
        drive.shared.arena.composed.truncate(composed);
    }

    /// Calls the handler; what it answers is left in the drive. Returns whether that ends the conversation.
    fn call<H: Handler<Session = S>>(
        &mut self,
        call: Call,
        route: &Route,
        received: Range<usize>,
        drive: &mut Drive<'_, H>,
    ) -> bool {
        *drive.outgoing = Outgoing::starting_at(drive.shared.arena.composed.len());
        let (handler, bytes, mut cx) = drive.context((route.peer(), false, 0), 0, Offered::Arena(received));
        match (&mut self.slot, call) {
            (SessionSlot::Open(session), Call::Datagram) => handler.datagram(session, bytes, &mut cx),
            (SessionSlot::Open(session), Call::Tick) => handler.tick(session, &mut cx),
            (SessionSlot::Open(session), Call::Error(reason)) => handler.datagram_error(session, reason, &mut cx),
            // Nothing was received yet: the first call is the tick that the socket was made with.
            (SessionSlot::Unopened(tag), _) => self.slot = SessionSlot::Open(handler.open(*tag, &mut cx)),
        }
        let wishes = cx.wishes;
        // A socket that answers strangers serves the others on.
        if self.own.is_none() {
            self.finished = self.finished.or(wishes.finish);
        }
        if wishes.wake_at.is_some() {
            self.wake_at = wishes.wake_at;
        }
        wishes.finish.is_some()
    }
}

fn tell_dropped<H>(kind: Dropped, answer: &Answer, route: &Route, drive: &mut Drive<'_, H>) {
    let Shared { arena, metrics, log_limit, now, .. } = &mut *drive.shared;
    metrics.row_mut(drive.row).count_drop(kind);
    let (key, length) = (drive.key, answer.bytes(arena).len());
    let line = format_args!("{key} did not answer {} with {length} bytes: {kind}", route.peer());
    log_limit.log(LogKind::Datagram, Level::Debug, *now, line);
}

/// What an answer is counted as that did not leave; and what a handler that has only one peer is told.
fn why_dropped(error: &io::Error) -> (Dropped, CloseReason) {
    if error.kind() == io::ErrorKind::WouldBlock {
        (Dropped::WouldBlock, CloseReason::of_error(error))
    } else if error.raw_os_error() == Some(nix::errno::Errno::EMSGSIZE as i32) {
        (Dropped::TooLong, CloseReason::FrameTooLong)
    } else {
        (Dropped::SendFailed, CloseReason::of_error(error))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::time::Duration;

    use nix::errno::Errno;

    use super::*;
    use crate::os::datagram_socket::send_first;
    use crate::os::key::Key;
    use crate::reactor::handler::Context;
    use crate::reactor::metrics::{Counts, Row};

    /// What its calls answer, one after the other; then `WouldBlock`.
    #[derive(Default)]
    struct Scripted {
        received: VecDeque<Result<&'static [u8], Errno>>,
        refused: VecDeque<Errno>,
        sent: Vec<Vec<u8>>,
    }

    impl DatagramSocket for Scripted {
        fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
            let bytes = self.received.pop_front().unwrap_or(Err(Errno::EAGAIN))?;
            buffer[..bytes.len()].copy_from_slice(bytes);
            Ok((bytes.len(), Route::Connected))
        }

        fn receive_batch(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> io::Result<Queue> {
            receive_one(self, buffer, received)
        }

        fn own(&self) -> Option<Address> {
            None
        }

        fn send(&mut self, bytes: &[u8], _route: &Route) -> io::Result<()> {
            match self.refused.pop_front() {
                Some(error) => Err(error.into()),
                None => {
                    self.sent.push(bytes.to_vec());
                    Ok(())
                }
            }
        }

        fn send_batch<'a, B>(&mut self, batch: B) -> io::Result<usize>
        where
            B: ExactSizeIterator<Item = (&'a [u8], &'a Route)>,
        {
            send_first(self, batch)
        }
    }

    /// Echoes, and remembers what it was told.
    #[derive(Default)]
    struct Echo {
        opened: Vec<Tag>,
        faults: Vec<CloseReason>,
        ticks: usize,
        wake_at: Option<Tick>,
        ends: Option<CloseReason>,
    }

    impl Handler for Echo {
        type Session = ();

        fn open(&mut self, tag: Tag, cx: &mut Context<'_>) {
            self.opened.push(tag);
            cx.reply.send(b"first");
        }

        fn receive(&mut self, _session: &mut (), bytes: &[u8], _cx: &mut Context<'_>) -> usize {
            bytes.len()
        }

        fn datagram(&mut self, _session: &mut (), bytes: &[u8], cx: &mut Context<'_>) {
            cx.reply.echo(0..bytes.len());
            if let Some(reason) = self.ends {
                cx.finish(reason);
            }
            if let Some(moment) = self.wake_at {
                cx.wake_at(moment);
            }
        }

        fn datagram_error(&mut self, _session: &mut (), reason: CloseReason, _cx: &mut Context<'_>) {
            self.faults.push(reason);
        }

        fn tick(&mut self, _session: &mut (), _cx: &mut Context<'_>) {
            self.ticks += 1;
        }
    }

    /// A datagram socket on its own, as the reactor would drive it.
    struct Stage {
        datagram: Datagram<Scripted, ()>,
        handler: Echo,
        shared: Shared,
    }

    impl Stage {
        fn new(received: impl IntoIterator<Item = Result<&'static [u8], Errno>>) -> Stage {
            let socket = Scripted { received: received.into_iter().collect(), ..Scripted::default() };
            let mut datagram = Datagram::new(socket, ());
            assert!(datagram.latch(Readiness::READABLE));
            Stage { datagram, handler: Echo::default(), shared: Shared::new(Limits::default()) }
        }

        fn drive(&mut self) -> Next {
            let mut outgoing = Outgoing::default();
            self.datagram.drive(&mut Drive::new(
                Key::new(0, 1),
                Row::NONE,
                &mut self.handler,
                &mut self.shared,
                &mut outgoing,
            ))
        }

        fn counts(&self) -> Counts {
            self.shared.metrics.total()
        }

        fn sent(&self) -> usize {
            self.datagram.socket.sent.len()
        }
    }

    #[test]
    fn a_socket_that_was_asked_for_is_opened_once_before_anything_is_received() {
        let mut stage = Stage::new([Ok(&b"reply"[..])]);
        let socket = std::mem::take(&mut stage.datagram.socket);
        stage.datagram = Datagram::connected(socket, Tag(7));
        assert!(!stage.datagram.keeps_the_invariant(None), "it must be listed");
        assert!(stage.datagram.latch(Readiness::READABLE));
        assert_eq!((stage.drive(), stage.drive()), (Next::Idle, Next::Idle));
        assert_eq!((stage.handler.opened.as_slice(), stage.handler.ticks), (&[Tag(7)][..], 0));
        assert_eq!(stage.datagram.socket.sent, [b"first", b"reply"]);
        assert!(matches!(stage.datagram.slot, SessionSlot::Open(())));
        let unopened: Datagram<_, ()> = Datagram::connected(Scripted::default(), Tag(7));
        assert!(matches!(unopened.slot, SessionSlot::Unopened(Tag(7))));
    }

    #[test]
    fn a_socket_that_its_handler_ends_answers_and_is_over() {
        let mut stage = Stage::new([Ok(&b"last"[..]), Ok(b"more")]);
        stage.handler.ends = Some(CloseReason::Ended);
        assert_eq!((stage.drive(), stage.sent()), (Next::Done(CloseReason::Ended), 1));
        assert_eq!(stage.datagram.socket.received.len(), 1, "nothing more is received");
    }

    #[test]
    fn a_turn_takes_so_many_and_the_rest_waits_for_the_next() {
        let mut stage = Stage::new(vec![Ok(&b"ping"[..]); TURN + 3]);
        assert_eq!((stage.drive(), stage.sent()), (Next::More, TURN));
        assert!(!stage.datagram.keeps_the_invariant(None), "it must be listed");
        assert_eq!((stage.drive(), stage.sent()), (Next::Idle, TURN + 3));
        assert!(stage.datagram.keeps_the_invariant(None));
        let bytes = 4 * (TURN as u64 + 3);
        assert_eq!((stage.counts().bytes_in, stage.counts().bytes_out), (bytes, bytes));
    }

    #[test]
    fn an_interrupted_call_is_made_again() {
        let mut stage = Stage::new([Err(Errno::EINTR), Ok(&b"ping"[..])]);
        assert_eq!((stage.drive(), stage.sent()), (Next::Idle, 1));
        stage.datagram.socket.received.push_back(Ok(b"pong"));
        stage.datagram.socket.refused.push_back(Errno::EINTR);
        stage.datagram.latch(Readiness::READABLE);
        assert_eq!((stage.drive(), stage.sent()), (Next::Idle, 2));
        assert!(stage.handler.faults.is_empty());
        // A signal at every call does not keep the others waiting.
        let mut stage = Stage::new(vec![Err(Errno::EINTR); 2 * TURN]);
        assert_eq!((stage.drive(), stage.datagram.socket.received.len()), (Next::More, TURN));
    }

    #[test]
    fn lack_of_memory_rests_until_a_deadline_and_what_an_earlier_reply_met_does_not() {
        for lack in [Errno::ENOBUFS, Errno::ENOMEM] {
            let mut stage = Stage::new([Err(lack), Ok(&b"ping"[..])]);
            assert_eq!((stage.drive(), stage.sent()), (Next::RetryAt(Tick::START.after(RETRY)), 0), "{lack}");
            assert!(!stage.datagram.latch(Readiness::READABLE), "an event only merges until then");
            assert!(stage.datagram.keeps_the_invariant(Some(Tick::START.after(RETRY))));
            assert!(!stage.datagram.keeps_the_invariant(None), "nobody would try again");
            assert_eq!((stage.drive(), stage.sent()), (Next::Idle, 1));
            assert_eq!(stage.counts().datagram_errors, 1);
        }
        let gone = vec![Err(Errno::ECONNREFUSED); ERRORS_MAX as usize];
        let mut stage = Stage::new(gone[1..].iter().copied().chain([Ok(&b"ping"[..])]));
        assert_eq!((stage.drive(), stage.sent()), (Next::Idle, 1));
        assert_eq!(stage.handler.faults.len(), ERRORS_MAX as usize - 1);
        assert!(matches!(Stage::new(gone).drive(), Next::RetryAt(_)), "what comes again and again is left alone");
    }

    #[test]
    fn a_socket_that_was_woken_and_received_waits_for_no_retry() {
        let mut stage = Stage::new([Err(Errno::ENOMEM), Err(Errno::ENOMEM), Ok(&b"late"[..])]);
        assert!(matches!(stage.drive(), Next::RetryAt(_)));
        assert!(!stage.datagram.latch(Readiness::READABLE), "an event is no reason to try again before the deadline");
        stage.datagram.wake();
        assert!(matches!(stage.drive(), Next::RetryAt(_)), "the lack has lasted");
        assert!(!stage.datagram.latch(Readiness::READABLE));
        stage.datagram.wake();
        assert_eq!((stage.drive(), stage.sent()), (Next::Idle, 1), "the lack is over");
        assert!(stage.datagram.keeps_the_invariant(None));
        assert!(
            stage.datagram.latch(Readiness::READABLE),
            "the next datagram need not wait for a deadline of the past"
        );
    }

    #[test]
    fn a_handler_is_called_at_the_moment_it_asked_for_and_not_before() {
        let moment = Tick::at(Duration::from_millis(5));
        let mut stage = Stage::new([Ok(&b"ping"[..])]);
        stage.handler.wake_at = Some(moment);
        assert_eq!(stage.drive(), Next::Idle);
        assert_eq!(stage.datagram.deadline(), Some(moment));
        stage.datagram.deadline_passed(Tick::at(Duration::from_millis(4)));
        assert_eq!((stage.drive(), stage.handler.ticks), (Next::Idle, 0));
        stage.datagram.deadline_passed(moment);
        assert!(!stage.datagram.keeps_the_invariant(None), "a tick is due");
        assert_eq!((stage.drive(), stage.handler.ticks, stage.datagram.deadline()), (Next::Idle, 1, None));
        stage.datagram.wake();
        assert_eq!((stage.drive(), stage.handler.ticks), (Next::Idle, 2));
    }

    #[test]
    fn a_reply_that_does_not_leave_is_counted_by_its_reason_and_the_others_leave() {
        let refusals = [
            (Errno::EAGAIN, Dropped::WouldBlock, CloseReason::of_error(&Errno::EAGAIN.into())),
            (Errno::EMSGSIZE, Dropped::TooLong, CloseReason::FrameTooLong),
            (Errno::EPERM, Dropped::SendFailed, CloseReason::of_error(&Errno::EPERM.into())),
        ];
        for (error, kind, reason) in refusals {
            let mut stage = Stage::new([Ok(&b"ping"[..]), Ok(b"pong!")]);
            stage.datagram.socket.refused.push_back(error);
            assert_eq!(stage.drive(), Next::Idle);
            assert_eq!(stage.datagram.socket.sent, [b"pong!".to_vec()]);
            assert_eq!(stage.counts().dropped(kind), 1, "{error}");
            assert_eq!(stage.handler.faults, [reason]);
            assert_eq!((stage.counts().messages_out, stage.counts().bytes_out), (1, 5));
        }
    }

    #[test]
    fn a_drain_answers_what_waits_and_ends() {
        let mut stage = Stage::new([Ok(&b"ping"[..])]);
        stage.datagram.drain();
        assert_eq!((stage.drive(), stage.sent()), (Next::Done(CloseReason::Drained), 1));
    }
}
