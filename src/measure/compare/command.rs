//! The command that starts a server, as `--server` gives it.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::measure::compare::listen_address::{ListenAddress, ListenKind};
use crate::measure::report::visible::{shortened, visible};

/// The longest name, in characters: it heads a column.
const NAME_MAX: usize = 20;

/// A server's name and the command that starts it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerCommand {
    /// What it is called in the report.
    pub name: String,
    /// The command as it was given.
    pub text: String,
    /// What names the place where it listens.
    pub family: ListenKind,
    words: Vec<String>,
}

impl ServerCommand {
    /// Parses `NAME=COMMAND`, or `COMMAND` alone, which is called after its program. The command is split as a shell
    /// would split it, but no shell runs it: nothing is expanded. It holds `{port}` (or, for a Unix socket, `{path}` or
    /// `{name}`) where the server is told where to listen. The error says what is wrong.
    pub fn parse(text: &str, family: ListenKind) -> Result<ServerCommand, String> {
        let (name, command) = match text.split_once('=') {
            Some((name, command)) if is_name(name) => (Some(name), command),
            _ => (None, text),
        };
        let words = shlex::split(command).ok_or("a quote is not closed, or a backslash ends it")?;
        let program = words.first().filter(|program| !program.is_empty()).ok_or("there is no command: NAME=COMMAND")?;
        let has = |family: ListenKind| words.iter().any(|word| word.contains(family.placeholder()));
        let family =
            if family == ListenKind::Path && !has(family) && has(ListenKind::Name) { ListenKind::Name } else { family };
        if !has(family) {
            let or = if family == ListenKind::Path { ", or {name} for an abstract name" } else { "" };
            let place = family.placeholder();
            return Err(format!("{place} is missing: it stands where the server is told where to listen{or}"));
        }
        let name = match name {
            Some(name) => name.to_owned(),
            None => {
                let file = Path::new(program).file_name().map(|file| file.to_string_lossy());
                shortened(file.as_deref().unwrap_or(program), NAME_MAX)
            }
        };
        Ok(ServerCommand { name, text: command.to_owned(), family, words })
    }

    /// The words of the command for a server that is to listen at `address`.
    pub fn words(&self, address: &ListenAddress) -> Vec<String> {
        self.words.iter().map(|word| address.fill(word)).collect()
    }

    /// Whether there is such a program, here or on the `PATH`; an error says which is not there. A name that holds a
    /// placeholder is not known before it is filled.
    pub(crate) fn find_program(&self) -> Result<(), String> {
        let program = &self.words[0];
        let is_there = if program.contains('{') {
            true
        } else if program.contains('/') {
            is_program(Path::new(program))
        } else {
            let path = std::env::var_os("PATH").unwrap_or_default();
            std::env::split_paths(&path).any(|folder: PathBuf| is_program(&folder.join(program)))
        };
        if is_there { Ok(()) } else { Err(format!("there is no program '{}'", visible(program))) }
    }
}

/// Whether `text` can be a name: one word, and no path, no flag and no part of a quoted word.
fn is_name(text: &str) -> bool {
    let is_odd = |c: char| c.is_whitespace() || "/'\"\\{}$".contains(c);
    // What has power over a terminal or a page, such as a bidi control, would stand there as something longer.
    let is_plain = visible(text) == text;
    is_plain && !text.is_empty() && text.chars().count() <= NAME_MAX && !text.starts_with('-') && !text.contains(is_odd)
}

fn is_program(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<ServerCommand, String> {
        ServerCommand::parse(text, ListenKind::Port)
    }

    #[test]
    fn a_command_is_called_by_its_name_or_after_its_program() {
        let named = parse("ours=cooee serve tcp://127.0.0.1:{port}").unwrap();
        assert_eq!((named.name.as_str(), named.text.as_str()), ("ours", "cooee serve tcp://127.0.0.1:{port}"));
        assert_eq!(parse("/usr/bin/ncat -lk {port}").unwrap().name, "ncat");
        // What stands before this '=' is no name.
        assert_eq!(parse("socat -x TCP-LISTEN:{port},fork=1 PIPE").unwrap().name, "socat");
        assert_eq!(parse("./server --port={port}").unwrap().name, "server");
    }

    #[test]
    fn a_name_has_no_power_over_the_place_where_it_is_shown() {
        for odd in ["evil\u{202e}name", "a\u{7}", "a b", "", "-x", "twenty-one-characters"] {
            let command = parse(&format!("{odd}=server {{port}}"));
            assert!(command.is_err() || command.is_ok_and(|command| command.name != odd), "{odd:?}");
        }
        assert_eq!(parse("größe=server {port}").unwrap().name, "größe");
    }

    #[test]
    fn it_is_split_like_a_shell_does_and_filled_after_that() {
        let command = parse(r#"a=sh -c 'exec "my server" {port}' x{port}y $HOME"#).unwrap();
        let words = command.words(&ListenAddress::at_port(7000));
        assert_eq!(words, ["sh", "-c", r#"exec "my server" 7000"#, "x7000y", "$HOME"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        for (text, word) in [
            ("", "no command"),
            ("a=", "no command"),
            ("a=  ", "no command"),
            ("'' {port}", "no command"),
            ("a=server 'half {port}", "not closed"),
            ("a=server 9000", "{port} is missing"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
        assert!(ServerCommand::parse("a=server {port}", ListenKind::Path).unwrap_err().contains("{path} is missing"));
    }

    #[test]
    fn a_program_is_sought_where_the_system_would_seek_it() {
        assert_eq!(parse("sh -c {port}").unwrap().find_program(), Ok(()));
        assert_eq!(parse("/bin/sh -c {port}").unwrap().find_program(), Ok(()));
        // A folder is none, and neither is what may not be executed.
        for text in ["no-such-program-here {port}", "/tmp {port}", "./no/such {port}", "/etc/passwd {port}"] {
            assert!(parse(text).unwrap().find_program().unwrap_err().contains("no program"), "{text}");
        }
    }
}
