//! Enums whose variants have names: what lists, numbers, shows or reads them takes it from the one definition.

use std::fmt;

/// Defines an enum, each variant with its name and its place in tables of [`COUNT`] things.
///
/// - `A = "a"` is a variant with a place of its own, `A(X) | B(Y) = "a"` are two in one place. Every enum has `COUNT`,
///   `NAMES`, `index()` and `name()`.
/// - An enum without fields has `ALL` and [`Display`](fmt::Display) as well.
/// - `enum E: "kinds"` can be read from a text too; the error says which the valid kinds are.
///
/// [`COUNT`]: crate::reactor::close_reason::CloseReason::COUNT
macro_rules! named {
    ($(#[$meta:meta])* $vis:vis enum $Enum:ident $(: $kinds:literal)? {
        $($(#[$doc:meta])* $Variant:ident = $name:literal),+ $(,)?
    }) => {
        named! { @table $(#[$meta])* $vis enum $Enum { $($(#[$doc])* $Variant = $name,)+ } }

        #[allow(dead_code, unreachable_pub, reason = "not every enum is listed, or public")]
        impl $Enum {
            /// All of them, in their order.
            pub const ALL: [$Enum; $Enum::COUNT] = [$($Enum::$Variant),+];
        }

        impl std::fmt::Display for $Enum {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.name())
            }
        }

        $(impl std::str::FromStr for $Enum {
            type Err = $crate::reactor::named::UnknownName;

            fn from_str(name: &str) -> Result<$Enum, Self::Err> {
                let found = $Enum::ALL.into_iter().find(|known| known.name() == name);
                found.ok_or($crate::reactor::named::UnknownName { kinds: $kinds, known: &$Enum::NAMES })
            }
        })?
    };
    (@table $(#[$meta:meta])* $vis:vis enum $Enum:ident {
        $($(#[$doc:meta])* $Variant:ident $(($Field:ty))?
            $(| $(#[$other_doc:meta])* $Other:ident($OtherField:ty))? = $name:literal,)+
    }) => {
        $(#[$meta])*
        $vis enum $Enum { $($(#[$doc])* $Variant $(($Field))?, $($(#[$other_doc])* $Other($OtherField),)?)+ }

        #[allow(dead_code, unreachable_pub, reason = "not every enum is counted, or public")]
        impl $Enum {
            /// How many places there are.
            pub const COUNT: usize = $Enum::NAMES.len();

            /// The name at each place.
            pub const NAMES: [&'static str; [$($name),+].len()] = [$($name),+];

            /// Its place.
            pub const fn index(self) -> usize {
                enum Index { $($Variant),+ }
                match self { $($Enum::$Variant { .. } $(| $Enum::$Other { .. })? => Index::$Variant as usize,)+ }
            }

            /// Its name.
            pub const fn name(self) -> &'static str {
                $Enum::NAMES[self.index()]
            }
        }
    };
    ($($enum:tt)+) => { named! { @table $($enum)+ } };
}

pub(crate) use named;

/// No variant has the name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownName {
    /// What the variants are, in the plural.
    pub kinds: &'static str,
    /// The names that there are.
    pub known: &'static [&'static str],
}

impl fmt::Display for UnknownName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (last, others) = self.known.split_last().unwrap_or((&"", &[]));
        write!(f, "valid {} are {} and {last}", self.kinds, others.join(", "))
    }
}

impl std::error::Error for UnknownName {}

#[cfg(test)]
mod tests {
    use std::io;

    named! {
        /// Without fields.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum Color: "colours" {
            /// Red.
            Red = "red",
            /// Deep blue.
            DeepBlue = "deep-blue",
            /// Green.
            Green = "green",
        }
    }

    named! {
        /// With fields.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        enum End {
            /// One.
            Done = "done",
            /// Two in one place.
            Kind(io::ErrorKind) |
            /// The other one.
            Number(u8) = "failed",
            /// The last.
            Late = "late",
        }
    }

    #[test]
    fn names_read_back_in_the_order_of_the_variants() {
        assert_eq!(Color::ALL.map(|color| color.index()), [0, 1, 2]);
        for color in Color::ALL {
            assert_eq!(color.to_string().parse(), Ok(color));
        }
        let error = "gren".parse::<Color>().unwrap_err();
        assert_eq!(error.to_string(), "valid colours are red, deep-blue and green");
    }

    #[test]
    fn two_variants_can_share_a_place() {
        assert_eq!((End::COUNT, End::NAMES), (3, ["done", "failed", "late"]));
        let all = [End::Done, End::Kind(io::ErrorKind::Other), End::Number(7), End::Late];
        assert_eq!(all.map(End::index), [0, 1, 1, 2]);
        assert_eq!(all.map(End::name), ["done", "failed", "failed", "late"]);
    }
}
