//! Bytes without a meaning: the same seed gives the same ones.

pub use super::splitmix::Splitmix as Noise;

impl Noise {
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let words = (0..count.div_ceil(8)).flat_map(|_| self.next().to_le_bytes());
        let mut bytes: Vec<u8> = words.collect();
        bytes.truncate(count);
        bytes
    }
}

/// `count` bytes, others for each seed.
pub fn noise(count: usize, seed: usize) -> Vec<u8> {
    Noise::new(seed as u64).bytes(count)
}
