//! Any list of arguments is understood or refused with a word why. What is understood keeps to its bounds, and a
//! setting means the same as a flag and in the query of an endpoint.
#![no_main]

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;
use std::time::Duration;

use cooee::apps::server::service::Service;
use cooee::cli::fuzzing::{Refused, Understood, keys, understand};
use cooee::cli::settings::Settings;
use cooee::measure::compare::command::ServerCommand;
use cooee::measure::compare::listen_address::ListenKind;
use cooee::measure::load::options::Options;
use cooee::os::clock::Tick;
use cooee::protocol::mode::Mode;
use cooee::reactor::limits::Limits;
use cooee_fuzz::power::assert_one_harmless_line;
use libfuzzer_sys::fuzz_target;
use percent_encoding::{NON_ALPHANUMERIC, percent_encode};

/// The settings that take no value as a flag, but one in a query.
const SWITCHES: [&str; 2] = ["log-messages", "reuse-port"];

/// The longest message that can be asked for.
const FRAME_MAX: usize = 1 << 30;

// A word a line.
fuzz_target!(|bytes: &[u8]| {
    let words: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
    let understood = ask(&words);
    match &understood {
        Ok(Understood::Serve(services, limits)) => {
            services.iter().for_each(check_service);
            check_limits(limits);
        }
        Ok(Understood::Load(options)) => check_options(options),
        Ok(Understood::Other) => {}
        Err(Refused::Parser(code, text)) => assert!([0, 2].contains(code) && !text.trim().is_empty(), "{code}: {text}"),
        Err(Refused::Usage(reason)) => {
            assert!(!reason.is_empty());
            assert_one_harmless_line(reason);
        }
    }
    if let Some(in_query) = as_query(&words) {
        // Both ways say the same, or both are refused.
        let in_query = ask(&[b"serve", in_query.as_bytes()]);
        assert_eq!(understood.is_ok(), in_query.is_ok(), "{understood:?}\n{in_query:?}");
        if let (Ok(flags), Ok(query)) = (understood, in_query) {
            assert_eq!(format!("{flags:?}"), format!("{query:?}"));
        }
    }
    let text = String::from_utf8_lossy(bytes);
    if let Ok(command) = ServerCommand::parse(&text, ListenKind::Port) {
        assert_one_harmless_line(&command.name);
        // Quotes may stand within the placeholder: they are gone when the words are filled.
        assert!(text.contains('{') && !command.name.is_empty());
    }
});

fn ask(words: &[&[u8]]) -> Result<Understood, Refused> {
    let words = words.iter().map(|word| OsStr::from_bytes(word).to_owned());
    understand([OsString::from("cooee")].into_iter().chain(words))
}

fn check_service((settings, service): &(Settings, Service)) {
    assert_eq!(service.mode.name(), settings.mode);
    assert!((1..=FRAME_MAX).contains(&service.rules.max_frame) && settings.backlog >= 1);
    for size in [settings.rcvbuf, settings.sndbuf].into_iter().flatten() {
        assert!(size >= 1 && i32::try_from(size).is_ok(), "a buffer of {size} bytes");
    }
    for time in [settings.keepalive, settings.defer_accept].into_iter().flatten() {
        assert!(time >= Duration::from_secs(1), "{time:?}");
    }
    if let Mode::Ack(ack) = &service.mode {
        // An answer's length still fits the 32 bits that stand before it.
        assert!(u32::try_from(service.rules.max_frame + ack.before.len() + ack.after.len()).is_ok());
    }
}

fn check_limits(limits: &Limits) {
    assert!(limits.max_connections_per_source != Some(0), "0 is unlimited");
    assert!(limits.write_limit > 0 && limits.queue_limit > 0 && limits.read_budget > 0);
    assert!(limits.idle_timeout != Some(Duration::ZERO) && limits.busy_poll != Some(Duration::ZERO));
    for wait in [limits.half_closed_timeout, limits.drain_timeout].into_iter().chain(limits.idle_timeout) {
        assert!(Tick::START.after(wait) >= Tick::START, "a moment can be {wait:?} away");
    }
}

fn check_options(options: &Options) {
    assert_eq!(options.check(), Ok(()));
    assert!(options.connections >= 1 && options.connections.saturating_mul(options.pipeline) <= Options::IN_FLIGHT_MAX);
    assert!(options.body.length() <= Options::LENGTH_MAX && !options.interval.is_zero() && !options.timeout.is_zero());
}

/// The endpoint whose query says what these flags say; none where they are more than that.
fn as_query(words: &[&[u8]]) -> Option<String> {
    let (flags, known) = (words.strip_prefix(&[&b"serve"[..]])?, keys());
    let pairs = flags.iter().map(|flag| {
        let flag = std::str::from_utf8(flag).ok()?;
        let (key, value) = flag.strip_prefix("--")?.split_once('=')?;
        let value = percent_encode(value.as_bytes(), NON_ALPHANUMERIC);
        (known.iter().any(|known| known == key) && !SWITCHES.contains(&key)).then(|| format!("{key}={value}"))
    });
    Some(format!("127.0.0.1:9000?{}", pairs.collect::<Option<Vec<_>>>()?.join("&")))
}
