//! What is printed for the program's name without a command.

/// Five commands, each with what it does. No line is longer than 78 characters.
pub(crate) const EXAMPLES: &str = "\
cooee answers what clients send, sends to servers, and measures them:

  cooee serve                                 echo on 127.0.0.1:9000, TCP, UDP
  cooee send 127.0.0.1:9000 -m hello          send a message, print the reply
  cooee load -c 50 -R 10k 127.0.0.1:9000      10,000 messages a second, measured
  cooee compare --server 'a=./a {port}' --server 'b=./b {port}'
                                              the same load on two servers
  cooee report --side-by-side a.json b.json   two runs of load beside each other

cooee -h lists the commands, cooee COMMAND -h the flags of one.
";

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::arguments::Arguments;

    #[test]
    fn every_example_is_right_and_fits() {
        let examples: Vec<&str> = EXAMPLES.lines().filter_map(|line| line.strip_prefix("  cooee ")).collect();
        assert_eq!(examples.len(), 5);
        for example in examples {
            let words = shlex::split(example.split("  ").next().unwrap()).unwrap();
            let parsed = Arguments::try_parse_from(["cooee".to_owned()].into_iter().chain(words));
            assert!(parsed.is_ok_and(|arguments| arguments.command.is_some()), "{example}");
        }
        assert!(EXAMPLES.lines().all(|line| line.len() <= 80), "{EXAMPLES}");
    }
}
