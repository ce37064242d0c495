//! Bar charts: one figure of several things side by side, each with the range that it was found in.

use maud::Markup;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::measure::report::axis::{Axis, Coordinate, Scale};
use crate::measure::report::chart::{self, Drawn, Size};
use crate::measure::report::ink::{self, Ink};
use crate::measure::report::visible::shortened;

/// One bar.
#[derive(Clone, Debug)]
pub(crate) struct Bar {
    /// Its name, written above it.
    pub name: String,
    /// Its colour.
    pub ink: Ink,
    /// How long it is: of several rounds, the median.
    pub value: f64,
    /// The smallest and the largest value of the rounds, drawn as a whisker; `None` if there is one value alone.
    pub range: Option<(f64, f64)>,
}

/// A chart of horizontal bars from 0 on, each with its name above it and its figure behind it.
#[derive(Clone, Debug)]
pub(crate) struct BarChart {
    /// What it shows.
    pub title: String,
    /// How to read it, in a sentence or two; may be empty.
    pub note: String,
    /// What the bars measure. The scale is always linear: a bar's length is its value.
    pub axis: Axis,
    /// How a figure is written behind its bar.
    pub figure: fn(f64) -> String,
    /// The bars, from top to bottom.
    pub bars: Vec<Bar>,
}

/// The height of a bar with its name above it, in pixels.
const SLOT: u32 = 50;

/// Bars that one picture holds; what comes after them is left out, and the note says so.
const BARS_MAX: usize = 40;

/// Characters of a name that are written.
const NAME_MAX: usize = 34;

impl BarChart {
    /// The chart as a `figure`.
    pub(crate) fn figure(&self) -> Markup {
        let mut note = self.note.clone();
        if self.bars.len() > BARS_MAX {
            note.push_str(&format!(" The first {BARS_MAX} of {} are shown.", self.bars.len()));
        }
        chart::figure(&self.title, &note, &[], |size| self.draw(size))
    }

    fn draw(&self, size: Size) -> Drawn {
        let bars = &self.bars[..self.bars.len().min(BARS_MAX)];
        let size = size.with_height(SLOT * bars.len().max(1) as u32 + 56);
        let axis = Axis { scale: Scale::Linear, ..self.axis.clone() };
        let ends = bars.iter().flat_map(|bar| [bar.value, bar.range.map_or(bar.value, |(_, high)| high)]);
        let x = Coordinate::new(&axis, ends, size.x_ticks - 2);
        let rows = bars.len().max(1) as f64;
        chart::picture(size, |area| {
            let mut chart = ChartBuilder::on(area)
                .margin_top(4)
                .margin_left(24)
                .margin_right(36)
                .x_label_area_size(48)
                .build_cartesian_2d(x, 0.0..rows)?;
            let words = chart::text_style();
            chart
                .configure_mesh()
                .disable_y_mesh()
                .disable_y_axis()
                .axis_style(ink::AXIS)
                .bold_line_style(ink::GRID)
                .light_line_style(TRANSPARENT)
                .label_style(words.clone())
                .axis_desc_style(words.clone())
                .x_desc(&axis.label)
                .draw()?;
            for (index, bar) in bars.iter().enumerate() {
                // The first one is at the top, and y rises.
                let at = |part: f64| rows - index as f64 - part;
                let color = bar.ink.color();
                let value = finite(bar.value);
                chart.draw_series([Rectangle::new([(0.0, at(0.5)), (value, at(0.86))], color.filled())])?;
                if let Some((low, high)) = bar.range {
                    let (low, high, middle) = (finite(low), finite(high), at(0.68));
                    let whisker = ink::TEXT.stroke_width(2);
                    chart.draw_series([
                        PathElement::new(vec![(low, middle), (high, middle)], whisker),
                        PathElement::new(vec![(low, at(0.58)), (low, at(0.78))], whisker),
                        PathElement::new(vec![(high, at(0.58)), (high, at(0.78))], whisker),
                    ])?;
                }
                let words = words.clone().pos(Pos::new(HPos::Left, VPos::Center));
                chart.draw_series([Text::new(self.label(bar), (0.0, at(0.3)), words)])?;
            }
            Ok(())
        })
    }

    /// What is written above a bar: its name and its figure.
    fn label(&self, bar: &Bar) -> String {
        format!("{}: {}", shortened(&bar.name, NAME_MAX), (self.figure)(bar.value))
    }
}

fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::human;

    fn chart(bars: Vec<Bar>) -> BarChart {
        BarChart {
            title: "Messages a second".to_owned(),
            note: String::new(),
            axis: Axis { label: "messages/s".to_owned(), scale: Scale::Linear, tick: human::rate_tick },
            figure: human::rate,
            bars,
        }
    }

    fn bar(name: &str, value: f64, range: Option<(f64, f64)>) -> Bar {
        Bar { name: name.to_owned(), ink: Ink::Series(0), value, range }
    }

    #[test]
    fn a_bar_has_its_name_its_figure_and_its_range() {
        let bars = vec![bar("cooee", 98_000.0, Some((95_000.0, 99_000.0))), bar("<socat>", 12_000.0, None)];
        let page = chart(bars).figure().into_string();
        assert!(page.contains("cooee: 98,000") && page.contains("&lt;socat&gt;: 12,000"), "{page}");
        // Two pictures, each with one whisker of three strokes.
        assert_eq!(page.matches(r##"stroke="#010101" stroke-width="2""##).count(), 6);
    }

    #[test]
    fn nothing_and_nonsense_can_be_drawn_too() {
        assert_eq!((finite(7.0), finite(f64::NAN), finite(f64::INFINITY)), (7.0, 0.0, 0.0));
        for bars in [vec![], vec![bar("a", f64::NAN, Some((f64::INFINITY, -1.0)))], vec![bar("b", 0.0, None); 500]] {
            assert!(chart(bars).figure().into_string().contains("</svg>"));
        }
    }

    #[test]
    fn a_long_name_is_cut_and_cannot_write_backwards() {
        let chart = chart(vec![bar(&format!("\u{202e}{}", "x".repeat(500)), 1.0, None)]);
        let label = chart.label(&chart.bars[0]);
        assert!(label.len() < 60 && label.starts_with("\\u{202e}x"), "{label}");
    }
    /// A number in the first element that begins with `<name` behind `start`, and where that is.
    fn attribute(svg: &str, start: usize, element: &str, name: &str) -> (f64, usize) {
        let place = start + svg[start..].find(&format!("<{element} ")).unwrap();
        let value = svg[place..].split(&format!(" {name}=\"")).nth(1).and_then(|rest| rest.split('"').next());
        (value.unwrap().parse().unwrap(), place)
    }

    #[test]
    fn bars_lie_below_each_other_below_their_names_and_are_as_long_as_their_values() {
        let svg = chart(vec![bar("one", 100_000.0, None), bar("two", 50_000.0, None)]).draw(chart::SIZES[0]).unwrap();
        assert_eq!(attribute(&svg, 0, "svg", "height").0, 156.0);
        let bars: Vec<usize> = svg.match_indices(r##"fill="#100001""##).map(|(place, _)| place).collect();
        let [one, two] = bars[..] else { panic!("{svg}") };
        let [one, two] = [one, two].map(|place| svg[..place].rfind("<rect ").unwrap());
        let width = |place| attribute(&svg, place, "rect", "width").0;
        assert!((width(one) / width(two) - 2.0).abs() < 0.02 && width(one) > 600.0, "{svg}");
        let names = ["one: 100,000", "two: 50,000"].map(|name| svg[..svg.find(name).unwrap()].rfind("<text ").unwrap());
        let y = |place, element| attribute(&svg, place, element, "y").0;
        let places = [y(names[0], "text"), y(one, "rect"), y(names[1], "text"), y(two, "rect")];
        assert!(places.is_sorted() && places[2] > places[1] + 10.0 && places[3] < 100.0, "{places:?}");
        assert!(svg.contains("messages/s") && svg.contains("20k") && !svg.contains("10k"), "{svg}");
    }

    #[test]
    fn a_picture_has_room_for_its_bars_and_for_one_where_there_is_none() {
        let height = |bars: usize| {
            let svg = chart(vec![bar("b", 1.0, None); bars]).draw(chart::SIZES[1]).unwrap();
            (attribute(&svg, 0, "svg", "height").0, svg.matches("b: 1.00").count())
        };
        assert_eq!((height(0), height(1), height(3)), ((106.0, 0), (106.0, 1), (206.0, 3)));
        assert_eq!((height(40), height(41)), ((2_056.0, 40), (2_056.0, 40)));
    }

    #[test]
    fn a_name_has_34_characters() {
        let label = |length: usize| chart(Vec::new()).label(&bar(&"n".repeat(length), 7.0, None));
        assert_eq!(label(34), format!("{}: 7.00", "n".repeat(34)));
        assert_eq!(label(35), format!("{}…: 7.00", "n".repeat(33)));
    }

    #[test]
    fn what_is_left_out_is_told() {
        let note = |bars: usize| chart(vec![bar("b", 1.0, None); bars]).figure().into_string();
        assert!(!note(40).contains("are shown"));
        assert!(note(41).contains("The first 40 of 41 are shown."));
    }
}
