//! Text from the network on its way to a terminal or a log: visible, on one line, and without power.
//!
//! Control characters move the cursor, set titles and answer back; line separators forge log lines; bidirectional
//! controls show words in another order than they have (Trojan Source, CVE-2021-42574). All of them, and the backslash
//! that marks an escape, are escaped.

use std::fmt::{self, Write};

/// Text as it may be shown: `\n`, `\t`, `\r`, `\\` and `\u{..}` stand for what must not be shown.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\n' => f.write_str("\\n")?,
                '\r' => f.write_str("\\r")?,
                '\t' => f.write_str("\\t")?,
                '\\' => f.write_str("\\\\")?,
                _ if has_power(character) => write!(f, "\\u{{{:x}}}", u32::from(character))?,
                _ => f.write_char(character)?,
            }
        }
        Ok(())
    }
}

/// Whether a character does something to the place where it is shown: C0, DEL, C1, line and paragraph separators,
/// bidirectional controls (UAX #9).
fn has_power(character: char) -> bool {
    matches!(
        character,
        '\0'..='\x1f' | '\x7f'..='\u{9f}' | '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        assert_eq!(Escaped("数据[héllo]收到了! 🎉").to_string(), "数据[héllo]收到了! 🎉");
    }

    #[test]
    fn everything_with_power_is_escaped() {
        assert_eq!(Escaped("\x1b[31m").to_string(), "\\u{1b}[31m");
        assert_eq!(Escaped("a\r\n\tb\\").to_string(), "a\\r\\n\\tb\\\\");
        assert_eq!(Escaped("\u{9b}31m\u{2028}\u{202e}\x7f\0").to_string(), "\\u{9b}31m\\u{2028}\\u{202e}\\u{7f}\\u{0}");
    }

    #[test]
    fn no_character_with_power_is_left() {
        let all: String = (0..=0x2100u32).filter_map(char::from_u32).collect();
        assert!(!Escaped(&all).to_string().chars().any(has_power));
    }
}
