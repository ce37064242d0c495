//! Goal: what one connection decides in situations that need a history: it is paused, its handler waits for room, a
//! message has been incomplete for a while, all queues are full, a drain begins.
//!
//! Method: a stream with a written script under one [`Connection`], driven through receive, send and settle as the
//! reactor drives it, and a handler that does what the situation needs. Each test tells one history and looks at the
//! decision at its end. (All that a socket can answer, in every order, is the matter of `connection_schedules.rs`; many
//! connections at a time are that of `simulation.rs`.)

use std::cell::RefCell;
use std::collections::VecDeque;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use cooee::os::clock::Tick;
use cooee::os::key::Key;
use cooee::os::readiness::Readiness;
use cooee::os::stream::{ConnectProgress, Stream};
use cooee::reactor::close_reason::CloseReason;
use cooee::reactor::connection::Connection;
use cooee::reactor::drive::Drive;
use cooee::reactor::handler::{Context, Handler};
use cooee::reactor::limits::Limits;
use cooee::reactor::metrics::Row;
use cooee::reactor::next::{Condition, Next};
use cooee::reactor::reply::Outgoing;
use cooee::reactor::room::{Room, Share};
use cooee::reactor::shared::Shared;
use cooee::reactor::tag::Tag;

/// How long a message has.
const IDLE: Duration = Duration::from_secs(60);

/// What the socket will answer, and what it was asked.
#[derive(Default)]
struct Script {
    /// What the next reads give; nothing is the peer's end. After the last one, reads block.
    reads: VecDeque<Vec<u8>>,
    /// After those, one read fails with this.
    read_fails: Option<io::ErrorKind>,
    /// Results of the next writes. After the last one, writes take everything.
    writes: VecDeque<io::Result<usize>>,
    sent: Vec<u8>,
    is_shut: bool,
    /// What the kernel says that it holds for the peer.
    held_by_kernel: u32,
    is_abandoned: bool,
    /// How the connection stands that was asked for; nothing while it is being established.
    connected: Option<Result<(), io::ErrorKind>>,
    /// How much the last read would have taken.
    space: usize,
    /// Whether a short read proves that nothing more is there, as on TCP. Elsewhere it takes a `WouldBlock` to clear
    /// the latch.
    short_read_drains: bool,
}

struct Scripted(Rc<RefCell<Script>>);

impl Stream for Scripted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut script = self.0.borrow_mut();
        script.space = buffer.len();
        let Some(bytes) = script.reads.pop_front() else {
            return Err(script.read_fails.take().unwrap_or(io::ErrorKind::WouldBlock).into());
        };
        let count = bytes.len().min(buffer.len());
        buffer[..count].copy_from_slice(&bytes[..count]);
        if count < bytes.len() {
            script.reads.push_front(bytes[count..].to_vec());
        }
        Ok(count)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut script = self.0.borrow_mut();
        if let Some(outcome) = script.writes.pop_front() {
            return outcome;
        }
        script.sent.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.0.borrow_mut().is_shut = true;
        Ok(())
    }

    fn connect_progress(&mut self) -> io::Result<ConnectProgress> {
        match self.0.borrow().connected {
            None => Ok(ConnectProgress::Pending),
            Some(Ok(())) => Ok(ConnectProgress::Established(None)),
            Some(Err(error)) => Err(error.into()),
        }
    }

    fn held_by_kernel(&self) -> u32 {
        self.0.borrow().held_by_kernel
    }

    fn abort(&mut self) {
        self.0.borrow_mut().is_abandoned = true;
    }

    fn short_read_drains(&self) -> bool {
        self.0.borrow().short_read_drains
    }
}

/// A handler that takes what its function takes, and remembers what it was offered.
struct Served {
    receive: fn(&[u8], &mut Context<'_>) -> usize,
    /// Whether it goes on sending after the peer's end.
    stays: bool,
    offers: Vec<Vec<u8>>,
    ticks: usize,
    /// What the kernel held for the peer at the last of them.
    unacknowledged: usize,
}

impl Handler for Served {
    type Session = ();

