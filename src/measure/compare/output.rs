//! What a server writes on its standard output and error.
//!
//! Both go to one unlinked file: a pipe that nobody drains while load runs would fill up, and a server that blocks on
//! its log is not the one that was to be measured. The file is emptied when it is long, so a server that logs every
//! message does not fill the disk.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::process::Stdio;

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::measure::compare::no_temporary;
use crate::measure::report::visible::shortened;

/// How long the file may be, in bytes, when it is looked at.
const FILE_MAX: u64 = 1 << 20;

/// How much of the end is looked at, in bytes.
const TAIL_MAX: usize = 8 * 1024;

/// How many lines of the end are shown, and how many characters of each.
const LINES: usize = 10;
const LINE_MAX: usize = 200;

/// What a server has written.
#[derive(Debug)]
pub struct ServerOutput {
    file: File,
    /// The end of what was in the file when it was emptied.
    before: Vec<u8>,
}

impl ServerOutput {
    /// An empty file that has no name from its beginning on (`O_TMPFILE`), so that nothing is left however this program
    /// ends.
    pub fn new() -> io::Result<ServerOutput> {
        let file = tempfile::tempfile().map_err(|error| no_temporary("file", &error))?;
        // Appending: standard output and error share the file, and after it was emptied no write leaves a hole.
        fcntl(&file, FcntlArg::F_SETFL(OFlag::O_APPEND))?;
        Ok(ServerOutput { file, before: Vec::new() })
    }

    /// A handle that the server writes through.
    pub fn handle(&self) -> io::Result<Stdio> {
        Ok(self.file.try_clone()?.into())
    }

    /// Empties the file where it is too long; its end is remembered. To be called now and then.
    pub fn trim(&mut self) {
        if self.file.metadata().is_ok_and(|file| file.len() > FILE_MAX) {
            self.before = self.end();
            let _ = self.file.set_len(0);
        }
    }

    /// The last lines, escaped and cut.
    pub fn last_lines(&self) -> Vec<String> {
        let mut bytes = self.before.clone();
        bytes.append(&mut self.end());
        let text = String::from_utf8_lossy(&bytes);
        let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        let last = &lines[lines.len().saturating_sub(LINES)..];
        last.iter().map(|line| shortened(line, LINE_MAX)).collect()
    }

    fn end(&self) -> Vec<u8> {
        let length = self.file.metadata().map_or(0, |file| file.len());
        let mut bytes = vec![0; TAIL_MAX];
        // Where the server writes on while this reads, a little less or more is seen.
        let count = self.file.read_at(&mut bytes, length.saturating_sub(TAIL_MAX as u64)).unwrap_or(0);
        bytes.truncate(count);
        bytes
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn written(bytes: &[u8]) -> ServerOutput {
        let output = ServerOutput::new().unwrap();
        (&output.file).write_all(bytes).unwrap();
        output
    }

    #[test]
    fn the_last_lines_are_shown_without_power() {
        let output = written(b"first\n\x1b[31mred\r\n\n\xff\n");
        assert_eq!(output.last_lines(), ["first", "\\u{1b}[31mred", "\u{fffd}"]);
        assert!(written(b"").last_lines().is_empty());
        let many: String = (0..1000).map(|number| format!("line {number}\n")).collect();
        let shown = written(many.as_bytes()).last_lines();
        assert_eq!((shown.len(), shown[0].as_str(), shown[9].as_str()), (10, "line 990", "line 999"));
        assert_eq!(written(&[b'x'; 100_000]).last_lines()[0].chars().count(), LINE_MAX);
    }

    #[test]
    fn a_long_file_is_emptied_and_its_end_remembered() {
        let mut output = written(&vec![b'x'; 1 << 20]);
        output.trim();
        assert_eq!(output.file.metadata().unwrap().len(), 1 << 20, "a megabyte may stay");
        (&output.file).write_all(b"\nthe end\n").unwrap();
        output.trim();
        assert_eq!(output.file.metadata().unwrap().len(), 0);
        (&output.file).write_all(b"and after\n").unwrap();
        let shown = output.last_lines();
        assert!(shown.ends_with(&["the end".to_owned(), "and after".to_owned()]), "{shown:?}");
        assert_eq!(output.file.metadata().unwrap().len(), 10, "nothing is written behind a hole");
    }
}
