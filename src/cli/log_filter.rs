//! What is logged: one level for everything, and levels for single targets.
//!
//! `simple_logger` reads a single level from `RUST_LOG` and passes over anything else in silence. Here the usual
//! directives (`LEVEL`, `TARGET=LEVEL`, `TARGET`, with commas between) become its module levels, and what is not
//! understood is kept to be told.

use std::env;
use std::str::FromStr;

use log::LevelFilter;

use crate::apps::server;
use crate::measure::report::visible::visible;

/// Targets that are logged only on request: the answer to SIGUSR1, and the messages of `--log-messages`. The general
/// level does not silence them; a directive that names them does.
const ASKED_FOR: [&str; 2] = [server::SUMMARY, server::service::MESSAGES];

/// What a target of this program begins with.
const PROGRAM: &str = "cooee";

/// The levels of everything.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct LogFilter {
    /// The level of every other target.
    pub(crate) level: LevelFilter,
    /// The levels of targets, by prefix. The longest prefix that fits decides.
    pub(crate) targets: Vec<(String, LevelFilter)>,
    /// What was not understood, and why.
    pub(crate) faults: Vec<String>,
}

impl LogFilter {
    /// One level for all.
    pub(crate) fn at(level: LevelFilter) -> LogFilter {
        let targets = ASKED_FOR.map(|target| (target.to_owned(), LevelFilter::Info));
        LogFilter { level, targets: targets.into(), faults: Vec::new() }
    }

    /// What `RUST_LOG` says, or else info.
    pub(crate) fn from_environment() -> LogFilter {
        match env::var_os("RUST_LOG") {
            None => LogFilter::at(LevelFilter::Info),
            Some(text) => LogFilter::parse(&text.to_string_lossy()),
        }
    }

    fn parse(text: &str) -> LogFilter {
        let mut filter = LogFilter::at(LevelFilter::Info);
        // `env_logger` takes a pattern for messages behind a slash; a target has none.
        let (directives, pattern) = text.split_once('/').map_or((text, None), |(before, after)| (before, Some(after)));
        for directive in directives.split(',').map(str::trim).filter(|directive| !directive.is_empty()) {
            filter.add(directive);
        }
        if let Some(pattern) = pattern {
            filter.faults.push(format!("'/{}' (messages are not filtered by a pattern)", visible(pattern)));
        }
        filter
    }

    fn add(&mut self, directive: &str) {
        let why = match directive.split_once('=') {
            Some((target, level)) => match LevelFilter::from_str(level.trim()) {
                Ok(level) if !target.trim().is_empty() => return self.set(target.trim(), level),
                Ok(_) => "no target before '='".to_owned(),
                Err(_) => format!("'{}' is no level", visible(level.trim())),
            },
            None => match LevelFilter::from_str(directive) {
                Ok(level) => {
                    self.level = level;
                    return;
                }
                // A name alone means all its levels, as for `env_logger`. Only this program's targets are taken for
                // names, because a misspelt level would be one.
                Err(_) if is_ours(directive) => return self.set(directive, LevelFilter::Trace),
                Err(_) => format!("neither a level nor a part of {PROGRAM}"),
            },
        };
        self.faults.push(format!("'{}' ({why})", visible(directive)));
    }

    /// The last one of a target holds.
    fn set(&mut self, target: &str, level: LevelFilter) {
        self.targets.retain(|(name, _)| name != target);
        self.targets.push((target.to_owned(), level));
    }

    /// One sentence about what was not understood; `None` if all was.
    pub(crate) fn complaint(&self) -> Option<String> {
        (!self.faults.is_empty()).then(|| {
            let faults = self.faults.join(", ");
            format!(
                "RUST_LOG: not understood, and ignored: {faults}; it takes LEVEL or TARGET=LEVEL with commas between: info,cooee::reactor=trace"
            )
        })
    }
}

fn is_ours(target: &str) -> bool {
    target.strip_prefix(PROGRAM).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The level, the targets that were named, and how much was not understood.
    fn parsed(text: &str) -> (LevelFilter, Vec<(String, LevelFilter)>, usize) {
        let LogFilter { level, targets, faults } = LogFilter::parse(text);
        let named =
            |(name, level): &(String, LevelFilter)| !ASKED_FOR.contains(&name.as_str()) || *level != LevelFilter::Info;
        (level, targets.into_iter().filter(named).collect(), faults.len())
    }

    #[test]
    fn the_usual_directives_are_taken() {
        use LevelFilter::{Debug, Error, Info, Off, Trace, Warn};
        type Row<'a> = (&'a str, LevelFilter, &'a [(&'a str, LevelFilter)]);
        let table: &[Row<'_>] = &[
            ("", Info, &[]),
            ("debug", Debug, &[]),
            ("WARN", Warn, &[]),
            ("cooee=debug", Info, &[("cooee", Debug)]),
            ("cooee", Info, &[("cooee", Trace)]),
            ("cooee::reactor", Info, &[("cooee::reactor", Trace)]),
            ("warn,cooee::os=trace", Warn, &[("cooee::os", Trace)]),
            (" error , cooee::os = off ,, ", Error, &[("cooee::os", Off)]),
            ("mio=trace,off", Off, &[("mio", Trace)]),
            ("cooee=info,cooee=debug", Info, &[("cooee", Debug)]),
            ("cooee::apps::server::summary=off", Info, &[("cooee::apps::server::summary", Off)]),
        ];
        for (text, level, targets) in table {
            let targets = targets.iter().map(|(name, level)| ((*name).to_owned(), *level)).collect();
            assert_eq!(parsed(text), (*level, targets, 0), "{text:?}");
        }
    }

    #[test]
    fn what_is_not_understood_is_kept_to_be_told_and_the_rest_holds() {
        for text in
            ["no such level", "cooee=loud", "=debug", "cooee=", "cooee=debug=info", "tokio", "/pattern", "cooeex"]
        {
            assert_eq!(parsed(text), (LevelFilter::Info, Vec::new(), 1), "{text:?}");
            let complaint = LogFilter::parse(text).complaint().unwrap();
            assert!(complaint.contains("RUST_LOG") && complaint.contains(text), "{complaint}");
        }
        let (level, targets, faults) = parsed("debgu,warn,cooee::os=trace,b=c/d");
        assert_eq!((level, targets.len(), faults), (LevelFilter::Warn, 1, 3));
        assert_eq!(LogFilter::parse("warn,cooee=debug").complaint(), None);
        let hostile = LogFilter::parse("\x1b[2J=\n").complaint().unwrap();
        assert!(!hostile.contains(['\x1b', '\n']), "{hostile:?}");
    }
}
