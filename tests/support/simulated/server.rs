//! The handler under the simulated reactor: it uses every part of its interface, and checks what it is told.

use std::time::Duration;

use cooee::os::address::{Address, Peer};
use cooee::os::key::Key;
use cooee::reactor::close_reason::CloseReason;
use cooee::reactor::handler::{Context, Handler, Orders, Stop};
use cooee::reactor::tag::Tag;

use super::kernel::{SharedWorld, address_of, number_of};
use super::link::{FAREWELL, Role};
use super::trace::Happening;
use crate::support::service::{Service, byte_at};
use crate::support::splitmix::Splitmix;

/// The tag of connections that the handler has asked for.
pub const CONNECTED: Tag = Tag(1000);

/// The tag of datagram sockets that it has asked for, and how many it asks for.
const MAILBOX: Tag = Tag(1001);
const MAILBOXES: usize = 4;

/// What the handler remembers of a connection, or of a datagram socket.
pub enum Session {
    Link(LinkSession),
    Mailbox(usize),
}

pub struct LinkSession {
    link: usize,
    role: Role,
    /// It wants to be woken as soon as it is called.
    wakes_itself: bool,
}

/// The handler.
pub struct Server {
    world: SharedWorld,
    rng: Splitmix,
    /// Connections that were opened lately, to be woken for no reason.
    keys: Vec<Key>,
    pub connects_left: usize,
    /// Datagram sockets that it was given; those behind them it has asked for.
    pub mailboxes_given: usize,
    mailboxes_left: usize,
    /// Datagram sockets that it asked for and has ended.
    pub mailboxes_ended: usize,
    pub sessions: usize,
    pub faults: u64,
    /// It stops the reactor at once, as soon as it is called.
    pub aborts: bool,
}

impl Server {
    /// A handler that opens at most `connects` connections itself.
    pub fn new(world: SharedWorld, rng: Splitmix, connects: usize) -> Server {
        Server {
            world,
            rng,
            keys: Vec::new(),
            connects_left: connects,
            mailboxes_given: 0,
            mailboxes_left: MAILBOXES,
            mailboxes_ended: 0,
            sessions: 0,
            faults: 0,
            aborts: false,
        }
    }

    /// Opens another connection, if some are left.
    pub fn order_connect(&mut self, orders: &mut Orders) {
        if self.connects_left > 0 {
            self.connects_left -= 1;
            self.world.borrow_mut().connect_ordered();
            orders.connect(Address::Ip(address_of(self.rng.between(1, 500))), CONNECTED);
        }
    }

    fn wake(&mut self, key: Key, orders: &mut Orders) {
        self.world.borrow_mut().wake_ordered(key);
        orders.wake(key);
    }

    /// Now and then somebody is woken who does not expect it, or has gone already; and at the end everything is
    /// stopped.
    fn give_orders(&mut self, orders: &mut Orders) {
        if self.aborts {
            orders.stop(Stop::AtOnce);
        }
        if self.mailboxes_left > 0 && self.rng.below(200) == 0 {
            self.mailboxes_left -= 1;
            orders.connect_datagram(None, Address::Ip(address_of(1)), MAILBOX);
        }
        if self.rng.percent(2) && !self.keys.is_empty() {
            let key = self.rng.below(self.keys.len());
            self.wake(self.keys[key], orders);
        }
    }

