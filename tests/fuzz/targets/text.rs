//! In every encoding, under each of its labels, and wherever the bytes are cut: chunks hold every byte once, no
//! character is split, and what is read piece by piece is what is read at once. What cannot be encoded is named.
#![no_main]

use arbitrary::Arbitrary;
use cooee::protocol::charset::Charset;
use cooee::protocol::frame::Parsed;
use cooee::protocol::framing::chunk;
use cooee::protocol::framing::{Framing, Rules};
use cooee_fuzz::cuts::Cuts;
use cooee_fuzz::labels::label;
use encoding_rs::{Encoding, ISO_2022_JP};
use libfuzzer_sys::fuzz_target;

/// The longest beginning of a character that can be without its end: three bytes of GB18030's four.
const BEGINNING_MAX: usize = 3;

/// Of how many beginnings of an input it is asked where they can be cut: each is read from its first byte on.
const PREFIXES_MAX: usize = 48;

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    label: u8,
    cuts: Cuts,
    bytes: &'a [u8],
}

fuzz_target!(|input: Input| {
    let Input { label: number, cuts, bytes } = input;
    let label = label(number);
    let encoding = Encoding::for_label(label.as_bytes()).expect("a label of the standard");
    let Ok(charset) = Charset::for_label(label) else {
        assert!(encoding.output_encoding() != encoding, "{label} can be encoded");
        return;
    };
    assert_eq!(Charset::for_label(&charset.to_string()), Ok(charset), "{label}");
    let is_stateful = encoding == ISO_2022_JP;

    let pieces = chunks(charset, cuts.parts(bytes));
    assert_eq!(pieces.concat(), bytes);
    if !is_stateful {
        // Even what is no text is the same garbage, however it came.
        assert_eq!(together(charset, &pieces), charset.decode(bytes), "{label}");
    }
    for length in 0..=bytes.len().min(PREFIXES_MAX) {
        let whole = charset.whole_characters(&bytes[..length]);
        assert!(whole <= length && (is_stateful || length - whole <= BEGINNING_MAX), "{label}: {whole} of {length}");
    }
    encoded(charset, is_stateful, cuts, &String::from_utf8_lossy(bytes));
});

/// The same for a text that is encoded, which holds nothing but characters.
fn encoded(charset: Charset, is_stateful: bool, cuts: Cuts, text: &str) {
    let bytes = match charset.encode(text) {
        Ok(bytes) => bytes,
        Err(unknown) => {
            let at = text.find(unknown).unwrap_or_else(|| panic!("{unknown:?} is not in {text:?}"));
            assert!(charset.encode(&text[..at]).is_ok(), "{charset}: {unknown:?} is not the first");
            assert!(charset.encode(unknown.encode_utf8(&mut [0; 4])).is_err(), "{charset} has {unknown:?}");
            return;
        }
    };
    // Some characters share their bytes with others: what is read may be another text, but then that is its encoding
    // too.
    let read = charset.decode(&bytes);
    assert_eq!(charset.encode(&read).as_deref(), Ok(&bytes[..]), "{charset}: {text:?} was read as {read:?}");
    // A stateful text that does not come back to ASCII within a chunk is cut all the same.
    if is_stateful && bytes.len() >= chunk::MAX {
        return;
    }
    let pieces = chunks(charset, cuts.parts(&bytes));
    assert_eq!(together(charset, &pieces), read, "{charset}");
    for length in 0..=bytes.len().min(PREFIXES_MAX) {
        let whole = &bytes[..charset.whole_characters(&bytes[..length])];
        assert_eq!(charset.whole_characters(whole), whole.len(), "{charset}: what is whole is whole");
        let beginning = charset.decode(whole);
        assert!(read.starts_with(&*beginning), "{charset}: {length} bytes are read as {beginning:?}");
    }
}

/// The chunks of an input that comes in these parts.
fn chunks<'a>(charset: Charset, parts: impl Iterator<Item = &'a [u8]>) -> Vec<Vec<u8>> {
    let rules = Rules { framing: Framing::Chunk, max_frame: 1, charset };
    let (mut kept, mut chunks) = (Vec::new(), Vec::new());
    let mut take = |kept: &mut Vec<u8>, end: bool| {
        while let Parsed::Frame(frame) = rules.next(kept, 0, &mut 0, end) {
            assert!(frame.body == (0..frame.end) && (1..=chunk::MAX).contains(&frame.end), "{frame:?}");
            chunks.push(kept.drain(..frame.end).collect());
        }
    };
    for part in parts {
        kept.extend_from_slice(part);
        take(&mut kept, false);
    }
    take(&mut kept, true);
    assert!(kept.is_empty(), "{} bytes are left at the end", kept.len());
    chunks
}

/// What the chunks say when each is read for itself.
fn together(charset: Charset, chunks: &[Vec<u8>]) -> String {
    chunks.iter().map(|chunk| charset.decode(chunk)).collect()
}
