//! What a message that is exactly `bye` does.

use std::fmt;
use std::str::FromStr;

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

impl FromStr for Bye {
    type Err = String;

    fn from_str(name: &str) -> Result<Bye, String> {
        match name {
            "ignore" => Ok(Bye::Ignore),
            "close" => Ok(Bye::Close),
            "stop" => Ok(Bye::Stop),
            _ => Err("valid values are ignore, close and stop".to_owned()),
        }
    }
}

impl fmt::Display for Bye {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Bye::Ignore => "ignore",
            Bye::Close => "close",
            Bye::Stop => "stop",
        })
    }
}

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
