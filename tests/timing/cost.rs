//! Goal: a message costs no memory, and an idle connection owns nothing but its slab entry.
//!
//! Method: a reactor in this process serves clients of this process, and an allocator that counts is asked what each
//! turn took. System calls a message are counted by `strace` on the built server, where that tool is there.

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use crate::support::{Client, PATIENCE, Server, alone, ask, can_trace, children, receive, udp_client};
use cooee::measure::load;
use cooee::measure::load::options::{End, Options};
use cooee::measure::load::outcome::Outcome;
use cooee::os::bind::{SocketOptions, listen_tcp};
use cooee::reactor::Reactor;
use cooee::reactor::handler::{Context, Handler};
use cooee::reactor::limits::Limits;
use cooee::reactor::tag::Tag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

/// Echoes what it is offered, and asks for a turn now and then, so that no turn waits for ever.
struct Echo;

impl Handler for Echo {
    type Session = ();

    fn open(&mut self, _tag: Tag, _cx: &mut Context<'_>) {}

    fn receive(&mut self, _session: &mut (), bytes: &[u8], cx: &mut Context<'_>) -> usize {
        cx.counts().messages_in += 1;
        cx.reply.echo(0..bytes.len());
        bytes.len()
    }
}

fn start() -> (Reactor<Echo>, SocketAddr) {
    let limits = Limits { max_connections: 10_000, ..Limits::default() };
    let mut reactor = Reactor::new(limits).expect("a selector");
    let (listener, address) = listen_tcp(([127, 0, 0, 1], 0).into(), &SocketOptions::default()).expect("a free port");
    reactor.listen(listener, Tag(0)).expect("a registered listener");
    (reactor, address)
}

/// Turns until `count` messages have arrived in all.
fn turn_until(reactor: &mut Reactor<Echo>, count: u64) {
    while reactor.metrics().total().messages_in < count {
        reactor.turn(&mut Echo).expect("a turn");
    }
}

fn send_and_receive(reactor: &mut Reactor<Echo>, client: &mut Client) {
    let before = reactor.metrics().total().messages_in;
    client.send(&[7; 64]);
    turn_until(reactor, before + 1);
    let mut reply = [0; 64];
    client.stream.read_exact(&mut reply).expect("the echo");
    assert_eq!(reply, [7; 64]);
}

#[test]
fn a_message_in_echo_mode_allocates_nothing() {
    let _alone = alone();
    let (mut reactor, address) = start();
    let mut client = Client::connect(address);
    // The first round makes the lists that later ones use again.
    for _ in 0..10 {
        send_and_receive(&mut reactor, &mut client);
    }
    let cost = allocation_counter::measure(|| {
        for _ in 0..1_000 {
            send_and_receive(&mut reactor, &mut client);
        }
    });
    assert_eq!(
        cost.count_total, 0,
        "1,000 messages made {} allocations of {} bytes",
        cost.count_total, cost.bytes_total
    );
}

#[test]
fn an_idle_connection_owns_its_slab_entry_and_its_deadline() {
    let _alone = alone();
    const CONNECTIONS: usize = 1_000;
    let (mut reactor, address) = start();
    let mut clients = Vec::with_capacity(CONNECTIONS);
    let cost = allocation_counter::measure(|| {
        for _ in 0..CONNECTIONS {
            let mut client = Client::connect(address);
            send_and_receive(&mut reactor, &mut client);
            clients.push(client);
        }
    });
    let each = cost.bytes_current / CONNECTIONS as i64;
    // A slab doubles, so up to half of it may be spare.
    assert!(each < 400, "{each} bytes of heap a connection");
    let again = allocation_counter::measure(|| {
        for client in &mut clients {
            send_and_receive(&mut reactor, client);
        }
    });
    assert_eq!(again.bytes_current, 0, "connections that were busy again own more than before");
}

/// A run of load over one connection that measures so many messages.
fn measure_load(address: SocketAddr, messages: u64) -> Outcome {
    let options = Options {
        end: End::Messages(messages),
        warmup: Duration::ZERO,
        timeout: PATIENCE,
        connect_timeout: PATIENCE,
        ..Options::new(vec![address.into()])
    };
    load::run(options, None, &mut |_| {}).expect("a run")
}

#[test]
fn recording_a_latency_allocates_nothing() {
    let _alone = alone();
    const MESSAGES: u64 = 20_000;
    let server = Server::start(&["tcp://127.0.0.1:0"]);
    let count = |messages| {
        let mut measured = 0;
        let cost = allocation_counter::measure(|| measured = measure_load(server.address(), messages).messages);
        assert_eq!(measured, messages);
        cost.count_total
    };
    let few = count(1_000);
    let many = count(1_000 + MESSAGES);
    // What a run does a few times a second may allocate: its course, its progress.
    assert!(many < few + MESSAGES / 20, "{MESSAGES} more messages made {} more allocations", many.saturating_sub(few));
}

/// The tracer's child is the server.
fn traced(server: &Server) -> Pid {
    let &[child] = children(server.id()).as_slice() else { panic!("strace has one child") };
    Pid::from_raw(child as i32)
}

/// How often the built server at `url` makes each system call while `serve` is done to it; none where there is no
/// `strace`.
fn system_calls(url: &str, serve: impl FnOnce(&Server)) -> Option<BTreeMap<String, u64>> {
    if !can_trace() {
        return None;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let counts = folder.path().join("counts");
    let mut command = Command::new("strace");
    command.args(["-c", "-f", "-o"]).arg(&counts);
    command.args([env!("CARGO_BIN_EXE_cooee"), "serve", url]).env_remove("RUST_LOG");
    let mut server = Server::start_command(&mut command, 1);
    serve(&server);
    // The tracer ends with the server.
    kill(traced(&server), Signal::SIGTERM).expect("our own child");
    assert_eq!(server.exit_code(), Some(0), "strace ends with the server:\n{}", server.log());

    let report = fs::read_to_string(&counts).expect("strace wrote its counts");
    let rows = report.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let calls = rows.filter_map(|row| Some(((*row.last()?).to_owned(), row.get(3)?.parse().ok()?)));
    Some(calls.filter(|(name, _)| name != "total").collect())
}

/// 2 calls a message, read and write, and a share of one `epoll_wait`.
#[test]
fn fifty_clients_cost_two_system_calls_a_message() {
    let _alone = alone();
    const CLIENTS: usize = 50;
    const ROUNDS: usize = 40;
    let counts = system_calls("tcp://127.0.0.1:0", |server| {
        let mut clients: Vec<Client> = (0..CLIENTS).map(|_| server.connect()).collect();
        for _ in 0..ROUNDS {
            for client in &mut clients {
                client.send(&[7; 64]);
            }
            for client in &mut clients {
                client.expect(&[7; 64]);
            }
        }
    });
    let Some(counts) = counts else { return };
    let calls = |name: &str| counts.get(name).copied().unwrap_or(0);
    let messages = (CLIENTS * ROUNDS) as f64;
    // Opening and closing are not part of a message: one read of 0 a connection is.
    let reads = calls("recvfrom") + calls("read");
    let writes = calls("sendto") + calls("write");
    let waits = calls("epoll_wait");
    assert!(reads + writes >= 2 * messages as u64, "strace missed the messages: {counts:?}");
    // A slow tracer lets few messages gather in a batch, so waits are told apart: they have a bound of one a message.
    let per_message = (reads + writes - CLIENTS as u64) as f64 / messages;
    assert!(per_message <= 2.1, "{per_message} reads and writes a message: {counts:?}");
    assert!(waits as f64 <= messages, "{waits} waits for {messages} messages: {counts:?}");
}

/// What a connection costs that says one thing and goes: no options, no addresses that `accept4` has told already, no
/// shutdown where closing does it, nothing to unregister.
#[test]
fn a_newcomer_costs_what_it_must() {
    let _alone = alone();
    const NEWCOMERS: u64 = 100;
    let serve = |newcomers: u64| {
        system_calls("tcp://127.0.0.1:0", |server| {
            for _ in 0..newcomers {
                server.connect().echo(&[7; 64]);
            }
        })
    };
    let (Some(few), Some(many)) = (serve(10), serve(10 + NEWCOMERS)) else { return };
    let mut most = BTreeMap::from([
        // The second one finds that nobody waits any more.
        ("accept4", 2),
        ("epoll_ctl", 1),
        // For it, for the edge with which registering begins, for its message, for its end.
        ("epoll_wait", 4),
        ("recvfrom", 2),
        ("sendto", 1),
        ("close", 1),
    ]);
    if cfg!(debug_assertions) {
        // Before it closes a descriptor the standard library then looks whether that is open.
        most.insert("fcntl", 1);
    }
    let mut others = 0;
    for (name, count) in &many {
        let more = count.saturating_sub(few.get(name).copied().unwrap_or(0));
        match most.get(name.as_str()) {
            Some(most) => assert!(more <= most * NEWCOMERS, "{more} more of {name}: {few:?}, then {many:?}"),
            None => others += more,
        }
    }
    // The process asks for memory now and then.
    assert!(others < NEWCOMERS / 10, "{others} others: {few:?}, then {many:?}");
}

/// Datagrams that wait together are received and answered eight by eight; one that comes alone takes no more than a
/// receive, a send and the receive that finds nothing left.
#[cfg(target_os = "linux")]
#[test]
fn waiting_datagrams_share_their_system_calls() {
    let _alone = alone();
    const WAITING: usize = 64;
    const ROUNDS: usize = 10;
    let counts = system_calls("udp://127.0.0.1:0", |server| {
        let (client, address) = (udp_client(), server.address_of("udp"));
        for _ in 0..ROUNDS {
            kill(traced(server), Signal::SIGSTOP).expect("our own child");
            for number in 0..WAITING {
                client.send_to(&[number as u8; 64], address).expect("loopback takes it");
            }
            kill(traced(server), Signal::SIGCONT).expect("our own child");
            for number in 0..WAITING {
                assert_eq!(receive(&client).0, [number as u8; 64]);
            }
        }
        for _ in 0..ROUNDS {
            assert_eq!(ask(&client, address, b"alone"), b"alone");
        }
    });
    let Some(counts) = counts else { return };
    let calls = |name: &str| counts.get(name).copied().unwrap_or(0);
    let batched = calls("recvmmsg") + calls("sendmmsg");
    let single = calls("recvfrom") + calls("sendto");
    // A burst of 64: 8 receives and 8 sends, and one more of each where a turn begins; before, 128.
    assert!(batched as usize >= ROUNDS * 8, "datagrams were not taken together: {counts:?}");
    assert!(batched as usize + single as usize <= ROUNDS * (2 * (WAITING / 8) + 8 + 4), "too many calls: {counts:?}");
}
