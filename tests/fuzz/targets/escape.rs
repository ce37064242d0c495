//! Whatever text comes from the network is shown on one line and without power over a terminal, takes at most six times
//! its bytes, and can be told from every other text.
#![no_main]

use cooee::measure::report::visible::{shortened, visible};
use cooee::protocol::escape::Escaped;
use cooee_fuzz::power::assert_one_harmless_line;
use libfuzzer_sys::fuzz_target;

/// A control character of one byte becomes `\u{7f}`; longer ones become less than three times as long.
const GROWTH_MAX: usize = 6;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let escaped = Escaped(&text).to_string();
    assert_one_harmless_line(&escaped);
    assert!(escaped.len() <= GROWTH_MAX * text.len(), "{} bytes became {}", text.len(), escaped.len());
    assert_eq!(unescaped(&escaped), text, "what was escaped can be read back");

    let shown = visible(&text);
    assert_one_harmless_line(&shown);
    assert_eq!(visible(&shown), shown, "showing twice is showing once");
    let max = usize::from(bytes.first().copied().unwrap_or(0)).max(1);
    let short = shortened(&text, max);
    assert_one_harmless_line(&short);
    assert!(short.chars().count() <= max, "{short:?} has more than {max} characters");
});

/// What an escaped text was before.
fn unescaped(escaped: &str) -> String {
    let mut text = String::new();
    let mut rest = escaped.chars();
    while let Some(character) = rest.next() {
        if character != '\\' {
            text.push(character);
            continue;
        }
        text.push(match rest.next().expect("something is escaped") {
            'n' => '\n',
            'r' => '\r',
            't' => '\t',
            '\\' => '\\',
            'u' => {
                let digits: String = rest.by_ref().take_while(|character| *character != '}').collect();
                let number = digits.strip_prefix('{').and_then(|digits| u32::from_str_radix(digits, 16).ok());
                number.and_then(char::from_u32).expect("a character in hexadecimal digits")
            }
            other => panic!("an escape of '{other}'"),
        });
    }
    text
}
