//! What is answered to a message, and where a message ends: pure, and without I/O.
//!
//! Nothing here names a socket, a reactor or a moment. A protocol is offered bytes and answers into a
//! [`Reply`](crate::reactor::reply::Reply).

/// Gives the variants of an enum their names, for `FromStr` and `Display`. The text is the error of any other name.
macro_rules! names {
    ($kind:ident, $error:literal, $($variant:ident = $name:literal),+) => {
        impl std::str::FromStr for $kind {
            type Err = String;

            fn from_str(name: &str) -> Result<$kind, String> {
                match name {
                    $($name => Ok($kind::$variant),)+
                    _ => Err($error.to_owned()),
                }
            }
        }

        impl std::fmt::Display for $kind {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(match self { $($kind::$variant => $name),+ })
            }
        }
    };
}

pub mod ack;
pub mod bye;
pub mod charset;
pub mod chunk;
pub mod escape;
pub mod farewell;
pub mod frame;
pub mod framing;
pub mod len32;
pub mod line;
pub mod mode;
