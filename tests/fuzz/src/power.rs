//! Which characters do something to the place where they are shown. Told here once more, by what they are and not by
//! where they lie, so that a gap in the program's own list is found.

/// Control characters (general category Cc: C0, DEL, C1), line and paragraph separators (Zl, Zp), and everything with
/// the property Bidi_Control (UAX #9).
const SEPARATORS: [char; 2] = ['\u{2028}', '\u{2029}'];
const BIDI_CONTROLS: [char; 12] = [
    '\u{61c}', '\u{200e}', '\u{200f}', '\u{202a}', '\u{202b}', '\u{202c}', '\u{202d}', '\u{202e}', '\u{2066}',
    '\u{2067}', '\u{2068}', '\u{2069}',
];

fn has_power(character: char) -> bool {
    character.is_control() || SEPARATORS.contains(&character) || BIDI_CONTROLS.contains(&character)
}

/// Fails where `text` could be more than one line, or do anything to a terminal.
#[track_caller]
pub fn assert_one_harmless_line(text: &str) {
    if let Some(character) = text.chars().find(|character| has_power(*character)) {
        panic!("{character:?} is left in {text:?}");
    }
}

/// The same for a text of several lines.
#[track_caller]
pub fn assert_harmless(text: &str) {
    text.split('\n').for_each(assert_one_harmless_line);
}
