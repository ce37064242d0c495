//! Goal: a report's page can be read in a real browser: light and dark, on a wide screen and on a phone, with its
//! pictures, and without asking the network for anything.
//!
//! Method: headless Chromium opens the page in frames of 1,400 and of 400 pixels and measures from outside what a
//! reader would see: what sticks out, what is cut off, what lies over each other, what is too small or too faint. Its
//! proxy is this test, which sees every request.

#[path = "../../src/measure/compare/samples.rs"]
mod samples;

use std::collections::BTreeSet;

use cooee::measure::compare::html;
use cooee::measure::report::{Report, run_page};
use serde_json::Value;

/// What measures the frames.
const LAYOUT: &str = include_str!("../support/layout.js");

/// The page that shows these ones, each in a wide and in a narrow frame.
fn frames(pages: &[&str]) -> String {
    let frame = |page: &str, width: u32| {
        format!(r#"<iframe src="{page}" width="{width}" height="900" frameborder="0"></iframe>"#)
    };
    let frames: String = pages.iter().map(|page| frame(page, 1400) + &frame(page, 400)).collect();
    format!(r#"<!doctype html><link rel="icon" href="data:,"><pre id="result"></pre>{frames}<script>{LAYOUT}</script>"#)
}

/// What was measured in each frame.
fn measured(dom: &str) -> Vec<Value> {
    let result = dom.split_once(r#"<pre id="result">"#).and_then(|(_, rest)| rest.split_once("</pre>"));
    let json = result.expect("the frames were measured").0;
    let json = json.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
    serde_json::from_str(&json).unwrap_or_else(|error| panic!("{error}: {dom}"))
}

fn named(name: &str, report: Report) -> (String, Report) {
    (name.to_owned(), report)
}

#[test]
fn a_page_can_be_read_everywhere_and_asks_nobody() {
    let Some(browser) = crate::browser::name() else { return crate::support::skip("no chromium here") };
    let several = [
        named("before.json", crate::runs::closed()),
        named("after.json", Report { messages_per_s: 14_251.0 * 12_345.0, ..crate::runs::stopped_server() }),
        named(
            "a-file-with-a-name-that-somebody-found-easy-to-remember-and-nobody-can-read.json",
            crate::runs::troubled(),
        ),
    ];
    let rates = [100.0, 110.0, 105.0, 102.0, 103.0];
    let servers = ["cooee", "another-server-of-ours", "a-third-one-with-a-name-that-nobody-can-remember"];
    let compared = samples::comparison(vec![
        samples::server(servers[0], &rates),
        samples::server(servers[1], &rates.map(|rate| 12_345.0 * rate)),
        samples::server(servers[2], &rates),
    ]);
    let pages = [
        ("/open", run_page::page(&crate::runs::stopped_server()), 3),
        ("/trouble", run_page::page(&crate::runs::troubled()), 4),
        ("/nothing", run_page::page(&crate::runs::nothing()), 0),
        ("/first-bytes", run_page::page(&crate::runs::first_bytes()), 3),
        ("/few", run_page::page(&crate::runs::few()), 3),
        ("/compared", html::render(&compared), 6),
        ("/side-by-side", run_page::side_by_side(&several), 4),
    ];
    let outer = frames(&pages.each_ref().map(|(path, ..)| *path));
    let mut files = vec![("/", outer.as_str())];
    files.extend(pages.iter().map(|(path, page, _)| (*path, page.as_str())));

    let mut papers = Vec::new();
    for dark in [false, true] {
        let visit = crate::browser::visit(browser, &files, dark);
        let asked: BTreeSet<&str> =
            visit.requests.iter().map(|request| request.trim_start_matches(crate::browser::HOST)).collect();
        assert_eq!(asked, files.iter().map(|(path, _)| *path).collect(), "nothing but the pages");
        let measured = measured(&visit.dom);
        assert_eq!(measured.len(), 2 * pages.len());
        for ((path, _, pictures), frames) in pages.iter().zip(measured.chunks(2)) {
            for (frame, width) in frames.iter().zip([1400, 400]) {
                assert_is_readable(&format!("{path}: {frame}"), frame, width, *pictures);
                // All figures of several reports may be more than fit. What is compared, and a verdict, is in sight.
                let hidden = if *path == "/side-by-side" { "compared_out_of_sight" } else { "out_of_sight" };
                assert_eq!(frame[hidden], Value::Array(Vec::new()), "{path}: {frame}");
            }
        }
        papers.push(measured[0]["paper"].clone());
    }
    assert_ne!(papers[0], papers[1], "light and dark differ");
}

/// Whether a page in a frame of this width can be read, and has these pictures. The ratios of contrast are those of
/// WCAG 2.1, 1.4.3 for words and 1.4.11 for lines.
#[track_caller]
fn assert_is_readable(what: &str, frame: &Value, width: u32, pictures: u32) {
    let number = |name: &str| frame[name].as_f64().unwrap_or_default();
    let none = Value::Array(Vec::new());
    assert_eq!(frame["width"], width, "{what}");
    assert!(number("scroll_width") <= f64::from(width), "{what}");
    assert_eq!(frame["wider"], none, "{what}");
    assert_eq!(frame["pictures"], pictures, "{what}");
    assert_eq!(frame["cut"], none, "{what}");
    assert_eq!(frame["collisions"], none, "{what}");
    assert_eq!(frame["unstyled"], 0, "{what}");
    assert!(number("text_contrast") >= 4.5, "{what}");
    // A run in which nothing was answered has no picture.
    if pictures > 0 {
        assert!(number("smallest_word") >= 10.0, "{what}");
        assert!(number("line_contrast") >= 3.0, "{what}");
        assert!(number("lines") >= f64::from(pictures), "{what}");
    }
}

#[test]
fn what_this_test_looks_for_it_would_find() {
    let Some(browser) = crate::browser::name() else { return crate::support::skip("no chromium here") };
    let page = r##"<!doctype html><body style="margin:0;color:#ccc;background:#fff"><img src="http://elsewhere.invalid/x.png">
        <div style="width:900px">wide</div><div class="scroll" style="overflow:auto"><table><tr><td style="min-width:900px">a<td>worse</table></div><div class="picture"><svg viewBox="0 0 100 50" width="100">
        <text x="90" y="20">cut off</text><text x="92" y="22">over it</text></svg></div>"##;
    let visit = crate::browser::visit(browser, &[("/", &frames(&["/page"])), ("/page", page)], false);
    assert!(visit.requests.iter().any(|request| request == "http://elsewhere.invalid/x.png"), "{:?}", visit.requests);
    let narrow = &measured(&visit.dom)[1];
    assert_eq!(narrow["wider"][0], "DIV.", "{narrow}");
    assert!(narrow["scroll_width"].as_f64().unwrap() >= 900.0, "{narrow}");
    assert_eq!(narrow["out_of_sight"][1], "worse", "{narrow}");
    assert_eq!(narrow["cut"][0], "cut off", "{narrow}");
    assert_eq!(narrow["collisions"][0], "cut off / over it", "{narrow}");
    assert!(narrow["text_contrast"].as_f64().unwrap() < 4.5, "{narrow}");
}