    fn open(&mut self, _: Tag, _: &mut Context<'_>) {}

    fn receive(&mut self, (): &mut (), bytes: &[u8], cx: &mut Context<'_>) -> usize {
        self.offers.push(bytes.to_vec());
        (self.receive)(bytes, cx)
    }

    fn end_of_stream(&mut self, (): &mut (), _: &[u8], cx: &mut Context<'_>) {
        if !self.stays {
            cx.finish(CloseReason::PeerClosed);
        }
    }

    fn tick(&mut self, (): &mut (), cx: &mut Context<'_>) {
        self.ticks += 1;
        self.unacknowledged = cx.unacknowledged;
    }
}

/// Answers messages of three bytes, as long as the reply has room.
fn triples(bytes: &[u8], cx: &mut Context<'_>) -> usize {
    let mut taken = 0;
    while bytes.len() - taken >= 3 && !cx.reply.wait_if_full() {
        cx.reply.echo(taken..taken + 3);
        taken += 3;
    }
    taken
}

/// Echoes what there is, and wants no more for now.
fn one_and_pause(bytes: &[u8], cx: &mut Context<'_>) -> usize {
    cx.reply.echo(0..bytes.len());
    cx.pause();
    bytes.len()
}

/// Takes what there is, and sends no more.
fn half_close(bytes: &[u8], cx: &mut Context<'_>) -> usize {
    cx.half_close();
    bytes.len()
}

struct Bench {
    connection: Connection<Scripted, ()>,
    script: Rc<RefCell<Script>>,
    served: Served,
    shared: Shared,
}

impl Bench {
    fn new(receive: fn(&[u8], &mut Context<'_>) -> usize) -> Bench {
        Bench::over(receive, |stream| Connection::accepted(stream, None, Tag(0), None, Tick::START))
    }

    fn over(
        receive: fn(&[u8], &mut Context<'_>) -> usize,
        connection: impl FnOnce(Scripted) -> Connection<Scripted, ()>,
    ) -> Bench {
        let script = Rc::new(RefCell::new(Script::default()));
        let limits = Limits { idle_timeout: Some(IDLE), write_limit: 6, ..Limits::default() };
        Bench {
            connection: connection(Scripted(script.clone())),
            script,
            served: Served { receive, stays: false, offers: Vec::new(), ticks: 0, unacknowledged: 0 },
            shared: Shared::new(limits),
        }
    }

    /// The peer has sent `bytes`, or with none has ended its side.
    fn sends(&mut self, bytes: &[u8]) -> &mut Bench {
        self.script.borrow_mut().reads.push_back(bytes.to_vec());
        self
    }

    fn next_write_fails(&mut self, error: io::ErrorKind) -> &mut Bench {
        self.script.borrow_mut().writes.push_back(Err(error.into()));
        self
    }

    fn at(&mut self, seconds: u64) -> &mut Bench {
        self.shared.now = Tick::at(Duration::from_secs(seconds));
        self
    }

    /// One turn, in which the kernel tells of `readiness`.
    fn turn(&mut self, readiness: Readiness) -> Next {
        let key = Key::new(0, 1);
        self.connection.latch(readiness);
        let mut outgoing = Outgoing::default();
        self.connection.receive(&mut Drive::new(key, Row::NONE, &mut self.served, &mut self.shared, &mut outgoing));
        self.connection.send(key, Row::NONE, &outgoing, &mut self.shared);
        let next = self.connection.settle(&mut self.shared);
        self.shared.arena.reset();
        next
    }

    /// The turn after its deadline has come, as seconds since the start.
    fn expires_at(&mut self, seconds: u64) -> Next {
        assert_eq!(self.deadline(), seconds);
        self.at(seconds);
        self.connection.deadline_passed(self.shared.now, &self.shared);
        self.turn(Readiness::empty())
    }

    /// In seconds since the start.
    #[track_caller]
    fn deadline(&self) -> u64 {
        let deadline = self.connection.deadline(&self.shared.limits).expect("it has a deadline");
        deadline.since(Tick::START).as_secs()
    }
}

#[test]
fn a_paused_connection_whose_write_fails_is_read_to_its_end() {
    let mut bench = Bench::new(one_and_pause);
    bench.sends(b"abc").next_write_fails(io::ErrorKind::ConnectionReset);
    // No edge will come any more: it has to go on by itself.
    assert_eq!(bench.turn(Readiness::READABLE), Next::More);
    bench.sends(b"sent before the reset").sends(b"");
    assert_eq!(bench.turn(Readiness::empty()), Next::Done(CloseReason::Reset));
    assert!(bench.script.borrow().reads.is_empty());
}

#[test]
fn a_drain_ends_the_side_of_a_connection_that_is_paused() {
    let mut bench = Bench::new(one_and_pause);
    bench.sends(b"abc").sends(b"left unread");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    bench.connection.drain();
    bench.turn(Readiness::empty());
    assert!(bench.script.borrow().is_shut, "nothing more can be asked for, and nothing is owed");
    assert_eq!(bench.served.offers, [b"abc"]);
}

#[test]
fn a_drain_waits_for_what_has_arrived() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abcdef").sends(b"ghi").next_write_fails(io::ErrorKind::WouldBlock);
    // With six bytes owed it is not read.
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    bench.connection.drain();
    assert_eq!(bench.turn(Readiness::empty()), Next::Idle);
    assert!(!bench.script.borrow().is_shut, "a message that has arrived is answered first");
    // The peer takes what it was owed.
    let mut next = bench.turn(Readiness::WRITABLE);
    for _ in 0..3 {
        if next == Next::More {
            next = bench.turn(Readiness::empty());
        }
    }
    assert_eq!(bench.script.borrow().sent, b"abcdefghi");
    assert!(bench.script.borrow().is_shut);
}

#[test]
fn a_drain_gives_up_a_connection_that_is_not_established_yet() {
    let mut bench = Bench::over(triples, |stream| Connection::connecting(stream, None, Tag(0), Tick::START));
    assert_eq!(bench.turn(Readiness::WRITABLE), Next::Idle);
    bench.connection.drain();
    assert_eq!(bench.turn(Readiness::empty()), Next::Done(CloseReason::Drained));
}

#[test]
fn a_message_has_its_time_from_its_first_byte() {
    let mut bench = Bench::new(triples);
    bench.sends(b"a");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    bench.at(50).sends(b"b");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.expires_at(60), Next::Done(CloseReason::IncompleteTimeout));
}

#[test]
fn the_next_message_has_its_own_time() {
    let mut bench = Bench::new(triples);
    bench.sends(b"ab");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    bench.at(50).sends(b"cd");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.deadline(), 110);
    // Later bytes of the same message move the silence's limit and not the message's.
    bench.at(70).sends(b"e");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.expires_at(110), Next::Done(CloseReason::IncompleteTimeout));
}

