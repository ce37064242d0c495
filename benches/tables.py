#!/usr/bin/env python3
"""Measures what docs/performance.md tells: runs `cooee compare` for each scenario and prints what it found as Markdown.

    cargo build --release --bins --examples
    python3 benches/tables.py            # all of them: about half an hour, and nothing else should run on the machine
    python3 benches/tables.py churn UDP  # those whose title contains one of these words
    ROUNDS=1 TIME=300ms python3 benches/tables.py    # to see that everything works

The C peers are built with `cc` into the temporary folder. A row is one server: medians over the rounds, and the ratio to the first server,
taken within each round, as median (min - max). `!` marks a server some of whose rounds are doubtful, and the doubt is told below.
"""

import json
import os
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BUILT = os.path.join(os.environ.get("CARGO_TARGET_DIR", os.path.join(ROOT, "target")), "release")
COOEE = os.path.join(BUILT, "cooee")
ROUNDS = os.environ.get("ROUNDS", "7")
TIME = os.environ.get("TIME", "2s")


def peers(folder):
    """The commands that start each server, by name."""
    for name in ("epoll", "mmsg"):
        source = os.path.join(ROOT, "benches", "peers", name + ".c")
        subprocess.run(["cc", "-O2", "-o", os.path.join(folder, name), source], check=True)
    example = lambda name: f"{BUILT}/examples/{name} 127.0.0.1:{{port}}"
    serve = lambda rest="": f"{COOEE} serve -q {rest} tcp://127.0.0.1:{{port}}"
    shared = lambda cpu: f"exec taskset -c {cpu} {COOEE} serve -q --reuse-port tcp://127.0.0.1:{{port}}"
    cpus = sorted(os.sched_getaffinity(0))
    return {
        "epoll.c": f"{folder}/epoll {{port}}",
        "epoll.c-256KiB": f"{folder}/epoll {{port}} 262144",
        "mmsg.c": f"{folder}/mmsg {{port}}",
        "mio-loop": example("mio_loop"),
        "tokio": example("tokio_current_thread"),
        "smol": example("smol_local_executor"),
        "threads": example("threads"),
        "std-one-by-one": example("datagrams"),
        "cooee": serve(),
        "cooee-again": serve(),
        "cooee-udp": f"{COOEE} serve -q udp://127.0.0.1:{{port}}",
        "cooee-busy-1ms": serve("--busy-poll 1ms"),
        "cooee-busy-10ms": serve("--busy-poll 10ms"),
        "cooee-defer-accept": serve("--defer-accept 5s"),
        "cooee-ack-line": serve("--mode ack --framing line"),
        "cooee-ack-len32": serve("--mode ack --framing len32"),
        "one-process": f"sh -c '{shared(cpus[0])}'",
        "two-processes": f"sh -c '{shared(cpus[0])} & {shared(cpus[-1])}'",
    }


