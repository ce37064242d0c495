//! Which replies a client expects: when it has waited enough, and whether what came is enough.

use std::fmt;
use std::str::FromStr;

/// The replies that are expected.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Replies {
    /// At least one, where anything was sent.
    #[default]
    Any,
    /// One for each message.
    All,
    /// This many in all; 0 if the server does not answer.
    Exactly(u64),
}

impl Replies {
    /// Whether a reply is expected at all.
    pub fn expects_some(self) -> bool {
        self != Replies::Exactly(0)
    }

    /// Whether replies have to be told apart to be counted.
    pub fn are_counted(self) -> bool {
        self.expects_some() && self != Replies::Any
    }

    /// Whether `received` replies are enough for `sent` messages.
    pub fn are_enough(self, sent: u64, received: u64) -> bool {
        match self {
            Replies::Any => sent == 0 || received > 0,
            Replies::All => received >= sent,
            Replies::Exactly(count) => received >= count,
        }
    }

    /// Whether the wait ends once the last message has left. With [`Replies::Any`] a stream's server may send more, and
    /// ends its side when it is done. Datagrams have no such end, and each message has one reply.
    pub fn end_the_wait(self, sent: u64, received: u64, datagrams: bool) -> bool {
        match self {
            Replies::Any => datagrams && received >= sent,
            counted => counted.are_enough(sent, received),
        }
    }
}

impl FromStr for Replies {
    type Err = String;

    fn from_str(text: &str) -> Result<Replies, String> {
        match text {
            "any" => Ok(Replies::Any),
            "all" => Ok(Replies::All),
            // `parse` would take "+3" too.
            _ if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().map(Replies::Exactly).map_err(|_| "the number is too large".to_owned())
            }
            _ => Err("valid are any, all, and a number (0: no reply is expected)".to_owned()),
        }
    }
}

impl fmt::Display for Replies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Replies::Any => f.write_str("any"),
            Replies::All => f.write_str("all"),
            Replies::Exactly(count) => count.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_back() {
        for (text, replies) in [("any", Replies::Any), ("all", Replies::All), ("0", Replies::Exactly(0))] {
            assert_eq!(text.parse(), Ok(replies));
            assert_eq!(replies.to_string(), text);
        }
        for wrong in ["", "+1", "-1", "some", "99999999999999999999"] {
            assert!(wrong.parse::<Replies>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_enough_and_what_ends_the_wait_are_two_questions() {
        assert!(Replies::Any.are_enough(0, 0) && !Replies::Any.are_enough(2, 0) && Replies::Any.are_enough(2, 1));
        assert!(!Replies::Any.end_the_wait(2, 5, false), "a stream may have more to say");
        assert!(Replies::Any.end_the_wait(2, 2, true) && !Replies::Any.end_the_wait(2, 1, true));
        assert!(Replies::All.end_the_wait(2, 2, false) && !Replies::All.are_enough(2, 1));
        let two = Replies::Exactly(2);
        assert!(two.end_the_wait(9, 2, false) && !two.are_enough(9, 1) && !two.are_enough(0, 0));
        let none = Replies::Exactly(0);
        assert!(none.end_the_wait(9, 0, false) && none.are_enough(9, 0) && !none.are_counted());
    }
}
