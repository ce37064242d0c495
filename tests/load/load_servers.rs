//! Goal: `cooee load` measures any echo server, not only ours: every message comes back, every byte is checked, and
//! nothing goes wrong.
//!
//! Method: servers that others have made, in Python (asyncio), Node, `socat` and `ncat`, and ours, over TCP, UDP, Unix
//! sockets and IPv6. Where a program is missing, the test says "skipped".

use std::net::{Ipv6Addr, TcpListener};
use std::path::Path;
use std::process::Command;

use crate::support::{Peer, Server, load, python, skip};

fn program(name: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(name);
    command.args(arguments);
    command
}

#[test]
fn a_python_server() {
    let Some(mut command) = python("peers/echo.py") else { return };
    let Some(server) = Peer::tcp("127.0.0.1", &mut command) else { return };
    load(server.url(), &["-c10", "-n2000"]).assert_right(2000);
    load(server.url(), &["-c2", "-n400", "--pipeline=16", "-l3000"]).assert_right(400);
}

#[test]
fn a_node_server() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/peers/echo.js");
    let Some(server) = Peer::tcp("127.0.0.1", Command::new("node").arg(script)) else { return };
    load(server.url(), &["-c10", "-n2000"]).assert_right(2000);
    load(server.url(), &["-c2", "-n400", "--pipeline=16", "-l3000"]).assert_right(400);
}

#[test]
fn a_socat_server() {
    let arguments = ["TCP-LISTEN:0,bind=127.0.0.1,fork,reuseaddr", "EXEC:cat"];
    let Some(server) = Peer::tcp("127.0.0.1", &mut program("socat", &arguments)) else { return };
    load(server.url(), &["-c5", "-n1000"]).assert_right(1000);
    load(server.url(), &["-c2", "-n200", "--pipeline=4", "-l3000"]).assert_right(200);
}

#[test]
fn an_ncat_server() {
    let arguments = ["-l", "-k", "-e", "/bin/cat", "127.0.0.1", "0"];
    let Some(server) = Peer::tcp("127.0.0.1", &mut program("ncat", &arguments)) else { return };
    load(server.url(), &["-c5", "-n1000"]).assert_right(1000);
    load(server.url(), &["-c2", "-n200", "--pipeline=4", "-l3000"]).assert_right(200);
}

#[test]
fn a_socat_server_of_datagrams() {
    let Some(server) = Peer::udp("127.0.0.1", &mut program("socat", &["UDP-LISTEN:0,bind=127.0.0.1", "PIPE"])) else {
        return;
    };
    let measured = load(server.url(), &["-n1000"]);
    measured.assert_right(1000);
    for name in ["lost", "duplicated", "reordered"] {
        assert_eq!(measured.count(name), 0, "{}", measured.shown());
    }
}

#[test]
fn a_socat_server_at_a_path() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("echo.sock");
    let listen = format!("UNIX-LISTEN:{},fork", path.display());
    let Some(server) = Peer::unix(&path, &mut program("socat", &[&listen, "PIPE"])) else { return };
    load(server.url(), &["-c4", "-n1000"]).assert_right(1000);
}

#[test]
fn our_server_over_everything_that_it_serves() {
    let folder = tempfile::tempdir().unwrap();
    let unix = ["unix", "unixgram"].map(|kind| format!("{kind}://{}", folder.path().join(kind).display()));
    let server = Server::start(&["127.0.0.1:0", &unix[0], &unix[1]]);
    let urls = server.urls();
    assert_eq!(urls.len(), 4, "{urls:?}");
    for url in urls {
        let measured = load(&url, &["-c8", "-n4000", "--pipeline=4"]);
        measured.assert_right(4000);
        assert_eq!(measured.report["endpoint"], url, "{}", measured.shown());
        assert_eq!(measured.count("connections"), 8, "{}", measured.shown());
    }
}

#[test]
fn our_server_over_ipv6() {
    if TcpListener::bind((Ipv6Addr::LOCALHOST, 0)).is_err() {
        return skip("no IPv6 on this machine");
    }
    let server = Server::start(&["[::1]:0"]);
    for url in server.urls() {
        load(&url, &["-c4", "-n2000"]).assert_right(2000);
    }
}
