//! Python, for programs that are written in it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use super::skip;

/// Python with the program at this path below `tests/`; none, with a word about it, where there is no Python.
pub fn python(program: &str) -> Option<Command> {
    static INTERPRETER: OnceLock<Option<PathBuf>> = OnceLock::new();
    let interpreter = INTERPRETER.get_or_init(|| {
        let ask = "import sys; print(sys.executable); sys.exit(sys.version_info < (3, 8))";
        let answer =
            Command::new("python3").args(["-c", ask]).output().ok().filter(|answer| answer.status.success())?;
        Some(PathBuf::from(String::from_utf8_lossy(&answer.stdout).trim_end()))
    });
    let Some(interpreter) = interpreter else {
        skip("python3 (3.8 or newer) is missing");
        return None;
    };
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(program);
    let mut command = Command::new(interpreter);
    command.args(["-u", "-X", "utf8"]).arg(script);
    Some(command)
}
