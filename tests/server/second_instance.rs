//! Goal: an instance on an address that a living server has says so and ends at once, and the living one is unharmed:
//! whom it serves it goes on serving, and newcomers come to it and to nobody else.
//!
//! Method: for each kind of socket, a first server with a client that it knows, and then another on the same address,
//! measured from when it is started to when it has ended. At a path, each of the two kinds meets each.

use std::os::unix::net::{UnixDatagram, UnixStream};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::support::{Client, PATIENCE, Server, ask, attempt, cooee, in_full, measured, run, udp_client};

/// Says something to a server, and fails where that does not come back.
type Say = Box<dyn FnMut(&[u8])>;

/// A client of `server`; where it needs a name, it has this one in `folder`.
fn client(server: &Server, folder: &Path, name: &str) -> Say {
    let url = server.urls().remove(0);
    let (scheme, address) = url.split_once("://").expect("a URL");
    match scheme {
        "tcp" => {
            let mut client = server.connect();
            Box::new(move |message| client.echo(message))
        }
        "unix" => {
            let mut client = Client::over(UnixStream::connect(address).expect("the server accepts"));
            Box::new(move |message| client.echo(message))
        }
        "udp" => {
            let (socket, address) = (udp_client(), server.address_of("udp"));
            Box::new(move |message| assert_eq!(ask(&socket, address, message), message))
        }
        "unixgram" => {
            let socket = UnixDatagram::bind(folder.join(name)).expect("the name is free");
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            socket.connect(address).expect("the server is there");
            Box::new(move |message| {
                socket.send(message).expect("the server takes it");
                let mut buffer = [0; 100];
                let length = socket.recv(&mut buffer).expect("the server answers");
                assert_eq!(&buffer[..length], message);
            })
        }
        other => panic!("no client for '{other}'"),
    }
}

/// How long the second instance, on `second`'s kind of the same address, takes to give up.
fn try_in_vain(first: &str, second: &str) -> Duration {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("s").display().to_string();
    let is_path = first.starts_with("unix");
    let server = Server::start(&[&format!("{first}://{}", if is_path { &path } else { "127.0.0.1:0" })]);
    let mut known = client(&server, folder.path(), "known");
    known(b"before");
    let url = server.urls().remove(0).replacen(first, second, 1);

    let start = Instant::now();
    let ran = run(cooee(&["serve"]).arg(&url), b"");
    let took = start.elapsed();
    assert_eq!(ran.code, Some(1), "{first}, then {second}: {ran:?}");
    assert!(ran.stderr.contains("address in use") && ran.stderr.contains(&url), "{first}, then {second}: {ran:?}");
    assert_eq!(ran.printed(), "", "nothing listens");

    known(b"known and unharmed");
    let mut newcomer = client(&server, folder.path(), "newcomer");
    newcomer(b"a newcomer");
    drop((known, newcomer));
    let log = server.stop();
    assert!(log.contains(" messages_in=3 messages_out=3 "), "all three came to the first: {log}");
    took
}

#[test]
fn a_second_instance_says_that_the_address_is_in_use_and_harms_nobody() {
    let pairs = [
        ("tcp", "tcp"),
        ("udp", "udp"),
        ("unix", "unix"),
        ("unixgram", "unixgram"),
        ("unix", "unixgram"),
        ("unixgram", "unix"),
    ];
    let found = attempt(|| {
        let longest = pairs.map(|(first, second)| try_in_vain(first, second)).into_iter().max().expect("some");
        let found = format!(
            "TCP, UDP, Unix: address in use, exit code 1 after {:.0} ms at the most (<= 1,000), the first unharmed",
            longest.as_secs_f64() * 1e3
        );
        if longest <= in_full(PATIENCE, Duration::from_secs(1)) { Ok(found) } else { Err(found) }
    });
    measured("23", &found);
}
