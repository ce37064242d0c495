//! A histogram of a report comes from a file that anybody may have written. Whatever it inflates to is refused, or is a
//! histogram that can be read off and written again.
#![no_main]

use std::io::Write;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use cooee::measure::report::histogram::{decode, encode};
use cooee::measure::report::latencies::Latencies;
use cooee_fuzz::power::assert_one_harmless_line;
use flate2::Compression;
use flate2::write::ZlibEncoder;
use libfuzzer_sys::fuzz_target;

/// What the compressed V2 format of HdrHistogram begins with.
const COOKIE: u32 = 0x1c84_9314;

fuzz_target!(|inflated: &[u8]| {
    let histogram = match decode(&packed(inflated)) {
        Ok(histogram) => histogram,
        Err(reason) => return assert_one_harmless_line(&reason),
    };
    let latencies = Latencies::of(&histogram);
    assert_eq!(latencies.max.is_none(), histogram.is_empty());
    assert!(latencies.values().into_iter().flatten().all(|latency| latency.is_finite() && latency >= 0.0));
    let again = decode(&encode(&histogram).expect("it can be written")).expect("what is written can be read");
    assert_eq!(again, histogram);
});

/// The text of what it inflates to: the fuzzer could hardly find its way through the compression.
fn packed(inflated: &[u8]) -> String {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::none());
    encoder.write_all(inflated).expect("memory takes everything");
    let deflated = encoder.finish().expect("memory takes everything");
    let length = u32::try_from(deflated.len()).expect("inputs are short");
    STANDARD.encode([&COOKIE.to_be_bytes()[..], &length.to_be_bytes(), &deflated].concat())
}
