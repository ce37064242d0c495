//! Messages as they stand on the wire.

/// A message in len32 framing.
pub fn len32(message: &[u8]) -> Vec<u8> {
    [&(message.len() as u32).to_be_bytes(), message].concat()
}

/// The tutorial's acknowledgement of `message`, in UTF-8.
pub fn acknowledged(message: &[u8]) -> Vec<u8> {
    ["数据[".as_bytes(), message, "]收到了!".as_bytes()].concat()
}
