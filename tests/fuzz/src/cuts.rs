//! How an input is cut on its way.

use arbitrary::Arbitrary;

/// The lengths of the parts, in turn and again and again; 0 is all that is left.
#[derive(Arbitrary, Clone, Copy, Debug)]
pub struct Cuts([u8; 4]);

impl Cuts {
    /// The parts of `bytes`.
    pub fn parts(self, mut bytes: &[u8]) -> impl Iterator<Item = &[u8]> {
        let mut lengths = self.0.into_iter().cycle();
        std::iter::from_fn(move || {
            let length = lengths.next().filter(|length| *length > 0).map_or(bytes.len(), usize::from);
            let (part, rest) = bytes.split_at(length.min(bytes.len()));
            bytes = rest;
            Some(part).filter(|part| !part.is_empty())
        })
    }
}
