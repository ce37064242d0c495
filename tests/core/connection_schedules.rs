//! Goal: one connection keeps its promises whatever a socket answers, in whatever order.
//!
//! Method: a scripted stream under one [`Connection`], driven through receive, send and settle as the reactor drives
//! it. Wherever a real socket could answer in several ways (and the kernel could tell of it in several ways) a
//! [`Schedule`] chooses; after each run it is advanced to the next schedule, until all were run. So every sequence of
//! [`LENGTH`] outcomes that can be met is met. When a schedule is used up, the peer ends its side and takes what it is
//! owed: then the connection has to end.
//!
//! What is checked after every step: off the ready list the latch invariant holds, and the kernel owes an edge; the
//! peer has got what it should, in order; nothing is read after the end and nothing written after a failure; a
//! connection that owes and keeps nothing owns no memory, and what it owes is bounded.
//!
//! What the kernel promises (and the stream keeps): an edge for a direction comes after its `WouldBlock` and once. A
//! TCP socket that gave a short read was empty, so what comes later brings an edge; unless the peer's FIN or an urgent
//! mark is behind, which the edge has told already. A write that meets a RST takes the error with it: the rest can be
//! read, and then 0.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;

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

use crate::support::full::measured;
use crate::support::service::{Service, byte_at};

/// How many outcomes of reads and writes one schedule has.
const LENGTH: usize = 6;

/// A connection whose peer has ended is over within so many steps.
const STEPS: usize = 100;

/// How a read comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ReadOutcome {
    Short,
    Full,
    WouldBlock,
    /// The kernel lacks memory: nothing has happened, and no edge will tell of any.
    Shortage,
    /// The peer has ended its side: 0.
    End,
    Reset,
}

/// How a write comes out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WriteOutcome {
    Short,
    Whole,
    WouldBlock,
    Shortage,
    Reset,
}

/// One path through the tree of all choices: the choice at each fork, and how many branches it has.
#[derive(Default)]
struct Schedule {
    path: Vec<(usize, usize)>,
    depth: usize,
    outcomes: usize,
}

impl Schedule {
    /// The outcome of a call, or `fallback` where the schedule is used up.
    fn outcome<T: Copy>(&mut self, branches: &[T], fallback: T) -> T {
        if self.outcomes == LENGTH {
            return fallback;
        }
        self.outcomes += 1;
        self.branch(branches)
    }

    /// What the kernel tells of it. It lengthens no schedule: when the outcomes are used up, it tells the least that it
    /// must.
    fn telling<T: Copy>(&mut self, branches: &[T]) -> T {
        if self.outcomes == LENGTH { branches[0] } else { self.branch(branches) }
    }

    fn branch<T: Copy>(&mut self, branches: &[T]) -> T {
        if self.depth == self.path.len() {
            self.path.push((0, branches.len()));
        }
        let (choice, arity) = self.path[self.depth];
        assert_eq!(arity, branches.len(), "the run is not determined by its schedule");
        self.depth += 1;
        branches[choice]
    }

    /// Goes to the next path, depth first; false after the last.
    fn advance(&mut self) -> bool {
        (self.depth, self.outcomes) = (0, 0);
        while let Some((choice, arity)) = self.path.pop() {
            if choice + 1 < arity {
                self.path.push((choice + 1, arity));
                return true;
            }
        }
        false
    }
}

/// One arrangement in which all schedules are run.
#[derive(Clone, Debug)]
struct Case {
    /// TCP, or a stream on which a short read proves nothing.
    short_read_drains: bool,
    service: Service,
    /// The server ends the conversation after the first bytes that it is offered.
    says_bye: bool,
    /// Owed edges are told before each step, and not only when the connection is idle.
    eager: bool,
    /// The reactor drains before this step.
    drain_at: Option<usize>,
    write_limit: usize,
    read_budget: usize,
    queue_limit: usize,
}

