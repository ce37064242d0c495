//! The limits of memory of this process's control group and of all above it (`cgroups(7)`; the kernel's `cgroup-v2.rst`
//! and `cgroup-v1/memory.rst`).
//!
//! ```text
//!   /proc/self/cgroup      4:memory:/docker/a1/web            which group, as a path in its hierarchy
//!   /proc/self/mountinfo   ... /docker/a1 /sys/fs/cgroup/memory ... - cgroup cgroup rw,memory
//!                              |          |                          which hierarchy
//!                              |          where it is mounted
//!                              what part of it is mounted there
//!   so: /sys/fs/cgroup/memory/web/memory.limit_in_bytes, and that of every folder above it up to the mount
//! ```
//!
//! Version 1, version 2 and both at once are handled alike. In a control group namespace the paths begin at its root,
//! and groups above it are not visible. What cannot be read or parsed is no limit, because it must not keep a server
//! from starting.

use std::fs;
use std::path::{Component, Path, PathBuf};

use procfs::process::MountInfo;
use procfs::{FromBufRead, ProcessCGroups};

use crate::cli::memory_limit::MemoryLimit;
use crate::measure::report::visible::visible;

/// The files of a group that hold a limit, in the two versions. From `memory.high` on a group is slowed down, which is
/// no better.
const FILES_1: &[&str] = &["memory.limit_in_bytes"];
const FILES_2: &[&str] = &["memory.max", "memory.high"];

/// All limits that hold for this process's group, on a system whose root folder is `root`.
pub(crate) fn limits(root: &Path) -> Vec<MemoryLimit> {
    let read = |path: &str| fs::read(root.join(path)).unwrap_or_default();
    let (groups, mounts) = (read("proc/self/cgroup"), read("proc/self/mountinfo"));
    // Line by line: one that cannot be parsed hides no other.
    let lines = |text: &[u8]| String::from_utf8_lossy(text).lines().map(str::to_owned).collect::<Vec<_>>();
    let groups = lines(&groups).into_iter().filter_map(|line| ProcessCGroups::from_buf_read(line.as_bytes()).ok());
    let groups: Vec<_> = groups.flatten().collect();
    let mounts = lines(&mounts).into_iter().filter_map(|line| MountInfo::from_line(&line).ok());
    let mut limits = Vec::new();
    for mount in mounts {
        let (group, files) = match mount.fs_type.as_str() {
            "cgroup" if mount.super_options.contains_key("memory") => {
                (groups.iter().find(|group| group.controllers.iter().any(|name| name == "memory")), FILES_1)
            }
            "cgroup2" => (groups.iter().find(|group| group.hierarchy == 0), FILES_2),
            _ => continue,
        };
        let Some(group) = group else { continue };
        let Some(below) = below(&group.pathname, &unescaped(&mount.root)) else { continue };
        let mount_point = unescaped(&mount.mount_point.to_string_lossy());
        let top = root.join(mount_point.trim_start_matches('/'));
        let read = |folder: &Path, file: &&str| limit(root, &top.join(folder).join(file));
        limits.extend(below.ancestors().flat_map(|folder| files.iter().filter_map(move |file| read(folder, file))));
        if files == FILES_1 {
            limits.extend(inherited(root, &top.join(&below).join("memory.stat")));
        }
    }
    limits
}

/// The path of `group` below `mounted`, the mounted part of its hierarchy; `None` if it lies elsewhere, as that of a
/// process outside this namespace does (`/../other`).
fn below(group: &str, mounted: &str) -> Option<PathBuf> {
    let below = Path::new(group).strip_prefix(mounted).ok()?;
    below.components().all(|part| matches!(part, Component::Normal(_))).then(|| below.to_owned())
}

/// What the kernel writes for a blank, a tab, a line's end and a backslash, as these (`proc_pid_mountinfo(5)`).
fn unescaped(text: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .into_iter()
        .fold(text.to_owned(), |text, (escaped, plain)| text.replace(escaped, plain))
}

