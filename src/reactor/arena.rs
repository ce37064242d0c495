//! The arena: where bytes lie from the read until the write of the same group.

use crate::os::aligned_bytes::AlignedBytes;
use crate::reactor::limits::Limits;

/// The scratch memory of one group of sources: what was read, and what was composed in answer.
///
/// ```text
///   memory:    [ skipped | read by #1 | pad | read by #2 | pad | ... | free ........ )
///              0         start: a page      a line                    used         end
///   composed:  [ answers of #1 | answers of #2 | ... )
/// ```
///
/// Each source's reads begin on a cache line, because the kernel copies faster to there. Between two reads of one
/// source there is no pad, so that echoes side by side leave in one write. What a socket refuses moves to memory of the
/// connection's own.
pub struct Arena {
    /// Positions count from its beginning: `start` is the first, `end` is behind the last.
    memory: Box<[u8]>,
    start: usize,
    end: usize,
    used: usize,
    /// The composed answers of the group.
    pub composed: Vec<u8>,
}

impl Default for Arena {
    fn default() -> Arena {
        let AlignedBytes { memory, start } = AlignedBytes::zeroed(Arena::SIZE);
        Arena { memory, start, end: start + Arena::SIZE, used: start, composed: Vec::new() }
    }
}

impl Arena {
    /// Room for one more read of the largest size, however much the group has read before.
    const SIZE: usize = 2 * Limits::READ_MAX;

    /// Composed answers that the arena keeps memory for between groups; what a rare large group needed is given back.
    const COMPOSED_KEPT: usize = 1024 * 1024;

    /// Whether another source's read of the largest size fits. That size is a whole number of lines, so the pad in
    /// front of it fits too.
    pub fn has_room(&self) -> bool {
        self.used + Limits::READ_MAX <= self.end && self.composed.len() < Limits::READ_MAX
    }

    /// Another source reads now: what it reads begins on a line of its own.
    pub(crate) fn begin_source(&mut self) {
        // What is missing to a line: `start` begins one, and the length of a line divides the numbers of a usize.
        self.used += self.start.wrapping_sub(self.used) % AlignedBytes::LINE;
    }

    /// The free space, at most `size` of it.
    pub fn space(&mut self, size: usize) -> &mut [u8] {
        let end = self.end.min(self.used + size);
        &mut self.memory[self.used..end]
    }

    /// Keeps the first `count` bytes of the space for the rest of the group, and tells where they begin.
    pub fn keep(&mut self, count: usize) -> usize {
        let start = self.used;
        self.used += count;
        start
    }

    /// Gives everything from `start` on back, to which no answer refers.
    pub(crate) fn release_from(&mut self, start: usize) {
        self.used = start;
    }

    /// The memory: what was read lies where [`keep`](Arena::keep) told.
    pub fn bytes(&self) -> &[u8] {
        &self.memory
    }

    /// The memory that was read into and, apart from it, the composed bytes.
    pub fn parts(&mut self) -> (&[u8], &mut Vec<u8>) {
        (&self.memory, &mut self.composed)
    }

    /// Empties the arena for the next group.
    pub fn reset(&mut self) {
        self.used = self.start;
        self.composed.clear();
        self.composed.shrink_to(Arena::COMPOSED_KEPT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_reads_until_another_large_read_would_not_fit() {
        let mut arena = Arena::default();
        assert_eq!(arena.space(100).len(), 100);
        assert!(arena.has_room());
        let first = arena.keep(Limits::READ_MAX);
        assert!(arena.has_room(), "one more fits, to the byte");
        assert_eq!((arena.keep(1), arena.has_room()), (first + Limits::READ_MAX, false));
        assert_eq!(arena.space(Limits::READ_MAX).len(), Limits::READ_MAX - 1, "the space ends where the arena does");
        arena.release_from(first + 10);
        assert!(arena.has_room());
        assert_eq!(arena.keep(1), first + 10);
    }

    /// Where a read of the next source, or the next read of the same one, would be copied to.
    fn address(arena: &mut Arena) -> usize {
        arena.space(1).as_ptr().addr()
    }

    #[test]
    fn a_source_begins_on_a_line_the_first_on_a_page_and_its_reads_lie_side_by_side() {
        let mut arena = Arena::default();
        for group in 0..2 {
            arena.begin_source();
            assert_eq!(address(&mut arena) % AlignedBytes::PAGE, 0, "group {group}");
            for length in [0, 1, 63, 64, 65, 4_000] {
                let start = arena.keep(length);
                assert_eq!(arena.keep(7), start + length, "a second read of the same source");
                arena.begin_source();
                assert_eq!(address(&mut arena) % AlignedBytes::LINE, 0, "behind {length} bytes");
                assert!(arena.keep(0) < start + length + 7 + AlignedBytes::LINE, "no line is skipped");
            }
            arena.reset();
        }
    }

    #[test]
    fn room_for_a_source_is_room_behind_the_pad() {
        for used in Limits::READ_MAX - AlignedBytes::LINE..=Limits::READ_MAX {
            let mut arena = Arena::default();
            arena.keep(used);
            assert!(arena.has_room());
            arena.begin_source();
            assert_eq!(
                arena.space(Limits::READ_MAX).len(),
                Limits::READ_MAX,
                "the pad behind {used} bytes took room away"
            );
        }
    }

    #[test]
    fn long_answers_end_a_group_and_are_not_kept_for_ever() {
        let mut arena = Arena::default();
        arena.composed.resize(Limits::READ_MAX - 1, 0);
        assert!(arena.has_room());
        arena.composed.push(0);
        assert!(!arena.has_room());
        arena.reset();
        assert!(arena.has_room() && arena.composed.is_empty());
        assert!(arena.composed.capacity() >= Limits::READ_MAX, "what every group may need stays");
        arena.composed.reserve(4 * Arena::COMPOSED_KEPT);
        arena.reset();
        assert_eq!(arena.composed.capacity(), 1024 * 1024);
    }

    #[test]
    fn what_is_kept_is_given_back_with_the_group() {
        let mut arena = Arena::default();
        arena.space(3).copy_from_slice(b"abc");
        let start = arena.keep(3);
        assert_eq!(&arena.bytes()[start..start + 3], b"abc");
        assert_eq!(&arena.parts().0[start..start + 3], b"abc");
        arena.reset();
        assert_eq!(arena.keep(1), start);
    }
}
