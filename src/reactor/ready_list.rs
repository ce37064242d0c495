//! The ready list: the sources that run in the next turn.

use crate::os::key::Key;

/// The sources that run next, in order. Each remembers whether it is on the list, so that it is there at most once.
#[derive(Debug, Default)]
pub(crate) struct ReadyList {
    next: Vec<Key>,
    running: Vec<Key>,
}

impl ReadyList {
    /// Puts `key` on the list, unless its source `listed` itself already.
    pub(crate) fn push(&mut self, key: Key, listed: &mut bool) {
        if !*listed {
            *listed = true;
            self.next.push(key);
        }
    }

    /// Whether no source is ready.
    pub(crate) fn is_empty(&self) -> bool {
        self.next.is_empty()
    }

    /// Takes the whole list. A source that is listed meanwhile runs in the next turn, so every turn is finite.
    pub(crate) fn take(&mut self) -> Vec<Key> {
        std::mem::swap(&mut self.next, &mut self.running);
        std::mem::take(&mut self.running)
    }

    /// Gives the memory of a list that has run back.
    pub(crate) fn recycle(&mut self, mut list: Vec<Key>) {
        list.clear();
        self.running = list;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_is_listed_once() {
        let mut list = ReadyList::default();
        let (key, mut listed) = (Key::new(1, 1), false);
        list.push(key, &mut listed);
        list.push(key, &mut listed);
        assert_eq!(list.take(), [key]);
    }

    #[test]
    fn whoever_comes_during_a_turn_runs_in_the_next() {
        let mut list = ReadyList::default();
        let (first, second) = (Key::new(1, 1), Key::new(2, 1));
        list.push(first, &mut false);
        let running = list.take();
        list.push(second, &mut false);
        assert_eq!(running, [first]);
        list.recycle(running);
        assert_eq!(list.take(), [second]);
        assert!(list.is_empty());
    }
}
