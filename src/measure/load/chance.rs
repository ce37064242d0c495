//! What chance alone may bring about: whether counts show something, or are too few to.
//!
//! The answer is Chernoff's bound (1952) in closed form, so it holds for ten messages and for a billion, and needs no
//! table. The bound is more than the chance itself, here three to ten times as much: what is in doubt is not taken as
//! shown.

/// Counts show something where chance would bring them about less often than this, as far as the bound can tell: in
/// fact about once in a hundred cases, or less often.
const CHANCE_MAX: f64 = 0.05;

/// Whether `count` of `of` show that more than `share` of all would be counted if there were more of them, and not just
/// of these. 1 of 10 does not show more than a hundredth: where each has that chance, every tenth such run has one.
pub(crate) fn shows_more(count: u64, of: u64, share: f64) -> bool {
    let found = count as f64 / of.max(1) as f64;
    found > share && (-(of as f64) * divergence(found, share)).exp() < CHANCE_MAX
}

/// How far what was found lies from what was to be expected (Kullback and Leibler), for something that is or is not.
fn divergence(found: f64, expected: f64) -> f64 {
    let part = |found: f64, expected: f64| if found > 0.0 { found * (found / expected).ln() } else { 0.0 };
    part(found, expected) + part(1.0 - found, 1.0 - expected)
}

/// Whether `counts` lie closer together than counts that chance decides, whose standard deviation is known: then
/// something holds them there.
///
/// So many of them lie near their median, within a quarter of that deviation. That a few lie far off does not matter:
/// this program, or the machine, may have stood still in between.
pub fn shows_closeness(counts: &[u64], deviation: f64) -> bool {
    let mut sorted = counts.to_vec();
    sorted.sort_unstable();
    let Some(median) = sorted.get(counts.len() / 2) else { return false };
    let reach = (deviation / 4.0).floor();
    let near = counts.iter().filter(|count| count.abs_diff(*median) as f64 <= reach).count() as u64;
    // Around a median the density is 0.4 by the deviation where many things add up (normal), and 0.5 where one decides
    // (exponential).
    let share = (2.0 * reach + 1.0) * 0.5 / deviation;
    // The median is near itself.
    share < 1.0 && shows_more(near - 1, counts.len() as u64 - 1, share)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The chance that `count` or more of `of` are counted where each is with the chance `share`.
    fn chance(count: u64, of: u64, share: f64) -> f64 {
        let mut logarithm = of as f64 * (1.0 - share).ln();
        let mut fewer = 0.0;
        for number in 0..count {
            fewer += logarithm.exp();
            logarithm += ((of - number) as f64 / (number + 1) as f64 * share / (1.0 - share)).ln();
        }
        1.0 - fewer
    }

    #[test]
    fn how_many_show_more_than_a_hundredth_depends_on_of_how_many() {
        for (of, least) in [(1, 1), (10, 2), (100, 5), (1_000, 19), (100_000, 1_078)] {
            assert!(shows_more(least, of, 0.01), "{least} of {of}");
            assert!(!shows_more(least - 1, of, 0.01), "{} of {of}", least - 1);
            let (shown, not_shown) = (chance(least, of, 0.01), chance(least - 1, of, 0.01));
            assert!(shown <= 0.0101 && not_shown > 0.007, "{of}: {shown} and {not_shown}");
        }
        assert!(!shows_more(0, 0, 0.01) && !shows_more(0, 10, 0.01) && shows_more(10, 10, 0.01));
        assert!(shows_more(1 << 50, 1 << 52, 0.01) && !shows_more(1 << 40, 1 << 52, 0.01));
    }

    #[test]
    fn counts_that_something_holds_lie_closer_together_than_those_of_chance() {
        assert!(shows_closeness(&[200, 201, 200, 199], 13.0));
        assert!(shows_closeness(&[200, 201, 246, 154, 200, 199, 200, 201, 200], 13.0), "one pause of this program");
        assert!(!shows_closeness(&[200, 213, 188, 207, 195, 204, 199, 221], 13.0), "as chance scatters them");
        assert!(!shows_closeness(&[200, 400, 0, 180, 220], 13.0), "more than chance");
        assert!(!shows_closeness(&[200, 200, 200], 13.0), "three say too little");
        for counts in [&[][..], &[7], &[5; 10]] {
            assert!(!shows_closeness(counts, 0.3), "chance would not scatter them either");
        }
    }
}
