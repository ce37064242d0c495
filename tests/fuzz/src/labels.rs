//! The labels of encodings.

/// Every label of the WHATWG standard (<https://encoding.spec.whatwg.org/#names-and-labels>), one a line.
const LABELS: &str = include_str!("labels.txt");

/// The label that a byte stands for.
pub fn label(byte: u8) -> &'static str {
    LABELS.lines().nth(usize::from(byte) % LABELS.lines().count()).expect("there are labels")
}
