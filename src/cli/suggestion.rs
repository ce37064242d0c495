//! Suggestions for a word that is not known: the known word that is most like it.

use std::str::FromStr;

use crate::reactor::named::UnknownName;

/// The known word that is most like `typed`; `None` if none is alike. The measure is clap's; one wrong letter also
/// counts as alike in short words, which that measure rates low.
fn meant<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const LIKENESS: f64 = 0.7;
    let typed = typed.to_lowercase();
    let has_one_slip = |word: &str| typed.len() > 2 && strsim::osa_distance(&typed, word) == 1;
    let likeness = known.into_iter().map(|word| {
        let likeness = strsim::jaro(&typed, word);
        (if has_one_slip(word) { likeness.max(0.9) } else { likeness }, word)
    });
    likeness.filter(|(likeness, _)| *likeness > LIKENESS).max_by(|a, b| a.0.total_cmp(&b.0)).map(|(_, word)| word)
}

/// The question to append to the error about `typed`; empty if no known word is alike.
pub(crate) fn did_you_mean<'a>(typed: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    meant(typed, known).map_or_else(String::new, |word| format!(" (did you mean '{word}'?)"))
}

/// Reads one of the words that a `T` is known by; the error asks whether another was meant.
pub(crate) fn word<T: FromStr<Err = UnknownName>>(typed: &str) -> Result<T, String> {
    typed.parse().map_err(|error: UnknownName| format!("{error}{}", did_you_mean(typed, error.known.iter().copied())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_understood_and_another_word_is_not() {
        let modes = || ["echo", "ack", "discard"];
        for (typed, word) in
            [("ehco", "echo"), ("ECHO", "echo"), ("discrad", "discard"), ("acks", "ack"), ("akc", "ack")]
        {
            assert_eq!(meant(typed, modes()), Some(word), "{typed}");
        }
        for other in ["", "shout", "\u{1b}"] {
            assert_eq!(did_you_mean(other, modes()), "", "{other:?}");
        }
        assert_eq!(did_you_mean("ehco", modes()), " (did you mean 'echo'?)");
    }
}
