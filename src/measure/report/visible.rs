//! Text of others as it may be shown: on a page, in a picture, at a terminal.

use crate::protocol::escape::Escaped;

/// The text, [escaped](Escaped) where something in it has power over the place where it is shown. A backslash alone has
/// none: so escaping what is escaped changes nothing, and every place can do so for itself.
pub fn visible(text: &str) -> String {
    let escaped = Escaped(text).to_string();
    if escaped.replace(r"\\", r"\") == text { text.to_owned() } else { escaped }
}

/// The same of at most `max` characters; where there was more of it, it ends with dots.
pub fn shortened(text: &str, max: usize) -> String {
    let visible = visible(text);
    match visible.char_indices().nth(max) {
        None => visible,
        Some(_) => visible.chars().take(max.saturating_sub(1)).chain(['…']).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn showing_twice_is_showing_once() {
        for (text, shown) in [
            ("a", "a"),
            (r"C:\dir", r"C:\dir"),
            (r"\\x", r"\\x"),
            ("\x1b[m", r"\u{1b}[m"),
            ("\u{202e}\\\n", r"\u{202e}\\\n"),
        ] {
            assert_eq!(visible(text), shown);
            assert_eq!(visible(shown), shown);
        }
    }

    #[test]
    fn long_text_is_cut_and_short_text_is_not() {
        assert_eq!(shortened("abc", 3), "abc");
        assert_eq!(shortened("abcd", 3), "ab…");
        assert_eq!(shortened("\x1b", 10), "\\u{1b}");
    }
}
