//! Goal: the documentation does not rot. What it names exists: items of the code, files, headings; and the tutorial is
//! gone through to its last row; and the code's imports point down, as the map says.
//!
//! Method: every `path.rs::Item` in backticks in `README.md` and below `docs/` is looked up in that file, every
//! relative link is followed, and the rows of `docs/sockets.md` are compared with the tutorial's. Every `crate::` path
//! of the code, its tests aside, is compared with the order of the layers in `docs/architecture.md`.

use std::fs;
use std::path::{Path, PathBuf};

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// Adds every file below `folder` that ends so to `files`.
fn collect(folder: &Path, extension: &str, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, extension, files);
        } else if path.extension().is_some_and(|found| found == extension) {
            files.push(path);
        }
    }
}

/// Every page, with its text.
fn pages() -> Vec<(PathBuf, String)> {
    let mut paths = vec![root().join("README.md")];
    collect(&root().join("docs"), "md", &mut paths);
    paths.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

/// The lines of a page that are not code, with their numbers.
fn prose(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut in_code = false;
    text.lines().enumerate().map(|(index, line)| (index + 1, line)).filter(move |(_, line)| {
        let fence = line.trim_start().starts_with("```");
        in_code ^= fence;
        !(in_code || fence)
    })
}

/// What stands in backticks in a line.
fn quoted(line: &str) -> impl Iterator<Item = &str> {
    line.split('`').skip(1).step_by(2)
}

/// Whether `code` defines `name`: as an item, as a variant or as an associated item.
fn defines(code: &str, name: &str) -> bool {
    code.lines().map(str::trim_start).filter(|line| !line.starts_with("//")).any(|line| {
        let words: Vec<&str> = line.split(|c: char| !(c.is_alphanumeric() || c == '_')).collect();
        let is_item = words.windows(2).any(|pair| {
            ["fn", "struct", "enum", "trait", "const", "static", "mod", "type", "union"].contains(&pair[0])
                && pair[1] == name
        });
        // A variant stands at the beginning of its line, and ends it or carries something.
        let is_variant = name.starts_with(char::is_uppercase)
            && line.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with([',', '(', ' ', '=']))
            && !line.contains("=>");
        is_item || is_variant
    })
}

/// Whether `code` says what belongs to `name`: it defines it, or implements it.
fn knows(code: &str, name: &str) -> bool {
    let implements = |line: &str| {
        line.starts_with("impl") && line.split(|c: char| !(c.is_alphanumeric() || c == '_')).any(|word| word == name)
    };
    defines(code, name) || code.lines().any(implements)
}

/// What is wrong with a reference such as `src/os/bind.rs::connect`; none where it is right.
fn fault(reference: &str) -> Option<String> {
    let (path, items) = reference.split_once("::")?;
    let Ok(code) = fs::read_to_string(root().join(path)) else { return Some(format!("no file {path}")) };
    let items: Vec<&str> = items.split("::").collect();
    let (last, containers) = items.split_last()?;
    if !defines(&code, last) {
        return Some(format!("{path} defines no {last}"));
    }
    let unknown = containers.iter().find(|container| !knows(&code, container))?;
    Some(format!("{path} knows no {unknown}"))
}

fn is_reference(text: &str) -> bool {
    (text.starts_with("src/") || text.starts_with("tests/")) && text.contains(".rs::")
}

