//! The settings of one endpoint: the flags give the default for all, its query overrides them.

use std::error::Error;
use std::time::Duration;

use clap::{Arg, ArgAction, Args, Command, FromArgMatches};
use nix::unistd::{Group, User};

use crate::apps::server::service::Service;
use crate::cli::arguments::LOG;
use crate::cli::suggestion::{did_you_mean, word};
use crate::cli::units;
use crate::os::bind::SocketOptions;
use crate::os::file_access::FileAccess;
use crate::protocol::bye::Bye;
use crate::protocol::charset::Charset;
use crate::protocol::framing::{Framing, Rules};
use crate::protocol::mode::{Mode, ModeName, ack};

const ANSWERS: &str = "Say what is answered (or in an endpoint's query)";
const SOCKETS: &str = "Set options of sockets (or in an endpoint's query)";

/// What can be set for one endpoint: each field is a flag of `serve`, with its default and its help, and a key of an
/// endpoint's query. Not everything is valid together: [`Settings::service`] tells.
#[derive(Clone, Debug, Args)]
pub struct Settings {
    /// echo, ack or discard
    ///
    /// echo is RFC 862, discard RFC 863; ack sends --ack-format.
    #[arg(long, default_value = "echo", value_parser = word::<ModeName>, help_heading = ANSWERS)]
    pub mode: ModeName,
    /// chunk, line or len32, in a stream
    ///
    /// Where messages end. chunk: what one read brings, at most 1,024 bytes, is a message. line: a line feed ends it.
    /// len32: its length stands before it, in four bytes.
    #[arg(long, default_value = "chunk", value_parser = word::<Framing>, help_heading = ANSWERS)]
    pub framing: Framing,
    /// The longest message in line and len32 framing
    #[arg(long, value_name = "SIZE", default_value = "64KiB", value_parser = max_frame, help_heading = ANSWERS, hide_short_help = true)]
    pub max_frame: usize,
    /// utf-8, gbk, big5, shift_jis, ...
    ///
    /// The encoding of acknowledgements and of logged messages: a label of the WHATWG standard.
    #[arg(long, value_name = "LABEL", default_value = "utf-8", help_heading = ANSWERS)]
    pub encoding: String,
    /// The words of an ack; {} is the message
    #[arg(long, value_name = "TEXT", default_value = ack::DEFAULT_FORMAT, help_heading = ANSWERS)]
    pub ack_format: String,
    /// ignore, close or stop at 'bye' [default: the mode's]
    ///
    /// What a message does that is exactly bye. close ends the conversation, stop the server. The default is close in
    /// ack mode, else ignore.
    #[arg(long, value_parser = word::<Bye>, help_heading = ANSWERS)]
    pub bye: Option<Bye>,
    /// Log each message with its peer
    #[arg(long, help_heading = LOG)]
    pub log_messages: bool,
    /// Connections that may wait to be accepted
    #[arg(long, value_name = "N", default_value = "4096", value_parser = units::positive_count::<i32>, help_heading = SOCKETS, hide_short_help = true)]
    pub backlog: i32,
    /// The receive buffer of a socket (SO_RCVBUF) [default: the system's]
    #[arg(long, value_name = "SIZE", value_parser = units::buffer_size, help_heading = SOCKETS, hide_short_help = true)]
    pub rcvbuf: Option<usize>,
    /// The send buffer of a socket (SO_SNDBUF) [default: the system's]
    #[arg(long, value_name = "SIZE", value_parser = units::buffer_size, help_heading = SOCKETS, hide_short_help = true)]
    pub sndbuf: Option<usize>,
    /// Bytes that the kernel takes for a TCP peer whose window is full (TCP_NOTSENT_LOWAT, Linux); 0 leaves it to the
    /// system
    #[arg(long, value_name = "SIZE", default_value = "8KiB", value_parser = units::small_size, help_heading = SOCKETS, hide_short_help = true)]
    pub notsent_lowat: u32,
    /// Probe TCP peers that are silent so long [default: off]
    ///
    /// A peer that is gone is found after twice the time.
    #[arg(long, value_name = "TIME", value_parser = keepalive, help_heading = SOCKETS)]
    pub keepalive: Option<Duration>,
    /// Accept a TCP connection when its first bytes have come, or after about this time, and not before (Linux)
    /// [default: at once]
    #[arg(long, value_name = "TIME", value_parser = seconds, help_heading = SOCKETS, hide_short_help = true)]
    pub defer_accept: Option<Duration>,
    /// Let several processes serve one port (SO_REUSEPORT)
    #[arg(long, help_heading = SOCKETS)]
    pub reuse_port: bool,
    /// The permissions of a Unix socket's file: who may write to it may connect [default: 0777, less the umask]
    #[arg(long, value_name = "OCTAL", value_parser = file_mode, help_heading = SOCKETS, hide_short_help = true)]
    pub file_mode: Option<u32>,
    /// The user who owns a Unix socket's file, by name or number [default: who runs the server]
    #[arg(long, value_name = "USER", value_parser = user, help_heading = SOCKETS, hide_short_help = true)]
    pub file_owner: Option<u32>,
    /// The group of a Unix socket's file, by name or number [default: that of the server]
    #[arg(long, value_name = "GROUP", value_parser = group, help_heading = SOCKETS, hide_short_help = true)]
    pub file_group: Option<u32>,
}

