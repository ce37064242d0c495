//! A headless Chromium whose whole network is the test: every request that it makes, to whatever host, arrives here as
//! at a proxy.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::support::{Process, finish_within};

/// How long a browser may take: it starts a dozen processes, on a machine that may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// What a browser has been asked for, and what it asked for in turn.
pub struct Visit {
    /// The document after everything in it has run.
    pub dom: String,
    /// The targets of all requests, but for those for the browser's own services.
    pub requests: Vec<String>,
}

/// The host that the files are served under. It does not exist, so that only the proxy can serve it.
pub const HOST: &str = "http://report.invalid";

/// The name of the installed Chromium; none where there is none.
pub fn name() -> Option<&'static str> {
    let names = ["chromium", "chromium-browser", "google-chrome"];
    names.into_iter().find(|name| {
        let asked = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        asked.is_ok_and(|status| status.success())
    })
}

/// Opens `/` of these files (path and content) and waits until all is loaded and has run.
pub fn visit(browser: &str, files: &[(&str, &str)], dark: bool) -> Visit {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    let files: BTreeMap<String, String> =
        files.iter().map(|(path, content)| (format!("{HOST}{path}"), (*content).to_owned())).collect();
    let requests: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = requests.clone();
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (files, seen) = (files.clone(), seen.clone());
            thread::spawn(move || answer(stream, &files, &seen));
        }
    });
    let profile = tempfile::tempdir().expect("a folder can be made");
    let mut command = Command::new(browser);
    command
        .args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-extensions",
        ])
        .args(["--disable-background-networking", "--disable-component-update", "--disable-sync", "--hide-scrollbars"])
        .arg(format!("--user-data-dir={}", profile.path().display()))
        .arg(format!("--blink-settings=preferredColorScheme={}", if dark { 0 } else { 1 }))
        .arg(format!("--proxy-server=http://{address}"))
        .args(["--window-size=1500,1000", "--dump-dom", &format!("{HOST}/")])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let ran = finish_within(Process::spawn(&mut command), PATIENCE);
    assert_eq!(ran.code, Some(0), "the browser fails: {ran:?}");
    let requests = requests.lock().unwrap().clone();
    Visit { dom: String::from_utf8_lossy(&ran.stdout).into_owned(), requests }
}

/// Answers one request, as a proxy, with a file or with nothing.
fn answer(mut stream: TcpStream, files: &BTreeMap<String, String>, seen: &Mutex<Vec<String>>) {
    let _ = stream.set_read_timeout(Some(PATIENCE));
    let mut lines = BufReader::new((&mut stream).take(64 * 1024)).lines().map_while(Result::ok);
    let Some(request) = lines.next() else { return };
    // The headers end with an empty line; nothing is sent with a body.
    let _ = lines.by_ref().take_while(|line| !line.is_empty()).count();
    drop(lines);
    let target = request.split(' ').nth(1).unwrap_or_default().to_owned();
    if !is_of_the_browser(&target) {
        seen.lock().unwrap().push(target.clone());
    }
    let (status, body) = files.get(&target).map_or(("404 Not Found", ""), |content| ("200 OK", content));
    let _ = write!(
        stream,
        "HTTP/1.1 {status}\r\nContent-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    );
}

/// Browsers call home. No page of ours names these hosts.
fn is_of_the_browser(target: &str) -> bool {
    let host = target.trim_start_matches("http://").trim_start_matches("https://");
    let host = host.split(['/', ':']).next().unwrap_or_default();
    ["google.com", "googleapis.com", "gvt1.com", "gstatic.com"].iter().any(|home| host.ends_with(home))
}