/// The limit in a file with a number. `max` is none; nor is what version 1 has instead, the largest multiple of a page.
fn limit(root: &Path, file: &Path) -> Option<MemoryLimit> {
    let text = fs::read_to_string(file).ok()?;
    named(text.trim().parse().ok()?, root, file)
}

/// The limit of all groups above, as version 1 reports it, with those outside the namespace.
fn inherited(root: &Path, file: &Path) -> Option<MemoryLimit> {
    let text = fs::read_to_string(file).ok()?;
    let number = text.lines().find_map(|line| line.strip_prefix("hierarchical_memory_limit "))?;
    named(number.trim().parse().ok()?, root, file)
}

fn named(bytes: u64, root: &Path, file: &Path) -> Option<MemoryLimit> {
    const NONE: u64 = i64::MAX as u64 / 2;
    let path = Path::new("/").join(file.strip_prefix(root).unwrap_or(file));
    (bytes < NONE).then(|| MemoryLimit { bytes, source: visible(&path.to_string_lossy()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "34 25 0:30 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n";
    const V2: &str = "35 24 0:31 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
    const OTHERS: &str =
        "24 1 8:1 / / rw - ext4 /dev/sda1 rw\n33 25 0:29 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu\n";

    /// A tree made by hand; the limits found in it, the smallest first, as bytes and where they were found.
    fn found(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> Vec<(u64, String)> {
        let root = tempfile::tempdir().unwrap();
        let all = [("proc/self/cgroup", cgroup), ("proc/self/mountinfo", mountinfo)];
        for (path, text) in all.iter().chain(files) {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let mut found: Vec<_> = limits(root.path()).into_iter().map(|limit| (limit.bytes, limit.source)).collect();
        found.sort();
        found
    }

    fn bytes(cgroup: &str, mountinfo: &str, files: &[(&str, &str)]) -> Vec<u64> {
        found(cgroup, mountinfo, files).into_iter().map(|(bytes, _)| bytes).collect()
    }

    #[test]
    fn version_1_has_the_limits_of_the_group_and_of_all_above_it() {
        let mounts = [OTHERS, V1].concat();
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n"),
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000\n"),
            ("sys/fs/cgroup/memory/a/b/memory.limit_in_bytes", "2000\n"),
            ("sys/fs/cgroup/memory/a/b/memory.stat", "cache 7\nhierarchical_memory_limit 900\n"),
            ("sys/fs/cgroup/memory/a/memory.stat", "hierarchical_memory_limit 1\n"),
            ("sys/fs/cgroup/memory/other/memory.limit_in_bytes", "5\n"),
            ("sys/fs/cgroup/cpu/a/b/memory.limit_in_bytes", "6\n"),
        ];
        let groups = "9:name=systemd:/\n4:cpu,memory:/a/b\n0::/\n";
        let expected = [
            (900, "/sys/fs/cgroup/memory/a/b/memory.stat"),
            (1000, "/sys/fs/cgroup/memory/a/memory.limit_in_bytes"),
            (2000, "/sys/fs/cgroup/memory/a/b/memory.limit_in_bytes"),
        ];
        assert_eq!(found(groups, &mounts, &files), expected.map(|(bytes, path)| (bytes, path.to_owned())));
    }

    #[test]
    fn version_2_has_max_and_high() {
        let files = [
            ("sys/fs/cgroup/a.slice/memory.max", "max\n"),
            ("sys/fs/cgroup/a.slice/memory.high", "3000\n"),
            ("sys/fs/cgroup/a.slice/b.service/memory.max", "4000\n"),
            ("sys/fs/cgroup/a.slice/b.service/memory.high", "max\n"),
        ];
        assert_eq!(bytes("0::/a.slice/b.service\n", V2, &files), [3000, 4000]);
    }

    #[test]
    fn with_both_versions_each_has_its_own() {
        let unified = "36 24 0:31 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
        let files = [
            ("sys/fs/cgroup/memory/a/memory.limit_in_bytes", "1000"),
            ("sys/fs/cgroup/unified/b/memory.max", "2000"),
            ("sys/fs/cgroup/unified/a/memory.max", "1"),
            ("sys/fs/cgroup/memory/b/memory.limit_in_bytes", "2"),
        ];
        assert_eq!(bytes("4:memory:/a\n0::/b\n", &[V1, unified].concat(), &files), [1000, 2000]);
    }

    #[test]
    fn in_a_container_the_group_is_what_is_mounted_or_lies_below() {
        let mounts = "34 25 0:30 /docker/a1 /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n";
        let files = [
            ("sys/fs/cgroup/memory/memory.limit_in_bytes", "1000"),
            ("sys/fs/cgroup/memory/web/memory.limit_in_bytes", "500"),
            ("sys/fs/cgroup/memory/docker/a1/memory.limit_in_bytes", "1"),
        ];
        assert_eq!(bytes("4:memory:/docker/a1\n", mounts, &files), [1000]);
        assert_eq!(bytes("4:memory:/docker/a1/web\n", mounts, &files), [500, 1000]);
        for elsewhere in ["/docker/a2", "/docker/a11", "/", "/../a2", "/docker/a1/../a2"] {
            assert_eq!(bytes(&format!("4:memory:{elsewhere}\n"), mounts, &files), [0; 0], "{elsewhere}");
        }
        // In a namespace of its own it is the root.
        assert_eq!(bytes("0::/\n", V2, &[("sys/fs/cgroup/memory.max", "700")]), [700]);
        assert_eq!(bytes("0::/../other\n", V2, &[("sys/fs/cgroup/memory.max", "700")]), [0; 0]);
    }

    #[test]
    fn names_with_odd_characters_are_found() {
        let mounts = "35 24 0:31 /a\\134x2d\\040b /mnt/c\\011d rw - cgroup2 none rw\n";
        let files = [("mnt/c\td/e/memory.max", "1234")];
        let told = found("0::/a\\x2d b/e\n", mounts, &files);
        assert_eq!(told.iter().map(|(bytes, _)| *bytes).collect::<Vec<_>>(), [1234]);
        assert!(!told[0].1.contains('\t'), "it would break the line of a log: {told:?}");
    }

    #[test]
    fn what_cannot_be_understood_is_no_limit_and_hides_none() {
        let good = [("sys/fs/cgroup/a/memory.max", "1000")];
        let odd = "\u{fffd}\n::\nx:memory:/a\n99999999999:memory:/a\n-1::\n#\n0::/a\n";
        let mounts = format!("\n-\n35\n1 2 3 4 5 6\n35 24 0:31 / /sys/fs/cgroup rw - cgroup2\n{V2}garbage - - -\n");
        assert_eq!(bytes(odd, &mounts, &good), [1000]);
        for text in ["", "max", "-1", "1e9", "18446744073709551616", "1000 2000", "0x10", "\u{0}"] {
            assert_eq!(bytes("0::/a\n", V2, &[("sys/fs/cgroup/a/memory.max", text)]), [0; 0], "{text:?}");
        }
        assert_eq!(bytes("", "", &[]), [0; 0]);
        assert_eq!(bytes("0::/gone (deleted)\n", V2, &good), [0; 0]);
        assert_eq!(limits(Path::new("/no/such/root")), []);
        // A folder where a file should be is unreadable for everybody, root included.
        assert_eq!(
            bytes("0::/a\n", V2, &[("sys/fs/cgroup/a/memory.max/x", "1"), ("sys/fs/cgroup/memory.high", "7")]),
            [7]
        );
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("proc/self")).unwrap();
        fs::write(root.path().join("proc/self/cgroup"), b"1:\xff\xfe:/\n0::/a\n").unwrap();
        fs::write(root.path().join("proc/self/mountinfo"), [b"\xff\xff\n", V2.as_bytes()].concat()).unwrap();
        fs::create_dir_all(root.path().join("sys/fs/cgroup/a")).unwrap();
        fs::write(root.path().join("sys/fs/cgroup/a/memory.high"), "55").unwrap();
        assert_eq!(limits(root.path()).len(), 1);
    }
}
