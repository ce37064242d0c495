//! Goal: against a port where nobody listens there is never a success: refused is refused, and a connection that the
//! kernel connects to itself is an error, not the fastest server ever measured.
//!
//! Method: a port that is bound and does not listen; and, where the self-connect is certain, a network namespace whose
//! only ephemeral port is the dead one. That needs root and `unshare`.

use std::net::SocketAddr;
use std::time::Duration;

use crate::support::{Loading, Network, cooee, load, load_command, run};
use socket2::{Domain, Socket, Type};

/// A run that is over long before anybody would call it a hang.
const SOON: Duration = Duration::from_secs(8);

/// A port where nobody listens, and nobody will: it is bound.
fn dead_port() -> (Socket, String) {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    let url = format!("tcp://{}", socket.local_addr().unwrap().as_socket().unwrap());
    (socket, url)
}

#[test]
fn a_dead_port_is_refused() {
    let (_held, url) = dead_port();
    let mut slowest = Duration::ZERO;
    let runs = [&["-d1s"][..], &["-c20", "-d1s"], &["-n100"], &["-d1s", "-R100"], &["-n10", "--churn"]];
    for args in runs {
        let measured = load(&url, args);
        let shown = measured.shown();
        assert_eq!(measured.ran.code, Some(1), "{args:?}: {shown}");
        assert_eq!(measured.count("messages"), 0, "{args:?}: {shown}");
        assert!(measured.errors("refused") >= 1, "{args:?}: {shown}");
        assert!(measured.took < SOON, "{args:?}: {shown}");
        slowest = slowest.max(measured.took);
    }
    let count = runs.len();
    crate::support::measured(
        "32",
        &format!("a dead port: {count} of {count} runs refused, exit code 1, in {slowest:.1?} at most"),
    );
}

#[test]
fn a_dead_path_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    for scheme in ["unix", "unixgram"] {
        let measured = load(&format!("{scheme}://{}", folder.path().join("nobody").display()), &["-d1s"]);
        assert_eq!(measured.ran.code, Some(1), "{scheme}: {}", measured.shown());
        assert_eq!(measured.count("messages"), 0, "{scheme}: {}", measured.shown());
        assert!(measured.all_errors() >= 1, "{scheme}: {}", measured.shown());
        assert!(measured.took < SOON, "{scheme}: {}", measured.shown());
    }
}

#[test]
fn a_person_is_told_so_in_words() {
    let (_held, url) = dead_port();
    let ran = run(&mut cooee(&["load", "-d1s", "--warmup=0s", &url]), b"");
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let said = format!("{}{}", ran.printed(), ran.stderr);
    assert!(said.contains("refused") && said.contains("Nobody listens there"), "{said}");
}

#[test]
fn a_connection_that_meets_itself_is_an_error() {
    const PORT: u16 = 40_000;
    let url = format!("tcp://127.0.0.1:{PORT}");
    let mut met = 0;
    let runs = [&["-d1s"][..], &["-n50"], &["-d1s", "-R50"], &["-n50", "--churn"]];
    for args in runs {
        // In the one before, the port rests for a minute (TIME_WAIT).
        let Some(network) = Network::start(PORT, PORT) else { return };
        let measured = Loading::start_command(&mut network.enter(&load_command(&url, args))).finish();
        assert_eq!(measured.ran.code, Some(1), "{args:?}: {}", measured.shown());
        assert_eq!(measured.count("messages"), 0, "{args:?}: {}", measured.shown());
        assert!(measured.errors("self-connect") >= 1, "{args:?}: {}", measured.shown());
        assert!(measured.took < SOON, "{args:?}: {}", measured.shown());
        met += measured.errors("self-connect");
    }
    let count = runs.len();
    crate::support::measured(
        "32",
        &format!("{met} self-connects told, none taken for a server: {count} of {count} runs, exit code 1"),
    );
}
