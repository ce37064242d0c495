//! Text in the encodings of the WHATWG standard (<https://encoding.spec.whatwg.org/>), by `encoding_rs`.

use std::borrow::Cow;
use std::error::Error;
use std::fmt;

use encoding_rs::{DecoderResult, Encoding, UTF_8};

/// What brings ISO-2022-JP back to ASCII (RFC 1468).
const TO_ASCII: &[u8] = b"\x1b(B";

/// Why a label names no [`Charset`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CharsetError {
    /// The standard has no such label.
    Unknown,
    /// The encoding of this name can be decoded but not encoded.
    DecodesAlone(&'static str),
}

impl fmt::Display for CharsetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CharsetError::Unknown => {
                write!(f, "it is not a label of the WHATWG standard (utf-8, gbk, gb18030, big5, shift_jis, ...)")
            }
            CharsetError::DecodesAlone(name) => write!(f, "{name} can be decoded but not encoded"),
        }
    }
}

impl Error for CharsetError {}

/// An encoding that can encode as well as decode.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Charset(&'static Encoding);

impl Charset {
    /// UTF-8.
    pub const UTF_8: Charset = Charset(UTF_8);

    /// The encoding that a WHATWG label such as `gbk` or `shift_jis` names.
    ///
    /// Labels of encodings that can only decode are errors: for `utf-16`, say, an encoder would silently give UTF-8.
    pub fn for_label(label: &str) -> Result<Charset, CharsetError> {
        let encoding = Encoding::for_label(label.as_bytes()).ok_or(CharsetError::Unknown)?;
        if encoding.output_encoding() != encoding {
            return Err(CharsetError::DecodesAlone(encoding.name()));
        }
        Ok(Charset(encoding))
    }

    /// `text` in this encoding; the first character that it cannot hold is the error.
    pub fn encode<'a>(self, text: &'a str) -> Result<Cow<'a, [u8]>, char> {
        let (bytes, _, lossy) = self.0.encode(text);
        if !lossy {
            return Ok(bytes);
        }
        let unmappable = |character: &char| self.0.encode(character.encode_utf8(&mut [0; 4])).2;
        Err(text.chars().find(unmappable).unwrap_or(char::REPLACEMENT_CHARACTER))
    }

    /// `bytes` as text, with U+FFFD for what is no text. A byte order mark is a character like any other.
    pub fn decode(self, bytes: &[u8]) -> Cow<'_, str> {
        self.0.decode_without_bom_handling(bytes).0
    }

    /// How many of `bytes`, which begin with a character, are whole characters: all of them, but for the beginning of a
    /// last one whose end is missing. Bytes that are no text at all count as whole: they will not get better.
    pub fn whole_characters(self, bytes: &[u8]) -> usize {
        if !self.0.is_ascii_compatible() {
            return self.back_in_ascii(bytes);
        }
        if Encoding::ascii_valid_up_to(bytes) == bytes.len() {
            return bytes.len();
        }
        bytes.len() - self.held_back(bytes)
    }

    /// How many of `bytes` there are up to the last place where a stateful encoding (ISO-2022-JP) is back in ASCII:
    /// only there can a text be cut into two that each mean the same by themselves.
    fn back_in_ascii(self, bytes: &[u8]) -> usize {
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let mut back = 0;
        for (at, byte) in bytes.iter().enumerate() {
            let _ = decoder.decode_to_utf8(std::slice::from_ref(byte), &mut [0; 16], false);
            // Behind its last escape the decoder still waits for what comes, to tell an empty sequence from a used one.
            if decoder.latin1_byte_compatible_up_to(b"").is_some() || bytes[..=at].ends_with(TO_ASCII) {
                back = at + 1;
            }
        }
        back
    }

    /// How many bytes at the end of `bytes` a decoder that has read them all holds back, since they begin a character:
    /// those that it complains of when nothing comes behind them.
    fn held_back(self, bytes: &[u8]) -> usize {
        let mut decoder = self.0.new_decoder_without_bom_handling();
        let mut text = [0; 1024];
        let mut rest = bytes;
        loop {
            let (result, read, _) = decoder.decode_to_utf8_without_replacement(rest, &mut text, false);
            rest = &rest[read..];
            if result == DecoderResult::InputEmpty {
                break;
            }
        }
        match decoder.decode_to_utf8_without_replacement(b"", &mut text, true).0 {
            DecoderResult::Malformed(length, _) => usize::from(length),
            DecoderResult::InputEmpty | DecoderResult::OutputFull => 0,
        }
    }
}

