//! Repeated log lines of one kind are cut to a few a window; what was left out is told as a number.
//!
//! What a client can make happen a hundred thousand times a second must not become as many lines.

use std::fmt;
use std::time::Duration;

use log::Level;

use crate::os::clock::Tick;
use crate::reactor::named::named;

named! {
    /// The kinds of lines that can repeat without end.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub enum LogKind {
        /// `accept` failed for lack of descriptors or memory.
        AcceptFailed = "accept failed",
        /// A newcomer was refused at the connection limit.
        Refused = "refused at the connection limit",
        /// A newcomer was refused because its source has so many connections.
        RefusedSource = "refused at the limit of one source",
        /// A peer broke the framing: too long a message, or a truncated one.
        BadFrame = "bad frame",
        /// A datagram could not be received or answered.
        Datagram = "datagram dropped",
        /// All owed bytes together reached their bound.
        QueueLimit = "queue limit reached",
        /// A peer asked the server to stop. While it drains, others may ask the same.
        Bye = "said bye",
    }
}

impl LogKind {
    /// How many lines a window shows. A state of the whole server is told once; what peers do differs, so a few are
    /// shown.
    fn burst(self) -> u32 {
        match self {
            LogKind::AcceptFailed | LogKind::Refused | LogKind::QueueLimit | LogKind::Bye => 1,
            LogKind::RefusedSource | LogKind::BadFrame | LogKind::Datagram => 5,
        }
    }
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
    windows: [Window; LogKind::COUNT],
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
        let window = &mut self.windows[kind.index()];
        window.level = Some(level);
        window.ends.get_or_insert(now.after(WINDOW));
        if window.shown < kind.burst() {
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
        for kind in LogKind::ALL {
            let window = &mut self.windows[kind.index()];
            if window.ends.is_some_and(|ends| ends <= now) {
                if window.suppressed > 0 {
                    log::log!(target: "cooee", window.level.unwrap_or(Level::Warn), "suppressed {} more: {}", window.suppressed, kind);
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
        assert_eq!(limit.windows[LogKind::BadFrame.index()].suppressed, 99_995);
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
