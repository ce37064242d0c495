//! What a message that is exactly `bye` does.

/// The message that says good-bye, in every encoding that is served.
pub const BYE: &[u8] = b"bye";

/// What a message that is exactly `bye` does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Bye {
    /// It is a message like any other.
    Ignore,
    /// It is answered, then that conversation ends: the tutorial's TCP server.
    Close,
    /// It is answered, then the whole server drains and ends: the tutorial's UDP receiver. One forged datagram can do
    /// that.
    Stop,
}

names!(Bye, "valid values are ignore, close and stop", Ignore = "ignore", Close = "close", Stop = "stop");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for (name, bye) in [("ignore", Bye::Ignore), ("close", Bye::Close), ("stop", Bye::Stop)] {
            assert_eq!(name.parse(), Ok(bye));
            assert_eq!(bye.to_string(), name);
        }
        assert!("leave".parse::<Bye>().unwrap_err().contains("ignore, close and stop"));
    }
}