#[test]
fn a_message_gets_its_time_back_after_a_wait_for_room_in_all_queues() {
    let mut bench = Bench::new(triples);
    bench.shared.room = Room::new(1);
    bench.sends(b"abcd").next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Wait(Condition::QueueRoom));
    // It is not read, so nobody can say that the message is late.
    bench.at(10).sends(b"e");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Wait(Condition::QueueRoom));
    assert_eq!(bench.served.offers, [b"abcd"]);
    bench.at(40);
    assert_eq!(bench.turn(Readiness::WRITABLE), Next::More);
    assert_eq!(bench.deadline(), 100);
}

#[test]
fn a_handler_that_met_a_full_reply_is_told_of_room() {
    let mut bench = Bench::new(|bytes, cx| {
        cx.reply.send(&[b'x'; 6]);
        assert!(cx.reply.wait_if_full());
        bytes.len()
    });
    bench.script.borrow_mut().short_read_drains = true;
    // The socket took everything at once, so that no edge will tell.
    bench.sends(b"a");
    assert_eq!(bench.turn(Readiness::READABLE), Next::More);
    assert_eq!(bench.turn(Readiness::empty()), Next::Idle);
    assert_eq!(bench.served.ticks, 1);
}

#[test]
fn a_handler_that_waits_for_room_is_left_alone_until_there_is_some() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abcdefghij").next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    // Six bytes are owed, the limit. An event, or somebody who wakes it, makes no room.
    bench.turn(Readiness::READABLE);
    assert_eq!((bench.served.ticks, bench.served.offers.len()), (0, 1));
    bench.connection.wake();
    bench.turn(Readiness::empty());
    assert_eq!((bench.served.ticks, bench.served.offers.len()), (1, 1), "a tick was asked for, an offer was not");
    bench.at(30);
    assert_eq!(bench.turn(Readiness::WRITABLE), Next::More);
    assert_eq!(bench.turn(Readiness::empty()), Next::Idle);
    assert_eq!((bench.served.ticks, bench.served.offers.len()), (2, 2));
    assert_eq!(bench.script.borrow().sent, b"abcdefghi");
    // What was held back is an incomplete message only from now on.
    bench.at(50).sends(b"k");
    bench.turn(Readiness::READABLE);
    assert_eq!(bench.deadline(), 90);
}

