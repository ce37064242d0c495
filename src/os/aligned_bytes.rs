//! Memory that the kernel copies into at its full speed.
//!
//! It copies with one instruction (`rep movs`), which some processors carry out up to twice as fast where the
//! destination begins on a cache line, and far more slowly just behind the beginning of a page. An allocation of this
//! size is just there: the allocator maps pages of its own for it, and keeps its 16 bytes of accounts in front.

/// Memory in which a number of bytes, zero at first, begin on a page boundary.
///
/// ```text
///   memory:  [ skipped | length ............................... | rest )
///            0       start: a multiple of PAGE in memory
/// ```
///
/// The kernel gives a page when it is first touched, so what is skipped costs addresses and no memory. An owner counts
/// from the beginning of the memory, so that no access adds `start`.
pub struct AlignedBytes {
    /// All of the memory.
    pub memory: Box<[u8]>,
    /// Where in it the bytes begin.
    pub start: usize,
}

impl AlignedBytes {
    /// The boundary on which the bytes begin. Where pages are larger, what counts is still the place within so many
    /// bytes.
    pub const PAGE: usize = 4096;

    /// The boundary on which whatever is read behind the first should begin: a cache line of every usual processor.
    pub const LINE: usize = 64;

    /// So many bytes, all zero.
    pub fn zeroed(length: usize) -> AlignedBytes {
        let memory = vec![0; length + AlignedBytes::PAGE].into_boxed_slice();
        let start = memory.as_ptr().align_offset(AlignedBytes::PAGE);
        AlignedBytes { memory, start }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn they_begin_on_a_page_wherever_the_allocator_puts_them() {
        // Small ones come from the heap, large ones have a mapping of their own.
        let all: Vec<AlignedBytes> = (0..24).map(|power| AlignedBytes::zeroed((1 << power) - 1)).collect();
        for (power, bytes) in all.iter().enumerate() {
            let bytes = &bytes.memory[bytes.start..][..(1 << power) - 1];
            assert_eq!(bytes.as_ptr().addr() % AlignedBytes::PAGE, 0, "{} bytes", bytes.len());
            assert!(bytes.iter().all(|byte| *byte == 0));
        }
    }
}
