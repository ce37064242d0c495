//! Who is connected: how many are served, how many are being refused, and how many each source has.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use crate::reactor::connection::Origin;

/// The connections of a reactor, counted. Each enters when it comes and leaves when it is closed, and nothing is
/// counted anywhere else.
///
/// Sources are counted exactly, and only where their number is limited. A source is in the table while it has a
/// connection, so there are at most as many entries as connections. (The standard library keys the table at random, so
/// that no client can choose addresses that collide.)
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Census {
    /// Connections that count for the limit.
    pub(super) served: usize,
    /// Newcomers over a limit that are being told so.
    pub(super) refused: usize,
    sources: Option<HashMap<u64, u32>>,
}

impl Census {
    /// A census without connections.
    pub(super) fn new(counts_sources: bool) -> Census {
        Census { served: 0, refused: 0, sources: counts_sources.then(HashMap::new) }
    }

    /// The count that a connection belongs to, if to any.
    fn count(&mut self, origin: Origin) -> Option<&mut usize> {
        match origin {
            Origin::Refused(_) => Some(&mut self.refused),
            Origin::Accepted | Origin::Connected => Some(&mut self.served),
            Origin::Attached => None,
        }
    }

    /// A connection comes. `source` is its client's, where it has one.
    pub(super) fn enter(&mut self, origin: Origin, source: Option<u64>) {
        self.count(origin).into_iter().for_each(|count| *count += 1);
        if let (Some(sources), Some(source)) = (&mut self.sources, source) {
            *sources.entry(source).or_default() += 1;
        }
    }

    /// A connection that has entered goes.
    pub(super) fn leave(&mut self, origin: Origin, source: Option<u64>) {
        self.count(origin).into_iter().for_each(|count| *count -= 1);
        if let (Some(sources), Some(source)) = (&mut self.sources, source)
            && let Entry::Occupied(mut count) = sources.entry(source)
        {
            *count.get_mut() -= 1;
            if *count.get() == 0 {
                count.remove();
            }
        }
    }

    /// How many connections a source has; none where sources are not counted.
    pub(super) fn of_source(&self, source: u64) -> usize {
        self.sources.as_ref().and_then(|sources| sources.get(&source)).map_or(0, |count| *count as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reactor::close_reason::CloseReason;

    #[test]
    fn a_source_is_in_the_table_while_it_has_a_connection() {
        let mut census = Census::new(true);
        for _ in 0..2 {
            census.enter(Origin::Accepted, Some(7));
        }
        census.enter(Origin::Accepted, None);
        census.enter(Origin::Refused(CloseReason::Refused), None);
        census.enter(Origin::Attached, None);
        assert_eq!((census.served, census.refused, census.of_source(7), census.of_source(8)), (3, 1, 2, 0));
        census.leave(Origin::Accepted, Some(7));
        assert_eq!(census.of_source(7), 1);
        census.leave(Origin::Accepted, Some(7));
        census.leave(Origin::Accepted, None);
        census.leave(Origin::Refused(CloseReason::Refused), None);
        census.leave(Origin::Attached, None);
        assert_eq!(census, Census::new(true), "nothing is left of it");
    }

    #[test]
    fn sources_that_nobody_asked_for_take_no_memory() {
        let mut census = Census::new(false);
        census.enter(Origin::Accepted, Some(7));
        assert_eq!((census.served, census.of_source(7)), (1, 0));
        census.leave(Origin::Accepted, Some(7));
        assert_eq!(census, Census::new(false));
    }
}