impl Default for Case {
    fn default() -> Case {
        Case {
            short_read_drains: true,
            service: Service::Echo,
            says_bye: false,
            eager: false,
            drain_at: None,
            write_limit: 64 * 1024,
            read_budget: 16,
            queue_limit: usize::MAX,
        }
    }
}

/// What happened in a run, to be printed when it fails.
#[derive(Clone, Copy, Debug)]
#[expect(dead_code, reason = "read by the debug form alone")]
enum Happening {
    Edge(Readiness),
    Read(ReadOutcome, usize),
    Write(WriteOutcome, usize),
    Shut,
    Settled(Next),
}

/// Both ends of the scripted stream.
struct Wire {
    schedule: Schedule,
    short_read_drains: bool,
    /// The edges that the kernel owes.
    owes: Readiness,
    /// An edge told that the peer has ended its side.
    end_told: bool,
    /// An edge told of an urgent mark, and no read has answered `WouldBlock` since.
    mark_told: bool,
    /// A read gave 0 or an error.
    read_ended: bool,
    reset_on_read: bool,
    broken: bool,
    shut: bool,
    /// Bytes that the connection has read.
    received: usize,
    largest_read: usize,
    /// Bytes that the peer has got.
    delivered: usize,
    service: Service,
    history: Vec<Happening>,
}

impl Wire {
    fn new(case: &Case, schedule: Schedule) -> Wire {
        Wire {
            schedule,
            short_read_drains: case.short_read_drains,
            // What was there before the registration is told after it.
            owes: Readiness::READABLE,
            end_told: false,
            mark_told: false,
            read_ended: false,
            reset_on_read: false,
            broken: false,
            shut: false,
            received: 0,
            largest_read: 0,
            delivered: 0,
            service: case.service,
            history: Vec::new(),
        }
    }

    /// The poll: what the kernel tells now.
    fn poll(&mut self, is_idle: bool, eager: bool) -> Readiness {
        if !(is_idle || eager) || self.owes.is_empty() {
            assert!(!is_idle, "the connection waits, and the kernel owes it no edge");
            return Readiness::empty();
        }
        let both = Readiness::READABLE | Readiness::WRITABLE;
        let mut told = self.owes;
        if told == both {
            told = self.schedule.telling(&[both, Readiness::READABLE, Readiness::WRITABLE]);
        }
        self.owes = self.owes.difference(told);
        if told.contains(Readiness::READABLE) {
            let hints = [Readiness::empty(), Readiness::READ_CLOSED, Readiness::PRIORITY];
            // Urgent data is a matter of TCP.
            let hints = if self.short_read_drains { &hints[..] } else { &hints[..2] };
            let hint = self.schedule.telling(hints);
            self.end_told |= hint == Readiness::READ_CLOSED;
            self.mark_told |= hint == Readiness::PRIORITY;
            told |= hint;
        }
        self.history.push(Happening::Edge(told));
        told
    }

    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use ReadOutcome::{End, Full, Reset, Short, Shortage, WouldBlock};
        assert!(!self.read_ended, "read after the end");
        let branches = match (self.broken, self.end_told) {
            (true, _) => &[End, Short, Full, Shortage][..],
            (_, true) => &[End, Short, Full, Shortage, Reset],
            _ => &[End, Short, Full, Shortage, Reset, WouldBlock],
        };
        let outcome = self.schedule.outcome(branches, End);
        let count = match outcome {
            Short => buffer.len().div_ceil(2).min(5),
            Full => buffer.len(),
            _ => 0,
        };
        self.history.push(Happening::Read(outcome, count));
        for (ahead, byte) in buffer[..count].iter_mut().enumerate() {
            *byte = byte_at(0, self.received + ahead);
        }
        self.received += count;
        self.largest_read = self.largest_read.max(count);
        match outcome {
            Short | Full => {
                let was_drained = self.short_read_drains && count < buffer.len();
                if was_drained && !self.end_told && !self.mark_told && !self.broken {
                    self.owes |= Readiness::READABLE;
                }
                return Ok(count);
            }
            WouldBlock => {
                self.mark_told = false;
                self.owes |= Readiness::READABLE;
                return Err(io::ErrorKind::WouldBlock.into());
            }
            Shortage => return Err(shortage()),
            End | Reset => self.read_ended = true,
        }
        if outcome == Reset {
            self.reset_on_read = true;
            return Err(io::ErrorKind::ConnectionReset.into());
        }
        Ok(0)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        use WriteOutcome::{Reset, Short, Shortage, Whole, WouldBlock};
        assert!(!self.broken, "write after a write that failed");
        assert!(!self.shut, "write after the write side was shut");
        assert!(!bytes.is_empty(), "a write of nothing is a system call for nothing");
        let outcome = self.schedule.outcome(&[Whole, Short, WouldBlock, Shortage, Reset], Whole);
        let count = match outcome {
            Whole => bytes.len(),
            Short => bytes.len().div_ceil(2),
            WouldBlock | Shortage | Reset => 0,
        };
        self.history.push(Happening::Write(outcome, count));
        for (ahead, byte) in bytes[..count].iter().enumerate() {
            let source = self.service.source_of(self.delivered + ahead, self.received);
            assert!(source < self.received, "an answer to what was not asked yet");
            assert_eq!(*byte, byte_at(0, source), "byte {} of the answer", self.delivered + ahead);
        }
        self.delivered += count;
        match outcome {
            Whole | Short => Ok(count),
            WouldBlock => {
                self.owes |= Readiness::WRITABLE;
                Err(io::ErrorKind::WouldBlock.into())
            }
            Shortage => Err(shortage()),
            Reset => {
                // The error has taken the place of the one that a read would have given; no other edge follows.
                self.broken = true;
                self.owes = Readiness::empty();
                Err(io::ErrorKind::ConnectionReset.into())
            }
        }
    }
}

