//! The shell of a page: one file with its style in it, that loads nothing.
//!
//! Whatever is put into it is escaped by `maud`; nothing runs in it, and its policy forbids it to load anything.

use maud::{DOCTYPE, Markup, PreEscaped, html};

use crate::measure::report::visible::{shortened, visible};

/// The style sheet. It says what the roles of [`ink`](crate::measure::report::ink) look like in a light and in a dark
/// theme.
const STYLE: &str = include_str!("page.css");

/// Nothing may be loaded, and nothing may run. The style is in the page itself.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'";

/// What a page begins with.
#[derive(Clone, Copy, Debug)]
pub struct Head<'a> {
    /// What a browser calls the page. It tells it from others of its kind.
    pub title: &'a str,
    /// What stands at the top.
    pub heading: &'a str,
    /// The first sentence: what has come out.
    pub verdict: &'a str,
    /// What was done, below it.
    pub lead: &'a str,
}

/// A whole page.
pub fn page(head: Head, body: &Markup) -> String {
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                meta name="generator" content={ "cooee " (env!("CARGO_PKG_VERSION")) };
                title { (visible(head.title)) }
                link rel="icon" href="data:,";
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { (visible(head.heading)) }
                    p.verdict { (visible(head.verdict)) }
                    p.lead { (visible(head.lead)) }
                }
                main { (body) }
            }
        }
    }
    .into_string()
}

/// A part of a page under a heading.
pub fn section(title: &str, body: &Markup) -> Markup {
    html! {
        section {
            h2 { (visible(title)) }
            (body)
        }
    }
}

/// How loud a notice is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tone {
    /// The figures are not to be trusted, or something was wrong.
    Alarm,
    /// A condition that a reader of the figures has to know.
    Caution,
}

/// Something that stands before the figures: a heading and sentences.
pub fn notice(tone: Tone, heading: &str, sentences: &[String]) -> Markup {
    html! {
        div.notice.alarm[tone == Tone::Alarm] role="note" {
            strong { (visible(heading)) }
            @for sentence in sentences { p { (visible(sentence)) } }
        }
    }
}

/// Things and what they are: `figures`, which are large, or `facts`.
pub fn list(class: &str, rows: &[(impl AsRef<str>, String)]) -> Markup {
    html! {
        dl.(class) {
            @for (name, value) in rows {
                div { dt { (visible(name.as_ref())) } dd { (visible(value)) } }
            }
        }
    }
}

/// A table whose first column names its rows. A table that is too wide for the page can be moved sideways in its own
/// box.
pub fn table(head: &[String], rows: &[Vec<String>]) -> Markup {
    html! {
        div.scroll tabindex="0" role="region" aria-label="table" {
            table {
                thead { tr { @for cell in head { th scope="col" { (visible(cell)) } } } }
                tbody {
                    @for row in rows {
                        tr {
                            @for (index, cell) in row.iter().enumerate() {
                                @if index == 0 { th scope="row" { (visible(cell)) } } @else { td { (visible(cell)) } }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A table that fits a telephone: a row for each thing that is compared, with its name and a few cells.
pub fn compared<'a>(class: &str, head: &[&str], rows: impl Iterator<Item = (&'a str, Vec<Markup>)>) -> Markup {
    html! {
        table class=(class) {
            thead { tr { @for cell in head { th scope="col" { (cell) } } } }
            tbody {
                @for (name, cells) in rows {
                    tr {
                        th scope="row" { (shortened(name, 40)) }
                        @for cell in cells { td { (cell) } }
                    }
                }
            }
        }
    }
}

/// A sentence that begins like one.
pub(crate) fn capitalized(text: &str) -> String {
    text.split_at_checked(1).map_or(text.to_owned(), |(first, rest)| first.to_uppercase() + rest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::ink::{Ink, SERIES};

    const HOSTILE: &str = "</title><script src=http://x>&\"'\u{202e}\x1b";

    #[test]
    fn everything_is_escaped_everywhere() {
        let hostile = || HOSTILE.to_owned();
        let body = html! {
            (section(HOSTILE, &html! { (notice(Tone::Alarm, HOSTILE, &[hostile()])) }))
            (list("figures", &[(HOSTILE, hostile())]))
            (list("facts", &[(hostile(), hostile())]))
            (table(&[hostile(), hostile()], &[vec![hostile(), hostile()]]))
        };
        let page = page(Head { title: HOSTILE, heading: HOSTILE, verdict: HOSTILE, lead: HOSTILE }, &body);
        assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains('\x1b'));
        assert_eq!(page.matches("&lt;script").count(), 15, "{page}");
    }

    #[test]
    fn a_page_names_no_other_place() {
        let page = page(
            Head { title: "title", heading: "heading", verdict: "verdict", lead: "lead" },
            &html! { p { "text" } },
        );
        for word in ["http:", "https:", "src=", "@import", "<script"] {
            assert!(!page.contains(word), "{word}");
        }
        assert!(page.contains("default-src &#39;none&#39;") || page.contains("default-src 'none'"));
    }

    #[test]
    fn the_style_knows_every_ink() {
        for ink in (0..SERIES).map(Ink::Series).chain([Ink::Bad]) {
            let role = ink.role();
            for selector in [format!("[stroke=\"{role}\"]"), format!("[fill=\"{role}\"]")] {
                assert!(STYLE.contains(&selector), "{selector}");
            }
        }
    }
}
