//! The settings of one endpoint: the flags give the default for all, its query overrides them.

use std::time::Duration;

use nix::unistd::{Group, User};

use crate::apps::server::service::Service;
use crate::cli::suggestion::{did_you_mean, word};
use crate::cli::units;
use crate::os::bind::SocketOptions;
use crate::protocol::ack::{self, Ack};
use crate::protocol::bye::Bye;
use crate::protocol::charset::Charset;
use crate::protocol::framing::{Framing, Rules};
use crate::protocol::mode::{Mode, ModeName};

/// What can be set for one endpoint. Not everything is valid together: [`Settings::service`] tells.
#[derive(Clone, Debug)]
pub struct Settings {
    /// What is answered.
    pub mode: ModeName,
    /// How messages lie in a stream.
    pub framing: Framing,
    /// The longest message, in bytes.
    pub max_frame: usize,
    /// The WHATWG label of the encoding.
    pub encoding: String,
    /// The words of an acknowledgement.
    pub ack_format: String,
    /// What `bye` does; none takes the mode's own default.
    pub bye: Option<Bye>,
    /// Whether messages are logged.
    pub log_messages: bool,
    /// The socket's options.
    pub socket: SocketOptions,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            mode: ModeName::Echo,
            framing: Framing::Chunk,
            max_frame: 64 * 1024,
            encoding: "utf-8".to_owned(),
            ack_format: ack::DEFAULT_FORMAT.to_owned(),
            bye: None,
            log_messages: false,
            socket: SocketOptions::default(),
        }
    }
}

/// Every key of a query, in the order in which an error lists them. Each is a flag too.
pub const KEYS: [&str; 17] = [
    "mode",
    "framing",
    "max-frame",
    "encoding",
    "ack-format",
    "bye",
    "log-messages",
    "backlog",
    "rcvbuf",
    "sndbuf",
    "notsent-lowat",
    "keepalive",
    "defer-accept",
    "reuse-port",
    "file-mode",
    "file-owner",
    "file-group",
];

impl Settings {
    /// Overrides one setting, as the query of an endpoint does.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let wrong = |reason: String| format!("{key}={}: {reason}", value.escape_debug());
        match key {
            "mode" => self.mode = mode(value).map_err(wrong)?,
            "framing" => self.framing = framing(value).map_err(wrong)?,
            "max-frame" => self.max_frame = max_frame(value).map_err(wrong)?,
            "encoding" => self.encoding = value.to_owned(),
            "ack-format" => self.ack_format = value.to_owned(),
            "bye" => self.bye = Some(bye(value).map_err(wrong)?),
            "log-messages" => self.log_messages = boolean(value).map_err(wrong)?,
            "backlog" => self.socket.backlog = backlog(value).map_err(wrong)?,
            "rcvbuf" => self.socket.receive_buffer = Some(units::buffer_size(value).map_err(wrong)?),
            "sndbuf" => self.socket.send_buffer = Some(units::buffer_size(value).map_err(wrong)?),
            "notsent-lowat" => self.socket.notsent_lowat = units::small_size(value).map_err(wrong)?,
            "keepalive" => self.socket.keepalive = Some(keepalive(value).map_err(wrong)?),
            "defer-accept" => self.socket.defer_accept = Some(seconds(value).map_err(wrong)?),
            "reuse-port" => self.socket.reuse_port = boolean(value).map_err(wrong)?,
            "file-mode" => self.socket.file.mode = Some(file_mode(value).map_err(wrong)?),
            "file-owner" => self.socket.file.owner = Some(user(value).map_err(wrong)?),
            "file-group" => self.socket.file.group = Some(group(value).map_err(wrong)?),
            _ => {
                return Err(format!(
                    "unknown setting '{}': valid ones are {}{}",
                    key.escape_debug(),
                    KEYS.join(", "),
                    did_you_mean(key, KEYS)
                ));
            }
        }
        Ok(())
    }

    /// The service of the endpoint `name`; an error names the setting that does not fit.
    pub fn service(&self, name: String) -> Result<Service, String> {
        let charset = Charset::for_label(&self.encoding)
            .map_err(|reason| format!("encoding={}: {reason}", self.encoding.escape_debug()))?;
        let wrong_format = |reason: String| format!("ack-format={}: {reason}", self.ack_format.escape_debug());
        let mode = match self.mode {
            ModeName::Echo => Mode::Echo,
            ModeName::Discard => Mode::Discard,
            ModeName::Ack => Mode::Ack(Ack::new(&self.ack_format, charset).map_err(wrong_format)?),
        };
        if self.mode == ModeName::Ack && self.framing == Framing::Line && self.ack_format.contains('\n') {
            return Err(wrong_format("in line framing it cannot hold a line break".to_owned()));
        }
        let bye = self.bye.unwrap_or(if self.mode == ModeName::Ack { Bye::Close } else { Bye::Ignore });
        let rules = Rules { framing: self.framing, max_frame: self.max_frame, charset };
        Ok(Service { name, mode, rules, bye, log_messages: self.log_messages })
    }
}

/// The name of a mode.
pub(crate) fn mode(text: &str) -> Result<ModeName, String> {
    word(text, &["echo", "ack", "discard"])
}

/// The name of a framing.
pub(crate) fn framing(text: &str) -> Result<Framing, String> {
    word(text, &["chunk", "line", "len32"])
}

/// What `bye` does.
pub(crate) fn bye(text: &str) -> Result<Bye, String> {
    word(text, &["ignore", "close", "stop"])
}