fn shortage() -> io::Error {
    io::Error::from_raw_os_error(nix::errno::Errno::ENOBUFS as i32)
}

struct ScriptedStream(Rc<RefCell<Wire>>);

impl Stream for ScriptedStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.borrow_mut().read(buffer)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.borrow_mut().write(bytes)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        let mut wire = self.0.borrow_mut();
        assert!(!wire.shut, "the write side was shut twice");
        wire.shut = true;
        wire.history.push(Happening::Shut);
        Ok(())
    }

    fn connect_progress(&mut self) -> io::Result<ConnectProgress> {
        unreachable!("it was accepted")
    }

    fn held_by_kernel(&self) -> u32 {
        unreachable!("no time runs out")
    }

    fn abort(&mut self) {
        unreachable!("nobody is given up")
    }

    fn short_read_drains(&self) -> bool {
        self.0.borrow().short_read_drains
    }
}

/// Serves the case's service and checks that it is offered every byte once, in order, and all that is not taken.
struct Server {
    wire: Rc<RefCell<Wire>>,
    service: Service,
    says_bye: bool,
    taken: usize,
    /// Bytes that the peer should get.
    answered: usize,
    finished: bool,
}

impl Server {
    fn check_offer(&self, bytes: &[u8]) {
        assert!(!self.finished, "called after it has ended its side");
        assert_eq!(self.taken + bytes.len(), self.wire.borrow().received, "offered is what was read and not taken");
        for (ahead, byte) in bytes.iter().enumerate() {
            assert_eq!(*byte, byte_at(0, self.taken + ahead), "byte {} of the offer", self.taken + ahead);
        }
    }
}

impl Handler for Server {
    type Session = ();