#[test]
fn little_is_read_while_all_queues_are_full() {
    let mut bench = Bench::new(|bytes, _| bytes.len());
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.script.borrow().space, Limits::READ_MAX);
    bench.shared.room.exchange(Share::Nothing, Share::Owed(bench.shared.limits.queue_limit));
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.script.borrow().space, Limits::LEAN_READ, "others keep what fills the queues");
}

#[test]
fn who_makes_room_for_others_ends_its_side_and_holds_nothing() {
    let mut bench = Bench::new(|_, _| 0);
    bench.sends(&[b'a'; 5_000]);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert!(bench.shared.room.kept() >= 5_000);
    bench.connection.make_room(Key::new(0, 1), &mut bench.shared);
    assert_eq!(bench.shared.room.kept(), 0, "there is room at once");
    assert_eq!(bench.turn(Readiness::empty()), Next::Idle);
    assert!(bench.script.borrow().is_shut);
    bench.sends(b"");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Done(CloseReason::QueueLimit));
}

#[test]
fn an_incomplete_message_costs_its_memory_times_its_age() {
    let mut bench = Bench::new(triples);
    assert_eq!(bench.connection.rent(bench.shared.now), None, "it keeps nothing");
    bench.sends(b"ab");
    bench.turn(Readiness::READABLE);
    let at_first = bench.connection.rent(bench.shared.now).unwrap();
    let after = |seconds| bench.connection.rent(Tick::at(Duration::from_secs(seconds))).unwrap();
    assert_eq!((after(1), after(2)), (1_001 * at_first, 2_001 * at_first));
    // A whole message, and the next one is new.
    bench.at(2).sends(b"cde");
    bench.turn(Readiness::READABLE);
    let Share::Kept(bytes) = bench.connection.share() else { panic!("it keeps two bytes") };
    assert_eq!(bench.connection.rent(bench.shared.now), Some(bytes as u64));
}

#[test]
fn who_does_not_read_has_no_share_in_the_room_of_messages() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abcd").next_write_fails(io::ErrorKind::WouldBlock);
    bench.turn(Readiness::READABLE);
    // Three bytes are owed, and one is kept of a message that has begun.
    assert!(matches!(bench.connection.share(), Share::Owed(_)));
    assert_eq!(bench.connection.rent(bench.shared.now), None);
    // It takes them.
    bench.turn(Readiness::WRITABLE);
    assert!(matches!(bench.connection.share(), Share::Kept(_)));
    // Six bytes are owed, the limit: a whole message is held back, and waits for the peer too.
    let mut bench = Bench::new(triples);
    bench.sends(b"abcdefghi").next_write_fails(io::ErrorKind::WouldBlock);
    bench.turn(Readiness::READABLE);
    assert!(matches!(bench.connection.share(), Share::Owed(_)));
    assert_eq!(bench.shared.room.kept(), 0);
}

#[test]
fn a_message_of_a_connection_that_this_side_opened_is_nobodys_room() {
    let mut bench = Bench::over(|_, _| 0, |stream| Connection::attached(stream, (), Tick::START));
    bench.sends(&[b'a'; 5_000]);
    bench.turn(Readiness::READABLE);
    assert_eq!((bench.connection.rent(bench.shared.now), bench.shared.room.kept()), (None, 0));
    assert!(bench.shared.room.owed() >= 5_000);
}

#[test]
fn memory_that_is_reserved_is_given_back() {
    let mut bench = Bench::new(|bytes, _| bytes.len().saturating_sub(10).min(100_000));
    bench.sends(b"begun").sends(&[b'a'; 100_000]);
    bench.turn(Readiness::READABLE);
    let Share::Kept(before) = bench.connection.share() else { panic!("it keeps something") };
    bench.connection.squeeze(&mut bench.shared);
    let Share::Kept(after) = bench.connection.share() else { panic!("it keeps something") };
    assert!(before > 100_000 && after < 500, "{before} bytes, then {after}");
    assert_eq!(bench.shared.room.kept(), after);
}

