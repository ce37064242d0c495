//! Goal: how much memory a server keeps for a connection that says nothing.
//!
//! Method: as in `servers.rs`, each server is a process of its own. Its memory is read before and after 10,000
//! connections, each of which has echoed once: proportional set size without the pages of files, and without the
//! kernel's socket buffers. That is the code of `cooee compare --idle-connections`. The result is a table and not
//! criterion's, because the figure hardly varies: there is no distribution to estimate, and three rounds show that.
//!
//! `cargo bench --bench idle_memory`

mod support;

use cooee::measure::compare::metric::Metric;
use cooee::measure::load::options::End;
use support::bench::{Bench, is_test};
use support::scenario::{Scenario, echo};
use support::servers::Servers;
use support::table;

const NAME: &str = "idle memory";

fn main() {
    // Cargo gives every bench the same arguments, so a name that is sought elsewhere is not sought here.
    let sought: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with('-')).collect();
    if !sought.iter().all(|part| NAME.contains(part.as_str())) {
        return eprintln!("{NAME}: not asked for");
    }
    let servers = Servers::build();
    let mut bench = Bench::new(3).expect("this program can be pinned, and can catch signals");
    bench.idle_connections = if is_test() { 100 } else { 10_000 };
    // A little load comes first, with another process: it is not what is asked for.
    bench.end = End::Messages(100);
    let scenario = Scenario::new(NAME, servers.tcp(), &echo(1, 64, 1));
    println!("the server's memory an idle connection, of {}", bench.idle_connections);
    print!("{}", table::render(Metric::IdleMemory, &bench.measure(&scenario)));
}
