//! The pictures of a run, or of several over each other.

use hdrhistogram::Histogram;

use crate::measure::load::interval::Interval;
use crate::measure::report::axis::{Axis, Scale};
use crate::measure::report::chart::{LineChart, Series};
use crate::measure::report::ink::Ink;
use crate::measure::report::{Loop, Report, human};

/// Points of a percentile curve for each further nine.
const POINTS_A_NINE: u32 = 20;

/// From which ratio of the largest to the smallest value on a scale of tenfolds reads better.
const WIDE: f64 = 20.0;

/// The pictures of these reports. The names stand in the legends where there is more than one report. Where nothing was
/// answered there is nothing to draw but errors.
pub(super) fn pictures(reports: &[(String, Report)]) -> Vec<LineChart> {
    let has_replies = reports.iter().any(|(_, report)| report.messages > 0);
    let mut pictures = Vec::new();
    if has_replies {
        pictures.push(latency_by_percentile(reports));
    }
    if reports.iter().any(|(_, report)| report.intervals.len() > 1) {
        if has_replies {
            pictures.push(throughput(reports));
            pictures.push(latency_over_time(reports));
        }
        if reports.iter().any(|(_, report)| report.error_count() > 0) {
            pictures.push(errors(reports));
        }
    }
    pictures
}

/// What is drawn: latencies, or what is measured in their place.
fn time(reports: &[(String, Report)]) -> &'static str {
    let first_bytes = reports.iter().filter(|(_, report)| report.ends_with_first_bytes()).count();
    match first_bytes {
        0 => "Latency",
        count if count == reports.len() => "Time to first bytes",
        _ => "Latency, or time to first bytes,",
    }
}

fn latency_by_percentile(reports: &[(String, Report)]) -> LineChart {
    let series = match reports {
        [(_, report)] if report.pace == Loop::Open => {
            vec![curve("from due time", 0, &report.histogram), curve("from the send", 1, &report.send_histogram)]
        }
        _ => reports.iter().enumerate().map(|(ink, (name, report))| curve(name, ink, &report.histogram)).collect(),
    };
    LineChart {
        title: format!("{} by percentile", time(reports)),
        note: "At 99, the line tells how long the slowest one in a hundred messages took at least; each step to the right is ten \
               times rarer. A flat line is a server that treats all alike."
            .to_owned(),
        x: Axis { label: "percentile of the messages".to_owned(), scale: Scale::Percentile, tick: human::percentile_tick },
        y: latency_axis(&series),
        series,
        filled: false,
    }
}

/// The latency at each percentile, as far as there are messages to tell them.
fn curve(name: &str, ink: usize, histogram: &Histogram<u64>) -> Series {
    let mut points = Vec::new();
    if !histogram.is_empty() {
        let rarest = (histogram.len() as f64).log10().max(1.0);
        for point in 0..=(rarest * f64::from(POINTS_A_NINE)) as u32 {
            let above = 10f64.powf(-f64::from(point) / f64::from(POINTS_A_NINE));
            points.push((100.0 - 100.0 * above, histogram.value_at_quantile(1.0 - above) as f64));
        }
        points.push((100.0 - 100.0 * 10f64.powf(-rarest), histogram.max() as f64));
    }
    Series { name: name.to_owned(), ink: Ink::Series(ink), points }
}

fn latency_axis(series: &[Series]) -> Axis {
    let latencies = || series.iter().flat_map(|series| series.points.iter().map(|(_, y)| *y)).filter(|y| *y > 0.0);
    let wide = latencies().fold(0.0, f64::max) > latencies().fold(f64::INFINITY, f64::min) * WIDE;
    let scale = if wide { Scale::Log } else { Scale::Linear };
    let label = if wide { "latency (log scale)" } else { "latency" };
    Axis { label: label.to_owned(), scale, tick: human::latency_tick }
}

fn throughput(reports: &[(String, Report)]) -> LineChart {
    let series = over_time(reports, |interval| interval.per_second(interval.replies));
    count_over_time("Throughput over time", "", "replies/s", series)
}

/// How a picture over time is read.
const STRETCHES: &str =
    "Each point is one stretch of the run, placed when its replies came; where no reply came there is no line.";

/// With fewer replies the 99th percentile of a stretch is its slowest.
const P99_REPLIES: u64 = 100;

/// What has to be known of stretches with fewer.
const OF_FEW: &str = "In a stretch of fewer than 100 replies, p99 is the slowest of them.";

/// What is different about merged runs.
const OF_MERGED: &str = "Of merged runs it shows the highest of theirs.";

fn latency_over_time(reports: &[(String, Report)]) -> LineChart {
    let nanoseconds = |micros: Option<f64>| micros.map(|micros| micros * 1e3);
    let (title, series) = match reports {
        [_] => {
            let mut series = Vec::new();
            for (ink, (name, of)) in FIGURES.into_iter().enumerate() {
                let lines = over_time(reports, |interval| nanoseconds(of(interval)));
                series.extend(lines.into_iter().map(|line| Series {
                    name: name.to_owned(),
                    ink: Ink::Series(ink),
                    ..line
                }));
            }
            (format!("{} over time", time(reports)), series)
        }
        _ => (
            format!("{} over time, 99th percentile", time(reports)),
            over_time(reports, |interval| nanoseconds(interval.p99_us)),
        ),
    };
    let has_few = reports
        .iter()
        .flat_map(|(_, report)| &report.intervals)
        .any(|interval| (1..P99_REPLIES).contains(&interval.replies));
    let is_merged = reports.iter().any(|(_, report)| report.conditions.len() > 1);
    LineChart {
        title,
        note: [Some(STRETCHES), has_few.then_some(OF_FEW), is_merged.then_some(OF_MERGED)]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>()
            .join(" "),
        x: time_axis(),
        y: latency_axis(&series),
        series,
        filled: false,
    }
}

