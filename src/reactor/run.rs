//! Running the ready list: in groups, and each group in phases.
//!
//! A group is as many connections as its limit allows and the arena has room for. First all of its connections read; then each writes, and is
//! asked what should happen next. So the kernel's receive path and its send path each stay in the instruction cache, and what one read brought,
//! one write answers.

use log::Level;

use crate::os::kernel::Kernel;
use crate::os::key::Key;
use crate::reactor::Reactor;
use crate::reactor::drive::Drive;
use crate::reactor::handler::Handler;
use crate::reactor::log_limit::LogKind;
use crate::reactor::next::{Condition, Next};
use crate::reactor::reply::Outgoing;
use crate::reactor::source::Source;

/// A connection of the group that has read, and what it is about to send.
struct Member {
    key: Key,
    outgoing: Outgoing,
}

/// The connections of the group that have read.
#[derive(Default)]
pub(super) struct Group {
    members: Vec<Member>,
}

impl Group {
    fn enter(&mut self, key: Key) -> &mut Member {
        let last = self.members.len();
        self.members.push(Member { key, outgoing: Outgoing::default() });
        &mut self.members[last]
    }
}

impl<H: Handler, K: Kernel> Reactor<H, K> {
    /// Runs everybody on the ready list once.
    pub(super) fn run_ready(&mut self, handler: &mut H) {
        let list = self.ready.take();
        let mut waiting = list.iter();
        loop {
            self.receive_phase(&mut waiting, handler);
            self.send_phase(handler);
            self.shared.arena.reset();
            if waiting.len() == 0 {
                break;
            }
        }
        self.ready.recycle(list);
    }

    /// Lets sources read, until the group or the arena is full.
    fn receive_phase(&mut self, waiting: &mut std::slice::Iter<'_, Key>, handler: &mut H) {
        while self.group.members.len() < self.shared.limits.group.max(1) && self.shared.arena.has_room() {
            let Some(&key) = waiting.next() else { return };
            let Some(place) = self.sources.get_mut(key) else { continue };
            place.listed = false;
            self.shared.arena.begin_source();
            match &mut place.source {
                Source::Connection(connection) => {
                    let member = self.group.enter(key);
                    connection.receive(&mut Drive::new(key, handler, &mut self.shared, &mut member.outgoing));
                }
                Source::Datagram(datagram) => {
                    let next =
                        datagram.drive(&mut Drive::new(key, handler, &mut self.shared, &mut Outgoing::default()));
                    let deadline = datagram.deadline();
                    place.armed = self.timers.arm(key, place.armed, deadline);
                    self.act(key, next, handler);
                }
                Source::Acceptor(_) => {
                    let next = self.accept_batch(key);
                    self.act(key, next, handler);
                }
            }
        }
    }

    /// Lets every connection of the group write, and asks it what should happen next.
    fn send_phase(&mut self, handler: &mut H) {
        let mut members = std::mem::take(&mut self.group.members);
        for Member { key, outgoing } in &members {
            let key = *key;
            let Some(place) = self.sources.get_mut(key) else { continue };
            let Source::Connection(connection) = &mut place.source else { continue };
            connection.send(key, outgoing, &mut self.shared);
            if connection.is_at_rest() {
                log::trace!("{key} is at rest");
                continue;
            }
            let next = connection.settle(&mut self.shared);
            let deadline = connection.deadline(&self.shared.limits);
            place.armed = self.timers.arm(key, place.armed, deadline);
            self.act(key, next, handler);
        }
        members.clear();
        self.group.members = members;
        if self.shared.room.keeps_too_much() {
            self.make_room();
        }
        if !self.awaiting_room.is_empty() {
            self.wake_waiting();
        }
    }

    /// Does what a source decided.
    fn act(&mut self, key: Key, next: Next, handler: &mut H) {
        log::trace!("{key} is driven: {next:?}");
        match next {
            Next::Idle => {}
            Next::Done(reason) => self.close(key, reason, handler),
            Next::More => self.list(key),
            Next::RetryAt(moment) => {
                if let Some(place) = self.sources.get_mut(key) {
                    place.armed = self.timers.arm(key, place.armed, Some(moment));
                }
            }
            Next::Wait(condition) => self.wait_for(key, condition),
        }
    }

