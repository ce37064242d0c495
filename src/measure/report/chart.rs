//! Line charts: series over an axis, as inline SVG.

use maud::{Markup, PreEscaped, html};
use plotters::coord::Shift;
use plotters::prelude::*;

use crate::measure::report::axis::{Axis, Coordinate};
use crate::measure::report::ink::{self, Ink};
use crate::measure::report::visible::visible;

/// The most points of one series that are drawn; a longer series is thinned. A picture has no more columns.
const POINTS_MAX: usize = 1500;

/// One line of a chart.
#[derive(Clone, Debug)]
pub(crate) struct Series {
    /// Its name in the legend.
    pub name: String,
    /// Its colour and its dashes.
    pub ink: Ink,
    /// Its points by rising x. Where y is no finite number, the line has a gap.
    pub points: Vec<(f64, f64)>,
}

/// A chart of lines: a picture of its own for a wide page and one for a narrow page, with a title and a legend in text.
#[derive(Clone, Debug)]
pub(crate) struct LineChart {
    /// What it shows.
    pub title: String,
    /// How to read it, in a sentence or two; may be empty.
    pub note: String,
    /// The axis from left to right.
    pub x: Axis,
    /// The axis from bottom to top.
    pub y: Axis,
    /// The lines; a legend is written where there is more than one.
    pub series: Vec<Series>,
    /// Whether the area below the lines is filled.
    pub filled: bool,
}

/// A picture's size in pixels. The page shows the one that fits, so that the words in it are as large as those around
/// it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Size {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) x_ticks: usize,
    pub(super) y_ticks: usize,
    /// What the style sheet calls it.
    class: &'static str,
}

impl Size {
    /// The same with another height.
    pub(super) fn with_height(self, height: u32) -> Size {
        Size { height, ..self }
    }
}

pub(super) const SIZES: [Size; 2] = [
    Size { width: 860, height: 340, x_ticks: 8, y_ticks: 6, class: "wide" },
    Size { width: 360, height: 280, x_ticks: 5, y_ticks: 6, class: "narrow" },
];

/// The size of words in a picture, in pixels. `plotters` takes a font's line height, which is 1.24² of what SVG calls
/// its size.
const FONT_HEIGHT: f64 = 13.0 * 1.24;

impl LineChart {
    /// The chart as a `figure`.
    pub(crate) fn figure(&self) -> Markup {
        let legend = self.series.iter().map(|series| (series.name.as_str(), series.ink)).collect::<Vec<_>>();
        figure(&self.title, &self.note, &legend, |size| self.draw(size))
    }

    fn draw(&self, size: Size) -> Drawn {
        let points = || self.series.iter().flat_map(|series| series.points.iter());
        let drawn = points().filter(|(_, y)| y.is_finite());
        let last = drawn.clone().map(|(x, _)| *x).filter(|x| x.is_finite()).fold(0.0, f64::max);
        let x = Coordinate::new(&self.x, drawn.clone().map(|(x, _)| *x), size.x_ticks).ending_at(last);
        let y = Coordinate::new(&self.y, drawn.map(|(_, y)| *y), size.y_ticks);
        let floor = y.first();
        picture(size, |area| {
            let mut chart = ChartBuilder::on(area)
                .margin_top(12)
                .margin_left(6)
                .margin_right(24)
                .x_label_area_size(48)
                .y_label_area_size(76)
                .build_cartesian_2d(x, y)?;
            let words = text_style();
            chart
                .configure_mesh()
                .axis_style(ink::AXIS)
                .bold_line_style(ink::GRID)
                .light_line_style(TRANSPARENT)
                .label_style(words.clone())
                .axis_desc_style(words)
                .x_desc(&self.x.label)
                .y_desc(&self.y.label)
                .draw()?;
            for series in &self.series {
                let color = series.ink.color();
                for line in lines(&series.points) {
                    if self.filled {
                        chart.draw_series(AreaSeries::new(line.iter().copied(), floor, color.mix(0.2)))?;
                    }
                    match line[..] {
                        [point] => chart.draw_series([Circle::new(point, 2, color.filled())])?,
                        _ => chart.draw_series(LineSeries::new(line, color.stroke_width(2)))?,
                    };
                }
            }
            Ok(())
        })
    }
}

/// The stretches of a series without gaps, thinned to what a picture can show.
fn lines(points: &[(f64, f64)]) -> Vec<Vec<(f64, f64)>> {
    let every = points.len().div_ceil(POINTS_MAX).max(1);
    let is_number = |point: &(f64, f64)| point.0.is_finite() && point.1.is_finite();
    let thinned: Vec<(f64, f64)> = points.chunks(every).map(highest).collect();
    thinned.split(|point| !is_number(point)).filter(|line| !line.is_empty()).map(<[_]>::to_vec).collect()
}

/// The highest one of some points, so that no peak is thinned away.
fn highest(points: &[(f64, f64)]) -> (f64, f64) {
    let finite = points.iter().filter(|(_, y)| y.is_finite());
    finite.max_by(|one, other| one.1.total_cmp(&other.1)).or(points.first()).copied().unwrap_or((f64::NAN, f64::NAN))
}

/// A picture, or why there is none.
pub(super) type Drawn = Result<String, String>;

/// What `plotters` calls what went wrong while drawing.
pub(super) type DrawError = Box<dyn std::error::Error>;

