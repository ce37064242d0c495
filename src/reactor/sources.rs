//! All sources of a reactor: a slab whose places know which occupant they hold.

use slab::Slab;

use crate::key::Key;

/// A slab with generations.
///
/// Invariant: of all the keys that were ever given out for one place, at most the last one finds an occupant.
#[derive(Debug)]
pub struct Sources<T> {
    slab: Slab<(u32, T)>,
    generation: u32,
}

impl<T> Default for Sources<T> {
    fn default() -> Sources<T> {
        Sources { slab: Slab::new(), generation: 0 }
    }
}

impl<T> Sources<T> {
    /// Puts `source` into a free place and names it.
    pub fn insert(&mut self, source: T) -> Key {
        self.generation = self.generation.wrapping_add(1);
        let entry = self.slab.vacant_entry();
        let key = Key::new(entry.key(), self.generation);
        entry.insert((key.generation(), source));
        key
    }

    /// The source that `key` names; none where the key is stale.
    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        match self.slab.get_mut(key.index()) {
            Some((generation, source)) if *generation == key.generation() => Some(source),
            _ => None,
        }
    }

    /// Takes the source that `key` names out; none where the key is stale.
    pub fn remove(&mut self, key: Key) -> Option<T> {
        self.get_mut(key)?;
        Some(self.slab.remove(key.index()).1)
    }

    /// Every source with its key.
    pub fn iter_mut(&mut self) -> impl Iterator<Item = (Key, &mut T)> {
        self.slab.iter_mut().map(|(index, (generation, source))| (Key::new(index, *generation), source))
    }

    /// Every source with its key.
    pub fn iter(&self) -> impl Iterator<Item = (Key, &T)> {
        self.slab.iter().map(|(index, (generation, source))| (Key::new(index, *generation), source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reused_place_is_not_found_by_the_old_key() {
        let mut sources = Sources::default();
        let old = sources.insert("old");
        assert_eq!(sources.remove(old), Some("old"));
        let new = sources.insert("new");
        assert_eq!(old.index(), new.index(), "the slab hands the last freed place out first");
        assert_eq!(sources.get_mut(old), None);
        assert_eq!(sources.remove(old), None);
        assert_eq!(sources.get_mut(new), Some(&mut "new"));
        assert_eq!(sources.iter().count(), 1);
    }
}
