//! Checks that each output of a command is a file of its own: of two that are one file, the second would overwrite the
//! first.

use std::fs::{self, File, Metadata};
use std::io;
use std::os::fd::AsFd;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::cli::cli_error::CliError;

/// Links to links that are followed: as many as the kernel does (`path_resolution(7)`).
const LINKS_MAX: usize = 40;

/// What identifies a file, whatever its name.
#[derive(Debug, PartialEq, Eq)]
enum Identity {
    /// An existing file: its device and its inode.
    There(u64, u64),
    /// A file that does not exist yet: its path.
    New(PathBuf),
}

impl Identity {
    /// The file at this path; `None` if nothing can be lost there: a device keeps nothing, and a path without a folder
    /// cannot be written.
    fn of(path: &Path) -> Option<Identity> {
        let mut path = path.to_owned();
        for _ in 0..LINKS_MAX {
            if let Ok(metadata) = path.metadata() {
                return Identity::of_metadata(&metadata);
            }
            let folder = match path.parent()? {
                empty if empty.as_os_str().is_empty() => Path::new("."),
                folder => folder,
            };
            match fs::read_link(&path) {
                // A link to nothing: what is written goes to where it leads.
                Ok(target) => path = folder.join(target),
                Err(_) => return Some(Identity::New(folder.canonicalize().ok()?.join(path.file_name()?))),
            }
        }
        None
    }

    fn of_stream(stream: &impl AsFd) -> Option<Identity> {
        let file = File::from(stream.as_fd().try_clone_to_owned().ok()?);
        Identity::of_metadata(&file.metadata().ok()?)
    }

    fn of_metadata(metadata: &Metadata) -> Option<Identity> {
        let is_device = metadata.file_type().is_char_device();
        (!is_device).then(|| Identity::There(metadata.dev(), metadata.ino()))
    }
}

/// The output files of a command, each with its flag and path.
#[derive(Debug, Default)]
pub(crate) struct OutputFiles(Vec<(String, Identity)>);

impl OutputFiles {
    /// Adds the file of `flag`. The error names the other one that it would overwrite.
    pub(crate) fn add(&mut self, flag: &str, path: &Path) -> Result<(), CliError> {
        let words = format!("{flag} {}", path.display());
        let Some(identity) = Identity::of(path) else { return Ok(()) };
        self.refuse_same(&words, &identity)?;
        self.0.push((words, identity));
        Ok(())
    }

    /// Checks that none of them is this input.
    pub(crate) fn check_input(&self, path: &Path) -> Result<(), CliError> {
        Identity::of(path)
            .map_or(Ok(()), |identity| self.refuse_same(&format!("the input {}", path.display()), &identity))
    }

    /// Checks that none of them is a standard stream.
    pub(crate) fn check_streams(&self) -> Result<(), CliError> {
        let streams = [
            ("standard input", Identity::of_stream(&io::stdin())),
            ("standard output", Identity::of_stream(&io::stdout())),
            ("standard error", Identity::of_stream(&io::stderr())),
        ];
        let streams = streams.into_iter().filter_map(|(name, identity)| Some((name, identity?)));
        streams.into_iter().try_for_each(|(name, identity)| self.refuse_same(name, &identity))
    }

    fn refuse_same(&self, words: &str, identity: &Identity) -> Result<(), CliError> {
        match self.0.iter().find(|(_, known)| known == identity) {
            None => Ok(()),
            Some((other, _)) => Err(CliError::Usage(format!(
                "{other} and {words} are one file, which would lose what one of them holds: name another file"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn a_file_is_known_by_whatever_name_whether_it_is_there_or_not() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        fs::create_dir(at("sub")).unwrap();
        fs::write(at("there"), "").unwrap();
        fs::hard_link(at("there"), at("hard")).unwrap();
        symlink("there", at("soft")).unwrap();
        symlink("sub/../new", at("dangling")).unwrap();
        symlink("dangling", at("second")).unwrap();
        symlink("loop", at("loop")).unwrap();
        let same =
            |one: &str, other: &str| Identity::of(&at(one)).is_some_and(|id| Some(id) == Identity::of(&at(other)));
        for (one, other) in [
            ("there", "hard"),
            ("there", "soft"),
            ("there", "sub/../there"),
            ("new", "dangling"),
            ("new", "second"),
            ("new", "./sub/../new"),
        ] {
            assert!(same(one, other), "{one} is {other}");
        }
        assert!(!same("there", "new") && !same("new", "other") && !same("new", "sub/new"));
        for nothing in ["loop", "no/folder/x"] {
            assert_eq!(Identity::of(&at(nothing)), None, "{nothing}");
        }
        assert_eq!(Identity::of(Path::new("/dev/null")), None, "it keeps nothing");
        assert!(Identity::of(Path::new("new")).is_some(), "a name alone is in this folder");
    }
}