/// The area of a picture.
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// Draws one picture as SVG.
pub(super) fn picture(size: Size, draw: impl FnOnce(&Area<'_>) -> Result<(), DrawError>) -> Drawn {
    let mut svg = String::new();
    let drawn = {
        let area = SVGBackend::with_string(&mut svg, (size.width, size.height)).into_drawing_area();
        draw(&area).and_then(|()| Ok(area.present()?))
    };
    drawn.map(|()| svg).map_err(|error| error.to_string())
}

/// How words are written.
pub(super) fn text_style() -> TextStyle<'static> {
    ("sans-serif", FONT_HEIGHT).into_font().color(&ink::TEXT)
}

/// A `figure`: title, note, legend where there is more than one name, and a picture of each size.
pub(super) fn figure(title: &str, note: &str, legend: &[(&str, Ink)], draw: impl Fn(Size) -> Drawn) -> Markup {
    html! {
        figure {
            figcaption {
                h3 { (title) }
                @if !note.is_empty() { p { (note) } }
            }
            @if legend.len() > 1 {
                ul.legend {
                    @for (name, ink) in legend {
                        li {
                            svg.sample viewBox="0 0 28 12" aria-hidden="true" {
                                polyline fill="none" stroke=(ink.role()) stroke-width="3" points="0,6 28,6" {}
                            }
                            (visible(name))
                        }
                    }
                }
            }
            @for size in SIZES {
                div.picture.(size.class) role="img" aria-label=(title) {
                    @match draw(size) {
                        Ok(svg) => (PreEscaped(svg)),
                        Err(reason) => p { "This picture could not be drawn: " (reason) },
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::axis::Scale;
    use crate::measure::report::human;

    fn chart(series: Vec<Series>) -> LineChart {
        LineChart {
            title: "Latency <over> time".to_owned(),
            note: String::new(),
            x: Axis { label: "time".to_owned(), scale: Scale::Linear, tick: human::seconds_tick },
            y: Axis { label: "latency".to_owned(), scale: Scale::Log, tick: human::latency_tick },
            series,
            filled: true,
        }
    }

    fn series(points: Vec<(f64, f64)>) -> Series {
        Series { name: "p99 <script>".to_owned(), ink: Ink::Series(0), points }
    }

    #[test]
    fn a_line_ends_at_a_gap_and_a_lonely_point_is_seen() {
        let points = [(0.0, 1e6), (1.0, 2e6), (2.0, f64::NAN), (3.0, 1e6), (4.0, f64::NAN)];
        assert_eq!(lines(&points), [vec![(0.0, 1e6), (1.0, 2e6)], vec![(3.0, 1e6)]]);
        let svg = chart(vec![series(points.to_vec())]).draw(SIZES[0]).unwrap();
        assert_eq!(svg.matches(r##"stroke="#100001" stroke-width="2""##).count(), 1, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 1);
        assert_eq!(svg.matches("<polygon").count(), 2, "below each stretch");
        assert!(svg.contains(r#"font-size="13"#), "{svg}");
        assert!(svg.contains("1 ms"), "{svg}");
    }

    #[test]
    fn thinning_keeps_the_peaks() {
        let points: Vec<_> = (0..100_000).map(|x| (f64::from(x), if x == 7777 { 9e9 } else { 1e6 })).collect();
        let thinned = lines(&points).concat();
        assert!(thinned.len() <= POINTS_MAX);
        assert!(thinned.contains(&(7777.0, 9e9)));
    }

    #[test]
    fn a_line_of_1500_points_is_drawn_as_it_is() {
        let drawn = |count: u32| lines(&(0..count).map(|x| (f64::from(x), 1.0)).collect::<Vec<_>>()).concat().len();
        assert_eq!((drawn(0), drawn(1), drawn(1_500), drawn(1_501), drawn(3_001)), (0, 1, 1_500, 751, 1_001));
    }

    #[test]
    fn a_legend_is_there_where_there_is_more_than_one_line() {
        let legends = |count: usize| chart(vec![series(vec![(0.0, 1.0)]); count]).figure().into_string();
        assert!(!legends(1).contains("<ul class=\"legend\">"));
        assert_eq!(legends(2).matches("<svg class=\"sample\"").count(), 2);
        let captions = |note: &str| LineChart { note: note.to_owned(), ..chart(Vec::new()) }.figure().into_string();
        assert!(captions("how").contains("</h3><p>how</p>") && !captions("").contains("</h3><p>"));
    }

    #[test]
    fn nothing_and_nonsense_can_be_drawn_too() {
        for points in [vec![], vec![(f64::NAN, 1.0)], vec![(0.0, 0.0)], vec![(1e300, -1.0), (f64::INFINITY, 1e300)]] {
            for size in SIZES {
                assert!(chart(vec![series(points.clone())]).draw(size).unwrap().ends_with("</svg>\n"));
            }
        }
        assert!(chart(vec![]).draw(SIZES[0]).is_ok());
    }

    #[test]
    fn words_are_escaped() {
        let page = chart(vec![series(vec![]), series(vec![])]).figure().into_string();
        assert!(page.contains("Latency &lt;over&gt; time") && page.contains("p99 &lt;script&gt;"));
        assert!(!page.contains("<script>"));
    }
}