    fn wait_for(&mut self, key: Key, condition: Condition) {
        let Some(place) = self.sources.get_mut(key) else { return };
        if !place.waiting {
            place.waiting = true;
            log::trace!("{key} waits for {condition:?}, with others");
            match condition {
                Condition::ConnectionSlot => drop(self.awaiting_slot.insert(key)),
                Condition::QueueRoom => {
                    self.awaiting_room.insert(key);
                    let owed = self.shared.room.owed();
                    self.shared.log_limit.log(
                        LogKind::QueueLimit,
                        Level::Warn,
                        self.shared.now,
                        format_args!(
                            "{owed} bytes are owed to clients that do not read: they are not read from until they do"
                        ),
                    );
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::io;
    use std::net::SocketAddr;
    use std::time::Duration;

    use crate::os::address::Address;
    use crate::os::aligned_bytes::AlignedBytes;
    use crate::os::clock::Tick;
    use crate::os::datagram_socket::DatagramSocket;
    use crate::os::key::Key;
    use crate::os::listener::Listener;
    use crate::os::readiness::Readiness;
    use crate::os::received::{Queue, Received};
    use crate::os::route::Route;
    use crate::os::stream::{ConnectProgress, Stream};
    use crate::reactor::handler::{Context, Handler};
    use crate::reactor::limits::Limits;
    use crate::reactor::{Kernel, Reactor};

    /// A stream whose peer takes everything.
    enum Abundant {
        /// There is more to read than any read takes.
        Endless,
        /// There are so many bytes to read, once.
        Some(usize),
        Nothing,
    }

    impl Stream for Abundant {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match std::mem::replace(self, Abundant::Nothing) {
                Abundant::Endless => {
                    *self = Abundant::Endless;
                    Ok(buffer.len())
                }
                Abundant::Some(count) => {
                    assert!(begins_on_a_line(buffer));
                    Ok(count)
                }
                Abundant::Nothing => Err(io::ErrorKind::WouldBlock.into()),
            }
        }

        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            Ok(bytes.len())
        }

        fn shutdown_write(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn connect_progress(&mut self) -> io::Result<ConnectProgress> {
            Ok(ConnectProgress::Pending)
        }

        fn held_by_kernel(&self) -> u32 {
            0
        }

        fn abandon(&mut self) {}

        fn short_read_drains(&self) -> bool {
            false
        }
    }

    fn begins_on_a_line(buffer: &[u8]) -> bool {
        buffer.as_ptr().addr().is_multiple_of(AlignedBytes::LINE)
    }

    /// A socket with datagrams, which insists on room for the longest one.
    struct Measuring;

    impl DatagramSocket for Measuring {
        fn receive(&mut self, buffer: &mut [u8]) -> io::Result<(usize, Route)> {
            assert!(buffer.len() > 65_527, "{} bytes are no room for the longest datagram", buffer.len());
            assert!(begins_on_a_line(buffer));
            Ok((1, Route::Connected))
        }

        fn receive_batch(&mut self, buffer: &mut [u8], received: &mut Vec<Received>) -> io::Result<Queue> {
            let (length, route) = self.receive(buffer)?;
            received.push(Received { range: 0..length, route, is_cut: false });
            Ok(Queue::Empty)
        }

        fn own(&self) -> Option<Address> {
            None
        }

        fn send(&mut self, _: &[u8], _: &Route) -> io::Result<()> {
            Ok(())
        }

        fn send_batch<'a, B>(&mut self, batch: B) -> io::Result<usize>
        where
            B: ExactSizeIterator<Item = (&'a [u8], &'a Route)>,
        {
            Ok(batch.len())
        }
    }

    struct NoListener(Infallible);

    impl Listener for NoListener {
        type Stream = Abundant;

        fn accept(&mut self) -> io::Result<(Abundant, Option<SocketAddr>)> {
            match self.0 {}
        }
    }

    /// Tells of a datagram at the first poll.
    #[derive(Default)]
    struct Telling(Vec<(Key, Readiness)>);

    impl Kernel for Telling {
        type Stream = Abundant;
        type Listener = NoListener;
        type Datagram = Measuring;

        fn now(&mut self) -> Tick {
            Tick::START
        }

        fn poll(&mut self, _: Option<Duration>, events: &mut Vec<(Key, Readiness)>) -> io::Result<()> {
            events.append(&mut self.0);
            Ok(())
        }

        fn add_stream(&mut self, _: &mut Abundant, _: Key) -> io::Result<()> {
            Ok(())
        }

        fn add_listener(&mut self, _: &mut NoListener, _: Key) -> io::Result<()> {
            Ok(())
        }

        fn add_datagram(&mut self, _: &mut Measuring, key: Key) -> io::Result<()> {
            self.0.push((key, Readiness::READABLE));
            Ok(())
        }

        fn connect(&mut self, _: &Address, _: Option<SocketAddr>) -> io::Result<Abundant> {
            Ok(Abundant::Endless)
        }

        fn connect_datagram(&mut self, _: &Address, _: Option<SocketAddr>) -> io::Result<Measuring> {
            Ok(Measuring)
        }
    }

    #[derive(Default)]
    struct Echo {
        datagrams: usize,
    }

    impl Handler for Echo {
        type Session = ();

        fn open(&mut self, _: usize, _: &mut Context<'_>) {}

        fn receive(&mut self, (): &mut (), bytes: &[u8], cx: &mut Context<'_>) -> usize {
            cx.reply.echo(0..bytes.len());
            bytes.len()
        }

        fn datagram(&mut self, (): &mut (), _: &[u8], _: &mut Context<'_>) {
            self.datagrams += 1;
        }
    }

    #[test]
    fn a_datagram_finds_room_behind_the_largest_reads() {
        for streams in 0..5 {
            let mut reactor = Reactor::with_kernel(Telling::default(), Limits::default());
            for _ in 0..streams {
                reactor.attach(Abundant::Endless, ()).unwrap();
            }
            reactor.receive(Measuring, ()).unwrap();
            let mut echo = Echo::default();
            reactor.turn(&mut echo).unwrap();
            assert!(echo.datagrams > 0);
        }
    }

    #[test]
    fn whoever_reads_behind_another_in_a_group_begins_on_a_line() {
        let mut reactor = Reactor::with_kernel(Telling::default(), Limits::default());
        for length in [1, 63, 64, 65, 4_000] {
            reactor.attach(Abundant::Some(length), ()).unwrap();
        }
        reactor.receive(Measuring, ()).unwrap();
        let mut echo = Echo::default();
        reactor.turn(&mut echo).unwrap();
        assert!(echo.datagrams > 0, "the datagram socket came last");
    }
}
