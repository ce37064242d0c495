//! Repeated log lines of one kind are cut to a few a window; what was left out is told as a number.
//!
//! What a client can make happen a hundred thousand times a second must not become as many lines.

use std::fmt;
use std::time::Duration;

use log::Level;

use crate::os::clock::Tick;

/// The kinds of lines that can repeat without end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogKind {
    /// `accept` failed for lack of descriptors or memory.
    AcceptFailed,
    /// A newcomer was refused at the connection limit.
    Refused,
    /// A newcomer was refused because its source has so many connections.
    RefusedSource,
    /// A peer broke the framing: too long a message, or a truncated one.
    BadFrame,
    /// A datagram could not be received or answered.
    Datagram,
    /// All owed bytes together reached their bound.
    QueueLimit,
    /// A peer asked the server to stop. While it drains, others may ask the same.
    Bye,
}

impl LogKind {
    /// Each kind, its name, and how many of its lines a window shows. A state of the whole server is told once; what
    /// peers do differs, so a few are shown.
    const ALL: [(LogKind, &str, u32); 7] = [
        (LogKind::AcceptFailed, "accept failed", 1),
        (LogKind::Refused, "refused at the connection limit", 1),
        (LogKind::RefusedSource, "refused at the limit of one source", 5),
        (LogKind::BadFrame, "bad frame", 5),
        (LogKind::Datagram, "datagram dropped", 5),
        (LogKind::QueueLimit, "queue limit reached", 1),
        (LogKind::Bye, "said bye", 1),
    ];
}

/// How long one window is: at most a line and its "suppressed" twice a minute for a state that lasts.
const WINDOW: Duration = Duration::from_secs(30);

#[derive(Clone, Copy, Default)]
struct Window {
    ends: Option<Tick>,
    shown: u32,
    suppressed: u64,
    level: Option<Level>,
}

/// Which lines may still be shown.
#[derive(Default)]
pub struct LogLimit {
    windows: [Window; LogKind::ALL.len()],
}

impl LogLimit {
    /// Logs `message` at `level`, unless this kind's lines are used up for the window.
    pub fn log(&mut self, kind: LogKind, level: Level, now: Tick, message: fmt::Arguments<'_>) {
        // A line that is not shown anyway is not counted as suppressed.
        if log::log_enabled!(target: "cooee", level) && self.admit(kind, level, now) {
            log::log!(target: "cooee", level, "{message}");
        }
    }

    fn admit(&mut self, kind: LogKind, level: Level, now: Tick) -> bool {
        let window = &mut self.windows[kind as usize];
        window.level = Some(level);
        window.ends.get_or_insert(now.after(WINDOW));
        if window.shown < LogKind::ALL[kind as usize].2 {
            window.shown += 1;
            return true;
        }
        window.suppressed += 1;
        false
    }

    /// When the next window with suppressed lines ends, if there is one.
    pub fn due(&self) -> Option<Tick> {
        self.windows.iter().filter(|window| window.suppressed > 0).filter_map(|window| window.ends).min()
    }

    /// Tells what was suppressed in the windows that have ended by `now`.
    pub fn report(&mut self, now: Tick) {
        for (window, (_, name, _)) in self.windows.iter_mut().zip(LogKind::ALL) {
            if window.ends.is_some_and(|ends| ends <= now) {
                if window.suppressed > 0 {
                    log::log!(target: "cooee", window.level.unwrap_or(Level::Warn), "suppressed {} more: {name}", window.suppressed);
                }
                *window = Window::default();
            }
        }
    }

    /// Tells what was suppressed until now, as at the end of the run.
    pub fn report_all(&mut self) {
        if let Some(last) = self.windows.iter().filter_map(|window| window.ends).max() {
            self.report(last);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_of_one_kind_shows_its_burst_and_then_a_number() {
        let mut limit = LogLimit::default();
        let shown = (0..100_000).filter(|_| limit.admit(LogKind::BadFrame, Level::Warn, Tick::START)).count();
        assert_eq!(shown, 5);
        assert_eq!(limit.windows[LogKind::BadFrame as usize].suppressed, 99_995);
        assert!(limit.admit(LogKind::Refused, Level::Warn, Tick::START), "kinds do not share a window");

        let end = limit.due().expect("something was suppressed");
        assert_eq!(end, Tick::START.after(WINDOW));
        limit.report(end);
        assert_eq!(limit.due(), None);
        assert!(limit.admit(LogKind::BadFrame, Level::Warn, end), "a new window begins");
    }

    #[test]
    fn nothing_is_due_where_nothing_was_suppressed() {
        let mut limit = LogLimit::default();
        assert!(limit.admit(LogKind::AcceptFailed, Level::Warn, Tick::START));
        assert_eq!(limit.due(), None);
    }
}
