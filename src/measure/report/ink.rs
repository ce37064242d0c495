//! Colours of pictures: numbers that the page's style sheet turns into those of its theme.
//!
//! `plotters` writes fixed colours into a picture, but a page is light or dark as its reader likes. So a picture is
//! drawn with colours that stand for a role, and `page.css` selects them (`[stroke="#100001"]`) and puts the theme's in
//! their place, with dashes, so that lines can also be told apart without any colour.

use plotters::style::RGBColor;

/// How many series can be told apart; further ones begin again.
pub(crate) const SERIES: usize = 6;

/// Words and ticks.
pub(super) const TEXT: RGBColor = RGBColor(1, 1, 1);
/// The two axes.
pub(super) const AXIS: RGBColor = RGBColor(2, 2, 2);
/// The grid.
pub(super) const GRID: RGBColor = RGBColor(3, 3, 3);

/// Which colour something is drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ink {
    /// That of the series of this number: the same number looks the same in every picture of a page.
    Series(usize),
    /// That of whatever went wrong.
    Bad,
}

impl Ink {
    pub(super) fn color(self) -> RGBColor {
        match self {
            Ink::Series(index) => RGBColor(16, 0, (index % SERIES) as u8 + 1),
            Ink::Bad => RGBColor(4, 4, 4),
        }
    }

    /// The same as `plotters` writes it, for a sample of it in a legend.
    pub(super) fn role(self) -> String {
        let RGBColor(red, green, blue) = self.color();
        format!("#{red:02X}{green:02X}{blue:02X}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers that `page.css` selects.
    #[test]
    fn roles_are_the_numbers_that_the_style_sheet_knows() {
        let roles: Vec<String> = (0..7).map(|index| Ink::Series(index).role()).collect();
        assert_eq!(roles, ["#100001", "#100002", "#100003", "#100004", "#100005", "#100006", "#100001"]);
        assert_eq!(Ink::Bad.role(), "#040404");
        assert_eq!((TEXT, AXIS, GRID), (RGBColor(1, 1, 1), RGBColor(2, 2, 2), RGBColor(3, 3, 3)));
    }
}