/// A level of the log.
pub(crate) fn log_level(text: &str) -> Result<log::LevelFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    text.parse()
        .map_err(|_| format!("valid levels are off, error, warn, info, debug and trace{}", did_you_mean(text, LEVELS)))
}

/// The longest message. A length of 32 bits must be able to say it, with an acknowledgement's words around it.
pub(crate) fn max_frame(text: &str) -> Result<usize, String> {
    const LARGEST: usize = 1 << 30;
    match units::positive_size(text)? {
        size if size > LARGEST => Err("it can be at most 1 GiB".to_owned()),
        size => Ok(size),
    }
}

/// The length of a listening socket's queue.
pub(crate) fn backlog(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(backlog) if backlog >= 1 => Ok(backlog),
        _ => Err("it must be a number of at least 1".to_owned()),
    }
}

/// A time that the kernel counts in seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        time if time < Duration::from_secs(1) => Err("it must be at least 1s".to_owned()),
        time => Ok(time),
    }
}

/// The silence before the kernel probes a connection (TCP_KEEPIDLE, `tcp(7)`): it counts in seconds, in 15 bits.
pub(crate) fn keepalive(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(32_767);
    match seconds(text)? {
        time if time > LONGEST => {
            Err("it can be at most 32767s, which is 9h 6m: the system counts no further".to_owned())
        }
        time => Ok(time),
    }
}

/// The permissions of a file, in octal digits as `chmod` takes them.
pub(crate) fn file_mode(text: &str) -> Result<u32, String> {
    let mode = u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o777 && !text.starts_with('+'));
    mode.ok_or_else(|| "it is three octal digits, as chmod takes them: 0660, 600".to_owned())
}

/// A user, by name or number.
pub(crate) fn user(text: &str) -> Result<u32, String> {
    let known = || User::from_name(text).ok().flatten().map(|user| user.uid.as_raw());
    number(text).or_else(known).ok_or_else(|| "this system has no such user: a name, or a number".to_owned())
}

/// A group, by name or number.
pub(crate) fn group(text: &str) -> Result<u32, String> {
    let known = || Group::from_name(text).ok().flatten().map(|group| group.gid.as_raw());
    number(text).or_else(known).ok_or_else(|| "this system has no such group: a name, or a number".to_owned())
}

/// The number of a user or group; the highest one means "leave it" to chown(2).
fn number(text: &str) -> Option<u32> {
    text.parse().ok().filter(|number| *number != u32::MAX && !text.starts_with('+'))
}

fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "true" | "yes" | "1" => Ok(true),
        "false" | "no" | "0" => Ok(false),
        _ => Err("valid values are true and false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Service, String> {
        let mut settings = Settings::default();
        for (key, value) in pairs {
            settings.set(key, value)?;
        }
        settings.service("test".to_owned())
    }

    #[test]
    fn the_default_of_bye_depends_on_the_mode() {
        assert_eq!(with(&[]).unwrap().bye, Bye::Ignore);
        assert_eq!(with(&[("mode", "ack")]).unwrap().bye, Bye::Close);
        assert_eq!(with(&[("mode", "ack"), ("bye", "ignore")]).unwrap().bye, Bye::Ignore);
        assert_eq!(with(&[("mode", "discard"), ("bye", "stop")]).unwrap().bye, Bye::Stop);
    }

    #[test]
    fn unknown_keys_and_values_are_answered_with_the_valid_ones() {
        for (key, value, word) in [
            ("colour", "red", "mode, framing, max-frame, encoding"),
            ("mode", "shout", "echo, ack and discard"),
            ("framing", "xml", "chunk, line and len32"),
            ("bye", "wave", "ignore, close and stop"),
            ("encoding", "klingon", "WHATWG"),
            ("encoding", "utf-16", "not encoded"),
            ("max-frame", "0", "at least 1"),
            ("keepalive", "1ms", "at least 1s"),
            ("keepalive", "10h", "at most 32767s"),
            ("file-mode", "rw", "0660"),
            ("file-mode", "1777", "0660"),
            ("file-owner", "no-such-user", "no such user"),
            ("file-group", "4294967295", "no such group"),
            ("mdoe", "ack", "did you mean 'mode'?"),
            ("max_frame", "1k", "did you mean 'max-frame'?"),
            ("mode", "ehco", "did you mean 'echo'?"),
            ("framing", "lines", "did you mean 'line'?"),
            ("bye", "stpo", "did you mean 'stop'?"),
            ("defer-accept", "0", "at least 1s"),
            ("backlog", "0", "at least 1"),
            ("reuse-port", "perhaps", "true and false"),
        ] {
            let error = with(&[(key, value)]).unwrap_err();
            assert!(error.contains(word), "{key}={value}: {error}");
        }
    }

    #[test]
    fn every_listed_key_can_be_set() {
        for key in KEYS {
            let error = Settings::default().set(key, "\u{0}").err().unwrap_or_default();
            assert!(!error.contains("unknown setting"), "{key}");
        }
    }

    #[test]
    fn an_ack_text_must_fit_its_encoding_and_framing() {
        assert!(with(&[("mode", "ack"), ("encoding", "gbk")]).is_ok());
        assert!(with(&[("mode", "ack"), ("encoding", "windows-1252")]).unwrap_err().contains("'数'"));
        assert!(
            with(&[("mode", "ack"), ("framing", "line"), ("ack-format", "a\n{}")]).unwrap_err().contains("line break")
        );
    }
}
