//! Goal: thousands of clients that send and never read cost a known amount of memory, of the server's and of the
//! kernel's, nobody else is slower for it, and they are gone when their time is up.
//!
//! Method: clients with small buffers, so that what lies in the kernel lies on the server's side, send in small pieces
//! until nobody takes any more. Then the server's resident memory is read, and what `/proc/net/sockstat` says that TCP
//! has gained (both ends; of the whole machine, so other tests that hold megabytes would count). The standard probe
//! runs from before the first until they are gone.

use std::time::{Duration, Instant};

use crate::support::{
    Latencies, Missed, PATIENCE, Probe, Server, Shown, StuckReaders, alone, attempt, attempt_often, beside,
    holds_within, in_full, measured, raise_descriptor_limit, tcp_memory,
};

/// The server's resident memory: the bound of all queues, 128 MiB, and what it needs for itself.
const RESIDENT_MOST: usize = 192 * 1024 * 1024;

/// The kernel's memory for both ends of 5,000 connections.
const KERNEL_MOST: usize = 1024 * 1024 * 1024;

/// In full this is [`KERNEL_MOST`] for all of them.
const KERNEL_MOST_EACH: usize = KERNEL_MOST / 5_000;

fn scenario() -> Result<String, Missed> {
    let stuck = in_full(300, 5_000);
    let idle_timeout = in_full(Duration::from_secs(3), Duration::from_secs(15));
    let time = in_full(Duration::from_secs(4), Duration::from_secs(30));
    let server = Server::start(&["-v", &format!("--idle-timeout={}s", idle_timeout.as_secs())]);
    let probe = Probe::calm(&server.url("tcp"), in_full(Duration::from_secs(1), Duration::from_secs(5)));
    let before = tcp_memory();
    let probing = probe.start(time);
    let _readers = StuckReaders::fill(server.address(), stuck);
    let start = Instant::now();
    let (resident, kernel) = (server.resident_bytes(), tcp_memory().saturating_sub(before));
    let all_closed = || server.logged("idle-timeout") >= stuck;
    assert!(holds_within(2 * idle_timeout + PATIENCE, all_closed), "somebody is not closed: {:?}", server.summary());
    let gone = start.elapsed();
    let probed = probing.finish();
    let mib = |bytes: usize| bytes as f64 / (1024.0 * 1024.0);
    // The kernel's figure is the whole machine's: in a shortened run other programs may be counted too.
    let kernel_most = stuck * KERNEL_MOST_EACH + in_full(32 * 1024 * 1024, 0);
    let found = format!(
        "{stuck} readers that never read: RSS {:.0} MiB (at most 192), kernel {:.0} MiB for both ends (at most {:.0}), gone after {:.1} s \
         (idle timeout {} s)",
        mib(resident),
        mib(kernel),
        mib(kernel_most),
        gone.as_secs_f64(),
        idle_timeout.as_secs(),
    );
    let within = resident <= RESIDENT_MOST && kernel <= kernel_most && gone <= 2 * idle_timeout;
    beside(probed, within, |probed| format!("{found}, {probed}"))
}

#[test]
fn thousands_that_never_read_cost_bounded_memory_and_are_gone_in_time() {
    let _alone = alone();
    raise_descriptor_limit();
    measured("7", &attempt(scenario));
}

#[test]
fn a_noisy_machine_is_told_from_a_broken_promise() {
    let _alone = alone();
    let ms = |p99: f64, p999: f64| Latencies { p99: p99 / 1e3, p999: p999 / 1e3 };
    let judge = |probe: Latencies, calm: f64, beside: Latencies| probe.judge(calm / 1e3, beside, String::new());
    let noise = Err(Missed::Noise(String::new()));
    let broken = Err(Missed::Promise(String::new()));
    // Within the bounds, whatever the machine does; and three times as slow as the calm server.
    assert_eq!(judge(ms(4.9, 49.0), 0.2, ms(80.0, 90.0)), Ok(String::new()));
    assert_eq!(judge(ms(8.9, 10.0), 3.0, ms(1.0, 2.0)), Ok(String::new()));
    // Beside a server that had nothing else to do and was as slow at the same time.
    assert_eq!(judge(ms(20.0, 40.0), 0.2, ms(8.0, 30.0)), noise);
    assert_eq!(judge(ms(4.0, 80.0), 0.2, ms(4.0, 60.0)), noise);
    // Beside one that was not.
    assert_eq!(judge(ms(20.0, 40.0), 0.2, ms(0.4, 2.0)), broken);
    assert_eq!(judge(ms(4.0, 80.0), 0.2, ms(4.0, 9.0)), broken);
    assert_eq!(judge(ms(20.0, 900.0), 0.2, ms(8.0, 30.0)), broken, "no noise makes up for a second");

    let shown = |script: &[Result<&str, Missed>]| {
        let mut script = script.iter().cloned();
        attempt_often(3, || script.next().expect("no more attempts than that").map(str::to_owned))
    };
    let (noise, missed) = (|| Err(Missed::Noise("noise".to_owned())), || Err(Missed::Promise("missed".to_owned())));
    assert_eq!(shown(&[missed(), noise(), noise(), missed(), Ok("kept")]), Shown::Kept("kept".to_owned()));
    assert!(matches!(shown(&[missed(), missed(), noise(), missed()]), Shown::Broken(_)));
    assert!(matches!(shown(&[noise(), missed(), noise(), noise()]), Shown::Nothing(_)));
}