    /// Does something and counts what it answered.
    fn answer<R>(
        &mut self,
        link: usize,
        cx: &mut Context<'_>,
        ask: impl FnOnce(&mut Server, &mut Context<'_>) -> R,
    ) -> R {
        let owed = cx.reply.owed();
        let result = ask(self, cx);
        self.world.borrow_mut().links[link].answered += cx.reply.owed() - owed;
        result
    }

    /// Ends the conversation.
    fn finish(&mut self, link: usize, reason: CloseReason, cx: &mut Context<'_>) {
        let mut world = self.world.borrow_mut();
        let now = world.now();
        world.links[link].finished_at = Some(now);
        world.trace.note(Happening::Finished { link });
        cx.finish(reason);
    }

    fn half_close(&mut self, link: usize, cx: &mut Context<'_>) {
        self.world.borrow_mut().links[link].half_closed = true;
        cx.half_close();
    }

    fn pause(&mut self, link: usize, cx: &mut Context<'_>) {
        let mut world = self.world.borrow_mut();
        world.trace.note(Happening::Paused { link });
        world.links[link].paused = true;
        cx.pause();
    }

    /// Asks for a tick within so many microseconds.
    fn order_tick(&mut self, link: usize, most: usize, cx: &mut Context<'_>) {
        let wait = self.rng.below(most);
        self.world.borrow_mut().tick_ordered(link, wait);
        cx.wake_after(Duration::from_micros(wait as u64));
    }

    /// Sends what it has to say unasked, until the peer is owed enough: more when there is room, or when it likes.
    fn send_unasked(&mut self, link: usize, total: usize, cx: &mut Context<'_>) {
        let mut sent = self.world.borrow().links[link].answered;
        while sent < total && !cx.reply.wait_if_full() {
            let count = self.rng.between(1, 64).min(total - sent);
            let bytes: Vec<u8> = (sent..sent + count).map(|position| byte_at(link, position)).collect();
            self.answer(link, cx, |_, cx| cx.reply.send(&bytes));
            sent += count;
            if self.rng.percent(10) && sent < total {
                self.order_tick(link, 3_000, cx);
                return;
            }
        }
    }

    fn go_on(&mut self, session: &mut LinkSession, cx: &mut Context<'_>) {
        let link = session.link;
        let answered = self.world.borrow().links[link].answered;
        match session.role {
            Role::Source(total) if answered < total => self.send_unasked(link, total, cx),
            Role::Client(total) if answered < total => self.send_unasked(link, total, cx),
            _ => {}
        }
        let (answered, half_closed) = {
            let world = self.world.borrow();
            (world.links[link].answered, world.links[link].half_closed)
        };
        match session.role {
            Role::Source(total) if answered == total => self.finish(link, CloseReason::Ended, cx),
            // Half of the clients tell that they have nothing more to ask, the others wait for the last answer first.
            Role::Client(total) if answered == total && link.is_multiple_of(2) && !half_closed => {
                self.half_close(link, cx)
            }
            _ => {}
        }
    }

    /// The handler is called only while the conversation goes on, and offered all that it has not taken, in order.
    fn check_call(&self, link: usize, offered: Option<&[u8]>) {
        let world = self.world.borrow();
        let link = &world.links[link];
        assert!(
            link.opened_at.is_some() && link.reason.is_none(),
            "link {}: called although it is not open",
            link.name
        );
        assert!(link.finished_at.is_none(), "link {}: called after it has ended its side", link.name);
        assert!(link.closed_at.is_none(), "link {}: called after its stream was closed", link.name);
        let Some(bytes) = offered else { return };
        assert!(!link.paused || link.broken, "link {}: offered bytes while it has paused", link.name);
        assert_eq!(
            link.taken + bytes.len(),
            link.received,
            "link {}: offered is what was read and not taken",
            link.name
        );
        let is_right = bytes.iter().enumerate().all(|(at, byte)| *byte == byte_at(link.name, link.taken + at));
        assert!(is_right, "link {}: other bytes were offered than were read", link.name);
    }

    /// Takes what it likes and pauses when it likes.
    fn receive_fickly(&mut self, session: &mut LinkSession, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let link = session.link;
        let taken = if self.rng.percent(50) { bytes.len() } else { self.rng.below(bytes.len() + 1) };
        cx.reply.echo(0..taken);
        match self.rng.below(10) {
            0 => {
                self.pause(link, cx);
                let key = cx.key;
                self.wake(key, cx.orders);
            }
            1 => {
                self.pause(link, cx);
                session.wakes_itself = true;
                self.order_tick(link, 3_000, cx);
            }
            _ => {}
        }
        taken
    }
}

impl Handler for Server {
    type Session = Session;

    fn open(&mut self, tag: Tag, cx: &mut Context<'_>) -> Session {
        self.sessions += 1;
        self.give_orders(cx.orders);
        if tag == MAILBOX {
            let mailbox = self.world.borrow_mut().newborn.pop_front().expect("it was opened");
            return Session::Mailbox(mailbox);
        }
        let Peer::Ip(&address) = cx.peer else { panic!("every peer has an address") };
        let link = number_of(address);
        let role = {
            let mut world = self.world.borrow_mut();
            world.trace.note(Happening::Opened { link });
            let now = world.now();
            let is_late = tag == CONNECTED && world.links_at_drain.is_some_and(|count| link >= count);
            assert!(!is_late, "link {link}: a reactor that drains opens no connections");
            assert!(world.links[link].opened_at.replace(now).is_none(), "link {link}: opened twice");
            world.links[link].role
        };
        assert_eq!(tag == CONNECTED, matches!(role, Role::Client(_)));
        if self.keys.len() == 8 {
            self.keys.remove(0);
        }
        self.keys.push(cx.key);
        let mut session = LinkSession { link, role, wakes_itself: false };
        if self.rng.percent(70) {
            self.go_on(&mut session, cx);
        } else {
            // It lets the peer wait for its first word.
            self.order_tick(link, 60_000, cx);
        }
        Session::Link(session)
    }

