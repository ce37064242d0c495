//! Parsers of durations, sizes, counts and rates.

use std::str::FromStr;
use std::time::Duration;

use crate::measure::load::objective::Objective;
use crate::measure::load::schedule::Schedule;

/// A duration such as `250ms`, `30s`, `5m` or `1h`; `0` is zero.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    humantime::parse_duration(text).map_err(|_| "a duration is a number with ms, s, m or h: 250ms, 30s, 5m".to_owned())
}

/// A size in bytes such as `512`, `64KiB`, `10k` or `1m`.
pub(crate) fn size(text: &str) -> Result<usize, String> {
    let bytes = parse_size::parse_size(text)
        .map_err(|_| "a size is a number of bytes, or one with KiB, MiB, k or m: 512, 64KiB, 10k".to_owned())?;
    usize::try_from(bytes).map_err(|_| "this size does not fit into memory".to_owned())
}

/// A size that is not zero.
pub(crate) fn positive_size(text: &str) -> Result<usize, String> {
    size(text).and_then(positive)
}

fn positive<T: PartialEq + Default>(number: T) -> Result<T, String> {
    if number == T::default() { Err("it must be at least 1".to_owned()) } else { Ok(number) }
}

/// The size of a socket's buffer, which the system keeps in 32 bits with a sign.
pub(crate) fn buffer_size(text: &str) -> Result<usize, String> {
    within_32_bits(positive_size(text)?).map(|bytes| bytes as usize)
}

/// A size that the system keeps in 32 bits with a sign, or 0.
pub(crate) fn small_size(text: &str) -> Result<u32, String> {
    within_32_bits(size(text)?)
}

fn within_32_bits(bytes: usize) -> Result<u32, String> {
    i32::try_from(bytes).map(i32::unsigned_abs).map_err(|_| "it can be at most 2 GiB - 1".to_owned())
}

/// A duration that is not zero.
pub(crate) fn positive_duration(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        Duration::ZERO => Err("it must be more than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// How long a reactor stays awake after an event: zero, or a time that its clock can measure.
pub(crate) fn busy_poll(text: &str) -> Result<Duration, String> {
    const SHORTEST: Duration = Duration::from_micros(1);
    match duration(text)? {
        time if time.is_zero() || time >= SHORTEST => Ok(time),
        _ => Err("it must be at least 1us, or 0 for none".to_owned()),
    }
}

/// A number of things, or none.
pub(crate) fn count<T: FromStr>(text: &str) -> Result<T, String> {
    text.parse().map_err(|_| "it must be a whole number that is not too large, such as 100".to_owned())
}

/// A number of messages, at least one.
pub(crate) fn messages(text: &str) -> Result<u64, String> {
    count(text).and_then(positive)
}

/// A number of things, at least one.
pub(crate) fn positive_count<T: FromStr + PartialOrd + Default>(text: &str) -> Result<T, String> {
    let number = text.parse().ok().filter(|number| *number > T::default());
    number.ok_or_else(|| "it must be a number of at least 1".to_owned())
}

/// A rate a second, such as `1000`, `2.5`, `10k` or `1000/s`.
pub(crate) fn rate(text: &str) -> Result<f64, String> {
    match rate_or_zero(text)? {
        0.0 => Err("it must be more than 0".to_owned()),
        rate => Ok(rate),
    }
}

/// The largest rate: one message a microsecond.
const RATE_MAX: f64 = 1e6;

fn rate_or_zero(text: &str) -> Result<f64, String> {
    let number = text.strip_suffix("/s").unwrap_or(text);
    let (number, scale) = match number.strip_suffix('k') {
        Some(number) => (number, 1e3),
        None => (number, 1.0),
    };
    match number.parse::<f64>() {
        Ok(rate) if rate.is_finite() && (0.0..=RATE_MAX).contains(&(rate * scale)) => Ok(rate * scale),
        Ok(rate) if rate > 0.0 => Err("it can be at most 1000k a second".to_owned()),
        _ => Err("a rate is a number a second: 1000, 2.5, 10k".to_owned()),
    }
}

/// An objective such as `p99=2ms`.
pub(crate) fn objective(text: &str) -> Result<Objective, String> {
    const FORM: &str = "an objective is a percentile (p50, p90, p95, p99, p999, p9999 or max) and a time: p99=2ms";
    let (name, time) = text.split_once('=').ok_or(FORM)?;
    Ok(Objective { quantile: Objective::quantile(name).ok_or(FORM)?, latency: positive_duration(time)? })
}

/// A ramp such as `100:5000/30s`.
pub(crate) fn ramp(text: &str) -> Result<Schedule, String> {
    const FORM: &str = "a ramp is FROM:TO/TIME, two rates a second and a duration: 100:5000/30s";
    let (rates, time) = text.split_once('/').ok_or(FORM)?;
    let (from, to) = rates.split_once(':').ok_or(FORM)?;
    Ok(Schedule { from: rate_or_zero(from)?, to: rate(to)?, ramp: positive_duration(time)? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_take_the_usual_units() {
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("5m"), Ok(Duration::from_secs(300)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        assert_eq!(duration("0"), Ok(Duration::ZERO));
        for bad in ["", "5", "-1s", "5 parsecs"] {
            assert!(duration(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn sizes_take_the_usual_units() {
        assert_eq!(size("512"), Ok(512));
        assert_eq!(size("64KiB"), Ok(65_536));
        assert_eq!(size("1MiB"), Ok(1_048_576));
        assert_eq!(size("10k"), Ok(10_000));
        assert_eq!(size("2m"), Ok(2_000_000));
        for bad in ["", "-1", "many"] {
            assert!(size(bad).is_err(), "{bad}");
        }
        assert!(positive_size("0").is_err());
        assert_eq!(buffer_size("1MiB"), Ok(1_048_576));
        assert!(buffer_size("4GiB").is_err());
    }

    #[test]
    fn rates_and_ramps_are_numbers_a_second() {
        assert_eq!(rate("1000"), Ok(1000.0));
        assert_eq!(rate("10k/s"), Ok(10_000.0));
        assert_eq!(rate("2.5"), Ok(2.5));
        for bad in ["", "0", "-1", "1e9", "NaN", "fast", "2M"] {
            assert!(rate(bad).is_err(), "{bad}");
        }
        assert_eq!(ramp("0:5k/30s"), Ok(Schedule { from: 0.0, to: 5000.0, ramp: Duration::from_secs(30) }));
        for bad in ["", "1:2", "1:0/1s", "1/1s", "1:2/0"] {
            assert!(ramp(bad).is_err(), "{bad}");
        }
    }
}
