//! How the text of an editor lies in a file: what a byte order mark says, and where lines end.
//!
//! Editors of Windows put U+FEFF at the beginning, and some write UTF-16. Without a mark, bytes are what they are.

use std::borrow::Cow;

use encoding_rs::{Encoding, UTF_16BE, UTF_16LE};

/// How the characters of a text lie in its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextForm {
    /// UTF-8, or bytes of another kind in which LF is a byte: they are taken as they are.
    Bytes,
    /// UTF-16, the low byte first.
    Utf16Le,
    /// UTF-16, the high byte first.
    Utf16Be,
}

/// Marks, with what they say.
const MARKS: [(&[u8], TextForm); 3] =
    [(b"\xef\xbb\xbf", TextForm::Bytes), (b"\xff\xfe", TextForm::Utf16Le), (b"\xfe\xff", TextForm::Utf16Be)];

impl TextForm {
    /// The form of a text that begins with `start`, and the length of its mark. `None` if more bytes are needed, which
    /// is never so at the `end` of the text.
    pub(crate) fn of(start: &[u8], end: bool) -> Option<(TextForm, usize)> {
        if let Some((mark, form)) = MARKS.iter().find(|(mark, _)| start.starts_with(mark)) {
            return Some((*form, mark.len()));
        }
        let may_become_one = MARKS.iter().any(|(mark, _)| mark.starts_with(start));
        (end || !may_become_one).then_some((TextForm::Bytes, 0))
    }

    /// How many bytes a character has at least.
    pub(crate) fn unit(self) -> usize {
        if self == TextForm::Bytes { 1 } else { 2 }
    }

    /// The first line of `text` without its LF, and where the next one begins. `None` without an LF.
    pub(crate) fn first_line(self, text: &[u8]) -> Option<(&[u8], usize)> {
        let line_feed = match self {
            TextForm::Bytes => return memchr::memchr(b'\n', text).map(|at| (&text[..at], at + 1)),
            TextForm::Utf16Le => *b"\n\0",
            TextForm::Utf16Be => *b"\0\n",
        };
        let at = 2 * text.chunks_exact(2).position(|unit| unit == line_feed)?;
        Some((&text[..at], at + 2))
    }

    /// The text as UTF-8, without a mark. `None` if it is not the UTF-16 that its mark says.
    pub(crate) fn to_utf8(self, text: &[u8]) -> Option<Cow<'_, [u8]>> {
        let utf_16 = |encoding: &'static Encoding| {
            let text = encoding.decode_without_bom_handling_and_without_replacement(text)?;
            Some(Cow::Owned(text.into_owned().into_bytes()))
        };
        match self {
            TextForm::Bytes => Some(Cow::Borrowed(text)),
            TextForm::Utf16Le => utf_16(UTF_16LE),
            TextForm::Utf16Be => utf_16(UTF_16BE),
        }
    }
}

/// A whole text as UTF-8, without a mark. `None` if it is not the UTF-16 that its mark says.
pub fn whole_to_utf8(text: &[u8]) -> Option<Cow<'_, [u8]>> {
    let (form, mark) = TextForm::of(text, true)?;
    form.to_utf8(&text[mark..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mark_says_the_form_and_is_no_text() {
        assert_eq!(TextForm::of(b"\xef\xbb\xbfhi", false), Some((TextForm::Bytes, 3)));
        assert_eq!(TextForm::of(b"\xff\xfeh\0", false), Some((TextForm::Utf16Le, 2)));
        assert_eq!(TextForm::of(b"\xfe\xff\0h", false), Some((TextForm::Utf16Be, 2)));
        assert_eq!(TextForm::of(b"hi", false), Some((TextForm::Bytes, 0)));
    }

    #[test]
    fn a_mark_may_come_in_pieces() {
        for start in [&b""[..], b"\xef", b"\xef\xbb", b"\xff", b"\xfe"] {
            assert_eq!(TextForm::of(start, false), None);
            assert_eq!(TextForm::of(start, true), Some((TextForm::Bytes, 0)));
        }
        assert_eq!(TextForm::of(b"\xef\xbb\n", false), Some((TextForm::Bytes, 0)));
    }

    #[test]
    fn a_line_of_utf_16_ends_at_a_character_and_not_at_two_bytes() {
        // U+0A00 and U+000A in a row, in both orders of bytes, hold the other's LF between them.
        assert_eq!(TextForm::Utf16Be.first_line(b"\x0a\0\0\n\0x"), Some((&b"\x0a\0"[..], 4)));
        assert_eq!(TextForm::Utf16Le.first_line(b"\0\n\n\0x\0"), Some((&b"\0\n"[..], 4)));
        assert_eq!(TextForm::Utf16Le.first_line(b"x\0\n"), None);
        assert_eq!(TextForm::Bytes.first_line(b"x\n\ny"), Some((&b"x"[..], 2)));
    }

    #[test]
    fn the_text_is_the_same_in_every_form() {
        let text = "\u{feff}a数𐍈\r\n";
        let le: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let be: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [text.as_bytes(), &le, &be] {
            assert_eq!(whole_to_utf8(bytes).as_deref(), Some("a数𐍈\r\n".as_bytes()));
        }
        assert_eq!(whole_to_utf8(b"\xff\xfe\0\xd8"), None, "half of a pair");
        assert_eq!(whole_to_utf8(b"\xff\xfea"), None, "half of a unit");
        assert_eq!(whole_to_utf8(b"\xc3\x28").as_deref(), Some(&b"\xc3\x28"[..]), "bytes are what they are");
    }
}