    fn receive(&mut self, session: &mut Session, bytes: &[u8], cx: &mut Context<'_>) -> usize {
        let Session::Link(session) = session else { panic!("a datagram socket has no stream") };
        let link = session.link;
        self.give_orders(cx.orders);
        self.check_call(link, Some(bytes));
        let before = self.world.borrow().links[link].taken;
        let taken = match session.role {
            Role::Echo => self.answer(link, cx, |_, cx| Service::Echo.receive(bytes, cx)),
            Role::Twice => self.answer(link, cx, |_, cx| Service::Twice.receive(bytes, cx)),
            Role::Fickle => self.answer(link, cx, |server, cx| server.receive_fickly(session, bytes, cx)),
            Role::Bye(count) | Role::HalfClose(count) => {
                let echoed = bytes.len().min(count.saturating_sub(before));
                if echoed > 0 {
                    self.answer(link, cx, |_, cx| cx.reply.echo(0..echoed));
                }
                if before + bytes.len() >= count {
                    let half_closed = self.world.borrow().links[link].half_closed;
                    match session.role {
                        Role::Bye(_) => self.finish(link, CloseReason::Ended, cx),
                        _ if !half_closed => self.half_close(link, cx),
                        _ => {}
                    }
                }
                bytes.len()
            }
            Role::Source(_) => bytes.len(),
            Role::Client(total) => {
                if before + bytes.len() == total && !self.world.borrow().links[link].half_closed {
                    self.finish(link, CloseReason::Ended, cx);
                }
                bytes.len()
            }
        };
        self.world.borrow_mut().links[link].taken += taken;
        taken
    }

    fn end_of_stream(&mut self, session: &mut Session, rest: &[u8], cx: &mut Context<'_>) {
        let Session::Link(session) = session else { panic!("a datagram socket has no end") };
        let link = session.link;
        self.check_call(link, Some(rest));
        match session.role {
            Role::Twice | Role::Fickle if !rest.is_empty() => self.answer(link, cx, |_, cx| cx.reply.send(rest)),
            _ => {}
        }
        self.world.borrow_mut().links[link].taken += rest.len();
        Server::finish(self, link, CloseReason::PeerClosed, cx);
    }

    fn datagram(&mut self, session: &mut Session, bytes: &[u8], cx: &mut Context<'_>) {
        let Session::Mailbox(mailbox) = session else { panic!("a stream gives no datagrams") };
        {
            let mut world = self.world.borrow_mut();
            let mailbox = &mut world.mailboxes[*mailbox];
            mailbox.told += 1;
            mailbox.told_bytes += bytes.len();
            let letter = mailbox.received.pop_front().expect("it was received");
            assert_eq!(bytes.len(), letter.length, "datagrams are told in order");
            mailbox.unanswered.push_back(letter);
        }
        // Half is echoed and half composed: one datagram leaves all the same.
        let half = if self.rng.percent(30) { bytes.len() / 2 } else { bytes.len() };
        cx.reply.echo(0..half);
        cx.reply.send(&bytes[half..]);
        // Those that it did not ask for stay.
        if self.rng.percent(1) && *mailbox >= self.mailboxes_given {
            self.mailboxes_ended += 1;
            cx.finish(CloseReason::Ended);
        }
    }

    fn datagram_error(&mut self, session: &mut Session, _: CloseReason, _: &mut Context<'_>) {
        assert!(matches!(session, Session::Mailbox(_)), "a stream has no faults");
        self.faults += 1;
    }

    fn tick(&mut self, session: &mut Session, cx: &mut Context<'_>) {
        let Session::Link(session) = session else { return };
        let (link, key) = (session.link, cx.key);
        self.give_orders(cx.orders);
        self.check_call(link, None);
        {
            let mut world = self.world.borrow_mut();
            world.trace.note(Happening::Ticked { link });
            if world.takes_wake(key, link) {
                world.links[link].paused = false;
            }
        }
        if std::mem::take(&mut session.wakes_itself) {
            self.wake(key, cx.orders);
        }
        self.go_on(session, cx);
    }

    fn refuse(&mut self, _: Tag, reason: CloseReason, cx: &mut Context<'_>) {
        self.give_orders(cx.orders);
        let Peer::Ip(&address) = cx.peer else { panic!("every peer has an address") };
        let link = number_of(address);
        {
            let mut world = self.world.borrow_mut();
            world.trace.note(Happening::Refused { link });
            let now = world.now();
            world.links[link].refused_at = Some(now);
            let at_limit = reason == CloseReason::Refused;
            assert!(at_limit || world.limits.max_connections_per_source.is_some(), "its source has no limit");
        }
        self.answer(link, cx, |_, cx| cx.reply.send(FAREWELL));
    }

    fn close(&mut self, session: Session, reason: CloseReason, orders: &mut Orders) {
        self.sessions -= 1;
        self.give_orders(orders);
        if let Session::Link(session) = session {
            self.world.borrow_mut().check_close(session.link, reason);
            if matches!(session.role, Role::Client(_)) || self.rng.percent(5) {
                self.order_connect(orders);
            }
        }
    }

    fn connect_failed(&mut self, tag: Tag, reason: CloseReason, orders: &mut Orders) {
        assert!(tag == CONNECTED || tag == MAILBOX);
        let is_likely = matches!(
            reason,
            CloseReason::ConnectRefused
                | CloseReason::ConnectTimeout
                | CloseReason::SelfConnect
                | CloseReason::NoDescriptor
                | CloseReason::Drained
                | CloseReason::DrainTimeout
                | CloseReason::Aborted
                | CloseReason::Failed(_)
        );
        assert!(is_likely, "a connect failed: {reason}");
        // To try again at once while the reactor drains would be to spin.
        if tag == CONNECTED && reason != CloseReason::Drained && self.rng.percent(70) {
            self.order_connect(orders);
        }
    }
}
