//! Goal: who does not read takes no room from those who are in the middle of a message; where that room is full too,
//! those go whose messages have cost the most, and not the newcomer who will be done soon; and a message that is
//! allowed fits, where its client is the only one.
//!
//! Method: a small `--queue-limit`, which is filled by clients that never read, or by messages that are begun and not
//! finished. Beside them others send messages in two pieces, with a round trip of a witness in between, so that the
//! server has certainly read the first.

use std::io::{ErrorKind, Write};
use std::thread;
use std::time::Duration;

use crate::support::{Client, Server, cooee, run, wait_until};

/// Two thirds of it are for what is owed, and a third is for incomplete messages.
const QUEUE_LIMIT: usize = 2 * 1024 * 1024;

/// What it logs when somebody has to go. (The end itself comes when the client has read its FIN.)
const CLOSED: &str = "is closed: its message is incomplete";

/// A line of so many bytes, with its end.
fn line(length: usize) -> Vec<u8> {
    let mut line = vec![b'm'; length - 1];
    line.push(b'\n');
    line
}

/// A server of lines.
fn start() -> Server {
    Server::start(&["-v", &format!("--queue-limit={QUEUE_LIMIT}"), "--framing=line", "tcp://127.0.0.1:0?sndbuf=8KiB"])
}

/// Sends a message in two pieces, the second after `meanwhile`, and reads it back.
fn send_in_two(client: &mut Client, witness: &mut Client, message: &[u8], meanwhile: impl FnOnce()) {
    let (first, second) = message.split_at(message.len() / 2);
    client.send(first);
    client.wait_arrived();
    witness.echo(b"a round trip\n");
    meanwhile();
    client.send(second);
    client.expect(message);
}

#[test]
fn readers_that_never_read_leave_the_room_of_messages_alone() {
    let server = start();
    let mut stuck: Vec<Client> = (0..60).map(|_| Client::connect_with_small_buffer(server.address())).collect();
    let lines = line(1000).repeat(4);
    for client in &mut stuck {
        client.stream.set_nonblocking(true).unwrap();
    }
    let mut taken = 0;
    wait_until("the room of what is owed is full", || {
        for client in &mut stuck {
            match client.stream.write(&lines) {
                Ok(count) => taken += count,
                Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
            }
        }
        server.logged("bytes are owed to clients that do not read") > 0
    });
    assert!(taken > QUEUE_LIMIT / 2, "{taken} bytes fill it");
    let mut witness = server.connect();
    for number in 0..20 {
        let mut client = server.connect();
        send_in_two(&mut client, &mut witness, &line(60_000 + number), || {});
    }
    assert_eq!(server.logged(CLOSED), 0, "{}", server.log());
}

#[test]
fn a_message_that_is_finished_soon_outlives_a_flood_of_halves() {
    let server = start();
    let mut witness = server.connect();
    let half = [b'h'; 60_000];
    let mut halves: Vec<Client> = Vec::new();
    for _ in 0..20 {
        let mut client = server.connect();
        send_in_two(&mut client, &mut witness, &line(60_000), || {
            // Twelve of them fill the third that is for messages. Those of two rounds before have cost more than the
            // client.
            for _ in 0..6 {
                let mut attacker = server.connect();
                attacker.send(&half);
                halves.push(attacker);
            }
        });
    }
    server.wait_log(CLOSED);
    // The first have cost the most.
    assert_eq!(halves[0].rest(), b"");
    let mut newest = halves.pop().unwrap();
    newest.send(b"\n");
    newest.expect(&[&half[..], b"\n"].concat());
}

#[test]
fn of_equally_long_messages_the_oldest_go_and_a_few_old_bytes_stay() {
    let server = start();
    let mut witness = server.connect();
    let mut typist = server.connect();
    typist.send(b"somebody types");
    typist.wait_arrived();
    witness.echo(b"before all others\n");
    let half = [b'h'; 60_000];
    // Twelve are too many, and leave when eight are left: those with the least rent.
    let mut halves: Vec<Client> = Vec::new();
    for _ in 0..12 {
        let mut client = server.connect();
        client.send(&half);
        client.wait_arrived();
        // So that each is some milliseconds older than the next.
        thread::sleep(Duration::from_millis(20));
        witness.echo(b"a round trip\n");
        halves.push(client);
    }
    for client in &mut halves[..3] {
        assert_eq!(client.rest(), b"", "the oldest");
    }
    for client in &mut halves[6..] {
        client.send(b"\n");
        client.expect(&[&half[..], b"\n"].concat());
    }
    typist.send(b"!\n");
    typist.expect(b"somebody types!\n");
}

#[test]
fn the_longest_message_fits_where_its_client_is_the_only_one() {
    let longest = QUEUE_LIMIT / 4 - 1024;
    let server = Server::start(&[
        &format!("--queue-limit={QUEUE_LIMIT}"),
        &format!("--max-frame={longest}"),
        "--framing=len32",
        "tcp://127.0.0.1:0",
    ]);
    let message = crate::support::len32(&vec![7; longest]);
    let mut client = server.connect();
    let mut writer = client.twin();
    thread::scope(|scope| {
        scope.spawn(|| {
            for piece in message.chunks(100_000) {
                writer.send(piece);
                writer.wait_arrived();
            }
        });
        client.expect(&message);
    });
    server.stop();
}

#[test]
fn a_message_that_can_never_fit_is_refused_at_the_start() {
    let refused: [&[&str]; 4] = [
        &["--max-frame=1GiB", "--framing=line", "tcp://127.0.0.1:0"],
        &["tcp://127.0.0.1:0?max-frame=1GiB&framing=len32"],
        &["--queue-limit=100KiB", "--framing=line", "unix:///tmp/cooee-that-is-never-made"],
        &["--max-frame=524288", "--queue-limit=2MiB", "--framing=line", "127.0.0.1:0"],
    ];
    for args in refused {
        let ran = run(&mut cooee(&[&["serve"], args].concat()), b"");
        assert_eq!(ran.code, Some(2), "{args:?}: {ran:?}");
        assert!(ran.stderr.contains("--max-frame") && ran.stderr.contains("does not fit"), "{ran:?}");
        assert_eq!(ran.stdout, b"", "nothing is bound");
    }
    let ran = run(&mut cooee(&["serve", "--max-frame=1GiB", "--framing=line", "tcp://127.0.0.1:0"]), b"");
    let (room, needed) = (128 * 1024 * 1024 / 4, 4 * ((1_u64 << 30) + 1024));
    for number in [room, room - 1024, needed] {
        assert!(ran.stderr.contains(&number.to_string()), "{number} is missing: {ran:?}");
    }
    // What it says helps, and where no message has to be put together nothing is refused.
    for args in [
        &["--max-frame=1GiB", "--framing=line", &format!("--queue-limit={needed}"), "tcp://127.0.0.1:0"][..],
        &["--max-frame=1GiB", "--framing=line", "udp://127.0.0.1:0"],
        &["--max-frame=1GiB", "--queue-limit=1KiB", "tcp://127.0.0.1:0"],
    ] {
        Server::start(args).stop();
    }
}
