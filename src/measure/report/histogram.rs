//! Histograms as text: base64 of the V2 format of HdrHistogram in a DEFLATE stream, as its other implementations and
//! tools write and read it (`HistogramLogAnalyzer`, `hdr-plot`). Values are nanoseconds.
//!
//! What is read comes from a file that anybody may have written. `hdrhistogram` believes the lengths that it finds
//! there, so they are checked here before it sees them.

use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flate2::read::ZlibDecoder;
use hdrhistogram::Histogram;
use hdrhistogram::serialization::{Deserializer, Serializer, V2DeflateSerializer};
use serde::de::Error as _;
use serde::ser::Error as _;
use serde::{Deserialize, Deserializer as Source, Serializer as Sink};

use crate::os::reason;

/// The most bytes that a histogram may have when it is inflated: a bomb of zeros inflates to a thousandfold. Four
/// digits over the whole range of 64 bits have 450,000 counters of at most 9 bytes.
const INFLATED_MAX: u64 = 8 << 20;

/// Counters take memory by their precision: 4 digits and 64 bits 7 MB, 5 digits 50 MB.
const DIGITS_MAX: u32 = 4;

/// The longest latency that can be counted: 36 years.
const VALUE_MAX: u64 = 1 << 60;

/// The most messages that can be counted. `hdrhistogram` adds counts up without asking whether their sum fits.
const COUNT_MAX: u64 = 1 << 53;

/// The cookie of the compressed format, then its length.
const COMPRESSED_HEADER: usize = 8;
/// Cookie, length, offset, digits, lowest and highest value, ratio.
const HEADER: usize = 40;

/// The text of a histogram.
pub fn encode(histogram: &Histogram<u64>) -> Result<String, String> {
    let mut bytes = Vec::new();
    V2DeflateSerializer::new().serialize(histogram, &mut bytes).map_err(|error| error.to_string())?;
    Ok(STANDARD.encode(bytes))
}

/// The histogram of a text. The error says what is wrong with it.
pub fn decode(text: &str) -> Result<Histogram<u64>, String> {
    let bytes = STANDARD.decode(text).map_err(|error| format!("it is no base64: {error}"))?;
    let deflated = bytes.get(COMPRESSED_HEADER..).ok_or("it is too short")?;
    let mut inflated = Vec::new();
    ZlibDecoder::new(deflated)
        .take(INFLATED_MAX + 1)
        .read_to_end(&mut inflated)
        .map_err(|error| format!("it cannot be inflated: {}", reason::of(&error)))?;
    if inflated.len() as u64 > INFLATED_MAX {
        return Err(format!("it inflates to more than {INFLATED_MAX} bytes"));
    }
    let (header, counts) = inflated.split_at_checked(HEADER).ok_or("it is too short")?;
    let word = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u32::from_be_bytes(*bytes));
    let long = |at: usize| header[at..].first_chunk().map_or(0, |bytes| u64::from_be_bytes(*bytes));
    if word(4) as usize != counts.len() {
        return Err(format!("it tells of {} bytes of counts and holds {}", word(4), counts.len()));
    }
    if word(12) > DIGITS_MAX {
        return Err(format!("its precision is {} digits: at most {DIGITS_MAX} are read", word(12)));
    }
    if long(24) > VALUE_MAX {
        return Err(format!("its highest value is {}: at most {VALUE_MAX} is read", long(24)));
    }
    // Nine such bytes are the one number whose negation does not fit. No count and no run of zeros comes near to it.
    if counts.windows(9).any(|bytes| bytes == [0xff; 9]) {
        return Err("its counts are absurd".to_owned());
    }
    let histogram: Histogram<u64> = Deserializer::new()
        .deserialize(&mut &inflated[..])
        .map_err(|error| format!("it is no HdrHistogram of the V2 format: {error}"))?;
    if histogram.len() > COUNT_MAX {
        return Err("its counts are absurd".to_owned());
    }
    Ok(histogram)
}

/// For serde: writes a histogram as its text.
pub(super) fn serialize<S: Sink>(histogram: &Histogram<u64>, sink: S) -> Result<S::Ok, S::Error> {
    sink.serialize_str(&encode(histogram).map_err(S::Error::custom)?)
}

