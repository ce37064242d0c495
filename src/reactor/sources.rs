//! All sources of a reactor: a slab whose places know which occupant they hold.

use slab::Slab;

use crate::os::clock::Tick;
use crate::os::key::Key;
use crate::reactor::metrics::Row;

/// A place in the slab: a source, and what the reactor itself remembers of it. The small fields share eight bytes.
#[derive(Debug)]
pub struct Place<T> {
    generation: u32,
    /// The endpoint that the source belongs to.
    pub row: Row,
    /// The source is on the ready list.
    pub listed: bool,
    /// The source is on a condition's list.
    pub waiting: bool,
    /// The deadline that is armed for it.
    pub armed: Option<Tick>,
    /// What lies here.
    pub source: T,
}

/// A slab with generations.
///
/// Invariant: of all the keys that were ever given out for one place, at most the last one finds an occupant.
#[derive(Debug)]
pub struct Sources<T> {
    slab: Slab<Place<T>>,
    generation: u32,
}

impl<T> Default for Sources<T> {
    fn default() -> Sources<T> {
        Sources { slab: Slab::new(), generation: 0 }
    }
}

impl<T> Sources<T> {
    /// Puts `source`, which belongs to the endpoint of `row`, into a free place, on no list, and names it.
    pub fn insert(&mut self, source: T, row: Row) -> Key {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.slab.vacant_entry();
        let key = Key::new(entry.key(), self.generation);
        entry.insert(Place { generation: key.generation(), row, listed: false, waiting: false, armed: None, source });
        key
    }

    /// The place of the source that `key` names; none where the key is stale.
    pub fn get(&self, key: Key) -> Option<&Place<T>> {
        self.slab.get(key.index()).filter(|place| place.generation == key.generation())
    }

    /// The place of the source that `key` names; none where the key is stale.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut Place<T>> {
        self.slab.get_mut(key.index()).filter(|place| place.generation == key.generation())
    }

    /// Takes the source that `key` names out of its place; none where the key is stale.
    pub fn remove(&mut self, key: Key) -> Option<Place<T>> {
        self.get(key)?;
        Some(self.slab.remove(key.index()))
    }

    /// Every source's place, with its key.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut Place<T>)> {
        self.slab.iter_mut().map(|(index, place)| (Key::new(index, place.generation), place))
    }

    /// Every source's place, with its key.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &Place<T>)> {
        self.slab.iter().map(|(index, place)| (Key::new(index, place.generation), place))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_place_is_not_found_by_the_old_key() {
        let mut sources = Sources::default();
        let old = sources.insert("old", Row::NONE);
        assert_eq!(sources.remove(old).unwrap().source, "old");
        let new = sources.insert("new", Row::NONE);
        assert_eq!(old.index(), new.index(), "the slab hands the last freed place out first");
        assert!(sources.get(old).is_none() && sources.get_mut(old).is_none() && sources.remove(old).is_none());
        assert_eq!(sources.get(new).unwrap().source, "new");
        assert_eq!(sources.iter().count(), 1);
    }
}
