//! The number that a handler knows an endpoint by.

use std::num::TryFromIntError;

/// The number that a handler knows an endpoint by: it is given with a listener, or with a connection that is asked for,
/// and comes back with each session that is opened there.
///
/// What it means is the handler's own: a place in a list of services, say. It is no name of a source, for all
/// connections of a listener have the same; that is a [`Key`](crate::os::key::Key).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub u32);

impl Tag {
    /// The place in a list that the tag stands for.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A place in a list as a tag; an error where the number does not fit.
impl TryFrom<usize> for Tag {
    type Error = TryFromIntError;

    fn try_from(index: usize) -> Result<Tag, TryFromIntError> {
        u32::try_from(index).map(Tag)
    }
}
