//! What can be shown on standard error. One place decides for the log and for the line of progress, and it decides as
//! `clap` does for its help and its errors: all of them ask `anstream`.

use std::env;
use std::io::{self, IsTerminal};

use anstream::{AutoStream, ColorChoice};

/// Whether lines may have colours: on a terminal, unless `NO_COLOR`, `CLICOLOR=0` or `TERM=dumb` says no; and wherever
/// `CLICOLOR_FORCE` says so and `NO_COLOR` does not.
pub(crate) fn has_colors() -> bool {
    AutoStream::choice(&io::stderr()) != ColorChoice::Never
}

/// Whether a line can be drawn again in its place: on a terminal that can do more than print. Colours are no part of
/// that.
pub(crate) fn can_redraw() -> bool {
    io::stderr().is_terminal() && env::var_os("TERM").is_none_or(|name| name != "dumb")
}
