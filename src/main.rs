//! Parses the arguments and does what they say; everything else is in the library.

fn main() -> std::process::ExitCode {
    cooee::cli::run()
}
