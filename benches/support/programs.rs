//! The programs that the server is measured beside: built, and found.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::Value;

/// The built server.
pub const COOEE: &str = env!("CARGO_BIN_EXE_cooee");

/// The Rust peers, with the profile that this program was built with: `cargo build --examples`, which is quick where
/// nothing has changed. Cargo tells where it has put them.
pub fn rust_peers() -> Vec<PathBuf> {
    let folder = Path::new(COOEE).parent().and_then(Path::file_name);
    let profile = match folder.and_then(OsStr::to_str) {
        None | Some("debug") => "dev",
        Some(profile) => profile,
    };
    let built = Command::new(env!("CARGO"))
        .args(["build", "--locked", "--examples", "--message-format=json-render-diagnostics", "--profile", profile])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(built.status.success(), "the peers cannot be built: cargo build --examples, {}", built.status);
    let messages = String::from_utf8(built.stdout).expect("JSON is UTF-8");
    messages.lines().filter_map(|line| peer(&serde_json::from_str(line).ok()?)).collect()
}

/// The program of a peer that cargo says it has built.
fn peer(message: &Value) -> Option<PathBuf> {
    let is_example = message["target"]["kind"].as_array()?.iter().any(|kind| kind == "example");
    let is_peer = is_example && message["target"]["src_path"].as_str()?.contains("/benches/peers/");
    let program = message["executable"].as_str().filter(|_| is_peer)?;
    Some(PathBuf::from(program))
}

/// The peers in C, each called after its source; none where there is no C compiler.
pub fn c_peers() -> Vec<PathBuf> {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers");
    let mut built = Vec::new();
    for name in ["epoll.c", "mmsg.c"] {
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        // Somebody else may run the one that is there, or build it at the same time.
        let new = program.with_extension(std::process::id().to_string());
        let compiler = env::var_os("CC").unwrap_or_else(|| "cc".into());
        let compiled = Command::new(compiler).arg("-O2").arg("-o").arg(&new).arg(sources.join(name)).status();
        match compiled {
            Ok(status) => assert!(status.success(), "{name} cannot be compiled: {status}"),
            Err(_) => return Vec::new(),
        }
        fs::rename(&new, &program).expect("a file of this folder can be renamed");
        built.push(program);
    }
    built
}