LOOPS = ["epoll.c", "cooee", "mio-loop", "tokio"]
# What a copy costs shows beside a loop that reads as much at once as our server does.
LARGE = ["epoll.c-256KiB", "cooee", "epoll.c", "mio-loop", "tokio"]
SCENARIOS = [
    ("1 connection", LOOPS, "-c 1"),
    ("50 connections", LOOPS + ["smol", "threads"], "-c 50"),
    ("1,000 connections", LOOPS, "-c 1000"),
    ("10,000 connections", LOOPS, "-c 10000 --warmup 1s"),
    ("50 connections, 16 in flight", LOOPS, "-c 50 --pipeline 16"),
    ("50 connections, 1 KiB", LOOPS, "-c 50 -l 1024"),
    ("50 connections, 16 KiB", LARGE, "-c 50 -l 16384"),
    ("8 connections, 64 KiB, 4 in flight", LARGE, "-c 8 --pipeline 4 -l 65536"),
    ("Churn: a connection a message, 50 at a time", ["epoll.c", "cooee", "cooee-defer-accept", "mio-loop", "tokio"], "-c 50 --churn"),
    ("UDP, 16 sockets, 8 in flight", ["mmsg.c", "cooee-udp", "std-one-by-one"], "--transport udp -c 16 --pipeline 8"),
    ("UDP, 1 socket", ["mmsg.c", "cooee-udp", "std-one-by-one"], "--transport udp -c 1"),
    ("Ack in lines", ["cooee", "cooee-ack-line"], "-c 50 --framing line --expect any"),
    ("Ack in len32", ["cooee", "cooee-ack-len32"], "-c 50 --framing len32 --expect any"),
    ("Busy polling, a client that sleeps", ["cooee", "cooee-busy-1ms", "cooee-busy-10ms"], "-c 1"),
    ("Busy polling, a client that polls", ["cooee", "cooee-busy-1ms", "cooee-busy-10ms"], "-c 1 --busy-poll 1ms"),
    ("50 connections beside 100 silent ones", ["epoll.c", "cooee"], "-c 50 --silent-connections 100"),
    ("50 connections beside 19,000 silent ones", ["epoll.c", "cooee"], "-c 50 --rounds 3 --silent-connections 19000 --start-timeout 60s"),
    ("The same program twice", ["cooee", "cooee-again"], "-c 50"),
    ("One and two processes on one port", ["one-process", "two-processes"], "-c 50"),
    ("Memory with 19,000 idle connections", ["epoll.c", "cooee", "mio-loop", "tokio"], "-c 1 --rounds 1 --idle-connections 19000 --start-timeout 60s"),
]


def compare(servers, options):
    command = [COOEE, "compare", "--json", "-"]
    for name, start in servers:
        command += ["--server", f"{name}={start}"]
    for option, value in (("--rounds", ROUNDS), ("-d", TIME), ("--warmup", "300ms"), ("--idle-connections", "0")):
        if option not in options:
            command += [option, value]
    done = subprocess.run(command + options, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    if done.returncode not in (0, 3):
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    return json.loads(done.stdout)


def number(value):
    if value is None:
        return ""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"


def ratio(summary):
    told = summary and summary["ratio"]
    if not told:
        return ""
    return f"{told['median']:.2f} ({told['min']:.2f} - {told['max']:.2f})"


def table(title, options, report):
    figures = ["cpu_us_per_message", "messages_per_s", "p50_us", "p99_us", "memory_per_idle_connection"]
    words = ["CPU µs a message", "messages/s", "p50 µs", "p99 µs", "B an idle connection"]
    shown = [server for server in report["servers"] if server["summary"]]
    kept = [place for place, figure in enumerate(figures) if any(server["summary"][figure] for server in shown)]
    print(f"\n### {title}\n\n`{options}`\n")
    print("| server | " + " | ".join(f"{words[place]} | ratio" for place in kept) + " |")
    print("|---|" + "---|---|" * len(kept))
    notes = []
    for server in report["servers"]:
        if not server["summary"]:
            notes.append(f"{server['name']} failed: {server['failure']}")
            continue
        doubts = sum(1 for one in server["rounds"] if one["doubts"] or one["errors"])
        others = max(((one["others_on_server_core"] or 0) + (one["others_on_generator_core"] or 0)) for one in server["rounds"])
        if doubts:
            what = sorted({str(doubt) for one in server["rounds"] for doubt in one["doubts"]} | {str(one["errors"]) for one in server["rounds"] if one["errors"]})
            notes.append(f"{server['name']}: {doubts} of {len(server['rounds'])} rounds doubtful: {', '.join(what)}")
        if others > 0.1:
            notes.append(f"{server['name']}: others used up to {others:.0%} of a processor")
        cells = []
        for place in kept:
            summary = server["summary"][figures[place]]
            cells += [number(summary and summary["median"]), ratio(summary)]
        print(f"| {server['name']}{' !' if doubts else ''} | " + " | ".join(cells) + " |")
    for note in notes:
        print(f"\n* {note}")
    sys.stdout.flush()


def main():
    wanted = [word.lower() for word in sys.argv[1:]]
    with tempfile.TemporaryDirectory() as folder:
        commands = peers(folder)
        for title, names, options in SCENARIOS:
            if not wanted or any(word in title.lower() for word in wanted):
                report = compare([(name, commands[name]) for name in names], options.split())
                table(title, options, report)


if __name__ == "__main__":
    main()