    fn open(&mut self, _: Tag, _: &mut Context<'_>) {}

    fn receive(&mut self, (): &mut (), bytes: &[u8], cx: &mut Context<'_>) -> usize {
        self.check_offer(bytes);
        let owed = cx.reply.owed();
        let taken = self.service.receive(bytes, cx);
        self.answered += cx.reply.owed() - owed;
        self.taken += taken;
        if self.says_bye {
            self.finished = true;
            cx.finish(CloseReason::Ended);
        }
        taken
    }

    fn end_of_stream(&mut self, (): &mut (), rest: &[u8], cx: &mut Context<'_>) {
        self.check_offer(rest);
        cx.reply.send(rest);
        self.taken += rest.len();
        self.answered += rest.len();
        self.finished = true;
        cx.finish(CloseReason::PeerClosed);
    }
}

/// Prints what led to a failure.
struct Report<'a> {
    case: &'a Case,
    wire: &'a Rc<RefCell<Wire>>,
}

impl Drop for Report<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("{:?}", self.case);
            if let Ok(wire) = self.wire.try_borrow() {
                eprintln!("{:?}", wire.history);
            }
        }
    }
}

/// Runs one schedule to the connection's end.
fn run(case: &Case, schedule: Schedule, shared: &mut Shared) -> Schedule {
    let wire = Rc::new(RefCell::new(Wire::new(case, schedule)));
    let report = Report { case, wire: &wire };
    let key = Key::new(0, 1);
    let mut server = Server {
        wire: wire.clone(),
        service: case.service,
        says_bye: case.says_bye,
        taken: 0,
        answered: 0,
        finished: false,
    };
    let mut connection = Connection::accepted(ScriptedStream(wire.clone()), None, Tag(0), None, Tick::START);
    shared.room = Room::new(case.queue_limit);
    // The reactor lists a newcomer.
    let mut is_listed = true;
    let mut end = None;
    for step in 0..STEPS {
        let drains_now = case.drain_at == Some(step);
        if drains_now {
            connection.drain();
        }
        let readiness = wire.borrow_mut().poll(!is_listed && !drains_now, case.eager);
        connection.latch(readiness);

        let mut outgoing = Outgoing::default();
        connection.receive(&mut Drive::new(key, Row::NONE, &mut server, shared, &mut outgoing));
        connection.send(key, Row::NONE, &outgoing, shared);
        let next = connection.settle(shared);
        shared.arena.reset();
        wire.borrow_mut().history.push(Happening::Settled(next));

        is_listed = match next {
            Next::Done(reason) => {
                end = Some(reason);
                break;
            }
            Next::More => true,
            Next::Idle => {
                let deadline = connection.deadline(&shared.limits);
                assert!(
                    connection.keeps_the_invariant(deadline, shared),
                    "idle, but ready for something that it wants"
                );
                false
            }
            // The list of the condition moves to the ready list when it clears.
            Next::Wait(Condition::QueueRoom) => shared.room.owed() <= (case.queue_limit - case.queue_limit / 3) / 4 * 3,
            Next::RetryAt(moment) => {
                let (_, is_due) = connection.deadline_passed(moment, shared);
                assert!(is_due, "there is something to try again");
                true
            }
            Next::Wait(Condition::ConnectionSlot) => panic!("a connection waits for room alone"),
        };
        let may_drop = server.finished || case.drain_at.is_some_and(|drain_at| drain_at <= step);
        check_memory(case, &connection, &server, &wire.borrow(), may_drop);
    }
    let reason = end.expect("the peer has ended, but the connection goes on");
    check_end(case, reason, &server, &wire.borrow());
    drop(report);
    drop((connection, server));
    Rc::into_inner(wire).expect("nobody else holds the wire").into_inner().schedule
}

/// What a connection owns is what it owes and keeps, and that is bounded. Once its side ends, it may drop what it
/// reads.
fn check_memory(
    case: &Case,
    connection: &Connection<ScriptedStream, ()>,
    server: &Server,
    wire: &Wire,
    may_drop: bool,
) {
    if wire.broken {
        return;
    }
    let owed = server.answered - wire.delivered;
    let kept = if may_drop && (server.finished || wire.shut) { 0 } else { wire.received - server.taken };
    if owed == 0 && kept == 0 {
        assert_eq!(connection.share(), Share::Nothing, "it owes and keeps nothing, but owns memory");
    }
    // A service looks at the limit before each answer, so the last may reach over it; an echo looks at it before each
    // read.
    let bound = match case.service {
        Service::Echo => wire.largest_read.max(case.write_limit),
        Service::Twice => case.write_limit + 6,
    };
    assert!(owed <= bound, "{owed} bytes are owed, {bound} at the most should be");
    assert!(may_drop || kept <= wire.largest_read, "{kept} bytes are kept, one read at the most should be");
}

