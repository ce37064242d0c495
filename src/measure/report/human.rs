//! Figures as a person reads them: three digits that count, and a unit of a fitting size.

/// Units of time in nanoseconds, from the largest on.
const TIMES: [(f64, &str); 4] = [(1e9, "s"), (1e6, "ms"), (1e3, "µs"), (1.0, "ns")];

/// Units of data in bytes, from the largest on.
const SIZES: [(f64, &str); 4] = [(1e9, "GB"), (1e6, "MB"), (1e3, "kB"), (1.0, "B")];

/// A time in nanoseconds: `1.23 ms`.
pub fn latency(nanoseconds: f64) -> String {
    scaled(nanoseconds, &TIMES)
}

/// A time in nanoseconds in its shortest form: `1 ms`, where [`latency`] says `1.00 ms`.
pub(crate) fn latency_tick(nanoseconds: f64) -> String {
    trimmed(&latency(nanoseconds))
}

/// A time in microseconds: `1.23 ms`.
pub(crate) fn micros(microseconds: f64) -> String {
    latency(microseconds * 1e3)
}

/// A time in microseconds in its shortest form: `1 ms`.
pub(crate) fn micros_tick(microseconds: f64) -> String {
    latency_tick(microseconds * 1e3)
}

/// A time in seconds in its shortest form: `2.5 s`.
pub(crate) fn seconds_tick(seconds: f64) -> String {
    trimmed(&format!("{} s", digits(seconds)))
}

/// A time in seconds: `2.50 s`.
pub fn seconds(seconds: f64) -> String {
    if seconds == 0.0 { "0 s".to_owned() } else { latency(seconds * 1e9) }
}

/// A number of bytes, or of bytes a second: `1.23 MB`.
pub fn bytes(bytes: f64) -> String {
    scaled(bytes, &SIZES)
}

/// A number of bytes in its shortest form: `2 MB`.
pub(crate) fn bytes_tick(bytes: f64) -> String {
    trimmed(&self::bytes(bytes))
}

/// A whole number with commas: `1,234,567`.
pub fn count(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A rate a second: `1,234`, or `1.23` where it is small.
pub fn rate(rate: f64) -> String {
    if rate.abs() < 100.0 { digits(rate) } else { count(rate.round().max(0.0) as u64) }
}

/// One number by another: `1.23`, `1,234`, and `12.3k` for very large ratios.
pub fn ratio(ratio: f64) -> String {
    if ratio.abs() < 1e4 { rate(ratio) } else { rate_tick(ratio) }
}

/// A rate or a number in its shortest form: `250k`, `1.5M`.
pub(crate) fn rate_tick(rate: f64) -> String {
    match rate.abs() {
        size if size >= 1e6 => trimmed(&format!("{}M", digits(rate / 1e6))),
        size if size >= 1e4 => trimmed(&format!("{}k", digits(rate / 1e3))),
        size if size >= 1e3 => count(rate.round().max(0.0) as u64),
        _ => trimmed(&digits(rate)),
    }
}

/// A share between 0 and 1, in percent: `1.50 %`.
pub fn share(share: f64) -> String {
    format!("{} %", digits(share * 100.0))
}

/// A percentile between 0 and 100 with as many nines as it has: `99.9`.
pub(crate) fn percentile_tick(percentile: f64) -> String {
    let text = format!("{percentile:.8}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn scaled(value: f64, units: &[(f64, &str)]) -> String {
    if value == 0.0 {
        return format!("0 {}", units.last().map_or("", |(_, unit)| unit));
    }
    // What would be rounded up to 1000 of one unit is 1 of the next.
    let fitting = units.iter().find(|(size, _)| value.abs() >= size * 0.9995).or(units.last());
    let (size, unit) = fitting.copied().unwrap_or((1.0, ""));
    format!("{} {unit}", digits(value / size))
}

/// Three digits that count: `1.23`, `12.3`, `123`, `1,234`.
fn digits(value: f64) -> String {
    match value.abs() {
        _ if value == 0.0 => "0".to_owned(),
        size if size < 0.01 => format!("{value:.1e}"),
        size if size < 9.995 => format!("{value:.2}"),
        size if size < 99.95 => format!("{value:.1}"),
        size if size < 999.5 => format!("{value:.0}"),
        _ => count(value.round().max(0.0) as u64),
    }
}

/// `1.50 ms` without what says nothing: `1.5 ms`.
fn trimmed(text: &str) -> String {
    let end = text.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    if !number.contains('.') {
        return text.to_owned();
    }
    format!("{}{unit}", number.trim_end_matches('0').trim_end_matches('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_unit_fits_its_figure() {
        for (nanoseconds, text) in [
            (0.0, "0 ns"),
            (740.0, "740 ns"),
            (1_000.0, "1.00 µs"),
            (12_345.0, "12.3 µs"),
            (999_999.0, "1.00 ms"),
            (1_990_000_000.0, "1.99 s"),
            (4e12, "4,000 s"),
        ] {
            assert_eq!(latency(nanoseconds), text);
        }
        assert_eq!(latency_tick(1e6), "1 ms");
        assert_eq!(latency_tick(1.5e9), "1.5 s");
        assert_eq!(seconds_tick(10.0), "10 s");
        assert_eq!(bytes(6_400_000.0), "6.40 MB");
        assert_eq!(bytes_tick(200_000_000.0), "200 MB");
        assert_eq!(seconds(2.5), "2.50 s");
    }

    #[test]
    fn large_numbers_can_be_read() {
        assert_eq!(count(0), "0");
        assert_eq!(count(999), "999");
        assert_eq!(count(1_234_567), "1,234,567");
        assert_eq!(rate(0.5), "0.50");
        assert_eq!(rate(123_456.7), "123,457");
        assert_eq!((ratio(0.5), ratio(9_999.0), ratio(10_000.0)), ("0.50".into(), "9,999".into(), "10k".into()));
        assert_eq!(rate_tick(0.0), "0");
        assert_eq!(rate_tick(2_000.0), "2,000");
        assert_eq!(rate_tick(250_000.0), "250k");
        assert_eq!(rate_tick(1_500_000.0), "1.5M");
        assert_eq!(share(0.015), "1.50 %");
        assert_eq!(percentile_tick(50.0), "50");
        assert_eq!(percentile_tick(99.99), "99.99");
        assert_eq!(percentile_tick(99.0), "99");
    }

    #[test]
    fn three_digits_count_on_both_sides_of_each_boundary() {
        for (value, text) in [(0.001, "1.0e-3"), (0.01, "0.01"), (99.0, "99.0"), (100.0, "100"), (9_999.0, "9,999")] {
            assert_eq!(rate(value), text);
        }
        assert_eq!((digits(9.995), digits(99.95), digits(999.5)), ("10.0".into(), "100".into(), "1,000".into()));
        assert_eq!((digits(999.0), digits(2_000.0)), ("999".into(), "2,000".into()));
        assert_eq!((rate_tick(999.5), rate_tick(1_000.0)), ("1,000".into(), "1,000".into()));
    }

    #[test]
    fn what_is_no_number_is_no_panic() {
        for value in [f64::NAN, f64::INFINITY, -1.0, -5e9, 1e300] {
            for text in [latency(value), rate(value), rate_tick(value), bytes_tick(value), share(value)] {
                assert!(!text.is_empty());
            }
        }
    }
}
