//! Which mutant is on. Every copy that is mutated has this file as `crate::mutants`.

use std::collections::HashSet;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

enum Choice {
    One(u32),
    /// None is on, and each that is come by is noted: a file a process.
    Note(PathBuf, Mutex<HashSet<u32>>),
}

static CHOICE: LazyLock<Option<Choice>> = LazyLock::new(|| match std::env::var("COOEE_MUTANT").ok()?.parse() {
    Ok(number) => Some(Choice::One(number)),
    Err(_) => {
        let folder = std::env::var_os("COOEE_MUTANT_FOLDER")?;
        let file = PathBuf::from(folder).join(std::process::id().to_string());
        Some(Choice::Note(file, Mutex::default()))
    }
});

pub fn on(number: u32) -> bool {
    match CHOICE.as_ref() {
        None => false,
        Some(Choice::One(one)) => *one == number,
        Some(Choice::Note(file, noted)) => {
            let mut noted = noted.lock().unwrap_or_else(|poison| poison.into_inner());
            // At once, because a process may be killed. Where there is no descriptor for it, the next time.
            if !noted.contains(&number)
                && let Ok(mut file) = std::fs::File::options().create(true).append(true).open(file)
                && writeln!(file, "{number}").is_ok()
            {
                noted.insert(number);
            }
            false
        }
    }
}

/// A named constant, as it is or changed.
pub fn constant<T: Constant>(value: T, smaller: u32, larger: u32) -> T {
    let (smaller, larger) = (on(smaller), on(larger));
    if smaller {
        value.smaller()
    } else if larger {
        value.larger()
    } else {
        value
    }
}

pub trait Constant {
    fn smaller(self) -> Self;
    fn larger(self) -> Self;
}

macro_rules! integers {
    ($($name:ty)*) => {$(impl Constant for $name {
        fn smaller(self) -> $name {
            if self == 1 { 0 } else { 1 }
        }

        fn larger(self) -> $name {
            self.saturating_mul(10).max(1)
        }
    })*};
}

integers!(u8 u16 u32 u64 usize i32 i64);

impl Constant for f64 {
    fn smaller(self) -> f64 {
        self / 10.0
    }

    fn larger(self) -> f64 {
        self * 10.0
    }
}

impl Constant for Duration {
    fn smaller(self) -> Duration {
        self / 20
    }

    fn larger(self) -> Duration {
        self * 10
    }
}

impl Constant for &'static str {
    fn smaller(self) -> &'static str {
        ""
    }

    fn larger(self) -> &'static str {
        "xyzzy"
    }
}