#[test]
fn short_reads_use_the_budget_up() {
    let mut bench = Bench::new(|bytes, _| bytes.len());
    bench.shared.limits.read_budget = 8 * 1024;
    bench.sends(b"a").sends(b"b").sends(b"c");
    assert_eq!(bench.turn(Readiness::READABLE), Next::More, "others have their turn");
    assert_eq!(bench.served.offers, [b"a", b"b"]);
    assert_eq!(bench.turn(Readiness::empty()), Next::Idle);
    assert_eq!(bench.served.offers.len(), 3);
}

#[test]
fn who_is_at_the_other_end_is_known_before_it_is_established() {
    let peer = "127.0.0.1:9".parse().unwrap();
    let bench = Bench::over(triples, |stream| Connection::connecting(stream, Some(peer), Tag(0), Tick::START));
    assert_eq!(bench.connection.peer().to_string(), "127.0.0.1:9");
}

#[test]
fn an_attached_stream_has_its_session_and_needs_no_edge() {
    let mut bench = Bench::over(triples, |stream| Connection::attached(stream, (), Tick::START));
    bench.sends(b"abc");
    assert_eq!(bench.turn(Readiness::empty()), Next::Idle);
    assert_eq!(bench.script.borrow().sent, b"abc");
    assert_eq!(bench.connection.deadline(&bench.shared.limits), None);
}

#[test]
fn after_the_peers_end_a_handler_that_goes_on_has_the_time_of_a_half_closed_connection() {
    let mut bench = Bench::new(triples);
    bench.served.stays = true;
    bench.sends(b"abc").sends(b"");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    let half_closed = bench.shared.limits.half_closed_timeout.as_secs();
    assert_ne!(half_closed, IDLE.as_secs());
    assert_eq!(bench.expires_at(half_closed), Next::Done(CloseReason::HalfClosedTimeout));
}

#[test]
fn a_full_duplex_connection_is_read_however_much_its_peer_is_owed() {
    let mut bench = Bench::new(|bytes, cx| {
        cx.full_duplex();
        cx.reply.echo(0..bytes.len());
        bytes.len()
    });
    // The write limit is six bytes.
    bench.sends(b"seven..").next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    bench.sends(b"more");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.served.offers, [&b"seven.."[..], b"more"]);
    assert_eq!(bench.turn(Readiness::WRITABLE), Next::Idle);
    assert_eq!(bench.script.borrow().sent, b"seven..more");
}

#[test]
fn sending_is_no_sign_of_life_of_a_peer_that_takes_nothing() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abc").next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    // The next message begins its own time, and yet the silence of the peer ends first. It takes nothing at the last
    // attempt either.
    bench.at(50).sends(b"de").next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.expires_at(60), Next::Done(CloseReason::IdleTimeout));
}

#[test]
fn a_peer_that_takes_nothing_of_what_is_owed_is_given_up_when_its_time_is_up() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abc").next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    bench.next_write_fails(io::ErrorKind::WouldBlock);
    let next = bench.expires_at(60);
    assert_eq!(next, Next::Done(CloseReason::IdleTimeout));
    assert!(bench.connection.should_abort(CloseReason::IdleTimeout));
    // A drain that has no more time cuts what is owed, and says so.
    assert!(bench.connection.should_abort(CloseReason::DrainTimeout));
    assert!(!bench.connection.should_abort(CloseReason::Drained));
}

#[test]
fn a_silent_peer_that_has_taken_everything_is_left_politely() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abc");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    assert_eq!(bench.expires_at(60), Next::Done(CloseReason::IdleTimeout));
    assert!(!bench.connection.should_abort(CloseReason::IdleTimeout));
}

#[test]
fn what_the_kernel_holds_for_a_silent_peer_has_a_last_while() {
    // The kernel holds as much as before, less, nothing.
    for (held_at_last, should_abort) in [(500, true), (499, false), (0, false)] {
        let mut bench = Bench::new(triples);
        bench.sends(b"abc");
        assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
        bench.script.borrow_mut().held_by_kernel = 500;
        assert_eq!(bench.expires_at(60), Next::Idle, "it may be slow");
        assert!(bench.script.borrow().is_shut, "it is told that this was all");
        bench.script.borrow_mut().held_by_kernel = held_at_last;
        let linger = bench.shared.limits.linger_timeout.as_secs();
        assert_eq!(bench.expires_at(60 + linger), Next::Done(CloseReason::IdleTimeout));
        assert_eq!(bench.connection.should_abort(CloseReason::IdleTimeout), should_abort, "{held_at_last}");
    }
}

