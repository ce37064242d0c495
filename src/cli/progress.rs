//! The line that tells how far a run has come, on a terminal.
//!
//! It is drawn only on a terminal that takes it at once: a stopped terminal (^S) must not stop the run. It has no
//! colours, so `NO_COLOR` changes nothing.

use std::env;
use std::io::{self, IsTerminal};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::measure::load::progress::{self, Stage};
use crate::measure::report::human;
use crate::os::standard_stream::stderr_is_ready;

/// The steps to the end. A run knows its progress as a share and not as a number of steps.
const STEPS: u64 = 1_000;

/// The progress line; nothing unless standard error is a terminal that can redraw a line.
pub(crate) struct ProgressLine {
    bar: Option<ProgressBar>,
}

impl ProgressLine {
    /// A line on standard error, which the first [`ProgressLine::show`] draws.
    pub(crate) fn start() -> ProgressLine {
        ProgressLine { bar: can_redraw().then(|| bar(ProgressDrawTarget::stderr())).flatten() }
    }

    /// Draws how far the run has come, unless the terminal does not take it now.
    pub(crate) fn show(&self, progress: &progress::Progress) {
        let Some(bar) = &self.bar else { return };
        if !stderr_is_ready() {
            return;
        }
        bar.set_message(line(progress));
        bar.set_position(position(progress));
    }
}

/// Removes the line, on whatever way a run ends.
impl Drop for ProgressLine {
    fn drop(&mut self) {
        if let Some(bar) = self.bar.take() {
            if !stderr_is_ready() {
                bar.set_draw_target(ProgressDrawTarget::hidden());
            }
            bar.finish_and_clear();
        }
    }
}

/// Whether standard error is a terminal that can do more than print.
fn can_redraw() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|name| name != "dumb")
}

fn bar(target: ProgressDrawTarget) -> Option<ProgressBar> {
    let style = ProgressStyle::with_template("{percent:>3} %  {wide_msg}").ok()?;
    let bar = ProgressBar::with_draw_target(Some(STEPS), target);
    bar.set_style(style);
    Some(bar)
}

/// How many of the steps are done.
fn position(progress: &progress::Progress) -> u64 {
    (progress.done.clamp(0.0, 1.0) * STEPS as f64) as u64
}

fn line(progress: &progress::Progress) -> String {
    let stage = match progress.stage {
        Stage::Connecting => " connecting",
        Stage::WarmingUp => " warming up",
        Stage::Measuring => "",
        Stage::Waiting => " waiting for replies",
        Stage::Listening => " looking for more than was asked for",
    };
    let connections = if progress.connections == 1 { "connection" } else { "connections" };
    let mut line = format!(
        "{:.1} s{stage}, {} {connections}, {} messages/s",
        progress.elapsed.as_secs_f64(),
        human::count(progress.connections as u64),
        human::rate(progress.messages_per_second),
    );
    if let Some(p99) = progress.p99 {
        line.push_str(&format!(", p99 {}", human::latency(p99 as f64)));
    }
    if progress.in_vain > 0 {
        line.push_str(&format!(", {} waited in vain", human::count(progress.in_vain)));
    }
    if progress.errors > 0 {
        line.push_str(&format!(", {} errors", human::count(progress.errors)));
    }
    line
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use indicatif::TermLike;

    use super::*;

    /// A terminal of 80 columns that remembers what stands in its line.
    #[derive(Clone, Debug, Default)]
    struct Terminal(Arc<Mutex<String>>);

    impl TermLike for Terminal {
        fn width(&self) -> u16 {
            80
        }
        fn move_cursor_up(&self, _lines: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_down(&self, _lines: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_right(&self, _columns: usize) -> io::Result<()> {
            Ok(())
        }
        fn move_cursor_left(&self, _columns: usize) -> io::Result<()> {
            Ok(())
        }
        fn write_line(&self, text: &str) -> io::Result<()> {
            self.write_str(text)
        }
        fn write_str(&self, text: &str) -> io::Result<()> {
            self.0.lock().unwrap().push_str(text);
            Ok(())
        }
        fn clear_line(&self) -> io::Result<()> {
            self.0.lock().unwrap().clear();
            Ok(())
        }
        fn flush(&self) -> io::Result<()> {
            Ok(())
        }
    }

    fn progress() -> progress::Progress {
        progress::Progress {
            stage: Stage::Measuring,
            elapsed: Duration::from_millis(4_250),
            done: 0.5,
            connections: 50,
            messages_per_second: 98_123.4,
            p99: Some(1_230_000),
            in_vain: 0,
            errors: 3,
        }
    }

    #[test]
    fn the_line_tells_what_happens() {
        assert_eq!(line(&progress()), "4.2 s, 50 connections, 98,123 messages/s, p99 1.23 ms, 3 errors");
        let first = progress::Progress { stage: Stage::Connecting, connections: 1, p99: None, errors: 0, ..progress() };
        assert_eq!(line(&first), "4.2 s connecting, 1 connection, 98,123 messages/s");
        let lossy = progress::Progress { in_vain: 12, errors: 0, ..progress() };
        assert!(line(&lossy).ends_with(", p99 1.23 ms, 12 waited in vain"), "{}", line(&lossy));
    }

    #[test]
    fn a_share_that_is_none_draws_nothing_odd() {
        for (done, steps) in [(0.5, 500), (-1.0, 0), (7.0, STEPS), (f64::NAN, 0)] {
            assert_eq!(position(&progress::Progress { done, ..progress() }), steps);
        }
    }

    #[test]
    fn the_line_is_drawn_without_colours_cut_to_the_width_and_removed() {
        let terminal = Terminal::default();
        let bar = bar(ProgressDrawTarget::term_like(Box::new(terminal.clone()))).unwrap();
        bar.set_message(line(&progress()));
        bar.set_position(position(&progress()));
        bar.tick();
        let drawn = terminal.0.lock().unwrap().clone();
        assert!(drawn.starts_with(" 50 %  4.2 s, 50 connections") && drawn.contains("3 errors"), "{drawn}");
        assert!(drawn.trim_end().chars().count() <= 80 && !drawn.contains('\x1b'), "{drawn:?}");
        bar.finish_and_clear();
        assert_eq!(*terminal.0.lock().unwrap(), "");
    }
}
