//! Durations and sizes as people write them.

use std::time::Duration;

/// A duration such as `250ms`, `30s`, `5m` or `1h`; `0` is none at all.
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
    match size(text)? {
        0 => Err("it must be at least 1".to_owned()),
        bytes => Ok(bytes),
    }
}

/// The size of a socket's buffer, which the system keeps in 32 bits with a sign.
pub(crate) fn buffer_size(text: &str) -> Result<usize, String> {
    match positive_size(text)? {
        bytes if i32::try_from(bytes).is_err() => Err("it can be at most 2 GiB - 1".to_owned()),
        bytes => Ok(bytes),
    }
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
}