#[test]
fn every_item_that_is_named_exists() {
    let mut found = 0;
    let mut faults = Vec::new();
    for (page, text) in pages() {
        for (number, line) in prose(&text) {
            for reference in quoted(line).filter(|text| is_reference(text)) {
                found += 1;
                if let Some(fault) = fault(reference) {
                    faults.push(format!("{}:{number}: `{reference}`: {fault}", page.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 80, "only {found} references were found: is the pattern still right?");
}

#[test]
fn every_file_and_folder_of_the_code_that_is_named_exists() {
    let mut faults = Vec::new();
    for (page, text) in pages() {
        for (number, line) in prose(&text) {
            let names_source =
                |text: &&str| text.starts_with("src/") && !text.contains(['*', ' ']) && !text.contains("::");
            for path in quoted(line).filter(names_source) {
                if !root().join(path).exists() {
                    faults.push(format!("{}:{number}: `{path}`", page.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Scripts that the documents name, or that measure what they tell.
fn scripts() -> Vec<(PathBuf, String)> {
    let folders = ["docs/pictures", "benches", ".ci", "tests"].map(|folder| fs::read_dir(root().join(folder)).unwrap());
    let files = folders.into_iter().flatten().map(|entry| entry.unwrap().path());
    let is_script = |path: &PathBuf| {
        path.extension().is_none_or(|extension| extension == "sh" || extension == "py") && path.is_file()
    };
    files.filter(is_script).map(|path| (path.clone(), fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn nothing_is_pinned_to_a_processor_that_a_small_machine_does_not_have() {
    let mut found = 0;
    for (page, text) in pages().into_iter().chain(scripts()) {
        for rest in text.split("taskset -c ").skip(1) {
            let processor = rest.split(|character: char| !character.is_ascii_digit()).next().unwrap();
            found += usize::from(!processor.is_empty());
            assert!(processor.parse().unwrap_or(0) < 2, "{}: taskset -c {processor}: two are enough", page.display());
        }
    }
    assert!(found > 3, "only {found} were found: is the pattern still right?");
}

/// The address of a heading within its page, as it is made from the heading's text.
fn anchor(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    text.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c)).map(|c| if c == ' ' { '-' } else { c }).collect()
}

/// The targets of the links in a line.
fn links(line: &str) -> impl Iterator<Item = &str> {
    line.split("](").skip(1).filter_map(|rest| rest.split(')').next())
}

#[test]
fn every_relative_link_leads_somewhere() {
    let mut found = 0;
    let mut faults = Vec::new();
    for (page, text) in pages() {
        for (number, line) in prose(&text) {
            for target in links(line).filter(|target| !target.contains("://") && !target.starts_with("mailto:")) {
                found += 1;
                let (file, heading) = target.split_once('#').unwrap_or((target, ""));
                let path = if file.is_empty() { page.clone() } else { page.parent().unwrap().join(file) };
                let has_heading = || {
                    fs::read_to_string(&path).is_ok_and(|text| {
                        prose(&text).any(|(_, line)| line.starts_with('#') && anchor(line) == heading)
                    })
                };
                if !path.exists() || !(heading.is_empty() || has_heading()) {
                    faults.push(format!("{}:{number}: {target}", page.display()));
                }
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(found > 10, "only {found} links were found: is the pattern still right?");
}

#[test]
fn the_tutorial_is_gone_through_to_its_last_row() {
    const FUNCTIONS: [&str; 20] = [
        "bind",
        "listen",
        "accept",
        "connect",
        "connect_ex",
        "recv",
        "send",
        "sendall",
        "recvfrom",
        "sendto",
        "close",
        "getpeername",
        "getsockname",
        "setsockopt",
        "getsockopt",
        "settimeout",
        "gettimeout",
        "fileno",
        "setblocking",
        "makefile",
    ];
    const CONSTANTS: [&str; 7] =
        ["AF_UNIX", "AF_INET", "AF_INET6", "SOCK_STREAM", "SOCK_DGRAM", "SOCK_SEQPACKET", "SOCK_RAW"];
    let page = fs::read_to_string(root().join("docs/sockets.md")).unwrap();
    let rows: Vec<&str> = page.lines().filter(|line| line.starts_with("| ")).collect();
    let references = |row: &str| quoted(row).filter(|text| is_reference(text)).count();
    let beginnings = FUNCTIONS.iter().map(|name| format!("| `{name}("));
    let beginnings = beginnings.chain(CONSTANTS.iter().map(|name| format!("| `{name}` ")));
    for beginning in beginnings.chain((1..=9).map(|note| format!("| {note}. "))) {
        let row = rows.iter().find(|row| row.starts_with(&beginning));
        let row = row.unwrap_or_else(|| panic!("no row begins with {beginning:?}"));
        assert!(references(row) > 0, "no item is named in the row {row:?}");
    }
    for note in 1..=9 {
        assert!(page.contains(&format!("`tests/server/nine_notes.rs::note_{note}_")), "note {note} names no test");
    }
}

/// The layers, from the ground up, as the map lists them.
fn layers() -> Vec<String> {
    let map = fs::read_to_string(root().join("docs/architecture.md")).unwrap();
    let rows = map.lines().filter_map(|line| line.strip_prefix("| `src/")?.split_once("/`"));
    let mut layers: Vec<String> = rows.map(|(layer, _)| layer.to_owned()).collect();
    layers.reverse();
    layers
}

/// The imports of `code`, which lies in `layer`, that do not point down.
fn upward<'a>(code: &'a str, layer: &str, layers: &[String]) -> Vec<&'a str> {
    let floor = |name: &str| layers.iter().position(|layer| layer == name);
    let code = code.split("#[cfg(test)]\nmod tests").next().unwrap();
    let code = code.lines().filter(|line| !line.trim_start().starts_with("//"));
    let names = code.flat_map(|line| line.split("crate::").skip(1).filter_map(|rest| rest.split([':', ';']).next()));
    names.filter(|name| floor(name) > floor(layer)).collect()
}

#[test]
fn imports_point_down() {
    let layers = layers();
    let folders = fs::read_dir(root().join("src")).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<String> = folders
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    let mut sorted = layers.clone();
    folders.sort();
    sorted.sort();
    assert_eq!(folders, sorted, "every folder is a layer");
    let mut files = Vec::new();
    for layer in &layers {
        collect(&root().join("src").join(layer), "rs", &mut files);
        for file in files.drain(..) {
            let code = fs::read_to_string(&file).unwrap();
            assert_eq!(upward(&code, layer, &layers), [""; 0], "{}", file.display());
        }
    }
    assert_eq!(upward("use crate::cli::x;\nuse crate::os::y;", "reactor", &layers), ["cli"]);
}

#[test]
fn what_is_wrong_is_found() {
    for right in [
        "src/os/bind.rs::connect",
        "src/reactor/connection/receive.rs::Connection::receive",
        "src/reactor/connection/state.rs::Phase::Lingering",
        "src/reactor/limits.rs::Limits::READ_MAX",
        "src/reactor/accept.rs::Reactor::accept_batch",
        "src/protocol/bye.rs::Bye::Stop",
    ] {
        assert_eq!(fault(right), None, "{right}");
    }
    for wrong in [
        "src/os/nowhere.rs::connect",
        "src/os/bind.rs::conect",
        "src/os/bind.rs::Socket",
        "src/reactor/connection/receive.rs::Connexion::receive",
        "src/reactor/connection/state.rs::Phase::Sleeping",
    ] {
        assert!(fault(wrong).is_some(), "{wrong} passed");
    }
    assert_eq!(anchor("## What to learn: `bind`, twice"), "what-to-learn-bind-twice");
    assert_eq!(links("see [a](b.md) and [c](d.md#e).").collect::<Vec<_>>(), ["b.md", "d.md#e"]);
}