#[test]
fn a_peer_that_does_not_take_its_last_reply_has_the_time_of_lingering_twice() {
    let mut bench = Bench::new(|bytes, cx| {
        cx.reply.send(b"bye");
        cx.finish(CloseReason::Ended);
        bytes.len()
    });
    bench.sends(b"bye");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    bench.script.borrow_mut().held_by_kernel = 3;
    let linger = bench.shared.limits.linger_timeout.as_secs();
    assert_eq!(bench.expires_at(linger), Next::Idle);
    assert_eq!(bench.expires_at(2 * linger), Next::Done(CloseReason::Ended));
    assert!(bench.connection.should_abort(CloseReason::Ended));
}

#[test]
fn who_is_late_with_a_message_gets_what_it_is_owed_for_others() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abc").sends(b"d").next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Idle);
    // The peer takes a byte at a time, and so it is not silent.
    bench.at(50).script.borrow_mut().writes.extend([Ok(1), Err(io::ErrorKind::WouldBlock.into())]);
    assert_eq!(bench.turn(Readiness::WRITABLE), Next::Idle);
    bench.next_write_fails(io::ErrorKind::WouldBlock);
    assert_eq!(bench.expires_at(60), Next::Idle);
    assert!(!bench.script.borrow().is_shut);
    assert_eq!(bench.turn(Readiness::WRITABLE), Next::Idle);
    assert_eq!(bench.script.borrow().sent, b"bc", "the rest of it");
    assert!(bench.script.borrow().is_shut);
    bench.sends(b"");
    assert_eq!(bench.turn(Readiness::READABLE), Next::Done(CloseReason::IncompleteTimeout));
    assert!(!bench.connection.should_abort(CloseReason::IncompleteTimeout));
}

#[test]
fn nothing_is_written_to_a_connection_whose_read_failed() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abc");
    bench.script.borrow_mut().read_fails = Some(io::ErrorKind::ConnectionReset);
    assert_eq!(bench.turn(Readiness::READABLE), Next::Done(CloseReason::Reset));
    assert_eq!(bench.served.offers, [b"abc"]);
    assert_eq!(bench.script.borrow().sent, b"");
}

#[test]
fn a_write_that_takes_nothing_and_does_not_say_why_is_an_error() {
    let mut bench = Bench::new(triples);
    bench.sends(b"abc");
    bench.script.borrow_mut().writes.push_back(Ok(0));
    assert_eq!(bench.turn(Readiness::READABLE), Next::More);
    bench.sends(b"");
    assert_eq!(bench.turn(Readiness::empty()), Next::Done(CloseReason::Failed(io::ErrorKind::WriteZero)));
}

#[test]
fn behind_a_half_close_what_the_kernel_holds_is_told_and_a_failure_shows_at_the_next_tick() {
    for is_ours in [true, false] {
        let mut bench = match is_ours {
            true => Bench::over(half_close, |stream| Connection::connecting(stream, None, Tag(0), Tick::START)),
            false => Bench::new(half_close),
        };
        bench.served.stays = true;
        bench.script.borrow_mut().connected = Some(Ok(()));
        bench.script.borrow_mut().held_by_kernel = 40;
        bench.turn(Readiness::WRITABLE);
        bench.connection.wake();
        bench.turn(Readiness::empty());
        assert_eq!((bench.served.ticks, bench.served.unacknowledged), (1, 0), "more may be added to it");
        bench.sends(b"x").turn(Readiness::READABLE);
        assert!(bench.script.borrow().is_shut);
        bench.connection.wake();
        bench.turn(Readiness::empty());
        // Of those that are served there are thousands, and nobody asks.
        assert_eq!((bench.served.ticks, bench.served.unacknowledged), (2, if is_ours { 40 } else { 0 }));
        // Both sides have ended, and no read tells that the peer is gone.
        assert_eq!(bench.sends(b"").turn(Readiness::READABLE | Readiness::READ_CLOSED), Next::Idle);
        bench.script.borrow_mut().connected = Some(Err(io::ErrorKind::ConnectionReset));
        bench.connection.wake();
        assert_eq!(bench.turn(Readiness::empty()), Next::Done(CloseReason::Reset));
        assert_eq!(bench.served.ticks, 2);
    }
}