/// Reads a figure off a stretch; `None` if the stretch has none.
type OfInterval = fn(&Interval) -> Option<f64>;

/// What is told of each stretch.
const FIGURES: [(&str, OfInterval); 3] =
    [("p50", |interval| interval.p50_us), ("p99", |interval| interval.p99_us), ("max", |interval| interval.max_us)];

fn errors(reports: &[(String, Report)]) -> LineChart {
    let mut series = over_time(reports, |interval| Some(interval.errors as f64));
    if let [only] = &mut series[..] {
        only.ink = Ink::Bad;
    }
    count_over_time("Errors over time", "How many things went wrong in each stretch of the run.", "errors", series)
}

/// A picture of what was counted. The area below a line that stands alone is filled.
fn count_over_time(title: &str, note: &str, label: &str, series: Vec<Series>) -> LineChart {
    LineChart {
        title: title.to_owned(),
        note: note.to_owned(),
        x: time_axis(),
        y: Axis { label: label.to_owned(), scale: Scale::Linear, tick: human::rate_tick },
        filled: series.len() == 1,
        series,
    }
}

fn time_axis() -> Axis {
    Axis { label: "time since measuring began".to_owned(), scale: Scale::Linear, tick: human::seconds_tick }
}

/// A line for each report; what is none of a stretch is a gap.
fn over_time(reports: &[(String, Report)], figure: impl Fn(&Interval) -> Option<f64>) -> Vec<Series> {
    let line = |(ink, (name, report)): (usize, &(String, Report))| Series {
        name: name.clone(),
        ink: Ink::Series(ink),
        points: report
            .intervals
            .iter()
            .map(|interval| (interval.middle(), figure(interval).unwrap_or(f64::NAN)))
            .collect(),
    };
    reports.iter().enumerate().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::measure::report::runs;

    fn one(report: Report) -> Vec<LineChart> {
        pictures(&[("a.json".to_owned(), report)])
    }

    #[test]
    fn an_open_loop_shows_both_latencies_and_a_closed_one_its_own() {
        let open = &one(runs::stopped_server())[0];
        assert_eq!(
            open.series.iter().map(|series| &series.name[..]).collect::<Vec<_>>(),
            ["from due time", "from the send"]
        );
        assert_eq!(open.y.scale, Scale::Log);
        let at = |series: &Series, percentile: f64| {
            series.points.iter().find(|(x, _)| *x >= percentile - 1e-9).map(|(_, latency)| *latency).unwrap()
        };
        assert!((at(&open.series[0], 90.0) - 1e9).abs() < 0.05e9, "{:?}", at(&open.series[0], 90.0));
        assert!(at(&open.series[1], 90.0) < 1e6);
        assert_eq!(one(runs::closed())[0].series.len(), 1);
    }

    #[test]
    fn latency_over_time_is_in_nanoseconds() {
        let report = runs::closed();
        let pictures = one(report.clone());
        let slowest = report.intervals.iter().filter_map(|interval| interval.p99_us).fold(0.0, f64::max);
        let mut drawn = pictures[2].series.iter().flat_map(|series| &series.points);
        assert!(drawn.any(|(_, y)| *y == slowest * 1e3), "{slowest} µs is not drawn");
    }

    #[test]
    fn a_stretch_without_replies_is_a_gap() {
        let pictures = one(runs::stopped_server());
        let latency = &pictures[2].series[0];
        assert!(latency.points.iter().any(|(_, y)| y.is_nan()) && latency.points.iter().any(|(_, y)| y.is_finite()));
    }

    #[test]
    fn errors_have_a_picture_where_there_are_any() {
        assert_eq!(one(runs::closed()).len(), 3);
        assert_eq!(one(runs::troubled()).len(), 4);
    }

    #[test]
    fn where_nothing_was_answered_nothing_is_drawn_but_errors() {
        assert_eq!(one(runs::nothing()).len(), 0);
        let interval = Interval { p50_us: None, p99_us: None, max_us: None, replies: 0, ..runs::closed().intervals[0] };
        let intervals = (0..10).map(|second| Interval { start_s: f64::from(second), errors: 3, ..interval }).collect();
        let failing = one(Report { intervals, ..runs::nothing() });
        assert_eq!(failing.iter().map(|picture| &picture.title[..]).collect::<Vec<_>>(), ["Errors over time"]);
        let both = [("a".to_owned(), runs::closed()), ("b".to_owned(), runs::nothing())];
        assert_eq!(pictures(&both)[0].title, "Latency by percentile");
    }

    #[test]
    fn pictures_of_first_bytes_are_called_that() {
        let titles: Vec<String> = one(runs::first_bytes()).into_iter().map(|picture| picture.title).collect();
        assert_eq!(
            titles,
            ["Time to first bytes by percentile", "Throughput over time", "Time to first bytes over time"]
        );
        let both = [("a".to_owned(), runs::closed()), ("b".to_owned(), runs::first_bytes())];
        assert_eq!(pictures(&both)[0].title, "Latency, or time to first bytes, by percentile");
    }
}