fn check_end(case: &Case, reason: CloseReason, server: &Server, wire: &Wire) {
    assert!(wire.read_ended, "closed with unread input: the RST that follows destroys the answers on their way");
    if wire.broken || wire.reset_on_read {
        assert_eq!(reason, CloseReason::Reset);
        return;
    }
    assert_eq!(wire.delivered, server.answered, "closed before the peer has got what it is owed");
    let expected = if case.says_bye && server.finished && reason == CloseReason::Ended {
        CloseReason::Ended
    } else if reason == CloseReason::Drained && case.drain_at.is_some() {
        CloseReason::Drained
    } else {
        assert_eq!(server.answered, case.service.answer_length(wire.received), "the peer got all that it asked for");
        CloseReason::PeerClosed
    };
    assert_eq!(reason, expected);
}

/// Runs every schedule of one case; returns how many those are.
fn run_all(case: &Case) -> u32 {
    let limits = Limits {
        write_limit: case.write_limit,
        read_budget: case.read_budget,
        queue_limit: case.queue_limit,
        ..Limits::default()
    };
    let mut shared = Shared::new(limits);
    let mut schedule = Schedule::default();
    let mut runs = 0u32;
    loop {
        schedule = run(case, schedule, &mut shared);
        runs += 1;
        if !schedule.advance() {
            break;
        }
    }
    runs
}

/// Runs the cases on both kinds of streams and with both ways to tell edges.
fn run_on_every_stream(name: &str, cases: impl IntoIterator<Item = Case>) {
    let mut runs = 0;
    for case in cases {
        for (short_read_drains, eager) in [(true, true), (true, false), (false, true), (false, false)] {
            runs += run_all(&Case { short_read_drains, eager, ..case.clone() });
        }
    }
    assert!(runs > 10_000, "{runs} schedules are not all");
    measured("29", &format!("{name}: all {runs} schedules of {LENGTH} outcomes on one connection"));
}

#[test]
fn echo_under_every_schedule() {
    run_on_every_stream("echo", [Case::default()]);
}

#[test]
fn messages_with_incomplete_rests_under_every_schedule() {
    run_on_every_stream("incomplete messages", [Case { service: Service::Twice, ..Case::default() }]);
}

#[test]
fn several_reads_a_turn_under_every_schedule() {
    // A read costs 4 KiB of the budget at least, so that there are two.
    let case = Case { service: Service::Twice, read_budget: 4 * 1024 + 10, ..Case::default() };
    run_on_every_stream("several reads a turn", [case]);
}

#[test]
fn back_pressure_under_every_schedule() {
    let case = |service| Case { service, write_limit: 7, ..Case::default() };
    run_on_every_stream("back-pressure", [Service::Echo, Service::Twice].map(case));
}

#[test]
fn a_full_queue_under_every_schedule() {
    let case = |service| Case { service, queue_limit: 1, ..Case::default() };
    run_on_every_stream("a full queue", [Service::Echo, Service::Twice].map(case));
}

#[test]
fn a_server_that_says_bye_under_every_schedule() {
    run_on_every_stream("bye", [Case { says_bye: true, ..Case::default() }]);
}

#[test]
fn a_drain_at_any_moment_under_every_schedule() {
    let case = |step| Case { service: Service::Twice, drain_at: Some(step), write_limit: 7, ..Case::default() };
    run_on_every_stream("a drain", (0..4).map(case));
}