impl fmt::Display for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.name().to_ascii_lowercase())
    }
}

impl fmt::Debug for Charset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn charset(label: &str) -> Charset {
        Charset::for_label(label).unwrap()
    }

    #[test]
    fn only_encodings_that_encode_are_taken() {
        assert_eq!(charset("GBK").to_string(), "gbk");
        assert!(Charset::for_label("utf-16").unwrap_err().to_string().contains("not encoded"));
        assert!(Charset::for_label("replacement").is_err());
        assert_eq!(Charset::for_label("klingon"), Err(CharsetError::Unknown));
    }

    #[test]
    fn the_character_that_does_not_fit_is_named() {
        assert_eq!(charset("gbk").encode("数据").unwrap().as_ref(), [0xca, 0xfd, 0xbe, 0xdd]);
        assert_eq!(charset("windows-1252").encode("a数b"), Err('数'));
    }

    /// Every prefix of a text ends in a whole character exactly where its characters end.
    #[test]
    fn beginnings_of_characters_are_found_in_every_encoding() {
        for (label, text) in [
            ("utf-8", "a数é𐍈]"),
            ("gbk", "a数据]誡b"),
            ("gb18030", "a数𐍈é]b"),
            ("big5", "a數據]功b"),
            ("shift_jis", "aデータ]ソb"),
            ("euc-jp", "aデータ字b"),
            ("euc-kr", "a데이터b"),
            ("windows-1252", "aéb"),
        ] {
            let charset = charset(label);
            let bytes = charset.encode(text).unwrap();
            let ends: Vec<usize> = (0..=text.len())
                .filter(|at| text.is_char_boundary(*at))
                .map(|at| charset.encode(&text[..at]).unwrap().len())
                .collect();
            for length in 1..=bytes.len() {
                let expected = *ends.iter().rfind(|end| **end <= length).unwrap();
                assert_eq!(charset.whole_characters(&bytes[..length]), expected, "{label}, {length} bytes");
            }
        }
    }

    #[test]
    fn a_stateful_encoding_is_cut_only_where_it_is_back_in_ascii() {
        let charset = charset("iso-2022-jp");
        let bytes = charset.encode("a字b").unwrap();
        assert_eq!(bytes.as_ref(), b"a\x1b$B;z\x1b(Bb");
        let whole: Vec<usize> = (1..=bytes.len()).map(|length| charset.whole_characters(&bytes[..length])).collect();
        assert_eq!(whole, [1, 1, 1, 1, 1, 1, 1, 1, 9, 10]);
    }

    #[test]
    fn what_is_no_text_is_whole() {
        assert_eq!(Charset::UTF_8.whole_characters(b"\xff\xff\xff\xff"), 4);
        assert_eq!(Charset::UTF_8.whole_characters(b"ab\x80\x80\x80\x80\x80"), 7);
        assert_eq!(charset("gbk").whole_characters(b"\xff\xff\xff"), 3);
    }

    /// What begins a character is not one with the garbage in front of it, of which each byte could have begun one too.
    #[test]
    fn a_character_behind_garbage_is_not_split() {
        for length in 3..6 {
            assert_eq!(Charset::UTF_8.whole_characters(&b"\xc3\xc7\xf0\x90\x8d\x88"[..length]), 2, "{length} bytes");
        }
        assert_eq!(Charset::UTF_8.whole_characters(b"\xc3\xc7\xf0\x90\x8d\x88"), 6);
        assert_eq!(charset("euc-jp").whole_characters(b"\x8f\x8f\x8f\xa1"), 2);
    }
}
