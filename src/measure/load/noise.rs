//! What messages are made of: the number that a datagram begins with, and letters and digits without order.

/// How many bytes the number of a datagram takes, in hexadecimal digits.
pub const NUMBER_LENGTH: usize = 16;

/// The number that a message begins with, if it does.
#[derive(Default)]
pub(super) struct Digits {
    digits: [u8; NUMBER_LENGTH],
    length: usize,
}

impl Digits {
    pub(super) fn of(number: u64) -> Digits {
        let mut digits = [0; NUMBER_LENGTH];
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            *digit = b"0123456789ABCDEF"[(number >> (4 * place) & 15) as usize];
        }
        Digits { digits, length: NUMBER_LENGTH }
    }

    pub(super) fn as_slice(&self) -> &[u8] {
        &self.digits[..self.length]
    }
}

/// Letters and digits without order (a xorshift generator, Marsaglia 2003): the same in every run, so that runs can be
/// compared.
pub(super) fn noise(length: usize) -> Vec<u8> {
    const ALPHABET: &[u8; 36] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789";
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        ALPHABET[(state % 36) as usize]
    };
    (0..length).map(|_| next()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_holds_nothing_that_a_server_takes_for_a_sign() {
        assert!(noise(10_000).iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit()));
    }
}
