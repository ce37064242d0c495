//! Bytes that a connection owns: an incomplete message, or a reply that the socket refused.

/// A queue of bytes: pushed at the end, consumed from the front.
///
/// ```text
///   bytes:  [ consumed | pending            | spare capacity )
///           0        start               bytes.len()
/// ```
///
/// Invariant: `start <= bytes.len()`, and a buffer with nothing pending holds no memory.
#[derive(Debug, Default)]
pub struct Buffer {
    bytes: Vec<u8>,
    start: usize,
}

impl Buffer {
    /// The pending bytes, oldest first.
    pub fn pending(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// How many bytes are pending.
    pub fn len(&self) -> usize {
        self.bytes.len() - self.start
    }

    /// Whether nothing is pending.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The memory that the buffer holds, in bytes: what the bound on queued bytes counts.
    pub fn capacity(&self) -> usize {
        self.bytes.capacity()
    }

    /// Appends `bytes`.
    pub fn push(&mut self, bytes: &[u8]) {
        // Moving the pending bytes to the front costs at most as much as was consumed since the last move.
        if self.start > self.bytes.len() / 2 {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        // Growing by a quarter keeps small pushes cheap; doubling would hold twice what a peer is owed.
        if self.bytes.len() + bytes.len() > self.bytes.capacity() {
            self.bytes.reserve_exact(bytes.len() + self.bytes.len() / 4);
        }
        self.bytes.extend_from_slice(bytes);
    }

    /// Gives back the memory that pending bytes do not need.
    pub fn squeeze(&mut self) {
        self.bytes.drain(..self.start);
        self.start = 0;
        self.bytes.shrink_to_fit();
    }

    /// Drops the oldest `count` pending bytes; the memory goes with the last of them.
    pub fn consume(&mut self, count: usize) {
        debug_assert!(count <= self.len(), "more was consumed than was pending");
        self.start += count;
        if self.start == self.bytes.len() {
            *self = Buffer::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_the_order_in_which_they_went_in() {
        let mut buffer = Buffer::default();
        let mut expected = Vec::new();
        let mut next = 0u8;
        for round in 0..200usize {
            let chunk: Vec<u8> = (0..round % 7)
                .map(|_| {
                    next = next.wrapping_add(1);
                    next
                })
                .collect();
            buffer.push(&chunk);
            expected.extend_from_slice(&chunk);
            let gone = buffer.len().min(round % 5);
            buffer.consume(gone);
            expected.drain(..gone);
            assert_eq!(buffer.pending(), expected);
        }
    }

    #[test]
    fn an_empty_buffer_holds_no_memory() {
        let mut buffer = Buffer::default();
        buffer.push(&[7; 10_000]);
        assert!(buffer.capacity() >= 10_000);
        buffer.consume(10_000);
        assert_eq!(buffer.capacity(), 0);
    }

    #[test]
    fn squeezing_leaves_what_is_pending() {
        let mut buffer = Buffer::default();
        buffer.push(&[7; 10_000]);
        buffer.push(b"rest");
        buffer.consume(10_000);
        buffer.squeeze();
        assert_eq!((buffer.pending(), buffer.capacity()), (&b"rest"[..], 4));
        buffer.push(b"more");
        assert_eq!(buffer.pending(), b"restmore");
    }

    #[test]
    fn a_long_lived_queue_does_not_grow() {
        let mut buffer = Buffer::default();
        buffer.push(&[1; 100]);
        for _ in 0..10_000 {
            buffer.push(&[2; 100]);
            buffer.consume(100);
        }
        assert!(buffer.capacity() < 1_000, "capacity {}", buffer.capacity());
    }
}