/// For serde: reads a histogram from its text.
pub(super) fn deserialize<'de, D: Source<'de>>(source: D) -> Result<Histogram<u64>, D::Error> {
    let text = String::deserialize(source)?;
    decode(&text).map_err(|reason| D::Error::custom(format!("a histogram cannot be read: {reason}")))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::ZlibEncoder;

    use super::*;

    fn packed(inflated: &[u8]) -> String {
        let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(inflated).unwrap();
        let deflated = encoder.finish().unwrap();
        let mut bytes = 0x1c84_9314_u32.to_be_bytes().to_vec();
        bytes.extend((deflated.len() as u32).to_be_bytes());
        bytes.extend(deflated);
        STANDARD.encode(bytes)
    }

    fn header(length: u32, digits: u32, high: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        for word in [0x1c84_9313, length, 0, digits] {
            bytes.extend(word.to_be_bytes());
        }
        for long in [1, high, 1f64.to_bits()] {
            bytes.extend(long.to_be_bytes());
        }
        bytes
    }

    #[test]
    fn what_is_written_is_read_without_loss() {
        let mut histogram = Histogram::new_with_bounds(1, 3_600_000_000_000, 3).unwrap();
        for value in [1, 1_000, 1_000, 250_000, 1_999_000_000, 3_000_000_000_000] {
            histogram.record(value).unwrap();
        }
        assert_eq!(decode(&encode(&histogram).unwrap()).unwrap(), histogram);
        let empty = Histogram::new(3).unwrap();
        assert_eq!(decode(&encode(&empty).unwrap()).unwrap().len(), 0);
    }

    #[test]
    fn one_that_is_made_by_hand_is_read() {
        let counts = [6u8, 0, 4];
        let histogram = decode(&packed(&[&header(3, 3, 1 << 40)[..], &counts].concat())).unwrap();
        assert_eq!((histogram.len(), histogram.count_at(0), histogram.count_at(2)), (5, 3, 2));
    }

    #[test]
    fn what_is_absurd_is_refused_without_work() {
        let bomb = vec![0; 64 << 20];
        let cases: [(String, &str); 9] = [
            ("!".to_owned(), "base64"),
            (String::new(), "too short"),
            (STANDARD.encode([7; 30]), "inflated"),
            (packed(&bomb), "inflates to more"),
            (packed(&[1, 2, 3]), "too short"),
            (packed(&header(u32::MAX, 3, 1 << 40)), "holds 0"),
            (packed(&header(0, 5, 1 << 40)), "5 digits"),
            (packed(&header(0, 3, u64::MAX)), "highest value"),
            (packed(&[&header(9, 3, 1 << 40)[..], &[0xff; 9]].concat()), "absurd"),
        ];
        for (text, words) in cases {
            let error = decode(&text).unwrap_err();
            assert!(error.contains(words), "{words}: {error}");
        }
    }

    #[test]
    fn what_is_just_small_enough_is_read() {
        let refusal = |text: &str| decode(text).err().unwrap_or_default();
        // A header and no counts.
        for (digits, high, words) in [
            (4, 1 << 40, ""),
            (3, 1 << 60, ""),
            (3, (1 << 60) + 1, "it is 1152921504606846977"),
            (5, 1 << 40, "5 digits"),
        ] {
            let refused = refusal(&packed(&header(0, digits, high)));
            assert_eq!(refused.is_empty(), words.is_empty(), "{digits} digits up to {high}: {refused}");
        }
        let counted = |count: u64| {
            let mut histogram = Histogram::new(3).unwrap();
            histogram.record_n(1, count).unwrap();
            encode(&histogram).unwrap()
        };
        assert_eq!(decode(&counted(9_007_199_254_740_992)).unwrap().len(), 9_007_199_254_740_992);
        assert_eq!(refusal(&counted(9_007_199_254_740_993)), "its counts are absurd");
        // The text is cut where the two headers end.
        assert_eq!(refusal(&STANDARD.encode([0; 7])), "it is too short");
        assert!(refusal(&STANDARD.encode([0; 8])).starts_with("it cannot be inflated"));
        assert_eq!(refusal(&packed(&[0; 39])), "it is too short");
        assert!(refusal(&packed(&[0; 40])).starts_with("it is no HdrHistogram"));
    }

    #[test]
    fn eight_mebibytes_are_inflated_and_not_one_byte_more() {
        let refusal = |length: usize| decode(&packed(&vec![0; length])).unwrap_err();
        assert_eq!(refusal(8_388_608), "it tells of 0 bytes of counts and holds 8388568");
        assert_eq!(refusal(8_388_609), "it inflates to more than 8388608 bytes");
    }

    #[test]
    fn nine_full_bytes_are_absurd_wherever_they_stand_and_eight_are_none() {
        let refusal = |counts: &[u8]| {
            decode(&packed(&[&header(counts.len() as u32, 3, 1 << 40)[..], counts].concat())).err().unwrap_or_default()
        };
        assert_eq!(refusal(&[&[2, 2][..], &[0xff; 9], &[0]].concat()), "its counts are absurd");
        assert!(refusal(&[&[2][..], &[0xff; 8], &[0, 2]].concat()).starts_with("it is no HdrHistogram"));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut random = 17u64;
        for _ in 0..20_000 {
            let mut counts = Vec::new();
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let length = (random >> 33) % 40;
            for _ in 0..length {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                counts.push((random >> 56) as u8 | if random & 0x300 == 0 { 0 } else { 0x80 });
            }
            let digits = (random >> 20) as u32 % 6;
            let high = (random << 7) >> (random % 60);
            if let Ok(histogram) = decode(&packed(&[&header(counts.len() as u32, digits, high)[..], &counts].concat()))
            {
                assert!(histogram.mean() >= 0.0 && histogram.value_at_quantile(0.99) <= histogram.max());
            }
        }
    }
}