impl Settings {
    /// Overrides one setting, as the query of an endpoint does. `clap` parses the value as that of the flag. A flag
    /// without a value takes a boolean here.
    pub fn set(&mut self, key: &str, value: &str) -> Result<(), String> {
        let query = Settings::augment_args(Command::new("query")).no_binary_name(true).mut_args(|flag| {
            let flag = flag.default_value(None);
            if flag.get_action().takes_values() { flag } else { flag.action(ArgAction::Set).value_parser(boolean) }
        });
        let keys: Vec<&str> = query.get_arguments().filter_map(Arg::get_long).collect();
        if !keys.contains(&key) {
            let (unknown, known) = (key.escape_debug(), keys.join(", "));
            return Err(format!("unknown setting '{unknown}': valid ones are {known}{}", did_you_mean(key, keys)));
        }
        let matches = query.try_get_matches_from([format!("--{key}={value}")]);
        matches.and_then(|mut matches| self.update_from_arg_matches_mut(&mut matches)).map_err(|error| {
            let reason = error.source().map_or_else(|| error.to_string(), |reason| reason.to_string());
            format!("{key}={}: {reason}", value.escape_debug())
        })
    }

    /// The options of the endpoint's sockets.
    pub fn socket(&self) -> SocketOptions {
        SocketOptions {
            backlog: self.backlog,
            receive_buffer: self.rcvbuf,
            send_buffer: self.sndbuf,
            notsent_lowat: self.notsent_lowat,
            keepalive: self.keepalive,
            defer_accept: self.defer_accept,
            reuse_port: self.reuse_port,
            only_v6: false,
            file: FileAccess { mode: self.file_mode, owner: self.file_owner, group: self.file_group },
        }
    }

    /// The service of the endpoint `name`; an error names the setting that does not fit.
    pub fn service(&self, name: String) -> Result<Service, String> {
        let charset = Charset::for_label(&self.encoding)
            .map_err(|reason| format!("encoding={}: {reason}", self.encoding.escape_debug()))?;
        let wrong_format = |reason: String| format!("ack-format={}: {reason}", self.ack_format.escape_debug());
        let mode = Mode::new(self.mode, &self.ack_format, charset).map_err(|error| wrong_format(error.to_string()))?;
        if self.mode == ModeName::Ack && self.framing == Framing::Line && self.ack_format.contains('\n') {
            return Err(wrong_format("in line framing it cannot hold a line break".to_owned()));
        }
        let bye = self.bye.unwrap_or(if self.mode == ModeName::Ack { Bye::Close } else { Bye::Ignore });
        let rules = Rules { framing: self.framing, max_frame: self.max_frame, charset };
        Ok(Service { name, mode, rules, bye, log_messages: self.log_messages })
    }
}

/// A level of the log.
pub(crate) fn log_level(text: &str) -> Result<log::LevelFilter, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    text.parse()
        .map_err(|_| format!("valid levels are off, error, warn, info, debug and trace{}", did_you_mean(text, LEVELS)))
}

/// The longest message. Its length, with an acknowledgement's words around it, has to fit into 32 bits.
pub(crate) fn max_frame(text: &str) -> Result<usize, String> {
    const LARGEST: usize = 1 << 30;
    match units::positive_size(text)? {
        size if size > LARGEST => Err("it can be at most 1 GiB".to_owned()),
        size => Ok(size),
    }
}

/// A time that the kernel counts in seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    match units::duration(text)? {
        time if time < Duration::from_secs(1) => Err("it must be at least 1s".to_owned()),
        time => Ok(time),
    }
}

/// The silence before the kernel probes a connection (TCP_KEEPIDLE, `tcp(7)`), which has 15 bits for the seconds.
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
impl Settings {
    /// What the flags say where none is given.
    pub(crate) fn defaults() -> Settings {
        let matches = Settings::augment_args(Command::new("defaults")).get_matches_from([""]);
        Settings::from_arg_matches(&matches).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with(pairs: &[(&str, &str)]) -> Result<Service, String> {
        let mut settings = Settings::defaults();
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
    fn the_defaults_of_the_flags_are_those_of_the_sockets() {
        assert_eq!(Settings::defaults().socket(), SocketOptions::default());
    }

    #[test]
    fn a_query_changes_what_it_names_and_nothing_else() {
        let mut settings = Settings { mode: ModeName::Discard, reuse_port: true, ..Settings::defaults() };
        for (key, value) in [("ack-format", "-{}=,?"), ("log-messages", "yes"), ("rcvbuf", "1k"), ("reuse-port", "0")] {
            settings.set(key, value).unwrap();
        }
        assert_eq!((settings.mode, settings.ack_format.as_str()), (ModeName::Discard, "-{}=,?"));
        assert_eq!((settings.log_messages, settings.rcvbuf, settings.reuse_port), (true, Some(1000), false));
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
